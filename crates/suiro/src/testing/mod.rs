//! Runs a plan in a test: no threads, no disk, and a clock that stands still.

mod options;
mod polled;

pub use options::TestOptions;

use polled::Polled;

use crate::{Data, Key, Producer, Reader, Received, Record, Topic};
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use suiro_core::broker::Broker;
use suiro_core::{Clock, Error, Headers, Offset, Result, Timestamp};
use suiro_engine::{
    Crew, ExecutorHandle, Metrics, Plan, Round, Scope, Settings, Shelf, crew_of,
};
use suiro_log::Log;
use suiro_store::MemoryStores;

/// Runs a plan by hand: send a record, and read what came of it.
///
/// All of the engine takes part, on a log in memory: after each [`send`](TestDriver::send) the
/// program takes what there is and commits. Rows that are kept and rows that cross an exchange
/// are encoded and decoded on the way, so that a format which loses something shows.
///
/// ```
/// use suiro::{TestDriver, Topic, Topology};
///
/// const NUMBERS: Topic<String, i64> = Topic::json("numbers");
/// const SUMS: Topic<String, i64> = Topic::json("sums");
///
/// let topology = Topology::new("sums");
/// topology.stream(&NUMBERS).fold("sums", || 0, |sum, n| *sum += n).to(&SUMS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&NUMBERS, "a".into(), 3, 0)?;
/// driver.crash()?;
/// driver.send(&NUMBERS, "a".into(), 4, 1)?;
/// assert_eq!(driver.read(&SUMS)?[1].value, 7);
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct TestDriver {
    plan: Plan,
    log: Log,
    scope: Option<Scope>,
    settings: Settings,
    crew: Box<dyn Crew>,
    polled: Polled,
    options: TestOptions,
    clock: Arc<StillClock>,
    producers: HashMap<String, Box<dyn Any>>,
    read: BTreeMap<String, Vec<Offset>>,
}

impl std::fmt::Debug for TestDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestDriver")
            .field("plan", &self.plan.name())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// After so many rounds in which nothing happens nothing will.
const STANDS: usize = 8;

/// A clock that moves only when it is told to.
#[derive(Default)]
struct StillClock(AtomicI64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0))
    }
}

impl TestDriver {
    /// Starts `plan` with the default options, on a new log in memory: source topics get one
    /// partition.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 250, 0)?;
    /// assert_eq!(driver.read(&TOTALS)?[0].value, 250);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn new(plan: Plan) -> Result<Self> {
        Self::with_options(plan, TestOptions::default())
    }

    /// Starts `plan` as `options` say, on a new log in memory.
    ///
    /// ```
    /// use suiro::{TestDriver, TestOptions, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let options = TestOptions { partitions: 4, ..TestOptions::default() };
    /// let mut driver = TestDriver::with_options(topology.build()?, options)?;
    /// for name in ["ann", "bob", "cid"] {
    ///     driver.send(&ORDERS, name.into(), 250, 0)?;
    /// }
    /// assert_eq!(driver.read_last(&TOTALS)?.len(), 3);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn with_options(plan: Plan, options: TestOptions) -> Result<Self> {
        Self::on_log(plan, options, Log::in_memory())
    }

    /// Starts `plan` on a log of your own: one that other programs have written, or that stays
    /// when the driver goes. Source topics that exist keep their partitions.
    ///
    /// ```
    /// use suiro::{Log, Producer, TestDriver, TestOptions, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let log = Log::in_memory();
    /// let mut orders = Producer::open(&log, &ORDERS)?;
    /// orders.create(2)?;
    /// orders.send("ann".into(), 250, 0)?;
    /// orders.flush()?;
    ///
    /// let options = TestOptions::default();
    /// let mut driver = TestDriver::on_log(topology.build()?, options, log.clone())?;
    /// driver.run()?;
    /// assert_eq!(driver.read(&TOTALS)?[0].value, 250);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_log(plan: Plan, options: TestOptions, log: Log) -> Result<Self> {
        let clock = Arc::new(StillClock::default());
        let polled = Polled::new(Arc::<StillClock>::clone(&clock));
        let settings = Settings {
            exchange: options.exchange,
            batch_rows: options.batch_rows,
            max_idle: options.max_idle,
            create_sources: Some(options.partitions),
            reload: true,
            shelf: match options.lean {
                true => Shelf::Below {
                    provider: Arc::new(MemoryStores::default()),
                    memory: 0,
                    under_way: 1 << 20,
                },
                false => Shelf::Memory,
            },
            executor: Some(ExecutorHandle::new(polled.clone())),
            ..Settings::default()
        };
        let mut driver = Self {
            plan,
            log,
            scope: None,
            settings,
            crew: crew_of(options.threads),
            polled,
            options,
            clock,
            producers: HashMap::new(),
            read: BTreeMap::new(),
        };
        driver.open(false)?;
        Ok(driver)
    }

    fn open(&mut self, bounded: bool) -> Result<(&mut Scope, &mut dyn Crew, &Polled)> {
        let settings = Settings { bounded, ..self.settings.clone() };
        let clock: Arc<dyn Clock> = Arc::<StillClock>::clone(&self.clock);
        // The old session must be gone before one of the same name comes.
        self.scope = None;
        self.polled.forget();
        let scope = Scope::open(self.plan.clone(), &self.log, settings, clock)?;
        Ok((self.scope.insert(scope), &mut *self.crew, &self.polled))
    }

    /// The log that the plan runs on.
    ///
    /// ```
    /// use suiro::{Reader, TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 250, 0)?;
    /// let orders = Reader::open(driver.log(), &ORDERS)?.read_to_end()?;
    /// assert_eq!(orders[0].value, Some(250));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn log(&self) -> &dyn Broker {
        &self.log
    }

    /// Writes a record to a source topic, and lets the program run. `at` is the event time in
    /// milliseconds since the epoch. The error is that of the program, if it ends with one.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 250, 1_000)?;
    /// let total = &driver.read(&TOTALS)?[0];
    /// assert_eq!((total.value, total.at.as_millis()), (250, 1_000));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn send<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
        key: K,
        value: V,
        at: impl Into<Timestamp>,
    ) -> Result<()> {
        self.send_record(topic, Record { key, value, at: at.into(), headers: Headers::NONE })
    }

    /// Writes a record with headers to a source topic, and lets the program run.
    ///
    /// ```
    /// use suiro::{Record, TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const CENTS: Topic<String, u64> = Topic::json("orders-in-cents");
    ///
    /// let topology = Topology::new("cents");
    /// topology.stream(&ORDERS).map(|euros| euros * 100).to(&CENTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// let mut order = Record::new("ann".to_owned(), 3, 0);
    /// order.headers = [("trace", "7f")].into_iter().collect();
    /// driver.send_record(&ORDERS, order.clone())?;
    /// assert_eq!(driver.read(&CENTS)?, [order.with_value(300)]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn send_record<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
        record: Record<K, V>,
    ) -> Result<()> {
        self.produce(topic, |producer| producer.send_record(&record))
    }

    /// Writes a removal, a null under `key`, to a source topic, and lets the program run
    /// (rule A1).
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const PRICES: Topic<String, u64> = Topic::json("prices");
    /// const CENTS: Topic<String, u64> = Topic::json("prices-in-cents");
    ///
    /// let topology = Topology::new("cents");
    /// topology.table(&PRICES).map(|euros| euros * 100).to(&CENTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PRICES, "tea".into(), 3, 0)?;
    /// driver.remove(&PRICES, "tea".into(), 1)?;
    /// assert_eq!(driver.read_changes(&CENTS)?[1].value, None);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn remove<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
        key: K,
        at: impl Into<Timestamp>,
    ) -> Result<()> {
        self.produce(topic, |producer| producer.remove(key, at))
    }

    fn produce<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
        write: impl FnOnce(&mut Producer<K, V>) -> Result<()>,
    ) -> Result<()> {
        if !self.producers.contains_key(topic.name()) {
            let producer = Producer::open(&self.log, topic)?;
            self.producers.insert(topic.name().to_owned(), Box::new(producer));
        }
        let known = self.producers.get_mut(topic.name());
        let producer = known.and_then(|known| known.downcast_mut::<Producer<K, V>>());
        match producer {
            Some(producer) => {
                write(producer)?;
                producer.flush()?;
            }
            // The topic was used with other types before, as a test of bad input does.
            None => {
                let mut producer = Producer::open(&self.log, topic)?;
                write(&mut producer)?;
                producer.flush()?;
            }
        }
        if self.options.run_at_send { self.run() } else { Ok(()) }
    }

    /// Lets the program take all there is, and commit. [`send`](TestDriver::send) does it by
    /// itself unless [`TestOptions::run_at_send`] says no.
    ///
    /// ```
    /// use suiro::{TestDriver, TestOptions, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let options = TestOptions { run_at_send: false, ..TestOptions::default() };
    /// let mut driver = TestDriver::with_options(topology.build()?, options)?;
    /// driver.send(&ORDERS, "ann".into(), 3, 0)?;
    /// driver.send(&ORDERS, "ann".into(), 4, 1)?;
    /// assert!(driver.read(&TOTALS)?.is_empty());
    /// driver.run()?;
    /// assert_eq!(driver.read(&TOTALS)?[0].value, 7);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn run(&mut self) -> Result<()> {
        let Some(scope) = &mut self.scope else { return Ok(()) };
        let mut quiet = 0;
        // What is asked for in one round comes in in the next, and is taken then; and a commit
        // may show what other tasks wait for.
        while quiet < 3 {
            scope.look_again();
            if self.polled.go_on() {
                quiet = 0;
            }
            let commits = scope.commits();
            match scope.round(&mut *self.crew)? {
                Round::Busy => quiet = 0,
                Round::Idle if scope.commits() > commits => quiet = 0,
                Round::Idle => quiet += 1,
                Round::Ended => return Ok(()),
            }
            if quiet == 3 && scope.commit_now(&mut *self.crew)? {
                quiet = 0;
            }
        }
        Ok(())
    }

    /// Ends the program where its sources end now, as
    /// [`run_to_end`](crate::App::run_to_end) does: all windows close. It may be sent more
    /// afterwards.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const RATES: Topic<String, u64> = Topic::json("clicks-per-minute");
    ///
    /// let topology = Topology::new("rates");
    /// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
    /// minutes.count("rates").on_close().map(|minute| minute.value).to(&RATES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 5_000)?;
    /// driver.finish()?;
    /// assert_eq!(driver.read(&RATES)?[0].value, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn finish(&mut self) -> Result<()> {
        let (scope, crew, polled) = self.open(true)?;
        let mut stands = 0;
        loop {
            scope.look_again();
            stands = if polled.go_on() { 0 } else { stands + 1 };
            match scope.round(crew)? {
                Round::Busy => stands = 0,
                Round::Idle if stands > STANDS && scope.is_owed() => {
                    let text = "a call does not end, and so the run does not; have it end, or \
                                give it a time limit and move the clock on before";
                    return Err(Error::unavailable(text));
                }
                // Somebody may wait for what only a commit shows, and its interval never ends
                // on a clock that stands still.
                Round::Idle => {
                    scope.commit_now(crew)?;
                }
                Round::Ended => break,
            }
        }
        self.open(false)?;
        Ok(())
    }

    /// Kills the program without a commit, and starts it again on the same log.
    ///
    /// What was committed is kept, and so is what was sent; [`read`](TestDriver::read) goes on
    /// where it was.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 3, 0)?;
    /// driver.crash()?;
    /// driver.send(&ORDERS, "ann".into(), 4, 1)?;
    /// assert_eq!(driver.read_last(&TOTALS)?["ann"], 7);
    /// assert_eq!(driver.metrics().restored, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn crash(&mut self) -> Result<()> {
        self.open(false)?;
        Ok(())
    }

    /// Moves the wall clock to `at`, in milliseconds since the epoch, and lets the program run.
    /// The clock starts at zero; event time does not follow it, unless the program says
    /// [`idle_after`](crate::Topology::idle_after).
    ///
    /// ```
    /// use suiro::{TestDriver, TestOptions, Topic, Topology};
    ///
    /// const WEB: Topic<String, String> = Topic::json("web-orders");
    /// const SHOP: Topic<String, String> = Topic::json("shop-orders");
    /// const ALL: Topic<String, String> = Topic::json("all-orders");
    ///
    /// let topology = Topology::new("orders");
    /// topology.stream(&WEB).merge(topology.stream(&SHOP)).to(&ALL);
    ///
    /// let max_idle = std::time::Duration::from_secs(5);
    /// let options = TestOptions { max_idle, ..TestOptions::default() };
    /// let mut driver = TestDriver::with_options(topology.build()?, options)?;
    /// driver.send(&WEB, "ann".into(), "tea".into(), 20)?;
    /// assert!(driver.read(&ALL)?.is_empty());
    /// driver.advance_to(5_000)?;
    /// assert_eq!(driver.read(&ALL)?[0].value, "tea");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn advance_to(&mut self, at: impl Into<Timestamp>) -> Result<()> {
        self.clock.0.store(at.into().as_millis(), Ordering::Relaxed);
        self.run()
    }

    /// The records that were written to `topic` since the last read, without removals:
    /// partition by partition, in order of offsets. The topic must exist.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 3, 0)?;
    /// assert_eq!(driver.read(&TOTALS)?.len(), 1);
    /// driver.send(&ORDERS, "ann".into(), 4, 1)?;
    /// let totals = driver.read(&TOTALS)?;
    /// assert_eq!((totals.len(), totals[0].value), (1, 7));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn read<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
    ) -> Result<Vec<Record<K, V>>> {
        let received = self.read_changes(topic)?.into_iter();
        let records = received.filter_map(|Received { key, value, at, headers, .. }| {
            value.map(|value| Record { key, value, at, headers })
        });
        Ok(records.collect())
    }

    /// The records that were written to `topic` since the last read, removals too: partition by
    /// partition, in order of offsets. The topic must exist.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const STOCK: Topic<String, u32> = Topic::json("stock");
    /// const LOW: Topic<String, u32> = Topic::json("low-stock");
    ///
    /// let topology = Topology::new("stock");
    /// topology.table(&STOCK).filter(|left| *left < 10).to(&LOW);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&STOCK, "tea".into(), 5, 0)?;
    /// driver.send(&STOCK, "tea".into(), 50, 1)?;
    /// let low = driver.read_changes(&LOW)?;
    /// assert_eq!((low[0].value, low[1].value), (Some(5), None));
    /// assert_eq!((low[1].partition, low[1].offset), (0, 1));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn read_changes<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
    ) -> Result<Vec<Received<K, V>>> {
        let mut reader = Reader::open(&self.log, topic)?;
        let read = self.read.entry(topic.name().to_owned()).or_default();
        for (partition, offset) in read.iter().enumerate() {
            reader.seek_to(partition as u32, *offset);
        }
        let received = reader.read_to_end()?;
        for record in &received {
            let partition = record.partition as usize;
            if read.len() <= partition {
                read.resize(partition + 1, 0);
            }
            read[partition] = record.offset + 1;
        }
        Ok(received)
    }

    /// The last value of each key that was written to `topic` since the last read; keys that
    /// were removed are left out.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 3, 0)?;
    /// driver.send(&ORDERS, "bob".into(), 9, 1)?;
    /// driver.send(&ORDERS, "ann".into(), 4, 2)?;
    /// let totals = driver.read_last(&TOTALS)?;
    /// assert_eq!((totals["ann"], totals["bob"]), (7, 9));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn read_last<K: Key + Ord, V: Data>(
        &mut self,
        topic: &Topic<K, V>,
    ) -> Result<BTreeMap<K, V>> {
        let mut last = BTreeMap::new();
        for Received { key, value, .. } in self.read_changes(topic)? {
            match value {
                Some(value) => last.insert(key, value),
                None => last.remove(&key),
            };
        }
        Ok(last)
    }

    /// What the program has counted since it was started; a crash starts anew.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 250, 0)?;
    /// let metrics = driver.metrics();
    /// assert_eq!((metrics.records_in, metrics.lag()), (1, 0));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        self.scope.as_ref().map(Scope::metrics).unwrap_or_default()
    }
}
