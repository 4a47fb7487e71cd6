//! A table: the newest value of each key.

#[cfg(feature = "sketches")]
mod approximate_distinct;
#[cfg(feature = "sketches")]
mod approximate_quantiles;
mod foreign;
mod global;
mod groups;
mod joins;
mod top;
mod versioned;

pub use global::GlobalTable;
pub use groups::GroupedTable;
pub use versioned::VersionedTable;

use crate::draft::Draft;
use crate::format::Format;
use crate::operators::{self, fold::Init};
use crate::row;
use crate::state::TableStore;
use crate::ttl::Owner;
use crate::{Data, IntoRow, Key, SameKey, Stream, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use suiro_core::{Result, Timestamp};
use suiro_engine::{Edge, Stores};

/// A handle to a table with keys `K` and rows `V`.
///
/// A table has at most one row per key; a null or a removal takes it away (rule A1). Updates
/// overwrite in order of arrival, whatever their time (rule A3). Streams and other tables look
/// rows up in it by [`join`](Table::join). Cloning the handle costs nothing and copies no rows.
///
/// ```
/// use suiro::{TestDriver, Topic, Topology};
///
/// const NAMES: Topic<u32, String> = Topic::json("names");
/// const LOUD: Topic<u32, String> = Topic::json("loud-names");
///
/// let topology = Topology::new("names");
/// let names = topology.table(&NAMES);
/// names.map(|name| name.to_uppercase()).to(&LOUD);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&NAMES, 1, "ann".into(), 0)?;
/// driver.send(&NAMES, 2, "bob".into(), 1)?;
/// driver.remove(&NAMES, 2, 2)?;
/// let loud = driver.read_last(&LOUD)?;
/// assert_eq!(loud.into_iter().collect::<Vec<_>>(), [(1, "ANN".to_owned())]);
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "a table does nothing until it is joined or ends in `to` or `changes`"]
pub struct Table<K: 'static, V: 'static> {
    pub(crate) draft: Draft,
    /// Where its changes come out.
    pub(crate) from: Edge,
    pub(crate) keys: &'static dyn Format<K>,
    pub(crate) view: View<K, V>,
    /// The stores that the view reads.
    pub(crate) reads: Vec<usize>,
    pub(crate) demand: Demand,
    /// The store that holds exactly its rows, if there is one.
    pub(crate) store: Option<usize>,
    /// What keeps its rows, if it is not seen through another table.
    pub(crate) owner: Option<Owner>,
}

impl<K: 'static, V: 'static> std::fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("keys", &self.keys.name()).finish_non_exhaustive()
    }
}

/// Shows the row of a key, if there is one, with its time.
pub(crate) type View<K, V> =
    Arc<dyn Fn(&Stores, &K, &mut dyn FnMut(&V, Timestamp)) -> Result<()> + Send + Sync>;

/// The view of rows that a store holds.
pub(crate) fn view_of_store<K: Key, V: Data>(store: usize) -> View<K, V> {
    Arc::new(move |stores, key, show| stores.get::<TableStore<K, V>>(store).look(key, show))
}

/// A change of one row. `old` is there only if somebody asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Change<V> {
    pub(crate) old: Option<V>,
    pub(crate) new: Option<V>,
}

/// What the readers of a table need to hear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand(Arc<(AtomicBool, AtomicBool)>);

impl Demand {
    /// Somebody listens to changes.
    pub(crate) fn want_changes(&self) {
        self.0.0.store(true, Ordering::Relaxed);
    }

    /// Somebody listens, and needs the rows that were there before.
    pub(crate) fn want_old(&self) {
        self.want_changes();
        self.0.1.store(true, Ordering::Relaxed);
    }

    pub(crate) fn changes(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }

    pub(crate) fn old(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

impl<K: 'static, V: 'static> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self {
            draft: self.draft.clone(),
            from: self.from,
            keys: self.keys,
            view: Arc::clone(&self.view),
            reads: self.reads.clone(),
            demand: self.demand.clone(),
            store: self.store,
            owner: self.owner.clone(),
        }
    }
}

impl<K: 'static, V: 'static> Table<K, V> {
    pub(crate) fn new(
        draft: &Draft,
        from: Edge,
        keys: &'static dyn Format<K>,
        view: View<K, V>,
        reads: Vec<usize>,
        demand: Demand,
        store: Option<usize>,
    ) -> Self {
        let (draft, owner) = (draft.clone(), None);
        Self { draft, from, keys, view, reads, demand, store, owner }
    }

    pub(crate) fn owned(self, owner: Owner) -> Self {
        Self { owner: Some(owner), ..self }
    }
}

impl<K: Key, V: Data> Table<K, V> {
    /// Keeps the rows that satisfy `keep`. A row that no longer does is removed.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const STOCK: Topic<String, u32> = Topic::json("stock");
    /// const LOW: Topic<String, Option<u32>> = Topic::json("low-stock");
    ///
    /// let topology = Topology::new("stock");
    /// topology.table(&STOCK).filter(|left| *left < 10).changes().to(&LOW);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&STOCK, "tea".into(), 5, 0)?;
    /// driver.send(&STOCK, "tea".into(), 50, 1)?;
    /// let low: Vec<_> = driver.read(&LOW)?.into_iter().map(|row| row.value).collect();
    /// assert_eq!(low, [Some(5), None]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn filter(self, keep: impl Fn(&V) -> bool + Send + Sync + 'static) -> Table<K, V> {
        let keep = Arc::new(keep);
        let kept = Arc::clone(&keep);
        operators::table_step::add(
            self,
            "filter",
            Arc::new(move |row: &V| keep(row).then(|| row.clone())),
            move |view| {
                Arc::new(move |stores, key, show| {
                    view(stores, key, &mut |row: &V, at| {
                        if kept(row) {
                            show(row, at);
                        }
                    })
                })
            },
        )
    }

    /// Turns each row into another; the key stays.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const PRICES: Topic<String, u32> = Topic::json("prices");
    /// const CENTS: Topic<String, u32> = Topic::json("cents");
    ///
    /// let topology = Topology::new("cents");
    /// topology.table(&PRICES).map(|price| price * 100).to(&CENTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PRICES, "tea".into(), 3, 0)?;
    /// assert_eq!(driver.read(&CENTS)?[0].value, 300);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn map<W: Data>(self, change: impl Fn(&V) -> W + Send + Sync + 'static) -> Table<K, W> {
        let change = Arc::new(change);
        let changed = Arc::clone(&change);
        operators::table_step::add(
            self,
            "map",
            Arc::new(move |row: &V| Some(change(row))),
            move |view| {
                Arc::new(move |stores, key, show| {
                    view(stores, key, &mut |row: &V, at| show(&changed(row), at))
                })
            },
        )
    }

    /// The stream of every change: the new row, or `None` for a removal. An update to an equal
    /// row is a change, the removal of an absent row is none (rule A6).
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const STOCK: Topic<String, u32> = Topic::json("stock");
    /// const CHANGES: Topic<String, Option<u32>> = Topic::json("stock-changes");
    ///
    /// let topology = Topology::new("stock");
    /// topology.table(&STOCK).changes().to(&CHANGES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.remove(&STOCK, "tea".into(), 0)?;
    /// driver.send(&STOCK, "tea".into(), 5, 1)?;
    /// driver.remove(&STOCK, "tea".into(), 2)?;
    /// let changes: Vec<_> = driver.read(&CHANGES)?.into_iter().map(|row| row.value).collect();
    /// assert_eq!(changes, [Some(5), None]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "toStream")]
    pub fn changes(self) -> Stream<K, Option<V>> {
        operators::table_changes::add(self)
    }

    /// The stream of the changes of each row, about once in `every` by the clock (rule E1): the
    /// last one of each row that has changed, a removal as `None`, also if the row it removes was
    /// never shown. Those shown together go in order of time and key.
    ///
    /// What has not been shown yet is kept: `name` names its store and changelog for good. It
    /// survives a crash, and what a start finds there is shown at once. How often rows are shown
    /// is outside of rule D1, what is shown in the end is not; the end of a bounded run shows what
    /// is left.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const STOCK: Topic<String, u32> = Topic::json("stock");
    /// const SHOWN: Topic<String, Option<u32>> = Topic::json("shown-stock");
    ///
    /// let topology = Topology::new("stock");
    /// topology.table(&STOCK).every("unshown", Duration::from_secs(1)).to(&SHOWN);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&STOCK, "tea".into(), 5, 0)?;
    /// driver.send(&STOCK, "tea".into(), 4, 1)?;
    /// driver.crash()?;
    /// driver.advance_to(1_000)?;
    /// let shown: Vec<_> = driver.read(&SHOWN)?.into_iter().map(|row| row.value).collect();
    /// assert_eq!(shown, [Some(4)]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "suppress")]
    pub fn every(self, name: &str, every: Duration) -> Stream<K, Option<V>> {
        operators::every::add(self.changes(), name, operators::every::row, every)
    }

    /// Writes the table's changelog to `topic`: per key and commit the last change, a removal
    /// as a null, in order of the first change of each key. How often it speaks depends on the
    /// commits (rule D1); the last row of each key does not. For every change, use
    /// [`changes`](Table::changes) and [`Stream::to`].
    ///
    /// ```
    /// use suiro::{TestDriver, TestOptions, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("clicks");
    /// topology.stream(&CLICKS).count("counts").to(&COUNTS);
    ///
    /// let options = TestOptions { run_at_send: false, ..TestOptions::default() };
    /// let mut driver = TestDriver::with_options(topology.build()?, options)?;
    /// for at in 0..3 {
    ///     driver.send(&CLICKS, "ann".into(), "home".into(), at)?;
    /// }
    /// driver.run()?;
    /// let counts: Vec<_> = driver.read(&COUNTS)?.into_iter().map(|row| row.value).collect();
    /// assert_eq!(counts, [3]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn to(self, topic: &Topic<K, V>) {
        operators::table_sink::add(self, topic);
    }
}

/// Steps with state: keys place it, and values must be able to leave memory. Each step asks for
/// that by itself, so that a stream which cannot have it is told so in our words.
impl<K: 'static, V: 'static> Stream<K, V> {
    /// Folds the values of each key into a table, in order of their arrival. `name` names the
    /// store and its changelog for good.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology.stream(&ORDERS).fold("totals", || 0, |sum, order| *sum += order).to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 3, 0)?;
    /// driver.send(&ORDERS, "ann".into(), 4, 1)?;
    /// let totals: Vec<u64> = driver.read(&TOTALS)?.into_iter().map(|row| row.value).collect();
    /// assert_eq!(totals, [3, 7]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "aggregate")]
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
    ) -> Table<K, A>
    where
        K: Key,
        V: Data,
    {
        let init: Init<A> = Arc::new(init);
        operators::fold::add(self, name, init, Arc::new(add))
    }

    /// Counts the records of each key.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("clicks");
    /// topology.stream(&CLICKS).count("counts").to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 0)?;
    /// assert_eq!(driver.read(&COUNTS)?[0].value, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn count(self, name: &str) -> Table<K, u64>
    where
        K: Key,
        V: Data,
    {
        self.fold(name, || 0, |count, _| *count += 1)
    }

    /// Combines the values of each key, two and two; the first value of a key is its first row.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const BIDS: Topic<String, u64> = Topic::json("bids");
    /// const HIGHEST: Topic<String, u64> = Topic::json("highest");
    ///
    /// let topology = Topology::new("auction");
    /// topology.stream(&BIDS).reduce("highest", |best, bid| best.max(bid)).to(&HIGHEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&BIDS, "lot".into(), 7, 0)?;
    /// driver.send(&BIDS, "lot".into(), 5, 1)?;
    /// assert_eq!(driver.read(&HIGHEST)?[1].value, 7);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn reduce(
        self,
        name: &str,
        combine: impl Fn(V, V) -> V + Send + Sync + 'static,
    ) -> Table<K, V>
    where
        K: Key,
        V: Data,
    {
        let add = move |row: &mut Option<V>, value| {
            *row = Some(match row.take() {
                Some(so_far) => combine(so_far, value),
                None => value,
            });
        };
        let best = self.fold(name, || None, add);
        operators::table_step::unwrap(best)
    }

    /// The table of the last record of each key, by order of arrival, whatever the times
    /// (rule A3). `name` names its store and changelog for good. It is the way back from
    /// [`changes`](Table::changes): there and back again the table is the same.
    ///
    /// In a stream of `Option`s a `None` may remove the row of its key, as a null does in a topic
    /// (rules A1 and N1); removing a row that is not there is no change (rule A6). Where nothing
    /// else tells what the rows are, say `to_table::<V>` ([`IntoRow`]).
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const MOVES: Topic<String, Option<String>> = Topic::json("moves");
    /// const CALLS: Topic<String, u64> = Topic::json("calls");
    /// const PLACED: Topic<String, String> = Topic::json("placed-calls");
    ///
    /// let topology = Topology::new("calls");
    /// let places = topology.stream(&MOVES).to_table::<String>("places");
    /// topology.stream(&CALLS).join(&places, |_, place| place.clone()).to(&PLACED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&MOVES, "ann".into(), Some("york".into()), 0)?;
    /// driver.send(&CALLS, "ann".into(), 1, 1)?;
    /// driver.send(&MOVES, "ann".into(), None, 2)?;
    /// driver.send(&CALLS, "ann".into(), 2, 3)?;
    /// let placed: Vec<_> = driver.read(&PLACED)?.into_iter().map(|call| call.value).collect();
    /// assert_eq!(placed, ["york"]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "toTable")]
    pub fn to_table<W: Data>(self, name: &str) -> Table<K, W>
    where
        K: Key,
        V: Data + IntoRow<W>,
    {
        operators::table_source::add_of_stream(self, name)
    }

    /// Looks up the table's row of the same key, as of this record's turn (rules K1 and K3);
    /// records without a row are dropped.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const NAMES: Topic<u32, String> = Topic::json("names");
    /// const CLICKS: Topic<u32, String> = Topic::json("clicks");
    /// const NAMED: Topic<u32, String> = Topic::json("named-clicks");
    ///
    /// let topology = Topology::new("named");
    /// let names = topology.table(&NAMES);
    /// topology.stream(&CLICKS).join(&names, |page, name| format!("{name}: {page}")).to(&NAMED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&NAMES, 1, "ann".into(), 0)?;
    /// driver.send(&CLICKS, 1, "home".into(), 1)?;
    /// assert_eq!(driver.read(&NAMED)?[0].value, "ann: home");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "lookup")]
    pub fn join<J: Key + SameKey<K>, T: Data, W: Send + 'static>(
        self,
        table: &Table<J, T>,
        combine: impl Fn(V, &T) -> W + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        K: Key,
        V: Data,
    {
        operators::lookup::add(self, table, "join", move |value, row| {
            row.map(|row| combine(value, row))
        })
    }

    /// Looks up the table's row of the same key, as of this record's turn; a missing row is
    /// `None`.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const NAMES: Topic<u32, String> = Topic::json("names");
    /// const CLICKS: Topic<u32, String> = Topic::json("clicks");
    /// const NAMED: Topic<u32, String> = Topic::json("named-clicks");
    ///
    /// let topology = Topology::new("named");
    /// let names = topology.table(&NAMES);
    /// let named = topology
    ///     .stream(&CLICKS)
    ///     .left_join(&names, |page, name| format!("{}: {page}", name.map_or("?", |n| n)));
    /// named.to(&NAMED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, 1, "home".into(), 1)?;
    /// assert_eq!(driver.read(&NAMED)?[0].value, "?: home");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn left_join<J: Key + SameKey<K>, T: Data, W: Send + 'static>(
        self,
        table: &Table<J, T>,
        combine: impl Fn(V, Option<&T>) -> W + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        K: Key,
        V: Data,
    {
        operators::lookup::add(self, table, "left_join", move |value, row| {
            Some(combine(value, row))
        })
    }
}

/// Copies a batch of changes, for a second reader.
pub(crate) fn copy_changes<K: Key, V: Data>() -> suiro_engine::CloneRows {
    row::copy::<K, Change<V>>
}

/// Shows the new row of a change in a dead letter.
pub(crate) fn show_change<K: Key, V: Data>(keys: &'static dyn Format<K>) -> suiro_engine::Show {
    crate::show::with(keys, |change: &Change<V>, out| {
        change.new.as_ref().is_some_and(|row| crate::format::write_state(row, out).is_ok())
    })
}
