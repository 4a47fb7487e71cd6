//! The accepted records of a key, and the sliding windows over them that are open (rule W2).
//!
//! Which windows there are, and what is in them, is a function of the accepted records. So only
//! these are kept for good; the windows are folded beside them while a key is in use, and
//! again when they are needed after a restart or a roll-back.
//!
//! A record is kept until its right window is closed: when stream time has come to its time +
//! span + 2 ms + grace. By then every window that it is in, or that begins behind it, is closed,
//! those that are to come included, and a closed window is never looked at again.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use suiro_core::{Headers, Timestamp};

/// Span and grace in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Sliding {
    pub(crate) span: i64,
    pub(crate) grace: i64,
}

impl Sliding {
    /// The start of the window that ends with a record; none starts before the epoch.
    fn left(self, at: Timestamp) -> Timestamp {
        at.plus_millis(-self.span).max(Timestamp::ZERO)
    }

    /// The end of a window; it is in it.
    pub(crate) fn end(self, start: Timestamp) -> Timestamp {
        start.plus_millis(self.span)
    }

    /// When a window is closed (rule W4).
    fn closing(self, start: Timestamp) -> Timestamp {
        self.end(start).plus_millis(1).plus_millis(self.grace)
    }

    fn is_closed(self, start: Timestamp, now: Timestamp) -> bool {
        self.closing(start) <= now
    }

    /// How long after its time a record is kept.
    pub(crate) fn linger(self) -> i64 {
        self.span.saturating_add(self.grace).saturating_add(2)
    }

    /// When a record is dropped.
    fn expiry(self, at: Timestamp) -> Timestamp {
        if cfg!(suiro_mutant = "accepted_record_dropped_early") {
            return self.closing(self.left(at));
        }
        self.closing(right(at))
    }

    /// When a key is to be looked at for the sake of a record: its windows close then.
    pub(crate) fn looks(self, at: Timestamp) -> [Timestamp; 2] {
        [self.closing(self.left(at)), self.expiry(at)]
    }
}

/// The start of the window that begins behind a record.
fn right(at: Timestamp) -> Timestamp {
    at.plus_millis(1)
}

/// Makes the state of a window, and takes records into it.
pub(crate) struct Folds<T, A> {
    pub(crate) init: Init<A>,
    pub(crate) add: Add<T, A>,
}

type Init<A> = Arc<dyn Fn() -> A + Send + Sync>;
type Add<T, A> = Arc<dyn Fn(&mut A, T) + Send + Sync>;

impl<T, A> Clone for Folds<T, A> {
    fn clone(&self) -> Self {
        Self { init: Arc::clone(&self.init), add: Arc::clone(&self.add) }
    }
}

/// A record that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted<T> {
    pub(crate) at: Timestamp,
    /// Grows with every record of the key.
    pub(crate) number: u64,
    /// The end of a bounded run has closed the windows of this record and those like it.
    pub(crate) ended: bool,
    /// The generation of changes in which it came; 0 for one that was read.
    pub(super) born: u64,
    pub(crate) value: T,
    pub(crate) headers: Headers,
}

/// A window.
#[derive(Clone, Debug)]
pub(crate) struct Pane<A> {
    pub(crate) start: Timestamp,
    /// The largest time of a record in it.
    pub(crate) at: Timestamp,
    /// The number of the last record that came to it, and how many there are.
    last: u64,
    count: usize,
    /// None if the end of a bounded run has closed it before its time.
    pub(crate) value: Option<A>,
    /// The headers of the last record.
    pub(crate) headers: Headers,
}

impl<A> Pane<A> {
    fn empty(start: Timestamp, value: Option<A>) -> Self {
        let (at, headers) = (Timestamp::MIN, Headers::NONE);
        Self { start, at, last: 0, count: 0, value, headers }
    }

    #[inline]
    fn take<T>(
        &mut self,
        (at, number, headers): (Timestamp, u64, &Headers),
        value: T,
        folds: &Folds<T, A>,
    ) {
        let Some(state) = &mut self.value else { return };
        (folds.add)(state, value);
        self.at = self.at.max(at);
        self.last = number;
        self.count += 1;
        self.headers = headers.clone();
    }
}

/// What a record that is accepted changes.
pub(crate) struct Entry {
    /// Windows that there are, by their places.
    lefts: Range<usize>,
    rights: Range<usize>,
    /// Windows that come into being, by their starts: the one that ends with the record, the one
    /// that begins behind the record before it, and the one that begins behind it.
    own: Option<Timestamp>,
    before: Option<Timestamp>,
    behind: Option<Timestamp>,
}

/// The records and windows of a key.
///
/// Windows that end with a record and those that begin behind one are apart: so windows come at
/// the end of their list, as records in order do, and those that a record is in lie together.
pub(crate) struct Track<T, A> {
    records: VecDeque<Accepted<T>>,
    lefts: VecDeque<Pane<A>>,
    rights: VecDeque<Pane<A>>,
    /// The window that was closed last: the next may begin where it does.
    seed: Option<Pane<A>>,
    /// Whether the windows have been folded.
    is_folded: bool,
    /// The largest time of a record that was dropped.
    dropped: Timestamp,
    next: u64,
}

impl<T, A> Default for Track<T, A> {
    fn default() -> Self {
        Self {
            records: VecDeque::new(),
            lefts: VecDeque::new(),
            rights: VecDeque::new(),
            seed: None,
            is_folded: true,
            dropped: Timestamp::MIN,
            next: 0,
        }
    }
}

impl<T: Clone, A: Clone> Track<T, A> {
    pub(super) fn records(&self) -> &VecDeque<Accepted<T>> {
        &self.records
    }

    /// Looks at what the next record will need, and gives a number that depends on it.
    pub(super) fn glance(&self) -> u64 {
        let record = self.records.back().map_or(0, |row| row.number);
        let left = self.lefts.back().map_or(0, |pane| pane.last);
        let right = self.rights.front().map_or(0, |pane| pane.last);
        record ^ left ^ right
    }

    pub(super) fn is_folded(&self) -> bool {
        self.is_folded
    }

    fn search(&self, at: Timestamp, number: u64) -> Result<usize, usize> {
        // Most that are looked for are the last, or were the first.
        let place = split(&self.records, |row| (row.at, row.number) < (at, number));
        match self.records.get(place) {
            Some(row) if (row.at, row.number) == (at, number) => Ok(place),
            _ => Err(place),
        }
    }

    pub(super) fn get(&self, at: Timestamp, number: u64) -> Option<&Accepted<T>> {
        self.search(at, number).ok().map(|place| &self.records[place])
    }

    pub(super) fn get_mut(&mut self, at: Timestamp, number: u64) -> Option<&mut Accepted<T>> {
        self.search(at, number).ok().map(|place| &mut self.records[place])
    }

    /// Puts a record to its place. The windows do not follow.
    fn put(&mut self, row: Accepted<T>) {
        self.next = self.next.max(row.number + 1);
        match self.search(row.at, row.number) {
            Ok(place) => self.records[place] = row,
            Err(place) => self.records.insert(place, row),
        }
    }

    /// Puts a record that was there before.
    pub(super) fn put_back(&mut self, row: Accepted<T>) {
        self.put(row);
        self.unfold();
    }

    /// Takes a record away, as if it had not come.
    pub(super) fn remove(&mut self, at: Timestamp, number: u64) -> Option<Accepted<T>> {
        let row = self.search(at, number).ok().and_then(|place| self.records.remove(place));
        self.unfold();
        row
    }

    /// Takes away the first record if it is of no more use at `now`.
    pub(super) fn take_expired(
        &mut self,
        spec: Sliding,
        now: Timestamp,
    ) -> Option<Accepted<T>> {
        let row = self.records.pop_front_if(|row| spec.expiry(row.at) <= now)?;
        self.dropped = self.dropped.max(row.at);
        Some(row)
    }

    /// Marks every record for the windows that the end of a bounded run closes; shows those that
    /// were not.
    pub(super) fn end_records(&mut self, mut show: impl FnMut(Timestamp, u64, u64)) {
        for row in self.records.iter_mut().filter(|row| !row.ended) {
            row.ended = true;
            show(row.at, row.number, row.born);
        }
    }

    /// Forgets the windows: they are no more what the records make of them.
    pub(super) fn unfold(&mut self) {
        self.lefts.clear();
        self.rights.clear();
        self.seed = None;
        self.is_folded = self.records.is_empty();
    }

    /// All windows that are open at `now`, in order of start.
    pub(super) fn panes(
        &self,
        spec: Sliding,
        now: Timestamp,
    ) -> impl Iterator<Item = &Pane<A>> {
        let mut all: Vec<_> = self.lefts.iter().chain(&self.rights).collect();
        all.retain(|pane| !spec.is_closed(pane.start, now));
        all.sort_unstable_by_key(|pane| pane.start);
        all.into_iter()
    }

    /// When the key is to be looked at next: when a window closes or a record is dropped. Where
    /// nobody waits for windows to close, it is enough when the last record is.
    pub(super) fn next_look(
        &self,
        spec: Sliding,
        now: Timestamp,
        patiently: bool,
    ) -> Timestamp {
        let (Some(first), Some(last)) = (self.records.front(), self.records.back()) else {
            return Timestamp::MAX;
        };
        if patiently {
            return spec.expiry(last.at);
        }
        let is_over = |row: &Accepted<T>| spec.is_closed(spec.left(row.at), now);
        let open = self.records.get(split(&self.records, is_over));
        let closing = open.map_or(Timestamp::MAX, |row| spec.closing(spec.left(row.at)));
        closing.min(spec.expiry(first.at))
    }

    /// What a record changes; `None` if it is in no open window, its own included.
    pub(crate) fn seek(&self, spec: Sliding, at: Timestamp, now: Timestamp) -> Option<Entry> {
        let own = spec.left(at);
        let [lefts, rights] =
            [&self.lefts, &self.rights].map(|panes| open_among(panes, spec, (own, at), now));
        let is_new = |start: &Timestamp| {
            !spec.is_closed(*start, now)
                && find(&self.lefts, *start).or_else(|| find(&self.rights, *start)).is_none()
        };
        let place = split(&self.records, |row| row.at < at);
        // A record between them would have brought the window of an earlier one into being.
        let before = place.checked_sub(1).map(|place| right(self.records[place].at));
        let before = before.filter(|start| *start > own && spec.end(*start) >= at);
        let (own, before) = (Some(own).filter(is_new), before.filter(is_new));
        let in_some = |panes: &VecDeque<Pane<A>>, places: &Range<usize>| {
            panes.range(places.clone()).any(|pane| pane.value.is_some())
        };
        if own.is_none()
            && before.is_none()
            && !in_some(&self.rights, &rights)
            && !in_some(&self.lefts, &lefts)
        {
            return None;
        }
        let later = self.records.get(split(&self.records, |row| row.at <= at));
        let is_near = |later: &&Accepted<T>| later.at <= spec.end(right(at));
        let behind = later.filter(is_near).map(|_| right(at));
        Some(Entry { lefts, rights, own, before, behind: behind.filter(is_new) })
    }

    /// Takes a record into its windows, and keeps it. `changed` is shown each window that is to
    /// be sent, in no order. If user code panics, the windows are to be forgotten.
    pub(super) fn accept(
        &mut self,
        spec: Sliding,
        entry: Entry,
        row: Accepted<T>,
        folds: &Folds<T, A>,
        mut changed: impl FnMut(&Pane<A>),
    ) {
        let Entry { lefts, rights, own, before, behind } = entry;
        let new = |start| Pane::empty(start, Some((folds.init)()));
        let own =
            own.map(|start| self.gather(spec, start, folds).unwrap_or_else(|| new(start)));
        let before = before.map(new);
        let behind = behind.and_then(|start| self.gather(spec, start, folds));
        let came = (row.at, row.number, &row.headers);
        let mut take = |mut pane: Pane<A>| {
            pane.take(came, row.value.clone(), folds);
            pane
        };
        let (own, before) = (own.map(&mut take), before.map(&mut take));
        for (panes, places) in [(&mut self.lefts, lefts), (&mut self.rights, rights)] {
            for pane in panes.range_mut(places).filter(|pane| pane.value.is_some()) {
                pane.take(came, row.value.clone(), folds);
                changed(pane);
            }
        }
        own.iter().chain(&before).chain(&behind).for_each(changed);
        own.into_iter().for_each(|pane| insert(&mut self.lefts, pane));
        let rights = before.into_iter().chain(behind);
        rights.for_each(|pane| insert(&mut self.rights, pane));
        self.next = row.number + 1;
        self.put(row);
    }

    /// The number of the next record.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Takes out the windows that are closed at `now`, and shows them in no order.
    pub(super) fn close(
        &mut self,
        spec: Sliding,
        now: Timestamp,
        mut show: impl FnMut(Pane<A>),
    ) {
        for panes in [&mut self.lefts, &mut self.rights] {
            while let Some(pane) = panes.pop_front_if(|pane| spec.is_closed(pane.start, now)) {
                let is_last = panes.front().is_none_or(|pane| !spec.is_closed(pane.start, now));
                let is_newer = self.seed.as_ref().is_none_or(|seed| seed.start < pane.start);
                if is_last && is_newer && pane.value.is_some() {
                    self.seed = Some(pane.clone());
                }
                show(pane);
            }
        }
        if self.records.is_empty() {
            self.seed = None;
        }
    }

    /// Closes all windows that are open at `now` before their time, and shows them.
    pub(super) fn shut(
        &mut self,
        spec: Sliding,
        now: Timestamp,
        mut show: impl FnMut(Pane<A>),
    ) {
        for pane in self.lefts.iter_mut().chain(&mut self.rights) {
            if !spec.is_closed(pane.start, now) && pane.value.is_some() {
                let Pane { start, last, count, .. } = *pane;
                // A window that is closed has no time of its own any more.
                let at = std::mem::replace(&mut pane.at, start);
                let (value, headers) = (pane.value.take(), std::mem::take(&mut pane.headers));
                show(Pane { start, at, last, count, value, headers });
            }
        }
    }

    /// Folds the windows that are open at `now` out of the records.
    pub(super) fn fold(&mut self, spec: Sliding, now: Timestamp, folds: &Folds<T, A>) {
        self.unfold();
        let ended = self.starts(spec, now, |row| row.ended);
        let [lefts, rights] = self.starts(spec, now, |_| true);
        for (number, starts) in [lefts, rights].into_iter().enumerate() {
            for start in starts {
                if number == 1 && find(&self.lefts, start).is_some() {
                    continue;
                }
                let is_shut = ended.iter().any(|starts| starts.binary_search(&start).is_ok());
                let pane = match is_shut {
                    true => Some(Pane { at: start, ..Pane::empty(start, None) }),
                    false => self.gather(spec, start, folds),
                };
                let panes = if number == 0 { &mut self.lefts } else { &mut self.rights };
                panes.extend(pane);
            }
        }
        self.is_folded = true;
    }

    /// The starts of the windows that some of the records make, as far as they are open at `now`:
    /// those that end with a record, and those that begin behind one, each in order.
    fn starts(
        &self,
        spec: Sliding,
        now: Timestamp,
        of: impl Fn(&Accepted<T>) -> bool,
    ) -> [Vec<Timestamp>; 2] {
        let mut times: Vec<Timestamp> =
            self.records.iter().filter(|row| of(row)).map(|row| row.at).collect();
        times.dedup();
        let is_open = |start: &Timestamp| !spec.is_closed(*start, now);
        let mut lefts: Vec<_> = times.iter().map(|at| spec.left(*at)).filter(is_open).collect();
        lefts.dedup();
        let rights = times.windows(2).filter_map(|pair| {
            let start = right(pair[0]);
            (pair[1] <= spec.end(start)).then_some(start)
        });
        [lefts, rights.filter(is_open).collect()]
    }

    /// The window that begins at `start`, with the records that are kept, by arrival; `None` if
    /// there are none.
    ///
    /// It goes on from another window that begins with the same record, if what it lacks came
    /// later than all that is in it, as records in order do.
    fn gather(&self, spec: Sliding, start: Timestamp, folds: &Folds<T, A>) -> Option<Pane<A>> {
        let before = |at| split(&self.records, |row| row.at < at);
        let until = |at| split(&self.records, |row| row.at <= at);
        let (from, to) = (before(start), until(spec.end(start)));
        if from == to {
            return None;
        }
        let is_in_order = |places: Range<usize>, before: Option<u64>| {
            let numbers = self.records.range(places).map(|row| row.number);
            before.into_iter().chain(numbers).is_sorted()
        };
        let known = [last_before(&self.lefts, start), last_before(&self.rights, start)];
        let known = known.into_iter().flatten();
        let seed = known.chain(&self.seed).filter(|pane| pane.start <= start);
        let seed = seed.max_by_key(|pane| pane.start).and_then(|pane| {
            let more = until(spec.end(pane.start)).max(from);
            let has_all = pane.value.is_some()
                && pane.start > self.dropped
                && before(pane.start) == from
                && pane.count == more - from
                && is_in_order(more..to, Some(pane.last));
            has_all.then(|| (Pane { start, ..pane.clone() }, more))
        });
        let (mut pane, from) =
            seed.unwrap_or_else(|| (Pane::empty(start, Some((folds.init)())), from));
        let mut take = |row: &Accepted<T>| {
            pane.take((row.at, row.number, &row.headers), row.value.clone(), folds);
        };
        if is_in_order(from..to, None) {
            self.records.range(from..to).for_each(take);
        } else {
            let mut rows: Vec<_> = self.records.range(from..to).collect();
            rows.sort_unstable_by_key(|row| row.number);
            rows.into_iter().for_each(&mut take);
        }
        Some(pane)
    }
}

/// The windows that may take a record, by their places: those that begin from one time to another
/// and are open at `now`.
fn open_among<A>(
    panes: &VecDeque<Pane<A>>,
    spec: Sliding,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Range<usize> {
    let is_over = |pane: &Pane<A>| pane.start < from || spec.is_closed(pane.start, now);
    let first = split(panes, is_over);
    let behind = split(panes, |pane| pane.start <= to);
    first..behind.max(first)
}

/// The place of the window that begins at `start`.
fn find<A>(panes: &VecDeque<Pane<A>>, start: Timestamp) -> Option<usize> {
    let place = split(panes, |pane| pane.start < start);
    panes.get(place).filter(|pane| pane.start == start).map(|_| place)
}

/// The last window that does not begin after `start`.
fn last_before<A>(panes: &VecDeque<Pane<A>>, start: Timestamp) -> Option<&Pane<A>> {
    split(panes, |pane| pane.start <= start).checked_sub(1).map(|place| &panes[place])
}

fn insert<A>(panes: &mut VecDeque<Pane<A>>, pane: Pane<A>) {
    let place = split(panes, |other| other.start < pane.start);
    panes.insert(place, pane);
}

/// How many of a list in order `are_before` what is looked for: most often none, one or all.
/// The ends are near at hand, and a search among what lies between them waits for memory.
#[inline]
fn split<T>(list: &VecDeque<T>, are_before: impl Fn(&T) -> bool) -> usize {
    if list.back().is_none_or(&are_before) {
        return list.len();
    }
    match list.iter().take(2).position(|one| !are_before(one)) {
        Some(place) => place,
        None => list.partition_point(are_before),
    }
}
