//! The place where a program is written down.

use crate::data::{Data, Key};
use crate::draft::Draft;
use crate::operators;
use crate::policy::{Policy, PolicyCell};
use crate::row;
use crate::source::{Decoder, TimeOf};
use crate::{GlobalTable, Stream, Table, Topic, VersionedTable};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::Seek;
use suiro_core::{Error, Result};
use suiro_engine::{Edge, Node, NodeKind, Plan, SourceSpec};

/// A program under construction: streams and tables come from it, and become a [`Plan`].
///
/// ```
/// use suiro::{Topic, Topology};
///
/// const LINES: Topic<u64, String> = Topic::json("lines");
/// const LONG: Topic<u64, String> = Topic::json("long-lines");
///
/// let topology = Topology::new("long-lines");
/// topology.stream(&LINES).filter(|line| line.len() > 80).to(&LONG);
/// let plan = topology.build()?;
/// assert!(plan.describe().contains("filter"));
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct Topology {
    draft: Draft,
}

impl std::fmt::Debug for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topology")
            .field("name", &self.draft.sketch().graph.name)
            .finish_non_exhaustive()
    }
}

impl Topology {
    /// Starts an empty topology. The name is that of the app: it names the group whose
    /// positions are kept, and prefixes stores and internal topics.
    ///
    /// ```
    /// use suiro::{Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let _counts = topology.stream(&CLICKS).count("counts");
    /// let plan = topology.build()?;
    /// assert_eq!(&**plan.name(), "clicks");
    /// assert!(plan.describe().contains("counts"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self { draft: Draft::new(name.into().into()) }
    }

    /// Sets what becomes of records that cannot be decoded or whose step fails, for all steps
    /// that have no policy of their own, also for those declared before. Default:
    /// [`Policy::Stop`].
    ///
    /// ```
    /// use suiro::{Policy, TestDriver, Topic, Topology};
    ///
    /// const TEXTS: Topic<u64, String> = Topic::json("texts");
    /// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
    ///
    /// let topology = Topology::new("parse");
    /// topology.on_error(Policy::Skip);
    /// topology.stream(&TEXTS).try_map(|text| text.parse::<i64>()).to(&NUMBERS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&TEXTS, 1, "many".into(), 0)?;
    /// assert_eq!(driver.metrics().skipped, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_error(&self, policy: Policy) {
        PolicyCell::set_shared(&self.draft.policy, &self.draft, &policy);
    }

    /// Lets event time go on by the clock while nothing comes (rule T5). Without it, which is the
    /// default, windows close only when a later record comes.
    ///
    /// When all inputs of a task, that is of one partition, have been caught up and silent for
    /// `silence`, the stream time of each of its operators rises from its own value with the
    /// clock: windows close, records of joins are sent alone, rows with a
    /// [`ttl`](Table::ttl) go, each at the moment at which it is due. No time passes for an
    /// operator that has seen no record. The next record ends the silence; the time that has
    /// passed stays, so a record that is older than that is late. Choose `silence` longer than
    /// records are ever under way.
    ///
    /// Behind a repartition the records that come through it are the input, also those that a
    /// silence elsewhere has brought. What was silent so far is kept over a restart; the time in
    /// between is no silence. When nothing closes there is nothing to commit: what time
    /// has risen since the last commit is lost in a crash, together with the silence. How the
    /// clock runs is an input like the records, and outside of rule D1. Bounded runs have no
    /// silence.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const RATES: Topic<String, u64> = Topic::json("clicks-per-minute");
    ///
    /// let topology = Topology::new("rates");
    /// topology.idle_after(Duration::from_secs(10));
    /// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
    /// minutes.count("rates").on_close().map(|minute| minute.value).to(&RATES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CLICKS, "ann".into(), "home".into(), 45_000)?;
    /// driver.advance_to(24_999)?;
    /// assert!(driver.read(&RATES)?.is_empty());
    /// driver.advance_to(25_000)?;
    /// assert_eq!(driver.read(&RATES)?[0].value, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "withIdleness")]
    #[doc(alias = "punctuator")]
    pub fn idle_after(&self, silence: Duration) {
        self.draft.sketch().graph.idle_after = Some(silence);
    }

    /// Takes over a store whose values were of another type: at the start each is turned, and
    /// all are written again with the first commit, in which the store changes its form. After
    /// that, and in a new store, the migration does nothing, and may stay.
    ///
    /// Without it, a store that holds other values than those that were written is refused at the
    /// start, for any other field or variant: what would be read as if nothing had changed may
    /// be wrong all the same. `Old` has the fields and variants that were written; its name does
    /// not matter.
    ///
    /// The error comes from [`build`](Topology::build) if there is no such store, or if it holds
    /// another type than `New`.
    ///
    /// ```
    /// use suiro::{Log, TestDriver, TestOptions, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    ///
    /// let log = Log::in_memory();
    /// let topology = Topology::new("orders");
    /// let _cents = topology.stream(&ORDERS).fold("sums", || 0_u64, |sum, cents| *sum += cents);
    /// let options = TestOptions::default();
    /// let mut driver = TestDriver::on_log(topology.build()?, options.clone(), log.clone())?;
    /// driver.send(&ORDERS, "ann".into(), 250, 0)?;
    /// drop(driver);
    ///
    /// // The next version keeps the number of orders too.
    /// const TOTALS: Topic<String, (u64, u64)> = Topic::json("totals");
    /// let plan = |migrates: bool| {
    ///     let topology = Topology::new("orders");
    ///     if migrates {
    ///         topology.migrate("sums", |cents: u64| (cents, 1_u64));
    ///     }
    ///     let add = |sum: &mut (u64, u64), cents| *sum = (sum.0 + cents, sum.1 + 1);
    ///     topology.stream(&ORDERS).fold("sums", || (0, 0), add).to(&TOTALS);
    ///     topology.build()
    /// };
    /// let refused = TestDriver::on_log(plan(false)?, options.clone(), log.clone()).unwrap_err();
    /// assert!(refused.report().contains("store=`sums`"));
    /// let mut driver = TestDriver::on_log(plan(true)?, options, log)?;
    /// driver.send(&ORDERS, "ann".into(), 50, 1)?;
    /// assert_eq!(driver.read(&TOTALS)?[0].value, (300, 2));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn migrate<Old: Data, New: Data>(
        &self,
        store: &str,
        turn: impl Fn(Old) -> New + Send + Sync + 'static,
    ) {
        let migration = crate::state::migration(turn);
        self.draft.sketch().graph.migrations.insert(store.into(), migration);
    }

    /// Reads `topic` as a stream: every record is an event of its own. A group without a
    /// position begins at the earliest record. Records are taken in order of time over all
    /// inputs of a task (rule T2); a null value is no event, unless the type is an `Option`
    /// (rule N1).
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const LINES: Topic<u64, String> = Topic::json("lines");
    /// const LONG: Topic<u64, String> = Topic::json("long-lines");
    ///
    /// let topology = Topology::new("long-lines");
    /// topology.stream(&LINES).filter(|line| line.len() > 10).to(&LONG);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&LINES, 1, "tea".into(), 0)?;
    /// driver.send(&LINES, 1, "a cup of tea".into(), 1)?;
    /// assert_eq!(driver.read(&LONG)?.len(), 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "KStream")]
    pub fn stream<K: Clone + Send + 'static, V: Clone + Send + 'static>(
        &self,
        topic: &Topic<K, V>,
    ) -> Stream<K, V> {
        self.stream_from(topic, Start::Earliest)
    }

    /// Reads `topic` as a stream, and says where a group without a position begins. A group
    /// that has a position goes on there.
    ///
    /// ```
    /// use suiro::{Start, TestDriver, Topic, Topology};
    ///
    /// const ALERTS: Topic<u64, String> = Topic::json("alerts");
    /// const SEEN: Topic<u64, String> = Topic::json("seen");
    ///
    /// let topology = Topology::new("watch");
    /// topology.stream_from(&ALERTS, Start::Latest).to(&SEEN);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ALERTS, 1, "smoke".into(), 0)?;
    /// assert_eq!(driver.read(&SEEN)?[0].value, "smoke");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn stream_from<K: Clone + Send + 'static, V: Clone + Send + 'static>(
        &self,
        topic: &Topic<K, V>,
        start: Start,
    ) -> Stream<K, V> {
        let step = self.draft.step(format!("source {}", topic.name()));
        let time = TimeOf::<V>::default();
        let decode = Decoder::of_stream(topic, Arc::clone(&time), step.clone());
        let node = self.source(topic.name(), Arc::new(decode), start, row::copy::<K, V>);
        self.draft.sketch().times.insert(node, Box::new(time));
        Stream::new(&self.draft, Edge { node, output: 0 }, topic.keys).with_step(step)
    }

    /// Reads `topic` as a table: a record replaces the former one of its key, a null removes
    /// it (rule A1). It is read from the earliest record on. A topic that is compacted is its
    /// own changelog; for any other, and with a [`ttl`](Table::ttl), the table keeps one.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const NAMES: Topic<u32, String> = Topic::json("names");
    /// const LOUD: Topic<u32, String> = Topic::json("loud-names");
    ///
    /// let topology = Topology::new("names");
    /// topology.table(&NAMES).map(|name| name.to_uppercase()).to(&LOUD);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&NAMES, 1, "ann".into(), 0)?;
    /// driver.send(&NAMES, 1, "anna".into(), 1)?;
    /// assert_eq!(driver.read_last(&LOUD)?[&1], "ANNA");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "KTable")]
    pub fn table<K: Key, V: Data>(&self, topic: &Topic<K, V>) -> Table<K, V> {
        operators::table_source::add(&self.draft, self.table_source(topic), topic)
    }

    /// Reads `topic` as a table that knows what was valid when (rules A3 and K2): each record is
    /// the version of its key from its time on, and a null says that there is no row from then
    /// on. [`Stream::join_as_of`](crate::Stream::join_as_of) looks up what was valid at the time
    /// of a record; [`newest`](VersionedTable::newest) is the table of the newest rows.
    ///
    /// `history`, in whole milliseconds, is how far back from the table's stream time, the
    /// largest time of its records, versions are of use. A record that is older than that when it
    /// comes is late: it is counted in the metric `late` and not taken. One that is not, but older
    /// than the newest of its key, changes the past only; one of the same time as another version
    /// replaces it. What is valid is never forgotten, however old it is: a key whose last record
    /// was long ago has that as its newest version.
    ///
    /// Versions are held in memory, also with [`App::stores`](crate::App::stores), and kept in a
    /// changelog of the table's own, `<app>.<topic>.changelog`, even if the topic is compacted:
    /// those that are out of history are removed there. A compacted topic that was read as a
    /// plain table before is taken over as far as it was read.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const RATES: Topic<String, f64> = Topic::json("rates");
    /// const ORDERS: Topic<String, f64> = Topic::json("orders");
    /// const PRICED: Topic<String, f64> = Topic::json("priced-orders");
    ///
    /// let topology = Topology::new("shop");
    /// let rates = topology.versioned_table(&RATES, Duration::from_hours(1));
    /// topology
    ///     .stream(&ORDERS)
    ///     .join_as_of("priced", &rates, Duration::ZERO, |amount, rate| amount * rate)
    ///     .to(&PRICED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&RATES, "eur".into(), 1.5, 0)?;
    /// driver.send(&RATES, "eur".into(), 2.0, 60_000)?;
    /// // An order that comes late is priced as it would have been in time.
    /// driver.send(&ORDERS, "eur".into(), 100.0, 59_999)?;
    /// driver.send(&ORDERS, "eur".into(), 100.0, 60_000)?;
    /// let priced: Vec<f64> = driver.read(&PRICED)?.into_iter().map(|row| row.value).collect();
    /// assert_eq!(priced, [150.0, 200.0]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "temporal table")]
    #[doc(alias = "VersionedKeyValueStore")]
    #[doc(alias = "persistentVersionedKeyValueStore")]
    pub fn versioned_table<K: Key, V: Data>(
        &self,
        topic: &Topic<K, V>,
        history: Duration,
    ) -> VersionedTable<K, V> {
        let from = self.table_source(topic);
        VersionedTable::add(&self.draft, from, topic, history)
    }

    /// Reads `topic` as a table of which every process holds all rows (rule A4), for streams to
    /// look up by whatever their records name: [`Stream::join_global`](crate::Stream::join_global).
    ///
    /// It is read to its end before the program takes its first record, and again at each start;
    /// a compacted topic has no more than the last record of each key. What is written to the
    /// topic later is taken as it arrives, between two batches, in no fixed order with the records
    /// of streams: it is outside of rule D1, and [`Plan::describe`] says so. Among the partitions
    /// of the topic there is no order either. Times do not matter, rows have no
    /// [`ttl`](Table::ttl), and the number of partitions may be any. Rows are held in memory, also
    /// with [`App::stores`](crate::App::stores).
    ///
    /// A missing topic is created as a source is, compacted. A running program shows the rows by
    /// [`Running::query`](crate::Running::query) under the name of the topic.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const COUNTRIES: Topic<String, String> = Topic::json("countries");
    /// const ORDERS: Topic<u64, String> = Topic::json("orders");
    /// const NAMED: Topic<u64, String> = Topic::json("orders-by-country");
    ///
    /// let topology = Topology::new("orders");
    /// let countries = topology.global_table(&COUNTRIES);
    /// let orders = topology.stream(&ORDERS);
    /// let named = orders.join_global(&countries, |_, code| Some(code.clone()), |_, name| {
    ///     name.clone()
    /// });
    /// named.to(&NAMED);
    /// let plan = topology.build()?;
    /// assert!(plan.describe().contains("global table countries: whole in every process"));
    ///
    /// let mut driver = TestDriver::new(plan)?;
    /// driver.send(&COUNTRIES, "fi".into(), "Finland".into(), 0)?;
    /// driver.send(&ORDERS, 7, "fi".into(), 1)?;
    /// assert_eq!(driver.read(&NAMED)?[0].value, "Finland");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "GlobalKTable")]
    #[doc(alias = "broadcast state")]
    pub fn global_table<K: Key + Sync, V: Data + Sync>(
        &self,
        topic: &Topic<K, V>,
    ) -> GlobalTable<K, V> {
        GlobalTable::add(&self.draft, topic)
    }

    /// The records of a topic as changes of rows, from the earliest on.
    fn table_source<K: Key, V: Data>(&self, topic: &Topic<K, V>) -> Edge {
        let step = self.draft.step(format!("source {}", topic.name()));
        let decode = Decoder::of_table(topic, step.clone());
        let copy = row::copy::<K, Option<V>>;
        let node = self.source(topic.name(), Arc::new(decode), Start::Earliest, copy);
        Edge { node, output: 0 }
    }

    fn source(
        &self,
        topic: &str,
        decode: Arc<dyn suiro_engine::Decode>,
        start: Start,
        copy: suiro_engine::CloneRows,
    ) -> usize {
        let topic: Arc<str> = topic.into();
        let mut sketch = self.draft.sketch();
        let twice = sketch.graph.nodes.iter().any(|node| match &node.kind {
            NodeKind::Source(source) => source.topic == topic,
            _ => false,
        });
        if twice {
            let text = "topic is read twice in one topology; read it once and clone the handle";
            sketch.errors.push(Error::invalid(text).with("topic", &topic));
        }
        let from = start.seek();
        sketch.graph.add(Node {
            label: format!("source {topic}"),
            kind: NodeKind::Source(SourceSpec { topic, decode, from }),
            inputs: Vec::new(),
            outputs: vec![Some(copy)],
            stores: Vec::new(),
            looks: Vec::new(),
            delay: 0,
            ages: false,
        })
    }

    /// Makes a stream out of nothing, for benches and tests: `next` gives record number `n` of
    /// a partition, and ends the partition with `None`. The same number must always give the
    /// same record.
    ///
    /// ```
    /// use suiro::{Record, TestDriver, Topic, Topology};
    ///
    /// const SQUARES: Topic<u64, u64> = Topic::json("squares");
    ///
    /// let topology = Topology::new("squares");
    /// topology
    ///     .generate("numbers", 1, |_, n| (n < 3).then(|| Record::new(n, n * n, n as i64)))
    ///     .to(&SQUARES);
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.run()?;
    /// let squares: Vec<u64> = driver.read(&SQUARES)?.into_iter().map(|r| r.value).collect();
    /// assert_eq!(squares, [0, 1, 4]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn generate<K: Key, V: Clone + Send + 'static>(
        &self,
        name: &str,
        partitions: u32,
        next: impl Fn(u32, u64) -> Option<crate::Record<K, V>> + Send + Sync + 'static,
    ) -> Stream<K, V> {
        crate::generate::add(&self.draft, name, partitions, next)
    }

    /// Ends the draft. The error is the first mistake that was made in it, such as a topic that
    /// is read twice, two stores of one name, or a join of two topologies.
    ///
    /// ```
    /// use suiro::{Topic, Topology};
    ///
    /// const LINES: Topic<u64, String> = Topic::json("lines");
    /// const LONG: Topic<u64, String> = Topic::json("long-lines");
    ///
    /// let topology = Topology::new("long-lines");
    /// let _lines = topology.stream(&LINES);
    /// topology.stream(&LINES).to(&LONG);
    /// let error = topology.build().err().expect("the topic is read twice");
    /// assert!(error.report().contains("read it once and clone the handle"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn build(self) -> Result<Plan> {
        self.draft.finish()
    }
}

/// Where a group that has no position yet begins to read a topic.
///
/// ```
/// use suiro::{Log, Producer, Reader, Start, Topic};
///
/// const ALERTS: Topic<u64, String> = Topic::json("alerts");
///
/// let log = Log::in_memory();
/// let mut alerts = Producer::open(&log, &ALERTS)?;
/// alerts.create(1)?;
/// for at in [10, 20, 30] {
///     alerts.send(1, "smoke".into(), at)?;
/// }
/// alerts.flush()?;
/// let mut reader = Reader::open(&log, &ALERTS)?;
/// reader.seek(Start::Time(20.into()))?;
/// assert_eq!(reader.read_to_end()?.len(), 2);
/// reader.seek(Start::Earliest)?;
/// assert_eq!(reader.read_to_end()?.len(), 3);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// At the oldest record that is still there.
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At the first record of this time or later.
    Time(suiro_core::Timestamp),
}

impl Start {
    pub(crate) fn seek(self) -> Seek {
        match self {
            Self::Earliest => Seek::Earliest,
            Self::Latest => Seek::Latest,
            Self::Time(at) => Seek::Time(at),
        }
    }
}
