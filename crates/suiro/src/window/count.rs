//! Count windows: so many records of a key at a time.

use super::Told;
use crate::operators::count_fold;
use crate::operators::every::{self, Counted};
use crate::operators::fold::{Add, Init};
use crate::{Data, InWindow, Key, Stream, Topic, Windowed};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use suiro_core::Error;

/// Windows of so many records of each key, in order of their arrival (rule W7).
///
/// The last record of a window closes it; time closes none, so that nothing is late, and a
/// window that is not full stays open at the end of a bounded run, too. The bounds of a window
/// are the smallest and the largest time in it, both inclusive.
///
/// ```
/// use suiro::{CountWindows, TestDriver, Topic, Topology};
///
/// const GRADES: Topic<String, u64> = Topic::json("grades");
/// const SUMS: Topic<String, u64> = Topic::json("sums-of-three");
///
/// let topology = Topology::new("grades");
/// topology
///     .stream(&GRADES)
///     .window(CountWindows::of(3))
///     .fold("sums", || 0, |sum, grade| *sum += grade)
///     .on_close()
///     .map(|three| three.value)
///     .to(&SUMS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (grade, at) in [(1, 0), (2, 1), (4, 2), (8, 3)] {
///     driver.send(&GRADES, "ann".into(), grade, at)?;
/// }
/// let sums: Vec<_> = driver.read(&SUMS)?.into_iter().map(|sum| sum.value).collect();
/// assert_eq!(sums, [7]);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountWindows {
    records: u64,
}

impl CountWindows {
    /// Windows of `records` records; none is refused by [`build`](crate::Topology::build).
    ///
    /// ```
    /// use suiro::{CountWindows, Topic, Topology};
    ///
    /// const GRADES: Topic<String, u64> = Topic::json("grades");
    ///
    /// let topology = Topology::new("grades");
    /// let none = topology.stream(&GRADES).window(CountWindows::of(0));
    /// let _sums = none.fold("sums", || 0, |sum, grade| *sum += grade).on_close();
    /// assert!(topology.build().is_err());
    /// ```
    #[doc(alias = "countWindow")]
    pub fn of(records: u64) -> Self {
        Self { records }
    }
}

impl<K: Key, V: Data> Windowed<K, V, CountWindows> {
    /// Folds the values in each window, in order of their arrival. `name` names the store and
    /// its changelog, `<app>.<name>.changelog`, for good.
    ///
    /// ```
    /// use suiro::{CountWindows, TestDriver, Topic, Topology};
    ///
    /// const PAGES: Topic<String, String> = Topic::json("pages");
    /// const PAIRS: Topic<String, String> = Topic::json("pairs");
    ///
    /// let topology = Topology::new("pairs");
    /// let pairs = topology.stream(&PAGES).window(CountWindows::of(2));
    /// let pairs = pairs.fold("pairs", String::new, |pair, page: String| *pair += &page);
    /// pairs.on_update().map(|pair| pair.value).to(&PAIRS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for page in ["a", "b", "c"] {
    ///     driver.send(&PAGES, "ann".into(), page.into(), 0)?;
    /// }
    /// let pairs: Vec<_> = driver.read(&PAIRS)?.into_iter().map(|pair| pair.value).collect();
    /// assert_eq!(pairs, ["a", "ab", "c"]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
    ) -> CountTable<K, A> {
        let Self { stream, windows } = self;
        if windows.records == 0 {
            let text = "a count window needs a record at least";
            stream.draft.refuse(Error::invalid(text).with("fold", name));
        }
        let (init, add): (Init<A>, Add<A, V>) = (Arc::new(init), Arc::new(add));
        count_fold::add(stream, name, windows.records.max(1), init, add)
    }
}

/// A fold over count windows that has not been told when to speak. Until it is, it has no `map`
/// and no `to`; its methods say how it may speak.
///
/// ```
/// use suiro::{CountWindows, Topic, Topology};
///
/// const GRADES: Topic<String, u64> = Topic::json("grades");
///
/// let topology = Topology::new("grades");
/// let threes = topology.stream(&GRADES).window(CountWindows::of(3));
/// let _sums = threes.fold("sums", || 0, |sum, grade| *sum += grade).on_close();
/// assert!(topology.build().is_ok());
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "say when the windows speak: `on_close()`, `on_update()` or `every(..)`"]
pub struct CountTable<K: 'static, A: 'static> {
    pub(crate) results: Stream<K, InWindow<A>>,
    /// The same at every record, with whether the window is full.
    pub(crate) told: Stream<K, Counted<A>>,
    pub(crate) emit: count_fold::Emit,
    pub(crate) name: String,
}

impl<K: 'static, A: 'static> std::fmt::Debug for CountTable<K, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CountTable").field("results", &self.results).finish_non_exhaustive()
    }
}

impl<K: Key, A: Data> CountTable<K, A> {
    /// Each window once, with its final value, at the record that fills it. The time of a
    /// result is the largest in its window, its headers are those of the last record.
    ///
    /// ```
    /// use suiro::{CountWindows, TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, u64> = Topic::json("clicks");
    /// const SPANS: Topic<String, i64> = Topic::json("spans");
    ///
    /// let topology = Topology::new("spans");
    /// let pairs = topology.stream(&CLICKS).window(CountWindows::of(2));
    /// let pairs = pairs.fold("pairs", || (), |(), _| ()).on_close();
    /// pairs.map(|pair| pair.end.as_millis() - pair.start.as_millis()).to(&SPANS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), 1, 70)?;
    /// driver.send(&CLICKS, "ann".into(), 1, 50)?;
    /// assert_eq!(driver.read(&SPANS)?[0].value, 20);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_close(self) -> Stream<K, InWindow<A>> {
        self.emit.closes.store(true, Ordering::Relaxed);
        self.results
    }

    /// Each window at every record, while it fills.
    ///
    /// ```
    /// use suiro::{CountWindows, TestDriver, Topic, Topology};
    ///
    /// const GRADES: Topic<String, u64> = Topic::json("grades");
    /// const SUMS: Topic<String, u64> = Topic::json("sums");
    ///
    /// let topology = Topology::new("grades");
    /// let pairs = topology.stream(&GRADES).window(CountWindows::of(2));
    /// let sums = pairs.fold("sums", || 0, |sum, grade| *sum += grade);
    /// sums.on_update().map(|sum| sum.value).to(&SUMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for grade in [1, 2, 4] {
    ///     driver.send(&GRADES, "ann".into(), grade, 0)?;
    /// }
    /// let sums: Vec<_> = driver.read(&SUMS)?.into_iter().map(|sum| sum.value).collect();
    /// assert_eq!(sums, [1, 3, 4]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_update(self) -> Stream<K, InWindow<A>> {
        self.emit.closes.store(false, Ordering::Relaxed);
        self.results
    }

    /// Each window that has changed, about once in `every` by the clock (rule E1): the last
    /// update of each, also of those that are full meanwhile. It is kept as
    /// [`WindowTable::every`](crate::WindowTable::every) says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{CountWindows, TestDriver, Topic, Topology};
    ///
    /// const GRADES: Topic<String, u64> = Topic::json("grades");
    /// const SUMS: Topic<String, u64> = Topic::json("sums");
    ///
    /// let topology = Topology::new("grades");
    /// let pairs = topology.stream(&GRADES).window(CountWindows::of(2));
    /// let sums = pairs.fold("sums", || 0, |sum, grade| *sum += grade);
    /// sums.every(Duration::from_secs(1)).map(|sum| sum.value).to(&SUMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for grade in [1, 2, 4] {
    ///     driver.send(&GRADES, "ann".into(), grade, 0)?;
    /// }
    /// driver.advance_to(1_000)?;
    /// let sums: Vec<_> = driver.read(&SUMS)?.into_iter().map(|sum| sum.value).collect();
    /// assert_eq!(sums, [3, 4]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn every(self, every: Duration) -> Stream<K, InWindow<A>> {
        self.emit.tells.store(true, Ordering::Relaxed);
        let name = format!("{}-every", self.name);
        let shown = every::add(self.told, &name, every::count_window, every);
        shown.map(|(_, window)| window)
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
