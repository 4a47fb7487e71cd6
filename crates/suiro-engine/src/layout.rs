//! How many partitions everything has: asked of the broker once, at the start.

use crate::graph::NodeKind;
use crate::internal;
use crate::link::{Link, missing};
use crate::plan::Plan;
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::sync::Arc;
use suiro_core::broker::{Cleanup, TaskId, TopicSpec};
use suiro_core::{Error, Result};

/// The partition counts of a running program.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// By sub-topology.
    pub(crate) subs: Vec<u32>,
    topics: BTreeMap<Arc<str>, TopicSpec>,
    /// By exchange: the sending and the receiving sub-topology.
    exchanges: Vec<(usize, usize)>,
}

impl Layout {
    /// Asks for the topics that exist, makes those that the app owns, and checks them all.
    pub(crate) fn prepare(plan: &Plan, link: &mut Link, settings: &Settings) -> Result<Self> {
        let mut names: Vec<Arc<str>> =
            plan.sources().chain(plan.globals()).chain(plan.sinks()).cloned().collect();
        names.sort();
        names.dedup();
        let mut topics = BTreeMap::new();
        for spec in link.describe(&names)? {
            topics.insert(Arc::clone(&spec.name), spec);
        }
        let mut layout = Self {
            subs: vec![0; plan.subs.len()],
            topics,
            exchanges: vec![(0, 0); plan.graph.exchanges.len()],
        };
        let mut wanted = layout.sources(plan, settings)?;
        layout.exchanges(plan);
        layout.count(plan)?;
        let own = layout.internal(plan);
        internal::check(&own, link)?;
        wanted.extend(own);
        wanted.extend(layout.sinks(plan));
        link.create(wanted.clone())?;
        for spec in wanted {
            layout.topics.insert(Arc::clone(&spec.name), spec);
        }
        Ok(layout)
    }

    /// The sources that are missing and may be made.
    fn sources(&mut self, plan: &Plan, settings: &Settings) -> Result<Vec<TopicSpec>> {
        let mut made = Vec::new();
        let tables: Vec<_> =
            plan.graph.stores.iter().filter_map(|store| store.topic.as_ref()).collect();
        for topic in plan.sources().chain(plan.globals()) {
            if self.topics.contains_key(topic) {
                continue;
            }
            let partitions = settings.create_sources.ok_or_else(|| missing(topic))?;
            let compact = tables.contains(&topic) || plan.globals().any(|it| it == topic);
            let cleanup = if compact { Cleanup::Compact } else { Cleanup::Keep };
            let spec = TopicSpec { name: Arc::clone(topic), partitions, cleanup };
            self.topics.insert(Arc::clone(topic), spec.clone());
            made.push(spec);
        }
        Ok(made)
    }

    fn exchanges(&mut self, plan: &Plan) {
        for (id, node) in plan.graph.nodes.iter().enumerate() {
            match node.kind {
                NodeKind::Send(exchange, _) => self.exchanges[exchange].0 = plan.links[id].sub,
                NodeKind::Receive(exchange) => self.exchanges[exchange].1 = plan.links[id].sub,
                _ => {}
            }
        }
    }

    /// Sub-topologies have as many partitions as their sources, which must agree; those
    /// without a source have as many as the largest that sends to them.
    fn count(&mut self, plan: &Plan) -> Result<()> {
        let mut order: Vec<usize> = (0..plan.subs.len()).collect();
        order.sort_by_key(|sub| plan.subs[*sub].level);
        for sub in order {
            let mut first = None;
            for input in &plan.subs[sub].inputs {
                let meets = match &plan.graph.nodes[*input].kind {
                    NodeKind::Source(source) => {
                        let (name, partitions) =
                            (&*source.topic, self.topics[&source.topic].partitions);
                        let mut stores = plan.graph.stores.iter();
                        let is_table = stores.any(|it| it.topic.as_deref() == Some(name));
                        let kind = if is_table { Meets::Table } else { Meets::Stream };
                        (name, partitions, kind)
                    }
                    NodeKind::Generator(spec) => (&*spec.name, spec.partitions, Meets::Stream),
                    _ => continue,
                };
                check_meeting(&mut first, meets)?;
            }
            let said = plan.graph.parts.iter();
            for (exchange, count) in said.filter(|(it, _)| self.exchanges[**it].1 == sub) {
                let name = &*plan.graph.exchanges[*exchange].name;
                check_meeting(&mut first, (name, *count, Meets::Repartition))?;
            }
            let senders = self.exchanges.iter().filter(|(_, receiver)| *receiver == sub);
            let sent = senders.map(|(sender, _)| self.subs[*sender]).max().unwrap_or(1);
            self.subs[sub] = first.map_or(sent, |(_, count, _)| count);
        }
        Ok(())
    }

    /// The sinks that are missing, with as many partitions as the tasks that write to them.
    fn sinks(&self, plan: &Plan) -> Vec<TopicSpec> {
        let mut counts = BTreeMap::new();
        for (id, node) in plan.graph.nodes.iter().enumerate() {
            if let NodeKind::Sink(topic, _) = node.kind {
                let count = counts.entry(Arc::clone(&plan.graph.topics[topic])).or_insert(0);
                *count = self.subs[plan.links[id].sub].max(*count);
            }
        }
        for letters in &plan.graph.letters {
            counts.entry(Arc::clone(&plan.graph.topics[*letters])).or_insert(1);
        }
        let missing = counts.into_iter().filter(|(name, _)| !self.topics.contains_key(name));
        missing
            .map(|(name, partitions)| TopicSpec { name, partitions, cleanup: Cleanup::Keep })
            .collect()
    }

    /// How many partitions a topic has that a task of sub-topology `sub` names when it runs. One
    /// that is missing is made, as a sink is at the start.
    pub(crate) fn named(
        &mut self,
        link: &mut Link,
        name: &Arc<str>,
        sub: usize,
    ) -> Result<u32> {
        if let Some(spec) = self.topics.get(name) {
            return Ok(spec.partitions);
        }
        let known = link.describe(std::slice::from_ref(name))?;
        let spec = match known.into_iter().find(|spec| spec.name == *name) {
            Some(spec) => spec,
            None => {
                let (name, partitions) = (Arc::clone(name), self.subs[sub]);
                let spec = TopicSpec { name, partitions, cleanup: Cleanup::Keep };
                link.create(vec![spec.clone()])?;
                spec
            }
        };
        let partitions = spec.partitions;
        self.topics.insert(Arc::clone(name), spec);
        Ok(partitions)
    }

    /// Whether the store of a source table needs no changelog of its own.
    pub(crate) fn source_is_changelog(&self, plan: &Plan, store: usize) -> bool {
        !plan.graph.stores[store].differs && self.compacted_source(plan, store).is_some()
    }

    /// The topic of a source table, if it is compacted.
    pub(crate) fn compacted_source(&self, plan: &Plan, store: usize) -> Option<Arc<str>> {
        let topic = plan.graph.stores[store].topic.as_ref()?;
        let is_compacted = self.topics.get(topic)?.cleanup == Cleanup::Compact;
        is_compacted.then(|| Arc::clone(topic))
    }

    /// How many partitions a store has.
    pub(crate) fn of_store(&self, plan: &Plan, store: usize) -> u32 {
        let of = plan.subs.iter().position(|sub| sub.stores.contains(&store));
        of.map_or(0, |sub| self.subs[sub])
    }

    /// The sub-topology that sends on an exchange.
    pub(crate) fn sender(&self, exchange: usize) -> usize {
        self.exchanges[exchange].0
    }

    /// The sub-topology that receives from an exchange.
    pub(crate) fn receiver(&self, exchange: usize) -> usize {
        self.exchanges[exchange].1
    }

    /// How many partitions the topic of a global table has.
    pub(crate) fn of_global(&self, topic: &str) -> u32 {
        self.topics.get(topic).map_or(0, |spec| spec.partitions)
    }

    /// All tasks of the program, in order.
    pub(crate) fn tasks(&self) -> Vec<TaskId> {
        let subs = self.subs.iter().enumerate();
        subs.flat_map(|(sub, partitions)| {
            (0..*partitions).map(move |partition| TaskId { subtopology: sub as u32, partition })
        })
        .collect()
    }
}

/// What rows come from that meet others by key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meets {
    Stream,
    Table,
    Repartition,
}

/// What meets in a sub-topology has equal numbers of partitions.
fn check_meeting<'a>(
    first: &mut Option<(&'a str, u32, Meets)>,
    (name, count, kind): (&'a str, u32, Meets),
) -> Result<()> {
    let Some((other, others, other_kind)) = *first else {
        *first = Some((name, count, kind));
        return Ok(());
    };
    if others == count {
        return Ok(());
    }
    let sides = [(name, kind, others), (other, other_kind, count)];
    let moved = sides.into_iter().find_map(|(name, kind, wanted)| match kind {
        Meets::Stream => Some(format!(
            "add `.repartition_into(\"{name}-by-key\", {wanted})` to the stream of `{name}`"
        )),
        Meets::Repartition => Some(format!("say `.repartition_into(\"{name}\", {wanted})`")),
        // The rows of a table are where its topic has them.
        Meets::Table => None,
    });
    let moved = moved.map_or(String::new(), |line| line + ", or ");
    let text = "topics that meet by key need equal numbers of partitions; ";
    Err(Error::invalid(format!("{text}{moved}make the topics alike"))
        .with("topic", other)
        .with("partitions", others)
        .with("other_topic", name)
        .with("other_partitions", count))
}

/// How many partitions things have, once a program runs.
pub(crate) trait Partitions {
    fn of_topic(&self, topic: &str) -> u32;
    fn of_exchange(&self, exchange: usize) -> u32;
    /// How many tasks send on an exchange.
    fn lanes(&self, exchange: usize) -> u32;
}

impl Partitions for Layout {
    fn of_topic(&self, topic: &str) -> u32 {
        self.topics.get(topic).map_or(1, |spec| spec.partitions)
    }

    fn of_exchange(&self, exchange: usize) -> u32 {
        self.subs[self.exchanges[exchange].1]
    }

    fn lanes(&self, exchange: usize) -> u32 {
        self.subs[self.exchanges[exchange].0]
    }
}
