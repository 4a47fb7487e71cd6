//! How long the pause behind a record may be in a session: as long for all, or as its value says.

use crate::state::{Furthest, OneGap, Reach};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::time::millis;
use suiro_core::{Error, Result};

/// Says the gaps of records with values `V`, in milliseconds.
pub(crate) trait Gap<V>: Clone + Send + Sync + 'static {
    /// What a session keeps of the gaps of its records.
    type Reach: Reach;

    /// None is longer.
    fn longest(&self) -> i64;

    /// That of a record.
    fn of(&self, value: &V) -> Result<i64>;
}

/// One gap for all records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed(pub(crate) i64);

impl<V> Gap<V> for Fixed {
    type Reach = OneGap;

    fn longest(&self) -> i64 {
        self.0
    }

    #[inline]
    fn of(&self, _value: &V) -> Result<i64> {
        Ok(self.0)
    }
}

/// What says the gap of a value.
pub(crate) type GapOf<V> = Arc<dyn Fn(&V) -> Duration + Send + Sync>;

/// Each value says its gap, up to the longest.
pub(crate) struct Said<V> {
    pub(crate) longest: i64,
    pub(crate) of: GapOf<V>,
}

impl<V> Clone for Said<V> {
    fn clone(&self) -> Self {
        Self { longest: self.longest, of: Arc::clone(&self.of) }
    }
}

impl<V: 'static> Gap<V> for Said<V> {
    type Reach = Furthest;

    fn longest(&self) -> i64 {
        self.longest
    }

    fn of(&self, value: &V) -> Result<i64> {
        let gap = millis((self.of)(value));
        if gap <= self.longest {
            return Ok(gap);
        }
        let text = "the gap of a record is longer than the longest; name a longer one with \
                    `Sessions::with_gap`, or give the record a shorter one";
        let [gap, longest] = [gap, self.longest].map(|millis| format!("{millis} ms"));
        Err(Error::invalid(text).with("gap", gap).with("longest", longest))
    }
}
