//! Runs a plan in a test: no threads, no disk, and a clock that stands still.

use crate::{Data, Key, Producer, Reader, Received, Record, Topic};
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use suiro_core::broker::Broker;
use suiro_core::{Clock, Headers, Offset, Result, Timestamp};
use suiro_engine::{Alone, ExchangeKind, Metrics, Plan, Round, Scope, Settings};
use suiro_log::Log;

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
    options: TestOptions,
    clock: Arc<StillClock>,
    producers: HashMap<String, Box<dyn Any>>,
    read: BTreeMap<String, Vec<Offset>>,
}

/// How a [`TestDriver`] runs a plan. The result must not depend on it (rule D1).
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// How many partitions source topics have.
    pub partitions: u32,
    /// How rows cross between tasks.
    pub exchange: ExchangeKind,
    /// How many rows a task takes at most in one go.
    pub batch_rows: usize,
    /// How much longer a task waits for an input that is caught up and empty.
    pub max_idle: Duration,
    /// Whether each send is followed by a run. If not, call [`TestDriver::run`].
    pub run_at_send: bool,
}

impl Default for TestOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            exchange: ExchangeKind::Topic,
            batch_rows: 8192,
            max_idle: Duration::ZERO,
            run_at_send: true,
        }
    }
}

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
    /// Starts `plan` with one partition per topic.
    pub fn new(plan: Plan) -> Result<Self> {
        Self::with_options(plan, TestOptions::default())
    }

    /// Starts `plan` as `options` say.
    pub fn with_options(plan: Plan, options: TestOptions) -> Result<Self> {
        Self::on_log(plan, options, Log::in_memory())
    }

    /// Starts `plan` on a log of your own.
    pub fn on_log(plan: Plan, options: TestOptions, log: Log) -> Result<Self> {
        let settings = Settings {
            exchange: options.exchange,
            batch_rows: options.batch_rows,
            max_idle: options.max_idle,
            create_sources: Some(options.partitions),
            reload: true,
            ..Settings::default()
        };
        let clock = Arc::new(StillClock::default());
        let mut driver = Self {
            plan,
            log,
            scope: None,
            settings,
            options,
            clock,
            producers: HashMap::new(),
            read: BTreeMap::new(),
        };
        driver.open(false)?;
        Ok(driver)
    }

    fn open(&mut self, bounded: bool) -> Result<&mut Scope> {
        let settings = Settings { bounded, ..self.settings.clone() };
        let clock: Arc<dyn Clock> = Arc::<StillClock>::clone(&self.clock);
        // The old session must be gone before one of the same name comes.
        self.scope = None;
        let scope = Scope::open(self.plan.clone(), &self.log, settings, clock)?;
        Ok(self.scope.insert(scope))
    }

    /// The log that the plan runs on.
    pub fn log(&self) -> &dyn Broker {
        &self.log
    }

    /// Writes a record to a source topic, and lets the program run.
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
    pub fn send_record<K: 'static, V: 'static>(
        &mut self,
        topic: &Topic<K, V>,
        record: Record<K, V>,
    ) -> Result<()> {
        self.produce(topic, |producer| producer.send_record(&record))
    }

    /// Writes a removal to a source topic, and lets the program run.
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

    /// Lets the program take all there is, and commit.
    pub fn run(&mut self) -> Result<()> {
        let Some(scope) = &mut self.scope else { return Ok(()) };
        let mut quiet = 0;
        // What is asked for in one round comes in in the next, and is taken then.
        while quiet < 3 {
            scope.look_again();
            match scope.round(&mut Alone)? {
                Round::Busy => quiet = 0,
                Round::Idle => quiet += 1,
                Round::Ended => return Ok(()),
            }
            if quiet == 3 && scope.commit_now(&mut Alone)? {
                quiet = 0;
            }
        }
        Ok(())
    }

    /// Ends the program where its sources end now, as
    /// [`run_to_end`](crate::App::run_to_end) does: all windows close. It may be sent more
    /// afterwards.
    pub fn finish(&mut self) -> Result<()> {
        let scope = self.open(true)?;
        loop {
            scope.look_again();
            match scope.round(&mut Alone)? {
                Round::Busy => {}
                // Somebody may wait for what only a commit shows, and its interval never ends
                // on a clock that stands still.
                Round::Idle => {
                    scope.commit_now(&mut Alone)?;
                }
                Round::Ended => break,
            }
        }
        self.open(false)?;
        Ok(())
    }

    /// Kills the program without a commit, and starts it again on the same log.
    pub fn crash(&mut self) -> Result<()> {
        self.open(false)?;
        Ok(())
    }

    /// Moves the wall clock to `at`. Event time does not follow it.
    pub fn advance_to(&mut self, at: impl Into<Timestamp>) -> Result<()> {
        self.clock.0.store(at.into().as_millis(), Ordering::Relaxed);
        self.run()
    }

    /// The records that were written to `topic` since the last read, without removals.
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

    /// The records that were written to `topic` since the last read, removals too, partition
    /// by partition.
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

    /// What the program has counted.
    pub fn metrics(&self) -> Metrics {
        self.scope.as_ref().map(Scope::metrics).unwrap_or_default()
    }
}
