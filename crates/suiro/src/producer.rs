//! Writes records to a topic from outside of any program.

use crate::transaction::{Transaction, wait_for};
use crate::{Record, Topic};
use suiro_core::broker::{Broker, Cleanup, Event, Guarantee, TopicSpec};
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

impl<K: 'static, V: 'static> std::fmt::Debug for Producer<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

const FLUSH_BYTES: usize = 1 << 20;

impl<K: 'static, V: 'static> Producer<K, V> {
    /// Opens a producer. The topic need not exist yet; it must when the first record comes.
    ///
    /// ```
    /// use suiro::{Log, Producer, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// let error = words.send(1, "tea".into(), 0).unwrap_err();
    /// assert!(error.report().contains("topic does not exist"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn open(broker: &dyn Broker, topic: &Topic<K, V>) -> Result<Self> {
        Ok(Self { transaction: Transaction::open(broker)?, topic: topic.clone() })
    }

    /// What is promised where something fails: exactly once (the default), or at least once. On
    /// Kafka that saves a transaction for each batch: records are visible one partition after
    /// another, and a batch that is flushed again after an error may be there twice.
    ///
    /// ```
    /// use suiro::{Guarantee, Log, Producer, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?.guarantee(Guarantee::AtLeastOnce);
    /// words.create(4)?;
    /// words.send(7, "tea".into(), 1_000)?;
    /// words.flush()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.transaction.guarantee(guarantee);
        self
    }

    /// Creates the topic, to keep all records; nothing happens if it exists with as many
    /// partitions. With another number of partitions it is an error.
    ///
    /// ```
    /// use suiro::{Log, Producer, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(4)?;
    /// words.create(4)?;
    /// assert!(words.create(5).is_err());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn create(&mut self, partitions: u32) -> Result<()> {
        self.create_with(partitions, Cleanup::Keep)
    }

    /// Creates the topic, and says which records may be deleted. A topic that is read as a
    /// table is best compacted: then it is its own changelog.
    ///
    /// ```
    /// use suiro::{Cleanup, Log, Producer, Reader, Topic};
    ///
    /// const PRICES: Topic<String, u64> = Topic::json("prices");
    ///
    /// let log = Log::in_memory();
    /// let mut prices = Producer::open(&log, &PRICES)?;
    /// prices.create_with(1, Cleanup::Compact)?;
    /// prices.send("tea".into(), 350, 0)?;
    /// prices.flush()?;
    /// assert_eq!(Reader::open(&log, &PRICES)?.read_to_end()?.len(), 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn create_with(&mut self, partitions: u32, cleanup: Cleanup) -> Result<()> {
        let name = self.topic.name().into();
        let session = self.transaction.session();
        let asked = session.create(vec![TopicSpec { name, partitions, cleanup }]);
        wait_for(session, |event| match event {
            Event::Created(ticket, answer) if ticket == asked => Some(answer),
            _ => None,
        })
    }

    /// Adds a record. `at` is the event time in milliseconds since the epoch. The partition is
    /// chosen by the key, so that records of one key stay in order.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// words.send(7, "tea".into(), 1_000)?;
    /// words.flush()?;
    /// let word = &Reader::open(&log, &WORDS)?.read_to_end()?[0];
    /// assert_eq!((word.key, word.at.as_millis()), (7, 1_000));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn send(&mut self, key: K, value: V, at: impl Into<Timestamp>) -> Result<()> {
        self.transaction.write(&self.topic, &key, Some(&value), at)?;
        self.flush_if_full()
    }

    /// Adds a record with its headers.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Record, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// let mut word = Record::new(7, "tea".to_owned(), 0);
    /// word.headers = [("language", "en")].into_iter().collect();
    /// words.send_record(&word)?;
    /// words.flush()?;
    /// assert_eq!(Reader::open(&log, &WORDS)?.read_to_end()?[0].headers, word.headers);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn send_record(&mut self, record: &Record<K, V>) -> Result<()> {
        let Record { key, value, at, headers } = record;
        self.transaction.write_with(&self.topic, key, Some(value), *at, headers)?;
        self.flush_if_full()
    }

    /// Adds a removal: a null under `key`, which takes the row away where the topic is read as
    /// a table (rule A1).
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// const PRICES: Topic<String, u64> = Topic::json("prices");
    ///
    /// let log = Log::in_memory();
    /// let mut prices = Producer::open(&log, &PRICES)?;
    /// prices.create(1)?;
    /// prices.send("tea".into(), 350, 0)?;
    /// prices.remove("tea".into(), 1)?;
    /// prices.flush()?;
    /// assert_eq!(Reader::open(&log, &PRICES)?.read_to_end()?[1].value, None);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn remove(&mut self, key: K, at: impl Into<Timestamp>) -> Result<()> {
        self.transaction.write(&self.topic, &key, None, at)?;
        self.flush_if_full()
    }

    /// Waits until all that was added is durable, as the durability of the log says. After an
    /// [`Unavailable`](crate::ErrorKind::Unavailable) error it may be called again; what was
    /// added is still there.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// words.send(7, "tea".into(), 0)?;
    /// assert!(Reader::open(&log, &WORDS)?.read_to_end()?.is_empty());
    /// words.flush()?;
    /// assert_eq!(Reader::open(&log, &WORDS)?.read_to_end()?.len(), 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
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
