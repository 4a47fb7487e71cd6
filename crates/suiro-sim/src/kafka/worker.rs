//! A process that reads, works, and writes: with others of its group, through the contract alone.

use super::audit;
use super::ledger::{Ledger, Record, TOPICS, batch};
use super::wires::SimNet;
use super::world::Shared;
use bytes::BytesMut;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use suiro_core::broker::{
    CommitId, Event, Fence, Fetch, Fetched, Generation, Guarantee, Outcome, Position, Role,
    Seek, TaskId, Ticket,
};
use suiro_core::{Clock, ErrorKind, Offset, TopicPartition};
use suiro_kafka::simulation::{Client, Mortal};

/// The group of all workers.
pub(crate) const GROUP: &str = "workers";

/// One life of a worker.
pub(crate) struct Worker {
    pub(crate) process: usize,
    /// Another process has its name: it ends as soon as it hears of it.
    pub(crate) is_doomed: bool,
    /// It can go on no more.
    pub(crate) is_over: bool,
    pub(crate) name: String,
    world: Shared,
    session: Mortal,
    generation: Option<Generation>,
    owned: BTreeMap<u32, Task>,
    /// It does nothing before it hears of another generation.
    waits: bool,
    running: Option<Running>,
    asked: Option<(Ticket, Vec<u32>)>,
    fetches: BTreeMap<Ticket, Fetch>,
    /// Ends that were asked for, and up to where there was something then.
    ends: BTreeMap<Ticket, (TopicPartition, Offset)>,
}

/// A partition that is its own.
#[derive(Default)]
struct Task {
    /// Its position, if that is known.
    at: Option<Offset>,
    next: Offset,
    records: VecDeque<Offset>,
    is_fetching: bool,
}

/// A commit that is not resolved.
struct Running {
    id: CommitId,
    commit: u64,
    generation: Option<Generation>,
    positions: BTreeMap<u32, Offset>,
}

impl Task {
    fn rewind(&mut self) {
        self.records.clear();
        self.is_fetching = false;
        self.next = self.at.unwrap_or(0);
    }
}

impl Worker {
    /// Starts a worker; nothing if its session cannot be opened.
    pub(crate) fn start(world: &Shared, name: &str) -> Result<Option<Self>, String> {
        let process = world.lock().bear();
        let client = Client::new(world.lock().case.settings());
        let net = Box::new(SimNet::new(world, process));
        let mut session = match client.session(name, net, Arc::new(world.clone())) {
            Ok(session) => session,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                world.lock().kill(process);
                return Ok(None);
            }
            Err(error) => return Err(format!("{name} cannot start: {}", error.report())),
        };
        let guarantee = match world.lock().case.at_least_once {
            true => Guarantee::AtLeastOnce,
            false => Guarantee::ExactlyOnce,
        };
        session.session().guarantee(guarantee);
        session.session().join(GROUP, &tasks(world));
        Ok(Some(Self {
            process,
            is_doomed: false,
            is_over: false,
            name: name.to_owned(),
            world: world.clone(),
            session,
            generation: None,
            owned: BTreeMap::new(),
            waits: true,
            running: None,
            asked: None,
            fetches: BTreeMap::new(),
            ends: BTreeMap::new(),
        }))
    }

    /// Its process is gone.
    pub(crate) fn die(self) {
        self.world.lock().kill(self.process);
        self.session.die();
    }

    /// It ends in good order.
    pub(crate) fn leave(self) {
        let (world, process) = (self.world.clone(), self.process);
        drop(self);
        world.lock().kill(process);
    }

    /// Takes what has come, and goes on.
    pub(crate) fn step(&mut self, ledger: &mut Ledger) -> Result<(), String> {
        let mut events = Vec::new();
        self.session.session().poll(&mut events);
        for event in events {
            self.take(event, ledger).map_err(|error| format!("{}: {error}", self.name))?;
        }
        if !self.waits && !self.is_over {
            self.work(ledger);
        }
        Ok(())
    }

    fn dice(&self, limit: u64) -> u64 {
        self.world.lock().seed.below(limit)
    }

    fn take(&mut self, event: Event, ledger: &mut Ledger) -> Result<(), String> {
        match event {
            Event::Assigned(generation, tasks) => self.assigned(generation, &tasks),
            Event::Positions(ticket, answer) => {
                let asked = self.asked.take_if(|(asked, _)| *asked == ticket);
                let Some((_, asked)) = asked else { return Ok(()) };
                let Some(found) = may_fail(answer, "positions")? else { return Ok(()) };
                for number in asked {
                    let Some(task) = self.owned.get_mut(&number) else { continue };
                    let its = found.iter().find(|it| it.partition.partition == number);
                    task.at = Some(its.map_or(0, |it| it.next));
                    task.rewind();
                }
            }
            Event::Fetched(ticket, answer) => {
                let Some(fetch) = self.fetches.remove(&ticket) else { return Ok(()) };
                let number = fetch.partition.partition;
                let Some(task) = self.owned.get_mut(&number) else { return Ok(()) };
                task.is_fetching = false;
                let Some(fetched) = may_fail(answer, "fetch")? else { return Ok(()) };
                audit::read(&mut self.world.lock(), &fetch, &fetched)?;
                self.read(number, &fetch, &fetched);
            }
            Event::Offset(ticket, answer) => {
                let Some((partition, least)) = self.ends.remove(&ticket) else { return Ok(()) };
                let Some(end) = may_fail(answer, "end")? else { return Ok(()) };
                self.world.lock().happened("end that was waited for");
                if end < least {
                    return Err(format!("{partition} is settled at {end}, and not {least}"));
                }
            }
            Event::Resolved(id, outcome) => {
                let Some(running) = self.running.take_if(|running| running.id == id) else {
                    return Err("a commit is resolved that was not made".to_owned());
                };
                ledger.hears(&mut self.world.lock(), running.commit, &outcome);
                self.resolved(running, outcome)?;
            }
            Event::Refused(error) => {
                may_fail::<()>(Err(error), "group")?;
                self.is_over = true;
            }
            other => return Err(format!("nobody asked for {other:?}")),
        }
        Ok(())
    }

    fn assigned(&mut self, generation: Generation, tasks: &[(TaskId, Role)]) {
        let follows = self.generation.is_some_and(|it| it.0 + 1 == generation.0);
        let mut before = std::mem::take(&mut self.owned);
        let (world, name) = (self.world.clone(), self.name.clone());
        let mut world = world.lock();
        world.note(|| format!("{name} is assigned {tasks:?} in {generation:?}"));
        let active = tasks.iter().filter(|(_, role)| *role == Role::Active);
        for (TaskId { partition, .. }, _) in active {
            let stays = before.remove(partition).filter(|task| follows && task.at.is_some());
            if stays.is_some() {
                world.happened("task that stayed in a rebalance");
            }
            self.owned.insert(*partition, stays.unwrap_or_default());
        }
        // What an earlier owner of a partition asked for, and be it this one, is not for the new.
        let is_asked = |task: &Task| task.is_fetching;
        self.fetches
            .retain(|_, it| self.owned.get(&it.partition.partition).is_some_and(is_asked));
        (self.generation, self.waits, self.asked) = (Some(generation), false, None);
    }

    fn read(&mut self, number: u32, fetch: &Fetch, fetched: &Fetched) {
        let Some(task) = self.owned.get_mut(&number).filter(|it| it.next == fetch.offset)
        else {
            return;
        };
        let mut all = Vec::new();
        super::ledger::records(&fetched.batches, &mut all);
        let new = all.into_iter().map(|(offset, _)| offset).filter(|it| *it >= task.next);
        task.records.extend(new);
        task.next = fetched.next;
    }

    fn resolved(&mut self, running: Running, outcome: Outcome) -> Result<(), String> {
        match outcome {
            Outcome::Committed { .. } => {
                for (number, at) in running.positions {
                    let task = self.owned.get_mut(&number);
                    if let Some(task) = task.filter(|task| task.at.is_some()) {
                        task.at = Some(at);
                    }
                }
                return Ok(());
            }
            Outcome::Aborted(error) => {
                may_fail::<()>(Err(error), "commit")?;
            }
            Outcome::Unknown(_) => {
                self.owned.values_mut().for_each(|task| *task = Task::default());
            }
            Outcome::Fenced(_) if self.is_doomed => self.is_over = true,
            Outcome::Fenced(_) => {
                let tasks = tasks(&self.world);
                self.session.session().rejoin(GROUP, &tasks);
                // One that is newer has been told already.
                self.waits = self.generation == running.generation;
            }
        }
        self.owned.values_mut().for_each(Task::rewind);
        self.fetches.clear();
        Ok(())
    }

    fn work(&mut self, ledger: &mut Ledger) {
        let unknown = self.owned.iter().filter(|(_, task)| task.at.is_none());
        let unknown: Vec<u32> = unknown.map(|(number, _)| *number).collect();
        // What is on its way may become the position.
        if !unknown.is_empty() && self.asked.is_none() && self.running.is_none() {
            let of: Vec<_> = unknown.iter().map(|it| partition(0, *it)).collect();
            let ticket = self.session.session().positions(GROUP, &of);
            self.asked = Some((ticket, unknown));
            self.look_for_ends();
        }
        let max_bytes = [1, 200, 4000][self.dice(3) as usize];
        for (number, task) in &mut self.owned {
            if task.at.is_some() && !task.is_fetching && task.records.len() < 20 {
                let (partition, offset) = (partition(0, *number), task.next);
                let fetch = Fetch { partition, offset, max_bytes };
                task.is_fetching = true;
                self.fetches.insert(self.session.session().fetch(fetch.clone()), fetch);
            }
        }
        if self.running.is_some() {
            return;
        }
        let has_some = self.owned.values().any(|task| !task.records.is_empty());
        if has_some && self.dice(3) == 0 {
            self.commit(ledger);
        } else if self.dice(300) == 0 {
            self.commit_beside(ledger);
        }
        if self.dice(300) == 0
            && let Some((number, task)) = self.owned.first_key_value()
        {
            let at = task.at.unwrap_or(0);
            self.session.session().trim(&partition(0, *number), at);
        }
    }

    /// Who takes over must not miss what was written before.
    fn look_for_ends(&mut self) {
        let partitions = self.world.lock().case.partitions[1];
        for number in 0..partitions {
            let written = {
                let world = self.world.lock();
                let written = world.cluster.partition(TOPICS[1], number as i32);
                written.map_or(0, |it| it.log.next)
            };
            let partition = partition(1, number);
            let ticket = self.session.session().offset(&partition, Seek::Settled);
            self.ends.insert(ticket, (partition, written));
        }
    }

    /// Commits what was made of some records, with the positions after them.
    fn commit(&mut self, ledger: &mut Ledger) {
        let (outs, at_least_once) = {
            let case = &self.world.lock().case;
            (case.partitions[1], case.at_least_once)
        };
        let commit = ledger.begin(at_least_once);
        let (mut to, mut positions, mut moved) =
            (BTreeMap::<u32, Vec<_>>::new(), Vec::new(), BTreeMap::new());
        let mut all = std::mem::take(&mut self.owned);
        for (number, task) in &mut all {
            let count = self.dice(task.records.len() as u64 + 1) as usize;
            let taken: Vec<Offset> = task.records.drain(..count).collect();
            let Some(last) = taken.last() else { continue };
            let next = if task.records.is_empty() { task.next } else { last + 1 };
            for offset in taken {
                let out = (u64::from(*number) * 31 + offset as u64 * 7) % u64::from(outs);
                to.entry(out as u32).or_default().push((*number, offset));
            }
            let partition = partition(0, *number);
            positions.push(Position { partition, next, note: String::new() });
            moved.insert(*number, next);
        }
        self.owned = all;
        let id = self.session.session().begin();
        let mut made = 0;
        for (out, origins) in to {
            if self.dice(4) == 0 {
                self.session.session().barrier(id);
            }
            self.append(ledger, (id, commit), &partition(1, out), &origins, &mut made);
        }
        self.end(id, commit, positions, moved);
    }

    /// Commits something without positions.
    fn commit_beside(&mut self, ledger: &mut Ledger) {
        let commit = ledger.begin(self.world.lock().case.at_least_once);
        let id = self.session.session().begin();
        let to = TopicPartition::new(TOPICS[2], 0);
        self.append(ledger, (id, commit), &to, &[(0, 0), (0, 1)], &mut 0);
        self.world.lock().happened("commit without positions");
        self.end(id, commit, Vec::new(), BTreeMap::new());
    }

    fn append(
        &mut self,
        ledger: &mut Ledger,
        (id, commit): (CommitId, u64),
        to: &TopicPartition,
        origins: &[(u32, Offset)],
        made: &mut u32,
    ) {
        let size = 1 + self.dice(4) as usize;
        let (now, is_apart) = (self.world.now(), self.dice(3) == 0);
        let mut together = BytesMut::new();
        for origins in origins.chunks(size) {
            let records: Vec<Record> = (*made..)
                .zip(origins)
                .map(|(number, origin)| Record { commit, number, origin: Some(*origin) })
                .collect();
            *made += origins.len() as u32;
            let bytes = batch(now, &records);
            if is_apart {
                ledger.appends(commit, to, origins.len());
                self.session.session().append(id, to, bytes);
            } else {
                together.extend_from_slice(&bytes);
            }
        }
        if !is_apart {
            ledger.appends(commit, to, origins.len());
            self.session.session().append(id, to, together.freeze());
        }
    }

    fn end(
        &mut self,
        id: CommitId,
        commit: u64,
        positions: Vec<Position>,
        moved: BTreeMap<u32, Offset>,
    ) {
        let generation = self.generation;
        let name = self.name.clone();
        self.world.lock().note(|| format!("{name} makes commit {commit} to {moved:?}"));
        let fence = Fence { group: GROUP.into(), generation };
        self.session.session().commit(id, Some(fence), positions);
        self.running = Some(Running { id, commit, generation, positions: moved });
    }
}

fn partition(topic: usize, number: u32) -> TopicPartition {
    TopicPartition::new(TOPICS[topic], number)
}

fn tasks(world: &Shared) -> Vec<TaskId> {
    let partitions = world.lock().case.partitions[0];
    (0..partitions).map(|partition| TaskId { subtopology: 0, partition }).collect()
}

/// What is not there at the moment may be asked for again; nothing else may happen.
pub(crate) fn may_fail<T>(
    answer: suiro_core::Result<T>,
    what: &str,
) -> Result<Option<T>, String> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind() == ErrorKind::Unavailable => Ok(None),
        Err(error) => Err(format!("{what}: {}", error.report())),
    }
}
