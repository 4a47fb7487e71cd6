//! Rows on a disk, for state that is larger than memory.

mod failure;
mod place;

use bytes::Bytes;
use failure::failed;
use fjall::compaction::Leveled;
use fjall::config::PartitioningPolicy;
use fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot,
};
use place::Home;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::park_timeout;
use std::time::Duration;
use suiro_core::store::{Change, Store, StoreProvider, Visit};
use suiro_core::{Error, Offset, Result};

/// Opens stores in one directory, which one process may have open at a time.
///
/// What is applied is handed to the operating system in blocks and not synced: the changelog is
/// the durability of the rows. After a crash a store is at some position that it had, and the
/// changelog is replayed from there. Stores that a crash left half made, or not readable, are
/// made anew.
///
/// A write that fails, as on a full disk, ends the stores: every later one is `Unavailable`, until
/// the directory is opened again.
///
/// ```
/// use suiro_core::store::{Change, StoreProvider};
/// use suiro_store::DiskStores;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let stores = DiskStores::open_in(dir.path(), 64 << 20)?;
/// let mut counts = stores.open("counts", 0)?;
/// counts.apply(&[Change { key: "ada".into(), value: Some("7".into()) }], 1)?;
/// assert_eq!(counts.get(b"ada")?.as_deref(), Some(&b"7"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DiskStores {
    home: Arc<Home>,
    place: PathBuf,
    buffer: u64,
}

impl std::fmt::Debug for DiskStores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStores").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The smallest and the largest write buffer: larger ones make longer pauses when they are
/// written out.
const BUFFER: (u64, u64) = (256 << 10, 8 << 20);

/// The smallest table: of smaller ones there would be too many.
const TABLE: u64 = 2 << 20;

impl DiskStores {
    /// Opens the directory `place`, made if it is not there. `memory` is in bytes: half of it
    /// is the cache of all stores, and the other half for write buffers, of which each store has
    /// up to three, and for what is being merged.
    ///
    /// # Errors
    ///
    /// `Unavailable` if another process has the directory open or it cannot be written,
    /// `Corrupt` if it was closed and is damaged: then delete it, and the rows come back from
    /// the changelog.
    pub fn open_in(place: impl AsRef<Path>, memory: u64) -> Result<Self> {
        let place = place.as_ref().to_owned();
        let home = Home::open(&place, |rows| {
            Database::builder(rows)
                .cache_size(memory / 2)
                .manual_journal_persist(true)
                // One that writes out and merges; with more of them the others spin while it
                // works.
                .worker_threads(1)
                .open()
        })?;
        let (home, buffer) = (Arc::new(home), (memory / 32).clamp(BUFFER.0, BUFFER.1));
        Ok(Self { home, place, buffer })
    }
}

impl DiskStores {
    fn keyspace(&self, name: &str, partition: u32) -> Result<Keyspace> {
        let levels = Leveled::default().with_table_target_size((2 * self.buffer).max(TABLE));
        let options = || {
            // Filters and indexes are read in small parts, so that no more of them are in memory
            // than the cache has room for. When to write out is for us to say: the worker would
            // come to it when it has done its merging.
            KeyspaceCreateOptions::default()
                .max_memtable_size(u64::MAX)
                .compaction_strategy(Arc::new(levels))
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        };
        self.home
            .database
            .keyspace(&format!("{partition}.{name}"), options)
            .map_err(|cause| failed("cannot open a store", cause).with("store", name))
    }
}

impl StoreProvider for DiskStores {
    fn open(&self, name: &str, partition: u32) -> Result<Box<dyn Store>> {
        let keyspace = self.keyspace(name, partition)?;
        let position = match keyspace.get(POSITION) {
            Ok(bytes) => {
                bytes.and_then(|bytes| Some(Offset::from_be_bytes((*bytes).try_into().ok()?)))
            }
            Err(cause) => return Err(failed(READ, cause).with("store", name)),
        };
        let (home, buffer) = (Arc::clone(&self.home), self.buffer);
        Ok(Box::new(DiskStore { keyspace, position, buffer, journaled: 0, home }))
    }

    fn forget(&self, name: &str, partition: u32) -> Result<()> {
        let keyspace = self.keyspace(name, partition)?;
        self.home
            .database
            .delete_keyspace(keyspace)
            .map_err(|cause| failed("cannot remove a store", cause).with("store", name))
    }
}

/// The position is a row among the others, so that it reaches the disk with them.
const POSITION: &[u8] = &[0];
const ROW: u8 = 1;

/// Keys below this length are looked for without an allocation.
const SHORT: usize = 64;

fn with_row<T>(key: &[u8], look: impl FnOnce(&[u8]) -> T) -> T {
    let mut short = [ROW; SHORT];
    match short.get_mut(1..=key.len()) {
        Some(place) => {
            place.copy_from_slice(key);
            look(&short[..=key.len()])
        }
        None => look(&row(key)),
    }
}

fn row(key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len() + 1);
    row.push(ROW);
    row.extend_from_slice(key);
    row
}

struct DiskStore {
    keyspace: Keyspace,
    position: Option<Offset>,
    buffer: u64,
    /// What was written to the journal since it could last go, in bytes.
    journaled: u64,
    home: Arc<Home>,
}

impl Store for DiskStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let found = with_row(key, |row| self.keyspace.get(row));
        Ok(found.map_err(|cause| failed(READ, cause))?.map(Bytes::from))
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        visit_all(self.keyspace.range::<Vec<u8>, _>(bounds(from, to)), visit)
    }

    fn apply(&mut self, changes: &[Change], position: Offset) -> Result<()> {
        self.wait_for(|store| store.keyspace.l0_table_count() < TABLES)
            .map_err(|cause| self.write_failed(cause))?;
        if changes.len() >= BULK {
            self.ingest(changes, position).map_err(|cause| self.write_failed(cause))?;
            self.position = Some(position);
            return Ok(());
        }
        let mut batch = self.home.database.batch();
        for Change { key, value } in changes {
            self.journaled += (key.len() + value.as_ref().map_or(0, Bytes::len)) as u64;
            match value {
                Some(value) => batch.insert(&self.keyspace, row(key), value.clone()),
                None => batch.remove(&self.keyspace, row(key)),
            }
        }
        batch.insert(&self.keyspace, POSITION, position.to_be_bytes());
        batch.commit().map_err(|cause| self.write_failed(cause))?;
        self.position = Some(position);
        self.write_out().map_err(|cause| self.write_failed(cause))
    }

    fn position(&self) -> Option<Offset> {
        self.position
    }

    fn snapshot(&self) -> Result<Box<dyn Store>> {
        let (rows, keyspace) = (self.home.database.snapshot(), self.keyspace.clone());
        let home = Arc::clone(&self.home);
        Ok(Box::new(Frozen { rows, keyspace, position: self.position, home }))
    }
}

/// A store as it was.
struct Frozen {
    rows: Snapshot,
    keyspace: Keyspace,
    position: Option<Offset>,
    home: Arc<Home>,
}

impl Store for Frozen {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let found =
            self.rows.get(&self.keyspace, row(key)).map_err(|cause| failed(READ, cause))?;
        Ok(found.map(Bytes::from))
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        visit_all(self.rows.range::<Vec<u8>, _>(&self.keyspace, bounds(from, to)), visit)
    }

    fn apply(&mut self, _changes: &[Change], _position: Offset) -> Result<()> {
        Err(Error::invalid("a snapshot of a store takes no changes"))
    }

    fn position(&self) -> Option<Offset> {
        self.position
    }

    fn snapshot(&self) -> Result<Box<dyn Store>> {
        let (rows, keyspace) = (self.rows.clone(), self.keyspace.clone());
        let home = Arc::clone(&self.home);
        Ok(Box::new(Self { rows, keyspace, position: self.position, home }))
    }
}

const READ: &str = "cannot read a store";

/// So many changes are written as a table of their own.
const BULK: usize = 4096;

/// So many tables may wait to be merged: reads look at each of them.
const TABLES: usize = 16;
/// So many write buffers may wait to be written out.
const BUFFERS: usize = 2;

/// So much of the journal at most waits for the write buffer to be written out.
const JOURNAL: u64 = 32 << 20;

/// How long to wait before the next look at what is waited for.
const LOOK: Duration = Duration::from_millis(1);

impl DiskStore {
    /// Has the write buffer written out, if it is full, or the journal long.
    fn write_out(&mut self) -> fjall::Result<()> {
        let size = self.keyspace.tree.active_memtable().size();
        if size < self.buffer && self.journaled < JOURNAL {
            return Ok(());
        }
        self.wait_for(|store| store.keyspace.sealed_memtable_count() < BUFFERS)?;
        self.journaled = 0;
        self.keyspace.rotate_memtable().map(|_| ())
    }

    /// Waits for the worker, as long as there is one. The database itself would wait at some
    /// more, and not notice that who does the work has failed.
    fn wait_for(&self, done: impl Fn(&Self) -> bool) -> fjall::Result<()> {
        while !done(self) {
            // It says whether something has failed.
            self.home.database.persist(PersistMode::Buffer)?;
            park_timeout(LOOK);
        }
        Ok(())
    }

    fn write_failed(&self, cause: fjall::Error) -> Error {
        failed("cannot write to a store", cause).with("store", &**self.keyspace.name())
    }

    /// Writes many changes, sorted, as a table of their own: they need no journal, and take no
    /// memory until they are written out.
    fn ingest(&self, changes: &[Change], position: Offset) -> fjall::Result<()> {
        let mut order: Vec<u32> = (0..changes.len() as u32).collect();
        // Of the changes to one key the last one comes first.
        order.sort_unstable_by(|a, b| {
            let (one, other) = (&changes[*a as usize].key, &changes[*b as usize].key);
            one.cmp(other).then(b.cmp(a))
        });
        let mut table = self.keyspace.start_ingestion()?;
        table.write(POSITION, position.to_be_bytes())?;
        let mut last: Option<&Bytes> = None;
        for Change { key, value } in order.iter().map(|at| &changes[*at as usize]) {
            if last.replace(key) == Some(key) {
                continue;
            }
            match value {
                Some(value) => table.write(row(key), value.clone())?,
                None => table.write_tombstone(row(key))?,
            }
        }
        table.finish()
    }
}

fn bounds(from: Bound<&[u8]>, to: Bound<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from = match from {
        Bound::Unbounded => Bound::Included(row(&[])),
        bound => bound.map(row),
    };
    let to = match to {
        Bound::Unbounded => Bound::Excluded(vec![ROW + 1]),
        bound => bound.map(row),
    };
    (from, to)
}

fn visit_all(rows: fjall::Iter, visit: &mut Visit<'_>) -> Result<()> {
    for found in rows {
        let (key, value) = found.into_inner().map_err(|cause| failed(READ, cause))?;
        if visit(&key[1..], &value) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}
