//! A hash map with a memory: what changed since the last commit, and what was there before.

use super::generations::Generations;
pub(crate) use super::generations::Touched;
use super::places::{NOWHERE, Place, Places};
use super::slot::Slot;
use crate::Key;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use suiro_core::Timestamp;

/// Rows by key, with the changes of the generations that are open.
pub(crate) struct Cells<K, A> {
    table: HashTable<Cell<K, A>>,
    hasher: FixedState,
    /// Changes when rows may have moved; never zero.
    version: u32,
    open: Generations<K, A>,
    /// No row was ever committed.
    fresh: bool,
    /// Whether there are more rows below; see [`Lower`].
    lower: Option<Lower>,
}

/// What a map knows of the rows of a store below, of which it holds some.
///
/// What was removed keeps its slot, so that an absent key is one that must be looked for below.
/// A slot may be dropped when its row is below: when its touch is not larger than `safe`.
#[derive(Default)]
struct Lower {
    safe: u32,
    /// The bases of commits that are not yet below, in order.
    pending: VecDeque<u32>,
    /// Whether nothing is below that is not held, too.
    whole: bool,
}

struct Cell<K, A> {
    key: K,
    slot: Slot<A>,
}

/// A map below this size, in bytes, is in the caches anyway.
const CACHED: usize = 1 << 18;

/// The least room: a few batches.
pub(super) const ROOM: usize = 4096;

/// Of how many slots the age is looked at to tell which are old.
const SAMPLE: usize = 1024;

/// A map below this size grows by and by.
const SMALL: usize = 1 << 14;

/// How many slots are brought into the caches in one pass.
const WARM: usize = 256;

/// The seed of the hash is fixed, so that a run can be repeated. Nothing depends on the order of
/// a map.
const SEED: u64 = 0x0053_7569_726f;

impl<K: Key, A: Clone> Cells<K, A> {
    pub(crate) fn new() -> Self {
        Self {
            table: HashTable::new(),
            hasher: FixedState::with_seed(SEED),
            version: 1,
            open: Generations::new(),
            fresh: true,
            lower: None,
        }
    }

    #[inline]
    fn slot(&self, key: &K) -> Option<&Slot<A>> {
        let cell = self.table.find(self.hasher.hash_one(key), |cell| cell.key == *key)?;
        Some(&cell.slot)
    }

    /// The row of `key` as it is now.
    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&Slot<A>> {
        self.slot(key).filter(|slot| slot.get().is_some())
    }

    /// Whether the row of `key` is at `place`.
    #[inline]
    fn is_at(&self, place: Place, key: &K) -> bool {
        let cell = self.table.get_bucket(place.index as usize);
        let is_sure = place.version == self.version;
        debug_assert!(!is_sure || cell.is_none_or(|cell| cell.key == *key));
        cell.is_some_and(|cell| is_sure || cell.key == *key)
    }

    /// As [`Cells::get`], for a key that was found at `place`.
    #[inline]
    pub(crate) fn get_at(&self, place: Place, key: &K) -> Option<&Slot<A>> {
        if !self.is_at(place, key) {
            return self.get(key);
        }
        let cell = self.table.get_bucket(place.index as usize);
        cell.map(|cell| &cell.slot).filter(|slot| slot.get().is_some())
    }

    /// Rows may have moved.
    fn moved(&mut self) {
        self.version = self.version.wrapping_add(1).max(1);
    }

    /// Makes room for a row. Without it a row that is put would move others unseen.
    #[inline]
    fn make_room(&mut self) {
        if self.table.len() == self.table.capacity() {
            let hasher = &self.hasher;
            self.table.reserve(1, |cell| hasher.hash_one(&cell.key));
            self.moved();
        }
    }

    /// The row of `key` as of the last commit.
    pub(crate) fn committed(&self, key: &K) -> Option<(&A, Timestamp)> {
        self.open.committed(self.slot(key)?)
    }

    /// All rows as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> impl Iterator<Item = (&K, &A, Timestamp)> {
        self.table.iter().filter_map(|cell| {
            let (value, at) = self.open.committed(&cell.slot)?;
            Some((&cell.key, value, at))
        })
    }

    /// Whether the map is so large that rows had better be found before they are needed.
    fn is_large(&self) -> bool {
        self.table.num_buckets() * size_of::<Cell<K, A>>() > CACHED
    }

    /// Looks for the rows of keys, and brings them into the caches. One pass that depends on
    /// nothing waits for many of them at a time, where the work itself would wait for one after
    /// another; and with its place in hand a row need not be looked for again.
    pub(crate) fn find<'a>(&self, keys: impl Iterator<Item = &'a K>, places: &mut Places) {
        places.version = self.version;
        if self.is_large() {
            places.found.extend(keys.map(|key| self.place(key).index));
        } else {
            places.found.extend(keys.map(|_| NOWHERE));
        }
    }

    /// Where the row of `key` is now.
    #[inline]
    pub(crate) fn place(&self, key: &K) -> Place {
        let hash = self.hasher.hash_one(key);
        let index = self.table.find_bucket_index(hash, |cell| cell.key == *key);
        let index = index.map_or(NOWHERE, |index| index as u32);
        Place { index, version: self.version }
    }

    /// Brings the slots of keys into the caches.
    fn warm<'a>(&self, keys: impl Iterator<Item = &'a K>) {
        if self.is_large() {
            let seen = keys.fold(0, |seen, key| seen ^ self.place(key).index);
            std::hint::black_box(seen);
        }
    }

    /// The slot of `key`, to be changed; an empty one if there is no row.
    #[inline]
    pub(crate) fn edit(&mut self, key: &K) -> &mut Slot<A> {
        self.make_room();
        let touch = self.open.next();
        let (hasher, hash) = (&self.hasher, self.hasher.hash_one(key));
        let entry =
            self.table.entry(hash, |cell| cell.key == *key, |cell| hasher.hash_one(&cell.key));
        match entry {
            Entry::Occupied(entry) => {
                let cell = entry.into_mut();
                self.open.remember(&cell.key, &mut cell.slot);
                &mut cell.slot
            }
            Entry::Vacant(entry) => {
                self.open.touched.push(Touched { key: key.clone(), before: None });
                let (key, slot) = (key.clone(), Slot::gone(touch));
                &mut entry.insert(Cell { key, slot }).into_mut().slot
            }
        }
    }

    /// As [`Cells::edit`], for a key that was found at `place`.
    #[inline]
    pub(crate) fn edit_at(&mut self, place: Place, key: &K) -> &mut Slot<A> {
        if !self.is_at(place, key) {
            return self.edit(key);
        }
        let cell = self
            .table
            .get_bucket_mut(place.index as usize)
            .expect("the bucket was just looked at");
        self.open.remember(&cell.key, &mut cell.slot);
        &mut cell.slot
    }

    /// What changed in this generation, in order of the first change.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (&Touched<K, A>, &Slot<A>)> {
        self.open.touched.chunks(WARM).flat_map(|chunk| {
            self.warm(chunk.iter().map(|touched| &touched.key));
            chunk.iter().map(|touched| {
                let slot = self.slot(&touched.key);
                (touched, slot.expect("a touched row keeps its slot until the commit"))
            })
        })
    }

    /// Whether no row was ever committed: then taking all back is to forget all.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Takes all rows out of a fresh map, in no order, and leaves nothing to take back.
    pub(crate) fn drain_fresh(&mut self, mut take: impl FnMut(K, A, Timestamp)) {
        self.open.forget();
        self.moved();
        for Cell { key, mut slot } in self.table.drain() {
            let at = slot.at();
            if let Some(value) = slot.replace(None) {
                take(key, value, at);
            }
        }
    }

    /// Takes all rows out, in no order.
    pub(crate) fn take_all(&mut self, mut take: impl FnMut(&K, A, Timestamp)) {
        for cell in &mut self.table {
            if cell.slot.get().is_none() {
                continue;
            }
            self.open.remember(&cell.key, &mut cell.slot);
            let at = cell.slot.at();
            if let Some(value) = cell.slot.replace(None) {
                take(&cell.key, value, at);
            }
        }
    }

    /// Whether there are no rows now.
    pub(crate) fn is_emptied(&self) -> bool {
        self.table.iter().all(|cell| cell.slot.get().is_none())
    }

    /// The rows of the last commit that changed since, of a map that is emptied.
    pub(crate) fn removed(&self) -> impl Iterator<Item = (&K, Timestamp)> {
        self.open.touched.iter().filter_map(|touched| {
            let (_, at) = touched.before.as_ref()?;
            Some((&touched.key, *at))
        })
    }

    /// The generation at hand goes into flight, and another one begins.
    pub(crate) fn seal(&mut self) {
        self.open.seal();
        self.fresh &= self.open.is_settled();
    }

    /// Whether there is a generation in flight.
    pub(crate) fn is_sealed(&self) -> bool {
        self.open.sealed.is_some()
    }

    /// The generation in flight is durable; if there is none, the one at hand.
    pub(crate) fn commit(&mut self) {
        let touched = self.open.commit();
        let held = if self.lower.is_some() { &[][..] } else { &touched[..] };
        for chunk in held.chunks(WARM) {
            self.warm(chunk.iter().map(|touched| &touched.key));
            for touched in chunk {
                let hash = self.hasher.hash_one(&touched.key);
                if let Ok(entry) = self.table.find_entry(hash, |cell| cell.key == touched.key)
                    && entry.get().slot.get().is_none()
                    && entry.get().slot.touch() <= self.open.settled
                {
                    entry.remove();
                }
            }
        }
        self.fresh &= self.table.is_empty();
        self.begin();
        if let Some(lower) = &mut self.lower {
            lower.pending.push_back(self.open.settled);
        }
    }

    /// Puts everything back to the last commit.
    pub(crate) fn rollback(&mut self) {
        for (touched, is_again) in self.open.rollback() {
            let hash = self.hasher.hash_one(&touched.key);
            let entry = self.table.find_entry(hash, |cell| cell.key == touched.key).ok();
            let mut entry = entry.expect("a touched row keeps its slot until the commit");
            match touched.before {
                None if is_again || self.lower.is_some() => {
                    entry.get_mut().slot.replace(None);
                }
                None => {
                    entry.remove();
                }
                Some(_) if cfg!(suiro_mutant = "before_image_dropped") => {}
                Some((value, at)) => {
                    let slot = &mut entry.get_mut().slot;
                    slot.replace(Some(value));
                    slot.set_at(at);
                }
            }
        }
        self.begin();
        if let Some(lower) = &mut self.lower {
            *lower.pending.back_mut().unwrap_or(&mut lower.safe) = self.open.settled;
        }
    }

    /// A generation is over.
    fn begin(&mut self) {
        self.moved();
        // Long before the numbers run out they start anew.
        let settled = self.lower.as_ref().is_none_or(|lower| lower.pending.is_empty());
        if self.open.base > u32::MAX / 2 && settled {
            let base = self.open.renumber();
            for cell in &mut self.table {
                cell.slot.set_touch(cell.slot.touch().saturating_sub(base));
            }
            if let Some(lower) = &mut self.lower {
                lower.safe = 0;
            }
        }
    }

    /// How many slots there is room for in `memory` bytes: less than half of what the map has,
    /// because a fuller one whose rows come and go doubles to get rid of what they leave behind.
    /// Less memory than the least room has slots is taken for a number of slots: tests have rows
    /// come and go with it.
    pub(crate) fn room(memory: usize) -> usize {
        if memory < ROOM {
            return memory;
        }
        let slots = memory / (size_of::<Cell<K, A>>() + 1);
        let buckets = (slots + 1).next_power_of_two() / 2;
        (buckets / 16 * 7).max(ROOM)
    }

    /// How many slots several maps have room for together: each may have a few more buckets than
    /// twice what it holds.
    pub(crate) fn room_apart(memory: usize) -> usize {
        memory / (size_of::<Cell<K, A>>() + 1) / 16 * 7
    }

    /// Holds only some rows from now on; the others are below. `whole`: there are none yet.
    pub(crate) fn lean(&mut self, whole: bool) {
        (self.lower, self.fresh) = (Some(Lower { whole, ..Lower::default() }), false);
    }

    /// Whether a key that nothing is held for has no row below either.
    pub(crate) fn is_whole(&self) -> bool {
        self.lower.as_ref().is_none_or(|lower| lower.whole)
    }

    /// All rows that are below have been brought up.
    pub(crate) fn complete(&mut self) {
        if let Some(lower) = &mut self.lower {
            lower.whole = true;
        }
    }

    /// So many more changes of the oldest commit that was not yet below are there now, in the
    /// order of [`Cells::touched`]; `last`: all of it is. What was not worth saving was skipped
    /// there, so that at least as many slots are safe.
    pub(crate) fn lowered(&mut self, count: usize, last: bool) {
        let Some(lower) = &mut self.lower else { return };
        let Some(base) = lower.pending.front().copied() else { return };
        lower.safe = lower.safe.saturating_add(count as u32).min(base);
        if last {
            lower.safe = base;
            lower.pending.pop_front();
        }
    }

    /// How many rows changed since the last commit.
    pub(crate) fn changed(&self) -> usize {
        self.open.touched.len()
    }

    /// Whether anything is held for `key`: a row, or that there is none.
    pub(crate) fn holds(&self, key: &K) -> bool {
        self.slot(key).is_some()
    }

    /// Puts what was found below for a key that nothing was held for.
    pub(crate) fn raise(&mut self, key: K, row: Option<(A, Timestamp)>) {
        let slot = match row {
            Some((value, at)) => Slot::row(self.open.settled, value, at),
            None => Slot::gone(self.open.settled),
        };
        self.put(key, slot);
    }

    /// How many slots cannot be dropped.
    pub(crate) fn pinned(&self) -> usize {
        let Some(lower) = &self.lower else { return 0 };
        (self.open.base - lower.safe) as usize + self.open.touched.len()
    }

    /// Drops about a quarter of the slots, those that were touched longest ago, as far as their
    /// rows are below.
    pub(crate) fn evict(&mut self) {
        let Some(safe) = self.lower.as_ref().map(|lower| lower.safe) else { return };
        let step = (self.table.num_buckets() / SAMPLE).max(1);
        let sample = (0..self.table.num_buckets()).step_by(step);
        let sample = sample.filter_map(|index| self.table.get_bucket(index));
        let mut touches: Vec<u32> = sample.map(|cell| cell.slot.touch()).collect();
        touches.sort_unstable();
        let Some(limit) = touches.get(touches.len() / 4) else { return };
        let limit = match cfg!(suiro_mutant = "dirty_row_dropped") {
            true => self.open.base,
            false => safe.min(*limit),
        };
        let held = self.table.len();
        self.table.retain(|cell| cell.slot.touch() > limit);
        if let Some(lower) = &mut self.lower {
            lower.whole &= self.table.len() == held;
        }
        self.moved();
    }

    /// A map that is not small any more takes all the room that there is for it: to grow by and
    /// by would take half as much more each time, and long pauses.
    #[inline]
    pub(crate) fn prepare(&mut self, room: usize) {
        if self.table.len() >= SMALL && self.table.num_buckets() < 2 * room {
            self.reserve(2 * room - self.table.len());
        }
    }

    /// Makes room for rows to come.
    pub(crate) fn reserve(&mut self, rows: usize) {
        let hasher = &self.hasher;
        self.table.reserve(rows, |cell| hasher.hash_one(&cell.key));
        self.moved();
    }

    /// Puts a committed row, as restoring does.
    pub(crate) fn load(&mut self, key: K, value: A, at: Timestamp) {
        self.fresh = false;
        // Where there are rows below, this one may not be there yet.
        let touch = if self.lower.is_some() { self.open.settled } else { 0 };
        self.put(key, Slot::row(touch, value, at));
    }

    fn put(&mut self, key: K, slot: Slot<A>) {
        self.make_room();
        let (hasher, hash) = (&self.hasher, self.hasher.hash_one(&key));
        let entry =
            self.table.entry(hash, |cell| cell.key == key, |cell| hasher.hash_one(&cell.key));
        match entry {
            Entry::Occupied(mut entry) => entry.get_mut().slot = slot,
            Entry::Vacant(entry) => {
                entry.insert(Cell { key, slot });
            }
        }
    }

    /// Drops a committed row, as restoring does.
    pub(crate) fn unload(&mut self, key: &K) {
        if self.lower.is_some() {
            self.put(key.clone(), Slot::gone(self.open.settled));
            return;
        }
        self.moved();
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.table.find_entry(hash, |cell| cell.key == *key) {
            entry.remove();
        }
    }

    /// All rows as they are now, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &Slot<A>)> {
        let cells = self.table.iter().map(|cell| (&cell.key, &cell.slot));
        cells.filter(|(_, slot)| slot.get().is_some())
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.table.is_empty() && self.open.is_settled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows come and go, and the map takes no more memory than at first.
    #[test]
    fn a_map_with_a_room_does_not_grow_beyond_it() {
        let memory = 1 << 20;
        let room = Cells::<u64, u64>::room(memory);
        let mut cells: Cells<u64, u64> = Cells::new();
        cells.lean(false);
        for batch in 0..4000_u64 {
            if cells.len() + 100 > room {
                cells.evict();
            } else {
                cells.prepare(room);
            }
            for key in batch * 100..(batch + 1) * 100 {
                cells.raise(key, None);
                cells.edit(&key).replace(Some(key));
            }
            cells.commit();
            cells.lowered(100, true);
            let bytes = cells.table.num_buckets() * (size_of::<Cell<u64, u64>>() + 1);
            assert!(bytes <= memory, "after {batch} batches");
        }
    }
    use std::collections::BTreeMap;

    fn put(slot: &mut Slot<u32>, value: Option<u32>) {
        slot.replace(value);
        slot.set_at(Timestamp::from_millis(1));
    }

    proptest! {
        /// Cells behave as three maps, the one that is, the one that is in flight and the one that
        /// was committed; also where rows are taken by places that were found at any time before,
        /// of any key.
        #[test]
        fn cells_are_three_maps(
            steps in prop::collection::vec((0..10_u8, 0..40_u8, any::<u32>()), 0..400),
        ) {
            let mut cells = Cells::<u8, u32>::new();
            // Numbers start anew after some of the steps.
            (cells.open.base, cells.open.settled) = (u32::MAX / 2 - 20, u32::MAX / 2 - 20);
            let (mut now, mut committed) = (BTreeMap::new(), BTreeMap::new());
            let mut sealed: Option<BTreeMap<u8, u32>> = None;
            let mut places = BTreeMap::new();
            for (what, key, value) in steps {
                match what {
                    0 => {
                        cells.commit();
                        committed = sealed.take().unwrap_or_else(|| now.clone());
                    }
                    1 => { cells.rollback(); sealed = None; now = committed.clone(); }
                    9 if sealed.is_none() => { cells.seal(); sealed = Some(now.clone()); }
                    9 => {}
                    2 => { put(cells.edit(&key), None); now.remove(&key); }
                    3 | 4 => { places.insert(key, cells.place(&key)); }
                    5 => { put(cells.edit(&key), Some(value)); now.insert(key, value); }
                    6 => {
                        let other = places.get(&(value as u8 % 40)).copied();
                        let place = other.map(|place| Place { version: 0, ..place });
                        let place = place.unwrap_or_else(|| cells.place(&key));
                        put(cells.edit_at(place, &key), Some(value));
                        now.insert(key, value);
                    }
                    _ => {
                        let place = places.get(&key).copied();
                        let place = place.unwrap_or_else(|| cells.place(&key));
                        let got = cells.get_at(place, &key).and_then(|slot| slot.get().copied());
                        prop_assert_eq!(got, now.get(&key).copied());
                        put(cells.edit_at(place, &key), Some(value));
                        now.insert(key, value);
                    }
                }
                for key in 0..40 {
                    let got = cells.get(&key).and_then(|slot| slot.get().copied());
                    prop_assert_eq!(got, now.get(&key).copied());
                    let got = cells.committed(&key).map(|(value, _)| *value);
                    prop_assert_eq!(got, committed.get(&key).copied());
                }
                prop_assert_eq!(cells.is_sealed(), sealed.is_some());
                let mut before = sealed.as_ref().unwrap_or(&committed).clone();
                for (touched, slot) in cells.touched() {
                    let (was, is) = (before.remove(&touched.key), slot.get().copied());
                    prop_assert_eq!(touched.before.as_ref().map(|(value, _)| *value), was);
                    before.extend(is.map(|value| (touched.key, value)));
                }
                prop_assert_eq!(&before, &now);
                prop_assert_eq!(cells.iter().count(), now.len());
                prop_assert_eq!(cells.all_committed().count(), committed.len());
            }
        }
    }
}
