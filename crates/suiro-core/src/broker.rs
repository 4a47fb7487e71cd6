//! The contract with a log: what the engine asks of the embedded log and of Kafka alike.
//!
//! Two nouns. A [`Broker`] opens sessions; a [`Session`] is one party's conversation with the
//! log: a worker, a producer, a reader. A session is **submit and poll**: every method returns
//! at once, and the answer comes as an [`Event`] out of [`Session::poll`], in any order,
//! matched by its [`Ticket`]. [`Session::wait`] is the only call that blocks.
//!
//! Data crosses as encoded v2 record batches ([`crate::batch`]), never record by record.
//!
//! # What every broker promises
//!
//! * **Atomic commit.** All appends and positions of a commit become visible and durable
//!   together or not at all, whatever crashes. A reader never sees a part of one.
//! * **Committed reads only.** A fetch returns batches of resolved commits; its
//!   [`Fetched::end`] is the offset after the last committed record.
//! * **Order.** Commits of one session are resolved in the order of [`Session::commit`].
//!   Appends to one partition keep their order within a commit.
//! * **Fencing.** A commit that names an older generation than the group's newest resolves as
//!   [`Outcome::Fenced`] and leaves no trace. So does every commit of a session whose name was
//!   opened again by another session.
//! * **Unknown outcomes.** [`Outcome::Unknown`] says that the commit may or may not have
//!   happened. Who receives it must read the committed positions again before going on.

use crate::{Error, Offset, Result, Timestamp, TopicPartition};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A log: topics of partitions of records, with atomic commits and groups.
pub trait Broker: Send + Sync {
    /// Opens a session. The name identifies the holder: a second session of the same name
    /// fences the first (on Kafka it is the transactional id).
    fn session(&self, name: &str) -> Result<Box<dyn Session>>;

    /// Opens the session in which a process works on a program. Where several processes may,
    /// each has a name of its own, and the same one after a restart, so that what it had begun
    /// before ends at once.
    fn worker(&self, program: &str) -> Result<Box<dyn Session>> {
        self.session(program)
    }

    /// Opens a session under a name that nobody else has, in this process or another; `what`
    /// says what it is for. A reader or a producer needs no more.
    fn anonymous(&self, what: &str) -> Result<Box<dyn Session>> {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        self.session(&format!("{what}-{}-{number}", std::process::id()))
    }

    /// Whether other processes may share the tasks of one program, so that what crosses between
    /// tasks must go through topics.
    fn is_shared(&self) -> bool {
        false
    }

    /// How long after its append a tombstone stays in a compacted topic at least. A copy of the
    /// topic that is older cannot be brought up to date by reading on.
    fn tombstone_retention(&self) -> Duration {
        Duration::from_hours(24)
    }

    /// How much memory of this process it takes at most, in bytes, beside what is being written
    /// and what readers ask for.
    fn memory(&self) -> usize {
        0
    }

    /// A directory of this process that lives and dies with the log, if there is one: whoever
    /// keeps something that is worth nothing without the log puts it there.
    fn directory(&self) -> Option<&Path> {
        None
    }
}

impl<B: Broker + ?Sized> Broker for Arc<B> {
    fn session(&self, name: &str) -> Result<Box<dyn Session>> {
        (**self).session(name)
    }

    fn worker(&self, program: &str) -> Result<Box<dyn Session>> {
        (**self).worker(program)
    }

    fn anonymous(&self, what: &str) -> Result<Box<dyn Session>> {
        (**self).anonymous(what)
    }

    fn is_shared(&self) -> bool {
        (**self).is_shared()
    }

    fn tombstone_retention(&self) -> Duration {
        (**self).tombstone_retention()
    }

    fn memory(&self) -> usize {
        (**self).memory()
    }

    fn directory(&self) -> Option<&Path> {
        (**self).directory()
    }
}

/// Which request an answer belongs to. Tickets are unique within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A commit that has begun and is not yet resolved. Unique within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub u64);

/// The number of an assignment; it grows by one with every change in a group. A member that has
/// heard of two that follow each other knows that nobody else had a task between them which was
/// its own in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// One party's conversation with a log. Dropping it ends the conversation: open commits are
/// aborted and the group is left.
pub trait Session: Send {
    /// Asks which of `topics` exist, and how. Answer: [`Event::Topics`], with the topics that
    /// exist in the order asked; an empty list asks for all.
    fn describe(&mut self, topics: &[Arc<str>]) -> Ticket;

    /// Creates topics. A topic that exists with the same number of partitions is left as it
    /// is, with another number it is an error. Answer: [`Event::Created`].
    fn create(&mut self, topics: Vec<TopicSpec>) -> Ticket;

    /// Asks for the committed positions of `group`. Answer: [`Event::Positions`], one per
    /// partition that has one.
    fn positions(&mut self, group: &str, partitions: &[TopicPartition]) -> Ticket;

    /// Asks for an offset. Answer: [`Event::Offset`].
    fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Ticket;

    /// Reads committed batches from `offset` on. Answer: [`Event::Fetched`], at once even if
    /// there is nothing new.
    fn fetch(&mut self, fetch: Fetch) -> Ticket;

    /// Says what the commits of this session are to promise, before the first of them. A log that
    /// promises more at no cost may do so, and needs no code for it.
    fn guarantee(&mut self, guarantee: Guarantee) {
        let _ = guarantee;
    }

    /// Says which topics the tasks of each sub-topology read, a pair for each, before it joins:
    /// whoever asks the brokers for the group then sees who has which partition.
    fn reads(&mut self, topics: &[(u32, Arc<str>)]) {
        // Without tools that ask nobody needs to know.
        let _ = topics;
    }

    /// Joins a group, to share `tasks` with its other members; every member names the same
    /// tasks. Answers: an [`Event::Assigned`] now, and one more at every change.
    fn join(&mut self, group: &str, tasks: &[TaskId]);

    /// Tells how this member stands with tasks that are not its own. It counts from the next
    /// change of the group on; a member that has come to hold what it was to warm up may have the
    /// group change for it. A group that knows one role only has no use for it.
    fn offer(&mut self, offer: Offer) {
        // Without standbys and warm-ups tasks go where there are fewest.
        let _ = offer;
    }

    /// Leaves the group at once; the other members take over.
    fn leave(&mut self);

    /// After a commit was fenced: asks for an assignment that is valid now. A member that the
    /// group knows, and that only had not heard of its newest assignment, need not leave for it.
    fn rejoin(&mut self, group: &str, tasks: &[TaskId]) {
        self.leave();
        self.join(group, tasks);
    }

    /// Begins a commit. It holds nothing until something is appended.
    fn begin(&mut self) -> CommitId;

    /// Adds encoded batches to a commit, to follow what the commit already appended to the
    /// same partition. Base offsets in `batches` are ignored; the log assigns them.
    fn append(&mut self, commit: CommitId, to: &TopicPartition, batches: Bytes);

    /// Has what is appended from now on written when all that was appended before is there. Where
    /// a commit is there as a whole or not at all, there is nothing to it.
    fn barrier(&mut self, commit: CommitId) {
        let _ = commit;
    }

    /// Ends a commit with the positions that go with it. Answer: [`Event::Resolved`].
    fn commit(&mut self, commit: CommitId, fence: Option<Fence>, positions: Vec<Position>);

    /// Ends a commit without a trace. There is no answer.
    fn abort(&mut self, commit: CommitId);

    /// Allows the log to delete the records before `offset`. There is no answer.
    fn trim(&mut self, partition: &TopicPartition, offset: Offset);

    /// Asks how many members a group has. Answer: [`Event::Members`].
    fn members(&mut self, group: &str) -> Ticket;

    /// Removes all positions of `group`, and then `topics` with all their records; what is not
    /// there is no error. Nothing is removed, and the error is `Invalid`, while the group has
    /// members. Answer: [`Event::Removed`], after which topics of these names are created anew.
    fn remove(&mut self, group: &str, topics: &[Arc<str>]) -> Ticket;

    /// Takes what has happened since the last poll. Never blocks.
    fn poll(&mut self, events: &mut Vec<Event>);

    /// Blocks until there may be something new (an event, or a commit by anybody), but no
    /// longer than `timeout`. It may return early. Where the broker [is shared](Broker::is_shared),
    /// only the answers to fetches that are under way tell of what others commit.
    fn wait(&mut self, timeout: Duration);

    /// A handle by which another thread ends a [`Session::wait`] early.
    fn waker(&self) -> Arc<dyn Wake>;
}

/// Ends a [`Session::wait`] early, now or the next one.
pub trait Wake: Send + Sync {
    /// Ends the wait.
    fn wake(&self);
}

/// What a topic is, or must become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// The topic's name.
    pub name: Arc<str>,
    /// How many partitions it has, at least 1.
    pub partitions: u32,
    /// What may be deleted.
    pub cleanup: Cleanup,
}

/// Which old records a log may delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cleanup {
    /// Nothing, until it is trimmed.
    #[default]
    Keep,
    /// Records whose key has a newer one.
    Compact,
    /// The oldest records, by the time since they were appended (never by event time) or by
    /// the bytes of a partition.
    Delete {
        /// Older ones may go.
        after: Option<Duration>,
        /// What is more than this may go.
        bytes: Option<u64>,
    },
}

/// Where to start reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The oldest record that is still there.
    Earliest,
    /// After the newest committed record.
    Latest,
    /// As [`Seek::Latest`], once all commits that had begun to write there are resolved: who
    /// takes a partition over from another must not miss what that one has just committed.
    Settled,
    /// The first record with this time or a later one; the end if there is none.
    Time(Timestamp),
}

/// A request to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Where from.
    pub partition: TopicPartition,
    /// The offset of the first record wanted.
    pub offset: Offset,
    /// About how many bytes at most; at least one batch comes if there is one.
    pub max_bytes: usize,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where from.
    pub partition: TopicPartition,
    /// Whole batches, one after another. The first may begin before the offset asked for;
    /// control batches and batches of aborted transactions are left out.
    pub batches: Bytes,
    /// Where to fetch next; past everything that was left out.
    pub next: Offset,
    /// The offset after the last committed record: lag is `end` minus position.
    pub end: Offset,
    /// The offset of the oldest record that is still there. If it is larger than the offset
    /// asked for, records were deleted before they were read.
    pub start: Offset,
}

/// One task of a program: a sub-topology and a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The number of the sub-topology in its plan.
    pub subtopology: u32,
    /// The number of the partition.
    pub partition: u32,
}

/// What a member of a group is to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Runs it.
    Active,
    /// Keeps a copy of its state.
    Standby,
    /// Builds up its state in order to run it soon.
    WarmUp,
}

/// What a commit promises where something fails.
///
/// ```
/// use suiro_core::broker::Guarantee;
///
/// assert_eq!(Guarantee::default(), Guarantee::ExactlyOnce);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Guarantee {
    /// Outputs, changes of state and positions are there together or not at all.
    #[default]
    ExactlyOnce,
    /// Nothing is lost, but what was written may be written again: outputs and changes of state
    /// are there before the positions, and no reader waits for them.
    AtLeastOnce,
}

/// What a member brings to its group beside the tasks that it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// How many copies of each task other members are to keep.
    pub standbys: u32,
    /// The sub-topologies whose tasks have no state: to move them takes no time, and a copy of
    /// them is nothing.
    pub stateless: Vec<u32>,
    /// The copies that it holds, each with the number of records that it is behind.
    pub copies: Vec<(TaskId, u64)>,
}

/// Who may commit: the newest generation of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The group whose positions are committed.
    pub group: Arc<str>,
    /// The generation of the assignment; `None` commits without membership.
    pub generation: Option<Generation>,
}

/// How far a group has read a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset of the next record to read.
    pub next: Offset,
    /// A short text (at most 4 KiB) that is kept with the position.
    pub note: String,
}

/// How a commit ended.
#[derive(Debug)]
pub enum Outcome {
    /// All of it is durable, as the durability setting says, and visible. `offsets` are the
    /// offsets of the first record of each append, in the order of the appends.
    Committed {
        /// One per call of [`Session::append`].
        offsets: Vec<Offset>,
    },
    /// None of it happened; the error says why. What it held may be committed again.
    Aborted(Error),
    /// None of it happened, because somebody newer does this work.
    Fenced(Error),
    /// It may have happened: read the committed positions again.
    Unknown(Error),
}

/// What a session has to say.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Answers [`Session::describe`].
    Topics(Ticket, Result<Vec<TopicSpec>>),
    /// Answers [`Session::create`].
    Created(Ticket, Result<()>),
    /// Answers [`Session::positions`].
    Positions(Ticket, Result<Vec<Position>>),
    /// Answers [`Session::offset`].
    Offset(Ticket, Result<Offset>),
    /// Answers [`Session::fetch`].
    Fetched(Ticket, Result<Fetched>),
    /// Answers [`Session::members`].
    Members(Ticket, Result<usize>),
    /// Answers [`Session::remove`].
    Removed(Ticket, Result<()>),
    /// Answers [`Session::join`], and tells of every change after it. It replaces what was
    /// assigned before; commits of the older generation are fenced from now on.
    Assigned(Generation, Vec<(TaskId, Role)>),
    /// Answers [`Session::join`]: the session is not, or no longer, a member, and will not be by
    /// itself; the error says why.
    Refused(Error),
    /// Answers [`Session::commit`].
    Resolved(CommitId, Outcome),
}
