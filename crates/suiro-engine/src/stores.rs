//! The stores of a task: typed inside, bytes towards the changelog.

use crate::forms::Form;
use crate::globals::Globals;
use crate::lowered::lowered;
use crate::outside::Outside;
use bytes::Bytes;
use std::any::Any;
use suiro_core::batch::{BatchWriter, Compression};
use suiro_core::store::{Change, Store};
use suiro_core::{Headers, Result, Timestamp};

/// How a working set that holds only some of its rows stands with the store that has the others.
///
/// ```
/// use suiro_engine::Standing;
///
/// let standing = Standing { pressure: 120, is_heavy: false, read: 3, dropped: 0 };
/// assert!(standing.pressure > 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How full it is of rows that are not below, in percent of what it had better wait at.
    pub pressure: usize,
    /// Whether so many rows changed that a commit had better be made.
    pub is_heavy: bool,
    /// How often it has looked for a row below.
    pub read: u64,
    /// How many slots it has dropped.
    pub dropped: u64,
}

/// A typed working set with its open generations of changes: the one at hand, and perhaps one
/// whose commit is in flight.
///
/// Changes since the last commit are known by their before-images, so that a commit can be
/// rolled back and a query can see committed rows only.
pub trait State: Any + Send {
    /// Writes the rows that changed in this generation, in order of their first change.
    fn save(&mut self, changes: &mut Changes) -> Result<()>;

    /// The generation that was saved is in flight, and a new one begins on top of it. False, and
    /// nothing has to begin, if this kind of state has one generation at a time.
    fn seal(&mut self) -> bool {
        false
    }

    /// The generation that was saved is durable: forgets its before-images.
    fn committed(&mut self);

    /// Puts every row back to what it was at the last commit.
    fn rollback(&mut self);

    /// Takes one record of the changelog. The last one of a key wins.
    fn restore(&mut self, change: Restored<'_>) -> Result<()>;

    /// About so many rows are going to be restored.
    fn reserve(&mut self, rows: usize) {
        // A store that cannot use the hint grows as it goes.
        let _ = rows;
    }

    /// What decodes rows beside the store, so that several threads can help to load it. A store
    /// that has none takes its rows one by one.
    fn loader(&self) -> Option<Box<dyn Loader>> {
        None
    }

    /// All records of the changelog have been taken, here or by the store below.
    fn restored(&mut self) -> Result<()> {
        Ok(())
    }

    /// What was restored so far is not what the store held last: forgets it, and takes what
    /// comes from the source topic now. All of that goes to the changelog with the next commit,
    /// in place of what is there.
    fn renew(&mut self) {}

    /// Takes a store of committed rows below. From now on it holds what it has room for, in
    /// `memory` bytes, and looks for the rest there. False, without doing so, if this kind of
    /// state is always held whole.
    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        let _ = (below, memory);
        false
    }

    /// How it stands with the store below; `None` if it holds all of its rows.
    fn standing(&self) -> Option<Standing> {
        None
    }

    /// Whether it holds only some of its rows, and the others are below.
    fn is_lean(&self) -> bool {
        self.standing().is_some()
    }

    /// What a record that restores it is in a store below.
    fn lower(&self, change: &Restored<'_>, out: &mut Vec<Change>) -> Result<()> {
        let value = change.value.map(|value| lowered(change.at, change.headers, value));
        out.push(Change { key: Bytes::copy_from_slice(change.key), value });
        Ok(())
    }

    /// What a store below keeps beside the rows of the commit that was made, for looking them
    /// up. It gets there together with the last of them.
    fn beside(&mut self) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }

    /// So many more changes of the oldest commit that was not yet below are there now, in the
    /// order in which they were saved; `last`: all of it is.
    fn lowered(&mut self, count: usize, last: bool) {
        let _ = (count, last);
    }

    /// Its rows take about so many bytes each, encoded, as the last commit has shown.
    fn weigh(&mut self, bytes: usize) {
        let _ = bytes;
    }

    /// How many rows there are.
    fn rows(&self) -> usize;

    /// The stream time of the operator that owns the store, if it has one (rule T4).
    fn stream_time(&self) -> Option<Timestamp> {
        None
    }

    /// The clock goes on by so many milliseconds while no record comes: so does the stream time of
    /// the operator that owns the store, from its own value, if it has seen a record (rule T5).
    /// What is due then goes when the operator is told to advance.
    fn pass(&mut self, millis: i64) {
        let _ = millis;
    }

    /// After how many milliseconds more of its stream time something in it is due; `None` if
    /// nothing waits for time. It may say too few, but not too many.
    fn due_in(&self) -> Option<i64> {
        None
    }

    /// The time of day for which something in it waits, or a moment before that; `None` if
    /// nothing does.
    fn wakes_at(&self) -> Option<Timestamp> {
        None
    }

    /// How its rows are laid out in the changelog. It is compared at the start with what was
    /// written; a store that does not say is not checked.
    fn form(&self) -> Option<Form> {
        None
    }

    /// A view of the store for those who do not know all of its types.
    fn view(&self) -> Option<&dyn Any> {
        None
    }

    /// The typed store, for a downcast.
    fn as_any(&self) -> &dyn Any;

    /// The typed store, for a downcast.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// Decodes rows of a store, a batch at a time.
///
/// Decoding needs the processor and loading waits for memory: done apart, each goes faster, and
/// the store itself is needed for the second only.
pub trait Loader: Send {
    /// Decodes a row, and keeps it.
    fn decode(&mut self, row: Restored<'_>) -> Result<()>;

    /// Puts the rows that were kept into the store that the loader is of, in order, as
    /// [`State::restore`] does.
    fn load(&mut self, into: &mut dyn State);
}

/// One record of a changelog.
#[derive(Clone, Debug)]
pub struct Restored<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The row; `None` for a removal.
    pub value: Option<&'a [u8]>,
    /// The time of the row.
    pub at: Timestamp,
    /// The headers of the row.
    pub headers: &'a Headers,
    /// Whether it comes from the source topic of a table and not from a changelog.
    pub from_source: bool,
}

/// Where a store writes its changes at a commit.
pub struct Changes {
    writer: BatchWriter,
    full: Vec<u8>,
    count: usize,
}

impl Default for Changes {
    fn default() -> Self {
        Self { writer: BatchWriter::new(Compression::None), full: Vec::new(), count: 0 }
    }
}

impl Changes {
    /// A batch is closed when it is larger than this.
    const BATCH_BYTES: usize = 256 * 1024;

    /// Writes the new row of a key, or its removal.
    pub fn put(
        &mut self,
        at: Timestamp,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<()> {
        self.writer.push(at, Some(key), value, headers);
        self.count += 1;
        if self.writer.size() >= Self::BATCH_BYTES {
            self.writer.finish_into(&mut self.full)?;
        }
        Ok(())
    }

    /// How many changes were written.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes all of it as encoded batches.
    pub fn finish(&mut self) -> Result<Vec<u8>> {
        self.writer.finish_into(&mut self.full)?;
        self.count = 0;
        Ok(std::mem::take(&mut self.full))
    }
}

/// The stores of a task. A slot is the number of the store in the plan.
#[derive(Default)]
pub struct Stores {
    states: Vec<Option<Box<dyn State>>>,
    globals: Globals,
    outside: Option<Outside>,
}

impl Stores {
    /// Lets operators look at the global tables.
    pub(crate) fn show(&mut self, globals: Globals) {
        self.globals = globals;
    }

    /// Lets operators ask for work outside.
    pub(crate) fn reach(&mut self, outside: Outside) {
        self.outside = Some(outside);
    }

    /// What operators ask for work outside with.
    pub fn outside(&self) -> &Outside {
        self.outside.as_ref().expect("a program that asks does not start without an executor")
    }

    /// The global tables of the program.
    pub fn globals(&self) -> &Globals {
        &self.globals
    }

    pub(crate) fn put(&mut self, slot: usize, state: Box<dyn State>) {
        if self.states.len() <= slot {
            self.states.resize_with(slot + 1, || None);
        }
        self.states[slot] = Some(state);
    }

    pub(crate) fn take(&mut self, slot: usize) -> Box<dyn State> {
        self.states[slot].take().expect("a task has the stores of its operators")
    }

    pub(crate) fn state(&mut self, slot: usize) -> &mut dyn State {
        self.states[slot].as_deref_mut().expect("a task has the stores of its operators")
    }

    /// All stores with their slots, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut dyn State)> {
        let states = self.states.iter_mut().enumerate();
        states.filter_map(|(slot, state)| Some((slot, &mut **state.as_mut()?)))
    }

    /// All stores with their slots, in order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &dyn State)> {
        self.states
            .iter()
            .enumerate()
            .filter_map(|(slot, state)| Some((slot, &**state.as_ref()?)))
    }

    /// Whether there is a store in `slot`.
    pub fn has(&self, slot: usize) -> bool {
        self.states.get(slot).is_some_and(Option::is_some)
    }

    /// The store in `slot`, if there is one and it has this type.
    pub fn find<S: State>(&self, slot: usize) -> Option<&S> {
        self.states.get(slot)?.as_deref()?.as_any().downcast_ref()
    }

    /// A view of the store in `slot`, if it has one of this type, and the store.
    pub fn view<V: Any>(&self, slot: usize) -> Option<(&V, &dyn Any)> {
        let state = self.states.get(slot)?.as_deref()?;
        Some((state.view()?.downcast_ref()?, state.as_any()))
    }

    /// The typed store in `slot`.
    pub fn get<S: State>(&self, slot: usize) -> &S {
        let state =
            self.states[slot].as_deref().expect("a task has the stores of its operators");
        state.as_any().downcast_ref().expect("a store keeps the type it was named with")
    }

    /// The typed store in `slot`, to be changed.
    pub fn get_mut<S: State>(&mut self, slot: usize) -> &mut S {
        let state = self.states[slot].as_deref_mut().expect("a task has its operators' stores");
        state.as_any_mut().downcast_mut().expect("a store keeps the type it was named with")
    }
}
