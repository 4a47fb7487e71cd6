//! The partial matches of each key: one row, which is looked at when the time of the first of them is
//! over.

use super::Slot;
use super::kept_headers::{KeptHeaders, keep, load};
use super::partials::{Ended, Event, Partials, Run, Shape};
use super::skipped::Skipped;
use super::timed_store::{Timed, TimedStore};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::fmt::Write;
use suiro_core::{Error, Result, Timestamp};

/// What the kind of such a store begins with.
pub(super) const KIND: &str = "pattern";

/// The partial matches of each key.
pub(crate) type PartialStore<K, V> = TimedStore<K, Partials<V>>;

impl<V: Data> Timed for Partials<V> {
    type Value = V;

    fn first(&self) -> Option<Timestamp> {
        self.start()
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        write_state(&store(self), out)
    }

    fn read(row: &[u8]) -> Result<Self> {
        decode(row)
    }

    fn first_of(row: &[u8]) -> Result<Option<Timestamp>> {
        decode::<Skipped>(row).map(|row| row.start())
    }
}

impl<K: Key, V: Data> PartialStore<K, V> {
    pub(crate) fn new(keys: &'static dyn Format<K>, shape: &Shape) -> Self {
        Self::of_kind(kind(shape), keys, shape.linger(), shape.linger())
    }

    /// Ends all partial matches whose time is over at `now`.
    pub(crate) fn expire(
        &mut self,
        shape: &Shape,
        now: Timestamp,
        wants_time_outs: bool,
        ended: &mut Vec<(K, Ended<V>)>,
    ) -> Result<()> {
        while let Some((key, place)) = self.next_due(now)? {
            let row = self.cells.get_at(place, &key).and_then(Slot::get);
            let Some(start) = row.and_then(Partials::start) else { continue };
            if shape.over(start) > now {
                self.remember(key, start);
                continue;
            }
            let slot = self.cells.edit_at(place, &key);
            let mut row = slot.replace(None).unwrap_or_default();
            row.expire(shape, now, wants_time_outs, |end| ended.push((key.clone(), end)));
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
        shape: &Shape,
        wants_time_outs: bool,
        ended: &mut Vec<(K, Ended<V>)>,
    ) -> Result<()> {
        for (key, mut row) in self.take_all()? {
            row.expire(shape, Timestamp::MAX, wants_time_outs, |end| {
                ended.push((key.clone(), end));
            });
        }
        Ok(())
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

/// A row as it is in the changelog: the events by number, and the partial matches.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "V: Data")]
struct Stored<V>(Vec<StoredEvent<V>>, Vec<StoredRun>);

/// Number, time, value and headers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "V: Data")]
struct StoredEvent<V>(u64, i64, V, KeptHeaders);

/// The stage, the numbers of the events, and how many there are up to the end of each stage.
#[derive(Clone, Serialize, Deserialize)]
struct StoredRun(u32, Vec<u64>, Vec<u32>);

fn store<V: Data>(row: &Partials<V>) -> Stored<V> {
    let event = |event: &Event<V>| {
        let (at, value) = (event.at.as_millis(), event.value.clone());
        StoredEvent(event.number, at, value, keep(&event.headers))
    };
    let run = |run: &Run| StoredRun(run.stage, run.taken.to_vec(), run.ends.to_vec());
    Stored(row.events.iter().map(event).collect(), row.runs.iter().map(run).collect())
}

fn decode<V: Data>(row: &[u8]) -> Result<Partials<V>> {
    let Stored(events, runs) = read_state::<Stored<V>>(row)?;
    let event = |StoredEvent(number, at, value, headers)| {
        let (at, headers) = (Timestamp::from_millis(at), load(headers));
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
