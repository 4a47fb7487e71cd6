//! The contract with a key-value store: ordered bytes that know their changelog position.

use crate::{Offset, Result};
use bytes::Bytes;
use std::ops::{Bound, ControlFlow};

/// A change to one key: its new value, or its removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Bytes,
    /// The new value; `None` removes the key.
    pub value: Option<Bytes>,
}

/// Is shown a key and its value, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// The committed rows of one task's store, in order of their keys' bytes, with the position in
/// the changelog up to which they are complete.
///
/// # What every store promises
///
/// * [`Store::apply`] takes all changes and the position together or, after an error or a
///   crash, none of them.
/// * A read sees all changes that were applied before it.
/// * After a crash the store is at some position that it once had, and [`Store::position`]
///   tells which; the rest is replayed from the changelog. Applying a change twice, in order,
///   does no harm.
pub trait Store: Send {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Visits the rows in a range of keys, in order, until `visit` breaks.
    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()>;

    /// Takes `changes` in order, and the changelog position after them.
    fn apply(&mut self, changes: &[Change], position: Offset) -> Result<()>;

    /// The changelog position up to which the rows are complete; `None` for a new store.
    fn position(&self) -> Option<Offset>;

    /// A copy of the rows and the position as they are now, which later changes do not touch.
    fn snapshot(&self) -> Result<Box<dyn Store>>;
}

/// Opens the stores of tasks.
pub trait StoreProvider: Send + Sync {
    /// Opens the store called `name` of partition number `partition`, empty if it is new.
    fn open(&self, name: &str, partition: u32) -> Result<Box<dyn Store>>;

    /// Removes the store called `name` of partition number `partition`, which nobody has open:
    /// when it is opened again it is new.
    fn forget(&self, name: &str, partition: u32) -> Result<()>;
}
