//! The record batch codec: against itself, against the `kafka-protocol` crate and against
//! hostile input.

mod corpus;
mod hostile;
mod kafka;
mod round_trip;
mod speed;

use bytes::Bytes;
use proptest::prelude::*;
use suiro_core::batch::{BatchWriter, Compression, Producer, batches};
use suiro_core::{Header, Headers, Offset, Result, Timestamp};

/// The kinds of compression that are built in.
const COMPRESSIONS: &[Compression] = &[
    Compression::None,
    #[cfg(feature = "gzip")]
    Compression::Gzip,
    #[cfg(feature = "snappy")]
    Compression::Snappy,
    #[cfg(feature = "lz4")]
    Compression::Lz4,
    #[cfg(feature = "zstd")]
    Compression::Zstd,
];

/// A record that owns what it holds.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    at: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Headers,
}

impl Row {
    fn new(at: i64, key: &str, value: &str) -> Self {
        let (key, value) = (Some(key.into()), Some(value.into()));
        Self { at, key, value, headers: Headers::NONE }
    }

    fn push_to(&self, writer: &mut BatchWriter) {
        let at = Timestamp::from_millis(self.at);
        writer.push(at, self.key.as_deref(), self.value.as_deref(), &self.headers);
    }
}

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(COMPRESSIONS)
}

fn producer() -> impl Strategy<Value = Producer> {
    let own = (0..i64::MAX, 0..i16::MAX, 0..1_000_000, any::<bool>()).prop_map(
        |(id, epoch, sequence, transactional)| Producer { id, epoch, sequence, transactional },
    );
    prop_oneof![Just(Producer::NONE), own]
}

fn bytes(longest: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    let short = prop::collection::vec(any::<u8>(), 0..20);
    let long = (any::<u8>(), 0..longest).prop_map(|(byte, length)| vec![byte; length]);
    prop::option::weighted(0.9, prop_oneof![4 => short, 1 => long])
}

/// Headers, mostly none. Names do not repeat, because `kafka-protocol` keeps the last only.
fn headers() -> impl Strategy<Value = Headers> {
    let some = prop::collection::btree_map(".{0,8}", bytes(200), 1..5).prop_map(|headers| {
        let each = headers.into_iter();
        let each = each.map(|(key, value)| Header { key, value: value.map(Bytes::from) });
        Headers::from(each.collect::<Vec<_>>())
    });
    prop_oneof![3 => Just(Headers::NONE), 1 => some]
}

/// Up to 80 rows whose times are in `times`.
fn rows(times: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Row>> {
    let row = (times, bytes(100), bytes(5_000), headers())
        .prop_map(|(at, key, value, headers)| Row { at, key, value, headers });
    prop::collection::vec(row, 1..80)
}

/// Times whose differences fit into 63 bits.
fn moderate_times() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 1_357_016_400_000..1_357_016_500_000_i64,
        1 => 0..i64::MAX / 2,
        1 => -1000..1000_i64,
    ]
}

fn write(rows: &[Row], compression: Compression, producer: Producer) -> Bytes {
    let mut writer = BatchWriter::new(compression).with_producer(producer);
    for row in rows {
        row.push_to(&mut writer);
    }
    writer.finish().expect("the compression is built in")
}

/// Everything in `bytes`, up to the first error.
fn read(bytes: Bytes) -> Result<Vec<(Offset, Row)>> {
    let mut rows = Vec::new();
    for batch in batches(bytes) {
        for record in &batch?.records()? {
            let record = record?;
            let row = Row {
                at: record.at.as_millis(),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record.headers.to_headers()?,
            };
            rows.push((record.offset, row));
        }
    }
    Ok(rows)
}
