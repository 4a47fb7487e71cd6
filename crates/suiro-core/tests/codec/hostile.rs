//! Damaged and hostile input: errors, never panics.

use crate::{Row, compression, moderate_times, producer, read, rows, write};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use suiro_core::ErrorKind;
use suiro_core::batch::fuzz::read_anything;
use suiro_core::batch::{BatchHeader, Compression, HEADER_LEN, Producer, batches};

/// Makes the checksum of a whole batch fit its bytes.
pub fn fix_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// A batch whose header says what a batch of `count` records would say, around `payload`.
pub fn batch_around(payload: &[u8], count: i32, compression: u8) -> Vec<u8> {
    let mut batch = write(&[Row::new(5, "a", "1")], Compression::None, Producer::NONE).to_vec();
    batch.truncate(HEADER_LEN);
    batch.extend_from_slice(payload);
    let length = batch.len() as i32 - 12;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = compression;
    batch[23..27].copy_from_slice(&(count - 1).max(0).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    fix_crc(&mut batch);
    batch
}

/// One record: its length and `body`.
pub fn record(body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 64, "its length is one byte");
    [&[2 * body.len() as u8], body].concat()
}

#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, Index),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let size = bytes.len();
        if size == 0 {
            return;
        }
        match self {
            Self::Cut(at) => bytes.truncate(at.index(size)),
            Self::Flip(at, mask) => bytes[at.index(size)] ^= mask,
            Self::Insert(at, new) => {
                let at = at.index(size);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(size);
                bytes.drain(at..(at + count).min(size));
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(size), to.index(size));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.extend(part);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        1 => any::<Index>().prop_map(Damage::Cut),
        6 => (any::<Index>(), 1..=255_u8).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(at, new)| Damage::Insert(at, new)),
        1 => (any::<Index>(), 1..50_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

proptest! {
    #[test]
    fn damage_never_panics(
        rows in rows(moderate_times()),
        compression in compression(),
        producer in producer(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut bytes = write(&rows, compression, producer).to_vec();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        read_anything(&bytes);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_anything(&bytes);
        for compression in 0..5 {
            read_anything(&batch_around(&bytes, 1, compression));
        }
    }

    #[test]
    fn every_changed_byte_that_the_checksum_covers_is_found(
        rows in rows(moderate_times()),
        compression in compression(),
        at: Index,
        mask in 1..=255_u8,
    ) {
        let mut bytes = write(&rows, compression, Producer::NONE).to_vec();
        // The checksum itself begins at byte 17, what it covers at byte 21.
        let at = 17 + at.index(bytes.len() - 17);
        bytes[at] ^= mask;
        let error = read(bytes.into()).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_torn_end_is_named(
        first in rows(moderate_times()),
        second in rows(moderate_times()),
        compression in compression(),
        cut: Index,
    ) {
        let first = write(&first, compression, Producer::NONE);
        let second = write(&second, compression, Producer::NONE);
        let cut = 1 + cut.index(second.len() - 1);
        prop_assert_eq!(BatchHeader::parse(&second[..cut]).unwrap(), None);
        let log = Bytes::from([&first[..], &second[..cut]].concat());
        let mut all = batches(log);
        let batch = all.next().unwrap().unwrap();
        prop_assert_eq!(batch.bytes(), &first);
        let error = all.next().unwrap().unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
        let place = format!("position=`{}`", first.len());
        prop_assert!(error.to_string().ends_with(&place), "{}", error);
        prop_assert!(all.next().is_none());
    }
}

#[test]
fn nonsense_in_a_record_is_corrupt() {
    let whole = record(&[0, 0, 0, 1, 1, 0]);
    assert_eq!(read(batch_around(&whole, 1, 0).into()).unwrap().len(), 1);
    for (name, payload, count) in [
        ("negative length", vec![3, 0, 0, 0, 1, 1, 0], 1),
        ("length beyond the end", vec![14, 0, 0, 0, 1, 1, 0], 1),
        ("length too long", vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0], 1),
        ("length too short", record(&[0, 0, 0, 1, 1])[..].to_vec(), 1),
        ("time too long", record(&[&[0][..], &[0xff; 10], &[0, 1, 1, 0]].concat()), 1),
        ("offset before the base", record(&[0, 0, 1, 1, 1, 0]), 1),
        ("offset after the last", record(&[0, 0, 2, 1, 1, 0]), 1),
        ("offset again", [&whole[..], &whole].concat(), 2),
        ("key length -2", record(&[0, 0, 0, 3, 1, 0]), 1),
        ("key beyond the record", record(&[0, 0, 0, 8, 1, 0]), 1),
        ("value beyond the record", record(&[0, 0, 0, 1, 8, 0]), 1),
        ("no headers", record(&[0, 0, 0, 1, 2, 9]), 1),
        ("negative headers", record(&[0, 0, 0, 1, 1, 1]), 1),
        ("more headers than bytes", record(&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]), 1),
        ("header without name", record(&[0, 0, 0, 1, 1, 2, 1, 1]), 1),
        ("header cut off", record(&[0, 0, 0, 1, 1, 2, 2, 65]), 1),
        ("bytes after the headers", record(&[0, 0, 0, 1, 1, 0, 7]), 1),
        ("bytes after the last record", [&whole[..], &[0]].concat(), 1),
        ("fewer records than counted", [&whole[..], &[0; 7]].concat(), 2),
        ("count that cannot fit", whole.clone(), 2),
    ] {
        let error = read(batch_around(&payload, count, 0).into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
        assert!(error.to_string().contains("=`"), "{name}: {error}");
    }
}

#[test]
fn damage_in_a_record_names_its_place_and_is_the_last_item() {
    let whole = record(&[0, 0, 0, 1, 1, 0]);
    let payload = [&whole[..], &record(&[0, 0, 2, 3, 1, 0]), &record(&[0, 0, 4, 1, 1, 0])];
    let batch = batch_around(&payload.concat(), 3, 0);
    let batch = batches(batch.into()).next().unwrap().unwrap();
    let records = batch.records().unwrap();
    let mut records = records.iter();
    assert!(records.next().unwrap().is_ok());
    let error = records.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "record cannot be read base_offset=`0` record=`1` position=`7`");
    assert!(records.next().is_none());
}

#[test]
fn a_header_name_that_is_not_text_is_corrupt() {
    let batch = batch_around(&record(&[0, 0, 0, 1, 1, 2, 2, 0xff, 1]), 1, 0);
    let batch = batches(batch.into()).next().unwrap().unwrap();
    let records = batch.records().unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!(record.headers.len(), 1);
    let error = record.headers.to_headers().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}
