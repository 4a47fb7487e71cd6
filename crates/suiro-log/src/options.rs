//! How a log is opened.

use crate::disk::{Disk, MemoryDisk, RealDisk};
use crate::log::Log;
use crate::reader::LogReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::{Clock, Result, SystemClock};

/// When a commit counts as done.
///
/// ```
/// use suiro_log::{Durability, Log};
/// use std::time::Duration;
///
/// let dir = tempfile::tempdir().unwrap();
/// let often_enough = Durability::Interval(Duration::from_millis(50));
/// let log = Log::options().durability(often_enough).open(dir.path()).unwrap();
/// log.close().unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on the disk: it survives a loss of power.
    #[default]
    Fsync,
    /// When the operating system has it, which writes it to the disk at least this often: it
    /// survives a crash of the process. A loss of power may take the last commits, whole ones.
    Interval(Duration),
    /// When the operating system has it, which writes it to the disk when it likes.
    None,
}

/// What the pieces take in which the journal and segments are read and written.
const PIECES: usize = 4 << 20;

/// How to open a [`Log`]; see [`Log::options`].
///
/// ```
/// use suiro_log::{Log, MemoryDisk};
/// use std::sync::Arc;
///
/// let disk = MemoryDisk::new();
/// let options = || Log::options().disk(Arc::new(disk.clone())).inline(true);
/// options().open("log").unwrap().close().unwrap();
/// options().open("log").unwrap();
/// ```
#[derive(Clone)]
pub struct LogOptions {
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) recent_bytes: usize,
    pub(crate) inline: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    /// Whether the disk is that of the machine.
    pub(crate) has_files: bool,
    pub(crate) compaction_memory: usize,
    pub(crate) tombstone_retention: Duration,
    pub(crate) maintenance: Duration,
    pub(crate) holder: String,
}

impl LogOptions {
    pub(crate) fn new() -> Self {
        Self {
            durability: Durability::Fsync,
            segment_bytes: 64 << 20,
            journal_bytes: 64 << 20,
            recent_bytes: 32 << 20,
            inline: false,
            clock: Arc::new(SystemClock::default()),
            disk: Arc::new(RealDisk::new()),
            has_files: true,
            compaction_memory: 32 << 20,
            tombstone_retention: Duration::from_hours(24),
            maintenance: Duration::from_secs(10),
            holder: String::new(),
        }
    }

    pub(crate) fn in_memory() -> Self {
        let (journal_bytes, recent_bytes, compaction_memory) = (4 << 20, 4 << 20, 4 << 20);
        Self { journal_bytes, recent_bytes, compaction_memory, ..Self::new() }
            .disk(Arc::new(MemoryDisk::new()))
            .inline(true)
    }

    /// When a commit counts as done. Default: [`Durability::Fsync`].
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The size at which a segment of a partition ends and a new one begins; what retention
    /// deletes are whole segments. Default: 64 MiB.
    #[must_use]
    pub fn segment_bytes(self, segment_bytes: u64) -> Self {
        Self { segment_bytes, ..self }
    }

    /// The size at which the journal ends and a new one begins, once the segments are durable.
    /// Default: 64 MiB.
    #[must_use]
    pub fn journal_bytes(self, journal_bytes: u64) -> Self {
        Self { journal_bytes, ..self }
    }

    /// How many bytes of memory compaction may take for the keys of a partition. A pass over more
    /// keys leaves the rest to the next. Default: 32 MiB.
    #[must_use]
    pub fn compaction_memory(self, compaction_memory: usize) -> Self {
        Self { compaction_memory, ..self }
    }

    /// How many bytes of the newest records are kept in memory for readers. A commit with more
    /// of them is written in pieces, and is not kept. Default: 32 MiB.
    #[must_use]
    pub fn recent_bytes(self, recent_bytes: usize) -> Self {
        Self { recent_bytes, ..self }
    }

    /// How much memory the log may take in all, in bytes: a third for readers
    /// ([`LogOptions::recent_bytes`]) and two thirds for compaction
    /// ([`LogOptions::compaction_memory`]), after 4 MiB for what is being read and written.
    /// Default: 68 MiB.
    #[must_use]
    pub fn memory(self, bytes: usize) -> Self {
        let third = bytes.saturating_sub(PIECES) / 3;
        Self { recent_bytes: third, compaction_memory: 2 * third, ..self }
    }

    /// How much memory the log takes at most.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.recent_bytes + self.compaction_memory + PIECES
    }

    /// Whether every commit is done by the thread that asks for it, which blocks it, instead
    /// of by a thread of the log: then all that happens is a function of the calls. Default:
    /// no.
    #[must_use]
    pub fn inline(self, inline: bool) -> Self {
        Self { inline, ..self }
    }

    /// Who tells the time. Default: [`SystemClock`].
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Where the files are. Default: [`RealDisk`].
    #[must_use]
    pub fn disk(self, disk: Arc<dyn Disk>) -> Self {
        Self { disk, has_files: false, ..self }
    }

    /// How long after its append a tombstone is kept in a compacted topic, so that readers see
    /// it. Default: 24 hours.
    #[must_use]
    pub fn tombstone_retention(self, tombstone_retention: Duration) -> Self {
        Self { tombstone_retention, ..self }
    }

    /// How often the log looks for what retention and compaction may take; an inline log does
    /// so only when [`Log::maintain`] is called. Default: 10 seconds.
    #[must_use]
    pub fn maintenance(self, maintenance: Duration) -> Self {
        Self { maintenance, ..self }
    }

    /// The name that is shown to who finds the log in use, besides the process id.
    #[must_use]
    pub fn holder(self, holder: &str) -> Self {
        Self { holder: holder.to_owned(), ..self }
    }

    /// Opens the log in `dir`, and creates it if there is none.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<Log> {
        Log::open_with(dir.as_ref(), self)
    }

    /// Opens the log in `dir` to read it, also while another process has it open.
    pub fn open_reader(self, dir: impl AsRef<Path>) -> Result<LogReader> {
        LogReader::open(dir.as_ref(), &self)
    }
}
