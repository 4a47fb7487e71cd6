//! The store of a table: one row per key.

use super::{Cells, prefix};
use crate::format::{Encoded, Format, read_state, write_state};
use crate::{Data, Key};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::any::Any;
use suiro_core::{Error, Headers, Result};
use suiro_engine::{Changes, Restored, State};

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
}

impl<K: Key, A: Data> TableStore<K, A> {
    pub(crate) fn new(
        keys: &'static dyn Format<K>,
        values: Option<&'static dyn Format<A>>,
    ) -> Self {
        let (cells, headers) = (Cells::new(), HashMap::with_hasher(FixedState::default()));
        Self { cells, headers, keys, values, buffers: Default::default() }
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

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        if change.from_source {
            self.restore_from_source(&change);
            return Ok(());
        }
        let Some((&prefix::ROW, key)) = change.key.split_first() else {
            return Err(Error::corrupt("unknown kind of row in a changelog"));
        };
        let key = self.keys.decode(key)?;
        match change.value {
            None => self.cells.unload(&key),
            Some(value) => {
                self.cells.load(key, read_state(value)?, change.at);
            }
        }
        Ok(())
    }

    fn rows(&self) -> usize {
        self.cells.len()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
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
