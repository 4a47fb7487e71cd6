//! Stores below the working sets: committed rows go down to them beside the work.
//!
//! A store below takes what was committed, in order, as the changelog has it. It is never ahead
//! of the changelog; where it is behind after a crash, the changelog is replayed into it.

use crate::lowered::lowered;
use crate::metrics::Traffic;
use crate::scope::Scope;
use crate::stores::Standing;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::TaskId;
use suiro_core::store::{Change, Store, StoreProvider};
use suiro_core::{Error, Offset, Result, Timestamp};

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
        /// How many bytes of encoded changes may be on their way down.
        under_way: usize,
    },
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("Memory"),
            Self::Below { memory, under_way, .. } => f
                .debug_struct("Below")
                .field("memory", memory)
                .field("under_way", under_way)
                .finish_non_exhaustive(),
        }
    }
}

/// The key under which a store below keeps how old it is; no row begins with it.
const AGE: &[u8] = &[u8::MAX];

/// What tells how old a store is: nothing behind its position was appended before `since`.
pub(crate) fn age(since: Timestamp) -> Change {
    let value = since.as_millis().to_be_bytes().to_vec();
    Change { key: Bytes::from_static(AGE), value: Some(value.into()) }
}

/// How old a store is; one whose first replay did not come to its end does not say.
pub(crate) fn age_of(store: &dyn Store) -> Result<Option<Timestamp>> {
    let value = store.get(AGE)?;
    let since = value.and_then(|value| Some(i64::from_be_bytes((*value).try_into().ok()?)));
    Ok(since.map(Timestamp::from_millis))
}

/// A store that two hold: the scope, and who carries rows down.
type Shared = Arc<Mutex<Written>>;

/// A store that is written to. Once it has refused changes it takes no more in this run: later
/// ones would tell of a position that lies behind what is missing.
struct Written {
    store: Box<dyn Store>,
    is_behind: bool,
}

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
        let store = Arc::clone(&self.store);
        let mut written = store.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_behind && !cfg!(suiro_mutant = "refused_changes_skipped") {
            return Err(Error::unavailable("a store has refused earlier changes"));
        }
        written.is_behind = true;
        let count = self.write(&mut *written.store)?;
        written.is_behind = false;
        Ok(count)
    }

    fn write(&mut self, store: &mut dyn Store) -> Result<usize> {
        let before = store.position().unwrap_or(0);
        let mut changes = Vec::new();
        for batch in batches(self.batches.clone()) {
            for record in batch?.records()?.iter() {
                let record = record?;
                let Some(key) = record.key else { continue };
                let headers = record.headers.to_headers()?;
                let value = record.value.map(|value| lowered(record.at, &headers, value));
                changes.push(Change { key: Bytes::copy_from_slice(key), value });
            }
        }
        let count = changes.len();
        changes.append(&mut self.beside);
        // A commit without a row of this store does not move its position.
        let position = self.last.filter(|_| !self.batches.is_empty());
        store.apply(&changes, position.unwrap_or(before))?;
        Ok(count)
    }

    fn bytes(&self) -> usize {
        self.batches.len()
    }
}

/// The length of the first batches that have `limit` bytes together.
fn part_of(bytes: &Bytes, limit: usize) -> usize {
    let mut length = 0;
    for batch in batches(bytes.clone()) {
        let Ok(batch) = batch else { return bytes.len() };
        length += batch.bytes().len();
        if length >= limit {
            break;
        }
    }
    length
}

/// Writes to stores below, in the order in which it is told to.
pub trait Porter: Send {
    /// Takes what is to be written. It may be done later.
    fn take(&mut self, lowering: Lowering);

    /// What is done, in order. With `wait` it blocks until something is, if anything is left,
    /// but no longer than that.
    /// Without anybody who could do it, it is an error.
    fn done(&mut self, wait: Option<Duration>) -> Result<Vec<Lowering>>;
}

/// Writes at once.
#[derive(Default)]
pub(crate) struct AtOnce(Vec<Lowering>);

impl Porter for AtOnce {
    fn take(&mut self, mut lowering: Lowering) {
        lowering.run();
        self.0.push(lowering);
    }

    fn done(&mut self, _wait: Option<Duration>) -> Result<Vec<Lowering>> {
        Ok(std::mem::take(&mut self.0))
    }
}

/// The stores below of a scope.
pub(crate) struct Below {
    pub(crate) porter: Box<dyn Porter>,
    stores: BTreeMap<(usize, usize), Shared>,
    /// What was handed to the porter and is not done, in bytes.
    under_way: usize,
    sizes: VecDeque<usize>,
    /// How much there is to wait for; see [`Scope::pressure`].
    pressure: usize,
    /// How long the input was held up.
    waited: Duration,
}

impl Default for Below {
    fn default() -> Self {
        Self {
            porter: Box::new(AtOnce::default()),
            stores: BTreeMap::new(),
            under_way: 0,
            sizes: VecDeque::new(),
            pressure: 0,
            waited: Duration::ZERO,
        }
    }
}

/// A part of a commit is this fraction of what may be on its way down, and a whole batch at
/// least.
const PARTS: usize = 8;

/// From this pressure on the input is slowed down, more and more.
const EASY: usize = 50;
/// Here it is as slow as it gets.
const FULL: usize = 100;
/// Here it stops.
const STOP: usize = 125;

/// How long a round waits at most, as long as the input does not stop.
const PAUSE: Duration = Duration::from_millis(50);
/// How long nothing may be done below before somebody looks whether anybody is still there.
const PATIENCE: Duration = Duration::from_secs(1);

impl Below {
    pub(crate) fn add(&mut self, of: (usize, usize), store: Box<dyn Store>) {
        let written = Written { store, is_behind: false };
        self.stores.insert(of, Arc::new(Mutex::new(written)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    pub(crate) fn has(&self, of: (usize, usize)) -> bool {
        self.stores.contains_key(&of)
    }
}

impl Scope {
    /// Sends the changes of a commit down that was `asked` for then. Each store gets its share of
    /// each commit, be it nothing, so that it can tell which of its rows are down.
    pub(crate) fn lower(
        &mut self,
        mut changes: BTreeMap<(usize, usize), (Bytes, Offset)>,
        asked: Timestamp,
    ) -> Result<()> {
        let limit = self.crowd() / PARTS;
        for (of, store) in &self.below.stores {
            let task = self.tasks[of.0].as_mut().expect("tasks are at rest after a commit");
            let mut beside = task.stores.state(of.1).beside()?;
            let (mut batches, position) = changes.remove(of).unwrap_or_default();
            if !batches.is_empty() {
                beside.push(age(asked));
            }
            // In parts, so that rows may be dropped soon, and nobody waits long for the next.
            loop {
                let part = batches.split_to(part_of(&batches, limit));
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

    /// Notes what has arrived below. The more is on its way, or the fuller a working set is of
    /// rows that are not down yet, the longer it waits for some of it.
    pub(crate) fn settle_below(&mut self) -> Result<()> {
        self.arrive(None)?;
        if self.below.pressure <= EASY || self.below.sizes.is_empty() {
            return Ok(());
        }
        let begun = self.clock.elapsed();
        let share = (self.below.pressure.min(FULL) - EASY) as u32;
        self.arrive(Some(PAUSE * share / (FULL - EASY) as u32))?;
        while self.below.pressure >= STOP && !self.below.sizes.is_empty() {
            self.arrive(Some(PATIENCE))?;
        }
        self.below.waited += self.clock.elapsed().saturating_sub(begun);
        Ok(())
    }

    /// Notes what has arrived below; with `wait` it waits for something.
    fn arrive(&mut self, wait: Option<Duration>) -> Result<()> {
        let done = self.below.porter.done(wait)?;
        for lowering in done {
            self.below.under_way -= self.below.sizes.pop_front().unwrap_or_default();
            let count = lowering.result?;
            let (place, store) = lowering.of;
            if let Some(task) = self.tasks[place].as_mut() {
                task.stores.state(store).lowered(count, lowering.last.is_some());
            }
        }
        self.below.pressure = self.pressure();
        Ok(())
    }

    /// How many of `rows` may be taken in this round.
    pub(crate) fn paced(&self, rows: usize) -> usize {
        let over = self.below.pressure.clamp(EASY, FULL) - EASY;
        (rows - rows * over / (FULL - EASY)).max(rows / 32).max(1)
    }

    /// Waits for all that is on its way, and lets go of the stores.
    pub(crate) fn leave_below(&mut self) {
        while !self.below.sizes.is_empty() {
            let Ok(done) = self.below.porter.done(Some(PATIENCE)) else { break };
            for lowering in done {
                self.below.sizes.pop_front();
                if let Err(error) = lowering.result {
                    tracing::warn!(error = %error.report(), "a store fell behind its changelog");
                }
            }
        }
        self.below.sizes.clear();
        (self.below.under_way, self.below.pressure) = (0, 0);
        self.below.stores.clear();
    }

    /// Waits for all that is on its way, and lets go of the stores of all tasks but some.
    pub(crate) fn leave_below_but(&mut self, stay: &BTreeSet<TaskId>) -> Result<()> {
        while !self.below.sizes.is_empty() {
            self.arrive(Some(PATIENCE))?;
        }
        let staying = self.places.iter().filter(|(task, _)| stay.contains(task));
        let staying: BTreeSet<usize> = staying.map(|(_, place)| *place).collect();
        self.below.stores.retain(|(place, _), _| staying.contains(place));
        Ok(())
    }

    /// How many bytes may be on their way down.
    fn crowd(&self) -> usize {
        match &self.settings.shelf {
            Shelf::Memory => 0,
            Shelf::Below { under_way, .. } => *under_way,
        }
    }

    /// How much there is to wait for, in percent of what slows the input down the most: bytes
    /// on their way, or rows that a working set cannot drop.
    fn pressure(&self) -> usize {
        if self.below.stores.is_empty() {
            return 0;
        }
        let states = self.tasks.iter().flatten().flat_map(|task| task.stores.iter());
        let rows = states.filter_map(|(_, state)| Some(state.standing()?.pressure));
        let rows = rows.max().unwrap_or(0);
        rows.max(self.below.under_way * FULL / self.crowd().max(1))
    }

    /// What the stores below and the working sets above them do.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut traffic = Traffic {
            under_way: self.below.under_way as u64,
            waited: self.below.waited,
            ..Traffic::default()
        };
        for (_, state) in self.tasks.iter().flatten().flat_map(|task| task.stores.iter()) {
            if let Some(Standing { read, dropped, .. }) = state.standing() {
                traffic.held += state.rows() as u64;
                traffic.read += read;
                traffic.dropped += dropped;
            }
        }
        traffic
    }

    /// Whether so many rows changed that they had better be committed.
    pub(crate) fn is_heavy(&self) -> bool {
        let states = self.tasks.iter().flatten().flat_map(|task| task.stores.iter());
        let mut standings = states.filter_map(|(_, state)| state.standing());
        !self.below.stores.is_empty() && standings.any(|standing| standing.is_heavy)
    }
}
