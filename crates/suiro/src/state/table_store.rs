//! The store of a table: one row per key.

use super::beneath::Beneath;
use super::form::form;
use super::{Cells, Places, prefix};
use crate::format::{Encoded, Format, read_state, write_state};
use crate::{Data, Key};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::any::Any;
use std::ops::ControlFlow;
use suiro_core::store::{Change, Store};
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Loader, Restored, State, lowered};

/// One row per key.
pub(crate) struct TableStore<K: 'static, A: 'static> {
    pub(crate) cells: Cells<K, A>,
    /// The headers of the records that changed rows since the last commit, where they had some
    /// (rule H1).
    pub(crate) headers: HashMap<K, Headers, FixedState>,
    keys: &'static dyn Format<K>,
    /// How the source topic of the table writes its values, if it has one.
    values: Option<&'static dyn Format<A>>,
    buffers: (Vec<u8>, Vec<u8>),
    /// The store that has all rows, where `cells` holds only some.
    below: Option<Beneath>,
}

impl<K: Key, A: Data> TableStore<K, A> {
    pub(crate) fn new(
        keys: &'static dyn Format<K>,
        values: Option<&'static dyn Format<A>>,
    ) -> Self {
        let (cells, headers) = (Cells::new(), HashMap::with_hasher(FixedState::default()));
        Self { cells, headers, keys, values, buffers: Default::default(), below: None }
    }
}

impl<K: Key, A: Data> TableStore<K, A> {
    /// Takes a record of the source topic. It lies before the committed position: what is no
    /// valid input was skipped when it was read, and is skipped here.
    fn restore_from_source(&mut self, change: &Restored<'_>) {
        let values = self.values.expect("only a source table is restored from a topic");
        let Ok(key) = self.keys.decode(change.key) else { return };
        let row = match change.value.map(|value| values.decode(value)) {
            _ if !change.at.is_valid() => return,
            Some(Err(_)) => return,
            Some(Ok(row)) => Some(row),
            None => None,
        };
        match row {
            None => self.cells.unload(&key),
            Some(row) => self.cells.load(key, row, change.at),
        }
    }

    /// Looks for the rows of keys, brings up those that are below, and gives their places.
    pub(crate) fn find<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a K> + Clone,
        places: &mut Places,
    ) -> Result<()>
    where
        K: 'a,
    {
        if let Some(below) = &self.below {
            below.bring_up(&mut self.cells, keys.clone(), |key| read(below, self.keys, key))?;
        }
        self.cells.find(keys, places);
        Ok(())
    }

    /// Shows the row of `key` as it is now; what is below stays there.
    pub(crate) fn look(&self, key: &K, show: &mut dyn FnMut(&A, Timestamp)) -> Result<()> {
        match &self.below {
            Some(below) if !self.cells.holds(key) => {
                if let Some((row, at)) = read(below, self.keys, key)? {
                    show(&row, at);
                }
            }
            _ => {
                let slot = self.cells.get(key);
                if let Some((slot, row)) = slot.and_then(|slot| Some((slot, slot.get()?))) {
                    show(row, slot.at());
                }
            }
        }
        Ok(())
    }

    /// The row of `key` as of the last commit.
    pub(crate) fn committed(&self, key: &K) -> Result<Option<A>> {
        match &self.below {
            Some(below) if !self.cells.holds(key) => {
                Ok(read(below, self.keys, key)?.map(|(row, _)| row))
            }
            _ => Ok(self.cells.committed(key).map(|(row, _)| row.clone())),
        }
    }

    /// All rows as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> Result<Vec<(K, A, Timestamp)>> {
        let held = self.cells.all_committed();
        let mut all: Vec<_> =
            held.map(|(key, row, at)| (key.clone(), row.clone(), at)).collect();
        if let Some(below) = &self.below {
            below.visit(&[prefix::ROW], &mut |key, at, _, row| {
                let key = self.keys.decode(&key[1..])?;
                if !self.cells.holds(&key) {
                    all.push((key, read_state(row)?, at));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(all)
    }
}

fn read<K, A: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    key: &K,
) -> Result<Option<(A, Timestamp)>> {
    let mut bytes = vec![prefix::ROW];
    encode_key(keys, key, &mut bytes)?;
    below.read(&bytes, |_, row| read_state(row))
}

/// Keeps the headers of the record that changed `key`; no headers replace some.
#[inline]
pub(crate) fn keep_headers<K: Key>(
    kept: &mut HashMap<K, Headers, FixedState>,
    key: &K,
    headers: &Headers,
) {
    if !headers.is_empty() {
        kept.insert(key.clone(), headers.clone());
    } else if !kept.is_empty() {
        kept.remove(key);
    }
}

impl<K: Key, A: Data> State for TableStore<K, A> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (key, value) = &mut self.buffers;
        for (touched, slot) in self.cells.touched() {
            if touched.before.is_none() && slot.get().is_none() {
                continue;
            }
            key.clear();
            key.push(prefix::ROW);
            self.keys.encode(&touched.key, key)?;
            match slot.get() {
                None if cfg!(suiro_mutant = "tombstone_not_logged") => {}
                None => changes.put(slot.at(), key, None, &Headers::NONE)?,
                Some(row) => {
                    value.clear();
                    write_state(row, value)?;
                    changes.put(slot.at(), key, Some(value), &Headers::NONE)?;
                }
            }
        }
        Ok(())
    }

    fn committed(&mut self) {
        self.cells.commit();
        self.headers.clear();
    }

    fn rollback(&mut self) {
        self.cells.rollback();
        self.headers.clear();
    }

    fn reserve(&mut self, rows: usize) {
        self.cells.reserve(rows);
    }

    fn loader(&self) -> Option<Box<dyn Loader>> {
        let (keys, rows) = (self.keys, Vec::new());
        Some(Box::new(TableLoader::<K, A> { keys, rows }))
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        if change.from_source {
            self.restore_from_source(&change);
            return Ok(());
        }
        let (key, row) = decode_row(self.keys, &change)?;
        match row {
            None => self.cells.unload(&key),
            Some(row) => self.cells.load(key, row, change.at),
        }
        Ok(())
    }

    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        self.below = Some(Beneath::new(below, Cells::<K, A>::room(memory)));
        self.cells.lean(false);
        true
    }

    fn is_lean(&self) -> bool {
        self.below.is_some()
    }

    fn lower(&self, change: &Restored<'_>, out: &mut Vec<Change>) -> Result<()> {
        let (mut key, mut row) = (Vec::new(), Vec::new());
        if !change.from_source {
            key.extend_from_slice(change.key);
            row.extend_from_slice(change.value.unwrap_or_default());
        } else {
            key.push(prefix::ROW);
            encode_key(self.keys, &self.keys.decode(change.key)?, &mut key)?;
            if let (Some(value), Some(format)) = (change.value, self.values) {
                write_state(&format.decode(value)?, &mut row)?;
            }
        }
        let value = change.value.map(|_| lowered(change.at, &Headers::NONE, &row));
        out.push(Change { key: key.into(), value });
        Ok(())
    }

    fn lowered(&mut self, count: usize, last: bool) {
        self.cells.lowered(count, last);
    }

    fn is_full(&self) -> bool {
        self.below.as_ref().is_some_and(|below| below.is_full(self.cells.pinned()))
    }

    fn is_heavy(&self) -> bool {
        self.below.as_ref().is_some_and(|below| below.is_heavy(self.cells.changed()))
    }

    fn rows(&self) -> usize {
        self.cells.len()
    }

    fn form(&self) -> Option<Form> {
        Some(form::<K, A>("table".to_owned(), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The key and the row of a record of the changelog; no row for a removal.
fn decode_row<K, A: Data>(
    keys: &dyn Format<K>,
    change: &Restored<'_>,
) -> Result<(K, Option<A>)> {
    let Some((&prefix::ROW, key)) = change.key.split_first() else {
        return Err(Error::corrupt("unknown kind of row in a changelog"));
    };
    Ok((keys.decode(key)?, change.value.map(read_state).transpose()?))
}

/// Rows on their way into a table.
struct TableLoader<K: 'static, A> {
    keys: &'static dyn Format<K>,
    rows: Vec<(K, Option<A>, Timestamp)>,
}

impl<K: Key, A: Data> Loader for TableLoader<K, A> {
    fn decode(&mut self, change: Restored<'_>) -> Result<()> {
        let (key, row) = decode_row(self.keys, &change)?;
        self.rows.push((key, row, change.at));
        Ok(())
    }

    fn load(&mut self, into: &mut dyn State) {
        let store = into.as_any_mut().downcast_mut::<TableStore<K, A>>();
        let cells = &mut store.expect("a loader is given the store that made it").cells;
        for (key, row, at) in self.rows.drain(..) {
            match row {
                None => cells.unload(&key),
                Some(row) => cells.load(key, row, at),
            }
        }
    }
}

/// Appends the bytes of a key; a key is never null.
pub(crate) fn encode_key<K>(keys: &dyn Format<K>, key: &K, out: &mut Vec<u8>) -> Result<()> {
    match keys.encode(key, out)? {
        Encoded::Bytes => Ok(()),
        Encoded::Null => {
            Err(Error::invalid("a key was written as null").with("format", keys.name()))
        }
    }
}
