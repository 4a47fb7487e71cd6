//! Before-images of the rows of a map, for the generations that are open.
//!
//! There is one at hand, and there may be one before it whose commit is in flight. Each key that
//! was touched has a number, and numbers go on from one generation to the next: a slot knows its
//! own, and by it whether, and where, there is something to put back.

use super::slot::Slot;
use suiro_core::Timestamp;

/// A key that changed, and its row before that.
pub(crate) struct Touched<K, A> {
    pub(crate) key: K,
    pub(crate) before: Option<(A, Timestamp)>,
}

pub(super) struct Generations<K, A> {
    /// Slots with a larger number were touched since the last commit.
    pub(super) settled: u32,
    /// Those were touched in the generation at hand; the same where none is in flight.
    pub(super) base: u32,
    pub(super) touched: Vec<Touched<K, A>>,
    /// What the generation in flight has touched.
    pub(super) sealed: Option<Vec<Touched<K, A>>>,
    /// Which of `touched` had been touched in the generation in flight, and where that is, in
    /// order.
    again: Vec<(u32, u32)>,
}

impl<K: Clone, A: Clone> Generations<K, A> {
    pub(super) fn new() -> Self {
        Self { settled: 0, base: 0, touched: Vec::new(), sealed: None, again: Vec::new() }
    }

    /// The number of the next key that is touched.
    pub(super) fn next(&self) -> u32 {
        self.base + 1 + self.touched.len() as u32
    }

    /// Keeps the row of a slot as it is, if this is its first change in the generation at hand.
    #[inline]
    pub(super) fn remember(&mut self, key: &K, slot: &mut Slot<A>) {
        if slot.touch() > self.base {
            return;
        }
        let before = slot.get().map(|value| (value.clone(), slot.at()));
        if slot.touch() > self.settled {
            let place = slot.touch() - self.settled - 1;
            self.again.push((self.touched.len() as u32, place));
        }
        slot.set_touch(self.next());
        self.touched.push(Touched { key: key.clone(), before });
    }

    /// The row of a slot as of the last commit.
    pub(super) fn committed<'a>(&'a self, slot: &'a Slot<A>) -> Option<(&'a A, Timestamp)> {
        let touch = slot.touch();
        let touched = if touch > self.base {
            let place = (touch - self.base - 1) as usize;
            self.sealed_at(place).unwrap_or(&self.touched[place])
        } else if touch > self.settled
            && let Some(sealed) = &self.sealed
        {
            &sealed[(touch - self.settled - 1) as usize]
        } else {
            return Some((slot.get()?, slot.at()));
        };
        let (value, at) = touched.before.as_ref()?;
        Some((value, *at))
    }

    /// What the generation in flight has touched of the same key as the one at hand.
    fn sealed_at(&self, place: usize) -> Option<&Touched<K, A>> {
        let found = self.again.binary_search_by_key(&(place as u32), |(place, _)| *place);
        let (_, before) = self.again[found.ok()?];
        Some(&self.sealed.as_ref()?[before as usize])
    }

    /// The generation at hand goes into flight.
    pub(super) fn seal(&mut self) {
        debug_assert!(self.sealed.is_none(), "a third generation is open");
        let touched = std::mem::take(&mut self.touched);
        self.base += touched.len() as u32;
        self.sealed = Some(touched);
    }

    /// What was in flight is durable, or else what is at hand: gives what it has touched.
    pub(super) fn commit(&mut self) -> Vec<Touched<K, A>> {
        if self.sealed.is_none() {
            self.seal();
        }
        self.settled = self.base;
        self.again.clear();
        if cfg!(suiro_mutant = "next_generation_forgotten") {
            self.base += self.touched.len() as u32;
            self.touched.clear();
        }
        self.sealed.take().unwrap_or_default()
    }

    /// Nothing that is open has happened: gives what is to be put back, and whether it has a
    /// place of its own before it, the newest generation first.
    pub(super) fn rollback(&mut self) -> impl Iterator<Item = (Touched<K, A>, bool)> {
        let (touched, again) =
            (std::mem::take(&mut self.touched), std::mem::take(&mut self.again));
        self.base += touched.len() as u32;
        self.settled = self.base;
        let mut sealed = self.sealed.take().unwrap_or_default();
        if cfg!(suiro_mutant = "flight_not_taken_back") {
            sealed.clear();
        }
        let mut again = again.into_iter().peekable();
        let touched = touched.into_iter().zip(0_u32..).map(move |(touched, place)| {
            (touched, again.next_if(|(of, _)| *of == place).is_some())
        });
        touched.chain(sealed.into_iter().map(|sealed| (sealed, false)))
    }

    /// Numbers start anew, where nothing is in flight: gives by how much they become smaller. What
    /// is committed has none then.
    pub(super) fn renumber(&mut self) -> u32 {
        debug_assert!(self.sealed.is_none(), "what is in flight is known by its numbers");
        self.settled = 0;
        std::mem::take(&mut self.base)
    }

    /// Nothing that is open has to be put back.
    pub(super) fn forget(&mut self) {
        self.touched.clear();
        self.sealed = None;
    }

    /// Whether nothing is open.
    pub(super) fn is_settled(&self) -> bool {
        self.touched.is_empty() && self.sealed.as_ref().is_none_or(Vec::is_empty)
    }
}
