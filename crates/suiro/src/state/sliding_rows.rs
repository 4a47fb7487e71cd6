//! What the records of sliding windows are in the changelog and in a store below, and how the
//! windows are seen from outside.
//!
//! The key is the length and the bytes of the record's key, its time, and its number in the order
//! of arrival; so the records of a key lie together. The value ends with a byte that says
//! whether the end of a bounded run has closed the windows of the record.

use super::beneath::Beneath;
use super::due::entry_of;
use super::form::form;
use super::join_rows::put_prefix;
use super::prefix;
use super::sliding_store::{Deed, Id, SlidingStore, fold_again};
use super::slots::Lower;
use super::track::{Accepted, Pane, Sliding, Track};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use bytes::Bytes;
use std::any::Any;
use std::collections::HashMap;
use std::ops::ControlFlow;
use suiro_core::store::{Change, Store};
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, Standing, State, lowered};

/// Reads the key of a row behind its first byte: key, time and number.
fn read_key<K>(keys: &dyn Format<K>, bytes: &[u8]) -> Result<(K, Timestamp, u64)> {
    let split = || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let (at, rest) = rest.split_first_chunk()?;
        let number = u64::from_be_bytes(rest.try_into().ok()?);
        Some((key, Timestamp::from_millis(i64::from_be_bytes(*at)), number))
    };
    let cut_off = || Error::corrupt("the key of an accepted record is cut off");
    let (key, at, number) = split().ok_or_else(cut_off)?;
    Ok((keys.decode(key)?, at, number))
}

/// Splits a row into the value of the record and its mark.
fn split_row(row: &[u8]) -> Result<(&[u8], u8)> {
    let split = row.split_last();
    let (ended, value) =
        split.ok_or_else(|| Error::corrupt("an accepted record in a changelog is empty"))?;
    Ok((value, *ended))
}

fn read_row<T: Data>(
    (at, number): (Timestamp, u64),
    row: &[u8],
    headers: Headers,
) -> Result<Accepted<T>> {
    let (value, ended) = split_row(row)?;
    let value = read_state(value)?;
    Ok(Accepted { at, number, ended: ended != 0, born: 0, value, headers })
}

/// Turns the row of a record into one with a value of another type.
pub(super) fn turn_row<Old: Data, New: Data>(
    row: &[u8],
    turn: impl Fn(Old) -> New,
    out: &mut Vec<u8>,
) -> Result<()> {
    let (value, ended) = split_row(row)?;
    write_state(&turn(read_state(value)?), out)?;
    out.push(ended);
    Ok(())
}

/// Shows the records of `key` that are below.
pub(super) fn read_rows<K, T: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    key: &K,
    show: &mut dyn FnMut(Accepted<T>),
) -> Result<()> {
    let mut bytes = Vec::new();
    put_prefix(keys, key, &mut bytes)?;
    visit(below, keys, &bytes, &mut |_, row| show(row))
}

/// Shows all records that are below, with their keys; those of a key together.
pub(super) fn rows_of<K, T: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    show: &mut dyn FnMut(K, Accepted<T>),
) -> Result<()> {
    visit(below, keys, &[prefix::ROW], show)
}

fn visit<K, T: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    prefix: &[u8],
    show: &mut dyn FnMut(K, Accepted<T>),
) -> Result<()> {
    below.visit(prefix, &mut |bytes, _, headers, value| {
        let (key, at, number) = read_key(keys, &bytes[1..])?;
        show(key, read_row((at, number), value, headers)?);
        Ok(ControlFlow::Continue(()))
    })
}

/// Windows of a key, and of all keys, as of the last commit.
type Seen<A> = Result<Vec<Pane<A>>>;
type AllSeen<K, A> = Result<Vec<(K, Pane<A>)>>;

/// The windows of a store whose records are of a type that the looker does not know.
pub(crate) struct SlidingView<K, A> {
    spec: Sliding,
    of_key: fn(&dyn Any, &K) -> Seen<A>,
    of_all: fn(&dyn Any) -> AllSeen<K, A>,
}

impl<K: Key, A: Data> SlidingView<K, A> {
    pub(super) fn of<T: Data>(spec: Sliding) -> Self {
        Self {
            spec,
            of_key: |store, key| store_in::<K, T, A>(store).windows_of(key),
            of_all: |store| store_in::<K, T, A>(store).all_windows(),
        }
    }

    pub(crate) fn end(&self, start: Timestamp) -> Timestamp {
        self.spec.end(start)
    }

    /// The windows of `key` that are open, in order of start, as of the last commit.
    pub(crate) fn windows(&self, store: &dyn Any, key: &K) -> Seen<A> {
        (self.of_key)(store, key)
    }

    /// The windows of all keys, as of the last commit.
    pub(crate) fn all(&self, store: &dyn Any) -> AllSeen<K, A> {
        (self.of_all)(store)
    }
}

fn store_in<K: Key, T: Data, A: Data>(store: &dyn Any) -> &SlidingStore<K, T, A> {
    store.downcast_ref().expect("a view is of the store that it came from")
}

impl<K: Key, T: Data, A: Data> SlidingStore<K, T, A> {
    fn windows_of(&self, key: &K) -> Seen<A> {
        if let Some(slot) = self.slots.find(key) {
            return self.windows_in(slot, &self.undone());
        }
        let mut track = Track::default();
        if let Some(lower) = &self.lower {
            read_rows(&lower.below, self.keys, key, &mut |row| track.put_back(row))?;
        }
        self.folded(track)
    }

    fn all_windows(&self) -> AllSeen<K, A> {
        let (mut all, undone) = (Vec::new(), self.undone());
        for slot in self.slots.numbers() {
            let key = self.slots[slot].key();
            let panes = self.windows_in(slot, &undone)?;
            all.extend(panes.into_iter().map(|pane| (key.clone(), pane)));
        }
        let Some(lower) = &self.lower else { return Ok(all) };
        let mut tracks: HashMap<K, Track<T, A>> = HashMap::new();
        rows_of(&lower.below, self.keys, &mut |key, row| {
            if self.slots.find(&key).is_none() {
                tracks.entry(key).or_default().put_back(row);
            }
        })?;
        for (key, track) in tracks {
            let panes = self.folded(track)?;
            all.extend(panes.into_iter().map(|pane| (key.clone(), pane)));
        }
        Ok(all)
    }

    /// What was done to the records of each slot since the last commit.
    fn undone(&self) -> HashMap<u32, Vec<&Deed<T>>> {
        let mut undone: HashMap<u32, Vec<&Deed<T>>> = HashMap::new();
        for deed in self.log.iter() {
            let (Deed::Came(id) | Deed::Ended(id) | Deed::Went(id, _)) = deed;
            undone.entry(id.slot).or_default().push(deed);
        }
        undone
    }

    /// The windows of a slot as of the last commit.
    fn windows_in(&self, number: u32, undone: &HashMap<u32, Vec<&Deed<T>>>) -> Seen<A> {
        let slot = &self.slots[number];
        if self.log.is_committed(slot.changed) && slot.rows.is_folded() {
            let panes = slot.rows.panes(self.spec, self.time.committed());
            return Ok(panes.cloned().collect());
        }
        let mut track = Track::default();
        slot.rows.records().iter().for_each(|row| track.put_back(row.clone()));
        for deed in undone.get(&number).into_iter().flatten().rev() {
            match deed {
                Deed::Came(id) => {
                    track.remove(id.at, id.number);
                }
                Deed::Ended(id) => {
                    if let Some(row) = track.get_mut(id.at, id.number) {
                        row.ended = false;
                    }
                }
                Deed::Went(_, row) => track.put_back(row.clone()),
            }
        }
        self.folded(track)
    }

    /// The windows that records make of the last commit.
    fn folded(&self, mut track: Track<T, A>) -> Seen<A> {
        let now = self.time.committed();
        fold_again(&mut track, self.spec, now, &self.folds)?;
        Ok(track.panes(self.spec, now).cloned().collect())
    }
}

impl<K: Key, T: Data, A: Data> State for SlidingStore<K, T, A> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for deed in self.log.iter() {
            let (Deed::Came(id) | Deed::Ended(id) | Deed::Went(id, _)) = deed;
            let Id { slot, at, number } = *id;
            let slot = &self.slots[slot];
            let row = slot.rows.get(at, number);
            let went = match (deed, row) {
                (Deed::Went(..), None) => true,
                (Deed::Came(_) | Deed::Ended(_), Some(_)) => false,
                // What came and went leaves no trace; another entry speaks of what is there now.
                _ => continue,
            };
            key.clear();
            put_prefix(self.keys, slot.key(), &mut key)?;
            key.extend_from_slice(&at.as_millis().to_be_bytes());
            key.extend_from_slice(&number.to_be_bytes());
            match row {
                Some(row) if !went => {
                    value.clear();
                    write_state(&row.value, &mut value)?;
                    value.push(row.ended.into());
                    changes.put(at, &key, Some(&value), &row.headers)?;
                }
                _ => changes.put(at, &key, None, &Headers::NONE)?,
            }
        }
        self.time.save(changes)
    }

    fn seal(&mut self) -> bool {
        self.log.seal();
        self.time.seal();
        true
    }

    fn committed(&mut self) {
        self.commit_rows();
        self.due.commit();
        self.time.commit();
    }

    fn beside(&mut self) -> Result<Vec<Change>> {
        self.due.beside()
    }

    fn rollback(&mut self) {
        self.time.rollback();
        self.take_back();
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        match change.key.split_first() {
            Some((&prefix::TIME, _)) => self.time.restore(change.value),
            Some((&prefix::ROW, key)) => {
                let (key, at, number) = read_key(self.keys, key)?;
                let row = change
                    .value
                    .map(|value| read_row((at, number), value, change.headers.clone()));
                self.load(key, (at, number), row.transpose()?);
                Ok(())
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) -> Result<()> {
        if let Some(lower) = &self.lower {
            lower.below.restore_time(&mut self.time)?;
        }
        self.loaded();
        Ok(())
    }

    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        let room = memory / Self::ROW_BYTES;
        let below = Beneath::new::<K, (T, A)>(below, memory, room);
        let safe = self.log.last_committed();
        self.lower = Some(Lower::new(below, safe));
        self.due.lean(self.spec.linger());
        true
    }

    fn lower(&self, change: &Restored<'_>, out: &mut Vec<Change>) -> Result<()> {
        let key = change.key.to_vec().into();
        let value = change.value.map(|value| lowered(change.at, change.headers, value));
        out.push(Change { key, value });
        if let (Some((&prefix::ROW, key)), Some(_)) = (change.key.split_first(), change.value) {
            let (key, at, _) = read_key(self.keys, key)?;
            for at in self.spec.looks(at) {
                let key = entry_of(self.keys, at, &key)?.into();
                out.push(Change { key, value: Some(Bytes::new()) });
            }
        }
        Ok(())
    }

    fn lowered(&mut self, _count: usize, last: bool) {
        self.lower.iter_mut().for_each(|lower| lower.lowered(last));
        self.due.lowered(last);
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.lower.as_ref()?.standing(self.log.len()))
    }

    fn weigh(&mut self, bytes: usize) {
        self.lower.iter_mut().for_each(|lower| lower.below.weigh(bytes));
    }

    fn rows(&self) -> usize {
        self.count
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
        Some(form::<K, T>(format!("sliding windows of {} ms", self.spec.span), self.keys))
    }

    fn view(&self) -> Option<&dyn Any> {
        Some(&self.view)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
