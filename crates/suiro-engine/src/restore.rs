//! Taking tasks over: positions from the group, stores from their changelogs.

use crate::below::{Shelf, age, age_of};
use crate::ends::Note;
use crate::exchange::ExchangeKind;
use crate::graph::NodeKind;
use crate::input::InputKind;
use crate::load::{Load, load_all};
use crate::progress::Restoring;
use crate::scope::Scope;
use crate::silence::Silence;
use crate::stores::{Restored, State};
use crate::task::Task;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::{Fetch, Generation, Position, Role, Seek, TaskId};
use suiro_core::store::Store;
use suiro_core::{Error, ErrorKind, Offset, Result, Timestamp, TopicPartition};
use suiro_store::snapshot::find;

/// After so many records restoring says how far it is.
const TELL: u64 = 1 << 20;

impl Scope {
    /// Drops all tasks and takes over what is assigned now.
    pub(crate) fn rejoin(&mut self) -> Result<()> {
        self.link.session.rejoin(self.plan.name(), &self.layout.tasks());
        let assigned = self.link.wait_assigned()?;
        self.take_over(assigned)
    }

    /// Drops all tasks and restores them, in the same generation. Where other processes have
    /// tasks too it must be a new one: in each they tell once how far their lanes are.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        if self.places.len() < self.layout.tasks().len() {
            return self.rejoin();
        }
        let tasks = self.places.keys().map(|task| (*task, Role::Active)).collect();
        self.take_over((self.generation, tasks))
    }

    /// Drops the tasks of an older assignment without a trace, and opens and restores those of
    /// this one.
    pub(crate) fn take_over(
        &mut self,
        assigned: (Generation, Vec<(TaskId, Role)>),
    ) -> Result<()> {
        self.open_tasks(assigned)?;
        self.restore()?;
        self.progress.set(None);
        Ok(())
    }

    /// Opens the tasks of an assignment in place of those of an older one, and finds out what is
    /// to be replayed.
    pub(crate) fn open_tasks(
        &mut self,
        (generation, tasks): (Generation, Vec<(TaskId, Role)>),
    ) -> Result<()> {
        self.leave_below();
        self.generation = generation;
        self.tasks.clear();
        self.places.clear();
        self.replays.clear();
        self.committed.clear();
        self.outgoing.clear();
        self.taken_before = 0;
        self.forget_fetches();
        let all = self.layout.tasks().len();
        if self.settings.exchange == ExchangeKind::Memory
            && tasks.len() < all
            && !self.plan.graph.exchanges.is_empty()
        {
            let text = "an exchange in memory needs all tasks in one process; \
                        set the exchange to topic, or end the other instance";
            return Err(Error::invalid(text).with("app", self.plan.name()));
        }
        self.check_forms()?;
        for (id, role) in tasks {
            if role == Role::Active {
                self.open_task(id)?;
            }
        }
        self.targets.set(self.changelogs());
        self.take_ends()
    }

    /// Restores all stores: from snapshots as far as there are some, and then from changelogs.
    /// Whoever calls it says that it is over.
    pub(crate) fn restore(&mut self) -> Result<()> {
        let begun = self.clock.elapsed();
        let mut replays = std::mem::take(&mut self.replays);
        self.load(&mut replays, begun)?;
        if !cfg!(suiro_mutant = "global_not_whole") {
            self.read_globals(begun)?;
        }
        for mut replay in replays {
            self.replay(&mut replay, begun)?;
        }
        self.read_leftovers()
    }

    /// Loads the stores of which there are snapshots; their replays begin where these end. A
    /// store that has one below it is further than any snapshot.
    fn load(&mut self, replays: &mut [Replay], begun: Duration) -> Result<()> {
        let mut loads = Vec::new();
        if let Some(place) = self.place.clone() {
            for (number, replay) in replays.iter().enumerate() {
                if replay.from_source || replay.below.is_some() {
                    continue;
                }
                let mut usable = match find(&place, &replay.partition, &mut self.link) {
                    Ok(found) => found.usable,
                    Err(error) if error.kind() == ErrorKind::Invalid => return Err(error),
                    Err(error) => {
                        tracing::warn!(error = %error.report(), "snapshots are not used");
                        continue;
                    }
                };
                // Rows of an older form than the store's are behind none of these.
                let since = self.form_since(replay.store, replay.partition.partition);
                usable.retain(|manifest| manifest.offset >= since);
                if usable.is_empty() {
                    continue;
                }
                let make = self.maker(replay.store);
                let task = self.tasks[replay.place].as_mut();
                let stores = &mut task.expect("a task that was opened is there").stores;
                let state = stores.take(replay.store);
                loads.push(Load::new(number, replay.partition.clone(), usable, make, state));
            }
        }
        let globals = self.unread_globals();
        let ahead = |number| loads.iter().find(|load: &&Load| load.number == number);
        let of = replays.iter().enumerate();
        let of = of.map(|(number, replay)| match ahead(number) {
            Some(load) => load.rows() + records(load.offset(), replay.end),
            None => records(replay.start, replay.end),
        });
        self.progress
            .set(Some(Restoring { of: of.sum::<u64>() + globals, ..Restoring::default() }));
        let (clock, progress) = (Arc::clone(&self.clock), Arc::clone(&self.progress));
        let told = |records, bytes| {
            progress.add(records, bytes, clock.elapsed().saturating_sub(begun));
            !progress.cuts()
        };
        let done = match &self.place {
            Some(place) => load_all(place, &mut loads, self.settings.restore_threads, &told),
            None => Ok(()),
        };
        for load in loads {
            let replay = &mut replays[load.number];
            if let Some((offset, rows)) = load.loaded {
                let partition = &load.partition;
                tracing::info!(%partition, rows, offset, "store loaded from a snapshot");
                let forgets = cfg!(suiro_mutant = "snapshot_without_position");
                replay.start = if forgets { replay.end } else { offset };
                self.totals.loaded += rows;
            }
            let task = self.tasks[replay.place].as_mut();
            let stores = &mut task.expect("a task that was opened is there").stores;
            stores.put(replay.store, load.into_state());
        }
        done
    }

    /// Reads what a commit left in the topics of exchanges in memory. It comes before all that
    /// the senders will send again, and so must its marks.
    pub(crate) fn read_leftovers(&mut self) -> Result<()> {
        if self.settings.exchange != ExchangeKind::Memory {
            return Ok(());
        }
        for task in self.tasks.iter_mut().flatten() {
            for input in task.inputs.iter_mut().filter(|input| input.is_exchange()) {
                while input.end.is_none_or(|end| input.fetch_from < end) {
                    let from = input.fetch_from;
                    let ticket = self.link.session.fetch(Fetch {
                        partition: input.origin.clone(),
                        offset: from,
                        max_bytes: self.settings.fetch_bytes,
                    });
                    input.accept(self.link.fetched(ticket)?);
                    if input.fetch_from <= from {
                        break;
                    }
                }
            }
            task.absorb()?;
        }
        Ok(())
    }

    fn open_task(&mut self, id: TaskId) -> Result<()> {
        let mut task = Box::new(Task::new(&self.plan, id, &self.layout));
        (task.careful, task.max_idle) = (self.careful, self.settings.max_idle);
        let origins: Vec<_> = task.inputs.iter().map(|input| input.origin.clone()).collect();
        for position in self.link.positions(self.plan.name(), &origins)? {
            self.committed.insert(position.partition.clone(), position);
        }
        task.silence = self.silence_of(&origins);
        task.stores.show(self.followed.globals.clone());
        self.reach_outside(&mut task.stores)?;
        for input in &mut task.inputs {
            let position = match self.committed.get(&input.origin) {
                Some(position) => position.next,
                None => {
                    let next = self.first_position(input.node, &input.origin)?;
                    // Where a group begins is committed with its first commit.
                    self.dirty |= next > 0;
                    next
                }
            };
            input.seek(position);
            input.generation = self.generation;
        }
        for store in self.plan.subs[id.subtopology as usize].stores.clone() {
            if self.layout.source_is_changelog(&self.plan, store) {
                task.unlogged.push(store);
            }
            task.stores.put(store, (self.maker(store))());
            let replay = self.replay_of(&mut task, store)?;
            self.replays.push(replay);
            if let Some(replay) = self.renewal_of(&task, store)? {
                self.replays.push(replay);
            }
        }
        self.places.insert(id, self.tasks.len());
        self.tasks.push(Some(task));
        Ok(())
    }

    /// How long a task with these inputs has been silent, by the notes of all of them.
    fn silence_of(&self, origins: &[TopicPartition]) -> Silence {
        let notes = origins.iter().map(|origin| {
            let position = self.committed.get(origin);
            position.and_then(|position| Note::parse(&position.note).silent).unwrap_or(0)
        });
        let lasted = Duration::from_millis(notes.min().unwrap_or(0));
        Silence::new(self.plan.graph.idle_after, lasted, self.clock.elapsed())
    }

    /// Where a group without a position begins to read.
    fn first_position(&mut self, node: usize, origin: &TopicPartition) -> Result<Offset> {
        let seek = match &self.plan.graph.nodes[node].kind {
            NodeKind::Source(source) => source.from,
            NodeKind::Receive(_) => Seek::Earliest,
            _ => return Ok(0),
        };
        let next = self.link.offset(origin, seek)?;
        if next > 0 {
            let position = Position { partition: origin.clone(), next, note: "start".into() };
            self.committed.insert(origin.clone(), position);
        }
        Ok(next)
    }

    /// Puts a store below the working set of `store`, if the app has stores below and the state
    /// is of a kind that can be held in part. What is given writes to it.
    fn attach(
        &mut self,
        task: &mut Task,
        store: usize,
        changelog: &TopicPartition,
        end: Offset,
    ) -> Result<Option<Box<dyn Store>>> {
        let Shelf::Below { provider, memory, .. } = &self.settings.shelf else {
            return Ok(None);
        };
        if self.is_too_old(&*provider.open(&changelog.topic, changelog.partition)?, end)? {
            let text = "a store was away for longer than tombstones are kept; it is built anew";
            tracing::warn!(%changelog, "{text}");
            provider.forget(&changelog.topic, changelog.partition)?;
        }
        let stores = |id: &TaskId| self.plan.subs[id.subtopology as usize].stores.len();
        let count: usize = self.layout.tasks().iter().map(stores).sum();
        let below = provider.open(&changelog.topic, changelog.partition)?;
        if !task.stores.state(store).attach(below, memory / count.max(1)) {
            return Ok(None);
        }
        provider.open(&changelog.topic, changelog.partition).map(Some)
    }

    /// Whether removals may be missing from what a store would have to replay.
    fn is_too_old(&self, below: &dyn Store, end: Offset) -> Result<bool> {
        if below.position().is_none_or(|position| position >= end) {
            return Ok(false);
        }
        let (since, now) = (age_of(below)?, self.clock.now());
        // Where the clock was set back, nobody knows how long the store was away.
        Ok(since.is_none_or(|since| since <= now - self.tombstones || since > now))
    }

    /// What is to be replayed into a store: all of its changelog that is committed. A source
    /// topic is replayed up to the committed position only.
    fn replay_of(&mut self, task: &mut Task, store: usize) -> Result<Replay> {
        let from_source = self.layout.source_is_changelog(&self.plan, store);
        let topic = match &self.plan.graph.stores[store].topic {
            Some(topic) if from_source => Arc::clone(topic),
            _ => self.plan.changelog(store),
        };
        let partition = TopicPartition { topic, partition: task.id.partition };
        let since = self.clock.now();
        let end = if from_source && !cfg!(suiro_mutant = "uncommitted_tail_replayed") {
            self.committed.get(&partition).map_or(0, |position| position.next)
        } else {
            self.link.offset(&partition, Seek::Settled)?
        };
        let mut start = self.link.offset(&partition, Seek::Earliest)?;
        let below = self.attach(task, store, &partition, end)?;
        // A store below takes bytes, and may lack a removal that is further back.
        if below.is_none() && !from_source {
            start = start.max(self.form_begins(store, partition.partition));
        }
        if let Some(position) = below.as_ref().and_then(|below| below.position()) {
            if position > end {
                let text = "a store is ahead of its changelog, which was cut or replaced; \
                            delete the directory of the stores, and they are built anew";
                return Err(Error::corrupt(text)
                    .with("changelog", &partition)
                    .with("position", position)
                    .with("end", end));
            }
            start = start.max(position);
        }
        let (place, renews) = (self.tasks.len(), false);
        Ok(Replay { place, store, partition, from_source, renews, start, end, since, below })
    }

    /// For a source table whose changelog is not what it held last: its topic, as far as it was
    /// read.
    fn renewal_of(&mut self, task: &Task, store: usize) -> Result<Option<Replay>> {
        let topic = self.layout.compacted_source(&self.plan, store);
        let Some(topic) = topic.filter(|_| self.forms.renews(store)) else { return Ok(None) };
        let partition = TopicPartition { topic, partition: task.id.partition };
        let since = self.clock.now();
        let end = self.committed.get(&partition).map_or(0, |position| position.next);
        let start = self.link.offset(&partition, Seek::Earliest)?;
        let (place, from_source, renews, below) = (self.tasks.len(), true, true, None);
        Ok(Some(Replay {
            place,
            store,
            partition,
            from_source,
            renews,
            start,
            end,
            since,
            below,
        }))
    }

    /// Replays one changelog; restoring began at `begun`.
    fn replay(&mut self, replay: &mut Replay, begun: Duration) -> Result<()> {
        let Replay { place, store, partition, from_source, renews, start, end, since, below } =
            replay;
        let mut lowering = Vec::new();
        let mut task = self.tasks[*place].take().expect("a task that was opened is there");
        if *renews {
            task.stores.state(*store).renew();
        }
        let (mut next, mut count, mut told) = (*start, 0, 0);
        while next < *end {
            if self.progress.cuts() {
                return Err(stopped());
            }
            let fetch = Fetch {
                partition: partition.clone(),
                offset: next,
                max_bytes: self.settings.fetch_bytes,
            };
            let ticket = self.link.session.fetch(fetch);
            let fetched = self.link.fetched(ticket)?;
            let bytes = fetched.batches.len() as u64;
            for batch in batches(fetched.batches) {
                let records = batch?.records()?;
                for record in records.iter() {
                    let record = record?;
                    if record.offset < next || record.offset >= *end {
                        continue;
                    }
                    let Some(key) = record.key else { continue };
                    let (value, at) = (record.value, record.at);
                    let headers = &record.headers.to_headers()?;
                    let from_source = *from_source;
                    if from_source && !at.is_valid() {
                        continue;
                    }
                    let restored = Restored { key, value, at, headers, from_source };
                    let state = task.stores.state(*store);
                    let done = match below {
                        Some(_) => state.lower(&restored, &mut lowering),
                        None => state.restore(restored),
                    };
                    match done {
                        Ok(()) => count += 1,
                        // It could not be read the first time either, and a policy skipped it.
                        Err(error) if from_source => {
                            let cause = error.report();
                            tracing::debug!(%cause, offset = record.offset, "skipped again");
                        }
                        Err(error) => {
                            return Err(Error::corrupt("cannot restore a row")
                                .with("topic", &partition.topic)
                                .with("partition", partition.partition)
                                .with("offset", record.offset)
                                .caused_by(error));
                        }
                    }
                }
            }
            if fetched.next <= next {
                break;
            }
            let passed = records(next, fetched.next.min(*end));
            next = fetched.next.min(*end);
            if let Some(below) = below {
                below.apply(&lowering, next)?;
                lowering.clear();
            }
            self.progress.add(passed, bytes, self.clock.elapsed().saturating_sub(begun));
            if count >= told + TELL {
                told = count;
                self.progress.tell();
            }
        }
        if let Some(mut below) = below.take() {
            if next <= *end {
                below.apply(&[age(*since)], *end)?;
            }
            self.below.add((*place, *store), below);
        }
        task.stores.state(*store).restored()?;
        self.tasks[*place] = Some(task);
        self.totals.restored += count;
        if count > 0 {
            tracing::info!(partition = %partition, records = count, "store restored");
        }
        Ok(())
    }
}

/// A changelog and the store that it is replayed into.
pub(crate) struct Replay {
    /// The place of the task.
    place: usize,
    store: usize,
    partition: TopicPartition,
    /// The changelog is the topic of a source.
    from_source: bool,
    /// What was replayed into the store before is to be forgotten.
    renews: bool,
    start: Offset,
    end: Offset,
    /// Before the end was asked for.
    since: Timestamp,
    /// The store that it is replayed into, if it is one below a working set.
    below: Option<Box<dyn Store>>,
}

/// How many records there are between two offsets, with those that compaction took.
fn records(from: Offset, to: Offset) -> u64 {
    u64::try_from(to - from).unwrap_or(0)
}

/// Whoever stopped a start does not see this.
pub(crate) fn stopped() -> Error {
    Error::unavailable("stopped before the state was restored")
}

/// Takes the records of some batches of a changelog.
pub(crate) fn replay(state: &mut dyn State, bytes: Bytes) -> Result<()> {
    for batch in batches(bytes) {
        for record in batch?.records()?.iter() {
            let record = record?;
            let (value, at) = (record.value, record.at);
            let headers = &record.headers.to_headers()?;
            let Some(key) = record.key else { continue };
            state.restore(Restored { key, value, at, headers, from_source: false })?;
        }
    }
    Ok(())
}

impl crate::plan::Plan {
    /// Whether `topic` is an internal topic of an exchange.
    pub(crate) fn is_repartition(&self, topic: &str) -> bool {
        (0..self.graph.exchanges.len()).any(|exchange| &*self.repartition(exchange) == topic)
    }
}

impl crate::input::Input {
    /// A commit has written rows of this input to its topic, up to `next`.
    pub(crate) fn appended(&mut self, next: Offset) {
        (self.fetch_from, self.decoded, self.end) = (next, next, Some(next));
        if let Some(front) = self.chunks.front().and_then(|chunk| chunk.position()) {
            self.position = front;
        }
    }

    /// Whether this input is fed by an exchange.
    pub(crate) fn is_exchange(&self) -> bool {
        matches!(self.kind, InputKind::Exchange(_))
    }
}
