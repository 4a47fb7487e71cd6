//! What a snapshot needs of a log.

use suiro_core::broker::{Fetched, Seek};
use suiro_core::{Offset, Result, TopicPartition};

/// A log that can be waited for: the blocking face of a
/// [`Session`](suiro_core::broker::Session).
///
/// ```
/// use suiro_core::broker::Seek;
/// use suiro_core::{Offset, Result, TopicPartition};
/// use suiro_store::snapshot::Changelog;
///
/// fn length(log: &mut dyn Changelog, partition: &TopicPartition) -> Result<Offset> {
///     Ok(log.offset(partition, Seek::Latest)? - log.offset(partition, Seek::Earliest)?)
/// }
/// ```
pub trait Changelog {
    /// The offset at `seek`.
    fn offset(&mut self, partition: &TopicPartition, seek: Seek) -> Result<Offset>;

    /// Committed batches from `from` on: about as many bytes, and at least one batch if there
    /// is one.
    fn read(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Fetched>;
}
