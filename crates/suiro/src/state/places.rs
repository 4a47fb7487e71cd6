//! Where rows were found, remembered from a pass over their keys.

/// Where a row was found.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(super) index: u32,
    /// The map was as this number says when the row was found; rows have not moved while it is
    /// the same. Zero: it is only likely that the row is there.
    pub(super) version: u32,
}

/// The index of a row that was not found.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Places in a map, in the order in which they will be asked for.
#[derive(Default)]
pub(crate) struct Places {
    pub(super) found: Vec<u32>,
    pub(super) version: u32,
    next: usize,
}

impl Places {
    /// The place of the next key.
    #[inline]
    pub(crate) fn next(&mut self) -> Place {
        let index = self.found.get(self.next).copied().unwrap_or(NOWHERE);
        self.next += 1;
        Place { index, version: self.version }
    }

    /// How many keys there are places for.
    pub(crate) fn left(&self) -> usize {
        self.found.len().saturating_sub(self.next)
    }

    /// Other keys may be asked for than those that were looked for: then a place that is wrong
    /// costs a look-up and nothing else.
    pub(crate) fn doubt(&mut self) {
        self.version = 0;
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
