//! Keys and what is held of each, for stores that keep many rows of a key.
//!
//! A key has a slot, with a number that stays the same while the slot is in use: so the slots of
//! a batch are looked for in one pass, and a log of changes can name them.

use super::beneath::Beneath;
use crate::Key;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};
use suiro_core::Timestamp;
use suiro_engine::Standing;

/// So many keys or rows are looked at before the work on them begins.
pub(crate) const WARM: usize = 64;

/// Brings what is looked at into the caches: a pass that depends on nothing waits for many of them
/// at a time, where the work itself would wait for one after another.
pub(super) fn warm(seen: impl Iterator<Item = u64>) {
    std::hint::black_box(seen.fold(0, |all, of| all ^ of));
}

/// The rows of a key.
pub(super) trait Rows: Default {
    /// How many there are.
    fn count(&self) -> usize;
}

/// A key and its rows: all of them, also where there is a store below.
pub(super) struct Slot<K, R> {
    /// None in a slot that is free.
    key: Option<K>,
    pub(super) rows: R,
    /// When the key is looked at next; the least time if that is not known, the largest if never.
    pub(super) due: Timestamp,
    /// The generation of the last change.
    pub(super) changed: u64,
}

impl<K, R: Rows> Slot<K, R> {
    pub(super) fn key(&self) -> &K {
        self.key.as_ref().expect("a slot that is in use has a key")
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.count() == 0
    }
}

/// The slots by key.
pub(super) struct Slots<K, R> {
    table: HashTable<u32>,
    hasher: FixedState,
    slots: Vec<Slot<K, R>>,
    free: Vec<u32>,
    /// Slots that may have no rows; those of a generation are looked at when it ends.
    idle: Vec<u32>,
}

/// The seed of the hash is fixed, so that a run can be repeated.
const SEED: u64 = 0x0053_7569_726f;

impl<K, R> Default for Slots<K, R> {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            hasher: FixedState::with_seed(SEED),
            slots: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
        }
    }
}

impl<K: Key, R: Rows> Slots<K, R> {
    /// How many are in use.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The slot of `key`, if it has one.
    pub(super) fn find(&self, key: &K) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let is_it = |slot: &u32| self[*slot].key.as_ref() == Some(key);
        self.table.find(hash, is_it).copied()
    }

    /// Gives a key that has none a slot.
    pub(super) fn insert(&mut self, key: K, rows: R, due: Timestamp) -> u32 {
        let hash = self.hasher.hash_one(&key);
        let slot = Slot { key: Some(key), rows, due, changed: 0 };
        let number = match self.free.pop() {
            Some(number) => {
                self[number] = slot;
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

    /// Forgets a slot; gives how many rows it had.
    fn release(&mut self, number: u32) -> usize {
        let slot = &mut self[number];
        let Some(key) = slot.key.take() else { return 0 };
        let rows = std::mem::take(&mut slot.rows);
        let hash = self.hasher.hash_one(&key);
        if let Ok(entry) = self.table.find_entry(hash, |slot| *slot == number) {
            entry.remove();
        }
        self.free.push(number);
        rows.count()
    }

    /// Forgets about a quarter of the slots, those that changed longest ago, as far as all up to
    /// the generation `safe` is below. Gives how many rows they had.
    pub(super) fn evict(&mut self, safe: u64) -> usize {
        let mut ages: Vec<u64> = self.table.iter().map(|slot| self[*slot].changed).collect();
        if ages.is_empty() {
            return 0;
        }
        let quarter = ages.len() / 4;
        let (_, limit, _) = ages.select_nth_unstable(quarter);
        let limit = safe.min(*limit);
        let old = |slot: &u32| self[*slot].changed <= limit;
        let gone: Vec<u32> = self.table.iter().copied().filter(old).collect();
        gone.into_iter().map(|slot| self.release(slot)).sum()
    }

    /// The slot may have no rows any more.
    pub(super) fn may_go(&mut self, number: u32) {
        self.idle.push(number);
    }

    /// Frees the slots that have no rows. Where there is a store below, only who knows that its
    /// rows are there may do so.
    pub(super) fn let_idle_go(&mut self, is_lean: bool) {
        self.let_settled_go(is_lean, u64::MAX);
    }

    /// As [`Slots::let_idle_go`], when a commit has happened; those that have changed in the
    /// generation `open` wait for the next one, as there may be something to take back.
    pub(super) fn let_settled_go(&mut self, is_lean: bool, open: u64) {
        for number in std::mem::take(&mut self.idle) {
            if self[number].changed >= open {
                self.idle.push(number);
            } else if !is_lean && self[number].is_empty() {
                self.release(number);
            }
        }
        // One that changes all the time waits for long, and may be named again and again.
        self.idle.sort_unstable();
        self.idle.dedup();
    }

    /// The numbers of those in use, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        let all = (0..).zip(&self.slots);
        all.filter(|(_, slot)| slot.key.is_some()).map(|(number, _)| number)
    }

    /// Those in use, in order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot<K, R>> {
        self.slots.iter().filter(|slot| slot.key.is_some())
    }

    /// As [`Slots::iter`], to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot<K, R>> {
        self.slots.iter_mut().filter(|slot| slot.key.is_some())
    }
}

impl<K, R> Index<u32> for Slots<K, R> {
    type Output = Slot<K, R>;

    #[inline]
    fn index(&self, number: u32) -> &Slot<K, R> {
        &self.slots[number as usize]
    }
}

impl<K, R> IndexMut<u32> for Slots<K, R> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut Slot<K, R> {
        &mut self.slots[number as usize]
    }
}

/// What is known of a store below, which has all committed rows.
pub(super) struct Lower {
    pub(super) below: Beneath,
    /// The last generation that is there as a whole.
    pub(super) safe: u64,
    /// Those that are on their way, and how many changes they have.
    pending: VecDeque<(u64, usize)>,
}

impl Lower {
    pub(super) fn new(below: Beneath, safe: u64) -> Self {
        Self { below, safe, pending: VecDeque::new() }
    }

    /// A generation with so many changes is committed, and on its way.
    pub(super) fn commit(&mut self, generation: u64, changes: usize) {
        self.pending.push_back((generation, changes));
    }

    /// Changes have arrived; `last`: with them a generation is there as a whole.
    pub(super) fn lowered(&mut self, last: bool) {
        if last && let Some((generation, _)) = self.pending.pop_front() {
            self.safe = generation;
        }
    }

    /// How it stands, with so many changes in the open generation.
    pub(super) fn standing(&self, open: usize) -> Standing {
        let pending = self.pending.iter().map(|(_, changes)| changes).sum::<usize>();
        self.below.standing(pending + open, open)
    }
}
