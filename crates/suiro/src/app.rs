//! A plan, a log and settings: a running service.

#[cfg(feature = "disk")]
use crate::budget::Budget;
use crate::{Ended, Reset, Running, Snapshots};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Broker, Guarantee};
use suiro_core::store::StoreProvider;
use suiro_core::{Clock, Error, Result, SystemClock};
use suiro_engine::{
    ExchangeKind, Executor, ExecutorHandle, Metrics, Plan, Settings, Shelf, Worker,
};

/// So many bytes of changes may always be on their way to stores below.
const UNDER_WAY: usize = 1 << 20;

/// A program that is ready to run on a log.
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
/// let mut words = Producer::open(&log, &WORDS)?;
/// words.create(1)?;
/// words.send(1, "tea".into(), 0)?;
/// words.flush()?;
///
/// App::new(topology.build()?, log.clone()).run_to_end()?;
/// let loud = Reader::open(&log, &LOUD)?.read_to_end()?;
/// assert_eq!(loud[0].value, Some("TEA".to_owned()));
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct App {
    plan: Plan,
    broker: Arc<dyn Broker>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    snapshots: Option<Snapshots>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("plan", &self.plan.name())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl App {
    /// The program `plan` on `broker`, with default settings: one thread, a commit at least
    /// every 100 ms under load, exchanges in memory (through topics where other processes may
    /// share the work), missing sources refused.
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
    /// let error = App::new(topology.build()?, Log::in_memory()).run_to_end().unwrap_err();
    /// assert!(error.report().contains("words"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn new(plan: Plan, broker: impl Broker + 'static) -> Self {
        let clock = Arc::new(SystemClock::default());
        let exchange = match broker.is_shared() {
            true => ExchangeKind::Topic,
            false => ExchangeKind::Memory,
        };
        let settings = Settings { exchange, ..Settings::default() };
        Self { plan, broker: Arc::new(broker), settings, clock, snapshots: None }
    }

    /// How many threads work on tasks. A task runs on one thread at a time, so that more
    /// threads than partitions do not help. The results do not depend on it (rule D1).
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
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(4);
    /// assert_eq!(app.threads(4).run_to_end()?.records_in, 0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads.max(1);
        self
    }

    /// How many copies of the state of each task other processes of the app keep, where the
    /// broker lets several processes share an app (Kafka); elsewhere it changes nothing. A copy
    /// follows what is committed, so that a process whose task moves, or whose neighbour dies,
    /// goes on within moments instead of restoring the state first. Each copy costs as much
    /// memory, or disk, as the state, and the network reads changelogs once more. 0 by default;
    /// [`Metrics::copies`](crate::Metrics::copies) shows those that a process keeps, and how far
    /// they are behind. The most that a process of the app asks for counts.
    ///
    /// ```
    /// use suiro::{App, Log, Topic, Topology};
    ///
    /// const WORDS: Topic<String, String> = Topic::json("words");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("counts");
    /// topology.stream(&WORDS).count("words").to(&COUNTS);
    ///
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(4);
    /// let metrics = app.standbys(1).run_to_end()?;
    /// assert_eq!(metrics.copies, []);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn standbys(mut self, standbys: u32) -> Self {
        self.settings.standbys = standbys;
        self
    }

    /// The longest time between two commits under load. When there is nothing more to do, a
    /// commit comes at once. A shorter interval shows results sooner; a longer one costs less.
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
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(4);
    /// let metrics = app.commit_interval(std::time::Duration::from_secs(1)).run_to_end()?;
    /// assert_eq!(metrics.records_out, 0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.settings.commit_interval = interval;
        self
    }

    /// What is promised where something fails: exactly once (the default), or at least once. On
    /// Kafka that saves the transactions: outputs and changes of tables are there when they are
    /// written, and positions follow; after a failure some are written again. A process that was
    /// taken for dead, but lives, may write once more, behind who took over: then older rows of
    /// tables replace newer ones. The embedded log commits at once, and so exactly once.
    ///
    /// ```
    /// use suiro::{App, Guarantee, Log, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(4);
    /// assert_eq!(app.guarantee(Guarantee::AtLeastOnce).run_to_end()?.records_out, 0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.settings.guarantee = guarantee;
        self
    }

    /// How much longer a task waits for an input that is caught up and empty, while its other
    /// inputs have records (rule T3). It makes up for producers whose records come late; what
    /// it orders is no longer a function of the inputs alone. Default: not at all.
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
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(4);
    /// let patience = std::time::Duration::from_millis(50);
    /// assert_eq!(app.max_idle(patience).run_to_end()?.late, 0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn max_idle(mut self, patience: Duration) -> Self {
        self.settings.max_idle = patience;
        self
    }

    /// How rows cross from one task to another: in memory (the default), or always through the
    /// internal topic. The results do not depend on it (rule D1).
    ///
    /// ```
    /// use suiro::{App, ExchangeKind, Log, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(4);
    /// let metrics = app.exchange(ExchangeKind::Topic).run_to_end()?;
    /// assert_eq!(metrics.records_in, 0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn exchange(mut self, kind: ExchangeKind) -> Self {
        self.settings.exchange = kind;
        self
    }

    /// Source topics that do not exist are created, with this number of partitions. Without
    /// it, a missing source is an error. Topics that exist stay as they are.
    ///
    /// ```
    /// use suiro::{App, Log, Reader, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let log = Log::in_memory();
    /// App::new(topology.build()?, log.clone()).partitions(4).run_to_end()?;
    /// assert!(Reader::open(&log, &WORDS)?.read_to_end()?.is_empty());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.settings.create_sources = Some(partitions);
        self
    }

    /// Keeps the rows of tables, windows and sessions in stores that `provider` opens, and of
    /// them as many in memory as `memory` bytes have room for: those that changed last. The
    /// stores are written to beside the work, once a commit is done; after a crash they are
    /// brought up to it from the changelog.
    ///
    /// All rows of a window are in memory when it closes, and so are all sessions at the end of
    /// a bounded run: what closes at once is sent in one commit. A table with a
    /// [`ttl`](crate::Table::ttl) is in memory as a whole.
    ///
    /// ```
    /// use suiro::{App, Log, MemoryStores, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("clicks");
    /// topology.stream(&CLICKS).count("counts").to(&COUNTS);
    /// App::new(topology.build()?, Log::in_memory())
    ///     .partitions(1)
    ///     .stores(MemoryStores::default(), 1 << 20)
    ///     .run_to_end()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn stores(mut self, provider: impl StoreProvider + 'static, memory: usize) -> Self {
        let under_way = (memory / 8).max(UNDER_WAY);
        self.settings.shelf = Shelf::Below { provider: Arc::new(provider), memory, under_way };
        self
    }

    /// Keeps the rows of all stores in the directory `place`, made if it is not there, and of them
    /// as many in memory as there is room for.
    ///
    /// `budget` is in bytes, and for the process: what the log takes ([`LogOptions::memory`]),
    /// rows that are held, the stores' caches and write buffers, what a commit makes. The input
    /// is slowed down where changes come faster than the stores take them. What comes on top,
    /// up to a fifth and 16 MiB, is what the allocator keeps, and what the program itself has.
    /// Rows that are larger than a few kibibytes need a budget of many of them.
    ///
    /// [`LogOptions::memory`]: crate::LogOptions::memory
    ///
    /// The changelog stays the durability of the rows: the directory may be deleted while the
    /// app does not run, and is built anew. See [`App::stores`].
    ///
    /// # Errors
    ///
    /// `Unavailable` if another process has the directory open or it cannot be written,
    /// `Corrupt` if it is damaged: then delete it; `Invalid` if the log takes more than half of
    /// the budget, or leaves less than 8 MiB.
    ///
    /// ```
    /// use suiro::{App, Log, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let topology = Topology::new("clicks");
    /// topology.stream(&CLICKS).count("counts").to(&COUNTS);
    /// let dir = tempfile::tempdir()?;
    /// App::new(topology.build()?, Log::in_memory())
    ///     .partitions(1)
    ///     .state_on_disk(dir.path(), 64 << 20)?
    ///     .run_to_end()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "disk")]
    pub fn state_on_disk(
        mut self,
        place: impl AsRef<std::path::Path>,
        budget: usize,
    ) -> Result<Self> {
        let Budget { rows: memory, stores, under_way } =
            Budget::of(budget, self.broker.memory())?;
        let provider = Arc::new(suiro_store::DiskStores::open_in(place, stores as u64)?);
        self.settings.shelf = Shelf::Below { provider, memory, under_way };
        Ok(self)
    }

    /// Takes snapshots of the stores, so that a restart replays only what was committed after
    /// the last one. Default: none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{App, Log, MemoryObjects, Snapshots, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let _counts = topology.stream(&CLICKS).count("counts");
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(1);
    ///
    /// let snapshots =
    ///     Snapshots::in_objects(Duration::from_mins(1), MemoryObjects::default());
    /// app.snapshots(snapshots).start()?.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn snapshots(mut self, snapshots: Snapshots) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// What runs the calls that the program makes ([`Stream::call`](crate::Stream::call)). Default:
    /// with the feature `tokio`, the runtime in which the app is started; without it there is none,
    /// and a program that makes calls does not start.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{App, Executor, Log, Producer, Reader, Topic, Topology, Work};
    ///
    /// /// Runs each call where it is made. It holds up the program, and knows no time.
    /// struct Here;
    ///
    /// impl Executor for Here {
    ///     fn spawn(&self, mut work: Work) {
    ///         let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    ///         while work.as_mut().poll(&mut cx).is_pending() {
    ///             std::thread::yield_now();
    ///         }
    ///     }
    ///
    ///     fn sleep(&self, _time: Duration) -> Work {
    ///         Box::pin(std::future::pending())
    ///     }
    /// }
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// let shout = |word: String| async move { Ok::<_, std::io::Error>(word.to_uppercase()) };
    /// topology.stream(&WORDS).call("shouts", 4, shout).to(&LOUD);
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// words.send(1, "tea".into(), 0)?;
    /// words.flush()?;
    /// App::new(topology.build()?, log.clone()).executor(Here).run_to_end()?;
    /// assert_eq!(Reader::open(&log, &LOUD)?.read_to_end()?[0].value.as_deref(), Some("TEA"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn executor(mut self, executor: impl Executor + 'static) -> Self {
        self.settings.executor = Some(ExecutorHandle::new(executor));
        self
    }

    /// What the engine runs with: stores are loaded on all cores.
    fn settings(&self) -> Result<Settings> {
        let snapshots = self.snapshots.as_ref();
        let snapshots = snapshots.map(|it| it.open(&*self.broker)).transpose()?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let executor = self.settings.executor.clone();
        #[cfg(feature = "tokio")]
        let executor =
            executor.or_else(|| Some(ExecutorHandle::new(crate::TokioExecutor::here()?)));
        Ok(Settings { snapshots, executor, restore_threads: cores, ..self.settings.clone() })
    }

    /// Finds out what resetting the app would remove, so that it begins anew: how far it has
    /// read, its internal topics, the rows in its stores ([`App::stores`]) and its snapshots, where
    /// the app is told of them as for a run. Nothing is changed by it; [`Reset::carry_out`] does it.
    ///
    /// What the app read and wrote for others stays: it will read all of its sources again, and
    /// write its results once more. Internal topics of stores that an older version had, and this
    /// one has not, stay too: reset the app as it was before. Stores of processes on other machines
    /// are out of reach: reset the app there, too, or delete their directories, before it is started.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the log cannot be asked, `Invalid` if it does not let the app.
    ///
    /// ```
    /// use suiro::{App, Log, Producer, Reader, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const COUNTS: Topic<u64, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("count");
    /// topology.stream(&WORDS).map(|_| ()).count("counts").to(&COUNTS);
    /// let plan = topology.build()?;
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// words.send(1, "tea".into(), 0)?;
    /// words.flush()?;
    /// App::new(plan.clone(), log.clone()).run_to_end()?;
    ///
    /// let reset = App::new(plan.clone(), log.clone()).reset()?;
    /// println!("{reset}");
    /// # assert!(reset.to_string().contains("count.counts.changelog"));
    /// reset.carry_out()?;
    /// let again = App::new(plan, log.clone()).run_to_end()?;
    /// assert_eq!(again.records_in, 1);
    /// let counts = Reader::open(&log, &COUNTS)?.read_to_end()?;
    /// assert_eq!(counts.iter().map(|it| it.value).collect::<Vec<_>>(), [Some(1), Some(1)]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    ///
    /// [`Reset::carry_out`]: crate::Reset::carry_out
    pub fn reset(self) -> Result<Reset> {
        let snapshots = self.snapshots.as_ref();
        let snapshots = snapshots.map(|it| it.open(&*self.broker)).transpose()?;
        let settings = Settings { snapshots, ..self.settings };
        Ok(Reset(suiro_engine::Reset::look(&self.plan, &*self.broker, &settings)?))
    }

    /// Starts the program on a thread of its own. It returns when it is known where each source
    /// begins; the state is restored behind it, and [`Running::state`] says how far that is.
    ///
    /// Errors of the program come from here: a missing source, topics with other numbers of
    /// partitions. Those of the state, which is read later, and of the run come from
    /// [`Running::wait`].
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
    /// assert!(!running.is_ended());
    /// running.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn start(self) -> Result<Running> {
        let settings = self.settings()?;
        let Self { plan, broker, clock, .. } = self;
        let ended = Ended::default();
        let at_end = ended.clone();
        let copy = plan.clone();
        let worker = Worker::start(plan, &*broker, settings, clock, move || at_end.set())?;
        Ok(Running::new(worker, copy, ended))
    }

    /// Runs until the process gets SIGINT or SIGTERM; then commits, leaves its group and
    /// returns. An error of the program ends it earlier, and is returned.
    ///
    /// ```no_run
    /// use suiro::{App, Log, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let log = Log::open("/var/lib/loud")?;
    /// App::new(topology.build()?, log).partitions(4).run()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn run(self) -> Result<()> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
            .map_err(|error| Error::unavailable("cannot wait for signals").caused_by(error))?;
        let stop = signals.handle();
        let settings = self.settings()?;
        let Self { plan, broker, clock, .. } = self;
        let mut worker = Worker::start(plan, &*broker, settings, clock, move || stop.close())?;
        // Ends with the first signal, or without one when the program has ended by itself.
        signals.forever().next();
        worker.stop();
        worker.join()
    }

    /// Runs until the sources are read to where they end now, closes all windows, and returns
    /// what was counted.
    ///
    /// The ends are taken once, at the first start, and kept: after a crash the run goes on to
    /// the same ends. A further run writes nothing, unless sources have grown; then it goes on
    /// to their new ends, and windows that are closed stay closed.
    ///
    /// ```
    /// use suiro::{App, Log, Producer, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    /// let plan = topology.build()?;
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// words.send(1, "tea".into(), 0)?;
    /// words.flush()?;
    /// assert_eq!(App::new(plan.clone(), log.clone()).run_to_end()?.records_out, 1);
    /// assert_eq!(App::new(plan, log).run_to_end()?.records_out, 0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn run_to_end(self) -> Result<Metrics> {
        let mut running = self.start_to_end()?;
        running.worker.join()?;
        Ok(running.metrics())
    }

    /// Starts a bounded run, as [`run_to_end`](App::run_to_end) does, on a thread of its own:
    /// with metrics, state and queries while it runs. The ends of the sources are those of now.
    /// [`Running::wait`] waits for the end.
    ///
    /// ```
    /// use suiro::{App, AppState, Log, Producer, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const LOUD: Topic<u64, String> = Topic::json("loud-words");
    ///
    /// let topology = Topology::new("loud");
    /// topology.stream(&WORDS).map(|word| word.to_uppercase()).to(&LOUD);
    ///
    /// let log = Log::in_memory();
    /// let mut words = Producer::open(&log, &WORDS)?;
    /// words.create(1)?;
    /// words.send(1, "tea".into(), 0)?;
    /// words.flush()?;
    /// let running = App::new(topology.build()?, log).start_to_end()?;
    /// while running.state() != AppState::Ended {
    ///     let metrics = running.metrics();
    ///     println!("{} records read, {} to go", metrics.records_in, metrics.lag());
    /// #   std::thread::yield_now();
    /// }
    /// assert_eq!(running.metrics().records_out, 1);
    /// running.wait()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn start_to_end(mut self) -> Result<Running> {
        self.settings.bounded = true;
        self.start()
    }
}
