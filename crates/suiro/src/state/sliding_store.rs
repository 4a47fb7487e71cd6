//! The store of a fold over sliding windows: for each key, the accepted records that an open
//! window may need, and the windows that are folded of them while the key is in use.
//!
//! In the changelog every record is a row of its own, and a window is none: a record is in as
//! many windows as there are records near it, and a commit that wrote all of them would write
//! far more than it got.

use super::StreamTime;
use super::deeds::Deeds;
use super::due::DueKeys;
use super::sliding_rows::{SlidingView, read_rows, rows_of};
use super::slots::{Lower, Rows, Slot, Slots, warm};
use super::track::{Accepted, Entry, Folds, Pane, Sliding, Track};
use crate::format::Format;
use crate::step::caught;
use crate::{Data, Key};
use suiro_core::{Error, Headers, Result, Timestamp};

/// The records and windows of each key, with the changes of the generations that are open.
pub(crate) struct SlidingStore<K: 'static, T, A: 'static> {
    pub(super) slots: Slots<K, Track<T, A>>,
    /// What was done since the last commit, to be taken back or saved.
    pub(super) log: Deeds<Deed<T>>,
    /// How many records there are.
    pub(super) count: usize,
    pub(crate) time: StreamTime,
    /// What is closed at this time has been taken out.
    swept: Timestamp,
    pub(crate) keys: &'static dyn Format<K>,
    pub(crate) spec: Sliding,
    pub(super) folds: Folds<T, A>,
    pub(super) due: DueKeys<K>,
    pub(super) lower: Option<Lower>,
    pub(super) view: SlidingView<K, A>,
}

impl<T: Clone, A: Clone> Rows for Track<T, A> {
    fn count(&self) -> usize {
        self.records().len()
    }
}

/// What identifies a record of a slot.
#[derive(Clone, Copy)]
pub(super) struct Id {
    pub(super) slot: u32,
    pub(super) at: Timestamp,
    pub(super) number: u64,
}

/// A change of records since the last commit.
pub(super) enum Deed<T> {
    Came(Id),
    /// A record of an earlier generation was marked by the end of a bounded run.
    Ended(Id),
    /// A record of an earlier generation was dropped.
    Went(Id, Accepted<T>),
}

impl<K: Key, T: Data, A: Data> SlidingStore<K, T, A> {
    /// How much of memory a record or a key takes, at most and without what values point to: a
    /// record makes two windows.
    pub(super) const ROW_BYTES: usize = {
        let slot = size_of::<Slot<K, Track<T, A>>>();
        let row = size_of::<Accepted<T>>() + 2 * size_of::<Pane<A>>();
        if slot > row { slot } else { row }
    };

    pub(crate) fn new(keys: &'static dyn Format<K>, spec: Sliding, folds: Folds<T, A>) -> Self {
        Self {
            slots: Slots::default(),
            log: Deeds::new(),
            count: 0,
            time: StreamTime::NONE,
            swept: Timestamp::MIN,
            keys,
            spec,
            folds,
            due: DueKeys::new(keys, spec.linger()),
            lower: None,
            view: SlidingView::of::<T>(spec),
        }
    }

    /// The slot of `key`, with all its records; a new one if nothing is held.
    fn raise(&mut self, key: &K) -> Result<u32> {
        if let Some(slot) = self.slots.find(key) {
            return Ok(slot);
        }
        let (mut track, mut due) = (Track::default(), Timestamp::MAX);
        if let Some(lower) = &self.lower {
            read_rows(&lower.below, self.keys, key, &mut |row| {
                track.put_back(row);
                due = Timestamp::MIN;
            })?;
        }
        self.count += track.count();
        Ok(self.slots.insert(key.clone(), track, due))
    }

    /// Puts a committed record or drops one, as restoring does.
    pub(super) fn load(
        &mut self,
        key: K,
        (at, number): (Timestamp, u64),
        row: Option<Accepted<T>>,
    ) {
        let slot = self.slots.find(&key);
        let slot =
            slot.unwrap_or_else(|| self.slots.insert(key, Track::default(), Timestamp::MAX));
        let track = &mut self.slots[slot].rows;
        if track.remove(at, number).is_some() {
            self.count -= 1;
        }
        if let Some(row) = row {
            track.put_back(row);
            self.count += 1;
        }
    }

    /// The slots of keys, with all their records. They stay where they are until the next call
    /// and the next commit.
    pub(crate) fn find<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a K>,
        slots: &mut Vec<u32>,
    ) -> Result<()>
    where
        K: 'a,
    {
        let held = self.slots.len() + self.count;
        if let Some(lower) =
            self.lower.as_ref().filter(|it| it.below.is_tight(held, keys.len()))
        {
            self.count -= self.slots.evict(lower.safe);
        }
        for key in keys {
            slots.push(self.raise(key)?);
        }
        Ok(())
    }

    /// Brings what is held of some slots into the caches.
    pub(crate) fn warm(&self, slots: &[u32]) {
        warm(slots.iter().map(|slot| self.slots[*slot].rows.glance()));
    }

    /// Folds the open windows of a slot out of its records, if that is to be done. User code took
    /// these records once, so if it fails now no record is at fault, and no policy may drop one.
    pub(crate) fn fold(&mut self, slot: u32) -> Result<()> {
        let (spec, swept) = (self.spec, self.swept);
        let track = &mut self.slots[slot].rows;
        if track.is_folded() {
            return Ok(());
        }
        fold_again(track, spec, swept, &self.folds)
    }

    /// What a record changes; `None` if it is late.
    pub(crate) fn seek(&self, slot: u32, at: Timestamp, now: Timestamp) -> Option<Entry> {
        self.slots[slot].rows.seek(self.spec, at, now)
    }

    /// Takes a record into its windows and keeps it. If user code panics meanwhile, nothing is
    /// changed but for the windows, and [`SlidingStore::spoil`] is to be told.
    pub(crate) fn accept(
        &mut self,
        slot: u32,
        entry: Entry,
        (at, value, headers): (Timestamp, T, Headers),
        patiently: bool,
        changed: impl FnMut(&Pane<A>),
    ) {
        let generation = self.log.generation();
        let kept = &mut self.slots[slot];
        kept.changed = generation;
        let number = kept.rows.next();
        let row = Accepted { at, number, ended: false, born: generation, value, headers };
        kept.rows.accept(self.spec, entry, row, &self.folds, changed);
        self.log.push(Deed::Came(Id { slot, at, number }));
        self.count += 1;
        if patiently {
            kept.rows.close(self.spec, self.swept, |_| ());
            self.drop_expired(slot, self.swept);
        }
        self.look_at(slot, patiently);
    }

    /// User code has failed at a record of a slot: its windows are not what they were.
    pub(crate) fn spoil(&mut self, slot: u32) {
        self.slots[slot].rows.unfold();
    }

    /// Has the key of a slot looked at when there is something to close or to drop.
    fn look_at(&mut self, slot: u32, patiently: bool) {
        // The entries of a store below serve programs that are patient and those that are not.
        let patiently = patiently && self.lower.is_none();
        let kept = &mut self.slots[slot];
        let look = kept.rows.next_look(self.spec, self.swept, patiently);
        if look < kept.due || kept.due == Timestamp::MIN {
            kept.due = look;
            self.due.push(look, kept.key().clone());
        }
    }

    /// Drops the records of a slot that are of no more use.
    fn drop_expired(&mut self, slot: u32, now: Timestamp) {
        let (kept, generation) = (&mut self.slots[slot], self.log.generation());
        while let Some(row) = kept.rows.take_expired(self.spec, now) {
            self.count -= 1;
            kept.changed = generation;
            if row.born < generation {
                let Accepted { at, number, .. } = row;
                self.log.push(Deed::Went(Id { slot, at, number }, row));
            }
        }
    }

    /// Takes out what is closed at `now`, and gives the windows, if somebody waits for them.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        patiently: bool,
        closed: &mut Vec<(K, Pane<A>)>,
    ) -> Result<()> {
        loop {
            let below = self.lower.as_ref().map(|lower| &lower.below);
            let Some(key) = self.due.pop(now, below)? else { break };
            let slot = match self.lower {
                Some(_) => self.raise(&key)?,
                None => match self.slots.find(&key) {
                    Some(slot) => slot,
                    None => continue,
                },
            };
            if self.slots[slot].due > now {
                continue;
            }
            if !patiently {
                self.fold(slot)?;
            }
            let kept = &mut self.slots[slot];
            kept.changed = self.log.generation();
            kept.rows.close(self.spec, now, |pane| {
                if !patiently && pane.value.is_some() {
                    closed.push((key.clone(), pane));
                }
            });
            self.drop_expired(slot, now);
            let patiently = patiently && self.lower.is_none();
            let kept = &mut self.slots[slot];
            kept.due = kept.rows.next_look(self.spec, now, patiently);
            if kept.is_empty() {
                self.slots.may_go(slot);
            } else {
                self.due.push(kept.due, key);
            }
        }
        self.swept = self.swept.max(now);
        Ok(())
    }

    /// Closes all windows before their time, and gives them, if somebody waits for them. The
    /// records stay, marked, and say which windows are closed.
    pub(crate) fn close_all(
        &mut self,
        patiently: bool,
        closed: &mut Vec<(K, Pane<A>)>,
    ) -> Result<()> {
        self.raise_all()?;
        let (spec, swept, generation) = (self.spec, self.swept, self.log.generation());
        let slots: Vec<u32> = self.slots.numbers().collect();
        for slot in slots {
            if !patiently {
                self.fold(slot)?;
            }
            let kept = &mut self.slots[slot];
            if kept.is_empty() {
                continue;
            }
            kept.changed = generation;
            let key = kept.key().clone();
            let track = &mut kept.rows;
            track.shut(spec, swept, |pane| {
                if !patiently {
                    closed.push((key.clone(), pane));
                }
            });
            let log = &mut self.log;
            track.end_records(|at, number, born| {
                if born < generation {
                    log.push(Deed::Ended(Id { slot, at, number }));
                }
            });
        }
        Ok(())
    }

    /// Brings up all records that are below.
    fn raise_all(&mut self) -> Result<()> {
        let Some(lower) = &self.lower else { return Ok(()) };
        let mut below = Vec::new();
        rows_of(&lower.below, self.keys, &mut |key, _: Accepted<T>| {
            if below.last() != Some(&key) {
                below.push(key);
            }
        })?;
        for key in below {
            self.raise(&key)?;
        }
        Ok(())
    }

    /// The changes are durable.
    pub(super) fn commit_rows(&mut self) {
        let (generation, changes) = self.log.commit();
        if let Some(lower) = &mut self.lower {
            lower.commit(generation, changes);
        }
        self.slots.let_settled_go(self.lower.is_some(), self.log.generation());
    }

    /// Puts everything back to the last commit; stream time has been put back.
    pub(super) fn take_back(&mut self) {
        for deed in self.log.take_back() {
            match deed {
                Deed::Came(Id { slot, at, number }) => {
                    if self.slots[slot].rows.remove(at, number).is_some() {
                        self.count -= 1;
                    }
                    self.slots.may_go(slot);
                }
                Deed::Ended(Id { slot, at, number }) => {
                    if let Some(row) = self.slots[slot].rows.get_mut(at, number) {
                        row.ended = false;
                    }
                }
                Deed::Went(Id { slot, .. }, row) => {
                    self.slots[slot].rows.put_back(row);
                    self.count += 1;
                }
            }
        }
        let log = &self.log;
        let is_open = |slot: &&mut Slot<_, _>| !log.is_committed(slot.changed);
        for slot in self.slots.iter_mut().filter(is_open) {
            slot.rows.unfold();
        }
        self.loaded();
    }

    /// All committed records are there: looks at every key anew.
    pub(super) fn loaded(&mut self) {
        self.slots.let_idle_go(self.lower.is_some());
        self.swept = self.time.now();
        self.due.clear();
        let is_lean = self.due.is_lean();
        for slot in self.slots.iter_mut() {
            slot.due = match is_lean && !slot.is_empty() {
                true => Timestamp::MIN,
                false => slot.rows.next_look(self.spec, self.swept, false),
            };
            if !slot.is_empty() && !is_lean {
                self.due.push(slot.due, slot.key().clone());
            }
        }
    }
}

/// Folds the windows that are open at `now` out of records that were accepted before.
pub(super) fn fold_again<T: Clone, A: Clone>(
    track: &mut Track<T, A>,
    spec: Sliding,
    now: Timestamp,
    folds: &Folds<T, A>,
) -> Result<()> {
    let folded = caught(|| {
        track.fold(spec, now, folds);
        Ok(())
    });
    folded.map_err(|cause| {
        track.unfold();
        Error::invalid("records that were accepted before could not be folded again")
            .caused_by(cause)
    })
}
