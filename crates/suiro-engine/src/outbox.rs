//! Where sinks write: encoded batches per topic and partition, until the commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use suiro_core::batch::{BatchWriter, Compression};
use suiro_core::partition::partition_of;
use suiro_core::{Headers, Result, Timestamp, TopicPartition};

/// The outputs of one task since the last commit.
#[derive(Default)]
pub struct Outbox {
    topics: Vec<Vec<Output>>,
    names: BTreeMap<Arc<str>, usize>,
    /// Topics by their names, which user code gives.
    named: Vec<Named>,
}

/// The number of a topic that was named when the program ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicName(usize);

/// A topic that was named.
struct Named {
    name: Arc<str>,
    /// Its number among all topics, once it is known how many partitions it has.
    topic: Option<usize>,
    /// Until then what is written to it.
    waiting: Vec<Waiting>,
}

/// A record whose topic is not known yet, with what goes in the place of a key.
struct Waiting {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    at: Timestamp,
    headers: Headers,
    fallback: u32,
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
        let TopicName(number) = self.named(topic);
        self.named[number].topic = Some(self.topics.len() - 1);
    }

    /// The number of a topic by its name. It need not be one of the plan.
    pub fn named(&mut self, topic: &str) -> TopicName {
        if let Some(number) = self.names.get(topic) {
            return TopicName(*number);
        }
        let (name, number): (Arc<str>, _) = (topic.into(), self.named.len());
        self.names.insert(Arc::clone(&name), number);
        self.named.push(Named { name, topic: None, waiting: Vec::new() });
        TopicName(number)
    }

    /// The topics that are written to and of which nothing is known.
    pub(crate) fn unknown(&self) -> Vec<Arc<str>> {
        let unknown = self.named.iter().filter(|named| !named.waiting.is_empty());
        unknown.map(|named| Arc::clone(&named.name)).collect()
    }

    /// A topic that was unknown has so many partitions: what waited for it is written.
    pub(crate) fn open(&mut self, topic: &Arc<str>, partitions: u32) -> Result<()> {
        self.add_topic(topic, partitions);
        let TopicName(number) = self.named(topic);
        for waiting in std::mem::take(&mut self.named[number].waiting) {
            let Waiting { key, value, at, headers, fallback } = &waiting;
            let (key, value, at) = (key.as_deref(), value.as_deref(), *at);
            let record = Outgoing { key, value, at, headers };
            self.write_named(TopicName(number), *fallback, record)?;
        }
        Ok(())
    }

    /// Writes `record` to a topic by its name. What is written to one that nobody knows waits
    /// for the commit, which finds it or makes it.
    pub fn write_named(
        &mut self,
        topic: TopicName,
        fallback: u32,
        record: Outgoing<'_>,
    ) -> Result<()> {
        let named = &mut self.named[topic.0];
        if let Some(topic) = named.topic {
            return self.write(topic, fallback, record);
        }
        named.waiting.push(Waiting {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            at: record.at,
            headers: record.headers.clone(),
            fallback,
        });
        Ok(())
    }

    /// How many partitions topic number `topic` of the plan has.
    pub fn partitions(&self, topic: usize) -> u32 {
        self.topics[topic].len() as u32
    }

    /// Writes `record` to topic number `topic` of the plan, in the partition of its key; a record without
    /// a key goes to `fallback` modulo the number of partitions.
    pub fn write(&mut self, topic: usize, fallback: u32, record: Outgoing<'_>) -> Result<()> {
        let count = self.partitions(topic);
        let partition = record.key.map_or(fallback % count, |key| partition_of(key, count));
        self.write_in(topic, partition, record)
    }

    /// Writes `record` to a partition of topic number `topic` of the plan. It must be there.
    pub fn write_in(
        &mut self,
        topic: usize,
        partition: u32,
        record: Outgoing<'_>,
    ) -> Result<()> {
        let output = &mut self.topics[topic][partition as usize];
        output.writer.push(record.at, record.key, record.value, record.headers);
        if output.writer.size() >= Self::BATCH_BYTES {
            output.writer.finish_into(&mut output.full)?;
        }
        Ok(())
    }

    /// How many bytes wait for the commit.
    pub(crate) fn bytes(&self) -> usize {
        let outputs = self.topics.iter().flatten();
        outputs.map(|output| output.full.len() + output.writer.size()).sum()
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
        self.named.iter_mut().for_each(|named| named.waiting.clear());
        self.drain(|_, _| {})
    }
}
