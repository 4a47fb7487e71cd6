//! What handles write: the graph of a program under construction.

use crate::policy::PolicyCell;
use crate::process::Names;
use crate::source::TimeOf;
use crate::step::Step;
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use suiro_core::{Error, Result};
use suiro_engine::{
    Edge, Graph, MakeOperator, MakeState, Node, NodeKind, Operator, Plan, Show, State,
    StoreSpec, TaskInfo,
};

/// Where handles write. Shared, so that handles are plain owned values.
#[derive(Clone)]
pub(crate) struct Draft {
    inner: Arc<Mutex<Sketch>>,
    pub(crate) policy: Arc<AtomicU32>,
    pub(crate) processors: Arc<Names>,
}

#[derive(Default)]
pub(crate) struct Sketch {
    pub(crate) graph: Graph,
    /// By source: what tells its event times, as a `TimeOf` of its values.
    pub(crate) times: HashMap<usize, Box<dyn Any + Send>>,
    pub(crate) errors: Vec<Error>,
    /// Nodes that were begun, and what is wrong unless they are completed.
    unfinished: BTreeMap<usize, Error>,
}

impl Draft {
    /// An empty program.
    pub(crate) fn new(name: Arc<str>) -> Self {
        let graph = Graph { name, ..Graph::default() };
        let sketch = Sketch { graph, ..Sketch::default() };
        let (policy, processors) = Default::default();
        Self { inner: Arc::new(Mutex::new(sketch)), policy, processors }
    }

    /// The program as it was written down, or the first mistake that was made.
    pub(crate) fn finish(&self) -> Result<Plan> {
        let sketch = std::mem::take(&mut *self.sketch());
        match sketch.errors.into_iter().chain(sketch.unfinished.into_values()).next() {
            Some(error) => Err(error),
            None => Plan::new(sketch.graph),
        }
    }

    pub(crate) fn sketch(&self) -> MutexGuard<'_, Sketch> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a mistake; `build` reports the first.
    pub(crate) fn refuse(&self, error: Error) {
        self.sketch().errors.push(error);
    }

    /// A node is begun; to build reports the mistake, unless the node is completed by then.
    pub(crate) fn begin(&self, node: usize, unless_completed: Error) {
        self.sketch().unfinished.insert(node, unless_completed);
    }

    /// A node that was begun gets its operator.
    pub(crate) fn complete(&self, node: usize, make: MakeOperator) {
        let mut sketch = self.sketch();
        sketch.graph.nodes[node].kind = NodeKind::Step(make);
        sketch.unfinished.remove(&node);
    }

    /// A step with a policy of its own to be set.
    pub(crate) fn step(&self, label: impl Into<String>) -> Step {
        Step { label: label.into(), policy: PolicyCell::new(&self.policy) }
    }

    /// Adds an operator below `inputs`; the order of `inputs` is the order of ports.
    pub(crate) fn add(&self, node: Node) -> usize {
        self.sketch().graph.add(node)
    }

    /// Says how dead letters show the rows that arrive at a port of a node.
    pub(crate) fn show(&self, (node, port): (usize, usize), show: Show) {
        self.sketch().graph.shows.insert((node, port), show);
    }

    /// Adds a store, and gives its number. `topic` is that of a source table.
    pub(crate) fn store<S: State>(
        &self,
        name: &str,
        topic: Option<Arc<str>>,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> usize {
        self.put_store(name, topic, Arc::new(move || Box::new(make())))
    }

    /// As [`Draft::store`], for one whose kind is known when all is said.
    pub(crate) fn store_of(
        &self,
        name: &str,
        make: impl Fn() -> Box<dyn State> + Send + Sync + 'static,
    ) -> usize {
        self.put_store(name, None, Arc::new(make))
    }

    fn put_store(&self, name: &str, topic: Option<Arc<str>>, make: MakeState) -> usize {
        let stores = &mut self.sketch().graph.stores;
        stores.push(StoreSpec { name: name.into(), make, topic, differs: false });
        stores.len() - 1
    }

    /// What tells the event times of a source; none if `edge` is no source of values
    /// `V`.
    pub(crate) fn time_of<V: 'static>(&self, edge: Edge) -> Option<TimeOf<V>> {
        let sketch = self.sketch();
        let time = sketch.times.get(&edge.node)?.downcast_ref::<TimeOf<V>>()?;
        Some(Arc::clone(time))
    }

    /// Whether both handles come from one topology.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.inner, &other.inner);
        if !same {
            self.refuse(Error::invalid(
                "two topologies meet in one step; take both sides from one topology",
            ));
        }
        same
    }
}

/// A node that works on rows, with one output of rows `J`, `W`.
pub(crate) fn step_node(label: &str, inputs: Vec<Edge>, make: MakeOperator) -> Node {
    Node {
        label: label.to_owned(),
        kind: NodeKind::Step(make),
        inputs,
        outputs: vec![None],
        stores: Vec::new(),
        looks: Vec::new(),
        delay: 0,
        ages: false,
    }
}

/// Boxes the operators that `make` makes.
pub(crate) fn maker<O: Operator + 'static>(
    make: impl Fn(TaskInfo) -> O + Send + Sync + 'static,
) -> MakeOperator {
    Arc::new(move |info| Box::new(make(info)))
}
