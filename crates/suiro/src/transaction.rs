//! Records for several topics, all or none.

use crate::Topic;
use crate::format::Encoded;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::batch::{BatchWriter, Compression};
use suiro_core::broker::{Broker, Event, Guarantee, Outcome, Session};
use suiro_core::partition::partition_of;
use suiro_core::{Error, Headers, Result, Timestamp, TopicPartition};

/// Records for any topics that become visible and durable together, or not at all.
///
/// Until it is committed, a transaction is held in memory, encoded: what it holds must fit
/// there. The embedded log takes it over without a copy. What is larger goes in several
/// transactions, or through a [`Producer`](crate::Producer), which flushes by itself.
///
/// ```
/// use suiro::{Log, Producer, Transaction, Topic};
///
/// const DEBITS: Topic<String, u64> = Topic::json("debits");
/// const CREDITS: Topic<String, u64> = Topic::json("credits");
///
/// let log = Log::in_memory();
/// Producer::open(&log, &DEBITS)?.create(2)?;
/// Producer::open(&log, &CREDITS)?.create(2)?;
/// let mut transfer = Transaction::open(&log)?;
/// transfer.write(&DEBITS, &"ann".into(), Some(&5), 0)?;
/// transfer.write(&CREDITS, &"bob".into(), Some(&5), 0)?;
/// transfer.commit()?;
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct Transaction {
    session: Box<dyn Session>,
    topics: Vec<Written>,
    /// The topic of the last record, which is mostly that of the next one.
    last: usize,
    buffers: (Vec<u8>, Vec<u8>),
    bytes: usize,
}

/// What was written to one topic.
struct Written {
    name: Arc<str>,
    partitions: Vec<Partition>,
    /// The partition of the next record without a key.
    fallback: usize,
}

struct Partition {
    to: TopicPartition,
    writer: BatchWriter,
    /// The batches that are finished.
    full: Vec<Bytes>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

fn each_partition(topics: &mut [Written]) -> impl Iterator<Item = &mut Partition> {
    topics.iter_mut().flat_map(|topic| &mut topic.partitions)
}

/// A batch is closed when it is larger than this.
const BATCH_BYTES: usize = 256 * 1024;

/// Waits for the event that `pick` takes; others are dropped.
pub(crate) fn wait_for<T>(
    session: &mut dyn Session,
    mut pick: impl FnMut(Event) -> Option<T>,
) -> T {
    let mut events = Vec::new();
    loop {
        session.poll(&mut events);
        if let Some(found) = events.drain(..).find_map(&mut pick) {
            return found;
        }
        session.wait(Duration::from_millis(500));
    }
}

/// Asks how many partitions a topic has.
pub(crate) fn partitions(session: &mut dyn Session, topic: &str) -> Result<Option<u32>> {
    let asked = session.describe(&[topic.into()]);
    let answer = wait_for(session, |event| match event {
        Event::Topics(ticket, answer) if ticket == asked => Some(answer),
        _ => None,
    })?;
    Ok(answer.first().map(|spec| spec.partitions))
}

impl Transaction {
    /// Opens one on `broker`. It can be used again after each commit.
    ///
    /// ```
    /// use suiro::{Log, Producer, Topic, Transaction};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// Producer::open(&log, &WORDS)?.create(1)?;
    /// let mut batch = Transaction::open(&log)?;
    /// for word in ["tea", "milk"] {
    ///     batch.write(&WORDS, &1, Some(&word.into()), 0)?;
    ///     batch.commit()?;
    /// }
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn open(broker: &dyn Broker) -> Result<Self> {
        Ok(Self {
            session: broker.anonymous("transaction")?,
            topics: Vec::new(),
            last: 0,
            buffers: Default::default(),
            bytes: 0,
        })
    }

    /// Says what commits are to promise.
    pub(crate) fn guarantee(&mut self, guarantee: Guarantee) {
        self.session.guarantee(guarantee);
    }

    /// Adds a record; no value is a removal. `at` is the event time in milliseconds since the
    /// epoch. The topic must exist.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic, Transaction};
    ///
    /// const STOCK: Topic<String, u64> = Topic::json("stock");
    /// const SOLD: Topic<String, u64> = Topic::json("sold");
    ///
    /// let log = Log::in_memory();
    /// Producer::open(&log, &STOCK)?.create(1)?;
    /// Producer::open(&log, &SOLD)?.create(1)?;
    /// let mut sale = Transaction::open(&log)?;
    /// sale.write(&STOCK, &"tea".into(), None, 0)?;
    /// sale.write(&SOLD, &"tea".into(), Some(&1), 0)?;
    /// assert!(Reader::open(&log, &SOLD)?.read_to_end()?.is_empty());
    /// sale.commit()?;
    /// assert_eq!(Reader::open(&log, &STOCK)?.read_to_end()?[0].value, None);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn write<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
        key: &K,
        value: Option<&V>,
        at: impl Into<Timestamp>,
    ) -> Result<()> {
        self.write_with(topic, key, value, at.into(), &Headers::NONE)
    }

    /// Adds a record with headers; no value is a removal.
    ///
    /// ```
    /// use suiro::{Headers, Log, Producer, Reader, Topic, Transaction};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// Producer::open(&log, &WORDS)?.create(1)?;
    /// let headers: Headers = [("language", "en")].into_iter().collect();
    /// let mut batch = Transaction::open(&log)?;
    /// batch.write_with(&WORDS, &1, Some(&"tea".into()), 0.into(), &headers)?;
    /// batch.commit()?;
    /// assert_eq!(Reader::open(&log, &WORDS)?.read_to_end()?[0].headers, headers);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn write_with<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
        key: &K,
        value: Option<&V>,
        at: Timestamp,
        headers: &Headers,
    ) -> Result<()> {
        self.find(topic.name())?;
        let (key_bytes, value_bytes) = &mut self.buffers;
        key_bytes.clear();
        value_bytes.clear();
        let key = match topic.keys.encode(key, key_bytes)? {
            Encoded::Bytes => Some(&key_bytes[..]),
            Encoded::Null => None,
        };
        let value = match value {
            Some(value) => match topic.values.encode(value, value_bytes)? {
                Encoded::Bytes => Some(&value_bytes[..]),
                Encoded::Null => None,
            },
            None => None,
        };
        let written = &mut self.topics[self.last];
        let count = written.partitions.len();
        let partition = match key {
            Some(key) => partition_of(key, count as u32) as usize,
            None => {
                written.fallback = (written.fallback + 1) % count;
                written.fallback
            }
        };
        let Partition { writer, full, .. } = &mut written.partitions[partition];
        writer.push(at, key, value, headers);
        self.bytes += key_bytes.len() + value_bytes.len() + 16;
        if writer.size() >= BATCH_BYTES {
            full.push(writer.finish()?);
        }
        Ok(())
    }

    /// Makes the topic called `name` the last one.
    fn find(&mut self, name: &str) -> Result<()> {
        if self.topics.get(self.last).is_some_and(|topic| &*topic.name == name) {
            return Ok(());
        }
        if let Some(place) = self.topics.iter().position(|topic| &*topic.name == name) {
            self.last = place;
            return Ok(());
        }
        let count = partitions(&mut *self.session, name)?.ok_or_else(|| {
            Error::invalid("topic does not exist; create it first").with("topic", name)
        })?;
        let name: Arc<str> = name.into();
        let partition = |partition| Partition {
            to: TopicPartition { topic: Arc::clone(&name), partition },
            writer: BatchWriter::new(Compression::None),
            full: Vec::new(),
        };
        let partitions = (0..count).map(partition).collect();
        self.last = self.topics.len();
        self.topics.push(Written { name, partitions, fallback: 0 });
        Ok(())
    }

    /// About how many bytes wait for the commit.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Commits what was added, and waits until it is durable, as the durability of the log
    /// says. After an error, what was added is kept only if it may be tried again
    /// ([`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable)); the log then holds none of
    /// it, unless the message says that the outcome is unknown.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic, Transaction};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// Producer::open(&log, &WORDS)?.create(4)?;
    /// let mut batch = Transaction::open(&log)?;
    /// for key in 0..100 {
    ///     batch.write(&WORDS, &key, Some(&"tea".into()), 0)?;
    /// }
    /// batch.commit()?;
    /// assert_eq!(Reader::open(&log, &WORDS)?.read_to_end()?.len(), 100);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn commit(&mut self) -> Result<()> {
        for Partition { writer, full, .. } in each_partition(&mut self.topics) {
            if !writer.is_empty() {
                full.push(writer.finish()?);
            }
        }
        let commit = self.session.begin();
        for Partition { to, full, .. } in each_partition(&mut self.topics) {
            for batch in full {
                self.session.append(commit, to, batch.clone());
            }
        }
        self.session.commit(commit, None, Vec::new());
        let outcome = wait_for(&mut *self.session, |event| match event {
            Event::Resolved(of, outcome) if of == commit => Some(outcome),
            _ => None,
        });
        match outcome {
            Outcome::Committed { .. } => {
                each_partition(&mut self.topics).for_each(|partition| partition.full.clear());
                self.bytes = 0;
                Ok(())
            }
            Outcome::Aborted(error) | Outcome::Fenced(error) => Err(error),
            Outcome::Unknown(error) => {
                Err(Error::unavailable("outcome of the commit is unknown").caused_by(error))
            }
        }
    }

    pub(crate) fn session(&mut self) -> &mut dyn Session {
        &mut *self.session
    }
}
