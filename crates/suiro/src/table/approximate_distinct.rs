//! How many different values each key or window has, nearly, as a fold.

use super::Table;
use crate::operators::each;
use crate::sketches::Distinct;
use crate::window::{Hopping, SessionTable, Sessions, Tumbling, WindowTable, Windowed};
use crate::{Data, InWindow, Key, Record, Stream};

/// What takes a value into a sketch by what is asked of it.
fn adding<V, D: Key>(
    by: impl Fn(&V) -> D + Send + Sync + 'static,
) -> impl Fn(&mut Distinct, V) + Send + Sync + 'static {
    move |sketch, value| sketch.add(&by(&value))
}

/// The same windows with other results. To the user they are those of the fold.
fn shown<K: Key, A: Send + 'static, B: Send + 'static>(
    results: Stream<K, InWindow<A>>,
    show: impl Fn(A) -> B + Send + Sync + 'static,
) -> Stream<K, InWindow<B>> {
    let step = results.step().expect("a fold is a step").clone();
    each::add_to(results, step, move |rows, out| {
        out.extend(rows.map(|Record { key, value, at, headers }| {
            let InWindow { start, end, value } = value;
            let value = InWindow { start, end, value: show(value) };
            Record { key, value, at, headers }
        }));
        Ok(())
    })
}

fn estimates<K: Key, V>(windows: WindowTable<K, V, Distinct>) -> WindowTable<K, V, u64> {
    let WindowTable { results, late, emit, .. } = windows;
    let results = shown(results, |sketch| sketch.estimate());
    WindowTable { results, late, emit, combine: None }
}

impl<K: 'static, V: 'static> Stream<K, V> {
    /// How many different values `by` gives for the records of each key, nearly: two of three
    /// estimates are within 1.6 % of the truth, and nearly all within 5 %. Up to some 380 values
    /// the number is exact. It is HyperLogLog as a [`fold`](Stream::fold): `name` names the store
    /// and its changelog for good. Needs the feature `sketches`.
    ///
    /// The state of a key takes four bytes for each value, and at most 4 KiB. An estimate depends
    /// on nothing but the set of values: not on their order, nor on crashes.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const VIEWS: Topic<String, u64> = Topic::json("views");
    /// const VISITORS: Topic<String, u64> = Topic::json("visitors");
    ///
    /// let topology = Topology::new("pages");
    /// topology.stream(&VIEWS).approximate_distinct("visitors", |user| *user).to(&VISITORS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for user in [7, 8, 7, 9, 7] {
    ///     driver.send(&VIEWS, "home".into(), user, 0)?;
    /// }
    /// assert_eq!(driver.read_last(&VISITORS)?["home"], 3);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "COUNT(DISTINCT)")]
    #[doc(alias = "APPROX_COUNT_DISTINCT")]
    #[doc(alias = "HyperLogLog")]
    pub fn approximate_distinct<D: Key>(
        self,
        name: &str,
        by: impl Fn(&V) -> D + Send + Sync + 'static,
    ) -> Table<K, u64>
    where
        K: Key,
        V: Data,
    {
        let sketches = self.fold(name, Distinct::new, adding(by));
        let owner = sketches.owner.clone();
        // To the user it is the table that keeps the rows.
        Table { owner, ..sketches.map(Distinct::estimate) }
    }
}

impl<K: Key, V: Data> Windowed<K, V, Tumbling> {
    /// How many different values `by` gives for the records in each window, as
    /// [`Stream::approximate_distinct`] tells for each key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const VIEWS: Topic<String, u64> = Topic::json("views");
    /// const VISITORS: Topic<String, u64> = Topic::json("visitors");
    ///
    /// let topology = Topology::new("pages");
    /// let hours = topology.stream(&VIEWS).window(Tumbling::of(Duration::from_hours(1)));
    /// let visitors = hours.approximate_distinct("visitors", |user| *user);
    /// visitors.on_close().map(|hour| hour.value).to(&VISITORS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for user in [7, 8, 7, 9, 7] {
    ///     driver.send(&VIEWS, "home".into(), user, 0)?;
    /// }
    /// driver.finish()?;
    /// assert_eq!(driver.read(&VISITORS)?[0].value, 3);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn approximate_distinct<D: Key>(
        self,
        name: &str,
        by: impl Fn(&V) -> D + Send + Sync + 'static,
    ) -> WindowTable<K, V, u64> {
        estimates(self.fold(name, Distinct::new, adding(by)))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Hopping> {
    /// How many different values `by` gives for the records in each window, as
    /// [`Stream::approximate_distinct`] tells for each key. Sketches are
    /// [combining](WindowTable::combining): on close they are put together from slices.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, TestDriver, Topic, Topology};
    ///
    /// const VIEWS: Topic<String, u64> = Topic::json("views");
    /// const VISITORS: Topic<String, u64> = Topic::json("visitors");
    ///
    /// let topology = Topology::new("pages");
    /// let hours = Hopping::of(Duration::from_hours(1)).every(Duration::from_mins(30));
    /// let hours = topology.stream(&VIEWS).window(hours);
    /// let visitors = hours.approximate_distinct("visitors", |user| *user);
    /// visitors.on_close().map(|hour| hour.value).to(&VISITORS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (user, minute) in [(7, 0), (8, 10), (7, 40), (9, 50)] {
    ///     driver.send(&VIEWS, "home".into(), user, minute * 60_000)?;
    /// }
    /// driver.finish()?;
    /// let visitors: Vec<_> = driver.read(&VISITORS)?.into_iter().map(|it| it.value).collect();
    /// assert_eq!(visitors, [3, 2]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn approximate_distinct<D: Key>(
        self,
        name: &str,
        by: impl Fn(&V) -> D + Send + Sync + 'static,
    ) -> WindowTable<K, V, u64> {
        estimates(self.fold(name, Distinct::new, adding(by)).combining(Distinct::merge))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Sessions> {
    /// How many different values `by` gives for the records in each session, as
    /// [`Stream::approximate_distinct`] tells for each key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const VIEWS: Topic<u64, String> = Topic::json("views");
    /// const PAGES: Topic<u64, u64> = Topic::json("pages-of-a-visit");
    ///
    /// let topology = Topology::new("visits");
    /// let visits = Sessions::with_gap(Duration::from_mins(30));
    /// let visits = topology.stream(&VIEWS).window(visits);
    /// let pages = visits.approximate_distinct("pages", |page| page.clone());
    /// pages.on_close().map(|visit| visit.value).to(&PAGES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for page in ["home", "cart", "home"] {
    ///     driver.send(&VIEWS, 7, page.into(), 0)?;
    /// }
    /// driver.finish()?;
    /// assert_eq!(driver.read(&PAGES)?[0].value, 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn approximate_distinct<D: Key>(
        self,
        name: &str,
        by: impl Fn(&V) -> D + Send + Sync + 'static,
    ) -> SessionTable<K, V, u64> {
        let sessions = self.fold(name, Distinct::new, adding(by), Distinct::merge);
        let SessionTable { results, late, emit } = sessions;
        let show = |sketch: Option<Distinct>| sketch.map(|sketch| sketch.estimate());
        SessionTable { results: shown(results, show), late, emit }
    }
}
