//! The store of a versioned table: of each key the newest row, and what was valid before it as
//! far back as the history reaches (rules A3 and K2).
//!
//! As with the records of a join, each version is a row of the changelog, and what changed since
//! the last commit is known by a log of deeds: a key may have thousands of versions, and none of
//! them is copied because another came.

use super::versions::{Version, Versions};
use super::{Agenda, StreamTime};
use crate::format::Format;
use crate::{Data, Key};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use suiro_core::Timestamp;

/// The versions of each key, with one open generation of changes.
pub(crate) struct VersionStore<K: 'static, V: 'static> {
    table: HashTable<u32>,
    hasher: FixedState,
    pub(super) slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    /// Slots that may have no versions; those of a generation are looked at when it ends.
    idle: Vec<u32>,
    /// What was done since the last commit, to be taken back or saved.
    pub(super) log: Vec<Deed<V>>,
    /// The number of the generation that is open.
    generation: u64,
    /// How many versions there are.
    pub(super) count: usize,
    pub(crate) time: StreamTime,
    /// How far back versions are of use, in milliseconds.
    history: i64,
    pub(super) keys: &'static dyn Format<K>,
    pub(super) values: &'static dyn Format<V>,
    due: Agenda<u32>,
    /// The next commit writes all versions, in place of these, which the changelog has.
    pub(super) renewed: Option<Vec<(K, Timestamp)>>,
}

/// A key and its versions.
pub(super) struct Slot<K, V> {
    /// None in a slot that is free.
    key: Option<K>,
    pub(super) versions: Versions<V>,
    /// When it is looked at next, by the agenda; the largest time if never.
    due: Timestamp,
    /// The generation of the last change.
    changed: u64,
}

/// A change since the last commit.
pub(super) enum Deed<V> {
    /// A version came where none of its time was.
    Came(u32, Timestamp),
    /// A version of an earlier generation was replaced by one of its time.
    Replaced(u32, Version<V>),
    /// A version of an earlier generation was dropped.
    Went(u32, Version<V>),
}

/// The seed of the hash is fixed, so that a run can be repeated.
const SEED: u64 = 0x0053_7569_726f;

impl<K, V> Slot<K, V> {
    pub(super) fn key(&self) -> &K {
        self.key.as_ref().expect("a slot that is in use has a key")
    }
}

impl<K: Key, V: Data> VersionStore<K, V> {
    pub(crate) fn new(
        keys: &'static dyn Format<K>,
        values: &'static dyn Format<V>,
        history: i64,
    ) -> Self {
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
            history,
            keys,
            values,
            due: Agenda::new(history),
            renewed: None,
        }
    }

    fn slot_of(&self, key: &K) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let is_it = |slot: &u32| self.slots[*slot as usize].key.as_ref() == Some(key);
        self.table.find(hash, is_it).copied()
    }

    /// The slots of keys; none of a key without versions. One pass over all of them waits for
    /// many cache misses at a time. They stay where they are until the next commit.
    pub(crate) fn find<'a>(
        &self,
        keys: impl Iterator<Item = &'a K>,
        slots: &mut Vec<Option<u32>>,
    ) where
        K: 'a,
    {
        slots.extend(keys.map(|key| self.slot_of(key)));
    }

    /// The slot of a key that may have got one since it was looked for.
    pub(crate) fn slot_now(&self, key: &K, found: Option<u32>) -> Option<u32> {
        found.or_else(|| self.slot_of(key))
    }

    pub(super) fn slot_for(&mut self, key: &K) -> u32 {
        if let Some(slot) = self.slot_of(key) {
            return slot;
        }
        let versions = Versions::default();
        let slot = Slot { key: Some(key.clone()), versions, due: Timestamp::MAX, changed: 0 };
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
        self.table.insert_unique(hasher.hash_one(key), number, |slot| {
            hasher.hash_one(slots[*slot as usize].key())
        });
        self.idle.push(number);
        number
    }

    /// What is older than this is not taken, and not known any more but for what is still valid.
    fn bound(&self) -> Timestamp {
        self.time.now().plus_millis(-self.history)
    }

    /// Whether a version of this time is not taken.
    pub(crate) fn is_late(&self, at: Timestamp) -> bool {
        at < self.bound()
    }

    /// The newest version of a slot.
    pub(crate) fn newest(&self, slot: Option<u32>) -> Option<&Version<V>> {
        self.slots[slot? as usize].versions.newest()
    }

    /// The row of a slot that is valid at a time, as far as the table knows (rule K2).
    pub(crate) fn as_of(&self, slot: Option<u32>, at: Timestamp) -> Option<&V> {
        let versions = &self.slots[slot? as usize].versions;
        let newest = versions.newest()?;
        if newest.at <= at {
            return newest.row.as_ref();
        }
        if at < self.bound() {
            return None;
        }
        versions.before_newest(at)?.row.as_ref()
    }

    /// The newest row of `key`.
    pub(crate) fn look(&self, key: &K) -> Option<(&V, Timestamp)> {
        let newest = self.newest(self.slot_of(key))?;
        Some((newest.row.as_ref()?, newest.at))
    }

    /// Puts a version of a key, whose slot may be known already.
    pub(crate) fn put(
        &mut self,
        (key, slot): (&K, Option<u32>),
        at: Timestamp,
        row: Option<V>,
    ) {
        let slot = slot.unwrap_or_else(|| self.slot_for(key));
        let (born, held) = (self.generation, &mut self.slots[slot as usize]);
        held.changed = born;
        match held.versions.put(Version { at, born, row }) {
            None => {
                self.log.push(Deed::Came(slot, at));
                self.count += 1;
            }
            Some(old) if old.born < born => self.log.push(Deed::Replaced(slot, old)),
            Some(_) => {}
        }
        self.plan(slot);
    }

    /// Has a slot looked at when its oldest version is not needed any more.
    fn plan(&mut self, slot: u32) {
        let held = &mut self.slots[slot as usize];
        let due = match held.versions.oldest_until() {
            Timestamp::MAX => return,
            until => until.plus_millis(self.history),
        };
        if due < held.due {
            held.due = due;
            self.due.push(due, slot);
        }
    }

    /// Drops the versions that stream time has made useless.
    pub(crate) fn prune(&mut self) {
        let (now, bound) = (self.time.now(), self.bound());
        while let Some((_, slot)) = self.due.pop(now) {
            let held = &mut self.slots[slot as usize];
            if held.due > now {
                continue;
            }
            while held.versions.oldest_until() <= bound
                && let Some(old) = held.versions.take_oldest()
            {
                self.count -= 1;
                held.changed = self.generation;
                if old.born < self.generation {
                    self.log.push(Deed::Went(slot, old));
                }
            }
            held.due = Timestamp::MAX;
            if held.versions.is_empty() {
                self.idle.push(slot);
            } else {
                self.plan(slot);
            }
        }
    }

    /// The versions of a slot as of the last commit, oldest first.
    fn committed_versions(&self, slot: u32) -> Vec<(Timestamp, Option<V>)> {
        let held = &self.slots[slot as usize];
        let there = held.versions.iter().filter(|version| version.born < self.generation);
        let there = there.map(|version| (version.at, version.row.clone()));
        if held.changed < self.generation {
            return there.collect();
        }
        let mut all: BTreeMap<_, _> = there.collect();
        for deed in &self.log {
            match deed {
                Deed::Replaced(of, old) | Deed::Went(of, old) if *of == slot => {
                    all.insert(old.at, old.row.clone());
                }
                _ => {}
            }
        }
        all.into_iter().collect()
    }

    /// The newest row of `key` as of the last commit.
    pub(crate) fn committed(&self, key: &K) -> Option<V> {
        self.committed_versions(self.slot_of(key)?).pop()?.1
    }

    /// All keys with their versions as of the last commit, oldest first; the keys in no order.
    pub(crate) fn all_committed(
        &self,
    ) -> impl Iterator<Item = (&K, Vec<(Timestamp, Option<V>)>)> {
        self.table
            .iter()
            .map(|slot| (self.slots[*slot as usize].key(), self.committed_versions(*slot)))
    }

    /// Puts a committed version or drops one, as restoring does.
    pub(super) fn load(&mut self, key: &K, at: Timestamp, version: Option<Option<V>>) {
        let slot = self.slot_for(key);
        let versions = &mut self.slots[slot as usize].versions;
        self.count -= versions.len();
        match version {
            Some(row) => versions.put(Version { at, born: 0, row }),
            None => versions.remove(at),
        };
        self.count += versions.len();
    }

    /// The changes are durable.
    pub(super) fn commit_versions(&mut self) {
        self.log.clear();
        self.generation += 1;
        self.let_idle_go();
    }

    /// Puts everything back to the last commit.
    pub(super) fn take_back(&mut self) {
        for deed in std::mem::take(&mut self.log).into_iter().rev() {
            let (Deed::Came(slot, _) | Deed::Replaced(slot, _) | Deed::Went(slot, _)) = deed;
            let versions = &mut self.slots[slot as usize].versions;
            self.count -= versions.len();
            match deed {
                Deed::Came(_, at) => versions.remove(at),
                Deed::Replaced(_, old) | Deed::Went(_, old) => versions.put(old),
            };
            self.count += versions.len();
            self.idle.push(slot);
        }
        self.settle();
    }

    /// All committed versions are there: looks at every key anew.
    pub(super) fn settle(&mut self) {
        self.let_idle_go();
        self.due.clear();
        for slot in 0..self.slots.len() as u32 {
            self.slots[slot as usize].due = Timestamp::MAX;
            self.plan(slot);
        }
    }

    /// Frees the slots that have no versions.
    fn let_idle_go(&mut self) {
        for number in std::mem::take(&mut self.idle) {
            let slot = &mut self.slots[number as usize];
            let Some(key) = slot.key.take_if(|_| slot.versions.is_empty()) else { continue };
            let hash = self.hasher.hash_one(&key);
            if let Ok(entry) = self.table.find_entry(hash, |slot| *slot == number) {
                entry.remove();
            }
            self.free.push(number);
        }
    }

    /// Forgets all versions; the next commit writes those that come from now on, in their place.
    pub(super) fn forget_all(&mut self) {
        let slots = self.table.iter().map(|slot| &self.slots[*slot as usize]);
        let stale = slots.flat_map(|slot| {
            slot.versions.iter().map(|version| (slot.key().clone(), version.at))
        });
        let (renewed, time) = (Some(stale.collect()), self.time);
        *self = Self { renewed, time, ..Self::new(self.keys, self.values, self.history) };
    }

    /// All versions with their keys, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Version<V>)> {
        self.table.iter().flat_map(|slot| {
            let slot = &self.slots[*slot as usize];
            slot.versions.iter().map(|version| (slot.key(), version))
        })
    }
}
