//! One batch becomes records with their types.

use crate::{Received, Topic};
use std::ops::RangeBounds;
use suiro_core::batch::{Batch, RecordView};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// What a batch held.
pub(super) struct Decoded<K, V> {
    pub(super) records: Vec<Received<K, V>>,
    /// The offset behind the batch, or that of the record that cannot be read.
    pub(super) next: Offset,
    /// Why that record cannot be read.
    pub(super) failed: Option<Error>,
}

/// Decodes the records at the offsets `wanted`, up to the first that cannot be read.
pub(super) fn decode<K: 'static, V: 'static>(
    topic: &Topic<K, V>,
    from: &TopicPartition,
    batch: &Batch,
    wanted: impl RangeBounds<Offset>,
) -> Result<Decoded<K, V>> {
    let encoded = batch.records()?;
    let next = batch.header().next_offset();
    let mut decoded = Decoded { records: Vec::new(), next, failed: None };
    for record in encoded.iter() {
        let record = record?;
        if !wanted.contains(&record.offset) {
            continue;
        }
        match receive(topic, from.partition, &record) {
            Ok(received) => decoded.records.push(received),
            Err(cause) => {
                let error = Error::invalid("cannot read record")
                    .with("topic", &from.topic)
                    .with("partition", from.partition)
                    .with("offset", record.offset)
                    .caused_by(cause);
                (decoded.next, decoded.failed) = (record.offset, Some(error));
                break;
            }
        }
    }
    Ok(decoded)
}

fn receive<K: 'static, V: 'static>(
    topic: &Topic<K, V>,
    partition: u32,
    record: &RecordView<'_>,
) -> Result<Received<K, V>> {
    let key = match record.key {
        Some(key) => topic.keys.decode(key)?,
        None => topic.keys.decode_null().ok_or_else(|| Error::invalid("record has no key"))?,
    };
    let value = match record.value {
        Some(value) => Some(topic.values.decode(value)?),
        None => topic.values.decode_null(),
    };
    let headers = record.headers.to_headers()?;
    Ok(Received { key, value, at: record.at, headers, partition, offset: record.offset })
}
