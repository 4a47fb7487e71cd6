//! The threads of a log: the writer, which commits, and the keeper, which cleans up behind it.

use crate::core::{Core, Job};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use suiro_core::Error;
use suiro_core::broker::{Event, Outcome};

/// What waits for the two threads.
#[derive(Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    writer: Condvar,
    keeper: Condvar,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    /// The journal is long enough for a checkpoint.
    checkpoint: bool,
    keeper_stops: bool,
    writer_stops: bool,
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job behind the others.
    pub fn push(&self, job: Job) {
        let mut inner = self.inner();
        if inner.writer_stops {
            drop(inner);
            refuse(job);
            return;
        }
        inner.jobs.push_back(job);
        drop(inner);
        self.writer.notify_one();
    }

    /// Refuses all jobs from now on.
    fn close(&self) {
        let mut inner = self.inner();
        inner.writer_stops = true;
        let jobs = std::mem::take(&mut inner.jobs);
        drop(inner);
        jobs.into_iter().for_each(refuse);
    }

    /// Takes all jobs; waits for one, but no longer than `timeout`. `None` at the end.
    fn take(&self, timeout: Option<Duration>) -> Option<Vec<Job>> {
        let idle = |inner: &mut Inner| inner.jobs.is_empty() && !inner.writer_stops;
        let guard = self.inner();
        let mut inner = match timeout {
            None => self.writer.wait_while(guard, idle).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = self.writer.wait_timeout_while(guard, timeout, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let jobs: Vec<Job> = inner.jobs.drain(..).collect();
        (!jobs.is_empty() || !inner.writer_stops).then_some(jobs)
    }

    fn ask_for_checkpoint(&self) {
        let mut inner = self.inner();
        if !inner.checkpoint {
            inner.checkpoint = true;
            self.keeper.notify_one();
        }
    }

    /// Waits until there is something for the keeper; `None` at the end, else whether a
    /// checkpoint is due.
    fn wait_for_keeper(&self, timeout: Duration) -> Option<bool> {
        let idle = |inner: &mut Inner| !inner.checkpoint && !inner.keeper_stops;
        let waited = self.keeper.wait_timeout_while(self.inner(), timeout, idle);
        let mut inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        (!inner.keeper_stops).then(|| std::mem::take(&mut inner.checkpoint))
    }
}

/// Answers a job that nobody will do. Work is dropped: whoever asked for it sees that.
fn refuse(job: Job) {
    if let Job::Commit(request) = job {
        let error = Error::unavailable("log is closed: open it again");
        request.mailbox.post(Event::Resolved(request.id, Outcome::Aborted(error)));
    }
}

/// Closes the queue of a writer that ends, even if it panics.
struct CloseAtEnd<'a>(&'a Queue);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The running threads of a log.
pub(crate) struct Threads {
    core: Arc<Core>,
    writer: Option<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Threads {
    /// Starts the threads.
    pub fn start(core: &Arc<Core>) -> io::Result<Self> {
        let mut threads = Self { core: Arc::clone(core), writer: None, keeper: None };
        let of_writer = Arc::clone(core);
        let writer = Builder::new().name("suiro-log-writer".into());
        threads.writer = Some(writer.spawn(move || write(&of_writer))?);
        let of_keeper = Arc::clone(core);
        let keeper = Builder::new().name("suiro-log-keeper".into());
        threads.keeper = Some(keeper.spawn(move || keep(&of_keeper))?);
        Ok(threads)
    }

    /// Lets the keeper end, and waits for it.
    pub fn stop_keeper(&mut self) {
        self.core.queue.inner().keeper_stops = true;
        self.core.queue.keeper.notify_all();
        join(&mut self.keeper);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop_keeper();
        self.core.queue.inner().writer_stops = true;
        self.core.queue.writer.notify_all();
        join(&mut self.writer);
    }
}

fn join(thread: &mut Option<JoinHandle<()>>) {
    if let Some(thread) = thread.take() {
        // A thread that panicked has said so already.
        let _ = thread.join();
    }
}

fn write(core: &Core) {
    let _close = CloseAtEnd(&core.queue);
    let mut timeout = None;
    while let Some(jobs) = core.queue.take(timeout) {
        let mut ledger = core.ledger();
        core.execute(&mut ledger, jobs);
        timeout = ledger.tick(core);
        if ledger.journal.end >= core.options.journal_bytes {
            core.queue.ask_for_checkpoint();
        }
    }
}

fn keep(core: &Core) {
    while let Some(is_due) = core.queue.wait_for_keeper(core.options.maintenance) {
        let mut keeper = core.keeper();
        // What fails here is tried again, and fails loudly where somebody waits for it.
        let _ = match is_due {
            true => keeper.checkpoint(core),
            false => keeper.maintain(core),
        };
    }
}
