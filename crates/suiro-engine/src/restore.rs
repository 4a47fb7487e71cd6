//! Taking tasks over: positions from the group, stores from their changelogs.

use crate::below::{Shelf, age_of};
use crate::ends::Note;
use crate::exchange::ExchangeKind;
use crate::graph::NodeKind;
use crate::input::InputKind;
use crate::link::Assignment;
use crate::load::{Load, load_all};
use crate::progress::Restoring;
use crate::replay::{Arrival, Pace, Replay};
use crate::scope::Scope;
use crate::silence::Silence;
use crate::stores::Stores;
use crate::task::Task;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Fetch, Position, Role, Seek, TaskId};
use suiro_core::store::Store;
use suiro_core::{Error, ErrorKind, Offset, Result, TopicPartition};
use suiro_store::snapshot::find;

impl Scope {
    /// Takes over what is assigned now. What was done since the last commit did not happen.
    pub(crate) fn rejoin(&mut self) -> Result<()> {
        self.link.session.rejoin(self.plan.name(), &self.layout.tasks());
        let assigned = self.link.wait_assigned()?;
        self.take_over(assigned)
    }

    /// Drops all tasks and restores them: nobody knows what of their work is committed. Where
    /// other processes have tasks too it is in a new generation: in each they tell once how far
    /// their lanes are.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        let own: Vec<TaskId> = self.own().collect();
        if own.len() < self.layout.tasks().len() {
            self.let_go(&BTreeSet::new())?;
            return self.rejoin();
        }
        let tasks = own.into_iter().map(|task| (task, Role::Active)).collect();
        self.take_over(Assignment::new(self.generation, tasks))
    }

    /// The tasks that are this process's own.
    fn own(&self) -> impl Iterator<Item = TaskId> {
        let arriving = self.arrivals.iter().map(|arrival| arrival.task.id);
        self.places.keys().copied().chain(arriving)
    }

    /// Takes over what is assigned: tasks that nobody else can have had meanwhile go on from
    /// their last commit, those of others are let go of without a trace, and new ones are
    /// restored. As long as there is something to go on with, that is done beside it.
    pub(crate) fn take_over(&mut self, assigned: Assignment) -> Result<()> {
        let begun = self.clock.elapsed();
        self.open_tasks(assigned)?;
        if self.places.is_empty() {
            self.restore()?;
            self.progress.set(None);
            return Ok(());
        }
        if self.is_restoring() {
            self.load(begun)?;
            self.restoring_since = begun;
        }
        Ok(())
    }

    /// The tasks that go on in a new assignment.
    fn staying(&self, assigned: &Assignment) -> BTreeSet<TaskId> {
        let crosses = self.settings.exchange == ExchangeKind::Memory
            && !self.plan.graph.exchanges.is_empty();
        // A bounded run is at its ends as a whole, rows that cross in memory belong to a commit of
        // all tasks, and a store whose form has changed must be written in it first.
        if self.settings.bounded || crosses || self.forms.are_changing() {
            return BTreeSet::new();
        }
        let own: BTreeSet<TaskId> = self.own().collect();
        assigned.stays(self.generation).intersection(&own).copied().collect()
    }

    /// Lets go of all tasks but some.
    fn let_go(&mut self, stay: &BTreeSet<TaskId>) -> Result<()> {
        self.forget_fetches();
        self.outgoing.clear();
        self.arrivals.retain(|arrival| stay.contains(&arrival.task.id));
        if self.places.keys().any(|task| stay.contains(task)) {
            self.leave_below_but(stay)?;
        } else {
            self.leave_below();
        }
        let gone: Vec<TaskId> = self.places.keys().copied().collect();
        for id in gone.into_iter().filter(|id| !stay.contains(id)) {
            let place = self.places.remove(&id).expect("the task was just seen there");
            self.tasks[place] = None;
        }
        if self.places.is_empty() {
            self.tasks.clear();
        }
        let arriving = self.arrivals.iter().map(|arrival| &*arrival.task);
        let tasks = self.tasks.iter().flatten().map(|task| &**task).chain(arriving);
        let inputs: HashSet<_> =
            tasks.flat_map(|task| &task.inputs).map(|input| &input.origin).collect();
        self.committed.retain(|partition, _| inputs.contains(partition));
        self.taken_before = self.taken();
        Ok(())
    }

    /// Puts the tasks that go on back to their last commit, in a new generation.
    fn go_on(&mut self) -> Result<()> {
        if !self.places.is_empty() {
            self.rollback()?;
        }
        let arriving = self.arrivals.iter_mut().map(|arrival| &mut arrival.task);
        for task in self.tasks.iter_mut().flatten().chain(arriving) {
            task.inputs.iter_mut().for_each(|input| input.begin(self.generation));
        }
        Ok(())
    }

    /// Opens the tasks of an assignment in place of those of an older one, and finds out what is
    /// to be replayed.
    pub(crate) fn open_tasks(&mut self, assigned: Assignment) -> Result<()> {
        let stay = self.staying(&assigned);
        self.let_go(&stay)?;
        self.totals.stayed += stay.len() as u64;
        let Assignment { generation, tasks, .. } = assigned;
        self.generation = generation;
        self.go_on()?;
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
        if self.forms.are_changing() {
            self.copies.clear();
        }
        for (id, role) in &tasks {
            if *role == Role::Active && !stay.contains(id) {
                self.open_task(*id)?;
            }
        }
        self.copied = tasks.into_iter().filter(|(_, role)| *role != Role::Active).collect();
        self.keep_copies();
        // What was offered before may be of copies that are none any more.
        self.link.session.offer(self.offer_of_now());
        self.targets.set(self.changelogs());
        self.take_ends()
    }

    /// Restores all stores: from snapshots as far as there are some, and then from changelogs.
    /// Whoever calls it says that it is over.
    pub(crate) fn restore(&mut self) -> Result<()> {
        let begun = self.clock.elapsed();
        self.load(begun)?;
        if !cfg!(suiro_mutant = "global_not_whole") {
            self.read_globals(begun)?;
        }
        self.replay_all(begun)?;
        self.mark_ends();
        self.read_leftovers()
    }

    /// Loads the stores of which there are snapshots; their replays begin where these end. A
    /// store that has one below it is further than any snapshot.
    fn load(&mut self, begun: Duration) -> Result<()> {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let loaded = self.load_into(&mut arrivals, begun);
        self.arrivals = arrivals;
        loaded
    }

    fn load_into(&mut self, arrivals: &mut [Arrival], begun: Duration) -> Result<()> {
        let mut loads = Vec::new();
        let all = arrivals.iter().enumerate();
        let all: Vec<_> = all
            .flat_map(|(of, arrival)| {
                (0..arrival.replays.len()).map(move |number| (of, number))
            })
            .collect();
        if let Some(place) = self.place.clone() {
            for (of, number) in &all {
                let arrival = &mut arrivals[*of];
                let replay = &arrival.replays[*number];
                if replay.from_source || replay.below.is_some() || !replay.is_new() {
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
                let state = arrival.task.stores.take(replay.store);
                let partition = replay.partition.clone();
                loads.push(Load::new((*of, *number), partition, usable, make, state));
            }
        }
        let globals = self.unread_globals();
        let ahead = |number| loads.iter().find(|load: &&Load| load.number == number);
        let of = all.iter().map(|(of, number)| {
            let replay = &arrivals[*of].replays[*number];
            match ahead((*of, *number)) {
                Some(load) => load.rows() + records(load.offset(), replay.end),
                None => replay.left(),
            }
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
            let (of, number) = load.number;
            let arrival = &mut arrivals[of];
            let replay = &mut arrival.replays[number];
            if let Some((offset, rows)) = load.loaded {
                let partition = &load.partition;
                tracing::info!(%partition, rows, offset, "store loaded from a snapshot");
                let forgets = cfg!(suiro_mutant = "snapshot_without_position");
                replay.goes_on(if forgets { replay.end } else { offset });
                self.totals.loaded += rows;
            }
            arrival.task.stores.put(replay.store, load.into_state());
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
        let mut copy = self.take_copy(id);
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
        let mut replays = VecDeque::new();
        for store in self.plan.subs[id.subtopology as usize].stores.clone() {
            if self.layout.source_is_changelog(&self.plan, store) {
                task.unlogged.push(store);
            }
            task.stores.put(store, (self.maker(store))());
            let given = copy.as_mut().and_then(|copy| copy.give(store));
            let mut replay = self.replay_of((id, Role::Active), &mut task.stores, store)?;
            if let Some((state, next)) = given.filter(|(_, next)| *next <= replay.end) {
                task.stores.put(store, state);
                let believes = cfg!(suiro_mutant = "copy_believed_whole");
                replay.goes_on(if believes { replay.end } else { next });
            }
            replays.push_back(replay);
            replays.extend(self.renewal_of(&task, store)?);
        }
        self.totals.prepared += u64::from(copy.is_some());
        drop(copy);
        self.arrivals.push(Arrival::new(task, replays));
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
        stores: &mut Stores,
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
        let stores_of = |id: &TaskId| self.plan.subs[id.subtopology as usize].stores.len();
        let count: usize = self.layout.tasks().iter().map(stores_of).sum();
        let below = provider.open(&changelog.topic, changelog.partition)?;
        if !stores.state(store).attach(below, memory / count.max(1)) {
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
    pub(crate) fn replay_of(
        &mut self,
        (id, role): (TaskId, Role),
        stores: &mut Stores,
        store: usize,
    ) -> Result<Replay> {
        let from_source = self.layout.source_is_changelog(&self.plan, store);
        let topic = match &self.plan.graph.stores[store].topic {
            Some(topic) if from_source => Arc::clone(topic),
            _ => self.plan.changelog(store),
        };
        let partition = TopicPartition { topic, partition: id.partition };
        let since = self.clock.now();
        let end = if from_source && !cfg!(suiro_mutant = "uncommitted_tail_replayed") {
            self.committed_in(&partition)?
        } else {
            // A copy goes on with what comes, and need not wait for what is under way.
            let end = if role == Role::Active { Seek::Settled } else { Seek::Latest };
            self.link.offset(&partition, end)?
        };
        let mut next = self.link.offset(&partition, Seek::Earliest)?;
        let below = self.attach(stores, store, &partition, end)?;
        // A store below takes bytes, and may lack a removal that is further back.
        if below.is_none() && !from_source {
            next = next.max(self.form_begins(store, partition.partition));
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
            next = next.max(position);
        }
        let (renews, pace) = (false, Pace::default());
        Ok(Replay { store, partition, from_source, renews, next, end, since, below, pace })
    }

    /// The committed position in a source; of a task that runs elsewhere it is asked for.
    fn committed_in(&mut self, source: &TopicPartition) -> Result<Offset> {
        if let Some(position) = self.committed.get(source) {
            return Ok(position.next);
        }
        let known = self.link.positions(self.plan.name(), std::slice::from_ref(source))?;
        Ok(known.first().map_or(0, |position| position.next))
    }

    /// For a source table whose changelog is not what it held last: its topic, as far as it was
    /// read.
    fn renewal_of(&mut self, task: &Task, store: usize) -> Result<Option<Replay>> {
        let topic = self.layout.compacted_source(&self.plan, store);
        let Some(topic) = topic.filter(|_| self.forms.renews(store)) else { return Ok(None) };
        let partition = TopicPartition { topic, partition: task.id.partition };
        let since = self.clock.now();
        let end = self.committed.get(&partition).map_or(0, |position| position.next);
        let next = self.link.offset(&partition, Seek::Earliest)?;
        let (from_source, renews, below, pace) = (true, true, None, Pace::default());
        let replay =
            Replay { store, partition, from_source, renews, next, end, since, below, pace };
        Ok(Some(replay))
    }
}

/// How many records there are between two offsets, with those that compaction took.
fn records(from: Offset, to: Offset) -> u64 {
    u64::try_from(to - from).unwrap_or(0)
}

/// Whoever stopped a start does not see this.
pub(crate) fn stopped() -> Error {
    Error::unavailable("stopped before the state was restored")
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
