//! Objects in memory, for tests and simulations.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use suiro_core::objects::{ObjectInfo, Objects};
use suiro_core::{Clock, Result, SystemClock, Timestamp};

/// Objects in memory: lost with the last clone.
///
/// ```
/// use suiro_core::objects::Objects;
/// use suiro_store::MemoryObjects;
///
/// # fn main() -> suiro_core::Result<()> {
/// let objects = MemoryObjects::default();
/// assert!(objects.create("a/1", "one".into())?);
/// assert!(!objects.clone().create("a/1", "two".into())?);
/// assert_eq!(objects.get("a/1")?.as_deref(), Some(&b"one"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryObjects {
    objects: Arc<Mutex<BTreeMap<String, (Bytes, Timestamp)>>>,
    clock: Arc<dyn Clock>,
}

impl Default for MemoryObjects {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::default()))
    }
}

impl std::fmt::Debug for MemoryObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

impl MemoryObjects {
    /// No objects yet; `clock` says when one was written.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use suiro_core::SystemClock;
    /// use suiro_core::objects::Objects;
    /// use suiro_store::MemoryObjects;
    ///
    /// let objects = MemoryObjects::new(Arc::new(SystemClock::default()));
    /// assert!(objects.list("a").unwrap().is_empty());
    /// ```
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { objects: Arc::default(), clock }
    }

    /// No foreign code runs under the lock, so what it guards is whole even after a panic.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Bytes, Timestamp)>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects for MemoryObjects {
    fn get(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.lock().get(name).map(|(bytes, _)| bytes.clone()))
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let now = self.clock.now();
        self.lock().insert(name.to_owned(), (bytes, now));
        Ok(())
    }

    fn create(&self, name: &str, bytes: Bytes) -> Result<bool> {
        let now = self.clock.now();
        let mut objects = self.lock();
        let is_new = !objects.contains_key(name);
        if is_new {
            objects.insert(name.to_owned(), (bytes, now));
        }
        Ok(is_new)
    }

    fn list(&self, under: &str) -> Result<Vec<ObjectInfo>> {
        let prefix = format!("{under}/");
        let objects = self.lock();
        let from = objects.range(prefix.clone()..);
        let listed = from.take_while(|(name, _)| name.starts_with(&prefix));
        let info = |(name, (bytes, at)): (&String, &(Bytes, Timestamp))| ObjectInfo {
            name: name.clone(),
            bytes: bytes.len() as u64,
            written: *at,
        };
        Ok(listed.map(info).collect())
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.lock().remove(name);
        Ok(())
    }
}
