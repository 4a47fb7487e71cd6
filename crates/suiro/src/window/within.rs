//! How near two records must be in time to be joined.

use crate::operators::join_streams::Spec;
use std::time::Duration;
use suiro_core::time::millis;

/// How near in time the records of two streams must be to make a pair: the right one in
/// `[left - before, left + after]`, both ends included (rule J1).
///
/// ```
/// use std::time::Duration;
/// use suiro::{TestDriver, Topic, Topology, Within};
///
/// const VIEWS: Topic<String, u64> = Topic::json("views");
/// const CLICKS: Topic<String, u64> = Topic::json("clicks");
/// const PAIRS: Topic<String, (u64, u64)> = Topic::json("pairs");
///
/// // A click up to ten seconds behind its view.
/// let soon = Within::of(Duration::ZERO).after(Duration::from_secs(10));
/// let topology = Topology::new("ads");
/// let (views, clicks) = (topology.stream(&VIEWS), topology.stream(&CLICKS));
/// views.join_within("pairs", clicks, soon, |view, click| (*view, *click)).to(&PAIRS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&VIEWS, "ann".into(), 1, 1_000)?;
/// driver.send(&CLICKS, "ann".into(), 2, 11_000)?;
/// driver.send(&CLICKS, "ann".into(), 3, 11_001)?;
/// let pairs: Vec<_> = driver.read(&PAIRS)?.into_iter().map(|pair| pair.value).collect();
/// assert_eq!(pairs, [(1, 2)]);
/// # Ok::<(), suiro::Error>(())
/// ```
#[doc(alias = "JoinWindows")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    before: Duration,
    after: Duration,
    grace: Duration,
}

impl Within {
    /// The right record is at most `distance` before or after the left one. No grace.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::Within;
    ///
    /// let minute = Duration::from_mins(1);
    /// assert_eq!(Within::of(minute), Within::of(Duration::ZERO).before(minute).after(minute));
    /// ```
    #[doc(alias = "ofTimeDifferenceWithNoGrace")]
    pub fn of(distance: Duration) -> Self {
        Self { before: distance, after: distance, grace: Duration::ZERO }
    }

    /// How far the right record may be before the left one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::Within;
    ///
    /// // A payment up to an hour before its order, or up to a minute behind it.
    /// let near = Within::of(Duration::from_mins(1)).before(Duration::from_hours(1));
    /// assert_eq!(near.after(Duration::from_mins(1)), near);
    /// ```
    #[must_use]
    pub fn before(self, before: Duration) -> Self {
        Self { before, ..self }
    }

    /// How far the right record may be after the left one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::Within;
    ///
    /// // An answer up to a minute behind its question.
    /// let soon = Within::of(Duration::ZERO).after(Duration::from_mins(1));
    /// assert_eq!(soon.before(Duration::ZERO), soon);
    /// ```
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// How long records are still paired with late ones: a left record is kept until stream
    /// time has reached its time + after + 1 ms + grace, a right one likewise with before
    /// (rule J5).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Within};
    ///
    /// const VIEWS: Topic<String, u64> = Topic::json("views");
    /// const CLICKS: Topic<String, u64> = Topic::json("clicks");
    /// const PAIRS: Topic<String, (u64, u64)> = Topic::json("pairs");
    ///
    /// let near = Within::of(Duration::from_secs(10)).grace(Duration::from_secs(60));
    /// let topology = Topology::new("ads");
    /// let (views, clicks) = (topology.stream(&VIEWS), topology.stream(&CLICKS));
    /// views.join_within("pairs", clicks, near, |view, click| (*view, *click)).to(&PAIRS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&VIEWS, "ann".into(), 1, 0)?;
    /// driver.send(&CLICKS, "bob".into(), 2, 70_000)?;
    /// driver.send(&CLICKS, "ann".into(), 3, 5_000)?;
    /// assert_eq!(driver.read(&PAIRS)?[0].value, (1, 3));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    pub(crate) fn spec(self) -> Spec {
        let Self { before, after, grace } = self;
        Spec { before: millis(before), after: millis(after), grace: millis(grace) }
    }
}
