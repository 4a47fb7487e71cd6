//! What reading and writing a record costs. Nothing is asserted about time; run it with
//! `cargo test --release -p suiro-core --test codec speed -- --ignored --nocapture`.

use suiro_core::batch::{BatchWriter, Compression, batches};
use suiro_core::{Clock, Headers, Seed, SystemClock, Timestamp};

const RECORDS: usize = 4_000_000;

/// The nanoseconds per record of the best of five runs of `run` over `RECORDS` records.
fn nanos(mut run: impl FnMut()) -> f64 {
    let clock = SystemClock::default();
    let times = (0..5).map(|_| {
        let start = clock.elapsed();
        run();
        (clock.elapsed() - start).as_nanos() as f64 / RECORDS as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

fn measure(compression: Compression, batch_records: usize, headers: &Headers) -> [f64; 3] {
    let mut seed = Seed::new(7);
    let values: Vec<[u8; 84]> = (0..batch_records)
        .map(|_| std::array::from_fn(|_| b'a' + (seed.below(26) as u8).pow(2) / 25))
        .collect();
    let mut writer = BatchWriter::new(compression);
    let mut log = Vec::new();
    let write = nanos(|| {
        for _ in 0..RECORDS / batch_records {
            log.clear();
            for (at, value) in values.iter().enumerate() {
                let mut key = [0; 16];
                key[..8].copy_from_slice(&(at as u64).to_le_bytes());
                let at = Timestamp::from_millis(1_357_016_400_000 + at as i64);
                writer.push(at, Some(&key), Some(value), headers);
            }
            writer.finish_into(&mut log).expect("it is built in");
        }
    });
    let bytes = bytes::Bytes::from(log);
    let mut sum = 0;
    let read = nanos(|| {
        for _ in 0..RECORDS / batch_records {
            for batch in batches(bytes.clone()) {
                let records = batch.and_then(|batch| batch.records()).expect("it is whole");
                for record in &records {
                    let record = record.expect("it is whole");
                    let key = record.key.expect("it has a key");
                    sum += record.offset + record.at.as_millis() + i64::from(key[0]);
                    sum += record.value.expect("it has a value").len() as i64;
                }
            }
        }
    });
    assert_ne!(std::hint::black_box(sum), 0);
    [write, read, bytes.len() as f64 / batch_records as f64]
}

#[test]
#[ignore = "measures, asserts nothing"]
fn a_record_of_100_bytes() {
    let none = Headers::NONE;
    let two: Headers = [("trace", "7f2a9c"), ("source", "web")].into_iter().collect();
    println!("compression, headers, records a batch: ns to write, ns to read, bytes a record");
    for (compression, headers, records) in [
        (Compression::None, &none, 8),
        (Compression::None, &none, 150),
        (Compression::None, &none, 600),
        (Compression::None, &none, 10_000),
        (Compression::None, &two, 600),
        (Compression::Lz4, &none, 600),
        (Compression::Snappy, &none, 600),
    ] {
        let [write, read, size] = measure(compression, records, headers);
        let headers = headers.len();
        println!("{compression:?}, {headers}, {records}: {write:.1} {read:.1} {size:.0}");
    }
}
