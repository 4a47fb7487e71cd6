//! Batches from rows, and rows from batches.

use crate::batch::{BatchWriter, Compression, batches};
use crate::{Headers, Offset, Timestamp};
use bytes::Bytes;

/// A record as a reader gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub offset: Offset,
    pub at: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Headers,
}

impl Row {
    /// The value as text, for short assertions.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// One batch of records without keys, all at time 0, with these values.
pub(super) fn batch(values: &[&str]) -> Bytes {
    let rows: Vec<_> = values.iter().map(|value| (0, *value)).collect();
    timed_batch(&rows)
}

/// One batch of records without keys, with these times and values.
pub(super) fn timed_batch(rows: &[(i64, &str)]) -> Bytes {
    let rows: Vec<_> = rows
        .iter()
        .map(|(at, value)| Row {
            offset: 0,
            at: Timestamp::from_millis(*at),
            key: None,
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            headers: Headers::NONE,
        })
        .collect();
    full_batch(&rows)
}

/// One batch of these rows; their offsets are ignored.
pub(super) fn full_batch(rows: &[Row]) -> Bytes {
    let mut writer = BatchWriter::new(Compression::None);
    for Row { at, key, value, headers, .. } in rows {
        writer.push(*at, key.as_deref(), value.as_deref(), headers);
    }
    writer.finish().expect("a batch of small rows is written")
}

/// All rows of each batch in `bytes`.
pub(super) fn rows_of_batches(check: &str, bytes: Bytes) -> Vec<Vec<Row>> {
    batches(bytes)
        .map(|batch| {
            let batch = batch.unwrap_or_else(|error| panic!("{check}: batch: {error}"));
            let records =
                batch.records().unwrap_or_else(|error| panic!("{check}: records: {error}"));
            records
                .iter()
                .map(|record| {
                    let record = record.unwrap_or_else(|e| panic!("{check}: record: {e}"));
                    let headers = record.headers.to_headers();
                    Row {
                        offset: record.offset,
                        at: record.at,
                        key: record.key.map(Bytes::copy_from_slice),
                        value: record.value.map(Bytes::copy_from_slice),
                        headers: headers.unwrap_or_else(|e| panic!("{check}: headers: {e}")),
                    }
                })
                .collect()
        })
        .collect()
}

/// The values of rows as text.
pub(super) fn texts(rows: &[Row]) -> Vec<String> {
    rows.iter().map(Row::text).collect()
}
