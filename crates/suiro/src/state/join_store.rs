//! The store of a join of two streams: for each key, the records of both sides that may still
//! find partners.
//!
//! In the changelog every record is a row of its own, so that a commit writes what came and
//! went, however many records a key has: a key with thousands of them is not written as a whole.

use super::StreamTime;
use super::beneath::Beneath;
use super::due::DueKeys;
use super::join_rows::{read_rows, rows_of};
use super::kept::{Either, Kept, KeptList, LEFT, RIGHT};
use crate::format::Format;
use crate::{Data, Key};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use suiro_core::{Headers, Result, Timestamp};

/// The records of each key, with one open generation of changes.
pub(crate) struct JoinStore<K: 'static, V, T> {
    pub(super) table: HashTable<u32>,
    hasher: FixedState,
    pub(super) slots: Vec<Slot<K, V, T>>,
    free: Vec<u32>,
    /// Slots that may have no records; those of a generation are looked at when it ends.
    idle: Vec<u32>,
    /// What was done since the last commit, to be taken back or saved.
    pub(super) log: Vec<Deed<V, T>>,
    /// The number of the generation that is open.
    pub(super) generation: u64,
    /// How many records there are.
    pub(super) count: usize,
    pub(crate) time: StreamTime,
    pub(crate) keys: &'static dyn Format<K>,
    /// Which kind of join it serves: that decides whether pairing is noted.
    pub(super) kind: &'static str,
    /// How long after its time a record of each side is closed (rule J5).
    pub(crate) linger: [i64; 2],
    pub(super) due: DueKeys<K>,
    pub(super) lower: Option<Lower>,
}

/// What is known of a store below, which has all committed records.
pub(super) struct Lower {
    pub(super) below: Beneath,
    /// The last generation that is there as a whole.
    pub(super) safe: u64,
    /// Those that are on their way, and how many changes they have.
    pub(super) pending: VecDeque<(u64, usize)>,
}

/// The records of a key: all of them, also where there is a store below.
pub(super) struct Slot<K, V, T> {
    /// None in a slot that is free.
    pub(super) key: Option<K>,
    pub(super) sides: [KeptList<Either<V, T>>; 2],
    /// When the key is looked at next; the least time if that is not known, the largest if never.
    due: Timestamp,
    /// The generation of the last change.
    changed: u64,
}

/// What identifies a record of a slot.
#[derive(Clone, Copy)]
pub(super) struct Id {
    pub(super) slot: u32,
    pub(super) side: usize,
    pub(super) at: Timestamp,
    pub(super) number: u32,
}

/// A change since the last commit.
pub(super) enum Deed<V, T> {
    Came(Id),
    /// A record of an earlier generation was paired for the first time.
    Paired(Id),
    /// A record of an earlier generation was dropped.
    Went(Id, Kept<Either<V, T>>),
}

/// A record that was closed without a partner.
pub(crate) struct Lone<K, V, T> {
    /// When it was closed.
    pub(crate) closing: Timestamp,
    pub(crate) side: usize,
    pub(crate) key: K,
    pub(crate) at: Timestamp,
    pub(crate) value: Either<V, T>,
    pub(crate) headers: Headers,
}

/// The seed of the hash is fixed, so that a run can be repeated.
const SEED: u64 = 0x0053_7569_726f;

impl<K: Key, V: Data, T: Data> Slot<K, V, T> {
    fn new(key: K) -> Self {
        let sides = [KeptList::default(), KeptList::default()];
        Self { key: Some(key), sides, due: Timestamp::MAX, changed: 0 }
    }

    fn is_empty(&self) -> bool {
        self.sides.iter().all(KeptList::is_empty)
    }

    /// When the first of the records is closed; the largest time if there is none.
    fn closing(&self, linger: [i64; 2]) -> Timestamp {
        let sides = self.sides.iter().zip(linger);
        let firsts =
            sides.filter_map(|(side, linger)| Some(side.first()?.at.plus_millis(linger)));
        firsts.min().unwrap_or(Timestamp::MAX)
    }

    pub(super) fn key(&self) -> &K {
        self.key.as_ref().expect("a slot that is in use has a key")
    }
}

impl<K: Key, V: Data, T: Data> JoinStore<K, V, T> {
    /// How much of memory a record or a key takes, at most and without what values point to.
    pub(super) const ROW_BYTES: usize = {
        let (slot, row) = (size_of::<Slot<K, V, T>>(), size_of::<Kept<Either<V, T>>>());
        if slot > row { slot } else { row }
    };

    pub(crate) fn new(
        keys: &'static dyn Format<K>,
        kind: &'static str,
        linger: [i64; 2],
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
            keys,
            kind,
            linger,
            due: DueKeys::new(keys, linger[LEFT].max(linger[RIGHT])),
            lower: None,
        }
    }

    fn slot_of(&self, key: &K) -> Option<u32> {
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
            read_rows(&lower.below, self.keys, key, &mut |side, row| {
                slot.sides[side].put_back(row);
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
        (side, at, number): (usize, Timestamp, u32),
        row: Option<Kept<Either<V, T>>>,
    ) {
        let slot = self.slot_of(&key).unwrap_or_else(|| self.insert(Slot::new(key)));
        let list = &mut self.slots[slot as usize].sides[side];
        if list.remove(at, number).is_some() {
            self.count -= 1;
        }
        if let Some(row) = row {
            list.put_back(row);
            self.count += 1;
        }
    }

    fn insert(&mut self, slot: Slot<K, V, T>) -> u32 {
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
        self.count -= slot.sides.iter().map(KeptList::len).sum::<usize>();
        let Some(key) = slot.key.take() else { return };
        slot.sides = [KeptList::default(), KeptList::default()];
        let hash = self.hasher.hash_one(&key);
        if let Ok(entry) = self.table.find_entry(hash, |slot| *slot == number) {
            entry.remove();
        }
        self.free.push(number);
    }

    /// The records of one side of a slot.
    pub(crate) fn side(&self, slot: u32, side: usize) -> &KeptList<Either<V, T>> {
        &self.slots[slot as usize].sides[side]
    }

    /// Keeps a record, until it is closed.
    pub(crate) fn keep(
        &mut self,
        (slot, side): (u32, usize),
        (at, value, headers): (Timestamp, Either<V, T>, Headers),
        matched: bool,
    ) {
        let closing = at.plus_millis(self.linger[side]);
        let kept = &mut self.slots[slot as usize];
        let due = match kept.due {
            Timestamp::MIN => kept.closing(self.linger),
            due => due,
        };
        if closing < due {
            kept.due = closing;
            self.due.push(closing, kept.key().clone());
        }
        kept.changed = self.generation;
        let born = self.generation;
        let row = Kept { at, number: 0, matched, born, value, headers };
        let number = kept.sides[side].put(row);
        self.log.push(Deed::Came(Id { slot, side, at, number }));
        self.count += 1;
    }

    /// Notes that the records of a side from one time to another were paired.
    pub(crate) fn pair(&mut self, (slot, side): (u32, usize), from: Timestamp, to: Timestamp) {
        let generation = self.generation;
        let kept = &mut self.slots[slot as usize];
        for row in kept.sides[side].between_mut(from, to).filter(|row| !row.matched) {
            row.matched = true;
            if row.born < generation {
                kept.changed = generation;
                let Kept { at, number, .. } = *row;
                self.log.push(Deed::Paired(Id { slot, side, at, number }));
            }
        }
    }

    /// Drops a record that is out of its list; gives it as a lone one, if it is to be sent.
    fn drop_row(
        &mut self,
        (slot, side): (u32, usize),
        row: Kept<Either<V, T>>,
        speaks: [bool; 2],
    ) -> Option<Lone<K, V, T>> {
        self.count -= 1;
        let kept = &mut self.slots[slot as usize];
        let closing = row.at.plus_millis(self.linger[side]);
        let Kept { at, number, .. } = row;
        let key = (speaks[side] && !row.matched).then(|| kept.key().clone());
        let Some(key) = key else {
            if row.born < self.generation {
                kept.changed = self.generation;
                self.log.push(Deed::Went(Id { slot, side, at, number }, row));
            }
            return None;
        };
        let (value, headers) = if row.born < self.generation {
            kept.changed = self.generation;
            let sent = (row.value.clone(), row.headers.clone());
            self.log.push(Deed::Went(Id { slot, side, at, number }, row));
            sent
        } else {
            (row.value, row.headers)
        };
        Some(Lone { closing, side, key, at, value, headers })
    }

    /// Drops all records that are closed at `now`; gives those that have had no partner, of the
    /// sides that speak.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        speaks: [bool; 2],
        lone: &mut Vec<Lone<K, V, T>>,
    ) -> Result<()> {
        loop {
            let below = self.lower.as_ref().map(|lower| &lower.below);
            let Some(key) = self.due.pop(now, below)? else { return Ok(()) };
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
            for side in [LEFT, RIGHT] {
                let limit = self.linger[side];
                let is_closed = |row: &Kept<_>| row.at.plus_millis(limit) <= now;
                while self.side(slot, side).first().is_some_and(is_closed)
                    && let Some(row) = self.slots[slot as usize].sides[side].take_first()
                {
                    lone.extend(self.drop_row((slot, side), row, speaks));
                }
            }
            let kept = &mut self.slots[slot as usize];
            kept.due = kept.closing(self.linger);
            if kept.is_empty() {
                self.idle.push(slot);
            } else {
                self.due.push(kept.due, key);
            }
        }
    }

    /// Takes out all records that have had no partner, of the sides that speak.
    pub(crate) fn take_lone(
        &mut self,
        speaks: [bool; 2],
        lone: &mut Vec<Lone<K, V, T>>,
    ) -> Result<()> {
        self.raise_all()?;
        let slots: Vec<u32> = self.table.iter().copied().collect();
        for slot in slots {
            for side in [LEFT, RIGHT].into_iter().filter(|side| speaks[*side]) {
                let kept = &mut self.slots[slot as usize];
                let gone = kept.sides[side].extract(|row| !row.matched);
                if !gone.is_empty() {
                    // What is left may be due later than the key is looked at.
                    kept.due = Timestamp::MIN;
                }
                for row in gone {
                    lone.extend(self.drop_row((slot, side), row, speaks));
                }
            }
            self.idle.push(slot);
        }
        Ok(())
    }

    /// Brings up all records that are below.
    fn raise_all(&mut self) -> Result<()> {
        let Some(lower) = &self.lower else { return Ok(()) };
        let mut below = Vec::new();
        rows_of(&lower.below, self.keys, &mut |key, _, _: Kept<Either<V, T>>| {
            if below.last() != Some(&key) {
                below.push(key);
            }
        })?;
        for key in below {
            self.raise(&key)?;
        }
        Ok(())
    }

    /// Shows all records with their keys, as of the last commit.
    pub(crate) fn all_committed(
        &self,
        mut show: impl FnMut(&K, &Kept<Either<V, T>>),
    ) -> Result<()> {
        let mut paired = HashSet::new();
        for deed in &self.log {
            match deed {
                Deed::Came(_) => {}
                Deed::Paired(id) => {
                    paired.insert((id.slot, id.side, id.at, id.number));
                }
                Deed::Went(id, row) => {
                    let was_paired = paired.contains(&(id.slot, id.side, id.at, id.number));
                    let row = Kept { matched: row.matched && !was_paired, ..row.clone() };
                    show(self.slots[id.slot as usize].key(), &row);
                }
            }
        }
        for number in &self.table {
            let slot = &self.slots[*number as usize];
            for side in [LEFT, RIGHT] {
                for row in slot.sides[side].iter().filter(|row| row.born < self.generation) {
                    let was_paired = paired.contains(&(*number, side, row.at, row.number));
                    let row = Kept { matched: row.matched && !was_paired, ..row.clone() };
                    show(slot.key(), &row);
                }
            }
        }
        let Some(lower) = &self.lower else { return Ok(()) };
        rows_of(&lower.below, self.keys, &mut |key, _, row| {
            if self.slot_of(&key).is_none() {
                show(&key, &row);
            }
        })
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
        for deed in std::mem::take(&mut self.log).into_iter().rev() {
            match deed {
                Deed::Came(Id { slot, side, at, number }) => {
                    let sides = &mut self.slots[slot as usize].sides;
                    if sides[side].remove(at, number).is_some() {
                        self.count -= 1;
                    }
                }
                Deed::Paired(Id { slot, side, at, number }) => {
                    let sides = &mut self.slots[slot as usize].sides;
                    if let Some(row) = sides[side].get_mut(at, number) {
                        row.matched = false;
                    }
                }
                Deed::Went(Id { slot, side, .. }, row) => {
                    self.slots[slot as usize].sides[side].put_back(row);
                    self.count += 1;
                    self.idle.push(slot);
                }
            }
        }
        self.let_idle_go();
        self.remember_all();
    }

    /// All committed records are there.
    pub(super) fn loaded(&mut self) {
        self.let_idle_go();
        self.remember_all();
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

    /// Looks at every key anew.
    fn remember_all(&mut self) {
        self.due.clear();
        let is_lean = self.due.is_lean();
        for slot in &mut self.slots {
            slot.due = if is_lean { Timestamp::MIN } else { slot.closing(self.linger) };
            if slot.is_empty() {
                slot.due = Timestamp::MAX;
            } else if let Some(key) = &slot.key
                && !is_lean
            {
                self.due.push(slot.due, key.clone());
            }
        }
    }
}
