//! What an app has left on a broker and beside it, and taking it away, so that it begins anew.

use crate::below::Shelf;
use crate::graph::NodeKind;
use crate::link::Link;
use crate::plan::Plan;
use crate::settings::Settings;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use suiro_core::broker::{Broker, Position, TopicSpec};
use suiro_core::objects::{ObjectInfo, Objects};
use suiro_core::store::StoreProvider;
use suiro_core::{Error, Result, TopicPartition};

/// What an app has left. Nothing of it is changed until [`Reset::carry_out`].
pub struct Reset {
    app: Arc<str>,
    link: Link,
    /// How many processes run the app.
    pub members: usize,
    /// How far the app has read.
    pub positions: Vec<Position>,
    /// Its internal topics that exist.
    pub topics: Vec<TopicSpec>,
    /// Its snapshots.
    pub snapshots: Vec<ObjectInfo>,
    /// The names under which its rows may be in stores below.
    pub stores: Vec<Arc<str>>,
    /// No store has more partitions.
    partitions: u32,
    provider: Option<Arc<dyn StoreProvider>>,
    objects: Option<Arc<dyn Objects>>,
}

impl Reset {
    /// Finds out what there is of the app that `plan` is of. Topics of stores and repartitions
    /// that the plan has not are not looked for.
    pub fn look(plan: &Plan, broker: &dyn Broker, settings: &Settings) -> Result<Self> {
        let mut link = Link::new(broker.anonymous(&format!("{}-reset", plan.name()))?);
        let members = link.members(plan.name())?;
        let graph = &plan.graph;
        let own = own(plan);
        let used = plan.sources().chain(plan.globals()).chain(plan.sinks());
        let used: BTreeSet<Arc<str>> = used.cloned().collect();
        let names: BTreeSet<Arc<str>> = used.iter().chain(&own).cloned().collect();
        let found = link.describe(&names.into_iter().collect::<Vec<_>>())?;
        let of = |spec: &TopicSpec| {
            let topic = Arc::clone(&spec.name);
            (0..spec.partitions).map(move |it| TopicPartition::new(Arc::clone(&topic), it))
        };
        let partitions: Vec<_> = found.iter().flat_map(of).collect();
        let positions = link.positions(plan.name(), &partitions)?;
        let most = found.iter().map(|spec| spec.partitions).max().unwrap_or(1);
        let is_own = |spec: &TopicSpec| own.contains(&spec.name) && !used.contains(&spec.name);
        let topics = found.into_iter().filter(is_own).collect();

        let changelogs: Vec<_> = (0..graph.stores.len()).map(|it| plan.changelog(it)).collect();
        let objects = settings.snapshots.as_ref().map(|it| Arc::clone(&it.objects));
        let mut snapshots = Vec::new();
        if let Some(objects) = &objects {
            for changelog in &changelogs {
                snapshots.extend(objects.list(&format!("{}/{changelog}", plan.name()))?);
            }
        }
        let provider = match &settings.shelf {
            Shelf::Memory => None,
            Shelf::Below { provider, .. } => Some(Arc::clone(provider)),
        };
        let tables = graph.stores.iter().filter_map(|store| store.topic.clone());
        let stores = changelogs.iter().cloned().chain(tables);
        let stores = stores.filter(|_| provider.is_some()).collect();
        Ok(Self {
            app: Arc::clone(plan.name()),
            link,
            members,
            positions,
            topics,
            snapshots,
            stores,
            partitions: most,
            provider,
            objects,
        })
    }

    /// Whether there is nothing on the log, and no snapshot.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.topics.is_empty() && self.snapshots.is_empty()
    }

    /// Takes it all away. Refused, and nothing is changed, while a process runs the app.
    ///
    /// What is beside the broker goes first: where this ends half way the app would only have
    /// to build that anew.
    pub fn carry_out(mut self) -> Result<()> {
        let members = self.link.members(&self.app)?;
        if members > 0 {
            let text = "the app runs; stop all its processes before it is reset. one that died \
                        counts until its session has timed out";
            let error = Error::invalid(text).with("app", &self.app);
            return Err(error.with("processes", members));
        }
        if let Some(provider) = &self.provider {
            for store in &self.stores {
                (0..self.partitions).try_for_each(|of| provider.forget(store, of))?;
            }
        }
        if let Some(objects) = &self.objects {
            self.snapshots.iter().try_for_each(|object| objects.delete(&object.name))?;
        }
        let topics: Vec<_> = self.topics.iter().map(|spec| Arc::clone(&spec.name)).collect();
        self.link.remove(&self.app, &topics).map_err(|error| {
            let text =
                "the app may be reset in part; mend what is said, and reset it once more";
            Error::new(error.kind(), text).with("app", &self.app).caused_by(error)
        })
    }
}

/// The internal topics of a plan, by name.
fn own(plan: &Plan) -> Vec<Arc<str>> {
    let graph = &plan.graph;
    let mut names = vec![plan.forms()];
    names.extend((0..graph.exchanges.len()).map(|it| plan.repartition(it)));
    names.extend((0..graph.stores.len()).map(|it| plan.changelog(it)));
    names.extend(graph.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Generator(spec) => Some(plan.generator(spec)),
        _ => None,
    }));
    names
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reset of app `{}` removes", self.app)?;
        for Position { partition, next, .. } in &self.positions {
            writeln!(f, "  position  {partition} at {next}")?;
        }
        for TopicSpec { name, partitions, .. } in &self.topics {
            writeln!(f, "  topic     {name} with {partitions} partitions")?;
        }
        for store in &self.stores {
            writeln!(f, "  store     {store}, as far as it is here")?;
        }
        let bytes: u64 = self.snapshots.iter().map(|object| object.bytes).sum();
        if !self.snapshots.is_empty() {
            writeln!(f, "  snapshots {} objects with {bytes} bytes", self.snapshots.len())?;
        }
        if self.is_empty() {
            writeln!(f, "  nothing on the broker")?;
        }
        write!(f, "topics that the app reads or writes for others stay as they are")?;
        match self.members {
            0 => Ok(()),
            members => write!(f, "\nnot possible now: {members} processes run the app"),
        }
    }
}
