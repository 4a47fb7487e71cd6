//! What was done to rows since the last commit, in order, for the generations that are open.
//!
//! There is one at hand, and there may be one before it whose commit is in flight. Rows know in
//! which generation they came, so that little is written down of those that come and go in one.

/// What was done, of which kind the store knows.
pub(super) struct Deeds<D> {
    all: Vec<D>,
    /// How many of them are of the generation in flight, if there is one.
    sealed: Option<usize>,
    /// The number of the generation at hand.
    generation: u64,
    /// The first generation that is not committed.
    settled: u64,
}

impl<D> Deeds<D> {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), sealed: None, generation: 1, settled: 1 }
    }

    /// The number of the generation at hand.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether what came, or was changed, in a generation is committed.
    pub(super) fn is_committed(&self, generation: u64) -> bool {
        generation < self.settled
    }

    /// The last generation that is committed.
    pub(super) fn last_committed(&self) -> u64 {
        self.settled - 1
    }

    #[inline]
    pub(super) fn push(&mut self, deed: D) {
        self.all.push(deed);
    }

    /// All that was done since the last commit.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, D> {
        self.all.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How much was done in the generation at hand.
    #[inline]
    pub(super) fn at_hand(&self) -> usize {
        self.all.len() - self.sealed.unwrap_or_default()
    }

    /// The generation at hand goes into flight, and another one begins.
    pub(super) fn seal(&mut self) {
        debug_assert!(self.sealed.is_none(), "a third generation is open");
        self.sealed = Some(self.all.len());
        self.generation += 1;
    }

    /// What is in flight is durable, or else what is at hand. Gives its number, and how much was
    /// done in it.
    pub(super) fn commit(&mut self) -> (u64, usize) {
        if self.sealed.is_none() {
            self.seal();
        }
        let (committed, count) = (self.settled, self.sealed.take().unwrap_or_default());
        self.all.drain(..count);
        self.settled = self.generation;
        (committed, count)
    }

    /// Nothing that is open has happened: gives what is to be taken back, the newest first.
    pub(super) fn take_back(&mut self) -> impl Iterator<Item = D> + use<D> {
        self.sealed = None;
        self.generation = self.settled;
        std::mem::take(&mut self.all).into_iter().rev()
    }
}
