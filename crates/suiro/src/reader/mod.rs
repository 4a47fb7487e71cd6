//! Reads a topic from outside of any program: committed records, in order.

mod decode;
mod to_end;

pub use to_end::ToEnd;

use crate::transaction::{partitions, wait_for};
use crate::{Start, Topic};
use decode::{Decoded, decode};
use std::collections::BTreeMap;
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::{Broker, Event, Fetch, Fetched, Session, Ticket};
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
    /// What was asked for to follow, by partition, and from where.
    asked: BTreeMap<u32, (Ticket, Offset)>,
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
        let mut session = broker.anonymous("reader")?;
        let count = partitions(&mut *session, topic.name())?;
        let count = count.ok_or_else(|| {
            Error::invalid("topic does not exist").with("topic", topic.name())
        })?;
        let cursors = (0..count).map(|p| (TopicPartition::new(topic.name(), p), 0)).collect();
        let asked = BTreeMap::new();
        let mut reader = Self { session, topic: topic.clone(), cursors, asked };
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
        let offsets = self.offsets(start)?;
        for ((_, cursor), offset) in self.cursors.iter_mut().zip(offsets) {
            *cursor = offset;
        }
        Ok(())
    }

    /// Where `start` is in each partition.
    fn offsets(&mut self, start: Start) -> Result<Vec<Offset>> {
        self.asked.clear();
        let session = &mut *self.session;
        let ask = |(partition, _): &(TopicPartition, Offset)| {
            let asked = session.offset(partition, start.seek());
            wait_for(session, |event| match event {
                Event::Offset(ticket, answer) if ticket == asked => Some(answer),
                _ => None,
            })
        };
        self.cursors.iter().map(ask).collect()
    }

    /// Reads one partition only. It is an error if the topic has no such partition.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(2)?;
    /// for key in 0..100 {
    ///     words.send(key, "tea".into(), 0)?;
    /// }
    /// words.flush()?;
    ///
    /// let words = Reader::open(&log, &WORDS)?.only(1)?.read_to_end()?;
    /// assert!(!words.is_empty() && words.len() < 100);
    /// assert!(words.iter().all(|word| word.partition == 1));
    /// assert!(Reader::open(&log, &WORDS)?.only(2).is_err());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn only(mut self, partition: u32) -> Result<Self> {
        let count = self.cursors.len();
        self.cursors.retain(|(cursor, _)| cursor.partition == partition);
        if self.cursors.is_empty() {
            return Err(Error::invalid("topic has no such partition")
                .with("topic", self.topic.name())
                .with("partition", partition)
                .with("partitions", count));
        }
        Ok(self)
    }

    /// Where the reader stands: each partition that it reads, with the offset of the record
    /// that comes next. With [`seek_to`](Reader::seek_to) a later reader goes on from there.
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
    /// let mut first = Reader::open(&log, &WORDS)?;
    /// first.iter_to_end()?.next();
    /// let mut second = Reader::open(&log, &WORDS)?;
    /// for (partition, offset) in first.positions() {
    ///     second.seek_to(partition, offset);
    /// }
    /// assert_eq!(second.read_to_end()?[0].value.as_deref(), Some("milk"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn positions(&self) -> impl Iterator<Item = (u32, Offset)> {
        self.cursors.iter().map(|(cursor, offset)| (cursor.partition, *offset))
    }

    /// Goes to an offset in one partition. Nothing happens if the reader reads no such partition.
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
        for (cursor, next) in &mut self.cursors {
            if cursor.partition == partition {
                *next = offset;
            }
        }
    }

    /// Reads what is there now, all of it into memory; [`iter_to_end`](Reader::iter_to_end)
    /// does not. It goes partition by partition, in order of offsets. Only committed records
    /// are seen. A record that the formats of the topic cannot read is an error that names
    /// topic, partition and offset; the reader then stands where it stood before.
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
        let before = self.cursors.clone();
        let all = self.iter_to_end().and_then(Iterator::collect);
        if all.is_err() {
            self.cursors = before;
        }
        all
    }

    /// Goes through what is there now, as [`read_to_end`](Reader::read_to_end) does, in a
    /// memory that does not depend on how much that is: about a megabyte of the log, and the
    /// records of one batch. The ends of the partitions are taken here, once; what comes later
    /// is for a later call.
    ///
    /// The reader moves with the iterator: dropped half way, it stands behind the last record
    /// that was given. After an error there is no further record, and the reader stands at the
    /// one that cannot be read: [`seek_to`](Reader::seek_to) goes past it.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(4)?;
    /// for key in 0..100 {
    ///     words.send(key, "tea".into(), 0)?;
    /// }
    /// words.flush()?;
    ///
    /// let mut reader = Reader::open(&log, &WORDS)?;
    /// let mut count = 0;
    /// for word in reader.iter_to_end()? {
    ///     count += u64::from(word?.value.as_deref() == Some("tea"));
    /// }
    /// assert_eq!(count, 100);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn iter_to_end(&mut self) -> Result<ToEnd<'_, K, V>> {
        ToEnd::new(self)
    }

    /// Reads what has come, and waits for something at most `patience` long if nothing has: an
    /// empty answer is no end. Records come partition by partition, in order of offsets, at most
    /// about a megabyte of each partition at once. What was read before a record that cannot be
    /// read comes first; that record is the error of the next call, and of each until
    /// [`seek_to`](Reader::seek_to) has gone past it.
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

    /// Asks for all partitions, and takes what has come. What has not is under way still: a
    /// partition in which nothing is new does not hold up the others.
    fn read_round(&mut self) -> Result<Vec<Received<K, V>>> {
        for (partition, offset) in &self.cursors {
            if !self.asked.contains_key(&partition.partition) {
                let (of, offset, max_bytes) = (partition.clone(), *offset, FETCH_BYTES);
                let ticket = self.session.fetch(Fetch { partition: of, offset, max_bytes });
                self.asked.insert(partition.partition, (ticket, offset));
            }
        }
        let mut all = Vec::new();
        for (index, answer) in self.answers() {
            match answer.and_then(|fetched| self.take(index, fetched, &mut all)) {
                Ok(()) => {}
                Err(error) if all.is_empty() => return Err(error),
                // What was read comes first; the error comes again.
                Err(_) => break,
            }
        }
        Ok(all)
    }

    /// The answers that have come, in the order of the cursors, but for those from where a cursor
    /// does not stand any more.
    fn answers(&mut self) -> BTreeMap<usize, Result<Fetched>> {
        let (mut events, mut answers) = (Vec::new(), BTreeMap::new());
        self.session.poll(&mut events);
        for event in events {
            let Event::Fetched(ticket, answer) = event else { continue };
            let mut asked = self.asked.iter();
            let Some((partition, (_, from))) = asked.find(|(_, (of, _))| *of == ticket) else {
                continue;
            };
            let (partition, from) = (*partition, *from);
            self.asked.remove(&partition);
            let stands =
                |(of, at): &(TopicPartition, Offset)| of.partition == partition && *at == from;
            if let Some(index) = self.cursors.iter().position(stands) {
                answers.insert(index, answer);
            }
        }
        answers
    }

    /// Takes what was fetched of a partition. At an error the cursor stands where it is.
    fn take(
        &mut self,
        index: usize,
        fetched: Fetched,
        all: &mut Vec<Received<K, V>>,
    ) -> Result<()> {
        let (partition, cursor) = &mut self.cursors[index];
        for batch in batches(fetched.batches) {
            let read =
                batch.and_then(|batch| decode(&self.topic, partition, &batch, *cursor..));
            let Decoded { records, next, failed } =
                read.map_err(|error| at(partition, error))?;
            all.extend(records);
            *cursor = next.max(*cursor);
            if let Some(error) = failed {
                return Err(error);
            }
        }
        *cursor = fetched.next.max(*cursor);
        Ok(())
    }

    /// Fetches from where a cursor stands.
    fn fetch(&mut self, index: usize) -> Result<Fetched> {
        self.asked.clear();
        let (partition, offset) = self.cursors[index].clone();
        let asked = self.session.fetch(Fetch { partition, offset, max_bytes: FETCH_BYTES });
        wait_for(&mut *self.session, |event| match event {
            Event::Fetched(ticket, answer) if ticket == asked => Some(answer),
            _ => None,
        })
    }
}

/// The error of a batch that cannot be read.
fn at(partition: &TopicPartition, error: Error) -> Error {
    let kind = error.kind();
    Error::new(kind, "cannot read a batch")
        .with("topic", &partition.topic)
        .with("partition", partition.partition)
        .caused_by(error)
}
