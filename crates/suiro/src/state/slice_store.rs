//! The store of a combining fold over hopping windows: for each key, the slices that an open
//! window is made of.
//!
//! In the changelog every slice of a key is a row of its own, and a window is none: a record
//! changes one row, however many windows it is in.

use super::StreamTime;
use super::due::DueKeys;
use super::hops::Hops;
use super::slice_log::SliceLog;
use super::slice_rows::{read_rows, rows_of};
use super::slices::{Changed, Kept, Merge, Part, Slice, Slices};
use super::slots::{Lower, Rows, Slot, Slots, WARM, warm};
use crate::format::Format;
use crate::{Data, Key};
use std::ops::Range;
use suiro_core::{Headers, Result, Timestamp};

/// The slices of each key, with the changes of the generations that are open.
pub(crate) struct SliceStore<K: 'static, A: 'static> {
    pub(super) slots: Slots<K, Slices<A>>,
    /// What was done in the generation at hand, to be taken back or saved.
    pub(super) log: SliceLog<A>,
    /// The number of that generation.
    pub(super) generation: u64,
    /// What was done in the one before, if its commit is in flight, and where windows were open.
    pub(super) sealed: Option<(SliceLog<A>, Timestamp)>,
    /// How many slices there are.
    pub(super) count: usize,
    pub(crate) time: StreamTime,
    /// The slice that a record was taken into last: most are for the same.
    slice: Range<Timestamp>,
    /// When a window may be due next.
    due_at: Timestamp,
    /// The start of the first window that has not been closed, now and at the last commit. Those
    /// before it stay closed also in a program with a longer grace: their slices are gone.
    pub(super) opens: Timestamp,
    pub(super) opened: Timestamp,
    pub(crate) keys: &'static dyn Format<K>,
    pub(crate) hops: Hops,
    pub(super) merge: Merge<A>,
    pub(super) due: DueKeys<K>,
    pub(super) lower: Option<Lower>,
}

impl<A: Clone> Rows for Slices<A> {
    fn count(&self) -> usize {
        self.all().len()
    }
}

/// A window of a key by its start.
pub(crate) type Closed<K, A> = (K, Timestamp, Part<A>);

impl<K: Key, A: Data> SliceStore<K, A> {
    /// How much of memory a slice or a key takes, at most and without what values point to: what
    /// was merged of a slice is kept, too.
    pub(super) const ROW_BYTES: usize = {
        let slot = size_of::<Slot<K, Slices<A>>>() + size_of::<Kept<A>>();
        let row = size_of::<Slice<A>>() + size_of::<Part<A>>();
        if slot > row { slot } else { row }
    };

    pub(crate) fn new(keys: &'static dyn Format<K>, hops: Hops, merge: Merge<A>) -> Self {
        Self {
            slots: Slots::default(),
            log: SliceLog::default(),
            generation: 1,
            sealed: None,
            count: 0,
            time: StreamTime::NONE,
            slice: Timestamp::MIN..Timestamp::MIN,
            due_at: Timestamp::MIN,
            opens: Timestamp::ZERO,
            opened: Timestamp::ZERO,
            keys,
            hops,
            merge,
            due: DueKeys::new(keys, hops.advance),
            lower: None,
        }
    }

    /// The slot of `key`, with all its slices; a new one if nothing is held.
    fn raise(&mut self, key: &K) -> Result<u32> {
        if let Some(slot) = self.slots.find(key) {
            return Ok(slot);
        }
        let (mut slices, mut due) = (Slices::default(), Timestamp::MAX);
        if let Some(lower) = &self.lower {
            read_rows(&lower.below, self.keys, key, &mut |slice| {
                slices.put(slice);
                due = Timestamp::MIN;
            })?;
        }
        self.count += slices.count();
        Ok(self.slots.insert(key.clone(), slices, due))
    }

    /// Puts a committed slice or drops one, as restoring does.
    pub(super) fn load(&mut self, key: K, start: Timestamp, slice: Option<Slice<A>>) {
        let slot = self.slots.find(&key);
        let slot =
            slot.unwrap_or_else(|| self.slots.insert(key, Slices::default(), Timestamp::MAX));
        let slices = &mut self.slots[slot].rows;
        let before = slices.count();
        match slice {
            Some(slice) => {
                slices.put(slice);
            }
            None => {
                slices.remove(start);
            }
        }
        self.count = self.count + slices.count() - before;
    }

    /// The slots of keys, with all their slices. They stay where they are until the next call
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
        // What a record needs of its slot comes into the caches in this pass, which depends on
        // nothing and waits for many of them at a time.
        let mut seen = 0;
        for key in keys {
            let slot = self.raise(key)?;
            let kept = &self.slots[slot];
            seen ^= kept.changed ^ kept.rows.glance();
            slots.push(slot);
        }
        std::hint::black_box(seen);
        Ok(())
    }

    /// Whether a record is in an open window; else it is late.
    #[inline]
    pub(crate) fn accepts(&self, slot: u32, at: Timestamp, now: Timestamp) -> bool {
        // What is due now was closed before, and says which windows are open.
        let from = match self.is_due(now) {
            true => self.opens.max(self.hops.first_open(now)),
            false => self.opens,
        };
        self.slots[slot].rows.accepts(self.hops, at, from)
    }

    /// Takes a record into its slice. What is closed at the time of the record was closed before:
    /// so it counts in no window that it is late for. If user code panics where `careful`, nothing
    /// is changed.
    #[inline]
    pub(crate) fn take(
        &mut self,
        slot: u32,
        (at, headers): (Timestamp, Headers),
        careful: bool,
        init: impl FnOnce() -> A,
        add: impl FnOnce(&mut A),
    ) {
        if !self.slice.contains(&at) {
            self.slice = self.hops.slice_span(at);
        }
        let start = self.slice.start;
        match self.slots[slot].rows.last_young(start, self.generation) {
            Some((slice, number)) => slice.take((at, number, headers), careful, add),
            None => self.take_anew((slot, start), (at, headers), careful, init, add),
        }
    }

    /// Takes a record into a slice that is not the last of its key, or that was not changed since
    /// the last commit.
    fn take_anew(
        &mut self,
        (slot, start): (u32, Timestamp),
        (at, headers): (Timestamp, Headers),
        careful: bool,
        init: impl FnOnce() -> A,
        add: impl FnOnce(&mut A),
    ) {
        self.touch(slot);
        let generation = self.generation;
        let kept = &mut self.slots[slot];
        let number = kept.rows.next();
        let mut is_first = false;
        if let Some(slice) = kept.rows.get_mut(start, generation) {
            if !slice.changed.is_in(generation) {
                self.log.before.push((slot, slice.clone()));
                self.log.changes += 1;
                slice.changed = slice.changed.again(generation);
            }
            slice.take((at, number, headers), careful, add);
        } else {
            let mut value = init();
            add(&mut value);
            let (value, changed) = (Some(value), Changed::made_in(generation));
            is_first = kept.rows.put(Slice { start, at, number, changed, value, headers });
            kept.rows.young += 1;
            self.log.changes += 1;
            self.count += 1;
        }
        // Only the first says when the key is looked at, and it may be long since that was.
        if is_first || kept.due == Timestamp::MIN {
            self.look_at(slot);
        }
    }

    /// Something of a slot is changed.
    #[inline]
    fn touch(&mut self, slot: u32) {
        let kept = &mut self.slots[slot];
        if kept.changed < self.generation {
            (kept.changed, kept.rows.young) = (self.generation, 0);
            self.log.touched.push(slot);
        }
    }

    /// Has the key of a slot looked at when its next window closes.
    fn look_at(&mut self, slot: u32) {
        let (hops, from) = (self.hops, self.opens);
        let kept = &mut self.slots[slot];
        let look = kept.rows.first(hops, from).map(|start| hops.closing(start));
        if let Some(look) = look
            && (look < kept.due || kept.due == Timestamp::MIN)
        {
            kept.due = look;
            self.due.push(look, kept.key().clone());
        }
    }

    /// Whether a window may be due at `now`.
    #[inline]
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.due_at
    }

    /// Closes the windows that are due at `now`, and gives them.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        closed: &mut Vec<Closed<K, A>>,
    ) -> Result<()> {
        let opens = self.opens.max(self.hops.first_open(now));
        let mut due = Vec::with_capacity(WARM);
        while self.next_due(now, &mut due)? {
            warm(due.iter().map(|(_, slot)| self.slots[*slot].rows.glance_back()));
            for (key, slot) in due.drain(..) {
                self.close_key(key, slot, (now, opens), closed);
            }
        }
        (self.due_at, self.opens) = (self.hops.closing(opens), opens);
        Ok(())
    }

    /// Takes some keys that are to be looked at by `now`, with their slots.
    fn next_due(&mut self, now: Timestamp, due: &mut Vec<(K, u32)>) -> Result<bool> {
        while due.len() < WARM {
            let below = self.lower.as_ref().map(|lower| &lower.below);
            let Some(key) = self.due.pop(now, below)? else { break };
            let slot = match self.lower {
                Some(_) => self.raise(&key)?,
                None => match self.slots.find(&key) {
                    Some(slot) => slot,
                    None => continue,
                },
            };
            due.push((key, slot));
        }
        Ok(!due.is_empty())
    }

    /// Closes the windows of a key that are due at `now`; then the first that is open begins at
    /// `opens`.
    fn close_key(
        &mut self,
        key: K,
        slot: u32,
        (now, opens): (Timestamp, Timestamp),
        closed: &mut Vec<Closed<K, A>>,
    ) {
        let (hops, from) = (self.hops, self.opens);
        let kept = &mut self.slots[slot];
        if kept.due > now {
            return;
        }
        self.touch(slot);
        let kept = &mut self.slots[slot];
        let (log, count, generation) = (&mut self.log, &mut self.count, self.generation);
        let mut young = 0;
        let show = |start, part: Option<Part<A>>| {
            closed.extend(part.map(|part| (key.clone(), start, part)));
        };
        let drop = |slice: Slice<A>| {
            *count -= 1;
            let is_young = slice.changed.is_in(generation);
            young += u32::from(is_young);
            log.changes += usize::from(!is_young);
            // What came and went leaves no trace.
            if !slice.changed.is_made_in(generation) {
                log.gone.push((slot, slice));
            }
        };
        let is_due = |start| hops.is_closed(start, now);
        kept.rows.close(hops, from, is_due, &self.merge, show, drop);
        kept.rows.young -= young;
        match kept.rows.first(hops, opens) {
            Some(next) => {
                kept.due = hops.closing(next);
                self.due.push(kept.due, key);
            }
            None => {
                kept.due = Timestamp::MAX;
                self.slots.may_go(slot);
            }
        }
    }

    /// Closes all windows before their time, and gives them. The slices stay, without values, and
    /// say which windows are closed.
    pub(crate) fn close_all(&mut self, closed: &mut Vec<Closed<K, A>>) -> Result<()> {
        self.raise_all()?;
        let (hops, generation, from) = (self.hops, self.generation, self.opens);
        let slots: Vec<u32> = self.slots.numbers().collect();
        for slot in slots {
            self.touch(slot);
            let kept = &mut self.slots[slot];
            // If user code fails, what was taken out is known.
            let all = kept.rows.all().iter();
            for slice in all.filter(|it| !it.changed.is_in(generation) && it.value.is_some()) {
                self.log.before.push((slot, slice.clone()));
                self.log.changes += 1;
            }
            let key = kept.key().clone();
            let mut gone = Vec::with_capacity(kept.rows.count());
            let show = |start, part: Option<Part<A>>| {
                closed.extend(part.map(|part| (key.clone(), start, part)));
            };
            kept.rows.close(hops, from, |_| true, &self.merge, show, |slice| gone.push(slice));
            for mut slice in gone {
                if slice.value.take().is_some() {
                    slice.changed = slice.changed.again(generation);
                    slice.headers = Headers::NONE;
                }
                kept.rows.put(slice);
            }
            let young = kept.rows.all().iter().filter(|it| it.changed.is_in(generation));
            kept.rows.young = young.count() as u32;
        }
        Ok(())
    }

    /// Brings up all slices that are below.
    fn raise_all(&mut self) -> Result<()> {
        let Some(lower) = &self.lower else { return Ok(()) };
        let mut below = Vec::new();
        rows_of(&lower.below, self.keys, &mut |key, _: Slice<A>| {
            if below.last() != Some(&key) {
                below.push(key);
            }
        })?;
        for key in below {
            self.raise(&key)?;
        }
        Ok(())
    }

    /// The first generation that is not committed.
    pub(super) fn settled(&self) -> u64 {
        self.generation - u64::from(self.sealed.is_some())
    }

    /// The changes go into flight, and another generation begins.
    pub(super) fn seal_rows(&mut self) {
        debug_assert!(self.sealed.is_none(), "a third generation is open");
        self.sealed = Some((std::mem::take(&mut self.log), self.opens));
        self.generation += 1;
    }

    /// The changes in flight are durable, or else those at hand.
    pub(super) fn commit_rows(&mut self) {
        if self.sealed.is_none() {
            self.seal_rows();
        }
        let Some((log, opened)) = self.sealed.take() else { return };
        if let Some(lower) = &mut self.lower {
            lower.commit(self.generation - 1, log.changes);
        }
        self.opened = opened;
        self.slots.let_settled_go(self.lower.is_some(), self.generation);
    }

    /// Puts everything back to the last commit; stream time has been put back.
    pub(super) fn take_back(&mut self) {
        let log = std::mem::take(&mut self.log);
        self.take_back_one(log);
        if let Some((log, _)) = self.sealed.take() {
            self.generation -= 1;
            self.take_back_one(log);
        }
        // User code may have panicked while it closed windows: so they are counted anew.
        self.count = self.slots.iter().map(|slot| slot.rows.count()).sum();
        self.loaded();
    }

    /// Takes back what was done in the newest generation.
    fn take_back_one(&mut self, log: SliceLog<A>) {
        let generation = self.generation;
        for slot in &log.touched {
            let kept = &mut self.slots[*slot];
            let young = kept.rows.all().iter().filter(|slice| slice.changed.is_in(generation));
            let young: Vec<_> = young.map(|slice| slice.start).collect();
            for start in young {
                kept.rows.remove(start);
            }
            kept.rows.unmerge();
            (kept.changed, kept.rows.young) = (generation - 1, 0);
            self.slots.may_go(*slot);
        }
        let gone = log.gone.into_iter().filter(|(_, slice)| !slice.changed.is_in(generation));
        for (slot, slice) in log.before.into_iter().chain(gone) {
            self.slots[slot].rows.put(slice);
        }
    }

    /// All committed slices are there: looks at every key anew.
    pub(super) fn loaded(&mut self) {
        self.slots.let_idle_go(self.lower.is_some());
        (self.due_at, self.opens) = (Timestamp::MIN, self.opened);
        self.due.clear();
        let is_lean = self.due.is_lean();
        let (hops, from) = (self.hops, self.opens);
        for slot in self.slots.iter_mut() {
            let next = slot.rows.first(hops, from).map(|start| hops.closing(start));
            slot.due = match next {
                Some(_) if is_lean => Timestamp::MIN,
                Some(next) => next,
                None => Timestamp::MAX,
            };
            if let Some(next) = next.filter(|_| !is_lean) {
                self.due.push(next, slot.key().clone());
            }
        }
    }
}
