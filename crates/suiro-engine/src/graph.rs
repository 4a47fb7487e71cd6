//! The graph of a program, as the library writes it down: nodes, edges, stores, exchanges.

use crate::exchange::ExchangeCodec;
use crate::forms::Migration;
use crate::globals::GlobalSpec;
use crate::letters::Show;
use crate::operator::Operator;
use crate::rows::CloneRows;
use crate::source::{Decode, Generate};
use crate::stores::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::Seek;

/// Makes the operator of a node for one task.
pub type MakeOperator = Arc<dyn Fn(TaskInfo) -> Box<dyn Operator> + Send + Sync>;

/// Makes an empty store for one task.
pub type MakeState = Arc<dyn Fn() -> Box<dyn State> + Send + Sync>;

/// Makes a generator for one partition.
pub type MakeGenerator = Arc<dyn Fn(u32) -> Box<dyn Generate> + Send + Sync>;

/// What an operator may know of the task it works for.
#[derive(Clone, Copy, Debug)]
pub struct TaskInfo {
    /// The partition of the task.
    pub partition: u32,
}

/// A program: its nodes in order of declaration, which is also an order of dependency.
#[derive(Default)]
pub struct Graph {
    /// The name of the program; it prefixes internal topics and names the group.
    pub name: Arc<str>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The stores; their numbers are the slots of [`crate::Stores`].
    pub stores: Vec<StoreSpec>,
    /// The exchanges.
    pub exchanges: Vec<ExchangeSpec>,
    /// The global tables; their numbers are those of [`crate::Globals`].
    pub globals: Vec<GlobalSpec>,
    /// The topics that sinks and letters are written to, by number.
    pub topics: Vec<Arc<str>>,
    /// Those of them that take dead letters.
    pub letters: BTreeSet<usize>,
    /// What takes stores whose values were of another type, by name.
    pub migrations: BTreeMap<Arc<str>, Migration>,
    /// After how long a silence stream times go on by the clock, if they do (rule T5).
    pub idle_after: Option<Duration>,
    /// The nodes that write to topics by names which they give when they run.
    pub named: BTreeSet<usize>,
    /// How many partitions an exchange has, where that was said.
    pub parts: BTreeMap<usize, u32>,
    /// The nodes that speak by the clock, with how long they wait in between (rule E1).
    pub every: BTreeMap<usize, Duration>,
    /// The nodes that ask for work outside.
    pub askers: BTreeSet<usize>,
    /// The nodes that wait for times of day, each with the store that knows for which.
    pub clocks: BTreeMap<usize, usize>,
    /// How dead letters show rows that go into a node, by node and port.
    pub shows: BTreeMap<(usize, usize), Show>,
}

/// One step, source or sink.
pub struct Node {
    /// What `describe` and errors call it.
    pub label: String,
    /// What it does.
    pub kind: NodeKind,
    /// Where its rows come from; the place in this list is the port.
    pub inputs: Vec<Edge>,
    /// Its outputs, with a way to copy rows where there may be several readers.
    pub outputs: Vec<Option<CloneRows>>,
    /// The stores that it reads or writes.
    pub stores: Vec<usize>,
    /// Of these, the stores of others in which it looks up what it joins, with the port of the
    /// rows that it looks up for.
    pub looks: Vec<(usize, usize)>,
    /// How far behind stream time the rows may be that it emits, in milliseconds.
    pub delay: i64,
    /// Its rows go by time: what it emits may be of earlier records than the one at hand, and
    /// [`Operator::observe`] has something to say.
    pub ages: bool,
}

/// An output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// The node.
    pub node: usize,
    /// The number of its output.
    pub output: usize,
}

/// What a node does.
pub enum NodeKind {
    /// Reads a topic.
    Source(SourceSpec),
    /// Makes rows.
    Generator(GeneratorSpec),
    /// Takes rows off the exchange of that number.
    Receive(usize),
    /// Works on rows.
    Step(MakeOperator),
    /// Puts rows on the exchange of that number.
    Send(usize, MakeOperator),
    /// Writes rows to the topic of that number.
    Sink(usize, MakeOperator),
}

/// A topic that is read.
pub struct SourceSpec {
    /// The topic.
    pub topic: Arc<str>,
    /// How its records become rows.
    pub decode: Arc<dyn Decode>,
    /// Where a group without a position begins.
    pub from: Seek,
}

/// Rows that are made.
pub struct GeneratorSpec {
    /// What `describe` calls it; its positions are kept under this name.
    pub name: Arc<str>,
    /// How many partitions it has.
    pub partitions: u32,
    /// Makes the generator of a partition.
    pub make: MakeGenerator,
}

/// A store.
pub struct StoreSpec {
    /// Its name, unique in the program: the changelog is `<app>.<name>.changelog`.
    pub name: Arc<str>,
    /// Makes an empty one.
    pub make: MakeState,
    /// The topic that a source table holds: if it is compacted, it is the changelog.
    pub topic: Option<Arc<str>>,
    /// It has a changelog of its own all the same, because it does not hold what the topic does.
    pub differs: bool,
}

/// An exchange.
pub struct ExchangeSpec {
    /// Its name: the internal topic is `<app>.<name>.repartition`.
    pub name: Arc<str>,
    /// How its rows are encoded.
    pub codec: Arc<dyn ExchangeCodec>,
    /// An exchange to the same receiver whose rows do not wait for this one where it brings none
    /// (rule T3): what it brings rarely may come late.
    pub beside: Option<usize>,
}

impl Graph {
    /// Adds a node, and gives its number.
    pub fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The number of the output topic `name`.
    pub fn topic(&mut self, name: &str) -> usize {
        let known = self.topics.iter().position(|topic| &**topic == name);
        known.unwrap_or_else(|| {
            self.topics.push(name.into());
            self.topics.len() - 1
        })
    }

    /// The number of the topic `name`, which takes dead letters.
    pub fn letter_topic(&mut self, name: &str) -> usize {
        let topic = self.topic(name);
        self.letters.insert(topic);
        topic
    }
}
