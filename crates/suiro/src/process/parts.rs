//! What a processor works with, without the types that only its own code knows.

use super::Names;
use crate::row::{Batch, emit_to};
use crate::state::{Place, Places, TableStore};
use crate::{Data, Key, Record};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::{Result, Timestamp};
use suiro_engine::{Emitted, State, Stores};

/// The parts of a processor.
pub(crate) struct Parts<K, V> {
    pub(crate) node: usize,
    /// How all processors of the program are called.
    pub(crate) names: Arc<Names>,
    pub(crate) stores: Vec<Box<dyn Part<K, V>>>,
    /// Views of tables, each a `View` of its rows.
    pub(crate) tables: Vec<Arc<dyn Any + Send + Sync>>,
    pub(crate) outputs: Vec<fn() -> Box<dyn Buffer>>,
    /// The store of the timers.
    pub(crate) timers: usize,
}

/// A store of a processor.
pub(crate) trait Part<K, V>: Send + Sync {
    /// Its number.
    fn slot(&self) -> usize;

    /// Whether rows must be brought up from below.
    fn is_lean(&self, stores: &Stores) -> bool;

    /// Looks for the rows of a batch, so that they are in the caches when their turns come.
    fn find(&self, stores: &mut Stores, rows: &[Record<K, V>], to: &mut Places) -> Result<()>;

    /// Looks for the row of one key, and brings it up.
    fn place(&self, stores: &mut Stores, key: &K) -> Result<Place>;

    /// The row of `key` as it is, to be put back.
    fn copy(&self, stores: &Stores, key: &K) -> Box<dyn Any>;

    /// Puts a row back to what it was.
    fn put_back(&self, stores: &mut Stores, key: &K, row: Box<dyn Any>);
}

/// A store of rows of type `A`.
pub(crate) struct RowsOf<A> {
    pub(crate) slot: usize,
    pub(crate) types: PhantomData<fn() -> A>,
}

/// A row and its time, or that there is none.
type Copied<A> = Option<(A, Timestamp)>;

impl<K: Key, V: Data, A: Data> Part<K, V> for RowsOf<A> {
    fn slot(&self) -> usize {
        self.slot
    }

    fn is_lean(&self, stores: &Stores) -> bool {
        stores.get::<TableStore<K, A>>(self.slot).is_lean()
    }

    fn find(&self, stores: &mut Stores, rows: &[Record<K, V>], to: &mut Places) -> Result<()> {
        let keys = rows.iter().map(|row| &row.key);
        stores.get_mut::<TableStore<K, A>>(self.slot).find(keys, to)
    }

    fn place(&self, stores: &mut Stores, key: &K) -> Result<Place> {
        let mut places = Places::default();
        let keys = std::iter::once(key);
        stores.get_mut::<TableStore<K, A>>(self.slot).find(keys, &mut places)?;
        Ok(places.next())
    }

    fn copy(&self, stores: &Stores, key: &K) -> Box<dyn Any> {
        let slot = stores.get::<TableStore<K, A>>(self.slot).cells.get(key);
        let row: Copied<A> = slot.and_then(|slot| Some((slot.get()?.clone(), slot.at())));
        Box::new(row)
    }

    fn put_back(&self, stores: &mut Stores, key: &K, row: Box<dyn Any>) {
        let row = row.downcast::<Copied<A>>().expect("a store gets back what it gave");
        let slot = stores.get_mut::<TableStore<K, A>>(self.slot).cells.edit(key);
        match *row {
            Some((row, at)) => {
                slot.replace(Some(row));
                slot.set_at(at);
            }
            None => drop(slot.replace(None)),
        }
    }
}

/// What was sent to an output in the batch at hand.
pub(crate) trait Buffer: Send {
    /// How many records there are.
    fn len(&self) -> usize;

    /// Forgets those behind the first so many.
    fn truncate(&mut self, count: usize);

    /// Emits them.
    fn emit(&mut self, output: usize, out: &mut Emitted);

    /// The records, for a downcast.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<K: Send + 'static, U: Send + 'static> Buffer for Batch<K, U> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn truncate(&mut self, count: usize) {
        Vec::truncate(self, count);
    }

    fn emit(&mut self, output: usize, out: &mut Emitted) {
        emit_to(out, output, std::mem::take(self));
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
