//! Rows on a disk, for state that is larger than memory.

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use suiro_core::store::{Change, Store, StoreProvider, Visit};
use suiro_core::{Error, Offset, Result};

/// Opens stores in one directory, which one process may have open at a time.
///
/// What is applied is handed to the operating system in blocks and not synced: the changelog is
/// the durability of the rows. After a crash a store is at some position that it had, and the
/// changelog is replayed from there.
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
    database: Database,
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
const BUFFER: (u64, u64) = (1 << 20, 16 << 20);

impl DiskStores {
    /// Opens the directory `place`, made if it is not there. `memory` is in bytes: half of it
    /// is the cache of all stores, and each store has write buffers of a sixteenth, of which a
    /// few may be waiting to be written out.
    ///
    /// # Errors
    ///
    /// `Unavailable` if another process has the directory open or it cannot be written,
    /// `Corrupt` if it is damaged: then delete it, and the rows come back from the changelog.
    pub fn open_in(place: impl AsRef<Path>, memory: u64) -> Result<Self> {
        let place = place.as_ref().to_owned();
        let database = Database::builder(&place)
            .cache_size(memory / 2)
            .manual_journal_persist(true)
            .open()
            .map_err(|cause| {
                failed("cannot open the stores", cause).with("dir", place.display())
            })?;
        Ok(Self { database, place, buffer: (memory / 16).clamp(BUFFER.0, BUFFER.1) })
    }
}

impl StoreProvider for DiskStores {
    fn open(&self, name: &str, partition: u32) -> Result<Box<dyn Store>> {
        let options = || KeyspaceCreateOptions::default().max_memtable_size(self.buffer);
        let keyspace = self
            .database
            .keyspace(&format!("{partition}.{name}"), options)
            .map_err(|cause| failed("cannot open a store", cause).with("store", name))?;
        let position = match keyspace.get(POSITION) {
            Ok(bytes) => {
                bytes.and_then(|bytes| Some(Offset::from_be_bytes((*bytes).try_into().ok()?)))
            }
            Err(cause) => return Err(failed("cannot read a store", cause).with("store", name)),
        };
        Ok(Box::new(DiskStore { database: self.database.clone(), keyspace, position }))
    }
}

/// The position is a row among the others, so that it reaches the disk with them.
const POSITION: &[u8] = &[0];
const ROW: u8 = 1;

fn row(key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len() + 1);
    row.push(ROW);
    row.extend_from_slice(key);
    row
}

struct DiskStore {
    database: Database,
    keyspace: Keyspace,
    position: Option<Offset>,
}

impl Store for DiskStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let found = self.keyspace.get(row(key)).map_err(|cause| failed(READ, cause))?;
        Ok(found.map(Bytes::from))
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        visit_all(self.keyspace.range::<Vec<u8>, _>(bounds(from, to)), visit)
    }

    fn apply(&mut self, changes: &[Change], position: Offset) -> Result<()> {
        let mut batch = self.database.batch();
        for Change { key, value } in changes {
            match value {
                Some(value) => batch.insert(&self.keyspace, row(key), value.clone()),
                None => batch.remove(&self.keyspace, row(key)),
            }
        }
        batch.insert(&self.keyspace, POSITION, position.to_be_bytes());
        batch.commit().map_err(|cause| failed("cannot write to a store", cause))?;
        self.position = Some(position);
        Ok(())
    }

    fn position(&self) -> Option<Offset> {
        self.position
    }

    fn snapshot(&self) -> Result<Box<dyn Store>> {
        let (rows, keyspace) = (self.database.snapshot(), self.keyspace.clone());
        Ok(Box::new(Frozen { rows, keyspace, position: self.position }))
    }
}

/// A store as it was.
struct Frozen {
    rows: Snapshot,
    keyspace: Keyspace,
    position: Option<Offset>,
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
        Ok(Box::new(Self { rows, keyspace, position: self.position }))
    }
}

const READ: &str = "cannot read a store";

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

/// An error of the database, by what to do.
fn failed(what: &str, cause: fjall::Error) -> Error {
    let error = match cause {
        fjall::Error::Io(_) | fjall::Error::Locked => Error::unavailable(what),
        _ => Error::corrupt(format!("{what}; delete its directory, and it is built anew")),
    };
    error.caused_by(cause)
}
