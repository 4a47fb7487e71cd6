//! The sessions of each key: one row with those that are open, in order of time, which is looked at
//! when the first of them may close.

use super::Slot;
use super::kept_headers::{self, KeptHeaders};
use super::skipped::Skipped;
use super::timed_store::{Timed, TimedStore};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use suiro_core::{Headers, Result, Timestamp};

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
struct Stored<A>(i64, i64, A, KeptHeaders);

/// The sessions of each key.
pub(crate) type SessionStore<K, A> = TimedStore<K, SessionList<A>>;

impl<A: Data> Timed for SessionList<A> {
    type Value = A;

    fn first(&self) -> Option<Timestamp> {
        self.iter().map(|session| session.end).min()
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        write_state(&self.iter().map(store).collect::<Vec<_>>(), out)
    }

    fn read(row: &[u8]) -> Result<Self> {
        let stored: Vec<Stored<A>> = read_state(row)?;
        Ok(stored.into_iter().map(load).collect())
    }

    fn first_of(row: &[u8]) -> Result<Option<Timestamp>> {
        SessionList::<Skipped>::read(row).map(|row| row.first())
    }
}

impl<K: Key, A: Data> SessionStore<K, A> {
    /// `gap` is that between sessions, and `linger` how long after its end one closes.
    pub(crate) fn new(keys: &'static dyn Format<K>, gap: i64, linger: i64) -> Self {
        Self::of_kind(format!("sessions with a gap of {gap} ms"), keys, linger)
    }

    /// Takes out all sessions that are closed at `now`, with their keys.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        closed: &mut Vec<(K, Session<A>)>,
    ) -> Result<()> {
        let linger = self.linger;
        while let Some((key, place)) = self.next_due(now)? {
            let is_closed = |session: &Session<A>| session.end.plus_millis(linger) <= now;
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
        for (key, sessions) in self.take_all()? {
            closed.extend(sessions.into_iter().map(|session| (key.clone(), session)));
        }
        Ok(())
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
    let (start, end) = (session.start.as_millis(), session.end.as_millis());
    Stored(start, end, session.value.clone(), kept_headers::keep(&session.headers))
}

fn load<A>(Stored(start, end, value, headers): Stored<A>) -> Session<A> {
    let [start, end] = [start, end].map(Timestamp::from_millis);
    Session { start, end, value, headers: kept_headers::load(headers) }
}
