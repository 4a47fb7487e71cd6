//! The handle of a running program.

use crate::{Data, Ended, Key, Query};
use suiro_core::Result;
use suiro_engine::{Metrics, Plan, Restoring, SnapshotReport};

/// What a running program is doing.
///
/// ```
/// use suiro::{App, AppState, Log, Topic, Topology};
///
/// fn is_ready(state: AppState) -> bool {
///     state == AppState::Running
/// }
///
/// const CLICKS: Topic<String, String> = Topic::json("clicks");
///
/// let topology = Topology::new("clicks");
/// let _counts = topology.stream(&CLICKS).count("counts");
/// let running = App::new(topology.build()?, Log::in_memory()).partitions(1).start()?;
/// while !is_ready(running.state()) {
///     std::thread::yield_now();
/// }
/// running.shutdown()?;
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppState {
    /// It restores its state; it reads no input yet, and look-ups wait.
    Restoring(Restoring),
    /// It reads and commits.
    Running,
    /// It has ended; [`Running::wait`] says why.
    Ended,
}

/// A running program. Dropping it commits and stops it, and hides its error: say
/// [`shutdown`](Running::shutdown) instead.
///
/// ```
/// use suiro::{App, Log, Running, Topic, Topology};
///
/// const WORDS: Topic<u64, String> = Topic::json("words");
/// const LOUD: Topic<u64, String> = Topic::json("loud-words");
///
/// let topology = Topology::new("loud");
/// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
///
/// let running: Running =
///     App::new(topology.build()?, Log::in_memory()).partitions(1).start()?;
/// assert_eq!(running.metrics().records_in, 0);
/// running.shutdown()?;
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct Running {
    pub(crate) worker: suiro_engine::Running,
    plan: Plan,
    ended: Ended,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("plan", &self.plan.name())
            .field("ended", &self.is_ended())
            .finish_non_exhaustive()
    }
}

impl Running {
    pub(crate) fn new(worker: suiro_engine::Running, plan: Plan, ended: Ended) -> Self {
        Self { worker, plan, ended }
    }

    /// What the program is doing, as of now.
    ///
    /// ```
    /// use suiro::{App, AppState, Log, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let running = App::new(topology.build()?, Log::in_memory()).partitions(1).start()?;
    /// while let AppState::Restoring(restoring) = running.state() {
    ///     println!("restoring: {} records of {}", restoring.records, restoring.of);
    /// }
    /// running.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn state(&self) -> AppState {
        match self.worker.restoring() {
            _ if self.is_ended() => AppState::Ended,
            Some(restoring) => AppState::Restoring(restoring),
            None => AppState::Running,
        }
    }

    /// Commits, leaves the group and waits for the end. The error is that of the program, if
    /// it had ended with one. A program that is still restoring its state stops with that.
    ///
    /// ```
    /// use suiro::{App, Log, Producer, Reader, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let log = Log::in_memory();
    /// let running = App::new(topology.build()?, log.clone()).partitions(1).start()?;
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.send(1, "tea".into(), 0)?;
    /// words.flush()?;
    /// while running.metrics().records_out < 1 {
    ///     std::thread::yield_now();
    /// }
    /// running.shutdown()?;
    /// assert_eq!(Reader::open(&log, &LOUD)?.read_to_end()?.len(), 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn shutdown(mut self) -> Result<()> {
        self.worker.stop();
        self.worker.join()
    }

    /// Waits for the end of the program, and returns its error if it ended with one. Unless it
    /// was started [to the end](crate::App::start_to_end), it ends by itself only so.
    ///
    /// ```
    /// use suiro::{App, Log, Producer, Topic, Topology};
    ///
    /// const TEXTS: Topic<u64, String> = Topic::json("texts");
    /// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
    ///
    /// let topology = Topology::new("parse");
    /// topology.stream(&TEXTS).try_map(|text| text.parse::<i64>()).to(&NUMBERS);
    ///
    /// let log = Log::in_memory();
    /// let running = App::new(topology.build()?, log.clone()).partitions(1).start()?;
    /// let mut texts = Producer::open(&log, &TEXTS)?;
    /// texts.send(1, "many".into(), 0)?;
    /// texts.flush()?;
    /// assert!(running.wait().unwrap_err().report().contains("try_map"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn wait(mut self) -> Result<()> {
        self.worker.join()
    }

    /// A future that becomes ready when the program has ended; then ask
    /// [`wait`](Running::wait) why.
    ///
    /// ```
    /// use suiro::{App, Log, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let running = App::new(topology.build()?, Log::in_memory()).partitions(1).start()?;
    /// let ended = running.ended();
    /// running.shutdown()?;
    /// // In a service: `tokio::select! { _ = ended => .., request = server => .. }`.
    /// let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// assert!(std::future::Future::poll(std::pin::pin!(ended), &mut cx).is_ready());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Whether the program has ended; then [`wait`](Running::wait) says why, at once.
    ///
    /// ```
    /// use suiro::{App, Log, Producer, Topic, Topology};
    ///
    /// const TEXTS: Topic<u64, String> = Topic::json("texts");
    /// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
    ///
    /// let topology = Topology::new("parse");
    /// topology.stream(&TEXTS).try_map(|text| text.parse::<i64>()).to(&NUMBERS);
    ///
    /// let log = Log::in_memory();
    /// let running = App::new(topology.build()?, log.clone()).partitions(1).start()?;
    /// let mut texts = Producer::open(&log, &TEXTS)?;
    /// texts.send(1, "many".into(), 0)?;
    /// texts.flush()?;
    /// while !running.is_ended() {
    ///     std::thread::yield_now();
    /// }
    /// assert!(running.wait().is_err());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn is_ended(&self) -> bool {
        self.worker.is_ended()
    }

    /// What the program has counted, as of its last commit, and how far its state is restored,
    /// as of now. It asks no task, and waits for nothing.
    ///
    /// ```
    /// use suiro::{App, Log, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let running = App::new(topology.build()?, Log::in_memory()).partitions(1).start()?;
    /// let metrics = running.metrics();
    /// assert_eq!((metrics.records_in, metrics.late, metrics.skipped), (0, 0, 0));
    /// running.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        self.worker.metrics()
    }

    /// Takes a snapshot of every store now, as of its last commit, and waits for it: before a
    /// planned restart, say. The app goes on meanwhile. Without
    /// [`App::snapshots`](crate::App::snapshots) it is an error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{App, Log, MemoryObjects, Snapshots, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let _counts = topology.stream(&CLICKS).count("counts");
    /// let snapshots =
    ///     Snapshots::in_objects(Duration::from_mins(1), MemoryObjects::default());
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(1);
    /// let running = app.snapshots(snapshots).start()?;
    /// assert_eq!(running.snapshot()?.unchanged, 1);
    /// running.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<SnapshotReport> {
        self.worker.snapshot()
    }

    /// Looks into the store called `name`, the name that its fold was given, whose keys are `K`
    /// and rows are `A`. What is seen is committed. A name that the program has not is an
    /// error; other types are one at the first look-up.
    ///
    /// ```
    /// use suiro::{App, Log, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let _counts = topology.stream(&CLICKS).count("counts");
    /// let running = App::new(topology.build()?, Log::in_memory()).partitions(1).start()?;
    /// let counts = running.query::<String, u64>("counts")?;
    /// assert_eq!(counts.get(&"ann".into())?, None);
    /// assert!(running.query::<String, u64>("sums").is_err());
    /// running.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn query<K: Key, A: Data>(&self, name: &str) -> Result<Query<'_, K, A>> {
        Query::new(&self.worker, &self.plan, name)
    }
}
