//! The log: open, shared, closed.

use crate::catalog::topics_dir;
use crate::checkpoint::checkpoint_path;
use crate::core::Core;
use crate::disk::{Locking, Mode, failed};
use crate::journal::journal_dir;
use crate::options::LogOptions;
use crate::reader::LogReader;
use crate::recovery::recover;
use crate::session::LogSession;
use crate::writer::Threads;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Broker, Session};
use suiro_core::{Error, Result};

/// An embedded durable log in one directory. A clone is the same log; the last one that is
/// dropped closes it.
///
/// One process at a time has it open. Others read it meanwhile through [`Log::open_reader`].
///
/// ```
/// use suiro_core::broker::{Broker, Cleanup, Event, Outcome, TopicSpec};
/// use suiro_core::batch::{BatchWriter, Compression};
/// use suiro_core::{Headers, Timestamp, TopicPartition};
/// use suiro_log::Log;
///
/// let log = Log::in_memory();
/// let mut session = log.session("example").unwrap();
/// session.create(vec![TopicSpec {
///     name: "views".into(),
///     partitions: 1,
///     cleanup: Cleanup::Keep,
/// }]);
///
/// let mut batch = BatchWriter::new(Compression::None);
/// batch.push(Timestamp::ZERO, Some(b"ann"), Some(b"home"), &Headers::NONE);
/// let commit = session.begin();
/// session.append(commit, &TopicPartition::new("views", 0), batch.finish().unwrap());
/// session.commit(commit, None, vec![]);
///
/// let mut events = Vec::new();
/// session.poll(&mut events);
/// assert!(matches!(&events[1], Event::Resolved(_, Outcome::Committed { .. })));
/// ```
#[derive(Clone)]
pub struct Log(Arc<Handle>);

pub(crate) struct Handle {
    pub core: Arc<Core>,
    threads: Option<Threads>,
    /// Where it is, if it is in files of the machine.
    dir: Option<PathBuf>,
    _lock: Box<dyn Send + Sync>,
}

impl Log {
    /// Opens the log in `dir`, and creates it if there is none.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(dir)
    }

    /// The ways in which a log can be opened.
    pub fn options() -> LogOptions {
        LogOptions::new()
    }

    /// Opens the log in `dir` to read it, also while another process has it open.
    pub fn open_reader(dir: impl AsRef<Path>) -> Result<LogReader> {
        Self::options().open_reader(dir)
    }

    /// A log without files, for tests: everything happens on the caller's thread.
    pub fn in_memory() -> Self {
        let log = LogOptions::in_memory().open("log");
        log.expect("a new log in memory has nothing that could fail")
    }

    pub(crate) fn open_with(dir: &Path, options: LogOptions) -> Result<Self> {
        let disk = Arc::clone(&options.disk);
        let missing = dir.ancestors().take_while(|dir| disk.list(dir).is_err()).count();
        for dir in [dir.to_path_buf(), journal_dir(dir), topics_dir(dir)] {
            let error = |error| failed("create the directory of the log", &dir, error);
            disk.create_dir(&dir).map_err(error)?;
        }
        let lock = lock(dir, &options)?;
        for dir in dir.ancestors().take(missing + 1) {
            let error = |error| failed("make the names durable", dir, error);
            disk.sync_dir(dir).map_err(error)?;
        }
        if disk.open(&checkpoint_path(dir), Mode::Read).is_err() {
            // An attempt that ended early may have made directories whose names are not durable.
            // Those that this process may not open were there before.
            for dir in dir.ancestors().skip(missing + 1) {
                let _ = disk.sync_dir(dir);
            }
        }
        let (inline, files) = (options.inline, options.has_files.then(|| dir.to_path_buf()));
        let core = Arc::new(recover(dir, options)?);
        let threads = match inline {
            true => None,
            false => Some(Threads::start(&core).map_err(|error| {
                Error::unavailable("cannot start the threads of the log").caused_by(error)
            })?),
        };
        Ok(Self(Arc::new(Handle { core, threads, dir: files, _lock: lock })))
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> &Core {
        &self.0.core
    }

    /// Deletes what retention and compaction may take. The log does so by itself now and then,
    /// unless it is inline.
    pub fn maintain(&self) -> Result<()> {
        self.0.core.keeper().maintain(&self.0.core)
    }

    /// Writes what is still to be written, so that the next open has nothing to replay. Other
    /// clones and sessions keep the log open.
    pub fn close(self) -> Result<()> {
        self.0.core.keeper().checkpoint(&self.0.core)
    }
}

fn lock(dir: &Path, options: &LogOptions) -> Result<Box<dyn Send + Sync>> {
    let path = dir.join("LOCK");
    let holder = format!("process {} {}", std::process::id(), options.holder);
    let locking = options.disk.lock(&path, holder.trim_end());
    match locking.map_err(|error| failed("lock the log", &path, error))? {
        Locking::Held(lock) => Ok(lock),
        Locking::HeldBy(holder) => {
            Err(Error::invalid("log is in use: stop its holder, or choose another directory")
                .with("dir", dir.display())
                .with("holder", holder))
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(threads) = &mut self.threads {
            threads.stop_keeper();
        }
        if !self.core.ledger().is_fresh() {
            // What is not written now is replayed by the next open.
            let _ = self.core.keeper().checkpoint(&self.core);
        }
        self.threads = None;
    }
}

impl Broker for Log {
    fn session(&self, name: &str) -> Result<Box<dyn Session>> {
        Ok(Box::new(LogSession::open(Arc::clone(&self.0), name)?))
    }

    fn tombstone_retention(&self) -> Duration {
        self.0.core.options.tombstone_retention
    }

    fn memory(&self) -> usize {
        self.0.core.options.memory_bytes()
    }

    fn directory(&self) -> Option<&Path> {
        self.0.dir.as_deref()
    }
}
