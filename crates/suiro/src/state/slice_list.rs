//! The slices of a key in order of time. The last one lies in the list itself: most records go
//! there, keys are met in no order, and each line of memory that a record touches is waited for.

use super::slices::Slice;
use std::cmp::Ordering;
use std::collections::{VecDeque, vec_deque};
use std::iter::Chain;
use std::ops::{Index, IndexMut};
use std::option;
use suiro_core::Timestamp;

pub(super) struct SliceList<A> {
    last: Option<Slice<A>>,
    /// Those before it.
    others: VecDeque<Slice<A>>,
}

impl<A> Default for SliceList<A> {
    fn default() -> Self {
        Self { last: None, others: VecDeque::new() }
    }
}

/// Slices in order of time.
pub(super) type Iter<'a, A> = Chain<vec_deque::Iter<'a, Slice<A>>, option::Iter<'a, Slice<A>>>;

impl<A> SliceList<A> {
    pub(super) fn len(&self) -> usize {
        self.others.len() + usize::from(self.last.is_some())
    }

    pub(super) fn first(&self) -> Option<&Slice<A>> {
        self.others.front().or(self.last.as_ref())
    }

    pub(super) fn last(&self) -> Option<&Slice<A>> {
        self.last.as_ref()
    }

    /// The last slice, to be changed, if it starts at `start`.
    #[inline]
    pub(super) fn last_at(&mut self, start: Timestamp) -> Option<&mut Slice<A>> {
        self.last.as_mut().filter(|slice| slice.start == start)
    }

    pub(super) fn iter(&self) -> Iter<'_, A> {
        self.others.iter().chain(&self.last)
    }

    /// Those from the one at `place` on.
    pub(super) fn from(&self, place: usize) -> Iter<'_, A> {
        let rest = self.others.range(place.min(self.others.len())..);
        let last = if place < self.len() { &self.last } else { &None };
        rest.chain(last)
    }

    /// The place of the slice that starts at `start`, or the one where it would be.
    pub(super) fn search(&self, start: Timestamp) -> Result<usize, usize> {
        let Some(last) = &self.last else { return Err(0) };
        let length = self.others.len();
        match start.cmp(&last.start) {
            Ordering::Greater => return Err(length + 1),
            Ordering::Equal => return Ok(length),
            Ordering::Less => {}
        }
        // A record that is a little late is for the one before.
        if let Some(before) = self.others.back()
            && start >= before.start
        {
            return if start == before.start { Ok(length - 1) } else { Err(length) };
        }
        let first = self.others.front().map_or(last.start, |slice| slice.start);
        if start < first {
            return Err(0);
        }
        // Where each has a record they follow each other in even distances.
        let millis = |from: Timestamp| start.as_millis().abs_diff(from.as_millis());
        let (before, behind) = (millis(first), millis(last.start));
        let part = before as f64 / (before + behind) as f64;
        let place = (part * length as f64).round() as usize;
        match self.others.get(place) {
            Some(slice) if slice.start == start => Ok(place),
            _ => self.others.binary_search_by_key(&start, |slice| slice.start),
        }
    }

    /// How many begin before `start`.
    pub(super) fn before(&self, start: Timestamp) -> usize {
        self.search(start).unwrap_or_else(|place| place)
    }

    /// Puts a slice where [`SliceList::search`] says that it would be.
    pub(super) fn insert(&mut self, place: usize, slice: Slice<A>) {
        match place < self.len() {
            true => self.others.insert(place, slice),
            false => self.append(slice),
        }
    }

    /// Puts a slice behind all others.
    #[inline(always)]
    pub(super) fn append(&mut self, slice: Slice<A>) {
        match &mut self.last {
            Some(last) => self.others.push_back(std::mem::replace(last, slice)),
            None => self.last = Some(slice),
        }
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Slice<A>> {
        match place < self.others.len() {
            true => self.others.remove(place),
            false => std::mem::replace(&mut self.last, self.others.pop_back()),
        }
    }

    pub(super) fn pop_first(&mut self) -> Option<Slice<A>> {
        self.others.pop_front().or_else(|| self.last.take())
    }
}

impl<A> Index<usize> for SliceList<A> {
    type Output = Slice<A>;

    fn index(&self, place: usize) -> &Slice<A> {
        let slice = self.others.get(place).or(self.last.as_ref());
        slice.expect("a place is asked for that was found")
    }
}

impl<A> IndexMut<usize> for SliceList<A> {
    fn index_mut(&mut self, place: usize) -> &mut Slice<A> {
        let slice = self.others.get_mut(place).or(self.last.as_mut());
        slice.expect("a place is asked for that was found")
    }
}

#[cfg(test)]
mod tests {
    use super::super::slices::Changed;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use suiro_core::Headers;

    fn slice(start: Timestamp, number: u64) -> Slice<u64> {
        let (changed, headers) = (Changed::NEVER, Headers::NONE);
        Slice { start, at: start, number, changed, value: Some(number), headers }
    }

    proptest! {
        #[test]
        fn a_list_is_a_map_by_start(steps in prop::collection::vec((0..6_u8, 0..30_i64), 0..200)) {
            let (mut list, mut map) = (SliceList::default(), BTreeMap::new());
            for (number, (what, start)) in steps.into_iter().enumerate() {
                let (number, start) = (number as u64, Timestamp::from_millis(start));
                let found = list.search(start);
                prop_assert_eq!(found.is_ok(), map.contains_key(&start));
                prop_assert_eq!(list.before(start), map.range(..start).count());
                match (what, found) {
                    (0, _) => {
                        let first = list.pop_first().map(|slice| slice.start);
                        prop_assert_eq!(first, map.pop_first().map(|(start, _)| start));
                    }
                    (1, Ok(place)) => {
                        let gone = list.remove(place).map(|slice| slice.number);
                        prop_assert_eq!(gone, map.remove(&start));
                    }
                    (_, Ok(place)) => {
                        list[place].number = number;
                        map.insert(start, number);
                    }
                    (_, Err(place)) => {
                        list.insert(place, slice(start, number));
                        map.insert(start, number);
                    }
                }
                let all: Vec<_> = list.iter().map(|slice| (slice.start, slice.number)).collect();
                let expected: Vec<_> = map.iter().map(|(at, number)| (*at, *number)).collect();
                prop_assert_eq!(&all, &expected);
                prop_assert_eq!(list.len(), expected.len());
                prop_assert_eq!(list.first().map(|it| it.start), expected.first().map(|it| it.0));
                prop_assert_eq!(list.last().map(|it| it.start), expected.last().map(|it| it.0));
                prop_assert_eq!(list.last_at(start).is_some(), expected.last().is_some_and(|it| it.0 == start));
                for place in 0..=all.len() {
                    let rest: Vec<_> = list.from(place).map(|slice| slice.start).collect();
                    let expected: Vec<_> = expected[place..].iter().map(|it| it.0).collect();
                    prop_assert_eq!(rest, expected);
                }
            }
        }
    }
}
