//! The stores below of one machine: rows and positions that a crash puts back to what they once
//! were, and whoever carries rows down to them, late and while the tasks work.

use crate::fault::Call;
use crate::world::World;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro::{Bytes, Error, Offset, Result, Seed, TopicPartition};
use suiro_core::store::{Change, Store, StoreProvider, Visit};
use suiro_engine::{Lowering, Porter};

/// So many of its states are remembered of each store.
const REMEMBERED: usize = 12;

/// What a store holds at one time.
#[derive(Clone, Default)]
struct Rows {
    by_key: BTreeMap<Bytes, Bytes>,
    position: Option<Offset>,
}

/// The states that a store once had, the oldest first; the last is the one that it has.
type History = Vec<Arc<Rows>>;

/// The directory of the stores of one machine, and the queue of its porter; a clone is the same.
#[derive(Clone)]
pub(crate) struct Machine {
    world: World,
    stores: Arc<Mutex<BTreeMap<TopicPartition, History>>>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Lowering>,
    done: Vec<Lowering>,
    /// A disk that is behind by far: nothing goes down but what is waited for.
    is_slow: bool,
}

impl Machine {
    pub(crate) fn new(world: &World) -> Self {
        Self { world: world.clone(), stores: Arc::default(), queue: Arc::default() }
    }

    /// The process is gone: what was on its way is lost, and each store is at some position that
    /// it once had.
    pub(crate) fn crash(&self) {
        *lock(&self.queue) = Queue::default();
        let mut state = self.world.state();
        for (of, history) in lock(&self.stores).iter_mut() {
            if state.seed.one_in(2) {
                continue;
            }
            let keeps = 1 + state.seed.below(history.len() as u64) as usize;
            if keeps < history.len() {
                history.truncate(keeps);
                let position = history.last().and_then(|rows| rows.position);
                state.counts.lagging += 1;
                state.note(|| format!("store {of} is back at {position:?}"));
            }
        }
    }

    /// The directory is deleted. Gives whether there was something in it.
    pub(crate) fn delete(&self) -> bool {
        !std::mem::take(&mut *lock(&self.stores)).is_empty()
    }

    /// Who carries rows down on this machine.
    pub(crate) fn porter(&self) -> impl Porter + use<> {
        let is_slow = self.world.state().seed.one_in(4);
        *lock(&self.queue) = Queue { is_slow, ..Queue::default() };
        SimPorter { machine: self.clone() }
    }

    /// The porter has a moment, unless it is at work.
    pub(crate) fn tick(&self) {
        let Ok(mut queue) = self.queue.try_lock() else { return };
        if !queue.is_slow
            && self.world.state().seed.one_in(3)
            && let Some(mut lowering) = queue.waiting.pop_front()
        {
            lowering.run();
            queue.done.push(lowering);
        }
    }
}

impl StoreProvider for Machine {
    fn open(&self, name: &str, partition: u32) -> Result<Box<dyn Store>> {
        let of = TopicPartition::new(name, partition);
        lock(&self.stores).entry(of.clone()).or_insert_with(|| vec![Arc::default()]);
        Ok(Box::new(SimStore { machine: self.clone(), of }))
    }

    fn forget(&self, name: &str, partition: u32) -> Result<()> {
        let of = TopicPartition::new(name, partition);
        self.world.note(|| format!("store {of} is forgotten"));
        self.world.state().counts.outdated += 1;
        lock(&self.stores).remove(&of);
        Ok(())
    }
}

struct SimStore {
    machine: Machine,
    of: TopicPartition,
}

impl SimStore {
    fn now(&self) -> Arc<Rows> {
        let stores = lock(&self.machine.stores);
        stores.get(&self.of).and_then(|history| history.last().cloned()).unwrap_or_default()
    }

    fn look(&self) -> Result<Arc<Rows>> {
        // While the auditor looks nothing moves.
        if !self.machine.world.state().is_calm() {
            self.machine.tick();
            self.machine.world.touch(Call::Look)?;
            self.machine.world.state().counts.looks += 1;
        }
        Ok(self.now())
    }
}

impl Store for SimStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.look()?.by_key.get(key).cloned())
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        for (key, value) in &self.look()?.by_key {
            let after = match from {
                Bound::Included(from) => &**key >= from,
                Bound::Excluded(from) => &**key > from,
                Bound::Unbounded => true,
            };
            let before = match to {
                Bound::Included(to) => &**key <= to,
                Bound::Excluded(to) => &**key < to,
                Bound::Unbounded => true,
            };
            if after && before && visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn apply(&mut self, changes: &[Change], position: Offset) -> Result<()> {
        let touched = self.machine.world.touch(Call::Lower);
        // A process that dies of it may have done it, as a whole.
        let is_lost = touched.is_err();
        if is_lost && !self.machine.world.died_now() {
            return touched;
        }
        let mut rows = (*self.now()).clone();
        for Change { key, value } in changes {
            match value {
                Some(value) => rows.by_key.insert(key.clone(), value.clone()),
                None => rows.by_key.remove(key),
            };
        }
        rows.position = Some(position);
        let mut state = self.machine.world.state();
        // The porter holds its queue while it works.
        match self.machine.queue.try_lock() {
            Ok(_) => state.counts.replays += 1,
            Err(_) => state.counts.lowered += 1,
        }
        let mut stores = lock(&self.machine.stores);
        let history = stores.entry(self.of.clone()).or_default();
        history.push(Arc::new(rows));
        if history.len() > REMEMBERED {
            history.remove(state.seed.below(REMEMBERED as u64 / 2) as usize);
        }
        state.note(|| {
            format!("store {} has {} changes up to {position}", self.of, changes.len())
        });
        touched
    }

    fn position(&self) -> Option<Offset> {
        self.now().position
    }

    fn snapshot(&self) -> Result<Box<dyn Store>> {
        Err(Error::invalid("nobody asks the simulator for a copy of a store"))
    }
}

/// Carries rows down when the world says so: at once, later, or only when it is waited for.
struct SimPorter {
    machine: Machine,
}

impl SimPorter {
    fn below(&self, limit: usize) -> usize {
        let seed: &mut Seed = &mut self.machine.world.state().seed;
        seed.below(limit as u64) as usize
    }
}

impl Drop for SimPorter {
    /// The program has ended; who carries rows down may learn it late, or when all is below.
    fn drop(&mut self) {
        let mut queue = lock(&self.machine.queue);
        let count = queue.waiting.len();
        let runs = if self.below(2) == 0 { count } else { self.below(count + 1) };
        for _ in 0..runs {
            if let Some(mut lowering) = queue.waiting.pop_front() {
                lowering.run();
            }
        }
    }
}

impl Porter for SimPorter {
    fn take(&mut self, lowering: Lowering) {
        lock(&self.machine.queue).waiting.push_back(lowering);
        self.machine.tick();
    }

    fn done(&mut self, wait: Option<Duration>) -> Result<Vec<Lowering>> {
        let wait = wait.is_some();
        let mut queue = lock(&self.machine.queue);
        let mut runs = self.below(queue.waiting.len() * 2 + 1).saturating_sub(1);
        if queue.is_slow {
            runs = 0;
        }
        if wait && queue.done.is_empty() {
            runs = runs.max(1);
        }
        for _ in 0..runs {
            let Some(mut lowering) = queue.waiting.pop_front() else { break };
            lowering.run();
            queue.done.push(lowering);
        }
        // What is done may be heard of later.
        let count = queue.done.len();
        let heard = if wait { 1 + self.below(count.max(1)) } else { self.below(count + 1) };
        Ok(queue.done.drain(..heard.min(count)).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
