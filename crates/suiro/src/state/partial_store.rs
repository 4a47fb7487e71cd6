//! The store of partial matches: those of each key are one row, and each key is looked at when
//! the time of the first of them is over.

use super::beneath::Beneath;
use super::due::{DueKeys, entry_of};
use super::form::form;
use super::partials::{Ended, Event, Partials, Run, Shape};
use super::table_store::encode_key;
use super::{Cells, Places, Slot, StreamTime, prefix};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use suiro_core::store::{Change, Store};
use suiro_core::{Error, Header, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, State, lowered};

/// What the kind of such a store begins with.
pub(super) const KIND: &str = "pattern";

/// The partial matches of each key.
pub(crate) struct PartialStore<K: 'static, V: 'static> {
    pub(crate) cells: Cells<K, Partials<V>>,
    pub(crate) time: StreamTime,
    pub(crate) keys: &'static dyn Format<K>,
    shape: Arc<Shape>,
    due: DueKeys<K>,
    /// The store that has all rows, where `cells` holds only some.
    below: Option<Beneath>,
}

impl<K: Key, V: Data> PartialStore<K, V> {
    pub(crate) fn new(keys: &'static dyn Format<K>, shape: Arc<Shape>) -> Self {
        let (cells, time) = (Cells::new(), StreamTime::NONE);
        let due = DueKeys::new(keys, shape.within);
        Self { cells, time, keys, shape, due, below: None }
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

    /// The partial matches of all keys as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> Result<Vec<(K, Partials<V>)>> {
        let held = self.cells.all_committed();
        let mut all: Vec<_> = held.map(|(key, row, _)| (key.clone(), row.clone())).collect();
        self.visit_below(|key, row, _| all.push((key, row)))?;
        Ok(all)
    }

    /// Shows the rows of keys that nothing is held for.
    fn visit_below(&self, mut show: impl FnMut(K, Partials<V>, Timestamp)) -> Result<()> {
        let Some(below) = &self.below else { return Ok(()) };
        below.visit(&[prefix::ROW], &mut |key, at, _, row| {
            let key = self.keys.decode(&key[1..])?;
            if !self.cells.holds(&key) {
                show(key, decode(row)?, at);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Has `key` looked at when a partial match that starts at `start` is over.
    pub(crate) fn remember(&mut self, key: K, start: Timestamp) {
        self.due.push(self.shape.over(start), key);
    }

    /// Ends all partial matches whose time is over at `now`.
    pub(crate) fn expire(
        &mut self,
        now: Timestamp,
        wants_time_outs: bool,
        ended: &mut Vec<(K, Ended<V>)>,
    ) -> Result<()> {
        while let Some(key) = self.due.pop(now, self.below.as_ref())? {
            if let Some(below) = &self.below
                && !self.cells.holds(&key)
            {
                let row = read(below, self.keys, &key)?;
                self.cells.raise(key.clone(), row);
            }
            let place = self.cells.place(&key);
            let row = self.cells.get_at(place, &key).and_then(Slot::get);
            let Some(start) = row.and_then(Partials::start) else { continue };
            if self.shape.over(start) > now {
                self.remember(key, start);
                continue;
            }
            let slot = self.cells.edit_at(place, &key);
            let mut row = slot.replace(None).unwrap_or_default();
            row.expire(&self.shape, now, wants_time_outs, |end| ended.push((key.clone(), end)));
            if let Some(start) = row.start() {
                slot.replace(Some(row));
                self.remember(key, start);
            }
        }
        Ok(())
    }

    /// Ends all partial matches, as if time had come to its end.
    pub(crate) fn expire_all(
        &mut self,
        wants_time_outs: bool,
        ended: &mut Vec<(K, Ended<V>)>,
    ) -> Result<()> {
        let mut below = Vec::new();
        self.visit_below(|key, row, at| below.push((key, row, at)))?;
        for (key, row, at) in below {
            self.cells.raise(key, Some((row, at)));
        }
        if !self.due.is_lean() {
            self.due.clear();
        }
        let keys: Vec<K> = self.cells.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let mut row = self.cells.edit(&key).replace(None).unwrap_or_default();
            row.expire(&self.shape, Timestamp::MAX, wants_time_outs, |end| {
                ended.push((key.clone(), end));
            });
        }
        Ok(())
    }

    /// Looks at every key anew.
    fn remember_all(&mut self) {
        self.due.clear();
        if self.due.is_lean() {
            return;
        }
        for (key, slot) in self.cells.iter() {
            if let Some(start) = slot.get().and_then(Partials::start) {
                self.due.push(self.shape.over(start), key.clone());
            }
        }
    }
}

impl<K: Key, V: Data> State for PartialStore<K, V> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (touched, slot) in self.cells.touched() {
            if touched.before.is_none() && slot.get().is_none() {
                continue;
            }
            key.clear();
            key.push(prefix::ROW);
            encode_key(self.keys, &touched.key, &mut key)?;
            let at = slot.at().max(Timestamp::ZERO);
            match slot.get() {
                None => changes.put(at, &key, None, &Headers::NONE)?,
                Some(row) => {
                    value.clear();
                    write_state(&store(row), &mut value)?;
                    changes.put(at, &key, Some(&value), &Headers::NONE)?;
                }
            }
        }
        self.time.save(changes)
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
                self.cells.load(key, decode(value)?, change.at);
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
        let slots = Cells::<K, Partials<V>>::room(memory);
        self.below = Some(Beneath::new::<K, Partials<V>>(below, memory, slots));
        self.cells.lean(false);
        self.due.lean(self.shape.within);
        true
    }

    fn is_lean(&self) -> bool {
        self.below.is_some()
    }

    fn lower(&self, change: &Restored<'_>, out: &mut Vec<Change>) -> Result<()> {
        let key = change.key.to_vec().into();
        let value = change.value.map(|value| lowered(change.at, change.headers, value));
        out.push(Change { key, value });
        if let (Some((&prefix::ROW, key)), Some(value)) =
            (change.key.split_first(), change.value)
        {
            let row: Partials<V> = decode(value)?;
            if let Some(start) = row.start() {
                let (at, key) = (self.shape.over(start), self.keys.decode(key)?);
                let (key, value) = (entry_of(self.keys, at, &key)?.into(), Some(Bytes::new()));
                out.push(Change { key, value });
            }
        }
        Ok(())
    }

    fn lowered(&mut self, count: usize, last: bool) {
        self.cells.lowered(count, last);
        self.due.lowered(last);
    }

    fn pressure(&self) -> usize {
        self.below.as_ref().map_or(0, |below| below.pressure(self.cells.pinned()))
    }

    fn weigh(&mut self, bytes: usize) {
        self.below.iter_mut().for_each(|below| below.weigh(bytes));
    }

    fn passed(&self) -> (u64, u64) {
        self.below.as_ref().map_or((0, 0), Beneath::passed)
    }

    fn is_heavy(&self) -> bool {
        self.below.as_ref().is_some_and(|below| below.is_heavy(self.cells.changed()))
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
        Some(form::<K, V>(kind(&self.shape), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// What a row depends on: where in which pattern a partial match is. How long it may take, and
/// what must not come between, may change.
fn kind(shape: &Shape) -> String {
    let mut kind = KIND.to_owned();
    for (number, stage) in shape.stages.iter().enumerate() {
        let link = match number {
            0 => " of ",
            _ if stage.direct => ", next ",
            _ => ", then ",
        };
        let more = if stage.more { " or more" } else { "" };
        write!(kind, "{link}{}{more}", stage.least).expect("writing to a string does not fail");
    }
    kind + if shape.waits() { ", and not" } else { "" }
}

fn read<K, V: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    key: &K,
) -> Result<Option<(Partials<V>, Timestamp)>> {
    let mut bytes = vec![prefix::ROW];
    encode_key(keys, key, &mut bytes)?;
    below.read(&bytes, |_, row| decode(row))
}

/// A row as it is in the changelog: the events by number, and the partial matches.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "V: Data")]
struct Stored<V>(Vec<StoredEvent<V>>, Vec<StoredRun>);

/// Number, time, value and headers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "V: Data")]
struct StoredEvent<V>(u64, i64, V, Vec<(String, Option<Vec<u8>>)>);

/// The stage, the numbers of the events, and how many there are up to the end of each stage.
#[derive(Clone, Serialize, Deserialize)]
struct StoredRun(u32, Vec<u64>, Vec<u32>);

fn store<V: Data>(row: &Partials<V>) -> Stored<V> {
    let event = |event: &Event<V>| {
        let headers = event.headers.iter();
        let headers = headers.map(|h| (h.key.clone(), h.value.as_ref().map(|v| v.to_vec())));
        let (at, value) = (event.at.as_millis(), event.value.clone());
        StoredEvent(event.number, at, value, headers.collect())
    };
    let run = |run: &Run| StoredRun(run.stage, run.taken.to_vec(), run.ends.to_vec());
    Stored(row.events.iter().map(event).collect(), row.runs.iter().map(run).collect())
}

fn decode<V: Data>(row: &[u8]) -> Result<Partials<V>> {
    let Stored(events, runs) = read_state::<Stored<V>>(row)?;
    let event = |StoredEvent(number, at, value, headers)| {
        let headers = headers.into_iter();
        let headers: Vec<_> = headers
            .map(|(key, value): (_, Option<Vec<u8>>)| Header {
                key,
                value: value.map(Into::into),
            })
            .collect();
        let (at, headers) = (Timestamp::from_millis(at), headers.into());
        Event { number, at, value, headers, shares: 0 }
    };
    let mut events: SmallVec<[Event<V>; 1]> = events.into_iter().map(event).collect();
    let mut run = |StoredRun(stage, taken, ends): StoredRun| {
        let (mut start, mut end) = (Timestamp::MAX, Timestamp::MIN);
        for number in &taken {
            let place = events.binary_search_by_key(number, |event| event.number);
            let event = place.ok().and_then(|place| events.get_mut(place));
            let event = event.ok_or_else(|| {
                Error::corrupt("a partial match has an event that is not there")
            })?;
            event.shares += 1;
            (start, end) = (start.min(event.at), end.max(event.at));
        }
        let has_end = ends.last().is_some_and(|end| *end as usize == taken.len());
        if taken.is_empty() || !ends.is_sorted() || !has_end {
            return Err(Error::corrupt("a partial match is torn"));
        }
        let (taken, ends) = (taken.into(), ends.into());
        Ok(Run { stage, taken, ends, start, end })
    };
    let runs = runs.into_iter().map(&mut run).collect::<Result<_>>()?;
    Ok(Partials { events, runs })
}

/// Turns a row: the partial matches of a key, with values of another type.
pub(super) fn turn_partials<Old: Data, New: Data>(
    row: &[u8],
    turn: impl Fn(Old) -> New,
    out: &mut Vec<u8>,
) -> Result<()> {
    let Stored(events, runs) = read_state::<Stored<Old>>(row)?;
    let turned = events.into_iter();
    let turned = turned.map(|StoredEvent(number, at, old, headers)| {
        StoredEvent(number, at, turn(old), headers)
    });
    write_state(&Stored(turned.collect(), runs), out)
}
