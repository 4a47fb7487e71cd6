//! The patterns that random programs look for.

/// A pattern, and how it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Its number in [`PATTERNS`].
    pub pattern: usize,
    /// How far the events of a match may be apart.
    pub within: i64,
    /// Whether an event may be in several matches.
    pub overlapping: bool,
    /// Whether what is not whole in time is told.
    pub time_outs: bool,
}

/// A part of a pattern. Its place says for which values its test holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A stage that passes over what is not for it.
    Then(Count),
    /// A stage whose events come directly.
    Next(Count),
    /// What must not come.
    Not,
}

/// How many events a stage takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Times(u32),
    /// So many or more.
    AtLeast(u32),
}

impl Count {
    /// How many it needs.
    pub fn least(self) -> usize {
        match self {
            Self::Times(count) | Self::AtLeast(count) => count as usize,
        }
    }
}

use Count::{AtLeast, Times};
use Part::{Next, Not, Then};

/// All patterns.
pub const PATTERNS: [&[Part]; 8] = [
    &[Then(Times(1)), Then(Times(1))],
    &[Then(Times(3))],
    &[Then(Times(1)), Not],
    &[Then(Times(1)), Not, Then(Times(2))],
    &[Then(AtLeast(2)), Not],
    &[Then(Times(1)), Next(AtLeast(1)), Then(Times(1))],
    &[Then(AtLeast(1)), Not, Next(Times(1)), Not, Not],
    &[Then(Times(1)), Then(AtLeast(1)), Next(Times(2))],
];

impl Sought {
    /// Its parts.
    pub fn parts(self) -> &'static [Part] {
        PATTERNS[self.pattern]
    }

    /// Whether results may be of earlier records than the one at hand.
    pub fn waits(self) -> bool {
        self.time_outs || self.parts().last() == Some(&Not)
    }
}
