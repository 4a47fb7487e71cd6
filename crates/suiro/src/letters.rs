//! Dead letters: what a policy has put aside, to be looked at and sent again.

use crate::transaction::{partitions, wait_for};
use crate::{Raw, Reader, Topic};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use suiro_core::batch::{BatchWriter, Compression};
use suiro_core::broker::{Broker, Cleanup, Event, Outcome, Session, TopicSpec};
use suiro_core::partition::partition_of;
use suiro_core::{Error, Headers, Offset, Result, Timestamp, TopicPartition};
use suiro_engine::letter_header as name;

const LETTERS: Topic<Option<Bytes>, Option<Bytes>> = Topic::of("letters", &Raw, &Raw);

/// The letters of a topic that [`Policy::DeadLetter`](crate::Policy::DeadLetter) names.
///
/// What was put aside is listed, mended elsewhere or not, and sent again:
///
/// ```
/// use suiro::{DeadLetters, Log, Policy, Producer, TestDriver, TestOptions, Topic, Topology};
///
/// const TEXTS: Topic<u64, String> = Topic::json("texts");
/// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
///
/// fn plan(parse: fn(String) -> Result<i64, std::num::ParseIntError>) -> suiro::Result<suiro::Plan> {
///     let topology = Topology::new("parse");
///     topology.on_error(Policy::DeadLetter("texts-dead"));
///     topology.stream(&TEXTS).try_map(parse).to(&NUMBERS);
///     topology.build()
/// }
///
/// let log = Log::in_memory();
/// let strict = |text: String| text.parse();
/// let mut driver = TestDriver::on_log(plan(strict)?, TestOptions::default(), log.clone())?;
/// driver.send(&TEXTS, 1, "1_000".into(), 0)?;
/// assert!(driver.read(&NUMBERS)?.is_empty());
/// drop(driver);
///
/// // The program is mended, and the record gets another chance.
/// let mended = |text: String| text.replace('_', "").parse();
/// let mut driver = TestDriver::on_log(plan(mended)?, TestOptions::default(), log.clone())?;
/// let letters = DeadLetters::open(&log, "texts-dead")?;
/// let waiting = letters.list()?;
/// assert_eq!(waiting[0].origin.as_ref().map(|origin| &*origin.topic), Some("texts"));
/// assert_eq!(letters.replay(&waiting)?, 1);
/// driver.run()?;
/// assert_eq!(driver.read(&NUMBERS)?[0].value, 1_000);
/// assert_eq!(letters.replay(&waiting)?, 0);
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct DeadLetters<'a> {
    broker: &'a dyn Broker,
    topic: Topic<Option<Bytes>, Option<Bytes>>,
}

impl std::fmt::Debug for DeadLetters<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetters").field("topic", &self.topic.name()).finish_non_exhaustive()
    }
}

/// One letter: the bytes of the record that failed, and its story.
///
/// ```
/// use suiro::{DeadLetter, DeadLetters, Policy, TestDriver, Topic, Topology};
///
/// const AGES: Topic<String, u8> = Topic::json("ages");
///
/// let topology = Topology::new("ages");
/// topology.on_error(Policy::DeadLetter("ages-dead"));
/// topology.stream(&AGES).map(|age| 100 / age).to(&Topic::json("shares"));
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&AGES, "ann".into(), 0, 1_000)?;
/// let letters: Vec<DeadLetter> = DeadLetters::open(driver.log(), "ages-dead")?.list()?;
/// assert_eq!(letters[0].key.as_deref(), Some(&b"ann"[..]));
/// assert_eq!((&*letters[0].app, &*letters[0].step, letters[0].at.as_millis()), ("ages", "map", 1_000));
/// assert!(letters[0].cause.contains("divide by zero"));
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The partition of the letter itself.
    pub partition: u32,
    /// The offset of the letter itself.
    pub offset: Offset,
    /// The key of the record, as it lies in its topic.
    pub key: Option<Bytes>,
    /// The value of the record, as it lies in its topic.
    pub value: Option<Bytes>,
    /// The time of the record.
    pub at: Timestamp,
    /// The headers of the record, without those of the letter.
    pub headers: Headers,
    /// The program that wrote the letter.
    pub app: String,
    /// The step that failed, as [`Plan::describe`](crate::Plan::describe) names it.
    pub step: String,
    /// Why it failed.
    pub cause: String,
    /// Where the record is. `None` for a row that is no record of a source, because it crossed
    /// a repartition or was kept in a window: then key and value are those that are known, and
    /// [`row`](DeadLetter::row) says what they are.
    pub origin: Option<LetterOrigin>,
    /// What key and value are, where there is no origin. The value is written as in changelogs;
    /// it is missing if the step has no format for it.
    pub row: Option<String>,
    /// Beside it: the newest records that had been read when the row failed. They are a hint,
    /// and depend on the order in which inputs arrived.
    pub newest: Option<String>,
    /// Whether [`DeadLetters::replay`] has sent the record again.
    pub replayed: bool,
}

/// The record that a letter is about.
///
/// ```
/// use suiro::LetterOrigin;
///
/// let origin = LetterOrigin { topic: "views".into(), partition: 3, offset: 70 };
/// assert_eq!((&*origin.topic, origin.partition, origin.offset), ("views", 3, 70));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterOrigin {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: Offset,
}

impl<'a> DeadLetters<'a> {
    /// The letters of `topic`. It must exist; a program with the policy makes it at its start.
    ///
    /// ```
    /// use suiro::{DeadLetters, Log};
    ///
    /// let error = DeadLetters::open(&Log::in_memory(), "texts-dead").unwrap_err();
    /// assert!(error.report().contains("topic does not exist"));
    /// ```
    pub fn open(broker: &'a dyn Broker, topic: impl Into<String>) -> Result<Self> {
        let topic = LETTERS.named(topic);
        Reader::open(broker, &topic)?;
        Ok(Self { broker, topic })
    }

    /// All letters, partition by partition, in order of offsets: those of one record of a
    /// source in the order of the steps that failed, and those of one partition in its order.
    ///
    /// ```
    /// use suiro::{DeadLetters, Policy, TestDriver, Topic, Topology};
    ///
    /// const TEXTS: Topic<u64, String> = Topic::json("texts");
    ///
    /// let topology = Topology::new("numbers");
    /// topology.on_error(Policy::DeadLetter("texts-dead"));
    /// topology.stream(&Topic::<u64, i64>::json("texts")).to(&Topic::json("numbers"));
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&TEXTS, 1, "many".into(), 0)?;
    /// let letters = DeadLetters::open(driver.log(), "texts-dead")?.list()?;
    /// assert_eq!(&*letters[0].step, "source texts");
    /// assert!(!letters[0].replayed);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn list(&self) -> Result<Vec<DeadLetter>> {
        let marks = self.marks()?;
        let mut letters = Vec::new();
        for record in Reader::open(self.broker, &self.topic)?.read_to_end()? {
            let all = record.headers;
            let text = |name| {
                let value = all.get(name)?;
                Some(String::from_utf8_lossy(value).into_owned())
            };
            let number = |name| text(name)?.parse::<Offset>().ok();
            let origin = || {
                let (topic, partition) = (text(name::TOPIC)?, number(name::PARTITION)?);
                let (partition, offset) =
                    (u32::try_from(partition).ok()?, number(name::OFFSET)?);
                Some(LetterOrigin { topic, partition, offset })
            };
            let headers = all.iter().filter(|header| !header.key.starts_with(name::PREFIX));
            letters.push(DeadLetter {
                partition: record.partition,
                offset: record.offset,
                key: record.key,
                value: record.value.flatten(),
                at: record.at,
                headers: headers.cloned().collect::<Vec<_>>().into(),
                app: text(name::APP).unwrap_or_default(),
                step: text(name::STEP).unwrap_or_default(),
                cause: text(name::CAUSE).unwrap_or_default(),
                origin: origin(),
                row: text(name::ROW),
                newest: text(name::NEWEST),
                replayed: marks.contains(&(record.partition, record.offset)),
            });
        }
        Ok(letters)
    }

    /// Sends the records of `letters` again, byte by byte, to the topics and partitions that
    /// they came from, and gives how many were sent.
    ///
    /// A letter is replayed once: a mark goes to the topic `<letters>.replayed` in the same
    /// commit, and what is marked is left out. Two letters of one record, from two steps, send
    /// it once. If two replays of a topic run at a time, the older one fails with
    /// [`Fenced`](crate::ErrorKind::Fenced) and sends nothing. Every program that reads the
    /// topic gets the record again; steps before the failing one see it twice.
    ///
    /// A letter without an origin is an error, and then nothing is sent: there is no record to
    /// send again.
    ///
    /// ```
    /// use suiro::{DeadLetters, Policy, TestDriver, Topic, Topology};
    ///
    /// const TEXTS: Topic<u64, String> = Topic::json("texts");
    /// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
    ///
    /// let topology = Topology::new("parse");
    /// topology.on_error(Policy::DeadLetter("texts-dead"));
    /// topology.stream(&TEXTS).try_map(|text| text.parse::<i64>()).to(&NUMBERS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&TEXTS, 1, "many".into(), 0)?;
    /// let letters = DeadLetters::open(driver.log(), "texts-dead")?;
    /// assert_eq!(letters.replay(&letters.list()?)?, 1);
    /// driver.run()?;
    /// // It failed again: a letter that was replayed, and a new one.
    /// let letters = DeadLetters::open(driver.log(), "texts-dead")?.list()?;
    /// let replayed: Vec<bool> = letters.iter().map(|letter| letter.replayed).collect();
    /// assert_eq!(replayed, [true, false]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn replay(&self, letters: &[DeadLetter]) -> Result<usize> {
        // Who opens the session fences an older replay, so that the marks read below are all
        // there will be.
        let mut session = self.broker.session(&format!("replay.{}", self.topic.name()))?;
        let session = &mut *session;
        self.create_marks(session)?;
        let marks = self.marks()?;
        let (mut sent, mut counts) = (BTreeSet::new(), BTreeMap::new());
        let mut writers: BTreeMap<TopicPartition, BatchWriter> = BTreeMap::new();
        let new = || BatchWriter::new(Compression::None);
        let marks_at = TopicPartition::new(self.marks_topic(), 0);
        let mut marked = BTreeSet::new();
        for letter in letters {
            let place = (letter.partition, letter.offset);
            let origin = letter.origin.as_ref().ok_or_else(|| {
                Error::invalid("letter is about no record of a source and cannot be replayed")
                    .with("topic", self.topic.name())
                    .with("partition", letter.partition)
                    .with("offset", letter.offset)
            })?;
            if marks.contains(&place) || !marked.insert(place) {
                continue;
            }
            let mark = format!("{}/{}", letter.partition, letter.offset);
            let to = writers.entry(marks_at.clone()).or_insert_with(new);
            to.push(letter.at, Some(mark.as_bytes()), Some(b""), &Headers::NONE);
            if !sent.insert(origin) {
                continue;
            }
            let count = match counts.get(&origin.topic) {
                Some(count) => *count,
                None => {
                    let count = partitions(session, &origin.topic)?.ok_or_else(|| {
                        Error::invalid("the topic of a letter's record does not exist any more")
                            .with("topic", &origin.topic)
                    })?;
                    counts.insert(origin.topic.clone(), count);
                    count
                }
            };
            let partition = match &letter.key {
                _ if origin.partition < count => origin.partition,
                Some(key) => partition_of(key, count),
                None => 0,
            };
            let to = TopicPartition::new(&*origin.topic, partition);
            let (key, value) = (letter.key.as_deref(), letter.value.as_deref());
            let to = writers.entry(to).or_insert_with(new);
            to.push(letter.at, key, value, &letter.headers);
        }
        if !writers.is_empty() {
            commit(session, writers)?;
        }
        Ok(sent.len())
    }

    fn marks_topic(&self) -> String {
        format!("{}.replayed", self.topic.name())
    }

    fn create_marks(&self, session: &mut dyn Session) -> Result<()> {
        let name = self.marks_topic().into();
        let spec = TopicSpec { name, partitions: 1, cleanup: Cleanup::Keep };
        let asked = session.create(vec![spec]);
        wait_for(session, |event| match event {
            Event::Created(ticket, answer) if ticket == asked => Some(answer),
            _ => None,
        })
    }

    /// The places of the letters that were replayed.
    fn marks(&self) -> Result<BTreeSet<(u32, Offset)>> {
        let topic = LETTERS.named(self.marks_topic());
        let mut session = self.broker.anonymous("letters")?;
        if partitions(&mut *session, topic.name())?.is_none() {
            return Ok(BTreeSet::new());
        }
        let records = Reader::open(self.broker, &topic)?.read_to_end()?.into_iter();
        let place = |key: &Bytes| {
            let (partition, offset) = str::from_utf8(key).ok()?.split_once('/')?;
            Some((partition.parse().ok()?, offset.parse().ok()?))
        };
        Ok(records.filter_map(|record| place(record.key.as_ref()?)).collect())
    }
}

fn commit(
    session: &mut dyn Session,
    writers: BTreeMap<TopicPartition, BatchWriter>,
) -> Result<()> {
    let commit = session.begin();
    for (to, mut writer) in writers {
        session.append(commit, &to, writer.finish()?);
    }
    session.commit(commit, None, Vec::new());
    let outcome = wait_for(session, |event| match event {
        Event::Resolved(of, outcome) if of == commit => Some(outcome),
        _ => None,
    });
    match outcome {
        Outcome::Committed { .. } => Ok(()),
        Outcome::Aborted(error) | Outcome::Fenced(error) => Err(error),
        Outcome::Unknown(error) => Err(Error::unavailable(
            "outcome of the replay is unknown; list the letters to see what is marked",
        )
        .caused_by(error)),
    }
}
