//! The seeds of the fuzz target, and the target's work on them and on changes of them.
//!
//! `zstd-*` were written by the C library of Zstandard and stay as they are; the others come
//! from `write_the_seeds`, run with
//! `cargo test -p suiro-core --test codec write_the_seeds -- --ignored`.

use crate::hostile::{batch_around, record};
use crate::{COMPRESSIONS, Row, write};
use std::path::{Path, PathBuf};
use suiro_core::batch::fuzz::read_anything;
use suiro_core::batch::{Compression, Marker, Producer, write_marker};
use suiro_core::{Header, Headers, Seed, Timestamp};

const CHANGES_PER_SEED: usize = 150;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/batch")
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<_> = std::fs::read_dir(directory())
        .expect("the seeds are in the repository")
        .map(|entry| {
            let path = entry.expect("the directory can be listed").path();
            let name = path.file_name().expect("a seed has a name").to_string_lossy();
            (name.into_owned(), std::fs::read(&path).expect("a seed can be read"))
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 20, "seeds are missing");
    seeds
}

#[test]
fn every_seed_is_read() {
    for (name, seed) in seeds() {
        println!("{name}");
        read_anything(&seed);
    }
}

#[test]
fn every_seed_is_read_with_thousands_of_changes() {
    let seeds = seeds();
    let mut random = Seed::new(20_130_101);
    for (name, seed) in &seeds {
        println!("{name}");
        for _ in 0..CHANGES_PER_SEED {
            let mut bytes = seed.clone();
            for _ in 0..=random.below(4) {
                change(&mut bytes, &mut random, &seeds);
            }
            read_anything(&bytes);
        }
    }
}

fn change(bytes: &mut Vec<u8>, random: &mut Seed, seeds: &[(String, Vec<u8>)]) {
    if bytes.is_empty() {
        bytes.push(random.next_u64() as u8);
    }
    let size = bytes.len() as u64;
    let at = random.below(size) as usize;
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.next_u64() as u8),
        2 => drop(bytes.remove(at)),
        3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5) as usize],
        4 => {
            let other = &seeds[random.below(seeds.len() as u64) as usize].1;
            let from = random.below(other.len() as u64 + 1) as usize;
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => bytes[at] ^= 1 << random.below(8),
    }
}

#[cfg(feature = "zstd")]
#[test]
fn we_read_what_the_c_library_of_zstandard_wrote() {
    for level in [1, 3, 19] {
        let seed = std::fs::read(directory().join(format!("zstd-{level}"))).unwrap();
        let expected: Vec<_> = (0..).zip(text_rows()).collect();
        assert_eq!(crate::read(seed.into()).unwrap(), expected);
    }
}

/// Rows that compress well.
fn text_rows() -> Vec<Row> {
    let row = |at: i64| {
        let value = format!("{{\"carrier\":\"UA\",\"flight\":{},\"delay\":null}}", at * 37);
        Row::new(1_357_016_400_000 + at * 60_000, "EWR", &value)
    };
    (0..20).map(row).collect()
}

fn strange_rows() -> Vec<Row> {
    let header = |key: &str, value: Option<&'static [u8]>| Header {
        key: key.into(),
        value: value.map(bytes::Bytes::from_static),
    };
    let headers = Headers::from(vec![
        header("trace", Some(b"7f")),
        header("", None),
        header("水路", Some(b"")),
    ]);
    vec![
        Row { at: 0, key: None, value: None, headers: Headers::NONE },
        Row { at: -1, key: Some(vec![]), value: Some(vec![]), headers },
        Row { at: i64::MAX, key: Some(vec![0xff; 70]), value: None, headers: Headers::NONE },
        Row { at: i64::MIN, key: None, value: Some(vec![0; 200]), headers: Headers::NONE },
    ]
}

#[test]
#[ignore = "writes the seeds"]
fn write_the_seeds() {
    let own = Producer { id: 7, epoch: 1, sequence: 3, transactional: true };
    let mut seeds: Vec<(String, Vec<u8>)> = Vec::new();
    let mut seed = |name: &str, bytes: &[u8]| seeds.push((name.into(), bytes.to_vec()));

    for &compression in COMPRESSIONS {
        if compression == Compression::Zstd {
            continue;
        }
        let name = format!("{compression:?}").to_lowercase();
        let text = write(&text_rows(), compression, Producer::NONE);
        seed(&format!("{name}-text"), &text);
        seed(&format!("{name}-text-cut-off"), &text[..text.len() - 9]);
        seed(&format!("{name}-strange"), &write(&strange_rows(), compression, own));
        // What the target takes for bare compressed bytes: one byte is left out.
        seed(&format!("{name}-bare"), &text[60..]);
        let zeros = Row { value: Some(vec![0; 60_000]), ..Row::new(1, "zeros", "") };
        if compression != Compression::None {
            seed(&format!("{name}-zeros"), &write(&[zeros], compression, Producer::NONE));
        }
    }

    let one = record(&[0, 0, 0, 1, 1, 0]);
    seed("empty", &[]);
    seed("one-record", &batch_around(&one, 1, 0));
    seed("no-records", &batch_around(&[], 0, 0));
    seed("no-records-gzip", &batch_around(&[], 0, 1));
    seed("count-negative", &batch_around(&one, -1, 0));
    seed("count-too-large", &batch_around(&one, i32::MAX, 0));
    seed("count-too-large-gzip", &batch_around(&one, i32::MAX, 1));
    seed("compression-unknown", &batch_around(&one, 1, 7));
    seed("append-time", &batch_around(&one, 1, 1 << 3));
    seed("header-not-text", &batch_around(&record(&[0, 0, 0, 1, 1, 2, 2, 0xff, 1]), 1, 0));
    let many = record(&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]);
    seed("headers-too-many", &batch_around(&many, 1, 0));
    seed("varint-too-long", &batch_around(&[0xff; 20], 1, 0));
    seed("record-trailing", &batch_around(&record(&[0, 0, 0, 1, 1, 0, 7]), 1, 0));
    seed("batch-trailing", &batch_around(&[&one[..], &[1, 2, 3]].concat(), 1, 0));
    seed("snappy-claim", &batch_around(&[0xff, 0xff, 0xff, 0xff, 0x03, 0x00], 1, 2));
    // A frame of one empty block of run length 0, whose window is 2 GiB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 0x03, 0, 0, 0];
    seed("zstd-window", &batch_around(&window, 1, 4));

    let mut length = batch_around(&one, 1, 0);
    length[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    seed("length-too-large", &length);
    length[8..12].copy_from_slice(&(-1_i32).to_be_bytes());
    seed("length-negative", &length);
    let mut magic = batch_around(&one, 1, 0);
    magic[16] = 1;
    seed("magic-1", &magic);

    let mut markers = Vec::new();
    let at = Timestamp::from_millis(1);
    markers.extend(write(&text_rows()[..2], Compression::None, own));
    write_marker(&mut markers, own, at, Marker::Commit, 4);
    markers.extend(write(&text_rows()[2..4], Compression::None, own));
    write_marker(&mut markers, own, at, Marker::Abort, 5);
    seed("transactions", &markers);

    for (name, bytes) in seeds {
        std::fs::write(directory().join(name), bytes).unwrap();
    }
}
