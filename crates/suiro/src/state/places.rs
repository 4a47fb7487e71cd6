//! Where rows were found, remembered from a pass over their keys.

/// Places in a map, in the order in which they will be asked for. They are hints: a place that
/// is no longer right costs a look-up and nothing else.
#[derive(Default)]
pub(crate) struct Places {
    pub(super) found: Vec<u32>,
    next: usize,
}

/// The place of a row that was not found.
pub(super) const NOWHERE: u32 = u32::MAX;

impl Places {
    /// The place of the next key.
    #[inline]
    pub(crate) fn next(&mut self) -> u32 {
        let place = self.found.get(self.next).copied().unwrap_or(NOWHERE);
        self.next += 1;
        place
    }

    /// How many keys there are places for.
    pub(crate) fn left(&self) -> usize {
        self.found.len().saturating_sub(self.next)
    }

    /// As if `count` keys had been looked for and not found.
    pub(crate) fn skip(&mut self, count: usize) {
        self.found.resize(self.found.len() + count, NOWHERE);
    }

    pub(crate) fn clear(&mut self) {
        self.found.clear();
        self.next = 0;
    }
}
