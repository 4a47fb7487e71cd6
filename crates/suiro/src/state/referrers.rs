//! The left rows of a foreign-key join, by the key that they refer to.
//!
//! The rows that refer to one key are kept in order of the bytes of their own keys, for that is
//! the order in which an update of the right row goes through them (rule F1).

use super::beneath::Beneath;
use super::referrer_list::{KeyBytes, ReferrerList};
use super::referrer_rows::read_rows;
use crate::format::Format;
use crate::{Data, Key};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use suiro_core::{Result, Timestamp};

/// A left row.
#[derive(Clone)]
pub(crate) struct Referrer<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    pub(crate) at: Timestamp,
    /// The task that sent it, and the version that it gave it.
    pub(crate) lane: u32,
    pub(crate) version: u64,
    /// The generation of its last change, if that is not committed, and the place of it in the
    /// log.
    pub(super) changed: u64,
    pub(super) place: u32,
}

impl<K, V> Referrer<K, V> {
    pub(crate) fn new(key: K, value: V, at: Timestamp, (lane, version): (u32, u64)) -> Self {
        Self { key, value, at, lane, version, changed: 0, place: 0 }
    }
}

/// The left rows by the key that they refer to, with one open generation of changes.
pub(crate) struct ReferrerStore<F: 'static, K: 'static, V> {
    table: HashTable<u32>,
    hasher: FixedState,
    pub(super) slots: Vec<Slot<F, K, V>>,
    free: Vec<u32>,
    /// Slots that may have no rows; they are looked at when the generation ends.
    idle: Vec<u32>,
    /// What changed since the last commit, to be taken back or saved.
    pub(super) log: Vec<Before<K, V>>,
    /// The number of the generation that is open.
    generation: u64,
    /// How many rows there are.
    pub(super) count: usize,
    pub(super) foreign: &'static dyn Format<F>,
    pub(super) keys: &'static dyn Format<K>,
    pub(super) lower: Option<Lower>,
}

/// What is known of a store below, which has all committed rows.
pub(super) struct Lower {
    pub(super) below: Beneath,
    /// The last generation that is there as a whole.
    pub(super) safe: u64,
    /// Those that are on their way, and how many changes they have.
    pub(super) pending: VecDeque<(u64, usize)>,
}

/// The rows that refer to a key: all of them, also where there is a store below.
pub(super) struct Slot<F, K, V> {
    /// None in a slot that is free.
    pub(super) key: Option<F>,
    pub(super) rows: ReferrerList<K, V>,
    /// The generation of the last change.
    changed: u64,
}

/// A row as it was at the last commit, if it was there.
pub(super) struct Before<K, V> {
    pub(super) slot: u32,
    pub(super) bytes: KeyBytes,
    pub(super) row: Option<Referrer<K, V>>,
}

/// The seed of the hash is fixed, so that a run can be repeated.
const SEED: u64 = 0x0053_7569_726f;

/// The slot of a key that no row refers to.
pub(crate) const NO_SLOT: u32 = u32::MAX;

impl<F: Key, K: Key, V: Data> ReferrerStore<F, K, V> {
    /// How much of memory a row or a key takes, at most and without what values point to.
    pub(super) const ROW_BYTES: usize = {
        let (slot, row) = (size_of::<Slot<F, K, V>>(), size_of::<(KeyBytes, Referrer<K, V>)>());
        if slot > row { slot } else { row }
    };

    pub(crate) fn new(foreign: &'static dyn Format<F>, keys: &'static dyn Format<K>) -> Self {
        Self {
            table: HashTable::new(),
            hasher: FixedState::with_seed(SEED),
            slots: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            log: Vec::new(),
            generation: 1,
            count: 0,
            foreign,
            keys,
            lower: None,
        }
    }

    fn slot_of(&self, key: &F) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let is_it = |slot: &u32| self.slots[*slot as usize].key.as_ref() == Some(key);
        self.table.find(hash, is_it).copied()
    }

    fn insert(&mut self, key: F, rows: ReferrerList<K, V>) -> u32 {
        let hash = self.hasher.hash_one(&key);
        let slot = Slot { key: Some(key), rows, changed: 0 };
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

    /// The slot of `key`, with all its rows; a new one if nothing is held.
    fn raise(&mut self, key: &F) -> Result<u32> {
        if let Some(slot) = self.slot_of(key) {
            return Ok(slot);
        }
        let mut rows = ReferrerList::default();
        if let Some(lower) = &self.lower {
            read_rows(&lower.below, (self.foreign, self.keys), key, &mut |bytes, row| {
                rows.put(bytes, row);
            })?;
        }
        self.count += rows.len();
        Ok(self.insert(key.clone(), rows))
    }

    /// The slots of keys, with all rows that refer to them, to be read and changed. They stay
    /// where they are until the next call and the next commit.
    pub(crate) fn find<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a F>,
        slots: &mut Vec<u32>,
    ) -> Result<()>
    where
        F: 'a,
    {
        self.make_room(keys.len());
        for key in keys {
            slots.push(self.raise(key)?);
        }
        Ok(())
    }

    /// As [`ReferrerStore::find`], for keys whose rows are only read: [`NO_SLOT`] for those
    /// that nothing refers to.
    pub(crate) fn look<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a F>,
        slots: &mut Vec<u32>,
    ) -> Result<()>
    where
        F: 'a,
    {
        if self.lower.is_some() {
            return self.find(keys, slots);
        }
        slots.extend(keys.map(|key| self.slot_of(key).unwrap_or(NO_SLOT)));
        Ok(())
    }

    /// The rows of a slot, in order of the bytes of their keys.
    pub(crate) fn rows(&self, slot: u32) -> impl Iterator<Item = &Referrer<K, V>> {
        self.slots.get(slot as usize).into_iter().flat_map(|slot| slot.rows.iter())
    }

    /// Puts a row into a slot, or takes it out.
    pub(crate) fn change(&mut self, slot: u32, bytes: KeyBytes, row: Option<Referrer<K, V>>) {
        let (generation, place) = (self.generation, self.log.len() as u32);
        let kept = &mut self.slots[slot as usize];
        let is_there = row.is_some();
        let before = match row {
            Some(row) => {
                let row = Referrer { changed: generation, place, ..row };
                kept.rows.put(bytes.clone(), row)
            }
            None => kept.rows.remove(&bytes),
        };
        self.count = self.count + usize::from(is_there) - usize::from(before.is_some());
        if !is_there && kept.rows.is_empty() {
            self.idle.push(slot);
        }
        kept.changed = generation;
        match before {
            // It is in the log already.
            Some(before) if before.changed == generation => {
                if let Some(row) = kept.rows.get_mut(&bytes) {
                    row.place = before.place;
                }
            }
            None if !is_there => {}
            before => self.log.push(Before { slot, bytes, row: before }),
        }
    }

    /// Puts a committed row or drops one, as restoring does.
    pub(super) fn load(&mut self, key: F, bytes: KeyBytes, row: Option<Referrer<K, V>>) {
        let slot =
            self.slot_of(&key).unwrap_or_else(|| self.insert(key, ReferrerList::default()));
        let rows = &mut self.slots[slot as usize].rows;
        let (is_there, before) = match row {
            Some(row) => (true, rows.put(bytes, row)),
            None => (false, rows.remove(&bytes)),
        };
        self.count = self.count + usize::from(is_there) - usize::from(before.is_some());
        if !is_there {
            self.idle.push(slot);
        }
    }

    fn make_room(&mut self, more: usize) {
        let held = self.table.len() + self.count;
        let Some(lower) = self.lower.as_ref().filter(|it| it.below.is_tight(held, more)) else {
            return;
        };
        // About a quarter of the slots go, those that changed longest ago, as far as their rows
        // are below.
        let mut ages: Vec<u64> =
            self.table.iter().map(|slot| self.slots[*slot as usize].changed).collect();
        if ages.is_empty() {
            return;
        }
        let quarter = ages.len() / 4;
        let (_, limit, _) = ages.select_nth_unstable(quarter);
        let limit = lower.safe.min(*limit);
        let old = |slot: &u32| self.slots[*slot as usize].changed <= limit;
        let gone: Vec<u32> = self.table.iter().copied().filter(old).collect();
        gone.into_iter().for_each(|slot| self.release(slot));
    }

    /// Forgets a slot and its rows.
    fn release(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        let Some(key) = slot.key.take() else { return };
        self.count -= slot.rows.len();
        slot.rows = ReferrerList::default();
        let hash = self.hasher.hash_one(&key);
        if let Ok(entry) = self.table.find_entry(hash, |slot| *slot == number) {
            entry.remove();
        }
        self.free.push(number);
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

    /// Puts everything back to the last commit.
    pub(super) fn take_back(&mut self) {
        for Before { slot, bytes, row } in std::mem::take(&mut self.log).into_iter().rev() {
            let rows = &mut self.slots[slot as usize].rows;
            let (is_there, gone) = match row {
                Some(row) => (true, rows.put(bytes, row)),
                None => (false, rows.remove(&bytes)),
            };
            self.count = self.count + usize::from(is_there) - usize::from(gone.is_some());
            self.idle.push(slot);
        }
        self.let_idle_go();
    }

    /// Frees the slots that no row is in. Where there is a store below, only who knows that its
    /// rows are there may do so.
    pub(super) fn let_idle_go(&mut self) {
        for slot in std::mem::take(&mut self.idle) {
            let kept = &self.slots[slot as usize];
            if self.lower.is_none() && kept.key.is_some() && kept.rows.is_empty() {
                self.release(slot);
            }
        }
    }

    /// The last generation that is committed.
    pub(super) fn last_committed(&self) -> u64 {
        self.generation - 1
    }
}

impl<F, K, V> Slot<F, K, V> {
    pub(super) fn key(&self) -> &F {
        self.key.as_ref().expect("a slot that is in use has a key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use suiro_core::Headers;
    use suiro_engine::State;

    const TOPIC: Topic<u8, u32> = Topic::json("rows");

    type Rows = BTreeMap<(u8, u8), u32>;

    fn rows_of(store: &ReferrerStore<u8, u8, u32>) -> Rows {
        let slots = store.slots.iter().filter(|slot| slot.key.is_some());
        slots
            .flat_map(|slot| slot.rows.iter().map(|row| ((*slot.key(), row.key), row.value)))
            .collect()
    }

    proptest! {
        /// The store behaves as two maps, the one that is and the one that was committed, and is
        /// the same when it is restored from what it has saved.
        #[test]
        fn left_rows_are_two_maps(
            steps in prop::collection::vec((0..12_u8, 0..3_u8, 0..9_u8, any::<u32>()), 0..300),
        ) {
            let new = || ReferrerStore::<u8, u8, u32>::new(TOPIC.keys, TOPIC.keys);
            let (mut store, mut copy) = (new(), new());
            let (mut now, mut committed) = (Rows::new(), Rows::new());
            for (what, foreign, key, value) in steps {
                match what {
                    0 => {
                        let mut changes = suiro_engine::Changes::default();
                        store.save(&mut changes)?;
                        for batch in suiro_core::batch::batches(changes.finish()?.into()) {
                            for record in batch?.records()?.iter() {
                                let record = record?;
                                let key = record.key.unwrap_or_default();
                                let (value, at) = (record.value, record.at);
                                let (headers, from_source) = (&Headers::NONE, false);
                                copy.restore(suiro_engine::Restored {
                                    key, value, at, headers, from_source,
                                })?;
                            }
                        }
                        copy.restored()?;
                        store.committed();
                        committed = now.clone();
                        prop_assert_eq!(rows_of(&copy), committed.clone());
                        prop_assert_eq!(copy.count, committed.len());
                    }
                    1 => {
                        store.rollback();
                        now = committed.clone();
                    }
                    _ => {
                        let row = (what > 4).then_some(value);
                        let mut slots = Vec::new();
                        store.find([foreign].iter(), &mut slots)?;
                        let bytes = KeyBytes::from_slice(key.to_string().as_bytes());
                        let made = row.map(|row| Referrer::new(key, row, Timestamp::ZERO, (0, 0)));
                        store.change(slots[0], bytes, made);
                        match row {
                            Some(row) => now.insert((foreign, key), row),
                            None => now.remove(&(foreign, key)),
                        };
                    }
                }
                prop_assert_eq!(rows_of(&store), now.clone());
                prop_assert_eq!(store.count, now.len());
                let held: Vec<u8> = [foreign, foreign + 1]
                    .iter()
                    .flat_map(|key| store.rows(store.slot_of(key).unwrap_or(NO_SLOT)))
                    .map(|row| row.key)
                    .collect();
                let range = now.range((foreign, 0)..(foreign + 2, 0));
                prop_assert_eq!(held, range.map(|((_, key), _)| *key).collect::<Vec<_>>());
            }
        }
    }
}
