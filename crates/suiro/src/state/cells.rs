//! A hash map with a memory: what changed since the last commit, and what was there before.

use super::places::{NOWHERE, Places};
use super::slot::Slot;
use crate::Key;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::BuildHasher;
use suiro_core::Timestamp;

/// Rows by key, with one open generation of changes.
pub(crate) struct Cells<K, A> {
    table: HashTable<Cell<K, A>>,
    hasher: FixedState,
    /// Slots with a larger number were touched since the last commit; see [`Slot::touch`].
    base: u32,
    touched: Vec<Touched<K, A>>,
    /// No row was ever committed.
    fresh: bool,
}

struct Cell<K, A> {
    key: K,
    slot: Slot<A>,
}

/// A key that changed, and its row at the last commit.
pub(crate) struct Touched<K, A> {
    pub(crate) key: K,
    pub(crate) before: Option<(A, Timestamp)>,
}

/// A map below this size, in bytes, is in the caches anyway.
const CACHED: usize = 1 << 18;

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
            base: 0,
            touched: Vec::new(),
            fresh: true,
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

    /// As [`Cells::get`], for a key that is probably at `place`.
    #[inline]
    pub(crate) fn get_at(&self, place: u32, key: &K) -> Option<&Slot<A>> {
        match self.table.get_bucket(place as usize) {
            Some(cell) if cell.key == *key => Some(&cell.slot).filter(|s| s.get().is_some()),
            _ => self.get(key),
        }
    }

    /// The row of `key` as of the last commit.
    pub(crate) fn committed(&self, key: &K) -> Option<(&A, Timestamp)> {
        self.committed_slot(self.slot(key)?)
    }

    fn committed_slot<'a>(&'a self, slot: &'a Slot<A>) -> Option<(&'a A, Timestamp)> {
        if slot.touch() > self.base {
            let place = (slot.touch() - self.base - 1) as usize;
            let (value, at) = self.touched[place].before.as_ref()?;
            return Some((value, *at));
        }
        Some((slot.get()?, slot.at()))
    }

    /// All rows as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> impl Iterator<Item = (&K, &A, Timestamp)> {
        self.table.iter().filter_map(|cell| {
            let (value, at) = self.committed_slot(&cell.slot)?;
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
        if self.is_large() {
            places.found.extend(keys.map(|key| self.place(key)));
        } else {
            places.found.extend(keys.map(|_| NOWHERE));
        }
    }

    /// Where the row of `key` is now.
    #[inline]
    pub(crate) fn place(&self, key: &K) -> u32 {
        let hash = self.hasher.hash_one(key);
        let index = self.table.find_bucket_index(hash, |cell| cell.key == *key);
        index.map_or(NOWHERE, |index| index as u32)
    }

    /// Brings the slots of keys into the caches.
    fn warm<'a>(&self, keys: impl Iterator<Item = &'a K>) {
        if self.is_large() {
            let seen = keys.fold(0, |seen, key| seen ^ self.place(key));
            std::hint::black_box(seen);
        }
    }

    /// The slot of `key`, to be changed; an empty one if there is no row.
    #[inline]
    pub(crate) fn edit(&mut self, key: &K) -> &mut Slot<A> {
        let touch = self.base + 1 + self.touched.len() as u32;
        let (hasher, hash) = (&self.hasher, self.hasher.hash_one(key));
        let entry =
            self.table.entry(hash, |cell| cell.key == *key, |cell| hasher.hash_one(&cell.key));
        match entry {
            Entry::Occupied(entry) => {
                let cell = entry.into_mut();
                remember(cell, self.base, &mut self.touched);
                &mut cell.slot
            }
            Entry::Vacant(entry) => {
                self.touched.push(Touched { key: key.clone(), before: None });
                let (key, slot) = (key.clone(), Slot::gone(touch));
                &mut entry.insert(Cell { key, slot }).into_mut().slot
            }
        }
    }

    /// As [`Cells::edit`], for a key that is probably at `place`.
    #[inline]
    pub(crate) fn edit_at(&mut self, place: u32, key: &K) -> &mut Slot<A> {
        let place = place as usize;
        if self.table.get_bucket(place).is_none_or(|cell| cell.key != *key) {
            return self.edit(key);
        }
        let cell = self.table.get_bucket_mut(place).expect("the bucket was just looked at");
        remember(cell, self.base, &mut self.touched);
        &mut cell.slot
    }

    /// What changed in this generation, in order of the first change.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (&Touched<K, A>, &Slot<A>)> {
        self.touched.chunks(WARM).flat_map(|chunk| {
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
        self.touched.clear();
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
            remember(cell, self.base, &mut self.touched);
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
        self.touched.iter().filter_map(|touched| {
            let (_, at) = touched.before.as_ref()?;
            Some((&touched.key, *at))
        })
    }

    /// The generation is durable.
    pub(crate) fn commit(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for chunk in touched.chunks(WARM) {
            self.warm(chunk.iter().map(|touched| &touched.key));
            for touched in chunk {
                let hash = self.hasher.hash_one(&touched.key);
                if let Ok(entry) = self.table.find_entry(hash, |cell| cell.key == touched.key)
                    && entry.get().slot.get().is_none()
                {
                    entry.remove();
                }
            }
        }
        self.fresh &= self.table.is_empty();
        self.begin(touched.len());
    }

    /// Puts everything back to the last commit.
    pub(crate) fn rollback(&mut self) {
        let count = self.touched.len();
        for touched in std::mem::take(&mut self.touched) {
            let hash = self.hasher.hash_one(&touched.key);
            let entry = self.table.find_entry(hash, |cell| cell.key == touched.key).ok();
            let mut entry = entry.expect("a touched row keeps its slot until the commit");
            match touched.before {
                None => {
                    entry.remove();
                }
                Some((value, at)) => {
                    let slot = &mut entry.get_mut().slot;
                    slot.replace(Some(value));
                    slot.set_at(at);
                }
            }
        }
        self.begin(count);
    }

    /// Begins a generation, after one in which `count` rows were touched.
    fn begin(&mut self, count: usize) {
        self.base += count as u32;
        // Long before the numbers run out they start anew.
        if self.base > u32::MAX / 2 {
            self.table.iter_mut().for_each(|cell| cell.slot.set_touch(0));
            self.base = 0;
        }
    }

    /// Puts a committed row, as restoring does.
    pub(crate) fn load(&mut self, key: K, value: A, at: Timestamp) {
        self.fresh = false;
        let (hasher, hash) = (&self.hasher, self.hasher.hash_one(&key));
        let entry =
            self.table.entry(hash, |cell| cell.key == key, |cell| hasher.hash_one(&cell.key));
        let slot = Slot::row(0, value, at);
        match entry {
            Entry::Occupied(mut entry) => entry.get_mut().slot = slot,
            Entry::Vacant(entry) => {
                entry.insert(Cell { key, slot });
            }
        }
    }

    /// Drops a committed row, as restoring does.
    pub(crate) fn unload(&mut self, key: &K) {
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
        self.table.is_empty() && self.touched.is_empty()
    }
}

/// Keeps the row of `cell` as of the last commit, if this is its first change since.
#[inline]
fn remember<K: Clone, A: Clone>(
    cell: &mut Cell<K, A>,
    base: u32,
    touched: &mut Vec<Touched<K, A>>,
) {
    if cell.slot.touch() > base {
        return;
    }
    let before = cell.slot.get().map(|value| (value.clone(), cell.slot.at()));
    touched.push(Touched { key: cell.key.clone(), before });
    cell.slot.set_touch(base + touched.len() as u32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn set(cells: &mut Cells<u8, u32>, key: u8, value: Option<u32>) {
        let slot = cells.edit(&key);
        slot.replace(value);
        slot.set_at(Timestamp::from_millis(1));
    }

    proptest! {
        /// Cells behave as two maps: the one that is, and the one that was committed.
        #[test]
        fn cells_are_two_maps(steps in prop::collection::vec((0..6_u8, 0..8_u8, any::<u32>()), 0..200)) {
            let mut cells = Cells::<u8, u32>::new();
            let (mut now, mut committed) = (BTreeMap::new(), BTreeMap::new());
            for (what, key, value) in steps {
                match what {
                    0 => { cells.commit(); committed = now.clone(); }
                    1 => { cells.rollback(); now = committed.clone(); }
                    2 => { set(&mut cells, key, None); now.remove(&key); }
                    _ => { set(&mut cells, key, Some(value)); now.insert(key, value); }
                }
                for key in 0..8 {
                    let got = cells.get(&key).and_then(|slot| slot.get().copied());
                    prop_assert_eq!(got, now.get(&key).copied());
                    let got = cells.committed(&key).map(|(value, _)| *value);
                    prop_assert_eq!(got, committed.get(&key).copied());
                }
                prop_assert_eq!(cells.iter().count(), now.len());
                prop_assert_eq!(cells.all_committed().count(), committed.len());
            }
        }
    }
}
