//! Records that a join keeps of one key and one side, in order of time and arrival.

use std::collections::VecDeque;
use suiro_core::{Headers, Timestamp};

/// A value of the left or of the right side of a join.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Either<V, T> {
    Left(V),
    Right(T),
}

/// The sides of a join, as places in a pair.
pub(crate) const LEFT: usize = 0;
pub(crate) const RIGHT: usize = 1;

/// A record that waits for partners.
#[derive(Clone, Debug)]
pub(crate) struct Kept<A> {
    pub(crate) at: Timestamp,
    /// Tells records of one time apart, in order of arrival.
    pub(crate) number: u32,
    /// Whether it was paired; known only where the kind of join asks.
    pub(crate) matched: bool,
    /// The generation of changes in which it came; 0 for one that was read.
    pub(super) born: u64,
    pub(crate) value: A,
    pub(crate) headers: Headers,
}

/// The records of a side. Most come in order of time, and all go in it.
#[derive(Debug)]
pub(crate) struct KeptList<A>(VecDeque<Kept<A>>);

impl<A> Default for KeptList<A> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<A> KeptList<A> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Kept<A>> {
        self.0.iter()
    }

    /// The record that comes first.
    pub(crate) fn first(&self) -> Option<&Kept<A>> {
        self.0.front()
    }

    pub(super) fn take_first(&mut self) -> Option<Kept<A>> {
        self.0.pop_front()
    }

    fn reserve(&mut self) {
        // Most keys have one record on a side, and a list makes room for four by itself.
        if self.0.capacity() == 0 {
            self.0.reserve_exact(1);
        }
    }

    /// Puts a record behind those of its time, and gives the number that tells it apart.
    pub(super) fn put(&mut self, mut row: Kept<A>) -> u32 {
        self.reserve();
        let place = match self.0.back() {
            Some(last) if last.at > row.at => self.0.partition_point(|kept| kept.at <= row.at),
            _ => self.0.len(),
        };
        let before = place.checked_sub(1).map(|before| &self.0[before]);
        row.number = match before {
            Some(before) if before.at == row.at => before.number + 1,
            _ => 0,
        };
        let number = row.number;
        self.0.insert(place, row);
        number
    }

    /// Puts a record back to where it was.
    pub(super) fn put_back(&mut self, row: Kept<A>) {
        self.reserve();
        match self.search(row.at, row.number) {
            Ok(place) => self.0[place] = row,
            Err(place) => self.0.insert(place, row),
        }
    }

    fn search(&self, at: Timestamp, number: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&(at, number), |row| (row.at, row.number))
    }

    pub(super) fn get(&self, at: Timestamp, number: u32) -> Option<&Kept<A>> {
        self.search(at, number).ok().map(|place| &self.0[place])
    }

    pub(super) fn get_mut(&mut self, at: Timestamp, number: u32) -> Option<&mut Kept<A>> {
        self.search(at, number).ok().map(|place| &mut self.0[place])
    }

    pub(super) fn remove(&mut self, at: Timestamp, number: u32) -> Option<Kept<A>> {
        self.search(at, number).ok().and_then(|place| self.0.remove(place))
    }

    /// Takes out those that `test` names.
    pub(super) fn extract(&mut self, test: impl Fn(&Kept<A>) -> bool) -> Vec<Kept<A>> {
        let rows = std::mem::take(&mut self.0).into_iter();
        let (gone, left): (Vec<_>, Vec<_>) = rows.partition(test);
        self.0 = left.into();
        gone
    }

    /// The records from one time to another, both included.
    pub(crate) fn between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &Kept<A>> {
        let place = self.0.partition_point(|row| row.at < from);
        self.0.range(place..).take_while(move |row| row.at <= to)
    }

    pub(super) fn between_mut(
        &mut self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &mut Kept<A>> {
        let place = self.0.partition_point(|row| row.at < from);
        self.0.range_mut(place..).take_while(move |row| row.at <= to)
    }
}
