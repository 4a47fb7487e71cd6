//! The store of sessions: for each key, the sessions that are open, in order of time.

use super::form::form;
use super::table_store::encode_key;
use super::{Agenda, Cells, Slot, StreamTime, prefix};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::any::Any;
use suiro_core::{Error, Header, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, State};

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
    due: Agenda<K>,
}

impl<K: Key, A: Data> SessionStore<K, A> {
    pub(crate) fn new(keys: &'static dyn Format<K>, gap: i64, linger: i64) -> Self {
        let (cells, time) = (Cells::new(), StreamTime::NONE);
        Self { cells, time, keys, gap, linger, due: Agenda::new(linger) }
    }

    /// Has `key` looked at when a session that ends at `end` may close.
    pub(crate) fn remember(&mut self, key: K, end: Timestamp) {
        self.due.push(end.plus_millis(self.linger), key);
    }

    /// Takes out all sessions that are closed at `now`, with their keys.
    pub(crate) fn close(&mut self, now: Timestamp, closed: &mut Vec<(K, Session<A>)>) {
        let linger = self.linger;
        while let Some(key) = self.due.pop(now) {
            let is_closed = |session: &Session<A>| session.end.plus_millis(linger) <= now;
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
    }

    /// Takes out all sessions.
    pub(crate) fn close_all(&mut self, closed: &mut Vec<(K, Session<A>)>) {
        self.due.clear();
        let keys: Vec<K> = self.cells.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let sessions = self.cells.edit(&key).replace(None).unwrap_or_default();
            closed.extend(sessions.into_iter().map(|session| (key.clone(), session)));
        }
    }

    /// Looks at every session anew.
    fn remember_all(&mut self) {
        self.due.clear();
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
        self.time.commit();
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
                let stored: Vec<Stored<A>> = read_state(value)?;
                let sessions = stored.into_iter().map(load).collect();
                self.cells.load(key, sessions, change.at);
                Ok(())
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) {
        self.remember_all();
    }

    fn rows(&self) -> usize {
        self.cells.len()
    }

    fn stream_time(&self) -> Option<Timestamp> {
        Some(self.time.now())
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
