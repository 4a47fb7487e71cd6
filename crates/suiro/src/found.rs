//! What a pattern has found: a match, or a part of one whose time is over.

use serde::{Deserialize, Serialize};
use suiro_core::Timestamp;

/// The events of a match, by the stages that took them; also of a partial match, where the
/// stages that nothing came for are empty.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Match, TestDriver, Topic, Topology};
///
/// const STEPS: Topic<String, u64> = Topic::json("steps");
/// const RISES: Topic<String, Match<u64>> = Topic::json("rises");
///
/// let topology = Topology::new("rises");
/// let steps = topology.stream(&STEPS).pattern("rises", |step| *step < 10).times(2);
/// steps.then(|step| *step > 100).within(Duration::from_secs(1)).matches().to(&RISES);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (step, at) in [(3, 100), (5, 150), (50, 200), (700, 300)] {
///     driver.send(&STEPS, "k".into(), step, at)?;
/// }
/// let rise = &driver.read(&RISES)?[0].value;
/// assert_eq!((rise.stage(0), rise.stage(1)), (&[3, 5][..], &[700][..]));
/// assert_eq!((rise.start, rise.end), (100.into(), 300.into()));
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match<V> {
    /// The smallest time of its events.
    pub start: Timestamp,
    /// The largest time of its events.
    pub end: Timestamp,
    values: Vec<V>,
    /// How many values there are up to the end of each stage.
    ends: Vec<u32>,
}

impl<V> Match<V> {
    pub(crate) fn new(
        (start, end): (Timestamp, Timestamp),
        values: Vec<V>,
        ends: Vec<u32>,
    ) -> Self {
        Self { start, end, values, ends }
    }

    /// How many stages the pattern has. Those that are forbidden are none.
    ///
    /// ```
    /// fn is_part<V>(part: &suiro::Match<V>) -> bool {
    ///     (0..part.stages()).any(|stage| part.stage(stage).is_empty())
    /// }
    /// # let _ = is_part::<u64>;
    /// ```
    pub fn stages(&self) -> usize {
        self.ends.len()
    }

    /// The values that a stage took, in order of arrival. Stages are counted from 0; one that is
    /// not there took none.
    ///
    /// ```
    /// fn first<V>(found: &suiro::Match<V>) -> Option<&V> {
    ///     found.stage(0).first()
    /// }
    /// # let _ = first::<u64>;
    /// ```
    pub fn stage(&self, number: usize) -> &[V] {
        let end_of = |number: usize| self.ends.get(number).map(|end| *end as usize);
        let from = number.checked_sub(1).and_then(end_of).unwrap_or(0);
        end_of(number).map_or(&[], |to| &self.values[from..to])
    }

    /// The values of all stages, in order of arrival.
    ///
    /// ```
    /// fn cents(orders: &suiro::Match<u64>) -> u64 {
    ///     orders.values().iter().sum()
    /// }
    /// # let _ = cents;
    /// ```
    pub fn values(&self) -> &[V] {
        &self.values
    }

    /// As [`values`](Match::values), to keep.
    ///
    /// ```
    /// fn last<V>(found: suiro::Match<V>) -> Option<V> {
    ///     found.into_values().pop()
    /// }
    /// # let _ = last::<u64>;
    /// ```
    pub fn into_values(self) -> Vec<V> {
        self.values
    }
}

/// What came of a pattern: [`with_time_outs`](crate::TimedPattern::with_time_outs) gives it.
///
/// ```
/// use suiro::Found;
///
/// fn tell(found: &Found<String>) -> String {
///     match found {
///         Found::Match(whole) => format!("{} events", whole.values().len()),
///         Found::TimeOut(part) => format!("nothing after {:?}", part.values().last()),
///     }
/// }
/// # let _ = tell;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found<V> {
    /// All stages took what they wait for.
    Match(Match<V>),
    /// The time was over before that (rule P7).
    TimeOut(Match<V>),
}
