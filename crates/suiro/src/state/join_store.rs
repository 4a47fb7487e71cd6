//! The store of a join of two streams: for each key, the records of both sides that may still
//! find partners.
//!
//! In the changelog every record is a row of its own, so that a commit writes what came and
//! went, however many records a key has: a key with thousands of them is not written as a whole.

use super::StreamTime;
use super::deeds::Deeds;
use super::due::DueKeys;
use super::join_rows::{read_rows, rows_of};
use super::kept::{Either, Kept, KeptList, LEFT, RIGHT};
use super::slots::{Lower, Rows, Slot, Slots};
use crate::format::Format;
use crate::{Data, Key};
use std::collections::HashSet;
use suiro_core::{Headers, Result, Timestamp};

/// The records of each key, with the changes of the generations that are open.
pub(crate) struct JoinStore<K: 'static, V, T> {
    pub(super) slots: Slots<K, Sides<V, T>>,
    /// What was done since the last commit, to be taken back or saved.
    pub(super) log: Deeds<Deed<V, T>>,
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

/// The records of a key.
type Sides<V, T> = [KeptList<Either<V, T>>; 2];

impl<V: Data, T: Data> Rows for Sides<V, T> {
    fn count(&self) -> usize {
        self.iter().map(KeptList::len).sum()
    }
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

/// When the first of the records is closed; the largest time if there is none.
fn closing<V, T>(sides: &Sides<V, T>, linger: [i64; 2]) -> Timestamp {
    let sides = sides.iter().zip(linger);
    let firsts = sides.filter_map(|(side, linger)| Some(side.first()?.at.plus_millis(linger)));
    firsts.min().unwrap_or(Timestamp::MAX)
}

impl<K: Key, V: Data, T: Data> JoinStore<K, V, T> {
    /// How much of memory a record or a key takes, at most and without what values point to.
    pub(super) const ROW_BYTES: usize = {
        let (slot, row) = (size_of::<Slot<K, Sides<V, T>>>(), size_of::<Kept<Either<V, T>>>());
        if slot > row { slot } else { row }
    };

    pub(crate) fn new(
        keys: &'static dyn Format<K>,
        kind: &'static str,
        linger: [i64; 2],
    ) -> Self {
        Self {
            slots: Slots::default(),
            log: Deeds::new(),
            count: 0,
            time: StreamTime::NONE,
            keys,
            kind,
            linger,
            due: DueKeys::new(keys, linger[LEFT].max(linger[RIGHT])),
            lower: None,
        }
    }

    /// The slot of `key`, with all its records; a new one if nothing is held.
    fn raise(&mut self, key: &K) -> Result<u32> {
        if let Some(slot) = self.slots.find(key) {
            return Ok(slot);
        }
        let (mut sides, mut due) = (Sides::default(), Timestamp::MAX);
        if let Some(lower) = &self.lower {
            read_rows(&lower.below, self.keys, key, &mut |side, row| {
                sides[side].put_back(row);
                due = Timestamp::MIN;
            })?;
        }
        self.count += sides.count();
        Ok(self.slots.insert(key.clone(), sides, due))
    }

    /// Puts a committed record or drops one, as restoring does.
    pub(super) fn load(
        &mut self,
        key: K,
        (side, at, number): (usize, Timestamp, u32),
        row: Option<Kept<Either<V, T>>>,
    ) {
        let slot = self.slots.find(&key);
        let slot =
            slot.unwrap_or_else(|| self.slots.insert(key, Sides::default(), Timestamp::MAX));
        let list = &mut self.slots[slot].rows[side];
        if list.remove(at, number).is_some() {
            self.count -= 1;
        }
        if let Some(row) = row {
            list.put_back(row);
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

    /// The records of one side of a slot.
    pub(crate) fn side(&self, slot: u32, side: usize) -> &KeptList<Either<V, T>> {
        &self.slots[slot].rows[side]
    }

    /// Keeps a record, until it is closed.
    pub(crate) fn keep(
        &mut self,
        (slot, side): (u32, usize),
        (at, value, headers): (Timestamp, Either<V, T>, Headers),
        matched: bool,
    ) {
        let closes = at.plus_millis(self.linger[side]);
        let kept = &mut self.slots[slot];
        let due = match kept.due {
            Timestamp::MIN => closing(&kept.rows, self.linger),
            due => due,
        };
        if closes < due {
            kept.due = closes;
            self.due.push(closes, kept.key().clone());
        }
        let born = self.log.generation();
        kept.changed = born;
        let row = Kept { at, number: 0, matched, born, value, headers };
        let number = kept.rows[side].put(row);
        self.log.push(Deed::Came(Id { slot, side, at, number }));
        self.count += 1;
    }

    /// Notes that the records of a side from one time to another were paired.
    pub(crate) fn pair(&mut self, (slot, side): (u32, usize), from: Timestamp, to: Timestamp) {
        let generation = self.log.generation();
        let kept = &mut self.slots[slot];
        for row in kept.rows[side].between_mut(from, to).filter(|row| !row.matched) {
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
        let (kept, generation) = (&mut self.slots[slot], self.log.generation());
        let closing = row.at.plus_millis(self.linger[side]);
        let Kept { at, number, .. } = row;
        let key = (speaks[side] && !row.matched).then(|| kept.key().clone());
        let Some(key) = key else {
            if row.born < generation {
                kept.changed = generation;
                self.log.push(Deed::Went(Id { slot, side, at, number }, row));
            }
            return None;
        };
        let (value, headers) = if row.born < generation {
            kept.changed = generation;
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
                None => match self.slots.find(&key) {
                    Some(slot) => slot,
                    None => continue,
                },
            };
            if self.slots[slot].due > now {
                continue;
            }
            for side in [LEFT, RIGHT] {
                let limit = self.linger[side];
                let is_closed = |row: &Kept<_>| row.at.plus_millis(limit) <= now;
                while self.side(slot, side).first().is_some_and(is_closed)
                    && let Some(row) = self.slots[slot].rows[side].take_first()
                {
                    lone.extend(self.drop_row((slot, side), row, speaks));
                }
            }
            let kept = &mut self.slots[slot];
            kept.due = closing(&kept.rows, self.linger);
            if kept.is_empty() {
                self.slots.may_go(slot);
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
        let slots: Vec<u32> = self.slots.numbers().collect();
        for slot in slots {
            for side in [LEFT, RIGHT].into_iter().filter(|side| speaks[*side]) {
                let kept = &mut self.slots[slot];
                let gone = kept.rows[side].extract(|row| !row.matched);
                if !gone.is_empty() {
                    // What is left may be due later than the key is looked at.
                    kept.due = Timestamp::MIN;
                }
                for row in gone {
                    lone.extend(self.drop_row((slot, side), row, speaks));
                }
            }
            self.slots.may_go(slot);
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
        for deed in self.log.iter() {
            match deed {
                Deed::Came(_) => {}
                Deed::Paired(id) => {
                    paired.insert((id.slot, id.side, id.at, id.number));
                }
                // What the generation in flight has brought was never committed.
                Deed::Went(_, row) if !self.log.is_committed(row.born) => {}
                Deed::Went(id, row) => {
                    let was_paired = paired.contains(&(id.slot, id.side, id.at, id.number));
                    let row = Kept { matched: row.matched && !was_paired, ..row.clone() };
                    show(self.slots[id.slot].key(), &row);
                }
            }
        }
        for number in self.slots.numbers() {
            let slot = &self.slots[number];
            for side in [LEFT, RIGHT] {
                for row in slot.rows[side].iter().filter(|row| self.log.is_committed(row.born))
                {
                    let was_paired = paired.contains(&(number, side, row.at, row.number));
                    let row = Kept { matched: row.matched && !was_paired, ..row.clone() };
                    show(slot.key(), &row);
                }
            }
        }
        let Some(lower) = &self.lower else { return Ok(()) };
        rows_of(&lower.below, self.keys, &mut |key, _, row| {
            if self.slots.find(&key).is_none() {
                show(&key, &row);
            }
        })
    }

    /// The changes are durable.
    pub(super) fn commit_rows(&mut self) {
        let (generation, changes) = self.log.commit();
        if let Some(lower) = &mut self.lower {
            lower.commit(generation, changes);
        }
        self.slots.let_settled_go(self.lower.is_some(), self.log.generation());
    }

    /// Puts everything back to the last commit.
    pub(super) fn take_back(&mut self) {
        for deed in self.log.take_back() {
            match deed {
                Deed::Came(Id { slot, side, at, number }) => {
                    let sides = &mut self.slots[slot].rows;
                    if sides[side].remove(at, number).is_some() {
                        self.count -= 1;
                    }
                }
                Deed::Paired(Id { slot, side, at, number }) => {
                    let sides = &mut self.slots[slot].rows;
                    if let Some(row) = sides[side].get_mut(at, number) {
                        row.matched = false;
                    }
                }
                Deed::Went(Id { slot, side, .. }, row) => {
                    self.slots[slot].rows[side].put_back(row);
                    self.count += 1;
                    self.slots.may_go(slot);
                }
            }
        }
        self.slots.let_idle_go(self.lower.is_some());
        self.remember_all();
    }

    /// All committed records are there.
    pub(super) fn loaded(&mut self) {
        self.slots.let_idle_go(self.lower.is_some());
        self.remember_all();
    }

    /// Looks at every key anew.
    fn remember_all(&mut self) {
        self.due.clear();
        let is_lean = self.due.is_lean();
        for slot in self.slots.iter_mut() {
            slot.due = match slot.is_empty() {
                true => Timestamp::MAX,
                false if is_lean => Timestamp::MIN,
                false => closing(&slot.rows, self.linger),
            };
            if !is_lean && !slot.is_empty() {
                self.due.push(slot.due, slot.key().clone());
            }
        }
    }
}
