//! Tumbling windows: of one size, side by side.

use super::Told;
use crate::draft::Draft;
use crate::operators::fold::{Add, Init};
use crate::operators::slice_fold::Combine;
use crate::operators::{self, window_fold};
use crate::state::Hops;
use crate::{Data, InWindow, Key, Stream, Topic, Windowed};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::Error;
use suiro_core::time::millis;

/// Windows of one fixed size, side by side, aligned to the epoch: `[start, start + size)`
/// (rule W1).
///
/// ```
/// use std::time::Duration;
/// use suiro::{TestDriver, Topic, Topology, Tumbling};
///
/// const SALES: Topic<String, u64> = Topic::json("sales");
/// const HOURLY: Topic<String, u64> = Topic::json("hourly-sales");
///
/// let topology = Topology::new("sales");
/// topology
///     .stream(&SALES)
///     .window(Tumbling::of(Duration::from_secs(10)))
///     .fold("hourly", || 0, |sum, sale| *sum += sale)
///     .on_close()
///     .map(|window| window.value)
///     .to(&HOURLY);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (sale, at) in [(1, 0), (2, 9_999), (4, 10_000)] {
///     driver.send(&SALES, "shop".into(), sale, at)?;
/// }
/// assert_eq!(driver.read(&HOURLY)?[0].value, 3);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    pub(crate) size: Duration,
    pub(crate) grace: Duration,
}

impl Tumbling {
    /// Windows of `size`, and no grace. A size below one millisecond is refused by
    /// [`build`](crate::Topology::build).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Topic, Topology, Tumbling};
    ///
    /// const SALES: Topic<String, u64> = Topic::json("sales");
    ///
    /// let topology = Topology::new("sales");
    /// let none = Tumbling::of(Duration::ZERO);
    /// let _sales = topology.stream(&SALES).window(none).count("sales").on_close();
    /// assert!(topology.build().is_err());
    /// ```
    pub fn of(size: Duration) -> Self {
        Self { size, grace: Duration::ZERO }
    }

    /// How long after its end a window still takes records: it closes when stream time has
    /// reached end + grace (rule W4). Whole milliseconds count.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const SALES: Topic<String, u64> = Topic::json("sales");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let windows = Tumbling::of(Duration::from_secs(10)).grace(Duration::from_secs(5));
    /// let topology = Topology::new("sales");
    /// let counts = topology.stream(&SALES).window(windows).count("counts").on_close();
    /// counts.map(|window| window.value).to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for at in [1_000, 14_999, 9_000, 15_000] {
    ///     driver.send(&SALES, "shop".into(), 1, at)?;
    /// }
    /// assert_eq!(driver.read(&COUNTS)?[0].value, 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// For the fold of that name; what cannot be is refused.
    pub(crate) fn hops(self, (fold, draft): (&str, &Draft)) -> Hops {
        let size = millis(self.size);
        if size == 0 {
            let text = "a window needs a size of a millisecond at least";
            draft.refuse(Error::invalid(text).with("fold", fold));
        }
        let size = size.max(1);
        Hops { size, advance: size, grace: millis(self.grace) }
    }
}

impl<K: Key, V: Data> Windowed<K, V, Tumbling> {
    /// Folds the values in each window, in order of their arrival. `name` names the store and
    /// its changelog, `<app>.<name>.changelog`, for good.
    ///
    /// `init` makes the state of a window at its first record, `add` takes each record into it.
    /// A panic in either is one failed record, for the policy.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const TEMPERATURES: Topic<String, i32> = Topic::json("temperatures");
    /// const HIGHS: Topic<String, i32> = Topic::json("daily-highs");
    ///
    /// let topology = Topology::new("weather");
    /// let day = Duration::from_hours(24);
    /// let days = topology.stream(&TEMPERATURES).window(Tumbling::of(day));
    /// let highs = days.fold("highs", || i32::MIN, |high, degrees| *high = degrees.max(*high));
    /// highs.on_close().map(|day| day.value).to(&HIGHS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (degrees, hour) in [(4, 6), (11, 14), (7, 20), (3, 25)] {
    ///     driver.send(&TEMPERATURES, "oslo".into(), degrees, hour * 3_600_000)?;
    /// }
    /// assert_eq!(driver.read(&HIGHS)?[0].value, 11);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
    ) -> WindowTable<K, V, A> {
        let Self { stream, windows } = self;
        let hops = windows.hops((name, &stream.draft));
        let (init, add): (Init<A>, Add<A, V>) = (Arc::new(init), Arc::new(add));
        window_fold::add(stream, name, hops, (init, add), None)
    }

    /// Counts the records in each window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const RATES: Topic<String, u64> = Topic::json("clicks-per-minute");
    ///
    /// let topology = Topology::new("rates");
    /// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
    /// minutes.count("rates").on_close().map(|minute| minute.value).to(&RATES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for second in [0, 30, 59, 60] {
    ///     driver.send(&CLICKS, "ann".into(), "home".into(), second * 1_000)?;
    /// }
    /// assert_eq!(driver.read(&RATES)?[0].value, 3);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn count(self, name: &str) -> WindowTable<K, V, u64> {
        self.fold(name, || 0, |count, _| *count += 1)
    }
}

/// A windowed fold that has not been told when to speak. Until it is, it has no `map` and no
/// `to`:
///
/// ```compile_fail
/// # use std::time::Duration;
/// # use suiro::{Topic, Topology, Tumbling};
/// # const CLICKS: Topic<String, String> = Topic::json("clicks");
/// # let topology = Topology::new("rates");
/// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
/// minutes.count("rates").map(|minute| minute.value);
/// ```
///
/// Its methods say how it may speak:
///
/// ```
/// use std::time::Duration;
/// use suiro::{Topic, Topology, Tumbling};
///
/// const CLICKS: Topic<String, String> = Topic::json("clicks");
///
/// let topology = Topology::new("rates");
/// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
/// let rates = minutes.count("rates");
/// let _late = rates.late();
/// let _rates = rates.on_close();
/// assert!(topology.build().is_ok());
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "say when the windows speak: `on_close()`, `on_update()` or `every(..)`"]
pub struct WindowTable<K: 'static, V: 'static, A: 'static> {
    pub(crate) results: Stream<K, InWindow<A>>,
    pub(crate) late: Stream<K, V>,
    pub(crate) emit: window_fold::Emit,
    /// By what states are merged, where that can be said.
    pub(crate) combine: Option<Combine<A>>,
}

impl<K: 'static, V: 'static, A: 'static> std::fmt::Debug for WindowTable<K, V, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowTable").field("results", &self.results).finish_non_exhaustive()
    }
}

impl<K: Key, V: Data, A: Data> WindowTable<K, V, A> {
    /// Each window once, with its final value, when it closes (rule W5).
    ///
    /// A window closes when the stream time of this fold reaches its end + grace, at the record
    /// that brings the time; a [sliding](crate::Sliding) one, whose end is in it, a millisecond
    /// later. Windows that close together go in order of end, start and key; a
    /// result has the largest time of a record in its window, and the headers of the last.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const RATES: Topic<String, u64> = Topic::json("clicks-per-minute");
    ///
    /// let topology = Topology::new("rates");
    /// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
    /// minutes.count("rates").on_close().map(|minute| minute.value).to(&RATES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 5_000)?;
    /// assert!(driver.read(&RATES)?.is_empty());
    /// driver.send(&CLICKS, "bob".into(), "home".into(), 60_000)?;
    /// let rate = &driver.read(&RATES)?[0];
    /// assert_eq!((rate.key.as_str(), rate.value, rate.at.as_millis()), ("ann", 1, 5_000));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "suppress")]
    pub fn on_close(self) -> Stream<K, InWindow<A>> {
        self.emit.on_close();
        self.results
    }

    /// Each window at every update, with its value so far. The time of a result is the largest
    /// of a record in the window (rule W8); late records send nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const RATES: Topic<String, u64> = Topic::json("clicks-per-minute");
    ///
    /// let topology = Topology::new("rates");
    /// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
    /// minutes.count("rates").on_update().map(|minute| minute.value).to(&RATES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 5_000)?;
    /// driver.send(&CLICKS, "ann".into(), "cart".into(), 6_000)?;
    /// let rates: Vec<_> = driver.read(&RATES)?.into_iter().map(|rate| rate.value).collect();
    /// assert_eq!(rates, [1, 2]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_update(self) -> Stream<K, InWindow<A>> {
        self.emit.on_update();
        self.results
    }

    /// Each window that has changed, with its value so far, about once in `every` by the clock
    /// (rule E1): the last update of each, also of those that have closed meanwhile, so that none
    /// is ever missed. Those shown together go in order of time and key.
    ///
    /// What has not been shown yet is kept in a store and changelog of its own, named as the fold
    /// is, with `-every` behind it: it survives a crash, and what a start finds there is shown at
    /// once. How often windows are shown is outside of rule D1, what is shown in the end is
    /// not; the end of a bounded run shows what is left.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const RATES: Topic<String, u64> = Topic::json("clicks-per-minute");
    ///
    /// let topology = Topology::new("rates");
    /// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
    /// let rates = minutes.count("rates").every(Duration::from_secs(5));
    /// rates.map(|minute| minute.value).to(&RATES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for at in [1_000, 2_000, 3_000] {
    ///     driver.send(&CLICKS, "ann".into(), "home".into(), at)?;
    /// }
    /// driver.advance_to(5_000)?;
    /// let rates: Vec<_> = driver.read(&RATES)?.into_iter().map(|rate| rate.value).collect();
    /// assert_eq!(rates, [3]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn every(self, every: Duration) -> Stream<K, InWindow<A>> {
        self.emit.on_update();
        let name = self.emit.name_of_pending();
        operators::every::add(self.results, &name, operators::every::window, every)
    }

    /// The records that came too late for their window, unchanged in key, value, time and
    /// headers (rule W4). [`Metrics::late`](crate::Metrics::late) counts them in any case.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const LATE: Topic<String, String> = Topic::json("late-clicks");
    ///
    /// let topology = Topology::new("rates");
    /// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
    /// let rates = minutes.count("rates");
    /// rates.late().to(&LATE);
    /// let _rates = rates.on_close();
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 60_000)?;
    /// driver.send(&CLICKS, "ann".into(), "cart".into(), 59_999)?;
    /// assert_eq!(driver.read(&LATE)?[0].value, "cart");
    /// assert_eq!(driver.metrics().late, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "sideOutputLateData")]
    pub fn late(&self) -> Stream<K, V> {
        self.emit.want_late();
        self.late.clone()
    }

    #[doc(hidden)]
    pub fn to(self, topic: &Topic<K, InWindow<A>>)
    where
        Self: Told,
    {
        self.on_close().to(topic);
    }

    #[doc(hidden)]
    pub fn map<W: Send + 'static>(
        self,
        change: impl Fn(InWindow<A>) -> W + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        Self: Told,
    {
        self.on_close().map(change)
    }
}
