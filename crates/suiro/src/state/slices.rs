//! The slices of a key, and the hopping windows that are put together from them (rules W1, W4).
//!
//! A window is cut where it meets a multiple of the size (of so much of it as whole distances of
//! starts make). Behind that moment its slices are merged from left to right and before it from
//! right to left, and both rows of results are kept: the next window needs one more of the first
//! and one less of the second. So a window costs a few merges, whatever its size. What was
//! merged with what is a function of the slices alone, never of when a process began: a merge
//! that is only nearly associative, such as that of sums of floats, gives the same after a crash.

use super::hops::Hops;
use super::slice_list::SliceList;
use std::sync::Arc;
use suiro_core::{Headers, Timestamp};

/// Takes the state of later values into that of earlier ones.
pub(crate) type Merge<A> = Arc<dyn Fn(&mut A, A) + Send + Sync>;

/// What the records of a key in one slice have come to.
#[derive(Clone, Debug)]
pub(crate) struct Slice<A> {
    pub(super) start: Timestamp,
    /// The largest time of a record in it.
    pub(super) at: Timestamp,
    /// Grows with every record of the key: that of the last record in the slice.
    pub(super) number: u64,
    pub(super) changed: Changed,
    /// None if the end of a bounded run has closed the windows over it before their time.
    pub(super) value: Option<A>,
    /// The headers of the last record.
    pub(super) headers: Headers,
}

/// In which generation a slice was changed last, and whether it was made in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed(u64);

impl Changed {
    /// It was read.
    pub(super) const NEVER: Self = Self(0);

    pub(super) fn made_in(generation: u64) -> Self {
        Self(2 * generation + 1)
    }

    #[inline]
    pub(super) fn is_in(self, generation: u64) -> bool {
        self.0 / 2 == generation
    }

    /// Whether that is this generation or a later one.
    pub(super) fn is_since(self, generation: u64) -> bool {
        self.0 / 2 >= generation
    }

    pub(super) fn is_made_in(self, generation: u64) -> bool {
        self.0 == 2 * generation + 1
    }

    /// It is changed once more.
    pub(super) fn again(self, generation: u64) -> Self {
        if self.is_in(generation) { self } else { Self(2 * generation) }
    }
}

impl<A: Clone> Slice<A> {
    /// Takes a record in; `number` is its own. If `add` panics where `careful`, nothing is changed.
    #[inline]
    pub(super) fn take(
        &mut self,
        (at, number, headers): (Timestamp, u64, Headers),
        careful: bool,
        add: impl FnOnce(&mut A),
    ) {
        let value = self.value.as_mut();
        let value = value.expect("a slice that an end has closed takes no record");
        if careful {
            let mut next = value.clone();
            add(&mut next);
            *value = next;
        } else {
            add(value);
        }
        self.at = self.at.max(at);
        (self.number, self.headers) = (number, headers);
    }
}

impl<A> Slice<A> {
    /// A number that depends on all of it, wherever in memory that is.
    fn glance(&self) -> u64 {
        let [start, at] = [self.start, self.at].map(|at| at.as_millis() as u64);
        let rest = [self.value.is_some(), self.headers.is_empty()].map(u64::from);
        self.number ^ self.changed.0 ^ start ^ at ^ rest[0] ^ rest[1]
    }
}

/// A window, or some slices of one.
#[derive(Clone, Debug)]
pub(crate) struct Part<A> {
    pub(crate) value: A,
    /// The largest time of a record in it.
    pub(crate) at: Timestamp,
    number: u64,
    /// The headers of the last record.
    pub(crate) headers: Headers,
}

impl<A: Clone> Part<A> {
    /// A slice alone; one that was closed is in no window that is put together.
    fn of(slice: &Slice<A>) -> Option<Self> {
        let Slice { at, number, ref value, ref headers, .. } = *slice;
        Some(Self { value: value.clone()?, at, number, headers: headers.clone() })
    }

    /// Takes in what is later in time.
    fn with(mut self, later: Self, merge: &Merge<A>) -> Self {
        merge(&mut self.value, later.value);
        self.at = self.at.max(later.at);
        if later.number > self.number {
            (self.number, self.headers) = (later.number, later.headers);
        }
        self
    }
}

/// The slices of a key in order of time, as long as a window over them is open.
///
/// What no record needs is apart: keys are met in no order, and each line of memory that one
/// touches is waited for.
pub(crate) struct Slices<A> {
    all: SliceList<A>,
    /// How many of them an end has closed.
    shut: u32,
    /// How many of them were changed since the last commit, if the slot was.
    pub(super) young: u32,
    next: u64,
    /// The end of the last window: nothing that begins there or later has been merged.
    merged: Timestamp,
    kept: Box<Kept<A>>,
}

/// What was merged, and is kept for the next window.
pub(super) struct Kept<A> {
    /// Where the parts meet.
    middle: Timestamp,
    /// How many slices are before it.
    early: usize,
    /// For slices before it, the last one first: that slice and all between.
    before: Vec<Part<A>>,
    /// For slices behind it, the first one first: that slice and all between.
    behind: Vec<Part<A>>,
}

impl<A> Default for Slices<A> {
    fn default() -> Self {
        let (before, behind) = (Vec::new(), Vec::new());
        let kept = Kept { middle: Timestamp::MIN, early: 0, before, behind };
        Self {
            all: SliceList::default(),
            shut: 0,
            young: 0,
            next: 0,
            merged: Timestamp::MIN,
            kept: Box::new(kept),
        }
    }
}

impl<A: Clone> Slices<A> {
    pub(super) fn all(&self) -> &SliceList<A> {
        &self.all
    }

    /// The number of the next record.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Looks at what the next record will need, and gives a number that depends on it.
    pub(super) fn glance(&self) -> u64 {
        self.all.last().map_or(0, Slice::glance)
    }

    /// The same of the first and the last slice, between which others are looked for.
    pub(super) fn glance_ends(&self) -> u64 {
        self.all.first().map_or(0, |slice| slice.glance() ^ self.glance())
    }

    /// The same of what is needed to close the next window: it goes with its first slice, and the
    /// one behind that may be the first of another.
    pub(super) fn glance_back(&self) -> u64 {
        let parts = self.kept.before.last().into_iter().chain(self.kept.behind.last());
        let next = self.all.from(self.kept.early + self.kept.behind.len()).next();
        let slices = self.all.iter().take(2).chain(next);
        let seen = parts.fold(0, |seen, part| seen ^ part.number);
        slices.fold(seen, |seen, slice| seen ^ slice.glance())
    }

    /// The slice that starts at `start`, and the number of the next record, if it is the last one
    /// and was changed in this generation: so it is with most records. Nothing that was merged is
    /// of it.
    #[inline]
    pub(super) fn last_young(
        &mut self,
        start: Timestamp,
        generation: u64,
    ) -> Option<(&mut Slice<A>, u64)> {
        let last = self.all.last_at(start).filter(|_| start >= self.merged);
        let last = last.filter(|slice| slice.changed.is_in(generation))?;
        self.next += 1;
        Some((last, self.next - 1))
    }

    /// The slice that starts at `start`, to be given another value in a generation.
    pub(super) fn get_mut(
        &mut self,
        start: Timestamp,
        generation: u64,
    ) -> Option<&mut Slice<A>> {
        let place = self.all.search(start).ok()?;
        self.forget(start, place + 1);
        self.next += 1;
        let slice = &mut self.all[place];
        self.young += u32::from(!slice.changed.is_in(generation));
        Some(slice)
    }

    /// Those that were changed in a generation, if the slot was: the last one first.
    pub(super) fn young(&self, generation: u64) -> impl Iterator<Item = &Slice<A>> {
        let changed = self.all.iter().rev().filter(move |it| it.changed.is_in(generation));
        changed.take(self.young as usize)
    }

    /// Whether a slice that starts at `start` is behind all others, and nothing has been merged
    /// that it would be in: so it is with most new ones.
    #[inline]
    fn is_behind(&self, start: Timestamp) -> bool {
        start >= self.merged && self.all.last().is_some_and(|last| last.start < start)
    }

    /// Puts a slice in its place, and says whether that is the first.
    ///
    /// What was just written, in pieces, must not be read as a whole to be passed on, as a call
    /// would: that waits until all that was written before has come to memory.
    #[inline(always)]
    pub(super) fn put(&mut self, slice: Slice<A>) -> bool {
        self.next = self.next.max(slice.number + 1);
        self.shut += u32::from(slice.value.is_none());
        if !self.is_behind(slice.start) {
            return self.put_between(slice);
        }
        self.all.append(slice);
        false
    }

    fn put_between(&mut self, slice: Slice<A>) -> bool {
        match self.all.search(slice.start) {
            Ok(place) => {
                self.forget(slice.start, place + 1);
                self.shut -= u32::from(self.all[place].value.is_none());
                self.all[place] = slice;
                place == 0
            }
            Err(place) => {
                self.forget(slice.start, place);
                // The middle is in the window that was merged last.
                if slice.start < self.merged && slice.start < self.kept.middle {
                    self.kept.early += 1;
                }
                self.all.insert(place, slice);
                place == 0
            }
        }
    }

    /// Takes a slice away, as if it had not come.
    pub(super) fn remove(&mut self, start: Timestamp) -> Option<Slice<A>> {
        let place = self.all.search(start).ok()?;
        self.forget(start, place + 1);
        let slice = self.all.remove(place)?;
        self.kept.early -= usize::from(slice.start < self.kept.middle);
        self.shut -= u32::from(slice.value.is_none());
        Some(slice)
    }

    /// What was merged with the slice at `start` is not what it was; those from `from` on are.
    fn forget(&mut self, start: Timestamp, from: usize) {
        if start >= self.merged || self.kept.before.is_empty() && self.kept.behind.is_empty() {
            return;
        }
        let middle = self.middle();
        if start < self.kept.middle {
            self.kept.before.truncate(middle - from);
        } else {
            // Of these it is the earlier ones that stay.
            let place = self.all.before(start);
            self.kept.behind.truncate(place - middle);
        }
    }

    /// How many slices are before the middle.
    fn middle(&self) -> usize {
        debug_assert_eq!(self.kept.early, self.all.before(self.kept.middle));
        self.kept.early
    }

    /// Forgets what was merged.
    pub(super) fn unmerge(&mut self) {
        self.kept.before.clear();
        self.kept.behind.clear();
    }

    /// Whether a record at `at` is in a window that is open: those are that begin at `from` or
    /// later, unless an end has closed them.
    #[inline]
    pub(super) fn accepts(&self, hops: Hops, at: Timestamp, from: Timestamp) -> bool {
        // The last window that a time is in is open unless it begins before `from`, where a window
        // begins, too.
        if self.shut == 0 { at >= from } else { self.accepts_beside_shut(hops, at, from) }
    }

    fn accepts_beside_shut(&self, hops: Hops, at: Timestamp, from: Timestamp) -> bool {
        let (mut first, mut last) = (hops.first(at).max(from), hops.last(at));
        // A window over a slice that an end has closed was closed with it.
        let slice = hops.slice(at);
        for shut in self.all.iter().filter(|slice| slice.value.is_none()) {
            if shut.start <= slice {
                first = first.max(hops.last(shut.start).plus_millis(hops.advance));
            }
            if shut.start >= slice {
                last = last.min(hops.first(shut.start).plus_millis(-hops.advance));
            }
        }
        first <= last
    }

    /// The start of the first window, not before `from`, that has a slice; none if there is no
    /// slice.
    pub(super) fn first(&self, hops: Hops, from: Timestamp) -> Option<Timestamp> {
        Some(hops.first(self.all.first()?.start).max(from))
    }

    /// Closes the windows from `from` on that `closes` says, in order: shows each, and takes out
    /// the slices that are in no other. A window that an end has closed has no value.
    pub(super) fn close(
        &mut self,
        hops: Hops,
        mut from: Timestamp,
        closes: impl Fn(Timestamp) -> bool,
        merge: &Merge<A>,
        mut show: impl FnMut(Timestamp, Option<Part<A>>),
        mut drop: impl FnMut(Slice<A>),
    ) {
        while let Some(start) = self.first(hops, from).filter(|start| closes(*start)) {
            show(start, self.window(hops, start, merge));
            from = start.plus_millis(hops.advance);
            // A slice is in the windows that begin no later than it does.
            while self.all.first().is_some_and(|slice| slice.start < from) {
                match self.middle() {
                    // The window began where its parts meet; those of the next meet elsewhere.
                    0 => self.kept.behind.clear(),
                    middle if middle == self.kept.before.len() => {
                        self.kept.before.truncate(middle - 1)
                    }
                    _ => {}
                }
                let Some(slice) = self.all.pop_first() else { break };
                self.kept.early = self.kept.early.saturating_sub(1);
                self.shut -= u32::from(slice.value.is_none());
                drop(slice);
            }
        }
    }

    /// The window that begins at `start` and with the first slice; none if an end has closed it.
    fn window(&mut self, hops: Hops, start: Timestamp, merge: &Merge<A>) -> Option<Part<A>> {
        let end = hops.end(start);
        let is_shut = |slice: &Slice<A>| slice.start < end && slice.value.is_none();
        if self.shut > 0 && self.all.iter().any(is_shut) {
            return None;
        }
        if self.kept.middle != hops.middle(start) {
            self.unmerge();
            self.kept.middle = hops.middle(start);
            self.kept.early = self.all.before(self.kept.middle);
        }
        self.merged = end;
        let middle = self.middle();
        while self.kept.before.len() < middle {
            let earlier = Part::of(&self.all[middle - 1 - self.kept.before.len()])?;
            let part = match self.kept.before.last() {
                Some(later) => earlier.with(later.clone(), merge),
                None => earlier,
            };
            self.kept.before.push(part);
        }
        let behind = self.all.from(middle + self.kept.behind.len());
        for slice in behind.take_while(|slice| slice.start < end) {
            let later = Part::of(slice)?;
            let part = match self.kept.behind.last() {
                Some(earlier) => earlier.clone().with(later, merge),
                None => later,
            };
            self.kept.behind.push(part);
        }
        match (self.kept.before.last(), self.kept.behind.last()) {
            (Some(before), Some(behind)) => Some(before.clone().with(behind.clone(), merge)),
            (before, behind) => before.or(behind).cloned(),
        }
    }
}
