//! The store of what is kept of each key in parts that go by time, such as open sessions: all of a
//! key is one row, and each key is looked at when the time of the first of its parts is over.

use super::beneath::Beneath;
use super::due::{DueKeys, entry_of};
use super::form::form;
use super::table_store::encode_key;
use super::{Cells, Place, Places, StreamTime, prefix};
use crate::format::Format;
use crate::{Data, Key};
use bytes::Bytes;
use std::any::Any;
use std::ops::ControlFlow;
use suiro_core::store::{Change, Store};
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, Standing, State, lowered};

/// All that is kept of a key, in parts that go by time.
pub(crate) trait Timed: Clone + Default + Send + 'static {
    /// What the user knows of a part, for the form of the store.
    type Value: Data;

    /// The time that says when the first part goes; none if there is no part.
    fn first(&self) -> Option<Timestamp>;

    /// Writes the row as it is in the changelog.
    fn write(&self, out: &mut Vec<u8>) -> Result<()>;

    /// Reads what was written.
    fn read(row: &[u8]) -> Result<Self>;

    /// As [`Timed::first`], of what was written, whatever the type of the values was then.
    fn first_of(row: &[u8]) -> Result<Option<Timestamp>>;
}

/// The rows of keys, and when to look at them next.
pub(crate) struct TimedStore<K: 'static, R> {
    pub(crate) cells: Cells<K, R>,
    pub(crate) time: StreamTime,
    pub(crate) keys: &'static dyn Format<K>,
    /// What a row depends on, for the form of the store.
    kind: String,
    /// How long after its time a part goes, in milliseconds.
    pub(super) linger: i64,
    /// How far ahead keys are usually due, in milliseconds.
    ahead: i64,
    due: DueKeys<K>,
    /// The store that has all rows, where `cells` holds only some.
    below: Option<Beneath>,
}

impl<K: Key, R: Timed> TimedStore<K, R> {
    pub(super) fn of_kind(
        kind: String,
        keys: &'static dyn Format<K>,
        linger: i64,
        ahead: i64,
    ) -> Self {
        let (cells, time) = (Cells::new(), StreamTime::NONE);
        let due = DueKeys::new(keys, ahead);
        Self { cells, time, keys, kind, linger, ahead, due, below: None }
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

    /// The row of `key` as of the last commit, empty if there is none.
    pub(crate) fn committed(&self, key: &K) -> Result<R> {
        let row = match &self.below {
            Some(below) if !self.cells.holds(key) => read(below, self.keys, key)?,
            _ => self.cells.committed(key).map(|(row, at)| (row.clone(), at)),
        };
        Ok(row.map(|(row, _)| row).unwrap_or_default())
    }

    /// The rows of all keys as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> Result<Vec<(K, R)>> {
        let held = self.cells.all_committed();
        let mut all: Vec<_> = held.map(|(key, row, _)| (key.clone(), row.clone())).collect();
        self.visit_below(|key, row, _| all.push((key, row)))?;
        Ok(all)
    }

    /// Shows the rows of keys that nothing is held for.
    fn visit_below(&self, mut show: impl FnMut(K, R, Timestamp)) -> Result<()> {
        let Some(below) = &self.below else { return Ok(()) };
        below.visit(&[prefix::ROW], &mut |key, at, _, row| {
            let key = self.keys.decode(&key[1..])?;
            if !self.cells.holds(&key) {
                show(key, R::read(row)?, at);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Has `key` looked at when a part of the time `first` goes.
    pub(crate) fn remember(&mut self, key: K, first: Timestamp) {
        self.due.push(first.plus_millis(self.linger), key);
    }

    /// The next key that is to be looked at by `now`, with the place of its row.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Result<Option<(K, Place)>> {
        let Some(key) = self.due.pop(now, self.below.as_ref())? else { return Ok(None) };
        if let Some(below) = &self.below
            && !self.cells.holds(&key)
        {
            let row = read(below, self.keys, &key)?;
            self.cells.raise(key.clone(), row);
        }
        let place = self.cells.place(&key);
        Ok(Some((key, place)))
    }

    /// Takes out the rows of all keys.
    pub(super) fn take_all(&mut self) -> Result<Vec<(K, R)>> {
        let mut below = Vec::new();
        self.visit_below(|key, row, at| below.push((key, row, at)))?;
        for (key, row, at) in below {
            self.cells.raise(key, Some((row, at)));
        }
        if !self.due.is_lean() {
            self.due.clear();
        }
        let keys: Vec<K> = self.cells.iter().map(|(key, _)| key.clone()).collect();
        let take = |key: K| {
            let row = self.cells.edit(&key).replace(None).unwrap_or_default();
            (key, row)
        };
        Ok(keys.into_iter().map(take).collect())
    }

    /// Looks at every key anew.
    fn remember_all(&mut self) {
        self.due.clear();
        if self.due.is_lean() {
            return;
        }
        for (key, slot) in self.cells.iter() {
            if let Some(first) = slot.get().and_then(R::first) {
                self.due.push(first.plus_millis(self.linger), key.clone());
            }
        }
    }
}

impl<K: Key, R: Timed> State for TimedStore<K, R> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        save_rows(&self.cells, self.keys, changes, R::write)?;
        self.time.save(changes)
    }

    fn seal(&mut self) -> bool {
        self.cells.seal();
        self.time.seal();
        true
    }

    fn committed(&mut self) {
        self.cells.commit();
        self.due.commit();
        self.time.commit();
    }

    fn beside(&mut self) -> Result<Vec<Change>> {
        self.due.beside()
    }

    fn rollback(&mut self) {
        self.cells.rollback();
        self.time.rollback();
        self.remember_all();
    }

    fn reserve(&mut self, rows: usize) {
        self.cells.reserve(rows);
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        match change.key.split_first() {
            Some((&prefix::TIME, _)) => self.time.restore(change.value),
            Some((&prefix::ROW, key)) => {
                let key = self.keys.decode(key)?;
                let Some(value) = change.value else {
                    self.cells.unload(&key);
                    return Ok(());
                };
                self.cells.load(key, R::read(value)?, change.at);
                Ok(())
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) -> Result<()> {
        if let Some(below) = &self.below {
            below.restore_time(&mut self.time)?;
        }
        self.remember_all();
        Ok(())
    }

    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        let slots = Cells::<K, R>::room(memory);
        self.below = Some(Beneath::new::<K, R>(below, memory, slots));
        self.cells.lean(false);
        self.due.lean(self.ahead);
        true
    }

    fn lower(&self, change: &Restored<'_>, out: &mut Vec<Change>) -> Result<()> {
        let key = change.key.to_vec().into();
        let value = change.value.map(|value| lowered(change.at, change.headers, value));
        out.push(Change { key, value });
        if let (Some((&prefix::ROW, key)), Some(value)) =
            (change.key.split_first(), change.value)
            && let Some(first) = R::first_of(value)?
        {
            let (at, key) = (first.plus_millis(self.linger), self.keys.decode(key)?);
            let (key, value) = (entry_of(self.keys, at, &key)?.into(), Some(Bytes::new()));
            out.push(Change { key, value });
        }
        Ok(())
    }

    fn lowered(&mut self, count: usize, last: bool) {
        self.cells.lowered(count, last);
        self.due.lowered(last);
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.below.as_ref()?.standing(self.cells.pinned(), self.cells.changed()))
    }

    fn weigh(&mut self, bytes: usize) {
        self.below.iter_mut().for_each(|below| below.weigh(bytes));
    }

    fn rows(&self) -> usize {
        self.cells.len()
    }

    fn stream_time(&self) -> Option<Timestamp> {
        Some(self.time.now())
    }

    fn pass(&mut self, millis: i64) {
        self.time.pass(millis);
    }

    fn due_in(&self) -> Option<i64> {
        self.time.until(self.due.next())
    }

    fn form(&self) -> Option<Form> {
        Some(form::<K, R::Value>(self.kind.clone(), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

fn read<K, R: Timed>(
    below: &Beneath,
    keys: &dyn Format<K>,
    key: &K,
) -> Result<Option<(R, Timestamp)>> {
    let mut bytes = vec![prefix::ROW];
    encode_key(keys, key, &mut bytes)?;
    below.read(&bytes, |_, row| R::read(row))
}

/// Writes the rows that changed in this generation. Their times are not those of records.
pub(super) fn save_rows<K: Key, R: Clone>(
    cells: &Cells<K, R>,
    keys: &dyn Format<K>,
    changes: &mut Changes,
    write: impl Fn(&R, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for (touched, slot) in cells.touched() {
        if touched.before.is_none() && slot.get().is_none() {
            continue;
        }
        key.clear();
        value.clear();
        key.push(prefix::ROW);
        encode_key(keys, &touched.key, &mut key)?;
        let row = slot.get().map(|row| write(row, &mut value)).transpose()?;
        let value = row.map(|()| &*value);
        changes.put(slot.at().max(Timestamp::ZERO), &key, value, &Headers::NONE)?;
    }
    Ok(())
}
