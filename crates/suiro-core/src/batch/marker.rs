//! How a transaction ended: control batches.

use super::{Batch, BatchWriter, Compression, Producer};
use crate::{Error, Headers, Result, Timestamp};

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    /// None of it happened.
    Abort,
    /// All of it happened.
    Commit,
}

/// The version of the key and of the value of a marker.
const VERSION: i16 = 0;

/// Appends to `out` the control batch that ends a transaction of `producer`. It is always
/// transactional and has no sequence.
///
/// ```
/// use suiro_core::Timestamp;
/// use suiro_core::batch::{Marker, Producer, batches, write_marker};
///
/// let producer = Producer { id: 7, epoch: 1, sequence: -1, transactional: true };
/// let mut log = Vec::new();
/// write_marker(&mut log, producer, Timestamp::from_millis(9), Marker::Commit, 0);
///
/// let batch = batches(log.into()).next().expect("a marker was written")?;
/// assert!(batch.header().control);
/// assert_eq!(batch.marker()?, Some(Marker::Commit));
/// # Ok::<(), suiro_core::Error>(())
/// ```
pub fn write_marker(
    out: &mut Vec<u8>,
    producer: Producer,
    at: Timestamp,
    marker: Marker,
    coordinator_epoch: i32,
) {
    let mut key = [0; 4];
    key[..2].copy_from_slice(&VERSION.to_be_bytes());
    key[3] = match marker {
        Marker::Abort => 0,
        Marker::Commit => 1,
    };
    let mut value = [0; 6];
    value[..2].copy_from_slice(&VERSION.to_be_bytes());
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());

    let producer = Producer { sequence: -1, transactional: true, ..producer };
    let mut writer = BatchWriter::new(Compression::None).with_producer(producer).control();
    writer.push(at, Some(&key), Some(&value), &Headers::NONE);
    writer.finish_into(out).expect("a marker is small and not compressed");
}

/// The marker in `batch`; `None` if it is no control batch or one of another type.
pub(super) fn read_marker(batch: &Batch) -> Result<Option<Marker>> {
    if !batch.header().control {
        return Ok(None);
    }
    let records = batch.records()?;
    let Some(record) = records.iter().next() else { return Ok(None) };
    let record = record?;
    match record.key {
        // Later versions may only add to the end of the key.
        Some(&[version, _, high, low, ..]) if version < 0x80 => Ok(match [high, low] {
            [0, 0] => Some(Marker::Abort),
            [0, 1] => Some(Marker::Commit),
            _ => None,
        }),
        _ => Err(Error::corrupt("marker cannot be read").with("offset", record.offset)),
    }
}
