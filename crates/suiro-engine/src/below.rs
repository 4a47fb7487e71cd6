//! Stores below the working sets: committed rows go down to them beside the work.
//!
//! A store below takes what was committed, in order, as the changelog has it. It is never ahead
//! of the changelog; where it is behind after a crash, the changelog is replayed into it.

use crate::lowered::lowered;
use crate::scope::Scope;
use crate::stores::State;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use suiro_core::batch::batches;
use suiro_core::store::{Change, Store, StoreProvider};
use suiro_core::{Error, Offset, Result};

/// Where the stores of an app are.
#[derive(Clone, Default)]
pub enum Shelf {
    /// All rows are held in memory.
    #[default]
    Memory,
    /// Rows are in stores below, and as many in memory as the budget has room for.
    Below {
        /// Opens the stores.
        provider: Arc<dyn StoreProvider>,
        /// What the rows of all stores may take in memory together, in bytes.
        memory: usize,
    },
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("Memory"),
            Self::Below { memory, .. } => {
                f.debug_struct("Below").field("memory", memory).finish_non_exhaustive()
            }
        }
    }
}

/// A store that two write to and read: the scope, and who carries rows down.
type Shared = Arc<Mutex<Box<dyn Store>>>;

/// How many changes a store takes in one go.
const CHUNK: usize = 4096;

/// Changes of one commit, or some of them, on their way to a store.
pub struct Lowering {
    /// The place of the task, and the store.
    of: (usize, usize),
    store: Shared,
    batches: Bytes,
    /// What the state keeps there beside the rows; it goes with the last of them.
    beside: Vec<Change>,
    /// The position in the changelog behind the commit, with its last changes; 0 if it has none.
    last: Option<Offset>,
    /// How many changes there were.
    result: Result<usize>,
}

impl Lowering {
    /// Writes the changes. All but the last of a commit go with the position before: to replay
    /// them does no harm.
    pub fn run(&mut self) {
        self.result = self.lower();
    }

    fn lower(&mut self) -> Result<usize> {
        if self.batches.is_empty() && self.beside.is_empty() {
            return Ok(0);
        }
        let mut count = 0;
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let before = store.position().unwrap_or(0);
        let mut chunk = Vec::with_capacity(CHUNK);
        for batch in batches(self.batches.clone()) {
            for record in batch?.records()?.iter() {
                let record = record?;
                let Some(key) = record.key else { continue };
                let headers = record.headers.to_headers()?;
                let value = record.value.map(|value| lowered(record.at, &headers, value));
                chunk.push(Change { key: Bytes::copy_from_slice(key), value });
                count += 1;
                if chunk.len() == CHUNK {
                    store.apply(&chunk, before)?;
                    chunk.clear();
                }
            }
        }
        chunk.append(&mut self.beside);
        // A commit without a row of this store does not move its position.
        let position = self.last.filter(|_| !self.batches.is_empty());
        store.apply(&chunk, position.unwrap_or(before))?;
        Ok(count)
    }

    fn bytes(&self) -> usize {
        self.batches.len()
    }
}

/// The length of the first batch.
fn part_of(bytes: &Bytes) -> usize {
    let rest = batches(bytes.clone()).next().and_then(Result::ok);
    rest.map_or(bytes.len(), |batch| batch.bytes().len())
}

/// Writes to stores below, in the order in which it is told to.
pub trait Porter: Send {
    /// Takes what is to be written. It may be done later.
    fn take(&mut self, lowering: Lowering);

    /// What is done, in order. With `wait` it blocks until something is, if anything is left.
    fn done(&mut self, wait: bool) -> Vec<Lowering>;
}

/// Writes at once.
#[derive(Default)]
pub(crate) struct AtOnce(Vec<Lowering>);

impl Porter for AtOnce {
    fn take(&mut self, mut lowering: Lowering) {
        lowering.run();
        self.0.push(lowering);
    }

    fn done(&mut self, _wait: bool) -> Vec<Lowering> {
        std::mem::take(&mut self.0)
    }
}

/// The stores below of a scope.
pub(crate) struct Below {
    pub(crate) porter: Box<dyn Porter>,
    stores: BTreeMap<(usize, usize), Shared>,
    /// What was handed to the porter and is not done, in bytes.
    under_way: usize,
    sizes: VecDeque<usize>,
}

impl Default for Below {
    fn default() -> Self {
        Self {
            porter: Box::new(AtOnce::default()),
            stores: BTreeMap::new(),
            under_way: 0,
            sizes: VecDeque::new(),
        }
    }
}

/// More than this on its way down holds the input up.
const CROWDED: usize = 32 << 20;

impl Below {
    pub(crate) fn add(&mut self, of: (usize, usize), store: Box<dyn Store>) {
        self.stores.insert(of, Arc::new(Mutex::new(store)));
    }

    pub(crate) fn has(&self, of: (usize, usize)) -> bool {
        self.stores.contains_key(&of)
    }
}

impl Scope {
    /// Sends the changes of a commit down. Each store gets its share of each commit, be it
    /// nothing, so that it can tell which of its rows are down.
    pub(crate) fn lower(
        &mut self,
        mut changes: BTreeMap<(usize, usize), (Bytes, Offset)>,
    ) -> Result<()> {
        for (of, store) in &self.below.stores {
            let task = self.tasks[of.0].as_mut().expect("tasks are at rest after a commit");
            let mut beside = task.stores.state(of.1).beside()?;
            let (mut batches, position) = changes.remove(of).unwrap_or_default();
            // In parts, so that rows may be dropped soon, and nobody waits long for the next.
            loop {
                let part = batches.split_to(part_of(&batches));
                let last = batches.is_empty().then_some(position);
                let beside = last.map_or_else(Vec::new, |_| std::mem::take(&mut beside));
                let (of, store, result) = (*of, Arc::clone(store), Ok(0));
                let lowering = Lowering { of, store, batches: part, beside, last, result };
                self.below.under_way += lowering.bytes();
                self.below.sizes.push_back(lowering.bytes());
                self.below.porter.take(lowering);
                if last.is_some() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Notes what has arrived below. While too much is on its way, or a working set is full of
    /// rows that are not down yet, it waits for some of it.
    pub(crate) fn settle_below(&mut self) -> Result<()> {
        loop {
            let full = self.below.under_way > CROWDED || self.is_full();
            let wait = full && !self.below.sizes.is_empty();
            let done = self.below.porter.done(wait);
            if wait && done.is_empty() {
                return Err(Error::unavailable("nobody writes to the stores any more"));
            }
            for lowering in done {
                self.below.under_way -= self.below.sizes.pop_front().unwrap_or_default();
                let count = lowering.result?;
                let (place, store) = lowering.of;
                if let Some(task) = self.tasks[place].as_mut() {
                    task.stores.state(store).lowered(count, lowering.last.is_some());
                }
            }
            if !wait {
                return Ok(());
            }
        }
    }

    /// Waits for all that is on its way, and lets go of the stores.
    pub(crate) fn leave_below(&mut self) {
        while !self.below.sizes.is_empty() {
            let done = self.below.porter.done(true);
            if done.is_empty() {
                self.below.sizes.clear();
            }
            for lowering in done {
                self.below.sizes.pop_front();
                if let Err(error) = lowering.result {
                    tracing::warn!(error = %error.report(), "a store fell behind its changelog");
                }
            }
        }
        self.below.under_way = 0;
        self.below.stores.clear();
    }

    /// Whether a working set is so full of rows that are not below that it must wait for some.
    fn is_full(&self) -> bool {
        self.any_state(|state| state.is_full())
    }

    /// Whether so many rows changed that they had better be committed.
    pub(crate) fn is_heavy(&self) -> bool {
        self.any_state(|state| state.is_heavy())
    }

    fn any_state(&self, which: impl Fn(&dyn State) -> bool) -> bool {
        let tasks = self.tasks.iter().flatten();
        !self.below.stores.is_empty()
            && tasks.flat_map(|task| task.stores.iter()).any(|(_, state)| which(state))
    }
}
