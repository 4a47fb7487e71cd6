//! The sessions of each key: one row with those that are open, in order of time, which is looked at
//! when the first of them may close.

use super::Slot;
use super::kept_headers::{self, KeptHeaders};
use super::session_reach::{OneGap, Reach};
use super::skipped::Skipped;
use super::timed_store::{Timed, TimedStore};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use suiro_core::{Headers, Result, Timestamp};

/// An open session.
#[derive(Clone, Debug)]
pub(crate) struct Session<A, R = OneGap> {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// How far it reaches beyond that, where its store does not say it.
    pub(crate) reach: R,
    pub(crate) value: A,
    /// The headers of the last record in it.
    pub(crate) headers: Headers,
}

impl<A, R: Reach> Session<A, R> {
    /// The time from which on the store counts how long it lingers.
    pub(crate) fn lasts(&self) -> Timestamp {
        self.reach.lasts(self.end)
    }
}

/// The sessions of a key, in order; most keys have one.
pub(crate) type SessionList<A, R = OneGap> = SmallVec<[Session<A, R>; 1]>;

/// A session as it is in the changelog. What reaches no further than its store says ends with the
/// headers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "A: Data")]
struct Stored<A>(
    i64,
    i64,
    A,
    KeptHeaders,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<i64>,
);

/// The sessions of each key.
pub(crate) type SessionStore<K, A, R = OneGap> = TimedStore<K, SessionList<A, R>>;

impl<A: Data, R: Reach> Timed for SessionList<A, R> {
    type Value = A;

    fn first(&self) -> Option<Timestamp> {
        self.iter().map(Session::lasts).min()
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        write_state(&self.iter().map(store).collect::<Vec<_>>(), out)
    }

    fn read(row: &[u8]) -> Result<Self> {
        let stored: Vec<Stored<A>> = read_state(row)?;
        stored.into_iter().map(load).collect()
    }

    fn first_of(row: &[u8]) -> Result<Option<Timestamp>> {
        SessionList::<Skipped, R>::read(row).map(|row| row.first())
    }
}

impl<K: Key, A: Data, R: Reach> SessionStore<K, A, R> {
    /// `longest` is the gap between sessions, or the longest of them; a session closes `linger`
    /// after what it lasts.
    pub(crate) fn new(keys: &'static dyn Format<K>, longest: i64, linger: i64) -> Self {
        let ahead = longest.max(linger);
        Self::of_kind(R::kind(longest), keys, linger, ahead)
    }

    /// Takes out all sessions that are closed at `now`, with their keys.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        closed: &mut Vec<(K, Session<A, R>)>,
    ) -> Result<()> {
        let linger = self.linger;
        while let Some((key, place)) = self.next_due(now)? {
            let is_closed =
                |session: &Session<A, R>| session.lasts().plus_millis(linger) <= now;
            let slot = self.cells.get_at(place, &key);
            let Some(sessions) = slot.and_then(Slot::get) else { continue };
            let next = sessions.iter().filter(|session| !is_closed(session));
            let next = next.map(Session::lasts).min();
            if sessions.iter().any(is_closed) {
                let slot = self.cells.edit_at(place, &key);
                let mut sessions = slot.replace(None).unwrap_or_default();
                if sessions.len() == 1 {
                    closed.extend(sessions.pop().map(|session| (key, session)));
                    continue;
                }
                let (gone, left): (SessionList<A, R>, SessionList<A, R>) =
                    sessions.into_iter().partition(is_closed);
                closed.extend(gone.into_iter().map(|session| (key.clone(), session)));
                slot.replace((!left.is_empty()).then_some(left));
            }
            if let Some(lasts) = next {
                self.remember(key, lasts);
            }
        }
        Ok(())
    }

    /// Takes out all sessions.
    pub(crate) fn close_all(&mut self, closed: &mut Vec<(K, Session<A, R>)>) -> Result<()> {
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
    let turned = sessions.into_iter().map(|Stored(start, end, value, headers, reach)| {
        Stored(start, end, turn(value), headers, reach)
    });
    write_state(&turned.collect::<Vec<_>>(), out)
}

fn store<A: Data, R: Reach>(session: &Session<A, R>) -> Stored<A> {
    let (start, end) = (session.start.as_millis(), session.end.as_millis());
    let headers = kept_headers::keep(&session.headers);
    let reach = session.reach.keep().map(Timestamp::as_millis);
    Stored(start, end, session.value.clone(), headers, reach)
}

fn load<A, R: Reach>(stored: Stored<A>) -> Result<Session<A, R>> {
    let Stored(start, end, value, headers, reach) = stored;
    let [start, end] = [start, end].map(Timestamp::from_millis);
    let reach = R::load(reach.map(Timestamp::from_millis))?;
    Ok(Session { start, end, reach, value, headers: kept_headers::load(headers) })
}
