//! A plan: the graph, cut into sub-topologies at its exchanges.
//!
//! Nodes that are joined by an edge, by a store or by a source topic are in one sub-topology;
//! a task is a sub-topology times a partition.

use crate::graph::{Edge, GeneratorSpec, Graph, Node, NodeKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use suiro_core::{Error, Result};

/// A program that is ready to run.
#[derive(Clone)]
pub struct Plan {
    pub(crate) graph: Arc<Graph>,
    pub(crate) subs: Arc<Vec<SubTopology>>,
    pub(crate) links: Arc<Vec<Links>>,
}

/// A part of the program that runs in one task per partition.
#[derive(Debug, Default)]
pub(crate) struct SubTopology {
    /// Its nodes, in order.
    pub(crate) nodes: Vec<usize>,
    /// Those of them that feed it: sources, generators, receivers.
    pub(crate) inputs: Vec<usize>,
    /// The stores of its nodes.
    pub(crate) stores: Vec<usize>,
    /// The exchanges it sends on, each with the delay of the rows that it sends.
    pub(crate) sends: Vec<(usize, i64)>,
    /// Exchanges lead from lower to higher levels only.
    pub(crate) level: usize,
}

/// What a task needs to know of a node.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// The sub-topology of the node.
    pub(crate) sub: usize,
    /// The readers of each output, in order of declaration: node and port.
    pub(crate) readers: Vec<Vec<(usize, usize)>>,
    /// Paths from here meet again: rows must be handed on one at a time (rule D2).
    pub(crate) cut: bool,
    /// A store that it writes is looked at below: it takes one row at a time (rule D2).
    pub(crate) single: bool,
    /// It takes one row at a time, and what goes by time goes before the row is taken.
    pub(crate) ages: bool,
    /// What arrives may have been held back above, and be made of several records.
    pub(crate) held: bool,
    /// The receivers above, as places among the inputs of the sub-topology.
    pub(crate) gates: Vec<usize>,
}

impl Plan {
    /// Cuts `graph` into sub-topologies, and refuses what cannot run.
    pub fn new(graph: Graph) -> Result<Self> {
        check_names(&graph)?;
        let (subs, of_node) = cut(&graph)?;
        let mut links = link(&graph, &of_node);
        mark_meetings(&graph, &mut links);
        mark_singles(&graph, &mut links);
        mark_gates(&graph, &subs, &mut links);
        let mut subs = subs;
        measure_delays(&graph, &of_node, &mut subs, &mut links);
        Ok(Self { graph: Arc::new(graph), subs: Arc::new(subs), links: Arc::new(links) })
    }

    /// The name of the program.
    pub fn name(&self) -> &Arc<str> {
        &self.graph.name
    }

    /// The topics that the program reads, in order of declaration.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<str>> {
        self.graph.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Source(source) => Some(&source.topic),
            _ => None,
        })
    }

    /// The topics that the tasks of each sub-topology read, internal ones among them.
    pub(crate) fn reads(&self) -> Vec<(u32, Arc<str>)> {
        let subs = self.subs.iter().enumerate();
        let inputs = subs.flat_map(|(sub, of)| of.inputs.iter().map(move |it| (sub, *it)));
        let topic = |node: usize| match &self.graph.nodes[node].kind {
            NodeKind::Source(source) => Some(Arc::clone(&source.topic)),
            NodeKind::Receive(exchange) => Some(self.repartition(*exchange)),
            _ => None,
        };
        inputs.filter_map(|(sub, node)| Some((sub as u32, topic(node)?))).collect()
    }

    /// The topics of the program's global tables, in order of declaration.
    pub fn globals(&self) -> impl Iterator<Item = &Arc<str>> {
        self.graph.globals.iter().map(|global| &global.topic)
    }

    /// The topics that the program writes, in order of declaration.
    pub fn sinks(&self) -> impl Iterator<Item = &Arc<str>> {
        self.graph.topics.iter()
    }

    /// The number of the store called `name`.
    pub fn store(&self, name: &str) -> Option<usize> {
        self.graph.stores.iter().position(|store| &*store.name == name)
    }

    /// The internal topic that stays empty, and only gives the positions of a generator a name.
    pub(crate) fn generator(&self, spec: &GeneratorSpec) -> Arc<str> {
        format!("{}.{}.generator", self.graph.name, spec.name).into()
    }

    /// The internal topic of an exchange.
    pub(crate) fn repartition(&self, exchange: usize) -> Arc<str> {
        format!("{}.{}.repartition", self.graph.name, self.graph.exchanges[exchange].name)
            .into()
    }

    /// The internal topic that says how the rows of stores are laid out.
    pub(crate) fn forms(&self) -> Arc<str> {
        format!("{}.forms", self.graph.name).into()
    }

    /// The changelog topic of a store.
    pub(crate) fn changelog(&self, store: usize) -> Arc<str> {
        format!("{}.{}.changelog", self.graph.name, self.graph.stores[store].name).into()
    }
}

fn check_names(graph: &Graph) -> Result<()> {
    let mut seen = BTreeMap::new();
    for (number, store) in graph.stores.iter().enumerate() {
        if let Some(first) = seen.insert(&store.name, number) {
            let text = "two stores have one name; give each its own";
            let place = |store: usize| place(graph, |node| node.owns(store));
            return Err(Error::invalid(text)
                .with("store", &store.name)
                .with("first", place(first))
                .with("second", place(number)));
        }
    }
    let mut seen = BTreeMap::new();
    for (number, exchange) in graph.exchanges.iter().enumerate() {
        if let Some(first) = seen.insert(&exchange.name, number) {
            let text = "two repartitions have one name; give each its own";
            let place = |exchange: usize| {
                place(
                    graph,
                    |node| matches!(node.kind, NodeKind::Send(it, _) if it == exchange),
                )
            };
            return Err(Error::invalid(text)
                .with("repartition", &exchange.name)
                .with("first", place(first))
                .with("second", place(number)));
        }
    }
    for (name, migration) in &graph.migrations {
        let store = graph.stores.iter().find(|store| store.name == *name);
        let Some(form) = store.and_then(|store| (store.make)().form()) else {
            let text = "there is no such store to migrate; name it as its fold does";
            return Err(Error::invalid(text).with("store", name));
        };
        if form.values != migration.to {
            let text = "the migration does not give what the store holds";
            return Err(Error::invalid(text)
                .with("store", name)
                .with("gives", &migration.to)
                .with("holds", &form.values));
        }
    }
    for node in &graph.nodes {
        let NodeKind::Source(source) = &node.kind else { continue };
        if graph.letters.iter().any(|letters| graph.topics[*letters] == source.topic) {
            let text = "the program reads the topic of its own dead letters, and would fail at \
                        them again; read them in another program";
            return Err(Error::invalid(text).with("topic", &source.topic));
        }
    }
    Ok(())
}

/// The first node that is meant, as people find it in their program: what it is called, and what is
/// before it, up to the source.
fn place(graph: &Graph, is_meant: impl Fn(&Node) -> bool) -> String {
    let mut text = String::new();
    let mut next = graph.nodes.iter().find(|node| is_meant(node));
    while let Some(node) = next {
        // Nobody writes down that rows are received; where they are sent says it.
        if !matches!(node.kind, NodeKind::Receive(_)) {
            text += if text.is_empty() { "" } else { " <- " };
            text += &node.label;
        }
        next = node.inputs.first().map(|edge| &graph.nodes[edge.node]);
    }
    text
}

/// Which nodes belong together, by union-find over edges and stores.
fn cut(graph: &Graph) -> Result<(Vec<SubTopology>, Vec<usize>)> {
    let mut parent: Vec<usize> = (0..graph.nodes.len()).collect();
    let mut store_user = vec![None; graph.stores.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        if !matches!(node.kind, NodeKind::Receive(_)) {
            node.inputs.iter().for_each(|edge| join(&mut parent, edge.node, id));
        }
        for store in &node.stores {
            match store_user[*store] {
                None => store_user[*store] = Some(id),
                Some(user) => join(&mut parent, user, id),
            }
        }
    }
    let mut subs: Vec<SubTopology> = Vec::new();
    let mut number = vec![None; graph.nodes.len()];
    let mut of_node = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let root = root(&mut parent, id);
        let sub = *number[root].get_or_insert_with(|| {
            subs.push(SubTopology::default());
            subs.len() - 1
        });
        of_node.push(sub);
        subs[sub].nodes.push(id);
        if node.is_input() {
            subs[sub].inputs.push(id);
        }
        for store in &node.stores {
            if !subs[sub].stores.contains(store) {
                subs[sub].stores.push(*store);
            }
        }
    }
    level(graph, &of_node, &mut subs)?;
    Ok((subs, of_node))
}

fn root(parent: &mut [usize], mut node: usize) -> usize {
    while parent[node] != node {
        parent[node] = parent[parent[node]];
        node = parent[node];
    }
    node
}

fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}

/// Orders sub-topologies so that exchanges lead upwards.
fn level(graph: &Graph, of_node: &[usize], subs: &mut [SubTopology]) -> Result<()> {
    for _ in 0..=subs.len() {
        let mut changed = false;
        for (id, node) in graph.nodes.iter().enumerate() {
            let NodeKind::Receive(_) = node.kind else { continue };
            for edge in &node.inputs {
                let above = subs[of_node[edge.node]].level + 1;
                let sub = &mut subs[of_node[id]];
                if sub.level < above {
                    sub.level = above;
                    changed = true;
                }
            }
        }
        if !changed {
            return Ok(());
        }
    }
    let text = "a part of the program feeds itself through a repartition; \
                write to a topic and read it in a second program instead";
    Err(Error::invalid(text).with("app", &graph.name))
}

fn link(graph: &Graph, of_node: &[usize]) -> Vec<Links> {
    let empty = |(id, node): (usize, &Node)| Links {
        sub: of_node[id],
        readers: vec![Vec::new(); node.outputs.len()],
        ..Links::default()
    };
    let mut links: Vec<Links> = graph.nodes.iter().enumerate().map(empty).collect();
    for (id, node) in graph.nodes.iter().enumerate() {
        if matches!(node.kind, NodeKind::Receive(_)) {
            continue;
        }
        for (port, Edge { node, output }) in node.inputs.iter().enumerate() {
            links[*node].readers[*output].push((id, port));
        }
    }
    links
}

/// Finds the nodes whose readers lead to a common place: an operator, a store, a topic.
fn mark_meetings(graph: &Graph, links: &mut [Links]) {
    #[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
    enum Place {
        Node(usize),
        Store(usize),
        Topic(usize),
        AnyTopic,
    }
    let mut below: Vec<BTreeSet<Place>> = vec![BTreeSet::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        let mut all = BTreeSet::from([Place::Node(id)]);
        all.extend(node.stores.iter().map(|store| Place::Store(*store)));
        if let NodeKind::Sink(topic, _) = node.kind {
            all.insert(Place::Topic(topic));
        }
        // A topic that is named when the program runs may be any.
        let is_named = |id| graph.named.contains(&id);
        if is_named(id) || matches!(node.kind, NodeKind::Sink(..)) && !graph.named.is_empty() {
            all.insert(Place::AnyTopic);
        }
        let mut met = BTreeSet::new();
        for (reader, _) in links[id].readers.iter().flatten() {
            for place in &below[*reader] {
                if links[id].cut && cfg!(suiro_mutant = "second_meeting_overlooked") {
                    break;
                }
                links[id].cut |= !met.insert(*place);
            }
        }
        all.extend(met);
        below[id] = all;
    }
}

/// Finds the nodes whose own rows are looked at by what follows from their changes: the row of
/// a later turn must not be there yet.
fn mark_singles(graph: &Graph, links: &mut [Links]) {
    let mut below: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        let mut looked_at = BTreeSet::new();
        for (reader, port) in links[id].readers.iter().flatten() {
            looked_at.extend(&below[*reader]);
            let looks = graph.nodes[*reader].looks.iter();
            looked_at.extend(looks.filter(|(at, _)| at == port).map(|(_, store)| store));
        }
        links[id].single =
            node.stores.iter().any(|store| node.owns(*store) && looked_at.contains(store));
        links[id].ages = links[id].single && node.ages;
        below[id] = looked_at;
    }
}

/// Finds the receivers above each node.
fn mark_gates(graph: &Graph, subs: &[SubTopology], links: &mut [Links]) {
    for (id, node) in graph.nodes.iter().enumerate() {
        let mut gates = BTreeSet::new();
        if matches!(node.kind, NodeKind::Receive(_)) {
            let inputs = &subs[links[id].sub].inputs;
            gates.extend(inputs.iter().position(|input| *input == id));
        } else {
            for edge in &node.inputs {
                gates.extend(links[edge.node].gates.iter().copied());
            }
        }
        links[id].gates = gates.into_iter().collect();
    }
}

/// Adds up how far behind stream time the rows may be that reach each exchange.
fn measure_delays(
    graph: &Graph,
    of_node: &[usize],
    subs: &mut [SubTopology],
    links: &mut [Links],
) {
    let mut delays = vec![0_i64; graph.nodes.len()];
    let mut ages = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        if !matches!(node.kind, NodeKind::Receive(_)) {
            let above = node.inputs.iter().map(|edge| delays[edge.node]).max().unwrap_or(0);
            let has_aged = node.inputs.iter().any(|edge| ages[edge.node]);
            links[id].held = above > 0 || has_aged;
            delays[id] = above.saturating_add(node.delay);
            ages[id] = has_aged || node.ages;
        }
        if let NodeKind::Send(exchange, _) = node.kind {
            subs[of_node[id]].sends.push((exchange, delays[id]));
        }
    }
}

impl Node {
    /// Whether a store is its own, and not one in which it looks up what others keep.
    fn owns(&self, store: usize) -> bool {
        self.stores.contains(&store) && !self.looks.iter().any(|(_, looked)| *looked == store)
    }

    /// Whether rows come in here from outside of the sub-topology.
    pub(crate) fn is_input(&self) -> bool {
        match self.kind {
            NodeKind::Source(_) | NodeKind::Generator(_) | NodeKind::Receive(_) => true,
            NodeKind::Step(_) | NodeKind::Send(..) | NodeKind::Sink(..) => false,
        }
    }
}
