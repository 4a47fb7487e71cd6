//! The timers of a processor (rules R2 to R4): those of a key are one row, in the order in which
//! they were set, beside an index of what is due when.
//!
//! The index may have entries for timers that were moved or cancelled: whoever comes to such an
//! entry finds no timer of its time, and drops it. When there are far more entries than timers,
//! the index is made anew.

use super::form::form;
use super::timed_store::save_rows;
use super::{Agenda, Cells, Slot, StreamTime, encode_key, prefix};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeMap;
use suiro_core::{Error, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, State};

/// By which time a timer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Clock {
    /// Event time.
    Event,
    /// The time of day.
    Wall,
}

/// A timer of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "T: Data")]
pub(crate) struct Timer<T> {
    pub(crate) clock: Clock,
    /// When it fires, in milliseconds.
    pub(crate) at: i64,
    pub(crate) name: T,
}

impl<T> Timer<T> {
    /// The same timer with a name of another type.
    pub(super) fn turned<W>(self, turn: impl FnOnce(T) -> W) -> Timer<W> {
        Timer { clock: self.clock, at: self.at, name: turn(self.name) }
    }
}

/// A timer that fires.
pub(crate) struct Fired<K, T> {
    pub(crate) key: K,
    pub(crate) at: Timestamp,
    pub(crate) name: T,
}

/// The kind of store that holds them.
pub(super) const KIND: &str = "timers";

/// An index with fewer entries than that is not made anew.
const FEW: usize = 1024;

/// How far ahead most timers are thought to be set, in milliseconds: the agenda is right for any
/// distance, and best for this one.
const DISTANCE: i64 = 60_000;

/// When to look at which key, for one of the clocks.
struct Index<K> {
    agenda: Agenda<K>,
    /// What is due now, in order of time and key bytes.
    due: BTreeMap<(Timestamp, Vec<u8>), K>,
    /// How many keys are on the agenda.
    entries: usize,
}

impl<K> Index<K> {
    fn new() -> Self {
        Self { agenda: Agenda::new(DISTANCE), due: BTreeMap::new(), entries: 0 }
    }

    fn push(&mut self, at: Timestamp, key: K) {
        self.agenda.push(at, key);
        self.entries += 1;
    }

    fn clear(&mut self) {
        self.agenda.clear();
        self.due.clear();
        self.entries = 0;
    }
}

/// The timers of a task, and the stream time of its processor.
pub(crate) struct TimerStore<K: 'static, T> {
    cells: Cells<K, Vec<Timer<T>>>,
    indices: [Index<K>; 2],
    /// How many timers there are.
    timers: usize,
    pub(crate) time: StreamTime,
    keys: &'static dyn Format<K>,
}

impl<K: Key, T: Data + PartialEq> TimerStore<K, T> {
    pub(crate) fn new(keys: &'static dyn Format<K>) -> Self {
        let indices = [Index::new(), Index::new()];
        Self { cells: Cells::new(), indices, timers: 0, time: StreamTime::NONE, keys }
    }

    /// The timers of a key, in the order in which they were set.
    pub(crate) fn of(&self, key: &K) -> &[Timer<T>] {
        self.cells.get(key).and_then(Slot::get).map_or(&[], Vec::as_slice)
    }

    /// When a timer fires, if it is set.
    pub(crate) fn when(&self, key: &K, clock: Clock, name: &T) -> Option<Timestamp> {
        let timer = self.of(key).iter().find(|timer| is(timer, clock, name))?;
        Some(Timestamp::from_millis(timer.at))
    }

    /// Sets a timer, or moves the one of that name; one that is set for that time already stays
    /// as it is. `now` is the time of whoever sets it.
    pub(crate) fn set(
        &mut self,
        key: &K,
        clock: Clock,
        name: T,
        at: Timestamp,
        now: Timestamp,
    ) {
        if self.when(key, clock, &name) == Some(at) {
            return;
        }
        let slot = self.cells.edit(key);
        let timers = slot.get_or_insert_with(Vec::new);
        let before = timers.len();
        timers.retain(|timer| !is(timer, clock, &name));
        timers.push(Timer { clock, at: at.as_millis(), name });
        self.timers = self.timers + timers.len() - before;
        slot.set_at(now);
        self.indices[clock as usize].push(at, key.clone());
        let entries: usize = self.indices.iter().map(|index| index.entries).sum();
        if entries > 2 * self.timers + FEW {
            self.note_all();
        }
    }

    /// Takes a timer back; gives when it would have fired, if it was set.
    pub(crate) fn cancel(
        &mut self,
        key: &K,
        clock: Clock,
        name: &T,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.take(key, now, |timer| is(timer, clock, name)).map(|(at, _)| at)
    }

    /// Takes out the first timer of a key that `test` names.
    fn take(
        &mut self,
        key: &K,
        now: Timestamp,
        test: impl Fn(&Timer<T>) -> bool,
    ) -> Option<(Timestamp, T)> {
        let place = self.of(key).iter().position(test)?;
        let slot = self.cells.edit(key);
        let timers = slot.get_mut()?;
        let timer = timers.remove(place);
        if timers.is_empty() {
            slot.replace(None);
        }
        slot.set_at(now);
        self.timers -= 1;
        Some((Timestamp::from_millis(timer.at), timer.name))
    }

    /// Puts the timers of a key back to what they were.
    pub(crate) fn put_back(&mut self, key: &K, timers: Vec<Timer<T>>) {
        if self.of(key).is_empty() && timers.is_empty() {
            return;
        }
        let before = self.of(key).len();
        self.timers = self.timers + timers.len() - before;
        for timer in &timers {
            let at = Timestamp::from_millis(timer.at);
            self.indices[timer.clock as usize].push(at, key.clone());
        }
        let slot = self.cells.edit(key);
        slot.replace(Some(timers).filter(|timers| !timers.is_empty()));
    }

    /// Takes out the next timer of a clock that is due at `now`: in order of time, key bytes, and
    /// the order in which those of a key were set.
    pub(crate) fn take_due(
        &mut self,
        clock: Clock,
        now: Timestamp,
    ) -> Result<Option<Fired<K, T>>> {
        let index = &mut self.indices[clock as usize];
        while let Some((at, key)) = index.agenda.pop(now) {
            index.entries -= 1;
            let mut bytes = Vec::new();
            encode_key(self.keys, &key, &mut bytes)?;
            index.due.insert((at, bytes), key);
        }
        while let Some(entry) = self.indices[clock as usize].due.first_entry() {
            let (at, key) = (entry.key().0, entry.get().clone());
            let is_due = |timer: &Timer<T>| timer.clock == clock && timer.at == at.as_millis();
            match self.take(&key, now, is_due) {
                Some((at, name)) => return Ok(Some(Fired { key, at, name })),
                // All of this time and key have fired.
                None => self.indices[clock as usize].due.pop_first(),
            };
        }
        Ok(None)
    }

    /// The timers of event time, in the order in which they fire.
    pub(crate) fn standing(&self) -> Result<Vec<Fired<K, T>>> {
        let mut all = BTreeMap::new();
        for (key, slot) in self.cells.iter() {
            let mut bytes = Vec::new();
            encode_key(self.keys, key, &mut bytes)?;
            let timers = slot.get().into_iter().flatten().enumerate();
            for (place, timer) in timers.filter(|(_, timer)| timer.clock == Clock::Event) {
                let at = Timestamp::from_millis(timer.at);
                let fired = Fired { key: key.clone(), at, name: timer.name.clone() };
                all.insert((at, bytes.clone(), place), fired);
            }
        }
        Ok(all.into_values().collect())
    }

    /// Takes out a timer of event time, if it is still set for that time.
    pub(crate) fn take_standing(&mut self, fired: &Fired<K, T>, now: Timestamp) -> bool {
        let Fired { key, at, name } = fired;
        let is_it =
            |timer: &Timer<T>| is(timer, Clock::Event, name) && timer.at == at.as_millis();
        self.take(key, now, is_it).is_some()
    }

    /// Looks at every timer anew.
    fn note_all(&mut self) {
        self.indices.iter_mut().for_each(Index::clear);
        self.timers = 0;
        for (key, slot) in self.cells.iter() {
            for timer in slot.get().into_iter().flatten() {
                let at = Timestamp::from_millis(timer.at);
                self.indices[timer.clock as usize].push(at, key.clone());
                self.timers += 1;
            }
        }
    }

    /// The timers of each key as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> impl Iterator<Item = (&K, &[Timer<T>])> {
        self.cells.all_committed().map(|(key, timers, _)| (key, timers.as_slice()))
    }
}

fn is<T: PartialEq>(timer: &Timer<T>, clock: Clock, name: &T) -> bool {
    timer.clock == clock && timer.name == *name
}

impl<K: Key, T: Data + PartialEq> State for TimerStore<K, T> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        save_rows(&self.cells, self.keys, changes, write_state)?;
        self.time.save(changes)
    }

    fn seal(&mut self) -> bool {
        self.cells.seal();
        self.time.seal();
        true
    }

    fn committed(&mut self) {
        self.cells.commit();
        self.time.commit();
    }

    fn rollback(&mut self) {
        self.cells.rollback();
        self.time.rollback();
        if !cfg!(suiro_mutant = "timers_lost_in_roll_back") {
            self.note_all();
        }
    }

    fn reserve(&mut self, rows: usize) {
        self.cells.reserve(rows);
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        match change.key.split_first() {
            Some((&prefix::TIME, _)) => self.time.restore(change.value),
            Some((&prefix::ROW, key)) => {
                let key = self.keys.decode(key)?;
                match change.value.map(read_state).transpose()? {
                    Some(timers) => self.cells.load(key, timers, change.at),
                    None => self.cells.unload(&key),
                }
                Ok(())
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) -> Result<()> {
        if !cfg!(suiro_mutant = "timers_not_restored") {
            self.note_all();
        }
        Ok(())
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
        self.time.until(self.indices[Clock::Event as usize].agenda.next())
    }

    fn wakes_at(&self) -> Option<Timestamp> {
        self.indices[Clock::Wall as usize].agenda.next()
    }

    fn form(&self) -> Option<Form> {
        Some(form::<K, T>(KIND.to_owned(), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
