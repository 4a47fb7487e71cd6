//! A table of which every process holds all rows.

use crate::draft::Draft;
use crate::policy::Policy;
use crate::source::Decoder;
use crate::state::GlobalRows;
use crate::step::Step;
use crate::{Data, Key, Topic};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::Error;
use suiro_engine::GlobalSpec;

/// A handle to a global table with keys `K` and rows `V`;
/// [`Topology::global_table`](crate::Topology::global_table) gives it.
///
/// Streams look its rows up by whatever their records name, with
/// [`join_global`](crate::Stream::join_global). Cloning the handle costs nothing and copies no
/// rows.
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
/// orders.join_global(&countries, |_, code| Some(code.clone()), |_, name| name.clone()).to(&NAMED);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&COUNTRIES, "fi".into(), "Finland".into(), 0)?;
/// driver.send(&ORDERS, 7, "fi".into(), 1)?;
/// assert_eq!(driver.read(&NAMED)?[0].value, "Finland");
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "a global table is held by every process, and does nothing until it is joined"]
pub struct GlobalTable<K: 'static, V: 'static> {
    pub(crate) draft: Draft,
    /// The number of the table in the program.
    pub(crate) number: usize,
    /// The topic.
    pub(crate) name: Arc<str>,
    step: Step,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: 'static, V: 'static> std::fmt::Debug for GlobalTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalTable").field("topic", &self.name).finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static> Clone for GlobalTable<K, V> {
    fn clone(&self) -> Self {
        let (draft, name, step) =
            (self.draft.clone(), Arc::clone(&self.name), self.step.clone());
        Self { draft, number: self.number, name, step, types: PhantomData }
    }
}

impl<K: Key + Sync, V: Data + Sync> GlobalTable<K, V> {
    pub(crate) fn add(draft: &Draft, topic: &Topic<K, V>) -> Self {
        let name: Arc<str> = topic.name().into();
        let step = draft.step(format!("global table {name}"));
        let decode = Arc::new(Decoder::of_table(topic, step.clone()).without_letters());
        let mut sketch = draft.sketch();
        let globals = &mut sketch.graph.globals;
        let (number, twice) = (globals.len(), globals.iter().any(|it| it.topic == name));
        globals.push(GlobalSpec {
            topic: Arc::clone(&name),
            decode,
            make: Arc::new(|| Box::new(GlobalRows::<K, V>::new())),
        });
        drop(sketch);
        if twice {
            let text =
                "topic is read twice as a global table; read it once and clone the handle";
            draft.refuse(Error::invalid(text).with("topic", &name));
        }
        Self { draft: draft.clone(), number, name, step, types: PhantomData }
    }

    /// Sets what becomes of records of the topic that cannot be decoded, in place of the
    /// topology's policy. A letter is not written: every process reads the topic, and again at
    /// each start. [`Policy::DeadLetter`] is as [`Policy::Skip`] here.
    ///
    /// ```
    /// use suiro::{Policy, TestDriver, Topic, Topology};
    ///
    /// const RATES: Topic<String, f64> = Topic::json("rates");
    /// const SALES: Topic<String, f64> = Topic::json("sales");
    /// const EUROS: Topic<String, f64> = Topic::json("sales-in-euros");
    ///
    /// let topology = Topology::new("sales");
    /// let rates = topology.global_table(&RATES).on_error(Policy::Skip);
    /// let sales = topology.stream(&SALES);
    /// sales.join_global(&rates, |code, _| Some(code.clone()), |sum, rate| sum * rate).to(&EUROS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&RATES, "usd".into(), 0.5, 0)?;
    /// driver.send(&Topic::<String, String>::json("rates"), "usd".into(), "half".into(), 1)?;
    /// driver.send(&SALES, "usd".into(), 8.0, 2)?;
    /// assert_eq!(driver.read(&EUROS)?[0].value, 4.0);
    /// assert_eq!(driver.metrics().skipped, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn on_error(self, policy: Policy) -> Self {
        self.step.policy.set(&self.draft, &policy);
        self
    }
}
