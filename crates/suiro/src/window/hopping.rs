//! Hopping windows: of one size, and overlapping.

use crate::draft::Draft;
use crate::operators::fold::{Add, Init};
use crate::operators::slice_fold::Combine;
use crate::operators::window_fold;
use crate::state::Hops;
use crate::{Data, Key, WindowTable, Windowed};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::Error;
use suiro_core::time::millis;

/// Windows of one fixed size that begin at each multiple of a shorter time, aligned to the
/// epoch: `[start, start + size)` (rule W1). A record is in all windows that hold its time.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Hopping, TestDriver, Topic, Topology};
///
/// const SALES: Topic<String, u64> = Topic::json("sales");
/// const LAST_HOUR: Topic<String, u64> = Topic::json("sales-of-an-hour");
///
/// let topology = Topology::new("sales");
/// let minute = Duration::from_mins(1);
/// topology
///     .stream(&SALES)
///     .window(Hopping::of(60 * minute).every(20 * minute))
///     .fold("last-hour", || 0, |sum, sale| *sum += sale)
///     .on_close()
///     .map(|hour| hour.value)
///     .to(&LAST_HOUR);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (sale, minute) in [(1, 0), (2, 30), (4, 70), (0, 140)] {
///     driver.send(&SALES, "shop".into(), sale, minute * 60_000)?;
/// }
/// let sums: Vec<_> = driver.read(&LAST_HOUR)?.into_iter().map(|hour| hour.value).collect();
/// assert_eq!(sums, [3, 6, 4, 4]);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hopping {
    size: Duration,
    advance: Duration,
    grace: Duration,
}

impl Hopping {
    /// Windows of `size`. Until [`every`](Hopping::every) says how far apart they begin, they
    /// lie side by side; there is no grace.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, Topic, Topology};
    ///
    /// const SALES: Topic<String, u64> = Topic::json("sales");
    ///
    /// let topology = Topology::new("sales");
    /// let none = Hopping::of(Duration::ZERO);
    /// let _sales = topology.stream(&SALES).window(none).count("sales").on_close();
    /// assert!(topology.build().is_err());
    /// ```
    pub fn of(size: Duration) -> Self {
        Self { size, advance: size, grace: Duration::ZERO }
    }

    /// A window begins at each multiple of `advance`, which must not be longer than the size:
    /// else [`build`](crate::Topology::build) refuses it, because records between two windows
    /// would be in none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, Topic, Topology};
    ///
    /// const SALES: Topic<String, u64> = Topic::json("sales");
    ///
    /// let topology = Topology::new("sales");
    /// let second = Duration::from_secs(1);
    /// let gaps = Hopping::of(second).every(2 * second);
    /// let _sales = topology.stream(&SALES).window(gaps).count("sales").on_close();
    /// assert!(topology.build().is_err());
    /// ```
    #[doc(alias = "slide")]
    #[must_use]
    pub fn every(self, advance: Duration) -> Self {
        Self { advance, ..self }
    }

    /// How long after its end a window still takes records: it closes when stream time has
    /// reached end + grace (rule W4). Whole milliseconds count.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, TestDriver, Topic, Topology};
    ///
    /// const SALES: Topic<String, u64> = Topic::json("sales");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let second = Duration::from_secs(1);
    /// let windows = Hopping::of(10 * second).every(5 * second).grace(2 * second);
    /// let topology = Topology::new("sales");
    /// let counts = topology.stream(&SALES).window(windows).count("counts").on_close();
    /// counts.map(|window| window.value).to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for at in [1_000, 11_999, 2_000, 12_000] {
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
        let (size, advance) = (millis(self.size), millis(self.advance));
        if advance == 0 || advance > size {
            let text = "windows hop by a millisecond at least, and not by more than their size";
            let error = Error::invalid(text).with("fold", fold);
            draft.refuse(error.with("size", size).with("every", advance));
        }
        let (size, advance) = (size.max(1), advance.clamp(1, size.max(1)));
        Hops { size, advance, grace: millis(self.grace) }
    }
}

impl<K: Key, V: Data> Windowed<K, V, Hopping> {
    /// Folds the values in each window, in order of their arrival. A record changes each of its
    /// windows that is open, in order of their starts; say
    /// [`combining`](WindowTable::combining) if the states of parts can be merged, and it changes
    /// one. `name` names the store and its changelog, `<app>.<name>.changelog`, for good.
    ///
    /// `init` makes the state of a window at its first record, `add` takes each record into it.
    /// A panic in either is one failed record, for the policy: no window keeps it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, TestDriver, Topic, Topology};
    ///
    /// const TEMPERATURES: Topic<String, i32> = Topic::json("temperatures");
    /// const HIGHS: Topic<String, i32> = Topic::json("highs");
    ///
    /// let topology = Topology::new("weather");
    /// let hour = Duration::from_hours(1);
    /// let days = topology.stream(&TEMPERATURES).window(Hopping::of(24 * hour).every(12 * hour));
    /// let highs = days.fold("highs", || i32::MIN, |high, degrees| *high = degrees.max(*high));
    /// highs.on_update().map(|day| day.value).to(&HIGHS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&TEMPERATURES, "oslo".into(), 11, 6 * 3_600_000)?;
    /// driver.send(&TEMPERATURES, "oslo".into(), 4, 14 * 3_600_000)?;
    /// let highs: Vec<_> = driver.read(&HIGHS)?.into_iter().map(|day| day.value).collect();
    /// assert_eq!(highs, [11, 11, 4]);
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
        window_fold::add(stream, name, hops, (init, add), Some(Combine::default()))
    }

    /// Counts the records in each window; counts are [combining](WindowTable::combining).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const RATES: Topic<String, u64> = Topic::json("clicks-per-minute");
    ///
    /// let topology = Topology::new("rates");
    /// let minutes = Hopping::of(Duration::from_mins(1)).every(Duration::from_secs(30));
    /// let rates = topology.stream(&CLICKS).window(minutes).count("rates").on_close();
    /// rates.map(|minute| minute.value).to(&RATES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for second in [0, 40, 50, 90] {
    ///     driver.send(&CLICKS, "ann".into(), "home".into(), second * 1_000)?;
    /// }
    /// let rates: Vec<_> = driver.read(&RATES)?.into_iter().map(|rate| rate.value).collect();
    /// assert_eq!(rates, [3, 2]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn count(self, name: &str) -> WindowTable<K, V, u64> {
        self.fold(name, || 0, |count, _| *count += 1).combining(|count, more| *count += more)
    }
}

impl<K: Key, V: Data, A: Data> WindowTable<K, V, A> {
    /// Says that states can be put together: `merge` takes the state of some values of a window
    /// into that of others. Hopping windows that speak [on close](WindowTable::on_close) are then
    /// folded in slices, of which a record changes one, however many windows it is in; a window
    /// is put together from its slices when it closes, with a few merges. What is sent, and in
    /// which order, is the same. What is kept is not: a program that adds or leaves out
    /// `combining`, or that speaks otherwise, is refused at the start where there are windows of
    /// the other kind.
    ///
    /// The state of values that came in any order and in any parts must be the same: `merge` is
    /// associative and commutative, and to add a value is to merge what it makes alone. Counts,
    /// sums, extremes and sets are such states; the last value is not. A merge that is only nearly
    /// so, such as that of sums of floats, gives the same result after a crash all the same: of
    /// what a window is put together, and how, depends on nothing but its records. A panic in
    /// `merge` stops the app, whatever the policy, for no record is at fault.
    ///
    /// With `on_update` and `every`, which send every window of every record anyway, and where
    /// windows do not overlap, each window keeps a state of its own, and `merge` is not used. On
    /// windows that do not hop `build` refuses it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, TestDriver, Topic, Topology};
    ///
    /// const LATENCIES: Topic<String, u64> = Topic::json("latencies");
    /// const WORST: Topic<String, u64> = Topic::json("worst-of-an-hour");
    ///
    /// let topology = Topology::new("latencies");
    /// let hours = Hopping::of(Duration::from_hours(1)).every(Duration::from_mins(1));
    /// let take = |worst: &mut u64, millis: u64| *worst = millis.max(*worst);
    /// topology
    ///     .stream(&LATENCIES)
    ///     .window(hours)
    ///     .fold("worst", || 0, take)
    ///     .combining(take)
    ///     .on_close()
    ///     .map(|hour| hour.value)
    ///     .to(&WORST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&LATENCIES, "home".into(), 90, 0)?;
    /// driver.send(&LATENCIES, "home".into(), 70, 59 * 60_000)?;
    /// driver.send(&LATENCIES, "home".into(), 10, 61 * 60_000)?;
    /// let worst: Vec<_> = driver.read(&WORST)?.into_iter().map(|hour| hour.value).collect();
    /// assert_eq!(worst, [90, 70]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "AggregateFunction.merge")]
    pub fn combining(self, merge: impl Fn(&mut A, A) + Send + Sync + 'static) -> Self {
        match &self.combine {
            Some(combine) => combine.by(merge),
            None => self.emit.refuse(Error::invalid(
                "only windows that hop are put together from slices; leave `combining` out",
            )),
        }
        self
    }
}
