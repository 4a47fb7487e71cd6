//! The store of a fold over sliding windows: for each key, the accepted records that an open
//! window may need, and the windows that are folded of them while the key is in use.
//!
//! In the changelog every record is a row of its own, and a window is none: a record is in as
//! many windows as there are records near it, and a commit that wrote all of them would write
//! far more than it got.

use super::StreamTime;
use super::due::DueKeys;
use super::join_store::Lower;
use super::sliding_rows::{SlidingView, read_rows, rows_of};
use super::track::{Accepted, Entry, Folds, Pane, Sliding, Track};
use crate::format::Format;
use crate::step::caught;
use crate::{Data, Key};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use suiro_core::{Error, Headers, Result, Timestamp};

/// The records and windows of each key, with one open generation of changes.
pub(crate) struct SlidingStore<K: 'static, T, A: 'static> {
    pub(super) table: HashTable<u32>,
    hasher: FixedState,
    pub(super) slots: Vec<Slot<K, T, A>>,
    free: Vec<u32>,
    /// Slots that may have no records; those of a generation are looked at when it ends.
    idle: Vec<u32>,
    /// What was done since the last commit, to be taken back or saved.
    pub(super) log: Vec<Deed<T>>,
    /// The number of the generation that is open.
    pub(super) generation: u64,
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

/// What is held of a key: all its records, also where there is a store below.
pub(super) struct Slot<K, T, A> {
    /// None in a slot that is free.
    pub(super) key: Option<K>,
    pub(super) track: Track<T, A>,
    /// When the key is looked at next; the least time if that is not known, the largest if never.
    due: Timestamp,
    /// The generation of the last change, to its windows or to its records.
    pub(super) changed: u64,
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

/// The seed of the hash is fixed, so that a run can be repeated.
const SEED: u64 = 0x0053_7569_726f;

impl<K, T: Clone, A: Clone> Slot<K, T, A> {
    fn new(key: K) -> Self {
        Self { key: Some(key), track: Track::default(), due: Timestamp::MAX, changed: 0 }
    }

    fn is_empty(&self) -> bool {
        self.track.records().is_empty()
    }

    pub(super) fn key(&self) -> &K {
        self.key.as_ref().expect("a slot that is in use has a key")
    }
}

impl<K: Key, T: Data, A: Data> SlidingStore<K, T, A> {
    /// How much of memory a record or a key takes, at most and without what values point to: a
    /// record makes two windows.
    pub(super) const ROW_BYTES: usize = {
        let slot = size_of::<Slot<K, T, A>>();
        let row = size_of::<Accepted<T>>() + 2 * size_of::<Pane<A>>();
        if slot > row { slot } else { row }
    };

    pub(crate) fn new(keys: &'static dyn Format<K>, spec: Sliding, folds: Folds<T, A>) -> Self {
        Self {
            table: HashTable::new(),
            hasher: FixedState::with_seed(SEED),
            slots: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            log: Vec::new(),
            generation: 1,
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

    pub(super) fn slot_of(&self, key: &K) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let is_it = |slot: &u32| self.slots[*slot as usize].key.as_ref() == Some(key);
        self.table.find(hash, is_it).copied()
    }

    /// The slot of `key`, with all its records; a new one if nothing is held.
    fn raise(&mut self, key: &K) -> Result<u32> {
        if let Some(slot) = self.slot_of(key) {
            return Ok(slot);
        }
        let mut slot = Slot::new(key.clone());
        if let Some(lower) = &self.lower {
            read_rows(&lower.below, self.keys, key, &mut |row| {
                slot.track.put_back(row);
                self.count += 1;
            })?;
            if !slot.is_empty() {
                slot.due = Timestamp::MIN;
            }
        }
        Ok(self.insert(slot))
    }

    /// Puts a committed record or drops one, as restoring does.
    pub(super) fn load(
        &mut self,
        key: K,
        (at, number): (Timestamp, u64),
        row: Option<Accepted<T>>,
    ) {
        let slot = self.slot_of(&key).unwrap_or_else(|| self.insert(Slot::new(key)));
        let track = &mut self.slots[slot as usize].track;
        if track.remove(at, number).is_some() {
            self.count -= 1;
        }
        if let Some(row) = row {
            track.put_back(row);
            self.count += 1;
        }
    }

    fn insert(&mut self, slot: Slot<K, T, A>) -> u32 {
        let hash = self.hasher.hash_one(slot.key());
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let (hasher, slots) = (&self.hasher, &self.slots);
        self.table
            .insert_unique(hash, number, |slot| hasher.hash_one(slots[*slot as usize].key()));
        self.idle.push(number);
        number
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
        let held = self.table.len() + self.count;
        if self.lower.as_ref().is_some_and(|lower| lower.below.is_tight(held, keys.len())) {
            self.evict();
        }
        for key in keys {
            slots.push(self.raise(key)?);
        }
        Ok(())
    }

    /// Brings what is held of some slots into the caches: a pass that depends on nothing waits for
    /// many of them at a time, where the work itself would wait for one after another.
    pub(crate) fn warm(&self, slots: &[u32]) {
        let glance = |slot: &u32| self.slots[*slot as usize].track.glance();
        std::hint::black_box(slots.iter().map(glance).fold(0, |seen, of| seen ^ of));
    }

    /// Drops about a quarter of the slots, those that changed longest ago, as far as their
    /// records are below.
    fn evict(&mut self) {
        let Some(safe) = self.lower.as_ref().map(|lower| lower.safe) else { return };
        let mut ages: Vec<u64> =
            self.table.iter().map(|slot| self.slots[*slot as usize].changed).collect();
        if ages.is_empty() {
            return;
        }
        let quarter = ages.len() / 4;
        let (_, limit, _) = ages.select_nth_unstable(quarter);
        let limit = safe.min(*limit);
        let old = |slot: &u32| self.slots[*slot as usize].changed <= limit;
        let gone: Vec<u32> = self.table.iter().copied().filter(old).collect();
        gone.into_iter().for_each(|slot| self.release(slot));
    }

    /// Forgets a slot and its records.
    fn release(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        let Some(key) = slot.key.take() else { return };
        self.count -= std::mem::take(&mut slot.track).records().len();
        let hash = self.hasher.hash_one(&key);
        if let Ok(entry) = self.table.find_entry(hash, |slot| *slot == number) {
            entry.remove();
        }
        self.free.push(number);
    }

    /// Folds the open windows of a slot out of its records, if that is to be done. User code took
    /// these records once, so if it fails now no record is at fault, and no policy may drop one.
    pub(crate) fn fold(&mut self, slot: u32) -> Result<()> {
        let (spec, swept) = (self.spec, self.swept);
        let track = &mut self.slots[slot as usize].track;
        if track.is_folded() {
            return Ok(());
        }
        fold_again(track, spec, swept, &self.folds)
    }

    /// What a record changes; `None` if it is late.
    pub(crate) fn seek(&self, slot: u32, at: Timestamp, now: Timestamp) -> Option<Entry> {
        self.slots[slot as usize].track.seek(self.spec, at, now)
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
        let generation = self.generation;
        let kept = &mut self.slots[slot as usize];
        kept.changed = generation;
        let number = kept.track.next();
        let row = Accepted { at, number, ended: false, born: generation, value, headers };
        kept.track.accept(self.spec, entry, row, &self.folds, changed);
        self.log.push(Deed::Came(Id { slot, at, number }));
        self.count += 1;
        if patiently {
            kept.track.close(self.spec, self.swept, |_| ());
            self.drop_expired(slot, self.swept);
        }
        self.look_at(slot, patiently);
    }

    /// User code has failed at a record of a slot: its windows are not what they were.
    pub(crate) fn spoil(&mut self, slot: u32) {
        self.slots[slot as usize].track.unfold();
    }

    /// Has the key of a slot looked at when there is something to close or to drop.
    fn look_at(&mut self, slot: u32, patiently: bool) {
        // The entries of a store below serve programs that are patient and those that are not.
        let patiently = patiently && self.lower.is_none();
        let kept = &mut self.slots[slot as usize];
        let look = kept.track.next_look(self.spec, self.swept, patiently);
        if look < kept.due || kept.due == Timestamp::MIN {
            kept.due = look;
            self.due.push(look, kept.key().clone());
        }
    }

    /// Drops the records of a slot that are of no more use.
    fn drop_expired(&mut self, slot: u32, now: Timestamp) {
        let kept = &mut self.slots[slot as usize];
        while let Some(row) = kept.track.take_expired(self.spec, now) {
            self.count -= 1;
            kept.changed = self.generation;
            if row.born < self.generation {
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
                None => match self.slot_of(&key) {
                    Some(slot) => slot,
                    None => continue,
                },
            };
            if self.slots[slot as usize].due > now {
                continue;
            }
            if !patiently {
                self.fold(slot)?;
            }
            let kept = &mut self.slots[slot as usize];
            kept.changed = self.generation;
            kept.track.close(self.spec, now, |pane| {
                if !patiently && pane.value.is_some() {
                    closed.push((key.clone(), pane));
                }
            });
            self.drop_expired(slot, now);
            let patiently = patiently && self.lower.is_none();
            let kept = &mut self.slots[slot as usize];
            kept.due = kept.track.next_look(self.spec, now, patiently);
            if kept.is_empty() {
                self.idle.push(slot);
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
        let (spec, swept, generation) = (self.spec, self.swept, self.generation);
        let slots: Vec<u32> = self.table.iter().copied().collect();
        for slot in slots {
            if !patiently {
                self.fold(slot)?;
            }
            let kept = &mut self.slots[slot as usize];
            if kept.is_empty() {
                continue;
            }
            kept.changed = generation;
            let Slot { key, track, .. } = kept;
            let key = key.as_ref().expect("a slot that is in use has a key");
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
        let changes = self.log.len();
        self.log.clear();
        if let Some(lower) = &mut self.lower {
            lower.pending.push_back((self.generation, changes));
        }
        self.generation += 1;
        self.let_idle_go();
    }

    /// Puts everything back to the last commit; stream time has been put back.
    pub(super) fn take_back(&mut self) {
        for deed in std::mem::take(&mut self.log).into_iter().rev() {
            match deed {
                Deed::Came(Id { slot, at, number }) => {
                    if self.slots[slot as usize].track.remove(at, number).is_some() {
                        self.count -= 1;
                    }
                    self.idle.push(slot);
                }
                Deed::Ended(Id { slot, at, number }) => {
                    if let Some(row) = self.slots[slot as usize].track.get_mut(at, number) {
                        row.ended = false;
                    }
                }
                Deed::Went(Id { slot, .. }, row) => {
                    self.slots[slot as usize].track.put_back(row);
                    self.count += 1;
                }
            }
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.changed >= self.generation) {
            slot.track.unfold();
        }
        self.loaded();
    }

    /// All committed records are there: looks at every key anew.
    pub(super) fn loaded(&mut self) {
        self.let_idle_go();
        self.swept = self.time.now();
        self.due.clear();
        let is_lean = self.due.is_lean();
        for slot in self.slots.iter_mut().filter(|slot| slot.key.is_some()) {
            slot.due = match is_lean && !slot.is_empty() {
                true => Timestamp::MIN,
                false => slot.track.next_look(self.spec, self.swept, false),
            };
            if !slot.is_empty() && !is_lean {
                self.due.push(slot.due, slot.key().clone());
            }
        }
    }

    /// Frees the slots that have no records. Where there is a store below, only who knows that
    /// its rows are there may do so.
    fn let_idle_go(&mut self) {
        for slot in std::mem::take(&mut self.idle) {
            let kept = &self.slots[slot as usize];
            if self.lower.is_none() && kept.key.is_some() && kept.is_empty() {
                self.release(slot);
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
