//! Snapshots of the stores of a scope: which partitions, where, and one step over all of them.

use crate::link::Link;
use crate::scope::Scope;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro_core::broker::{Broker, Fetch, Fetched, Seek};
use suiro_core::objects::Objects;
use suiro_core::{Clock, Error, Offset, Result, TopicPartition};
use suiro_store::snapshot::{Changelog, Pause, Place, Snapshotter, Step, Tuning};

/// Where an app keeps snapshots of its stores, and how often it takes them.
#[derive(Clone)]
pub struct SnapshotSettings {
    /// Where they are kept.
    pub objects: Arc<dyn Objects>,
    /// How long to wait between two.
    pub every: Duration,
    /// How they are made. How long tombstones are kept is asked of the broker.
    pub tuning: Tuning,
}

impl fmt::Debug for SnapshotSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotSettings")
            .field("every", &self.every)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

impl SnapshotSettings {
    pub(crate) fn place(&self, app: &str, broker: &dyn Broker, clock: Arc<dyn Clock>) -> Place {
        let tombstone_retention = broker.tombstone_retention();
        let tuning = Tuning { tombstone_retention, ..self.tuning.clone() };
        Place::new(Arc::clone(&self.objects), app, clock, tuning)
    }
}

/// The changelog partitions that this process answers for. The scope writes it, and who takes
/// the snapshots reads it.
#[derive(Clone, Default)]
pub(crate) struct Targets(Arc<Mutex<Vec<TopicPartition>>>);

impl Targets {
    /// A list is swapped as a whole, so it is right even after a panic.
    fn lock(&self) -> MutexGuard<'_, Vec<TopicPartition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, targets: Vec<TopicPartition>) {
        *self.lock() = targets;
    }
}

/// Takes the snapshots of all stores of a scope. It has no thread: a step does what there is to
/// do, and is a function of the log, the object store and the clock.
pub struct Snapshots {
    link: Link,
    place: Place,
    targets: Targets,
    snapshotters: BTreeMap<TopicPartition, Snapshotter>,
}

/// What a step over all partitions came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Partitions of stores of which a new snapshot was taken.
    pub taken: usize,
    /// Partitions of which nothing had changed.
    pub unchanged: usize,
    /// Partitions whose snapshots somebody newer takes.
    pub gave_way: usize,
    /// Rows in the new snapshots; those of a key may be in several runs.
    pub rows: u64,
    /// Bytes in the new snapshots.
    pub bytes: u64,
    /// Bytes that were written for them; the others were there before.
    pub added: u64,
    /// Records that were read from changelogs for them.
    pub read: u64,
}

impl Snapshots {
    /// What takes the snapshots of the stores of `scope`, if its settings ask for some. It reads
    /// the log in a session of its own.
    pub fn open(scope: &Scope, broker: &dyn Broker) -> Result<Option<Self>> {
        let Some(place) = scope.place.clone() else { return Ok(None) };
        let link = Link::new(broker.session(&format!("{}/snapshots", place.app()))?);
        let (targets, snapshotters) = (scope.targets.clone(), BTreeMap::new());
        Ok(Some(Self { link, place, targets, snapshotters }))
    }

    /// Takes a snapshot of every partition, as of its last commit; nothing if `pause` asked to
    /// stop. After an error the other partitions were looked after all the same, and the next
    /// step tries again.
    pub fn step(&mut self, pause: &mut Pause<'_>) -> Result<Option<SnapshotReport>> {
        let targets = self.targets.lock().clone();
        self.snapshotters.retain(|of, _| targets.contains(of));
        let (mut report, mut failed) = (SnapshotReport::default(), None);
        for of in targets {
            let new = || Snapshotter::new(self.place.clone(), of.clone());
            let snapshotter = self.snapshotters.entry(of.clone()).or_insert_with(new);
            match snapshotter.step(&mut self.link, pause) {
                Ok(Step::Stopped) => return Ok(None),
                Ok(step) => report.count(&step),
                Err(error) => {
                    let error = Error::new(error.kind(), "cannot take a snapshot")
                        .with("changelog", &of)
                        .caused_by(error);
                    failed = Some(error);
                }
            }
            self.link.forget();
        }
        failed.map_or(Ok(Some(report)), Err)
    }
}

impl SnapshotReport {
    fn count(&mut self, step: &Step) {
        match step {
            Step::Taken(taken) => {
                self.taken += 1;
                self.rows += taken.rows;
                self.bytes += taken.bytes;
                self.added += taken.added;
                self.read += taken.read;
            }
            Step::GaveWay => self.gave_way += 1,
            Step::Unchanged | Step::Stopped => self.unchanged += 1,
        }
    }
}

impl Changelog for Link {
    fn offset(&mut self, partition: &TopicPartition, seek: Seek) -> Result<Offset> {
        Self::offset(self, partition, seek)
    }

    fn read(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Fetched> {
        let partition = partition.clone();
        let ticket = self.session.fetch(Fetch { partition, offset: from, max_bytes });
        self.fetched(ticket)
    }
}

impl Scope {
    /// The changelog partitions of the stores here; a store that is restored from a source
    /// topic has none.
    pub(crate) fn changelogs(&self) -> Vec<TopicPartition> {
        let mut all = Vec::new();
        let arriving = self.arrivals.iter().map(|arrival| &arrival.task);
        for task in self.tasks.iter().flatten().chain(arriving) {
            for (store, _) in task.stores.iter().filter(|it| !task.unlogged.contains(&it.0)) {
                let topic = self.plan.changelog(store);
                all.push(TopicPartition { topic, partition: task.id.partition });
            }
        }
        all
    }
}
