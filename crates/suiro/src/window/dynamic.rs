//! Session windows in which each record says how long the pause behind it may be.

use crate::gap::{GapOf, Said};
use crate::operators::session_fold::{self, Fold};
use crate::{Data, Key, SessionTable, Sessions, Windowed};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::time::millis;

/// [`Sessions`] in which each record has a gap of its own: [`Windowed::gap_of`] makes them.
///
/// A record of time t with a gap g covers the times from t to t + g, both included. It joins the
/// open sessions of its key that cover one of these times: a session covers those from its first
/// record to the end of the gap that ends last, so that two records belong together in whatever
/// order they come (rule W3). It closes when stream time has come to that end + 1 ms + grace (rule
/// W4); its bounds are the times of its first and its last record. With one gap for all records it
/// is what [`Sessions`] are without `gap_of`.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Sessions, TestDriver, Topic, Topology};
///
/// const EVENTS: Topic<String, (String, u64)> = Topic::json("events");
/// const VISITS: Topic<String, String> = Topic::json("visits");
///
/// let longest = Duration::from_mins(30);
/// let topology = Topology::new("visits");
/// topology
///     .stream(&EVENTS)
///     .window(Sessions::with_gap(longest))
///     .gap_of(|(_, seconds)| Duration::from_secs(*seconds))
///     .fold("visits", String::new, |all, (page, _)| *all += &page, |all, later| *all += &later)
///     .on_close()
///     .map(|visit| visit.value)
///     .to(&VISITS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (page, seconds, at) in [("a", 5, 0), ("v", 600, 4_000), ("b", 5, 300_000), ("c", 5, 605_000)] {
///     driver.send(&EVENTS, "ann".into(), (page.into(), seconds), at)?;
/// }
/// driver.finish()?;
/// let visits: Vec<_> = driver.read(&VISITS)?.into_iter().map(|visit| visit.value).collect();
/// assert_eq!(visits, ["avb", "c"]);
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct DynamicSessions<V> {
    pub(crate) sessions: Sessions,
    pub(crate) gap_of: GapOf<V>,
}

impl<V> std::fmt::Debug for DynamicSessions<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamicSessions")
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

impl<K: Key, V: Data> Windowed<K, V, Sessions> {
    /// Takes the gap of each record from its value, in whole milliseconds: so long may the pause
    /// behind it be. [`DynamicSessions`] says which records are together.
    ///
    /// The gap of [`Sessions::with_gap`] is the longest there is, and says how long a session may
    /// be behind stream time. A longer one is invalid input of this step: the policy decides, and
    /// the error names the key, the time and both gaps. No gap at all is allowed: then only records
    /// of one time are together, or those that others reach.
    ///
    /// A store of sessions with one gap cannot go on with gaps of their records, nor the other way
    /// round: give it a new name. The longest gap may change.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const PLAYS: Topic<String, u64> = Topic::json("play-minutes");
    /// const EVENINGS: Topic<String, u64> = Topic::json("evenings");
    ///
    /// let topology = Topology::new("plays");
    /// let evenings = topology.stream(&PLAYS).window(Sessions::with_gap(Duration::from_hours(4)));
    /// let evenings = evenings.gap_of(|minutes| Duration::from_mins(minutes + 10));
    /// evenings.count("evenings").on_close().map(|evening| evening.value).to(&EVENINGS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (minutes, at) in [(90, 0), (3, 100), (3, 114)] {
    ///     driver.send(&PLAYS, "ann".into(), minutes, at * 60_000)?;
    /// }
    /// driver.finish()?;
    /// let evenings: Vec<_> = driver.read(&EVENINGS)?.into_iter().map(|it| it.value).collect();
    /// assert_eq!(evenings, [2, 1]);
    ///
    /// let error = driver.send(&PLAYS, "ann".into(), 240, 7_000_000).unwrap_err();
    /// assert!(error.report().contains("gap=`15000000 ms` longest=`14400000 ms` key=`ann`"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "withDynamicGap")]
    #[doc(alias = "SessionWindowTimeGapExtractor")]
    pub fn gap_of(
        self,
        gap: impl Fn(&V) -> Duration + Send + Sync + 'static,
    ) -> Windowed<K, V, DynamicSessions<V>> {
        let Self { stream, windows: sessions } = self;
        Windowed { stream, windows: DynamicSessions { sessions, gap_of: Arc::new(gap) } }
    }
}

impl<K: Key, V: Data> Windowed<K, V, DynamicSessions<V>> {
    /// Folds the values in each session, as sessions of one gap are folded: `merge` takes the
    /// state of a later session into that of an earlier one. `name` names the store and its
    /// changelog, `<app>.<name>.changelog`, for good.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const STEPS: Topic<String, u64> = Topic::json("steps");
    /// const WALKS: Topic<String, Vec<u64>> = Topic::json("walks");
    ///
    /// let topology = Topology::new("walks");
    /// let walks = topology.stream(&STEPS).window(Sessions::with_gap(Duration::from_secs(60)));
    /// let walks = walks.gap_of(|seconds| Duration::from_secs(*seconds));
    /// let walks = walks.fold("walks", Vec::new, |walk, step| walk.push(step), Vec::extend);
    /// walks.on_close().map(|walk| walk.value).to(&WALKS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (seconds, at) in [(20, 0), (5, 20_000), (5, 25_001)] {
    ///     driver.send(&STEPS, "ann".into(), seconds, at)?;
    /// }
    /// driver.finish()?;
    /// let walks: Vec<_> = driver.read(&WALKS)?.into_iter().map(|walk| walk.value).collect();
    /// assert_eq!(walks, [vec![20, 5], vec![5]]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
        merge: impl Fn(&mut A, A) + Send + Sync + 'static,
    ) -> SessionTable<K, V, A> {
        let Self { stream, windows: DynamicSessions { sessions, gap_of } } = self;
        let said = Said { longest: millis(sessions.gap), of: gap_of };
        let fold = Fold::of(init, add, merge);
        session_fold::add(stream, name, (said, millis(sessions.grace)), fold)
    }

    /// Counts the records in each session.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const STEPS: Topic<String, u64> = Topic::json("steps");
    /// const WALKS: Topic<String, u64> = Topic::json("steps-per-walk");
    ///
    /// let topology = Topology::new("walks");
    /// let walks = topology.stream(&STEPS).window(Sessions::with_gap(Duration::from_secs(60)));
    /// let walks = walks.gap_of(|seconds| Duration::from_secs(*seconds));
    /// walks.count("walks").on_close().map(|walk| walk.value).to(&WALKS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (seconds, at) in [(20, 0), (5, 20_000), (5, 25_001)] {
    ///     driver.send(&STEPS, "ann".into(), seconds, at)?;
    /// }
    /// driver.finish()?;
    /// assert_eq!(driver.read(&WALKS)?[0].value, 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn count(self, name: &str) -> SessionTable<K, V, u64> {
        self.fold(name, || 0, |count, _| *count += 1, |count, later| *count += later)
    }
}
