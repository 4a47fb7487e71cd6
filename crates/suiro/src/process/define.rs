//! Writing down what a processor works with.

use super::parts::{Parts, RowsOf};
use super::{OutputOf, Processor, StoreOf, TableOf};
use crate::operators;
use crate::operators::lookup::{check, same_key};
use crate::policy::Policy;
use crate::row::Batch;
use crate::state::TableStore;
use crate::step::Step;
use crate::{Data, Key, SameKey, Stream, Table};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_engine::Edge;

/// A step that is being written down: its stores, its outputs, the tables that it looks at, and
/// at last, with [`with`](Process::with), its [`Processor`].
///
/// The name of the step is durable: its stores are `<name>.<store>`, with changelogs
/// `<app>.<name>.<store>.changelog`, and its timers are the store `<name>.timers`.
///
/// ```
/// use suiro::{Outcome, OutputOf, Processor, StoreOf, TestDriver, Topic, Topology, Turn};
///
/// /// Tells when a sensor has changed its mind.
/// struct Changed {
///     last: StoreOf<bool>,
///     changes: OutputOf<bool>,
/// }
///
/// impl Processor for Changed {
///     type Key = u32;
///     type In = bool;
///     type Timer = ();
///
///     fn on_record(&self, turn: &mut Turn<'_, Self>, open: bool) -> Outcome {
///         if turn.get(self.last) != Some(&open) {
///             turn.put(self.last, open);
///             turn.send(self.changes, open);
///         }
///         Ok(())
///     }
/// }
///
/// const DOORS: Topic<u32, bool> = Topic::json("doors");
/// const CHANGES: Topic<u32, bool> = Topic::json("door-changes");
///
/// let topology = Topology::new("doors");
/// let mut process = topology.stream(&DOORS).process("doors");
/// let last = process.store("last");
/// let (changes, changed) = process.output();
/// process.with(Changed { last, changes });
/// changed.to(&CHANGES);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (open, at) in [(true, 0), (true, 1), (false, 2)] {
///     driver.send(&DOORS, 1, open, at)?;
/// }
/// let changes: Vec<_> = driver.read(&CHANGES)?.into_iter().map(|row| row.value).collect();
/// assert_eq!(changes, [true, false]);
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "a step does nothing until `with` gives it its processor"]
pub struct Process<K: 'static, V: 'static> {
    stream: Stream<K, V>,
    name: String,
    step: Step,
    parts: Parts<K, V>,
}

impl<K, V> std::fmt::Debug for Process<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<K: Key, V: Data> Process<K, V> {
    /// A step behind `stream`, whose node is there already and waits for its operator.
    pub(crate) fn new(stream: Stream<K, V>, name: &str, step: Step, node: usize) -> Self {
        let (stores, tables, outputs, timers) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let names = Arc::clone(&stream.draft.processors);
        names.add(node, name);
        let parts = Parts { node, names, stores, tables, outputs, timers };
        Self { stream, name: name.to_owned(), step, parts }
    }

    /// A store of one row of type `A` for each key. `name` is durable, and unique in this step;
    /// [`query`](crate::Running::query) and [`migrate`](crate::Topology::migrate) know the
    /// store as `<name of the step>.<name>`. It may be larger than memory
    /// ([`App::stores`](crate::App::stores)). Two steps share no store: a name that is there
    /// already is refused by [`build`](crate::Topology::build), and what the processor of another
    /// step does with the handle fails with an error that names both steps.
    ///
    /// ```
    /// use suiro::{Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let mut process = topology.stream(&CLICKS).process("visits");
    /// let pages = process.store::<Vec<String>>("pages");
    /// let since = process.store::<i64>("since");
    /// # let _ = (pages, since);
    /// ```
    #[doc(alias = "addStateStore")]
    #[doc(alias = "ValueState")]
    pub fn store<A: Data>(&mut self, name: &str) -> StoreOf<A> {
        let (keys, draft) = (self.stream.keys, &self.stream.draft);
        let name = format!("{}.{name}", self.name);
        let slot = draft.store(&name, None, move || TableStore::<K, A>::new(keys, None, None));
        draft.sketch().graph.nodes[self.parts.node].stores.push(slot);
        self.parts.stores.push(Box::new(RowsOf::<A> { slot, types: PhantomData }));
        StoreOf::new(self.parts.node, self.parts.stores.len() - 1)
    }

    /// An output, and the stream of what is sent there. A step may have none, one or several; each
    /// has a type of its own.
    ///
    /// ```
    /// use suiro::{Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    /// const VISITS: Topic<String, u64> = Topic::json("visits");
    /// const ROBOTS: Topic<String, String> = Topic::json("robots");
    ///
    /// let topology = Topology::new("clicks");
    /// let mut process = topology.stream(&CLICKS).process("visits");
    /// let (visit, visits) = process.output();
    /// let (robot, robots) = process.output();
    /// visits.to(&VISITS);
    /// robots.to(&ROBOTS);
    /// # let _ = (visit, robot);
    /// ```
    #[doc(alias = "OutputTag")]
    #[doc(alias = "sideOutput")]
    pub fn output<U: Send + 'static>(&mut self) -> (OutputOf<U>, Stream<K, U>) {
        let (node, output) = (self.parts.node, self.parts.outputs.len());
        self.stream.draft.sketch().graph.nodes[node].outputs.push(None);
        self.parts.outputs.push(|| Box::new(Batch::<K, U>::new()));
        let stream = Stream::new(&self.stream.draft, Edge { node, output }, self.stream.keys);
        (OutputOf::new(node, output), stream.with_step(self.step.clone()))
    }

    /// A table whose row of the turn's key the processor can look up (rule K1). The table must
    /// have the keys of the step.
    ///
    /// ```
    /// use suiro::{Topic, Topology};
    ///
    /// const SALES: Topic<String, u64> = Topic::json("sales");
    /// const PRICES: Topic<String, u64> = Topic::json("prices");
    ///
    /// let topology = Topology::new("shop");
    /// let prices = topology.table(&PRICES);
    /// let mut process = topology.stream(&SALES).process("bills");
    /// let price = process.table(&prices);
    /// # let _ = price;
    /// ```
    pub fn table<J, R>(&mut self, table: &Table<J, R>) -> TableOf<R>
    where
        J: Key + SameKey<K>,
        R: Data,
    {
        let draft = &self.stream.draft;
        let keys = self.stream.keys.name();
        check::<K>(draft, (keys, false), &table.draft, table.keys.name());
        self.parts.tables.push(Arc::new(same_key::<K, J, R>(&table.view)));
        let mut sketch = draft.sketch();
        let node = &mut sketch.graph.nodes[self.parts.node];
        node.stores.extend(&table.reads);
        node.looks.extend(table.reads.iter().map(|store| (0, *store)));
        TableOf::new(self.parts.node, self.parts.tables.len() - 1)
    }

    /// Sets the policy of the step, in place of the topology's, for its records and its timers.
    ///
    /// ```
    /// use suiro::{Policy, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let process = topology.stream(&CLICKS).process("visits").on_error(Policy::Skip);
    /// # let _ = process;
    /// ```
    pub fn on_error(self, policy: Policy) -> Self {
        self.step.policy.set(&self.stream.draft, &policy);
        self
    }

    /// Gives the step its processor: the step is complete. One that never gets its processor is
    /// refused by [`build`](crate::Topology::build).
    ///
    /// ```
    /// use suiro::{Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let mut process = topology.stream(&CLICKS).process("visits");
    /// let _pages = process.store::<Vec<String>>("pages");
    /// let error = topology.build().err().expect("the step has no processor");
    /// assert!(error.report().contains("visits"));
    /// ```
    pub fn with<P: Processor<Key = K, In = V>>(self, processor: P) {
        let Self { stream, name, step, parts } = self;
        operators::process::finish(&stream, &name, step, parts, processor);
    }
}

impl<K, V> Parts<K, V> {
    /// The numbers of its stores.
    pub(crate) fn slots(&self) -> Vec<usize> {
        self.stores.iter().map(|store| store.slot()).collect()
    }
}
