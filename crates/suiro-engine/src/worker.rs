//! Threads: one that moves a scope in rounds, and a pool that helps it with the tasks.
//!
//! Beside the thread of the snapshots these are the only threads of the engine.

use crate::below::{Lowering, Porter, Shelf};
use crate::crew::{Alone, Crew, Job};
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::progress::{Progress, Restoring};
use crate::scope::{Round, Scope};
use crate::settings::Settings;
use crate::snapshot_thread::SnapshotThread;
use crate::snapshots::{SnapshotReport, Snapshots};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use suiro_core::broker::{Broker, Wake};
use suiro_core::{Clock, Error, Result};

/// A job for the thread of the scope, done between two rounds.
type Errand = Box<dyn FnOnce(&mut Scope) + Send>;

/// Starts programs on threads of their own.
pub struct Worker;

/// A running program.
pub struct Running {
    thread: Option<JoinHandle<Result<()>>>,
    errands: Sender<Message>,
    waker: Arc<dyn Wake>,
    metrics: Arc<Mutex<Metrics>>,
    progress: Arc<Progress>,
    snapshots: Option<SnapshotThread>,
}

enum Message {
    Errand(Errand),
    Stop,
}

impl Worker {
    /// Opens `plan` on `broker`, restores it and runs it on a thread of its own, with as many
    /// helpers as the settings say. Returns when it is known where each source begins and, in a
    /// bounded run, ends. `done` is called at the end.
    pub fn start(
        plan: Plan,
        broker: &dyn Broker,
        settings: Settings,
        clock: Arc<dyn Clock>,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<Running> {
        let threads = settings.threads;
        let name = plan.name().to_string();
        let is_below = !matches!(settings.shelf, Shelf::Memory);
        let every = settings.snapshots.as_ref().map(|snapshots| snapshots.every);
        let mut scope = Scope::begin(plan, broker, settings, Arc::clone(&clock))?;
        let snapshots = match (Snapshots::open(&scope, broker)?, every) {
            (Some(snapshots), Some(every)) => {
                Some(SnapshotThread::start(snapshots, every, clock)?)
            }
            _ => None,
        };
        let (waker, progress) = (scope.waker(), Arc::clone(&scope.progress));
        // Nothing is restored yet, whenever the thread begins with it.
        progress.set(Some(Restoring::default()));
        let metrics = Arc::new(Mutex::new(scope.metrics()));
        let (errands, inbox) = channel();
        let (shown, restoring) = (Arc::clone(&metrics), Arc::clone(&progress));
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || {
                let mut crew = Pool::new(threads, SMALL);
                if is_below {
                    scope.set_porter(Carrier::new());
                }
                let run = AssertUnwindSafe(|| run(scope, &mut crew, &inbox, &shown));
                let result = catch_unwind(run).unwrap_or_else(|_| {
                    Err(Error::corrupt("the engine panicked; nothing uncommitted was kept"))
                });
                restoring.set(None);
                done();
                // Whoever stopped it does not ask for its state.
                if restoring.was_cut() { Ok(()) } else { result }
            })
            .map_err(|error| Error::unavailable("cannot start a thread").caused_by(error))?;
        Ok(Running { thread: Some(thread), errands, waker, metrics, progress, snapshots })
    }
}

fn run(
    mut scope: Scope,
    crew: &mut dyn Crew,
    inbox: &Receiver<Message>,
    shown: &Mutex<Metrics>,
) -> Result<()> {
    scope.restore()?;
    *shown.lock().unwrap_or_else(PoisonError::into_inner) = scope.metrics();
    scope.progress.set(None);
    let mut commits = u64::MAX;
    loop {
        while let Ok(message) = inbox.try_recv() {
            match message {
                Message::Errand(errand) => errand(&mut scope),
                Message::Stop => {
                    scope.commit(crew)?;
                    *shown.lock().unwrap_or_else(PoisonError::into_inner) = scope.metrics();
                    return scope.close(crew);
                }
            }
        }
        let round = scope.round(crew)?;
        if scope.totals.commits != commits || round != Round::Busy {
            commits = scope.totals.commits;
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = scope.metrics();
        }
        match round {
            Round::Busy => {}
            Round::Idle => scope.wait(),
            Round::Ended => return scope.close(crew),
        }
    }
}

impl Running {
    /// Asks the program to commit and stop. It does not wait.
    pub fn stop(&self) {
        self.progress.stop();
        // A program that has ended takes no message, and needs none.
        let _ = self.errands.send(Message::Stop);
        self.waker.wake();
    }

    /// Waits for the end.
    pub fn join(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let ended = thread.join();
        self.snapshots = None;
        ended.unwrap_or_else(|_| Err(Error::corrupt("the engine panicked")))
    }

    /// Has a snapshot taken of every store, as of its last commit, and waits for it.
    pub fn snapshot(&self) -> Result<SnapshotReport> {
        let text = "the app has no place for snapshots; name one before it is started";
        let thread = self.snapshots.as_ref().ok_or_else(|| Error::invalid(text))?;
        thread.take()
    }

    /// Whether the program has ended.
    pub fn is_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// A snapshot as of the last commit; what it says of restoring is as of now.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        metrics.restoring = self.restoring();
        metrics
    }

    /// How far restoring is; `None` if nothing is being restored.
    pub fn restoring(&self) -> Option<Restoring> {
        self.progress.restoring()
    }

    /// Has `ask` called between two rounds, where all tasks are at rest.
    pub fn visit<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Scope) -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = channel();
        let errand: Errand = Box::new(move |scope| {
            // Who no longer waits for the answer does not miss it.
            let _ = answer.send(ask(scope));
        });
        let gone = || Error::unavailable("the app has ended");
        self.errands.send(Message::Errand(errand)).map_err(|_| gone())?;
        self.waker.wake();
        answered.recv().map_err(|_| gone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        if let Err(error) = self.join() {
            tracing::error!(error = %error.report(), "the app ended with an error");
        }
    }
}

/// Has `work` called on as many threads at the same time, and waits for all of them. With one
/// thread, or where no more can be had, the caller does it alone: the calls share what there is
/// to do.
pub(crate) fn in_parallel(threads: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let helper = std::thread::Builder::new().name("suiro-load".into());
            if helper.spawn_scoped(scope, &work).is_err() {
                break;
            }
        }
        work();
    });
}

/// Helpers that share the jobs of a round. Small rounds are done by the scope's own thread.
struct Pool {
    helpers: Vec<Sender<Job>>,
    done: Receiver<Job>,
    /// Rounds that weigh less stay on one thread.
    small: usize,
}

/// A crew of so many threads that shares the jobs of every round, however small.
pub fn crew_of(threads: usize) -> Box<dyn Crew> {
    Box::new(Pool::new(threads, 0))
}

/// Rounds that weigh less are not worth a second thread.
const SMALL: usize = 64 * 1024;

impl Pool {
    fn new(threads: usize, small: usize) -> Self {
        let (give, done) = channel::<Job>();
        let mut helpers = Vec::new();
        for number in 1..threads {
            let (sender, jobs) = channel::<Job>();
            let give = give.clone();
            let helper = std::thread::Builder::new().name(format!("suiro-{number}"));
            let started = helper.spawn(move || {
                for mut job in jobs {
                    job.run();
                    if give.send(job).is_err() {
                        return;
                    }
                }
            });
            // With fewer helpers than asked for the work is still done.
            if started.is_ok() {
                helpers.push(sender);
            }
        }
        Self { helpers, done, small }
    }
}

impl Crew for Pool {
    fn work(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let weight: usize = jobs.iter().map(Job::weight).sum();
        if self.helpers.is_empty() || jobs.len() < 2 || weight < self.small {
            return Alone.work(jobs);
        }
        let count = jobs.len();
        let mut sorted = jobs;
        sorted.sort_by_key(|job| std::cmp::Reverse(job.weight()));
        let (mut own, mut finished) = (Vec::new(), Vec::with_capacity(count));
        let hands = self.helpers.len() + 1;
        for (turn, job) in sorted.into_iter().enumerate() {
            match self.helpers.get(turn % hands) {
                Some(helper) => {
                    if let Err(refused) = helper.send(job) {
                        own.push(refused.0);
                    }
                }
                None => own.push(job),
            }
        }
        finished.extend(Alone.work(own));
        while finished.len() < count {
            finished.push(self.done.recv().expect("a helper gives back every job it took"));
        }
        finished
    }
}

/// A thread that writes to stores below, so that a store that is slow for a while does not hold
/// up the work.
struct Carrier {
    /// Gone only while this is dropped.
    take: Option<Sender<Lowering>>,
    done: Receiver<Lowering>,
    thread: Option<JoinHandle<()>>,
}

impl Carrier {
    fn new() -> Self {
        let (take, work) = channel::<Lowering>();
        let (give, done) = channel();
        let thread = std::thread::Builder::new().name("suiro-stores".into());
        let started = thread.spawn(move || {
            for mut lowering in work {
                lowering.run();
                if give.send(lowering).is_err() {
                    return;
                }
            }
        });
        if let Err(error) = &started {
            tracing::error!(error = %error, "cannot start the thread that writes to stores");
        }
        Self { take: Some(take), done, thread: started.ok() }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.take = None;
        // The stores are let go of before the app has ended, so that it can be started again.
        // One that panicked has left what it did undone, and the wait for it has ended the app.
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Porter for Carrier {
    fn take(&mut self, lowering: Lowering) {
        // Without the thread it stays undone, and the wait for it ends the app.
        if let Some(take) = &self.take {
            let _ = take.send(lowering);
        }
    }

    fn done(&mut self, wait: Option<Duration>) -> Result<Vec<Lowering>> {
        let first = match wait.map(|wait| self.done.recv_timeout(wait)) {
            Some(Err(RecvTimeoutError::Disconnected)) => {
                return Err(Error::unavailable("nobody writes to the stores any more"));
            }
            first => first.and_then(|first| first.ok()),
        };
        Ok(first.into_iter().chain(self.done.try_iter()).collect())
    }
}
