//! A stream: an endless run of independent events.

mod as_of;
mod calls;
mod cogroup;
mod distinct;
mod emit;
mod fallible;
mod global;
mod joins;
mod pattern;
mod process;
mod records;
mod sinks;
mod stateless;
mod timed;

pub use cogroup::Cogroup;
pub use emit::Emit;
pub use pattern::{Pattern, TimedPattern};

use crate::draft::Draft;
use crate::format::Format;
use crate::operators;
use crate::policy::Policy;
use crate::step::Step;
use crate::{Data, Key, Topic, row};
use std::marker::PhantomData;
use suiro_core::Error;
use suiro_engine::Edge;

/// A handle to a stream of records with keys `K` and values `V`.
///
/// The handle owns its stream. To let two parts of a program read the same stream, `clone` it:
/// the fan-out is visible, and only then must the records be `Clone`. Consumers take each
/// record in the order in which they were declared (rule D2).
///
/// Steps without state keep the time, the headers (rule H1) and the order of the records.
///
/// ```
/// use suiro::{TestDriver, Topic, Topology};
///
/// const ORDERS: Topic<String, u64> = Topic::json("orders");
/// const LARGE: Topic<String, u64> = Topic::json("large-orders");
/// const COUNTS: Topic<String, u64> = Topic::json("order-counts");
///
/// let topology = Topology::new("orders");
/// let orders = topology.stream(&ORDERS);
/// orders.clone().filter(|cents| *cents > 100).to(&LARGE);
/// orders.count("counts").to(&COUNTS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&ORDERS, "ann".into(), 250, 0)?;
/// assert_eq!(driver.read(&LARGE)?[0].value, 250);
/// assert_eq!(driver.read(&COUNTS)?[0].value, 1);
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "a stream does nothing until it ends in `to` or in a table"]
pub struct Stream<K: 'static, V: 'static> {
    pub(crate) draft: Draft,
    pub(crate) from: Edge,
    pub(crate) keys: &'static dyn Format<K>,
    /// `key_by` gave new keys, and the records are not yet where their keys belong.
    pub(crate) moved: bool,
    step: Option<Step>,
    types: PhantomData<fn() -> V>,
}

impl<K: 'static, V: 'static> std::fmt::Debug for Stream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("keys", &self.keys.name()).finish_non_exhaustive()
    }
}

impl<K: Clone + Send + 'static, V: Clone + Send + 'static> Clone for Stream<K, V> {
    fn clone(&self) -> Self {
        let Edge { node, output } = self.from;
        self.draft.sketch().graph.nodes[node].outputs[output] = Some(row::copy::<K, V>);
        Self {
            draft: self.draft.clone(),
            from: self.from,
            keys: self.keys,
            moved: self.moved,
            step: self.step.clone(),
            types: PhantomData,
        }
    }
}

impl<K: 'static, V: 'static> Stream<K, V> {
    pub(crate) fn new(draft: &Draft, from: Edge, keys: &'static dyn Format<K>) -> Self {
        let (draft, types) = (draft.clone(), PhantomData);
        Self { draft, from, keys, moved: false, step: None, types }
    }

    pub(crate) fn with_step(mut self, step: Step) -> Self {
        self.step = Some(step);
        self
    }

    /// The step that made this stream, if it runs user code.
    pub(crate) fn step(&self) -> Option<&Step> {
        self.step.as_ref()
    }

    pub(crate) fn with_moved(mut self, moved: bool) -> Self {
        self.moved = moved;
        self
    }

    /// Sets the policy of the step that made this stream, in place of the topology's.
    ///
    /// It belongs behind a step that runs user code, or behind a source; elsewhere
    /// [`build`](crate::Topology::build) refuses the program. What was skipped is counted in
    /// [`Metrics::skipped`](crate::Metrics::skipped).
    ///
    /// ```
    /// use suiro::{Policy, TestDriver, Topic, Topology};
    ///
    /// const NUMBERS: Topic<u64, String> = Topic::json("numbers");
    /// const PARSED: Topic<u64, i64> = Topic::json("parsed");
    ///
    /// let topology = Topology::new("parse");
    /// let parsed = topology.stream(&NUMBERS).try_map(|text| text.parse::<i64>());
    /// parsed.on_error(Policy::Skip).to(&PARSED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&NUMBERS, 1, "seven".into(), 0)?;
    /// driver.send(&NUMBERS, 1, "7".into(), 1)?;
    /// assert_eq!(driver.read(&PARSED)?[0].value, 7);
    /// assert_eq!(driver.metrics().skipped, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_error(self, policy: Policy) -> Self {
        match &self.step {
            Some(step) => step.policy.set(&self.draft, &policy),
            None => self.draft.refuse(Error::invalid(
                "this step runs no user code and cannot fail; move `on_error` to one that does",
            )),
        }
        self
    }
}

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// One stream out of two of the same types. Records go in the order of their turns:
    /// smallest time first, and on a tie what was declared first (rule T2).
    ///
    /// Keys of both sides must have one format; else `build` refuses the program.
    ///
    /// ```
    /// use suiro::{TestDriver, TestOptions, Topic, Topology};
    ///
    /// const WEB: Topic<String, String> = Topic::json("web-orders");
    /// const SHOP: Topic<String, String> = Topic::json("shop-orders");
    /// const ALL: Topic<String, String> = Topic::json("all-orders");
    ///
    /// let topology = Topology::new("orders");
    /// topology.stream(&WEB).merge(topology.stream(&SHOP)).to(&ALL);
    ///
    /// let options = TestOptions { run_at_send: false, ..TestOptions::default() };
    /// let mut driver = TestDriver::with_options(topology.build()?, options)?;
    /// driver.send(&WEB, "ann".into(), "tea".into(), 20)?;
    /// driver.send(&SHOP, "bob".into(), "milk".into(), 10)?;
    /// driver.run()?;
    /// let all: Vec<_> = driver.read(&ALL)?.into_iter().map(|order| order.value).collect();
    /// assert_eq!(all, ["milk", "tea"]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "union")]
    pub fn merge(self, other: Stream<K, V>) -> Stream<K, V> {
        operators::merge::add(self, other)
    }

    /// Two streams: the records whose value satisfies `test`, and the others.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, i64> = Topic::json("orders");
    /// const PAID: Topic<String, i64> = Topic::json("paid");
    /// const REFUNDED: Topic<String, i64> = Topic::json("refunded");
    ///
    /// let topology = Topology::new("orders");
    /// let (paid, refunded) = topology.stream(&ORDERS).split(|cents| *cents >= 0);
    /// paid.to(&PAID);
    /// refunded.to(&REFUNDED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), -250, 0)?;
    /// assert!(driver.read(&PAID)?.is_empty());
    /// assert_eq!(driver.read(&REFUNDED)?[0].value, -250);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "partition")]
    pub fn split(
        self,
        test: impl Fn(&V) -> bool + Send + Sync + 'static,
    ) -> (Stream<K, V>, Stream<K, V>) {
        let mut halves =
            operators::split::add(self, "split", 2, move |value| usize::from(!test(value)));
        let half = |half: Option<_>| half.expect("a split gives two streams");
        let others = half(halves.pop());
        (half(halves.pop()), others)
    }

    /// As many streams as there are places for them: `pick` says to which of them a record
    /// belongs, counted from 0. A record of a place that is not there is in none of them.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const SMALL: Topic<String, u64> = Topic::json("small-orders");
    /// const LARGE: Topic<String, u64> = Topic::json("large-orders");
    ///
    /// let topology = Topology::new("orders");
    /// let [small, _usual, large] = topology.stream(&ORDERS).branch(|cents| match cents {
    ///     ..100 => 0,
    ///     100..10_000 => 1,
    ///     _ => 2,
    /// });
    /// small.to(&SMALL);
    /// large.to(&LARGE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for cents in [50, 5_000, 50_000] {
    ///     driver.send(&ORDERS, "ann".into(), cents, 0)?;
    /// }
    /// assert_eq!(driver.read(&SMALL)?[0].value, 50);
    /// assert_eq!(driver.read(&LARGE)?[0].value, 50_000);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "sideOutput")]
    pub fn branch<const N: usize>(
        self,
        pick: impl Fn(&V) -> usize + Send + Sync + 'static,
    ) -> [Stream<K, V>; N] {
        let parts = operators::split::add(self, "branch", N, pick);
        parts.try_into().expect("a branch gives as many streams as were asked for")
    }

    /// Writes every record to `topic`, and ends the stream. The partition is chosen by the
    /// key, as every Kafka producer does; records of one key stay in order.
    ///
    /// What is written is seen by readers at the commit that covers its input, exactly once,
    /// and then durable as the durability of the log says. A topic that does not exist is
    /// created at the start of the app.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const READINGS: Topic<String, f64> = Topic::json("readings");
    /// const ARCHIVE: Topic<String, f64> = Topic::json("archive");
    ///
    /// let topology = Topology::new("archive");
    /// topology.stream(&READINGS).to(&ARCHIVE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&READINGS, "hall".into(), 20.5, 1_000)?;
    /// let kept = &driver.read(&ARCHIVE)?[0];
    /// assert_eq!((kept.value, kept.at.as_millis()), (20.5, 1_000));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "sinkTo")]
    pub fn to(self, topic: &Topic<K, V>) {
        operators::sink::add(self, topic);
    }

    /// Moves each record to the partition that owns its key, through the internal topic
    /// `<app>.<name>.repartition`. Folds do it by themselves where it is needed; joins do not.
    ///
    /// Records of one sender stay in order; between senders the order is that of rule T6.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const SALES: Topic<u64, String> = Topic::json("sales");
    /// const PRICES: Topic<String, u64> = Topic::json("prices");
    /// const PRICED: Topic<String, u64> = Topic::json("priced-sales");
    ///
    /// let topology = Topology::new("shop");
    /// let prices = topology.table(&PRICES);
    /// let sales = topology.stream(&SALES).key_by(|item| item.clone()).repartition("by-item");
    /// sales.join(&prices, |_item, cents| *cents).to(&PRICED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PRICES, "tea".into(), 350, 0)?;
    /// driver.send(&SALES, 1, "tea".into(), 1)?;
    /// assert_eq!(driver.read(&PRICED)?[0].value, 350);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn repartition(self, name: &str) -> Stream<K, V>
    where
        K: Key,
        V: Data,
    {
        operators::exchange::add(self, name)
    }

    /// As [`repartition`](Stream::repartition), into so many partitions: as many tasks do the
    /// work that follows, be they more or fewer than the partitions of the source. What meets
    /// there by key, such as the table of a join, must have as many; else the start refuses it.
    /// Another number is refused when the topic is there already.
    ///
    /// ```
    /// use suiro::{TestDriver, TestOptions, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("clicks");
    /// topology.stream(&CLICKS).repartition_into("spread", 4).count("counts").to(&COUNTS);
    ///
    /// let options = TestOptions { partitions: 1, ..TestOptions::default() };
    /// let mut driver = TestDriver::with_options(topology.build()?, options)?;
    /// for user in ["ann", "bob", "cid", "dan"] {
    ///     driver.send(&CLICKS, user.into(), "home".into(), 0)?;
    /// }
    /// let partitions = driver.read_changes(&COUNTS)?.into_iter().map(|count| count.partition);
    /// assert!(partitions.max() > Some(0));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "Repartitioned")]
    #[doc(alias = "rescale")]
    pub fn repartition_into(self, name: &str, partitions: u32) -> Stream<K, V>
    where
        K: Key,
        V: Data,
    {
        operators::exchange::add_parted(self, name, partitions)
    }
}
