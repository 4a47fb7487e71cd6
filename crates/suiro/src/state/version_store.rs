//! The store of a versioned table: of each key the newest row, and what was valid before it as
//! far back as the history reaches (rules A3 and K2).
//!
//! As with the records of a join, each version is a row of the changelog, and what changed since
//! the last commit is known by a log of deeds: a key may have thousands of versions, and none of
//! them is copied because another came.

use super::deeds::Deeds;
use super::slots::{Rows, Slots};
use super::versions::{Version, Versions};
use super::{Agenda, StreamTime};
use crate::format::Format;
use crate::{Data, Key};
use std::collections::BTreeMap;
use suiro_core::Timestamp;

/// The versions of each key, with the changes of the generations that are open.
pub(crate) struct VersionStore<K: 'static, V: 'static> {
    pub(super) slots: Slots<K, Versions<V>>,
    /// What was done since the last commit, to be taken back or saved.
    pub(super) log: Deeds<Deed<V>>,
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

impl<V> Rows for Versions<V> {
    fn count(&self) -> usize {
        self.len()
    }
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

impl<K: Key, V: Data> VersionStore<K, V> {
    pub(crate) fn new(
        keys: &'static dyn Format<K>,
        values: &'static dyn Format<V>,
        history: i64,
    ) -> Self {
        Self {
            slots: Slots::default(),
            log: Deeds::new(),
            count: 0,
            time: StreamTime::NONE,
            history,
            keys,
            values,
            due: Agenda::new(history),
            renewed: None,
        }
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
        slots.extend(keys.map(|key| self.slots.find(key)));
    }

    /// The slot of a key that may have got one since it was looked for.
    pub(crate) fn slot_now(&self, key: &K, found: Option<u32>) -> Option<u32> {
        found.or_else(|| self.slots.find(key))
    }

    pub(super) fn slot_for(&mut self, key: &K) -> u32 {
        let slot = self.slots.find(key);
        slot.unwrap_or_else(|| {
            self.slots.insert(key.clone(), Versions::default(), Timestamp::MAX)
        })
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
        self.slots[slot?].rows.newest()
    }

    /// The row of a slot that is valid at a time, as far as the table knows (rule K2).
    pub(crate) fn as_of(&self, slot: Option<u32>, at: Timestamp) -> Option<&V> {
        let versions = &self.slots[slot?].rows;
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
        let newest = self.newest(self.slots.find(key))?;
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
        let (born, held) = (self.log.generation(), &mut self.slots[slot]);
        held.changed = born;
        match held.rows.put(Version { at, born, row }) {
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
        let held = &mut self.slots[slot];
        let due = match held.rows.oldest_until() {
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
            let held = &mut self.slots[slot];
            if held.due > now {
                continue;
            }
            while held.rows.oldest_until() <= bound
                && let Some(old) = held.rows.take_oldest()
            {
                self.count -= 1;
                held.changed = self.log.generation();
                if old.born < self.log.generation() {
                    self.log.push(Deed::Went(slot, old));
                }
            }
            held.due = Timestamp::MAX;
            if held.rows.is_empty() {
                self.slots.may_go(slot);
            } else {
                self.plan(slot);
            }
        }
    }

    /// The versions of a slot as of the last commit, oldest first.
    fn committed_versions(&self, slot: u32) -> Vec<(Timestamp, Option<V>)> {
        let held = &self.slots[slot];
        let there = held.rows.iter().filter(|version| self.log.is_committed(version.born));
        let there = there.map(|version| (version.at, version.row.clone()));
        if self.log.is_committed(held.changed) {
            return there.collect();
        }
        let mut all: BTreeMap<_, _> = there.collect();
        for deed in self.log.iter() {
            match deed {
                Deed::Replaced(of, old) | Deed::Went(of, old)
                    if *of == slot && self.log.is_committed(old.born) =>
                {
                    all.insert(old.at, old.row.clone());
                }
                _ => {}
            }
        }
        all.into_iter().collect()
    }

    /// The newest row of `key` as of the last commit.
    pub(crate) fn committed(&self, key: &K) -> Option<V> {
        self.committed_versions(self.slots.find(key)?).pop()?.1
    }

    /// All keys with their versions as of the last commit, oldest first; the keys in no order.
    pub(crate) fn all_committed(
        &self,
    ) -> impl Iterator<Item = (&K, Vec<(Timestamp, Option<V>)>)> {
        self.slots.numbers().map(|slot| (self.slots[slot].key(), self.committed_versions(slot)))
    }

    /// Puts a committed version or drops one, as restoring does.
    pub(super) fn load(&mut self, key: &K, at: Timestamp, version: Option<Option<V>>) {
        let slot = self.slot_for(key);
        let versions = &mut self.slots[slot].rows;
        self.count -= versions.len();
        match version {
            Some(row) => versions.put(Version { at, born: 0, row }),
            None => versions.remove(at),
        };
        self.count += versions.len();
    }

    /// The changes are durable.
    pub(super) fn commit_versions(&mut self) {
        self.log.commit();
        self.slots.let_settled_go(false, self.log.generation());
    }

    /// Puts everything back to the last commit.
    pub(super) fn take_back(&mut self) {
        for deed in self.log.take_back() {
            let (Deed::Came(slot, _) | Deed::Replaced(slot, _) | Deed::Went(slot, _)) = deed;
            let versions = &mut self.slots[slot].rows;
            self.count -= versions.len();
            match deed {
                Deed::Came(_, at) => versions.remove(at),
                Deed::Replaced(_, old) | Deed::Went(_, old) => versions.put(old),
            };
            self.count += versions.len();
            self.slots.may_go(slot);
        }
        self.settle();
    }

    /// All committed versions are there: looks at every key anew.
    pub(super) fn settle(&mut self) {
        self.slots.let_idle_go(false);
        self.due.clear();
        let slots: Vec<u32> = self.slots.numbers().collect();
        for slot in slots {
            self.slots[slot].due = Timestamp::MAX;
            self.plan(slot);
        }
    }

    /// Forgets all versions; the next commit writes those that come from now on, in their place.
    pub(super) fn forget_all(&mut self) {
        let stale = self
            .slots
            .iter()
            .flat_map(|slot| slot.rows.iter().map(|version| (slot.key().clone(), version.at)));
        let (renewed, time) = (Some(stale.collect()), self.time);
        *self = Self { renewed, time, ..Self::new(self.keys, self.values, self.history) };
    }

    /// All versions with their keys, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Version<V>)> {
        self.slots.iter().flat_map(|slot| slot.rows.iter().map(|version| (slot.key(), version)))
    }
}
