//! The best values of each key or window, as a fold.

use super::Table;
use crate::window::{
    CountTable, CountWindows, DynamicSessions, Hopping, SessionTable, Sessions, Sliding,
    Tumbling, WindowTable, Windowed,
};
use crate::{Data, Key, Stream};
use std::sync::Arc;

/// What makes a value better than another.
type Score<V, S> = Arc<dyn Fn(&V) -> S + Send + Sync>;

/// Puts a value in its place among the best, the best first; of two that are alike the one that
/// came first.
fn put<V, S: Ord>(best: &mut Vec<V>, value: V, n: usize, score: &Score<V, S>) {
    let own = score(&value);
    let place = best.partition_point(|other| score(other) >= own);
    if place < n {
        best.insert(place, value);
        best.truncate(n);
    }
}

/// Puts the best of a later session to those of an earlier one, which came first.
fn put_all<V, S: Ord>(best: &mut Vec<V>, later: Vec<V>, n: usize, score: &Score<V, S>) {
    later.into_iter().for_each(|value| put(best, value, n, score));
}

fn score_of<V, S>(score: impl Fn(&V) -> S + Send + Sync + 'static) -> Score<V, S> {
    Arc::new(score)
}

impl<K: 'static, V: 'static> Stream<K, V> {
    /// Keeps the `n` values of each key with the highest scores, the highest first; of equal ones
    /// those that came first. It is a [`fold`](Stream::fold): `name` names the store and its
    /// changelog for good.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const BIDS: Topic<String, u64> = Topic::json("bids");
    /// const BEST: Topic<String, Vec<u64>> = Topic::json("best-bids");
    ///
    /// let topology = Topology::new("auction");
    /// topology.stream(&BIDS).top_n("best", 2, |bid| *bid).to(&BEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for bid in [3, 9, 5, 1] {
    ///     driver.send(&BIDS, "lot".into(), bid, 0)?;
    /// }
    /// assert_eq!(driver.read_last(&BEST)?["lot"], [9, 5]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn top_n<S: Ord + 'static>(
        self,
        name: &str,
        n: usize,
        score: impl Fn(&V) -> S + Send + Sync + 'static,
    ) -> Table<K, Vec<V>>
    where
        K: Key,
        V: Data,
    {
        let score = score_of(score);
        self.fold(name, Vec::new, move |best, value| put(best, value, n, &score))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Tumbling> {
    /// Keeps the `n` values in each window with the highest scores, as
    /// [`Stream::top_n`] does for each key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const BIDS: Topic<String, u64> = Topic::json("bids");
    /// const BEST: Topic<String, Vec<u64>> = Topic::json("best-bids");
    ///
    /// let topology = Topology::new("auction");
    /// let minutes = topology.stream(&BIDS).window(Tumbling::of(Duration::from_mins(1)));
    /// minutes.top_n("best", 2, |bid| *bid).on_close().map(|minute| minute.value).to(&BEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for bid in [3, 9, 5, 1] {
    ///     driver.send(&BIDS, "lot".into(), bid, 0)?;
    /// }
    /// driver.finish()?;
    /// assert_eq!(driver.read(&BEST)?[0].value, [9, 5]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn top_n<S: Ord + 'static>(
        self,
        name: &str,
        n: usize,
        score: impl Fn(&V) -> S + Send + Sync + 'static,
    ) -> WindowTable<K, V, Vec<V>> {
        let score = score_of(score);
        self.fold(name, Vec::new, move |best, value| put(best, value, n, &score))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Hopping> {
    /// Keeps the `n` values in each window with the highest scores, as
    /// [`Stream::top_n`] does for each key.
    ///
    /// Each window keeps its own: of two values that are alike the one that came first stays, and
    /// slices do not know which came first. Where no two are alike, or it does not matter, put
    /// slices together with [`combining`](WindowTable::combining).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, TestDriver, Topic, Topology};
    ///
    /// const BIDS: Topic<String, u64> = Topic::json("bids");
    /// const BEST: Topic<String, Vec<u64>> = Topic::json("best-bids");
    ///
    /// let topology = Topology::new("auction");
    /// let windows = Hopping::of(Duration::from_secs(2)).every(Duration::from_secs(1));
    /// let windows = topology.stream(&BIDS).window(windows);
    /// windows.top_n("best", 1, |bid| *bid).on_close().map(|window| window.value).to(&BEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (bid, at) in [(3, 0), (9, 1_000), (5, 2_000)] {
    ///     driver.send(&BIDS, "lot".into(), bid, at)?;
    /// }
    /// driver.finish()?;
    /// let best: Vec<_> = driver.read(&BEST)?.into_iter().map(|best| best.value).collect();
    /// assert_eq!(best, [[9], [9], [5]]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn top_n<S: Ord + 'static>(
        self,
        name: &str,
        n: usize,
        score: impl Fn(&V) -> S + Send + Sync + 'static,
    ) -> WindowTable<K, V, Vec<V>> {
        let score = score_of(score);
        self.fold(name, Vec::new, move |best, value| put(best, value, n, &score))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Sliding> {
    /// Keeps the `n` values in each window with the highest scores, as
    /// [`Stream::top_n`] does for each key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sliding, TestDriver, Topic, Topology};
    ///
    /// const BIDS: Topic<String, u64> = Topic::json("bids");
    /// const BEST: Topic<String, Vec<u64>> = Topic::json("best-bids");
    ///
    /// let topology = Topology::new("auction");
    /// let windows = topology.stream(&BIDS).window(Sliding::of(Duration::from_secs(1)));
    /// windows.top_n("best", 1, |bid| *bid).on_close().map(|window| window.value).to(&BEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (bid, at) in [(3, 1_000), (9, 1_800), (5, 2_600)] {
    ///     driver.send(&BIDS, "lot".into(), bid, at)?;
    /// }
    /// driver.finish()?;
    /// let best: Vec<_> = driver.read(&BEST)?.into_iter().map(|best| best.value).collect();
    /// assert_eq!(best, [[3], [9], [9], [9], [5]]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn top_n<S: Ord + 'static>(
        self,
        name: &str,
        n: usize,
        score: impl Fn(&V) -> S + Send + Sync + 'static,
    ) -> WindowTable<K, V, Vec<V>> {
        let score = score_of(score);
        self.fold(name, Vec::new, move |best, value| put(best, value, n, &score))
    }
}

impl<K: Key, V: Data> Windowed<K, V, CountWindows> {
    /// Keeps the `n` values in each window with the highest scores, as
    /// [`Stream::top_n`] does for each key.
    ///
    /// ```
    /// use suiro::{CountWindows, TestDriver, Topic, Topology};
    ///
    /// const BIDS: Topic<String, u64> = Topic::json("bids");
    /// const BEST: Topic<String, Vec<u64>> = Topic::json("best-bids");
    ///
    /// let topology = Topology::new("auction");
    /// let windows = topology.stream(&BIDS).window(CountWindows::of(3));
    /// windows.top_n("best", 2, |bid| *bid).on_close().map(|window| window.value).to(&BEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for bid in [3, 9, 5, 1] {
    ///     driver.send(&BIDS, "lot".into(), bid, 0)?;
    /// }
    /// assert_eq!(driver.read(&BEST)?[0].value, [9, 5]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn top_n<S: Ord + 'static>(
        self,
        name: &str,
        n: usize,
        score: impl Fn(&V) -> S + Send + Sync + 'static,
    ) -> CountTable<K, Vec<V>> {
        let score = score_of(score);
        self.fold(name, Vec::new, move |best, value| put(best, value, n, &score))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Sessions> {
    /// Keeps the `n` values in each session with the highest scores, as
    /// [`Stream::top_n`] does for each key; in sessions that merge those of the earlier one count
    /// as having come first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const BIDS: Topic<String, u64> = Topic::json("bids");
    /// const BEST: Topic<String, Vec<u64>> = Topic::json("best-bids");
    ///
    /// let topology = Topology::new("auction");
    /// let minute = Duration::from_mins(1);
    /// let sessions = Sessions::with_gap(minute).grace(minute);
    /// let sessions = topology.stream(&BIDS).window(sessions);
    /// sessions.top_n("best", 2, |bid| *bid).on_close().map(|session| session.value).to(&BEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (bid, at) in [(3, 0), (9, 90_000), (5, 45_000)] {
    ///     driver.send(&BIDS, "lot".into(), bid, at)?;
    /// }
    /// driver.finish()?;
    /// assert_eq!(driver.read(&BEST)?[0].value, [9, 5]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn top_n<S: Ord + 'static>(
        self,
        name: &str,
        n: usize,
        score: impl Fn(&V) -> S + Send + Sync + 'static,
    ) -> SessionTable<K, V, Vec<V>> {
        let score = score_of(score);
        let merging = Arc::clone(&score);
        let add = move |best: &mut Vec<V>, value| put(best, value, n, &score);
        self.fold(name, Vec::new, add, move |best, later| put_all(best, later, n, &merging))
    }
}

impl<K: Key, V: Data> Windowed<K, V, DynamicSessions<V>> {
    /// Keeps the `n` values in each session with the highest scores, as in sessions of one gap.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const BIDS: Topic<String, u64> = Topic::json("bids");
    /// const BEST: Topic<String, Vec<u64>> = Topic::json("best-bids");
    ///
    /// let topology = Topology::new("auction");
    /// let minute = Duration::from_mins(1);
    /// let sessions = topology.stream(&BIDS).window(Sessions::with_gap(minute));
    /// let sessions = sessions.gap_of(|bid| Duration::from_secs(*bid));
    /// sessions.top_n("best", 2, |bid| *bid).on_close().map(|session| session.value).to(&BEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (bid, at) in [(3, 0), (9, 3_000), (5, 12_000), (7, 17_001)] {
    ///     driver.send(&BIDS, "lot".into(), bid, at)?;
    /// }
    /// driver.finish()?;
    /// assert_eq!(driver.read(&BEST)?[0].value, [9, 5]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn top_n<S: Ord + 'static>(
        self,
        name: &str,
        n: usize,
        score: impl Fn(&V) -> S + Send + Sync + 'static,
    ) -> SessionTable<K, V, Vec<V>> {
        let score = score_of(score);
        let merging = Arc::clone(&score);
        let add = move |best: &mut Vec<V>, value| put(best, value, n, &score);
        self.fold(name, Vec::new, add, move |best, later| put_all(best, later, n, &merging))
    }
}
