//! The world of one seed: what time it is, what will happen, and what goes wrong next.

use super::case::Case;
use super::cluster::Cluster;
use super::counts::Counts;
use super::fault::Fault;
use super::wires::Wires;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro_core::{Clock, Seed, Timestamp};

/// Something that happens at its time.
type Deed = Box<dyn FnOnce(&mut World) + Send>;

/// What the world knows.
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) case: Case,
    pub(crate) seed: Seed,
    pub(crate) wires: Wires,
    pub(crate) cluster: Cluster,
    pub(crate) counts: Counts,
    /// Nothing goes wrong any more.
    pub(crate) is_calm: bool,
    deeds: BTreeMap<(Duration, u64), Deed>,
    planned: u64,
    trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(case: Case, is_traced: bool) -> Self {
        Self {
            now: Duration::ZERO,
            seed: Seed::new(case.seed ^ 0x006b_6166_6b61),
            wires: Wires::default(),
            cluster: Cluster::new(&case),
            counts: Counts::default(),
            is_calm: false,
            deeds: BTreeMap::new(),
            planned: 0,
            trace: is_traced.then(Vec::new),
            case,
        }
    }

    /// Plans a deed.
    pub(crate) fn after(
        &mut self,
        pause: Duration,
        deed: impl FnOnce(&mut Self) + Send + 'static,
    ) {
        self.planned += 1;
        self.deeds.insert((self.now + pause, self.planned), Box::new(deed));
    }

    /// Lets the next deed happen, if its time is not after `until`; else it is that time.
    pub(crate) fn step(&mut self, until: Duration) {
        match self.deeds.first_entry() {
            Some(next) if next.key().0 <= until => {
                let ((at, _), deed) = next.remove_entry();
                self.is_time(at);
                deed(self);
            }
            _ => self.is_time(until),
        }
    }

    fn is_time(&mut self, time: Duration) {
        self.now = self.now.max(time);
        self.cluster.now = self.now;
    }

    /// Whether a fault strikes that does so once in `rate` times.
    pub(crate) fn strikes(&mut self, fault: Fault, rate: u64) -> bool {
        let strikes = !self.is_calm && self.case.allows(fault) && self.seed.one_in(rate);
        if strikes {
            self.struck(fault);
        }
        strikes
    }

    /// A fault has struck.
    pub(crate) fn struck(&mut self, fault: Fault) {
        *self.counts.faults.entry(fault).or_default() += 1;
        self.note(|| format!("fault: {fault:?}"));
    }

    /// Something happened that is counted.
    pub(crate) fn happened(&mut self, what: &'static str) {
        *self.counts.happened.entry(what).or_default() += 1;
    }

    /// A time between two numbers of milliseconds.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> Duration {
        let micros = (most - least) * 1000;
        Duration::from_micros(least * 1000 + self.seed.below(micros.max(1)))
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10.4} {}", now.as_secs_f64(), line()));
        }
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }
}

/// A world that several hold; a clone is the same.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of day at the beginning of a world.
const EPOCH: i64 = 1_700_000_000_000;

impl Clock for Shared {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(EPOCH) + self.lock().now
    }

    fn elapsed(&self) -> Duration {
        self.lock().now
    }
}
