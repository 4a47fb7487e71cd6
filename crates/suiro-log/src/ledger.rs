//! The ledger: the one place where commits are written, first to the journal, then to the
//! segments.

use crate::checkpoint::Capture;
use crate::core::Core;
use crate::disk::failed;
use crate::frame::{Entry, Stamp};
use crate::journal::Journal;
use crate::mark::Mark;
use crate::options::Durability;
use crate::partition::Partition;
use crate::recent::Pieces;
use crate::view::in_memory;
use crate::walk::{set_place, whole_batches};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::Outcome;
use suiro_core::{Error, Result};

/// What one writer at a time needs.
pub(crate) struct Ledger {
    pub journal: Journal,
    /// The number of the last commit.
    pub number: u64,
    mark: Mark,
    /// Why nothing can be written any more.
    poison: Option<String>,
    synced_at: Duration,
    /// Partitions whose segments lack what is committed.
    behind: Vec<Arc<Partition>>,
    /// The appends that are kept in memory, oldest first.
    recent: VecDeque<(Arc<Partition>, u64)>,
    recent_bytes: u64,
}

/// A commit that was checked and has its offsets.
pub(crate) struct Prepared {
    pub entry: Entry,
    /// One per append of the entry.
    pub data: Vec<Bytes>,
}

/// What was written to the journal.
struct Written {
    /// Where it begins.
    start: u64,
    /// The bytes, if memory may keep them.
    frames: Option<Bytes>,
    /// Where the data of each commit begin.
    data_at: Vec<u64>,
}

/// Frames that memory may not keep are written in pieces of about this many bytes at most.
const PIECE: usize = 1 << 20;

/// Why a commit was not recorded.
pub(crate) enum Failure {
    /// Nothing of it was.
    Nothing(Error),
    /// It may have been.
    Unknown(Error),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Nothing(error) => Self::Aborted(error),
            Failure::Unknown(error) => Self::Unknown(error),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Nothing(error) | Failure::Unknown(error) => error,
        }
    }
}

impl Ledger {
    /// The ledger that goes on in `journal` after commit number `number`.
    pub fn new(journal: Journal, number: u64, mark: Mark) -> Self {
        Self {
            journal,
            number,
            mark,
            poison: None,
            synced_at: Duration::ZERO,
            behind: Vec::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
        }
    }

    /// Tells readers that commits go on in the new journal.
    pub fn begin(&self) {
        self.mark.set(self.journal.number, self.journal.end);
    }

    /// Records commits as one write, makes them durable as the options say (or not yet, if
    /// `sync` is false), and makes them visible.
    pub fn record(
        &mut self,
        core: &Core,
        commits: &[Prepared],
        sync: bool,
    ) -> std::result::Result<(), Failure> {
        if let Some(why) = &self.poison {
            return Err(Failure::Nothing(poisoned(why)));
        }
        self.settle(core).map_err(Failure::Nothing)?;
        let written = match self.write(core, commits) {
            Ok(written) => written,
            Err(cause) => {
                let taken_back = self.journal.take_back();
                let error = failed("write the journal", &self.journal.path, cause);
                return Err(match taken_back {
                    Ok(()) => Failure::Nothing(error),
                    Err(_) => {
                        self.poison(&error);
                        Failure::Unknown(error)
                    }
                });
            }
        };
        if sync
            && core.options.durability == Durability::Fsync
            && let Err(error) = self.sync(core)
        {
            if cfg!(suiro_mutant = "snapshot_of_uncommitted") {
                self.publish(core, commits, &written);
            }
            return Err(Failure::Unknown(error));
        }
        self.number += commits.len() as u64;
        self.publish(core, commits, &written);
        self.mark.set(self.journal.number, self.journal.end);
        core.sessions().ring();
        Ok(())
    }

    /// Writes the frames of `commits`. What memory may not keep is written in pieces, and read
    /// back from the journal until the segments have it.
    fn write(&mut self, core: &Core, commits: &[Prepared]) -> io::Result<Written> {
        let data = commits.iter().flat_map(|commit| &commit.data).map(Bytes::len);
        let mut left: usize = data.sum();
        let large = left > core.options.recent_bytes;
        let piece = PIECE.min(core.options.recent_bytes);
        let room = if large { piece } else { left };
        let mut frames = Vec::with_capacity(room + 512 * commits.len());
        let mut data_at = Vec::with_capacity(commits.len());
        let mut end = self.journal.end;
        for (nth, commit) in (1..).zip(commits) {
            let stamp = Stamp {
                number: self.number + nth,
                journal: self.journal.number,
                position: end + frames.len() as u64,
                durable: self.journal.durable,
            };
            commit.entry.encode(stamp, &mut frames);
            if !large {
                // What is kept in memory takes no more of it than it must.
                frames.reserve_exact(left);
            }
            data_at.push(end + frames.len() as u64);
            for (append, data) in commit.entry.appends.iter().zip(&commit.data) {
                left -= data.len();
                let mut base = append.base;
                for batch in whole_batches(data) {
                    let start = frames.len();
                    frames.extend_from_slice(batch.bytes);
                    set_place(&mut frames[start..], base);
                    base += batch.offsets;
                    if large && frames.len() >= piece {
                        self.journal.write(end, &frames)?;
                        end += frames.len() as u64;
                        frames.clear();
                    }
                }
            }
        }
        if !large && core.options.durability == Durability::Fsync {
            self.journal.write_ahead(frames.len(), core.options.journal_bytes);
        }
        self.journal.write(end, &frames)?;
        let start = std::mem::replace(&mut self.journal.end, end + frames.len() as u64);
        Ok(Written { start, frames: (!large).then(|| frames.into()), data_at })
    }

    fn publish(&mut self, core: &Core, commits: &[Prepared], written: &Written) {
        for (commit, data_at) in commits.iter().zip(&written.data_at) {
            match &written.frames {
                Some(frames) => {
                    let data = frames.slice((data_at - written.start) as usize..);
                    self.apply(core, &commit.entry, &data);
                }
                None => self.apply_large(core, commit, *data_at),
            }
        }
    }

    /// Makes a commit visible whose data, from `data_at` on, are in the journal alone.
    fn apply_large(&mut self, core: &Core, commit: &Prepared, data_at: u64) {
        let (file, path) = self.journal.source();
        let mut data = commit.data.iter();
        core.view.apply(
            &commit.entry,
            |append, position| {
                let at = commit.entry.at;
                let mut pieces = Pieces::new(&file, &path, append.base, at, data_at + position);
                for batch in data.next().into_iter().flat_map(|data| whole_batches(data)) {
                    pieces.push(batch.bytes.len() as u64, batch.offsets);
                }
                pieces.finish()
            },
            |partition, _| self.behind.push(Arc::clone(partition)),
        );
    }

    /// Makes a commit visible that the journal has.
    pub fn apply(&mut self, core: &Core, entry: &Entry, data: &Bytes) {
        core.view.apply(
            entry,
            |append, position| {
                let start = position as usize;
                let bytes = data.slice(start..start + append.bytes as usize);
                in_memory(append, entry.at, bytes)
            },
            |partition, bytes| {
                self.behind.push(Arc::clone(partition));
                self.recent.push_back((Arc::clone(partition), bytes));
                self.recent_bytes += bytes;
            },
        );
    }

    /// Makes the journal durable. If that fails nobody knows what the disk has, and nothing
    /// more is written.
    pub fn sync(&mut self, core: &Core) -> Result<()> {
        if let Some(why) = &self.poison {
            return Err(poisoned(why));
        }
        self.synced_at = core.options.clock.elapsed();
        let synced = self.journal.sync();
        synced.map_err(|cause| {
            let error = failed("make the journal durable", &self.journal.path, cause);
            self.poison(&error);
            error
        })
    }

    /// Syncs if the interval of the durability has passed; says how long until then.
    pub fn tick(&mut self, core: &Core) -> Option<Duration> {
        let Durability::Interval(interval) = core.options.durability else { return None };
        if self.journal.durable == self.journal.end || self.poison.is_some() {
            return None;
        }
        let since = core.options.clock.elapsed().saturating_sub(self.synced_at);
        if since >= interval {
            // The next commit reports that the log is poisoned.
            let _ = self.sync(core);
            return None;
        }
        Some(interval - since)
    }

    /// Writes to the segments what they lack, and lets go of what memory need not keep.
    pub fn settle(&mut self, core: &Core) -> Result<()> {
        while let Some(partition) = self.behind.last() {
            partition.flush(&*core.view.disk, core.options.segment_bytes)?;
            self.behind.pop();
        }
        while self.recent_bytes > core.options.recent_bytes as u64 {
            let Some((partition, bytes)) = self.recent.pop_front() else { break };
            partition.evict();
            self.recent_bytes -= bytes;
        }
        Ok(())
    }

    /// Begins a new journal and says what is committed up to it.
    pub fn rotate(&mut self, core: &Core) -> Result<Capture> {
        self.settle(core)?;
        self.sync(core)?;
        let disk = &*core.view.disk;
        let (number, before) = (self.journal.number + 1, self.journal.end);
        self.journal = Journal::create(disk, &core.view.root, number, before)?;
        self.mark.set(self.journal.number, self.journal.end);
        Capture::take(&core.view, number, self.number)
    }

    /// Whether something was recorded since the journal began.
    pub fn is_fresh(&self) -> bool {
        self.journal.end == crate::journal::JOURNAL_HEAD
    }

    /// Refuses everything from now on, because of `error`.
    pub fn poison(&mut self, error: &Error) {
        self.poison = Some(error.report());
    }
}

fn poisoned(why: &str) -> Error {
    Error::unavailable("log was closed by an earlier failure of the disk: open it again")
        .with("failure", why)
}
