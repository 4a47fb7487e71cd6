//! What can go wrong, and when.

use std::fmt;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The power goes off: what was not synced may be lost or torn, each file by itself.
    PowerLoss,
    /// The process is killed: what was written stays.
    Kill,
    /// The next sync of a file fails, and what it should have made durable never will be.
    FailedSync,
    /// The disk is full, and has room again later.
    FullDisk,
    /// Reads fail for a while.
    ReadErrors,
    /// Writes write less than they were asked to.
    ShortWrites,
    /// Syncs take seconds.
    SlowDisk,
    /// The time of day jumps, forwards or back.
    ClockJump,
    /// User code panics once, and not when it is tried again.
    Panic,
    /// A byte in a file changes while nobody looks.
    BitRot,
    /// A commit happens, and its outcome is unknown.
    LostAnswer,
    /// A commit does not happen, and its outcome is unknown.
    LostCommit,
    /// A commit is aborted.
    AbortedCommit,
    /// The program is started elsewhere while this one goes on as if nothing were.
    Zombie,
    /// Reads from the stores below fail for a while.
    StoreReads,
    /// The next writes to the stores below fail.
    StoreWrites,
    /// The directory of the stores below is deleted while the process is down.
    StoresLost,
    /// Snapshots can be neither read nor written for a while.
    ObjectsAway,
    /// Snapshots, or parts of some, are deleted or damaged while the process is down.
    SnapshotsLost,
    /// One more process joins the group.
    Joins,
    /// A process leaves the group in an orderly way.
    Leaves,
    /// A process of the group dies, and the others go on.
    Departs,
    /// A process of the group stands still while the others go on.
    Stalls,
    /// A process of the group stands still while another one joins, works and leaves again.
    Absence,
    /// A process joins the group in the middle of a commit of another, and is gone again.
    Passes,
}

/// All faults.
pub const FAULTS: [Fault; 25] = [
    Fault::PowerLoss,
    Fault::Kill,
    Fault::FailedSync,
    Fault::FullDisk,
    Fault::ReadErrors,
    Fault::ShortWrites,
    Fault::SlowDisk,
    Fault::ClockJump,
    Fault::Panic,
    Fault::BitRot,
    Fault::LostAnswer,
    Fault::LostCommit,
    Fault::AbortedCommit,
    Fault::Zombie,
    Fault::StoreReads,
    Fault::StoreWrites,
    Fault::StoresLost,
    Fault::ObjectsAway,
    Fault::SnapshotsLost,
    Fault::Joins,
    Fault::Leaves,
    Fault::Departs,
    Fault::Stalls,
    Fault::Absence,
    Fault::Passes,
];

impl Fault {
    /// Whether it counts when something meets it, and not when it strikes.
    pub(crate) fn is_met_later(self) -> bool {
        matches!(
            self,
            Self::StoreReads
                | Self::StoreWrites
                | Self::ObjectsAway
                | Self::Joins
                | Self::Leaves
                | Self::Departs
                | Self::Stalls
                | Self::Absence
                | Self::Passes
        )
    }
}

/// What the engine asks of the broker, of stores below, and of the place of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// A session is opened.
    Session,
    /// Topics are described.
    Describe,
    /// Topics are created.
    Create,
    /// Positions are read.
    Positions,
    /// An offset is asked for.
    Offset,
    /// Batches are fetched.
    Fetch,
    /// The group is joined.
    Join,
    /// The group is left.
    Leave,
    /// A commit begins.
    Begin,
    /// A commit is added to.
    Append,
    /// A commit is about to be asked for.
    Commit,
    /// A commit has been done, and nobody knows yet.
    Committed,
    /// Records are trimmed.
    Trim,
    /// Answers are taken.
    Poll,
    /// Nothing is to be done.
    Wait,
    /// A store below is read.
    Look,
    /// A store below is written to.
    Lower,
    /// An object of a snapshot is written or deleted.
    Put,
}

/// All calls of the broker.
pub const CALLS: [Call; 15] = [
    Call::Session,
    Call::Describe,
    Call::Create,
    Call::Positions,
    Call::Offset,
    Call::Fetch,
    Call::Join,
    Call::Leave,
    Call::Begin,
    Call::Append,
    Call::Commit,
    Call::Committed,
    Call::Trim,
    Call::Poll,
    Call::Wait,
];

/// All calls of stores below and of the place of snapshots.
pub const BELOW: [Call; 3] = [Call::Look, Call::Lower, Call::Put];

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// A directory or a file is made.
    Create,
    /// Bytes are written.
    Write,
    /// A file is made durable.
    Sync,
    /// A file is cut.
    Truncate,
    /// A file gets another name.
    Rename,
    /// A file is removed.
    Remove,
    /// Names are made durable.
    SyncDir,
    /// Bytes are read.
    Read,
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// The journal.
    Journal,
    /// A segment of a partition.
    Segment,
    /// The index of a segment.
    Index,
    /// The checkpoint, or what will replace it.
    Checkpoint,
    /// How far other processes may read.
    Mark,
    /// A directory.
    Directory,
    /// The lock, or anything else.
    Other,
}

/// What must have been hit by a crash once in a run of many seeds: every effect on the disk.
pub const EFFECTS: &[(Verb, FileKind)] = &[
    (Verb::Create, FileKind::Journal),
    (Verb::Write, FileKind::Journal),
    (Verb::Sync, FileKind::Journal),
    (Verb::Truncate, FileKind::Journal),
    (Verb::Remove, FileKind::Journal),
    (Verb::Create, FileKind::Segment),
    (Verb::Write, FileKind::Segment),
    (Verb::Sync, FileKind::Segment),
    (Verb::Truncate, FileKind::Segment),
    (Verb::Remove, FileKind::Segment),
    (Verb::Write, FileKind::Index),
    (Verb::Write, FileKind::Checkpoint),
    (Verb::Sync, FileKind::Checkpoint),
    (Verb::Rename, FileKind::Checkpoint),
    (Verb::Write, FileKind::Mark),
    (Verb::Create, FileKind::Directory),
    (Verb::SyncDir, FileKind::Directory),
];

/// When a fault strikes, counted from the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this effect on the disk.
    Effect(u64),
    /// At this call of the kind.
    Call(Call, u64),
}

/// A fault that is going to strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub when: When,
    /// What.
    pub fault: Fault,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Effect(number) => write!(f, "{:?} at effect {number}", self.fault),
            When::Call(call, number) => write!(f, "{:?} at {call:?} {number}", self.fault),
        }
    }
}
