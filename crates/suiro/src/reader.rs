//! Reads a topic from outside of any program: committed records, in order.

use crate::transaction::{open_session, partitions, wait_for};
use crate::{Start, Topic};
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::{Broker, Event, Fetch, Fetched, Session};
use suiro_core::{Error, Headers, Offset, Result, Timestamp, TopicPartition};

/// Reads the committed records of one topic.
///
/// ```
/// use suiro::{Log, Producer, Reader, Start, Topic};
///
/// const WORDS: Topic<u64, String> = Topic::json("words");
///
/// let log = Log::in_memory();
/// let mut words = Producer::open(&log, &WORDS)?;
/// words.create(1)?;
/// for (word, at) in [("tea", 10), ("milk", 20)] {
///     words.send(1, word.into(), at)?;
/// }
/// words.flush()?;
///
/// let mut reader = Reader::open(&log, &WORDS)?;
/// reader.seek(Start::Time(15.into()))?;
/// assert_eq!(reader.read_to_end()?[0].value, Some("milk".to_owned()));
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct Reader<K: 'static, V: 'static> {
    session: Box<dyn Session>,
    topic: Topic<K, V>,
    cursors: Vec<(TopicPartition, Offset)>,
}

impl<K: 'static, V: 'static> std::fmt::Debug for Reader<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("topic", &self.topic)
            .field("cursors", &self.cursors)
            .finish_non_exhaustive()
    }
}

/// A record and where it stands.
///
/// ```
/// use suiro::{Log, Producer, Reader, Topic};
///
/// const WORDS: Topic<u64, String> = Topic::json("words");
///
/// let log = Log::in_memory();
/// let mut words = Producer::open(&log, &WORDS)?;
/// words.create(1)?;
/// for (word, at) in [("tea", 10), ("milk", 20)] {
///     words.send(1, word.into(), at)?;
/// }
/// words.flush()?;
///
/// let words = Reader::open(&log, &WORDS)?.read_to_end()?;
/// assert_eq!((words[1].partition, words[1].offset), (0, 1));
/// assert_eq!(words[1].value.as_deref(), Some("milk"));
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Received<K, V> {
    /// The key.
    pub key: K,
    /// The value; `None` is a removal.
    pub value: Option<V>,
    /// The event time, in milliseconds since the epoch (rule T1).
    pub at: Timestamp,
    /// The headers.
    pub headers: Headers,
    /// The partition.
    pub partition: u32,
    /// The offset in the partition. Offsets grow, with gaps where records were compacted.
    pub offset: Offset,
}

/// About how many bytes a fetch asks for.
const FETCH_BYTES: usize = 1 << 20;

impl<K: 'static, V: 'static> Reader<K, V> {
    /// Opens a reader at the earliest record. The topic must exist, else the error is
    /// [`Invalid`](crate::ErrorKind::Invalid).
    ///
    /// ```
    /// use suiro::{ErrorKind, Log, Reader, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let error = Reader::open(&log, &WORDS).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Invalid);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn open(broker: &dyn Broker, topic: &Topic<K, V>) -> Result<Self> {
        let mut session = open_session(broker, "reader")?;
        let count = partitions(&mut *session, topic.name())?;
        let count = count.ok_or_else(|| {
            Error::invalid("topic does not exist").with("topic", topic.name())
        })?;
        let cursors = (0..count).map(|p| (TopicPartition::new(topic.name(), p), 0)).collect();
        let mut reader = Self { session, topic: topic.clone(), cursors };
        reader.seek(Start::Earliest)?;
        Ok(reader)
    }

    /// Goes to a place in all partitions.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Start, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// for (word, at) in [("tea", 10), ("milk", 20)] {
    ///     words.send(1, word.into(), at)?;
    /// }
    /// words.flush()?;
    ///
    /// let mut reader = Reader::open(&log, &WORDS)?;
    /// reader.seek(Start::Latest)?;
    /// assert!(reader.read_to_end()?.is_empty());
    /// reader.seek(Start::Time(20.into()))?;
    /// assert_eq!(reader.read_to_end()?.len(), 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn seek(&mut self, start: Start) -> Result<()> {
        for (partition, cursor) in &mut self.cursors {
            let asked = self.session.offset(partition, start.seek());
            *cursor = wait_for(&mut *self.session, |event| match event {
                Event::Offset(ticket, answer) if ticket == asked => Some(answer),
                _ => None,
            })?;
        }
        Ok(())
    }

    /// Goes to an offset in one partition. Nothing happens if the topic has no such partition.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// for (word, at) in [("tea", 10), ("milk", 20)] {
    ///     words.send(1, word.into(), at)?;
    /// }
    /// words.flush()?;
    ///
    /// let mut reader = Reader::open(&log, &WORDS)?;
    /// reader.seek_to(0, 1);
    /// assert_eq!(reader.read_to_end()?[0].value.as_deref(), Some("milk"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn seek_to(&mut self, partition: u32, offset: Offset) {
        if let Some((_, cursor)) = self.cursors.get_mut(partition as usize) {
            *cursor = offset;
        }
    }

    /// Reads what is there now, partition by partition, in order of offsets. Only committed
    /// records are seen. A record that the formats of the topic cannot read is an error that
    /// names topic, partition and offset.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// for (word, at) in [("tea", 10), ("milk", 20)] {
    ///     words.send(1, word.into(), at)?;
    /// }
    /// words.flush()?;
    ///
    /// let mut reader = Reader::open(&log, &WORDS)?;
    /// assert_eq!(reader.read_to_end()?.len(), 2);
    /// assert!(reader.read_to_end()?.is_empty());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn read_to_end(&mut self) -> Result<Vec<Received<K, V>>> {
        let mut all = Vec::new();
        for index in 0..self.cursors.len() {
            loop {
                let end = self.read_some(index, &mut all)?;
                if self.cursors[index].1 >= end {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Reads what has come, and waits for something at most `patience` long if nothing has: an
    /// empty answer is no end. Records come partition by partition, in order of offsets.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// for (word, at) in [("tea", 10), ("milk", 20)] {
    ///     words.send(1, word.into(), at)?;
    /// }
    /// words.flush()?;
    ///
    /// let mut reader = Reader::open(&log, &WORDS)?;
    /// let patience = std::time::Duration::from_millis(10);
    /// let mut seen = Vec::new();
    /// while seen.len() < 2 {
    ///     seen.extend(reader.follow(patience)?);
    /// }
    /// assert_eq!(seen[0].value.as_deref(), Some("tea"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn follow(&mut self, patience: Duration) -> Result<Vec<Received<K, V>>> {
        let read = self.read_round()?;
        if !read.is_empty() {
            return Ok(read);
        }
        self.session.wait(patience);
        self.read_round()
    }

    fn read_round(&mut self) -> Result<Vec<Received<K, V>>> {
        let mut all = Vec::new();
        for index in 0..self.cursors.len() {
            self.read_some(index, &mut all)?;
        }
        Ok(all)
    }

    /// Reads one fetch of a partition, and gives the end of the partition.
    fn read_some(&mut self, index: usize, all: &mut Vec<Received<K, V>>) -> Result<Offset> {
        let (partition, offset) = self.cursors[index].clone();
        let max_bytes = FETCH_BYTES;
        let asked = self.session.fetch(Fetch { partition, offset, max_bytes });
        let fetched = wait_for(&mut *self.session, |event| match event {
            Event::Fetched(ticket, answer) if ticket == asked => Some(answer),
            _ => None,
        })?;
        let (next, end) = (fetched.next.max(offset), fetched.end);
        self.decode(fetched, offset, all)?;
        self.cursors[index].1 = next;
        Ok(end)
    }

    fn decode(
        &self,
        fetched: Fetched,
        from: Offset,
        all: &mut Vec<Received<K, V>>,
    ) -> Result<()> {
        let Fetched { partition, batches: bytes, .. } = fetched;
        for batch in batches(bytes) {
            let records = batch?.records()?;
            for record in records.iter() {
                let record = record?;
                if record.offset < from {
                    continue;
                }
                let wrong = |cause: Error| {
                    Error::invalid("cannot read record")
                        .with("topic", &partition.topic)
                        .with("partition", partition.partition)
                        .with("offset", record.offset)
                        .caused_by(cause)
                };
                let key = match record.key {
                    Some(key) => self.topic.keys.decode(key).map_err(wrong)?,
                    None => self
                        .topic
                        .keys
                        .decode_null()
                        .ok_or_else(|| wrong(Error::invalid("record has no key")))?,
                };
                let value = match record.value {
                    Some(value) => Some(self.topic.values.decode(value).map_err(wrong)?),
                    None => self.topic.values.decode_null(),
                };
                all.push(Received {
                    key,
                    value,
                    at: record.at,
                    headers: record.headers.to_headers()?,
                    partition: partition.partition,
                    offset: record.offset,
                });
            }
        }
        Ok(())
    }
}
