//! Event time, and the only door through which anybody learns the time of day.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time: milliseconds since the Unix epoch (rule T1).
///
/// Event times are never negative; a negative time is invalid input. Adding and
/// subtracting a [`Duration`] counts whole milliseconds and saturates.
///
/// ```
/// use std::time::Duration;
/// use suiro_core::Timestamp;
///
/// let noon = Timestamp::from_millis(43_200_000);
/// assert_eq!((noon + Duration::from_secs(1)).as_millis(), 43_201_000);
/// assert!(noon < Timestamp::MAX);
/// ```
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The epoch, and the smallest valid event time.
    pub const ZERO: Self = Self(0);
    /// Before every valid event time: the stream time of an operator that saw no record.
    pub const MIN: Self = Self(i64::MIN);
    /// After every event time.
    pub const MAX: Self = Self(i64::MAX);

    /// The time `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whether a record may carry this time.
    pub const fn is_valid(self) -> bool {
        self.0 >= 0
    }

    /// This time plus `millis`, held at the ends of the range.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// Whole milliseconds of `duration`, held at [`i64::MAX`].
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.plus_millis(millis(duration))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

impl From<i64> for Timestamp {
    fn from(millis: i64) -> Self {
        Self(millis)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The only way to know the time. The simulator has one of its own.
pub trait Clock: Send + Sync {
    /// The time of day. It may jump.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment. It never goes back; deadlines are made of it.
    fn elapsed(&self) -> Duration;
}

/// The clock of the machine.
///
/// ```
/// use suiro_core::{Clock, SystemClock};
///
/// let clock = SystemClock::default();
/// assert!(clock.now().is_valid());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, millis))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
