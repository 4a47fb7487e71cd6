//! Rows in memory: lost with the process, brought back from the changelog.

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use suiro_core::store::{Change, Store, StoreProvider, Visit};
use suiro_core::{Offset, Result};

/// Opens stores in memory. Clones open the same stores, and a store that is opened again has
/// the rows that it had, as long as one of them lives.
///
/// ```
/// use suiro_core::store::{Change, StoreProvider};
/// use suiro_store::MemoryStores;
///
/// # fn main() -> suiro_core::Result<()> {
/// let stores = MemoryStores::default();
/// let change = Change { key: "ada".into(), value: Some("7".into()) };
/// stores.open("counts", 0)?.apply(&[change], 1)?;
///
/// let again = stores.open("counts", 0)?;
/// assert_eq!(again.get(b"ada")?.as_deref(), Some(&b"7"[..]));
/// assert_eq!(again.position(), Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStores {
    stores: Arc<Mutex<HashMap<(String, u32), MemoryStore>>>,
}

impl StoreProvider for MemoryStores {
    fn open(&self, name: &str, partition: u32) -> Result<Box<dyn Store>> {
        let mut stores = lock(&self.stores);
        let store = stores.entry((name.to_owned(), partition)).or_default();
        Ok(Box::new(store.clone()))
    }

    fn forget(&self, name: &str, partition: u32) -> Result<()> {
        lock(&self.stores).remove(&(name.to_owned(), partition));
        Ok(())
    }
}

/// The rows of one store in memory. Clones share them; a snapshot does not, and costs nothing
/// until the next change.
///
/// ```
/// use suiro_core::store::{Change, Store};
/// use suiro_store::MemoryStore;
///
/// # fn main() -> suiro_core::Result<()> {
/// let mut store = MemoryStore::default();
/// store.apply(&[Change { key: "ada".into(), value: Some("7".into()) }], 1)?;
/// let snapshot = store.snapshot()?;
///
/// store.apply(&[Change { key: "ada".into(), value: None }], 2)?;
/// assert_eq!(store.get(b"ada")?, None);
/// assert_eq!(snapshot.get(b"ada")?.as_deref(), Some(&b"7"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<Arc<Rows>>>,
}

#[derive(Clone, Debug, Default)]
struct Rows {
    by_key: BTreeMap<Bytes, Bytes>,
    position: Option<Offset>,
}

impl MemoryStore {
    /// The rows as they are now. Whoever holds them makes the next change copy them.
    fn now(&self) -> Arc<Rows> {
        lock(&self.rows).clone()
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(lock(&self.rows).by_key.get(key).cloned())
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        if is_empty(from, to) {
            return Ok(());
        }
        // The visitor is foreign code, so it runs outside the lock.
        for (key, value) in self.now().by_key.range::<[u8], _>((from, to)) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&mut self, changes: &[Change], position: Offset) -> Result<()> {
        let mut rows = lock(&self.rows);
        let rows = Arc::make_mut(&mut rows);
        for Change { key, value } in changes {
            match value {
                Some(value) => rows.by_key.insert(key.clone(), value.clone()),
                None => rows.by_key.remove(key),
            };
        }
        rows.position = Some(position);
        Ok(())
    }

    fn position(&self) -> Option<Offset> {
        lock(&self.rows).position
    }

    fn snapshot(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(Self { rows: Arc::new(Mutex::new(self.now())) }))
    }
}

/// Whether a range can hold nothing; a `BTreeMap` panics at such a range.
fn is_empty(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// No foreign code runs under these locks, so what they guard is whole even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
