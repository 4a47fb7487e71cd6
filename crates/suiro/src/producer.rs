//! Writes records to a topic from outside of any program.

use crate::transaction::{Transaction, wait_for};
use crate::{Record, Topic};
use suiro_core::broker::{Broker, Cleanup, Event, TopicSpec};
use suiro_core::{Result, Timestamp};

/// Writes records to one topic, in batches.
///
/// A record is durable when the [`flush`](Producer::flush) after it has returned; batches also
/// go out by themselves when a megabyte waits. Each batch is visible as a whole.
///
/// ```
/// use suiro::{Log, Producer, Reader, Topic};
///
/// const WORDS: Topic<u64, String> = Topic::json("words");
///
/// let log = Log::in_memory();
/// let mut words = Producer::open(&log, &WORDS)?;
/// words.create(4)?;
/// words.send(7, "tea".into(), 1_000)?;
/// words.flush()?;
/// assert_eq!(Reader::open(&log, &WORDS)?.read_to_end()?.len(), 1);
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct Producer<K: 'static, V: 'static> {
    transaction: Transaction,
    topic: Topic<K, V>,
}

const FLUSH_BYTES: usize = 1 << 20;

impl<K: 'static, V: 'static> Producer<K, V> {
    /// Opens a producer. The topic need not exist yet.
    pub fn open(broker: &dyn Broker, topic: &Topic<K, V>) -> Result<Self> {
        Ok(Self { transaction: Transaction::open(broker)?, topic: topic.clone() })
    }

    /// Creates the topic, to keep all records; nothing happens if it exists with as many
    /// partitions.
    pub fn create(&mut self, partitions: u32) -> Result<()> {
        self.create_with(partitions, Cleanup::Keep)
    }

    /// Creates the topic, and says which records may be deleted. A topic that is read as a
    /// table is best compacted: then it is its own changelog.
    pub fn create_with(&mut self, partitions: u32, cleanup: Cleanup) -> Result<()> {
        let name = self.topic.name().into();
        let session = self.transaction.session();
        let asked = session.create(vec![TopicSpec { name, partitions, cleanup }]);
        wait_for(session, |event| match event {
            Event::Created(ticket, answer) if ticket == asked => Some(answer),
            _ => None,
        })
    }

    /// Adds a record.
    pub fn send(&mut self, key: K, value: V, at: impl Into<Timestamp>) -> Result<()> {
        self.transaction.write(&self.topic, &key, Some(&value), at)?;
        self.flush_if_full()
    }

    /// Adds a record with its headers.
    pub fn send_record(&mut self, record: &Record<K, V>) -> Result<()> {
        let Record { key, value, at, headers } = record;
        self.transaction.write_with(&self.topic, key, Some(value), *at, headers)?;
        self.flush_if_full()
    }

    /// Adds a removal.
    pub fn remove(&mut self, key: K, at: impl Into<Timestamp>) -> Result<()> {
        self.transaction.write(&self.topic, &key, None, at)?;
        self.flush_if_full()
    }

    /// Waits until all that was added is durable.
    pub fn flush(&mut self) -> Result<()> {
        if self.transaction.bytes() == 0 {
            return Ok(());
        }
        self.transaction.commit()
    }

    fn flush_if_full(&mut self) -> Result<()> {
        if self.transaction.bytes() < FLUSH_BYTES { Ok(()) } else { self.flush() }
    }
}
