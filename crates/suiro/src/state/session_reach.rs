//! How far a session reaches beyond its last record: as its store says, or as its records say.

use suiro_core::{Error, Result, Timestamp};

/// What a session keeps of how far it reaches.
pub(crate) trait Reach: Copy + Send + 'static {
    /// That of a session of one record, whose gap ends at `until`.
    fn of(until: Timestamp) -> Self;

    /// That of two sessions which have become one.
    #[must_use]
    fn and(self, other: Self) -> Self;

    /// The time from which on the store counts how long a session with this `end` lingers.
    fn lasts(self, end: Timestamp) -> Timestamp;

    /// What of `gap` the store counts from there.
    fn beyond(gap: i64) -> i64;

    /// What is kept of it in the changelog, if anything.
    fn keep(self) -> Option<Timestamp>;

    /// What was kept.
    fn load(kept: Option<Timestamp>) -> Result<Self>;

    /// What its store depends on, for the form, if `longest` is the longest gap.
    fn kind(longest: i64) -> String;
}

/// All records have one gap, and the store knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneGap;

impl Reach for OneGap {
    fn of(_until: Timestamp) -> Self {
        Self
    }

    fn and(self, _other: Self) -> Self {
        Self
    }

    fn lasts(self, end: Timestamp) -> Timestamp {
        end
    }

    fn beyond(gap: i64) -> i64 {
        gap
    }

    fn keep(self) -> Option<Timestamp> {
        None
    }

    fn load(_kept: Option<Timestamp>) -> Result<Self> {
        Ok(Self)
    }

    fn kind(longest: i64) -> String {
        format!("sessions with a gap of {longest} ms")
    }
}

/// Each record has a gap of its own: the largest time at which one of them ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Furthest(Timestamp);

impl Reach for Furthest {
    fn of(until: Timestamp) -> Self {
        Self(until)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    fn lasts(self, _end: Timestamp) -> Timestamp {
        self.0
    }

    fn beyond(_gap: i64) -> i64 {
        0
    }

    fn keep(self) -> Option<Timestamp> {
        Some(self.0)
    }

    fn load(kept: Option<Timestamp>) -> Result<Self> {
        let missing = || Error::corrupt("a session does not say how far its records reach");
        kept.map(Self).ok_or_else(missing)
    }

    /// How long gaps may be is no part of it: what a session keeps is what its records said.
    fn kind(_longest: i64) -> String {
        "sessions with gaps from their records".to_owned()
    }
}
