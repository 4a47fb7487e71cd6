//! Sources: where rows come from, and how bytes become rows.

use crate::letters::Refused;
use crate::rows::RowQueue;
use suiro_core::batch::Records;
use suiro_core::{Error, Offset, Result, TopicPartition};

/// Turns records into rows.
pub trait Decode: Send + Sync {
    /// Decodes the records whose offset is `from` or larger. What the policy of the source
    /// puts aside is listed; a record that ends the app ends the batch before it.
    fn decode(
        &self,
        records: &Records,
        from: Offset,
        origin: &TopicPartition,
    ) -> Result<Decoded>;
}

/// Rows out of one record batch.
pub struct Decoded {
    /// The rows, in order.
    pub rows: Box<dyn RowQueue>,
    /// The offset of each row.
    pub offsets: Vec<Offset>,
    /// The records that the policy skipped, in order.
    pub refused: Vec<Refused>,
    /// The record behind the last row cannot be read, and the app is to stop there.
    pub poison: Option<Error>,
}

/// Makes rows out of nothing, for benches and tests. The same offset gives the same row.
pub trait Generate: Send {
    /// The next rows, `max` at the most, from number `from` on; `None` at the end.
    fn next(&mut self, from: Offset, max: usize) -> Option<Box<dyn RowQueue>>;
}
