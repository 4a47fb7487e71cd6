//! Where sinks write: encoded batches per topic and partition, until the commit.

use std::sync::Arc;
use suiro_core::batch::{BatchWriter, Compression};
use suiro_core::partition::partition_of;
use suiro_core::{Headers, Result, Timestamp, TopicPartition};

/// The outputs of one task since the last commit.
#[derive(Default)]
pub struct Outbox {
    topics: Vec<Vec<Output>>,
}

struct Output {
    to: TopicPartition,
    writer: BatchWriter,
    full: Vec<u8>,
}

/// One record to write.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The key; it chooses the partition.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a removal.
    pub value: Option<&'a [u8]>,
    /// The event time.
    pub at: Timestamp,
    /// The headers.
    pub headers: &'a Headers,
}

impl Outbox {
    /// A batch is closed when it is larger than this.
    const BATCH_BYTES: usize = 256 * 1024;

    /// Adds the next topic of the plan, with `partitions` partitions.
    pub(crate) fn add_topic(&mut self, topic: &Arc<str>, partitions: u32) {
        let output = |partition| Output {
            to: TopicPartition { topic: Arc::clone(topic), partition },
            writer: BatchWriter::new(Compression::None),
            full: Vec::new(),
        };
        self.topics.push((0..partitions).map(output).collect());
    }

    /// Writes `record` to topic number `topic` of the plan, in the partition of its key; a record without
    /// a key goes to `fallback` modulo the number of partitions.
    pub fn write(&mut self, topic: usize, fallback: u32, record: Outgoing<'_>) -> Result<()> {
        let partitions = &mut self.topics[topic];
        let count = partitions.len() as u32;
        let partition = record.key.map_or(fallback % count, |key| partition_of(key, count));
        let output = &mut partitions[partition as usize];
        output.writer.push(record.at, record.key, record.value, record.headers);
        if output.writer.size() >= Self::BATCH_BYTES {
            output.writer.finish_into(&mut output.full)?;
        }
        Ok(())
    }

    /// Takes everything, in order of topics and partitions.
    pub(crate) fn drain(
        &mut self,
        mut take: impl FnMut(&TopicPartition, Vec<u8>),
    ) -> Result<()> {
        for output in self.topics.iter_mut().flatten() {
            output.writer.finish_into(&mut output.full)?;
            if !output.full.is_empty() {
                take(&output.to, std::mem::take(&mut output.full));
            }
        }
        Ok(())
    }

    /// Forgets everything that was not taken.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.drain(|_, _| {})
    }
}
