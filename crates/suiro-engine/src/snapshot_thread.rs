//! The thread that takes snapshots beside a running app.

use crate::snapshots::{SnapshotReport, Snapshots};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use suiro_core::{Clock, Error, Result};

/// The thread that takes snapshots. Dropping it ends it; a snapshot in the making is given up.
pub(crate) struct SnapshotThread {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is asked for.
#[derive(Default)]
struct Bell {
    asked: Mutex<Asked>,
    rung: Condvar,
}

#[derive(Default)]
struct Asked {
    stop: bool,
    /// Who waits for a snapshot.
    waiting: Vec<Sender<Result<SnapshotReport>>>,
}

impl Bell {
    /// What is asked is put whole, so it is right even after a panic.
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is asked, but no longer than `timeout`; gives whether to go on.
    fn wait(&self, timeout: Duration) -> bool {
        let idle = |asked: &mut Asked| !asked.stop && asked.waiting.is_empty();
        let waited = self.rung.wait_timeout_while(self.lock(), timeout, idle);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }
}

impl SnapshotThread {
    pub(crate) fn start(
        snapshots: Snapshots,
        every: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let bell = Arc::<Bell>::default();
        let own = Arc::clone(&bell);
        let thread = std::thread::Builder::new()
            .name("snapshots".into())
            .spawn(move || run(snapshots, every, &*clock, &own))
            .map_err(|error| Error::unavailable("cannot start a thread").caused_by(error))?;
        Ok(Self { bell, thread: Some(thread) })
    }

    /// Has a snapshot taken of what is committed now, and waits for it.
    pub(crate) fn take(&self) -> Result<SnapshotReport> {
        let (give, given) = channel();
        self.bell.lock().waiting.push(give);
        self.bell.rung.notify_all();
        given.recv().unwrap_or_else(|_| Err(Error::unavailable("the app has ended")))
    }
}

impl Drop for SnapshotThread {
    fn drop(&mut self) {
        self.bell.lock().stop = true;
        self.bell.rung.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic was reported where it happened, and cost a snapshot at most.
            let _ = thread.join();
        }
        self.bell.lock().waiting.clear();
    }
}

fn run(mut snapshots: Snapshots, every: Duration, clock: &dyn Clock, bell: &Bell) {
    let mut due = clock.elapsed() + every;
    loop {
        if !bell.wait(due.saturating_sub(clock.elapsed())) {
            return;
        }
        let waiting = std::mem::take(&mut bell.lock().waiting);
        if waiting.is_empty() && clock.elapsed() < due {
            continue;
        }
        let mut since = clock.elapsed();
        let taken = snapshots.step(&mut || {
            // Others are to have the processor at least half of the time, unless somebody waits.
            let worked = clock.elapsed().saturating_sub(since);
            let rest = if waiting.is_empty() { worked } else { Duration::ZERO };
            let go_on = bell.wait(rest);
            since = clock.elapsed();
            go_on
        });
        due = clock.elapsed() + every;
        match &taken {
            Ok(Some(report)) => tracing::debug!(?report, "snapshots taken"),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(error = %error.report(), "snapshots not taken; trying again");
            }
        }
        for give in waiting {
            let answer = match &taken {
                Ok(report) => Ok(report.clone().unwrap_or_default()),
                Err(error) => Err(Error::new(error.kind(), error.report())),
            };
            // Who no longer waits for the answer does not miss it.
            let _ = give.send(answer);
        }
    }
}
