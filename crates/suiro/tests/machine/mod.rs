//! Drives an engine by hand: rounds, commits and crashes come when the test says so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use suiro::{
    Broker, Bytes, Clock, Error, ExchangeKind, Headers, Log, MemoryStores, Plan, Producer, Raw,
    Reader, Result, Seed, Timestamp, Topic, Transaction,
};
use suiro_engine::{Alone, Lowering, Metrics, Porter, Round, Scope, Settings, Shelf};

/// A record as bytes: key and value may be null.
pub type RawTopic = Topic<Option<Bytes>, Option<Bytes>>;
const RAW: RawTopic = Topic::of("", &Raw, &Raw);

/// A record that goes in.
#[derive(Clone, Debug)]
pub struct Input {
    pub topic: &'static str,
    pub key: Option<String>,
    pub value: Option<String>,
    pub at: i64,
}

/// A record that came out; a removal has no value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Output {
    pub key: String,
    pub value: Option<String>,
    pub at: i64,
}

/// How a machine runs a plan.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub exchange: ExchangeKind,
    pub batch_rows: usize,
    pub fetch_bytes: usize,
    pub bounded: bool,
    /// Rows are in stores below, which are behind, and so many bytes of them are held.
    pub lean: Option<usize>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            exchange: ExchangeKind::Memory,
            batch_rows: 8192,
            fetch_bytes: 1 << 20,
            bounded: false,
            lean: None,
        }
    }
}

/// How many rounds without a row say that nothing more will come.
const QUIET: usize = 50;

/// A clock that stands still.
struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// A plan that runs on a log in memory.
pub struct Machine {
    plan: Plan,
    pub log: Log,
    manner: Manner,
    scope: Option<Scope>,
    /// Commits and crashes, after which there may be more to do.
    stirs: usize,
    stores: MemoryStores,
}

impl Machine {
    /// Opens `plan` on `log`.
    pub fn open(plan: Plan, log: Log, manner: Manner) -> Result<Self> {
        let mut machine =
            Self { plan, log, manner, scope: None, stirs: 0, stores: MemoryStores::default() };
        machine.crash()?;
        Ok(machine)
    }

    /// Drops everything that is not committed, and opens the plan again.
    pub fn crash(&mut self) -> Result<()> {
        let Manner { exchange, batch_rows, fetch_bytes, bounded, lean } = self.manner;
        let shelf = match lean {
            Some(memory) => {
                let provider = Arc::new(self.stores.clone());
                Shelf::Below { provider, memory, under_way: 1 << 20 }
            }
            None => Shelf::Memory,
        };
        let settings = Settings {
            exchange,
            batch_rows,
            fetch_bytes,
            bounded,
            reload: true,
            shelf,
            ..Settings::default()
        };
        self.scope = None;
        let mut scope =
            Scope::open(self.plan.clone(), &self.log, settings, Arc::new(StillClock))?;
        scope.set_porter(Slow::default());
        self.scope = Some(scope);
        self.stirs += 1;
        Ok(())
    }

    /// Goes on in another manner, as after a crash.
    pub fn change(&mut self, manner: Manner) -> Result<()> {
        self.manner = manner;
        self.crash()
    }

    fn scope(&mut self) -> Result<&mut Scope> {
        self.scope.as_mut().ok_or_else(|| Error::invalid("the machine is broken"))
    }

    /// One round.
    pub fn round(&mut self) -> Result<Round> {
        self.scope()?.round(&mut Alone)
    }

    /// Commits now.
    pub fn commit(&mut self) -> Result<bool> {
        let has_committed = self.scope()?.commit_now(&mut Alone)?;
        self.stirs += usize::from(has_committed);
        Ok(has_committed)
    }

    /// What was counted.
    pub fn metrics(&mut self) -> Result<Metrics> {
        Ok(self.scope()?.metrics())
    }

    /// Runs until nothing happens any more, or the bounded run has ended.
    pub fn run(&mut self) -> Result<()> {
        self.run_with(|_| Ok(()))
    }

    /// Runs until nothing happens any more; `meddle` may commit or crash after each round.
    pub fn run_with(&mut self, mut meddle: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let mut quiet = 0;
        for _ in 0..1_000_000 {
            match self.round()? {
                Round::Ended => return Ok(()),
                Round::Busy => quiet = 0,
                Round::Idle => {
                    self.scope()?.look_again();
                    quiet += 1;
                }
            }
            // Small fetches may bring marks and no rows for a while.
            if quiet < QUIET {
                let stirs = self.stirs;
                meddle(self)?;
                if self.stirs > stirs {
                    quiet = 0;
                }
            } else if self.commit()? {
                quiet = 0;
            } else if !self.manner.bounded {
                return Ok(());
            } else if quiet > 1000 {
                return Err(Error::invalid("a bounded run does not come to its end"));
            }
        }
        Err(Error::invalid("the run does not come to its end"))
    }

    /// Runs with commits and crashes at random.
    pub fn run_wildly(&mut self, seed: &mut Seed, crashes: u64, commits: u64) -> Result<()> {
        let mut left = 60;
        self.run_with(|machine| {
            if seed.one_in(commits) {
                machine.commit()?;
            }
            if left > 0 && seed.one_in(crashes) {
                left -= 1;
                machine.crash()?;
            }
            Ok(())
        })
    }

    /// Everything in a topic that was committed, partition by partition.
    pub fn read(&self, topic: &str) -> Result<Vec<Output>> {
        read(&self.log, topic)
    }
}

/// Makes the topics.
pub fn create(log: &dyn Broker, topics: &[&'static str], partitions: u32) -> Result<()> {
    for topic in topics {
        Producer::open(log, &RAW.named(*topic))?.create(partitions)?;
    }
    Ok(())
}

/// Writes records; all of them are there at once.
pub fn write(log: &dyn Broker, records: &[Input]) -> Result<()> {
    let mut all = Transaction::open(log)?;
    for Input { topic, key, value, at } in records {
        let bytes = |text: &Option<String>| text.clone().map(Bytes::from);
        let value = bytes(value);
        all.write_with(
            &RAW.named(*topic),
            &bytes(key),
            Some(&value),
            Timestamp::from_millis(*at),
            &Headers::NONE,
        )?;
    }
    all.commit()
}

/// Everything in a topic, partition by partition.
pub fn read(log: &dyn Broker, topic: &str) -> Result<Vec<Output>> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let received = Reader::open(log, &RAW.named(topic))?.read_to_end()?;
    let output = |record: suiro::Received<Option<Bytes>, Option<Bytes>>| Output {
        key: record.key.as_ref().map(text).unwrap_or_default(),
        value: record.value.flatten().as_ref().map(text),
        at: record.at.as_millis(),
    };
    Ok(received.into_iter().map(output).collect())
}

/// Writes to the stores below late, and not at all what is left at a crash.
#[derive(Default)]
struct Slow {
    queue: VecDeque<Lowering>,
    asked: usize,
}

impl Porter for Slow {
    fn take(&mut self, lowering: Lowering) {
        self.queue.push_back(lowering);
    }

    fn done(&mut self, wait: Option<Duration>) -> Result<Vec<Lowering>> {
        self.asked += 1;
        let is_due = wait.is_some() || self.asked.is_multiple_of(3);
        let mut next = self.queue.pop_front_if(|_| is_due);
        next.iter_mut().for_each(Lowering::run);
        Ok(next.into_iter().collect())
    }
}
