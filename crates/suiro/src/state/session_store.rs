//! The store of sessions: for each key, the sessions that are open, in order of time.

use super::beneath::Beneath;
use super::due::{DueKeys, entry_of};
use super::form::form;
use super::table_store::encode_key;
use super::{Cells, Places, Slot, StreamTime, prefix};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::any::Any;
use std::ops::ControlFlow;
use suiro_core::store::{Change, Store};
use suiro_core::{Error, Header, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, State, lowered};

/// An open session.
#[derive(Clone, Debug)]
pub(crate) struct Session<A> {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) value: A,
    /// The headers of the last record in it.
    pub(crate) headers: Headers,
}

/// The sessions of a key, in order; most keys have one.
pub(crate) type SessionList<A> = SmallVec<[Session<A>; 1]>;

/// A session as it is in the changelog.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "A: Data")]
struct Stored<A>(i64, i64, A, Vec<(String, Option<Vec<u8>>)>);

/// The sessions of each key, and when to look at them next.
pub(crate) struct SessionStore<K: 'static, A: 'static> {
    pub(crate) cells: Cells<K, SessionList<A>>,
    pub(crate) time: StreamTime,
    pub(crate) keys: &'static dyn Format<K>,
    /// The gap, and how long after its end a session closes.
    gap: i64,
    pub(crate) linger: i64,
    due: DueKeys<K>,
    /// The store that has all rows, where `cells` holds only some.
    below: Option<Beneath>,
}

impl<K: Key, A: Data> SessionStore<K, A> {
    pub(crate) fn new(keys: &'static dyn Format<K>, gap: i64, linger: i64) -> Self {
        let (cells, time) = (Cells::new(), StreamTime::NONE);
        let due = DueKeys::new(keys, linger);
        Self { cells, time, keys, gap, linger, due, below: None }
    }

    /// Looks for the sessions of keys, brings up those that are below, and gives their places.
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

    /// The sessions of `key` as of the last commit.
    pub(crate) fn committed(&self, key: &K) -> Result<SessionList<A>> {
        let sessions = match &self.below {
            Some(below) if !self.cells.holds(key) => read(below, self.keys, key)?,
            _ => self.cells.committed(key).map(|(sessions, at)| (sessions.clone(), at)),
        };
        Ok(sessions.map(|(sessions, _)| sessions).unwrap_or_default())
    }

    /// The sessions of all keys as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> Result<Vec<(K, SessionList<A>)>> {
        let held = self.cells.all_committed();
        let mut all: Vec<_> =
            held.map(|(key, sessions, _)| (key.clone(), sessions.clone())).collect();
        self.visit_below(|key, sessions, _| all.push((key, sessions)))?;
        Ok(all)
    }

    /// Shows the sessions of keys that nothing is held for.
    fn visit_below(&self, mut show: impl FnMut(K, SessionList<A>, Timestamp)) -> Result<()> {
        let Some(below) = &self.below else { return Ok(()) };
        below.visit(&[prefix::ROW], &mut |key, at, _, row| {
            let key = self.keys.decode(&key[1..])?;
            if !self.cells.holds(&key) {
                show(key, decode(row)?, at);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Has `key` looked at when a session that ends at `end` may close.
    pub(crate) fn remember(&mut self, key: K, end: Timestamp) {
        self.due.push(end.plus_millis(self.linger), key);
    }

    /// Takes out all sessions that are closed at `now`, with their keys.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        closed: &mut Vec<(K, Session<A>)>,
    ) -> Result<()> {
        let linger = self.linger;
        while let Some(key) = self.due.pop(now, self.below.as_ref())? {
            let is_closed = |session: &Session<A>| session.end.plus_millis(linger) <= now;
            if let Some(below) = &self.below
                && !self.cells.holds(&key)
            {
                let row = read(below, self.keys, &key)?;
                self.cells.raise(key.clone(), row);
            }
            let place = self.cells.place(&key);
            let slot = self.cells.get_at(place, &key);
            let Some(sessions) = slot.and_then(Slot::get) else { continue };
            let next = sessions.iter().filter(|session| !is_closed(session));
            let next = next.map(|session| session.end).min();
            if sessions.iter().any(is_closed) {
                let slot = self.cells.edit_at(place, &key);
                let mut sessions = slot.replace(None).unwrap_or_default();
                if sessions.len() == 1 {
                    closed.extend(sessions.pop().map(|session| (key, session)));
                    continue;
                }
                let (gone, left): (SessionList<A>, SessionList<A>) =
                    sessions.into_iter().partition(is_closed);
                closed.extend(gone.into_iter().map(|session| (key.clone(), session)));
                slot.replace((!left.is_empty()).then_some(left));
            }
            if let Some(end) = next {
                self.remember(key, end);
            }
        }
        Ok(())
    }

    /// Takes out all sessions.
    pub(crate) fn close_all(&mut self, closed: &mut Vec<(K, Session<A>)>) -> Result<()> {
        let mut below = Vec::new();
        self.visit_below(|key, sessions, at| below.push((key, sessions, at)))?;
        for (key, sessions, at) in below {
            self.cells.raise(key, Some((sessions, at)));
        }
        if !self.due.is_lean() {
            self.due.clear();
        }
        let keys: Vec<K> = self.cells.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let sessions = self.cells.edit(&key).replace(None).unwrap_or_default();
            closed.extend(sessions.into_iter().map(|session| (key.clone(), session)));
        }
        Ok(())
    }

    /// Looks at every session anew.
    fn remember_all(&mut self) {
        self.due.clear();
        if self.due.is_lean() {
            return;
        }
        let linger = self.linger;
        for (key, slot) in self.cells.iter() {
            let ends = slot.get().into_iter().flatten().map(|session| session.end);
            if let Some(end) = ends.min() {
                self.due.push(end.plus_millis(linger), key.clone());
            }
        }
    }
}

impl<K: Key, A: Data> State for SessionStore<K, A> {
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
                Some(sessions) => {
                    let stored: Vec<_> = sessions.iter().map(store).collect();
                    value.clear();
                    write_state(&stored, &mut value)?;
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
        let slots = Cells::<K, SessionList<A>>::room(memory);
        self.below = Some(Beneath::new::<K, SessionList<A>>(below, memory, slots));
        self.cells.lean(false);
        self.due.lean(self.linger);
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
            let sessions: SessionList<A> = decode(value)?;
            let ends = sessions.iter().map(|session| session.end);
            if let Some(end) = ends.min() {
                let (at, key) = (end.plus_millis(self.linger), self.keys.decode(key)?);
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
        Some(form::<K, A>(format!("sessions with a gap of {} ms", self.gap), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

fn read<K, A: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    key: &K,
) -> Result<Option<(SessionList<A>, Timestamp)>> {
    let mut bytes = vec![prefix::ROW];
    encode_key(keys, key, &mut bytes)?;
    below.read(&bytes, |_, row| decode(row))
}

fn decode<A: Data>(row: &[u8]) -> Result<SessionList<A>> {
    let stored: Vec<Stored<A>> = read_state(row)?;
    Ok(stored.into_iter().map(load).collect())
}

/// Turns the value of a row: the sessions of a key, with states of another type.
pub(crate) fn turn_sessions<Old: Data, New: Data>(
    value: &[u8],
    turn: impl Fn(Old) -> New,
    out: &mut Vec<u8>,
) -> Result<()> {
    let sessions: Vec<Stored<Old>> = read_state(value)?;
    let turned = sessions
        .into_iter()
        .map(|Stored(start, end, value, headers)| Stored(start, end, turn(value), headers));
    write_state(&turned.collect::<Vec<_>>(), out)
}

fn store<A: Data>(session: &Session<A>) -> Stored<A> {
    let headers = session.headers.iter();
    let headers =
        headers.map(|h| (h.key.clone(), h.value.as_ref().map(|value| value.to_vec())));
    let (start, end) = (session.start.as_millis(), session.end.as_millis());
    Stored(start, end, session.value.clone(), headers.collect())
}

fn load<A>(Stored(start, end, value, headers): Stored<A>) -> Session<A> {
    let headers = headers.into_iter();
    let headers: Vec<_> =
        headers.map(|(key, value)| Header { key, value: value.map(Into::into) }).collect();
    Session {
        start: Timestamp::from_millis(start),
        end: Timestamp::from_millis(end),
        value,
        headers: headers.into(),
    }
}
