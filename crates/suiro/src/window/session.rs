//! Session windows: they last while records keep coming.

use super::Told;
use crate::gap::Fixed;
use crate::operators::session_fold::{self, Fold};
use crate::operators::{self, window_fold};
use crate::{Data, InWindow, Key, Stream, Topic, Windowed};
use std::time::Duration;
use suiro_core::time::millis;

/// Windows that last while records keep coming, and end after a pause: `[first, last]`
/// (rule W3).
///
/// A record that is within the gap of two sessions merges them:
///
/// ```
/// use std::time::Duration;
/// use suiro::{Sessions, TestDriver, Topic, Topology};
///
/// const CLICKS: Topic<String, String> = Topic::json("clicks");
/// const VISITS: Topic<String, String> = Topic::json("visits");
///
/// let sessions = Sessions::with_gap(Duration::from_secs(5)).grace(Duration::from_secs(60));
/// let topology = Topology::new("visits");
/// topology
///     .stream(&CLICKS)
///     .window(sessions)
///     .fold("visits", String::new, |all, page| *all += &page, |all, later| *all += &later)
///     .on_close()
///     .map(|visit| visit.value)
///     .to(&VISITS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (page, at) in [("a", 0), ("b", 9_000), ("c", 4_500), ("d", 200_000)] {
///     driver.send(&CLICKS, "ann".into(), page.into(), at)?;
/// }
/// assert_eq!(driver.read(&VISITS)?[0].value, "abc");
/// # Ok::<(), suiro::Error>(())
/// ```
///
/// [`gap_of`](Windowed::gap_of) takes the gap of each record from its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    pub(crate) gap: Duration,
    pub(crate) grace: Duration,
}

impl Sessions {
    /// A session ends when nothing happened for longer than `gap`: two records that are exactly
    /// `gap` apart are in one session (rule W3). No grace.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const VISITS: Topic<String, u64> = Topic::json("visits");
    ///
    /// let topology = Topology::new("visits");
    /// let gap = Duration::from_secs(5);
    /// let visits = topology.stream(&CLICKS).window(Sessions::with_gap(gap));
    /// visits.count("visits").on_close().map(|visit| visit.value).to(&VISITS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for at in [0, 5_000, 10_001] {
    ///     driver.send(&CLICKS, "ann".into(), "home".into(), at)?;
    /// }
    /// assert_eq!(driver.read(&VISITS)?[0].value, 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap, grace: Duration::ZERO }
    }

    /// How long a session still takes records after no record in order could join it any more:
    /// it closes when stream time has reached last + gap + 1 ms + grace (rule W4).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const VISITS: Topic<String, u64> = Topic::json("visits");
    ///
    /// let sessions = Sessions::with_gap(Duration::from_secs(5)).grace(Duration::from_mins(1));
    /// let topology = Topology::new("visits");
    /// let visits = topology.stream(&CLICKS).window(sessions).count("visits").on_close();
    /// visits.map(|visit| visit.value).to(&VISITS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for at in [0, 65_000, 4_000, 69_001] {
    ///     driver.send(&CLICKS, "ann".into(), "home".into(), at)?;
    /// }
    /// assert_eq!(driver.read(&VISITS)?[0].value, 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// The gap, and the grace in milliseconds.
    pub(crate) fn spec(self) -> (Fixed, i64) {
        (Fixed(millis(self.gap)), millis(self.grace))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Sessions> {
    /// Folds the values in each session. `name` names the store and its changelog,
    /// `<app>.<name>.changelog`, for good.
    ///
    /// `merge` takes the state of a later session into that of an earlier one, when a record
    /// joins the two; then `add` takes the record in (rule W3). `init` makes new sessions only.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const PAGES: Topic<String, String> = Topic::json("pages");
    /// const PATHS: Topic<String, Vec<String>> = Topic::json("paths");
    ///
    /// let topology = Topology::new("paths");
    /// let gap = Duration::from_mins(30);
    /// let visits = topology.stream(&PAGES).window(Sessions::with_gap(gap));
    /// visits
    ///     .fold("paths", Vec::new, |path, page| path.push(page), Vec::extend)
    ///     .on_close()
    ///     .map(|visit| visit.value)
    ///     .to(&PATHS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PAGES, "ann".into(), "home".into(), 0)?;
    /// driver.send(&PAGES, "ann".into(), "cart".into(), 60_000)?;
    /// driver.finish()?;
    /// assert_eq!(driver.read(&PATHS)?[0].value, ["home", "cart"]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
        merge: impl Fn(&mut A, A) + Send + Sync + 'static,
    ) -> SessionTable<K, V, A> {
        let Self { stream, windows } = self;
        session_fold::add(stream, name, windows.spec(), Fold::of(init, add, merge))
    }

    /// Counts the records in each session.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const VISITS: Topic<String, u64> = Topic::json("clicks-per-visit");
    ///
    /// let topology = Topology::new("visits");
    /// let gap = Duration::from_mins(30);
    /// let visits = topology.stream(&CLICKS).window(Sessions::with_gap(gap));
    /// visits.count("visits").on_close().map(|visit| visit.value).to(&VISITS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 0)?;
    /// driver.send(&CLICKS, "ann".into(), "cart".into(), 60_000)?;
    /// driver.finish()?;
    /// assert_eq!(driver.read(&VISITS)?[0].value, 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn count(self, name: &str) -> SessionTable<K, V, u64> {
        self.fold(name, || 0, |count, _| *count += 1, |count, later| *count += later)
    }
}

/// A fold over sessions that has not been told when to speak. Until it is, it has no `map` and
/// no `to`; its methods say how it may speak.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Sessions, Topic, Topology};
///
/// const CLICKS: Topic<String, String> = Topic::json("clicks");
///
/// let topology = Topology::new("visits");
/// let gap = Duration::from_mins(30);
/// let visits = topology.stream(&CLICKS).window(Sessions::with_gap(gap));
/// let counts = visits.count("visits");
/// let _late = counts.late();
/// let _counts = counts.on_close();
/// assert!(topology.build().is_ok());
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "say when the sessions speak: `on_close()`, `on_update()` or `every(..)`"]
pub struct SessionTable<K: 'static, V: 'static, A: 'static> {
    pub(crate) results: Stream<K, InWindow<Option<A>>>,
    pub(crate) late: Stream<K, V>,
    pub(crate) emit: window_fold::Emit,
}

impl<K: 'static, V: 'static, A: 'static> std::fmt::Debug for SessionTable<K, V, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionTable").field("results", &self.results).finish_non_exhaustive()
    }
}

impl<K: Key, V: Data, A: Data> SessionTable<K, V, A> {
    /// Each session once, with its final value, when it closes (rule W5): when the stream time
    /// of this fold reaches last + gap + 1 ms + grace. The time of a result is the end of its
    /// session, its headers are those of its last record.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Timestamp, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const VISITS: Topic<String, i64> = Topic::json("visit-seconds");
    ///
    /// let topology = Topology::new("visits");
    /// let gap = Duration::from_secs(5);
    /// let visits = topology.stream(&CLICKS).window(Sessions::with_gap(gap));
    /// let counts = visits.count("visits").on_close();
    /// let seconds = |at: Timestamp| at.as_millis() / 1_000;
    /// counts.map(move |visit| seconds(visit.end) - seconds(visit.start)).to(&VISITS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for at in [0, 4_000, 9_001] {
    ///     driver.send(&CLICKS, "ann".into(), "home".into(), at)?;
    /// }
    /// driver.send(&CLICKS, "bob".into(), "home".into(), 14_002)?;
    /// let visits: Vec<_> = driver.read(&VISITS)?.into_iter().map(|v| v.value).collect();
    /// assert_eq!(visits, [4, 0]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_close(self) -> Stream<K, InWindow<A>> {
        self.emit.on_close();
        operators::each::add(self.results, "on_close", |rows, out| {
            for row in rows {
                let InWindow { start, end, value } = row.value;
                let value = value.map(|value| InWindow { start, end, value });
                out.extend(value.map(|value| crate::Record {
                    key: row.key,
                    value,
                    at: row.at,
                    headers: row.headers,
                }));
            }
            Ok(())
        })
    }

    /// Each session at every update. A session whose bounds change is replaced: `None` first
    /// says that the one with the old bounds is gone (rule W6).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const VISITS: Topic<String, (i64, Option<u64>)> = Topic::json("visits");
    ///
    /// let topology = Topology::new("visits");
    /// let gap = Duration::from_secs(5);
    /// let visits = topology.stream(&CLICKS).window(Sessions::with_gap(gap));
    /// let counts = visits.count("visits").on_update();
    /// counts.map(|visit| (visit.end.as_millis(), visit.value)).to(&VISITS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 1_000)?;
    /// driver.send(&CLICKS, "ann".into(), "cart".into(), 2_000)?;
    /// let visits: Vec<_> = driver.read(&VISITS)?.into_iter().map(|v| v.value).collect();
    /// assert_eq!(visits, [(1_000, Some(1)), (1_000, None), (2_000, Some(2))]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_update(self) -> Stream<K, InWindow<Option<A>>> {
        self.emit.on_update();
        self.results
    }

    /// Each session that has changed, about once in `every` by the clock (rule E1): the last
    /// update of each, also of those that have closed meanwhile. `None` says that a session with
    /// these bounds is gone (rule W6), also if it was never shown. It is kept as
    /// [`WindowTable::every`](crate::WindowTable::every) says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const VISITS: Topic<String, u64> = Topic::json("visits");
    ///
    /// let topology = Topology::new("visits");
    /// let gap = Duration::from_secs(5);
    /// let visits = topology.stream(&CLICKS).window(Sessions::with_gap(gap));
    /// let visits = visits.count("visits").every(Duration::from_secs(1));
    /// visits.flat_map(|visit| visit.value).to(&VISITS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 1_000)?;
    /// driver.send(&CLICKS, "ann".into(), "cart".into(), 2_000)?;
    /// driver.advance_to(1_000)?;
    /// let visits: Vec<_> = driver.read(&VISITS)?.into_iter().map(|v| v.value).collect();
    /// assert_eq!(visits, [2]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn every(self, every: Duration) -> Stream<K, InWindow<Option<A>>> {
        self.emit.on_update();
        let name = self.emit.name_of_pending();
        operators::every::add(self.results, &name, operators::every::window, every)
    }

    /// The records that came too late, unchanged in key, value, time and headers: the session
    /// that would result is closed (rule W4). They are counted in
    /// [`Metrics::late`](crate::Metrics::late) in any case.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const LATE: Topic<String, String> = Topic::json("late-clicks");
    ///
    /// let topology = Topology::new("visits");
    /// let gap = Duration::from_secs(5);
    /// let visits = topology.stream(&CLICKS).window(Sessions::with_gap(gap));
    /// let counts = visits.count("visits");
    /// counts.late().to(&LATE);
    /// let _counts = counts.on_close();
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 60_000)?;
    /// driver.send(&CLICKS, "ann".into(), "cart".into(), 10_000)?;
    /// assert_eq!(driver.read(&LATE)?[0].value, "cart");
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
