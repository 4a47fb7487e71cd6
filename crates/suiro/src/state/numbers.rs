//! Numbers of rows in the order in which they came, and which of them are committed.

/// Gives numbers, and knows from which on they are of a generation that is open.
#[derive(Default)]
pub(super) struct Numbers {
    next: u64,
    /// The first of the generation at hand.
    first: u64,
    /// The first that is not committed; that of the generation in flight, if there is one.
    settled: u64,
    is_sealed: bool,
}

impl Numbers {
    pub(super) fn give(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Such a number was given before, and is committed.
    pub(super) fn have_given(&mut self, number: u64) {
        self.next = self.next.max(number + 1);
    }

    /// All that were given are committed.
    pub(super) fn settle(&mut self) {
        (self.first, self.settled, self.is_sealed) = (self.next, self.next, false);
    }

    /// The first of the generation at hand.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn is_committed(&self, number: u64) -> bool {
        number < self.settled
    }

    /// The generation at hand goes into flight, and another one begins.
    pub(super) fn seal(&mut self) {
        (self.first, self.is_sealed) = (self.next, true);
    }

    /// What is in flight is durable, or else what is at hand.
    pub(super) fn commit(&mut self) {
        if !std::mem::take(&mut self.is_sealed) {
            self.first = self.next;
        }
        self.settled = self.first;
    }

    /// Those of all open generations are given again.
    pub(super) fn rollback(&mut self) {
        (self.next, self.first, self.is_sealed) = (self.settled, self.settled, false);
    }
}
