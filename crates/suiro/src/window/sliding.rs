//! Sliding windows: of one span, wherever the records are.

use crate::operators::sliding_fold;
use crate::state::{self, Folds};
use crate::{Data, Key, WindowTable, Windowed};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::time::millis;

/// Windows of one span, wherever the records of a key are: for each record the window that ends
/// with it, `[t - span, t]`, and the window that begins behind it, `[t + 1, t + 1 + span]`, if
/// a record is in that one (rule W2). Both ends are in a window, and none begins before the
/// epoch. So for any time that has a record, there is a window of all that is near before it.
///
/// A record changes every open window that it is in: about as many as there are records of its
/// key within the span. What [`fold`](Windowed::fold) says of the values that are kept is worth
/// knowing before they are large.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Sliding, TestDriver, Topic, Topology};
///
/// const LOGINS: Topic<String, String> = Topic::json("failed-logins");
/// const ATTACKS: Topic<String, u64> = Topic::json("attacks");
///
/// // Three failures within ten seconds, whenever they begin.
/// let topology = Topology::new("logins");
/// topology
///     .stream(&LOGINS)
///     .window(Sliding::of(Duration::from_secs(10)))
///     .count("failures")
///     .on_update()
///     .map(|window| window.value)
///     .filter(|failures| *failures == 3)
///     .to(&ATTACKS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for second in [0, 8, 16, 19, 25] {
///     driver.send(&LOGINS, "ann".into(), "wrong password".into(), second * 1_000)?;
/// }
/// let attacks = driver.read(&ATTACKS)?;
/// assert_eq!(attacks[0].at.as_millis(), 25_000);
/// # Ok::<(), suiro::Error>(())
/// ```
#[doc(alias = "SlidingWindows")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    span: Duration,
    grace: Duration,
}

impl Sliding {
    /// Two records that are exactly `span` apart are in one window (rule W2). No grace. Whole
    /// milliseconds count; with a span of none, a window holds the records of one millisecond.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{InWindow, Sliding, TestDriver, Topic, Topology};
    ///
    /// const SALES: Topic<String, u64> = Topic::json("sales");
    /// const SUMS: Topic<String, InWindow<u64>> = Topic::json("sums");
    ///
    /// let topology = Topology::new("sales");
    /// let near = topology.stream(&SALES).window(Sliding::of(Duration::from_millis(10)));
    /// near.fold("sums", || 0, |sum, sale| *sum += sale).on_update().to(&SUMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&SALES, "shop".into(), 1, 100)?;
    /// driver.send(&SALES, "shop".into(), 2, 110)?;
    /// let sums: Vec<_> = driver.read(&SUMS)?.into_iter().map(|sum| sum.value).collect();
    /// let window = |start, end, value| {
    ///     InWindow { start: i64::into(start), end: i64::into(end), value }
    /// };
    /// assert_eq!(sums, [window(90, 100, 1), window(100, 110, 3), window(101, 111, 2)]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "ofTimeDifferenceWithNoGrace")]
    pub fn of(span: Duration) -> Self {
        Self { span, grace: Duration::ZERO }
    }

    /// How long after its end a window still takes records: its end is in it, so it closes when
    /// stream time has reached end + 1 ms + grace (rule W4). Whole milliseconds count.
    ///
    /// A record is late if no window that it is in is open. One whose own window is closed may
    /// still be in the window that ends with a later record.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sliding, TestDriver, Topic, Topology};
    ///
    /// const SALES: Topic<String, u64> = Topic::json("sales");
    /// const SUMS: Topic<String, u64> = Topic::json("sums");
    ///
    /// let ms = Duration::from_millis;
    /// let topology = Topology::new("sales");
    /// let near = topology.stream(&SALES).window(Sliding::of(ms(10)).grace(ms(5)));
    /// let sums = near.fold("sums", || 0, |sum, sale| *sum += sale);
    /// sums.on_update().map(|sum| sum.value).to(&SUMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&SALES, "shop".into(), 1, 100)?;
    /// driver.send(&SALES, "bakery".into(), 0, 105)?;
    /// // In [90, 100], which closes at 106, and no more in [85, 95].
    /// driver.send(&SALES, "shop".into(), 2, 95)?;
    /// let sums: Vec<_> = driver.read(&SUMS)?.into_iter().map(|sum| sum.value).collect();
    /// assert_eq!(sums, [1, 0, 3, 1]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    fn spec(self) -> state::Sliding {
        state::Sliding { span: millis(self.span), grace: millis(self.grace) }
    }
}

impl<K: Key, V: Data> Windowed<K, V, Sliding> {
    /// Folds the values in each window, in order of their arrival. A record changes each of its
    /// windows that is open, and may bring into being the one behind it, with what came there
    /// before; [`on_update`](WindowTable::on_update) sends all of them, in order of their
    /// starts. `name` names the store and its changelog, `<app>.<name>.changelog`, for good.
    ///
    /// `init` makes the state of a window, `add` takes each record into it. A panic in either is
    /// one failed record, for the policy: no window has it.
    ///
    /// What is kept are the values, for span + grace: a window that comes into being has records
    /// that came before it, so [`map`](crate::Stream::map) them first to what is needed. The
    /// states are not kept, but folded again after a restart: `init` and `add` must give the same
    /// for the same records, and after a change of the two the windows that are open are what the
    /// new ones make of their records.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sliding, TestDriver, Topic, Topology};
    ///
    /// const PRICES: Topic<String, u64> = Topic::json("prices");
    /// const HIGHS: Topic<String, u64> = Topic::json("highs-of-an-hour");
    ///
    /// let topology = Topology::new("prices");
    /// let hours = topology.stream(&PRICES).window(Sliding::of(Duration::from_hours(1)));
    /// let highs = hours.fold("highs", || 0, |high, price| *high = price.max(*high));
    /// highs.on_close().map(|hour| hour.value).to(&HIGHS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (price, minute) in [(7, 0), (9, 30), (8, 70), (3, 300)] {
    ///     driver.send(&PRICES, "tin".into(), price, minute * 60_000)?;
    /// }
    /// let highs: Vec<_> = driver.read(&HIGHS)?.into_iter().map(|high| high.value).collect();
    /// // Windows that end with a record at 0 and 30, begin behind 0, and so on.
    /// assert_eq!(highs, [9, 9, 9, 8]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
    ) -> WindowTable<K, V, A> {
        let folds = Folds { init: Arc::new(init), add: Arc::new(add) };
        sliding_fold::add(self.stream, name, self.windows.spec(), |value| value, folds)
    }

    /// Counts the records in each window. The values are not kept.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sliding, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const BURSTS: Topic<String, u64> = Topic::json("bursts");
    ///
    /// let topology = Topology::new("rates");
    /// let seconds = topology.stream(&CLICKS).window(Sliding::of(Duration::from_secs(1)));
    /// seconds.count("rates").on_close().map(|second| second.value).to(&BURSTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for at in [10_000, 10_400, 10_900, 50_000] {
    ///     driver.send(&CLICKS, "ann".into(), "home".into(), at)?;
    /// }
    /// let bursts: Vec<_> = driver.read(&BURSTS)?.into_iter().map(|burst| burst.value).collect();
    /// assert_eq!(bursts, [1, 2, 3, 2, 1]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn count(self, name: &str) -> WindowTable<K, V, u64> {
        let folds = Folds { init: Arc::new(|| 0), add: Arc::new(|count, ()| *count += 1) };
        sliding_fold::add(self.stream, name, self.windows.spec(), |_| (), folds)
    }
}
