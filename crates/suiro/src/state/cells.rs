//! A hash map with a memory: what changed since the last commit, and what was there before.

use crate::Key;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::{Entry, EntryRef};
use suiro_core::Timestamp;

/// Rows by key, with one open generation of changes.
pub(crate) struct Cells<K, A> {
    map: HashMap<K, Slot<A>, FixedState>,
    /// Slots with a larger number were touched since the last commit; see [`Slot::touch`].
    base: u32,
    touched: Vec<Touched<K, A>>,
    /// No row was ever committed.
    fresh: bool,
}

/// A row, or the place of one that was removed in this generation.
#[derive(Clone)]
pub(crate) struct Slot<A> {
    pub(crate) value: Option<A>,
    /// The time of the row.
    pub(crate) at: Timestamp,
    /// If it is larger than the base: the place of the before-image, counted from there, from 1.
    touch: u32,
}

/// A key that changed, and its row at the last commit.
pub(crate) struct Touched<K, A> {
    pub(crate) key: K,
    pub(crate) before: Option<(A, Timestamp)>,
}

/// A map below this size, in bytes, is in the caches anyway.
const CACHED: usize = 1 << 20;

/// How many slots are brought into the caches in one pass.
const WARM: usize = 256;

/// The seed of the hash is fixed, so that a run can be repeated. Nothing depends on the order of
/// a map.
const SEED: u64 = 0x0053_7569_726f;

impl<K: Key, A: Clone> Cells<K, A> {
    pub(crate) fn new() -> Self {
        let map = HashMap::with_hasher(FixedState::with_seed(SEED));
        Self { map, base: 0, touched: Vec::new(), fresh: true }
    }

    /// The row of `key` as it is now.
    pub(crate) fn get(&self, key: &K) -> Option<&Slot<A>> {
        self.map.get(key).filter(|slot| slot.value.is_some())
    }

    /// The row of `key` as of the last commit.
    pub(crate) fn committed(&self, key: &K) -> Option<(&A, Timestamp)> {
        let slot = self.map.get(key)?;
        if slot.touch > self.base {
            let place = (slot.touch - self.base - 1) as usize;
            let (value, at) = self.touched[place].before.as_ref()?;
            return Some((value, *at));
        }
        Some((slot.value.as_ref()?, slot.at))
    }

    /// All rows as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> impl Iterator<Item = (&K, &A, Timestamp)> {
        self.map.keys().filter_map(|key| {
            let (value, at) = self.committed(key)?;
            Some((key, value, at))
        })
    }

    /// Brings the slots of keys into the caches. One pass that depends on nothing waits for many
    /// of them at a time, where the work itself would wait for one after another: on a map that
    /// is larger than the caches this halves the cost of a fold.
    pub(crate) fn warm<'a>(&self, keys: impl Iterator<Item = &'a K>) {
        if self.map.capacity() * size_of::<(K, Slot<A>)>() < CACHED {
            return;
        }
        let mut seen = 0_u32;
        for key in keys {
            seen ^= self.map.get(key).map_or(0, |slot| slot.touch);
        }
        std::hint::black_box(seen);
    }

    /// The slot of `key`, to be changed; an empty one if there is no row.
    #[inline]
    pub(crate) fn edit(&mut self, key: K) -> &mut Slot<A> {
        let touch = self.base + 1 + self.touched.len() as u32;
        match self.map.entry(key) {
            Entry::Occupied(entry) => {
                if entry.get().touch <= self.base {
                    let slot = entry.get();
                    let before = slot.value.clone().map(|value| (value, slot.at));
                    self.touched.push(Touched { key: entry.key().clone(), before });
                    let slot = entry.into_mut();
                    slot.touch = touch;
                    return slot;
                }
                entry.into_mut()
            }
            Entry::Vacant(entry) => {
                self.touched.push(Touched { key: entry.key().clone(), before: None });
                entry.insert(Slot { value: None, at: Timestamp::MIN, touch })
            }
        }
    }

    /// What changed in this generation, in order of the first change.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (&Touched<K, A>, &Slot<A>)> {
        self.touched.chunks(WARM).flat_map(|chunk| {
            self.warm(chunk.iter().map(|touched| &touched.key));
            chunk.iter().map(|touched| {
                let slot = self.map.get(&touched.key);
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
        for (key, slot) in self.map.drain() {
            if let Some(value) = slot.value {
                take(key, value, slot.at);
            }
        }
    }

    /// Takes all rows out, in no order.
    pub(crate) fn take_all(&mut self, mut take: impl FnMut(&K, A, Timestamp)) {
        for (key, slot) in &mut self.map {
            let Some(value) = slot.value.take() else { continue };
            if slot.touch <= self.base {
                slot.touch = self.base + 1 + self.touched.len() as u32;
                let before = Some((value.clone(), slot.at));
                self.touched.push(Touched { key: key.clone(), before });
            }
            take(key, value, slot.at);
        }
    }

    /// Whether there are no rows now.
    pub(crate) fn is_emptied(&self) -> bool {
        self.map.values().all(|slot| slot.value.is_none())
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
                if let EntryRef::Occupied(entry) = self.map.entry_ref(&touched.key)
                    && entry.get().value.is_none()
                {
                    entry.remove();
                }
            }
        }
        self.fresh &= self.map.is_empty();
        self.begin(touched.len());
    }

    /// Puts everything back to the last commit.
    pub(crate) fn rollback(&mut self) {
        let count = self.touched.len();
        for touched in self.touched.drain(..) {
            match touched.before {
                None => {
                    self.map.remove(&touched.key);
                }
                Some((value, at)) => {
                    let slot = self.map.get_mut(&touched.key);
                    let slot = slot.expect("a touched row keeps its slot until the commit");
                    (slot.value, slot.at) = (Some(value), at);
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
            self.map.values_mut().for_each(|slot| slot.touch = 0);
            self.base = 0;
        }
    }

    /// Puts a committed row, as restoring does.
    pub(crate) fn load(&mut self, key: K, value: A, at: Timestamp) {
        self.fresh = false;
        self.map.insert(key, Slot { value: Some(value), at, touch: 0 });
    }

    /// Drops a committed row, as restoring does.
    pub(crate) fn unload(&mut self, key: &K) {
        self.map.remove(key);
    }

    /// All rows as they are now, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &Slot<A>)> {
        self.map.iter().filter(|(_, slot)| slot.value.is_some())
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.map.is_empty() && self.touched.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn set(cells: &mut Cells<u8, u32>, key: u8, value: Option<u32>) {
        let slot = cells.edit(key);
        (slot.value, slot.at) = (value, Timestamp::from_millis(1));
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
                    let got = cells.get(&key).and_then(|slot| slot.value);
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
