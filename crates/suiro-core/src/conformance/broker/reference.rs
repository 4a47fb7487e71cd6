//! The shortest broker that keeps the contract: everything in one mutex, each request answered
//! as it is made. It can be told to break the contract in one way, to see that the suite
//! notices.

use crate::batch::{BatchHeader, batches, check_crc, set_base_offset};
use crate::broker::*;
use crate::{Error, Offset, Result, TopicPartition};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// A broken promise, by name.
pub(super) type Flaw = &'static str;

#[derive(Clone)]
pub(super) struct Reference {
    state: Arc<Mutex<State>>,
    changed: Arc<Condvar>,
    flaw: Flaw,
}

#[derive(Default)]
struct State {
    topics: Vec<TopicSpec>,
    logs: HashMap<TopicPartition, Log>,
    positions: HashMap<(Arc<str>, TopicPartition), Position>,
    groups: HashMap<Arc<str>, Group>,
    holders: HashMap<String, u64>,
    sessions: u64,
    commits: u64,
}

#[derive(Default)]
struct Log {
    batches: Vec<Bytes>,
    start: Offset,
    end: Offset,
}

#[derive(Default)]
struct Group {
    generation: u64,
    members: Vec<Member>,
}

struct Member {
    id: u64,
    tasks: Vec<TaskId>,
    inbox: Inbox,
}

type Inbox = Arc<Mutex<Vec<Event>>>;

struct Talk {
    broker: Reference,
    id: u64,
    name: String,
    requests: u64,
    open: HashMap<CommitId, Vec<(TopicPartition, Bytes)>>,
    inbox: Inbox,
    woken: Arc<Mutex<bool>>,
    commits_seen: u64,
}

struct Waker {
    woken: Arc<Mutex<bool>>,
    broker: Reference,
}

impl Reference {
    pub fn new(flaw: Flaw) -> Self {
        Self { state: Arc::default(), changed: Arc::default(), flaw }
    }

    /// What a clean restart leaves.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.holders.clear();
        if self.flaw == "restart forgets generations" {
            state.groups.clear();
        }
        if self.flaw == "restart forgets positions" {
            state.positions.clear();
        }
        if self.flaw == "restart forgets the end" {
            state.logs.values_mut().for_each(|log| log.end = 0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Broker for Reference {
    fn session(&self, name: &str) -> Result<Box<dyn Session>> {
        let mut state = self.lock();
        state.sessions += 1;
        let id = state.sessions;
        state.holders.insert(name.to_owned(), id);
        Ok(Box::new(Talk {
            broker: self.clone(),
            id,
            name: name.to_owned(),
            requests: 0,
            open: HashMap::new(),
            inbox: Arc::default(),
            woken: Arc::default(),
            commits_seen: 0,
        }))
    }
}

impl State {
    fn log(&mut self, place: &TopicPartition) -> Result<&mut Log> {
        self.logs.get_mut(place).ok_or_else(|| Error::invalid("no such partition"))
    }

    fn create(&mut self, specs: Vec<TopicSpec>, flaw: Flaw) -> Result<()> {
        for spec in specs {
            let found = self.topics.iter().find(|topic| topic.name == spec.name);
            match found.map(|topic| topic.partitions) {
                _ if spec.partitions == 0 => return Err(Error::invalid("no partitions")),
                Some(partitions) if partitions == spec.partitions => {
                    if flaw == "create changes topics" {
                        self.topics.retain(|topic| topic.name != spec.name);
                        self.topics.push(spec);
                    }
                }
                Some(_) if flaw == "create ignores counts" => {}
                Some(_) => return Err(Error::invalid("another count")),
                None => {
                    for number in 0..spec.partitions {
                        let place = TopicPartition::new(spec.name.clone(), number);
                        self.logs.entry(place).or_default();
                    }
                    self.topics.push(spec);
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, group: &str, topics: &[Arc<str>], flaw: Flaw) -> Result<()> {
        let lives = self.groups.get(group).is_some_and(|group| !group.members.is_empty());
        if lives && flaw != "what lives is removed" {
            return Err(Error::invalid("the group has members"));
        }
        if flaw != "removed positions stay" {
            let all = flaw == "positions of all groups are removed";
            self.positions.retain(|(of, _), _| **of != *group && !all);
        }
        self.topics.retain(|topic| !topics.contains(&topic.name));
        if flaw != "removed records come back" {
            self.logs.retain(|place, _| !topics.contains(&place.topic));
        }
        Ok(())
    }

    fn commit(
        &mut self,
        appends: Vec<(TopicPartition, Bytes)>,
        fence: Option<Fence>,
        positions: Vec<Position>,
        flaw: Flaw,
    ) -> Outcome {
        if let Some(Fence { group, generation: Some(Generation(generation)) }) = &fence {
            let newest = self.groups.get(group).map_or(0, |group| group.generation);
            if *generation < newest && flaw != "generations do not fence" {
                if flaw == "fenced commits leave positions" {
                    self.keep(&fence, positions, flaw);
                }
                return Outcome::Fenced(Error::fenced("older generation"));
            }
        }
        for (place, bytes) in &appends {
            let known = self.logs.contains_key(place);
            let whole = batches(bytes.clone()).all(|batch| batch.is_ok());
            let size: usize = batches(bytes.clone()).flatten().map(|b| b.bytes().len()).sum();
            if !known || !whole || size != bytes.len() || !check_crc(bytes) {
                if flaw == "refused commits leave records" {
                    break;
                }
                return Outcome::Aborted(Error::invalid("cannot append"));
            }
        }
        let mut offsets = Vec::new();
        for (index, (place, bytes)) in appends.into_iter().enumerate() {
            if flaw == "only the first append happens" && index > 0 {
                continue;
            }
            let Some(log) = self.logs.get_mut(&place) else { break };
            offsets.push(log.end);
            log.append(bytes, flaw);
        }
        if flaw == "offsets are sorted" {
            offsets.sort();
        }
        self.keep(&fence, positions, flaw);
        self.commits += 1;
        Outcome::Committed { offsets }
    }

    fn keep(&mut self, fence: &Option<Fence>, positions: Vec<Position>, flaw: Flaw) {
        let Some(Fence { group, .. }) = fence else { return };
        let shared = flaw == "groups share positions";
        let group: Arc<str> = if shared { "".into() } else { group.clone() };
        for mut position in positions {
            if flaw == "notes are lost" {
                position.note.clear();
            }
            self.positions.insert((group.clone(), position.partition.clone()), position);
        }
    }

    fn fetch(&mut self, fetch: &Fetch, flaw: Flaw) -> Result<Fetched> {
        let Fetch { partition, offset, max_bytes } = fetch;
        if flaw == "unknown topics are empty" && !self.logs.contains_key(partition) {
            self.logs.insert(partition.clone(), Log::default());
        }
        let log = self.log(partition)?;
        let (mut bytes, mut next) = (Vec::new(), (*offset).max(log.start).min(log.end));
        for batch in &log.batches {
            let header = BatchHeader::parse(batch)?.unwrap();
            let end = header.next_offset();
            if end <= next {
                continue;
            }
            let full = bytes.len() + batch.len() > *max_bytes;
            let at_least_one = !bytes.is_empty() || flaw == "fetch may give nothing";
            if full && at_least_one && flaw != "fetch is unbounded" {
                break;
            }
            bytes.extend_from_slice(batch);
            next = end;
        }
        if flaw == "fetch cuts batches" {
            bytes.truncate(*max_bytes);
        }
        let (start, end) = (log.start, log.end);
        let beyond = *offset > end;
        let next = if beyond { *offset } else { next };
        Ok(Fetched { partition: partition.clone(), batches: bytes.into(), next, end, start })
    }

    fn seek(&mut self, place: &TopicPartition, at: Seek, flaw: Flaw) -> Result<Offset> {
        let log = self.log(place)?;
        let Seek::Time(at) = at else {
            return Ok(if at == Seek::Earliest { log.start } else { log.end });
        };
        for batch in &log.batches {
            for batch in batches(batch.clone()) {
                for record in batch?.records()?.iter() {
                    let record = record?;
                    let later = record.at > at || flaw != "seek skips the time itself";
                    if record.at >= at && later && record.offset >= log.start {
                        return Ok(record.offset);
                    }
                }
            }
        }
        Ok(log.end)
    }
}

impl Log {
    fn append(&mut self, bytes: Bytes, flaw: Flaw) {
        for batch in batches(bytes).flatten() {
            let mut bytes = batch.bytes().to_vec();
            if flaw != "base offsets are kept" {
                set_base_offset(&mut bytes, self.end);
            }
            self.end += i64::from(batch.header().last_offset_delta) + 1;
            self.batches.push(bytes.into());
        }
    }
}

impl Group {
    fn rebalance(&mut self, flaw: Flaw) {
        if flaw != "generations stand still" || self.generation == 0 {
            self.generation += 1;
        }
        let size = self.members.len();
        for (index, Member { tasks, inbox, .. }) in self.members.iter().enumerate() {
            if flaw == "only the newest member is told" && index + 1 < size {
                continue;
            }
            let mine = tasks.iter().enumerate().filter(|(number, _)| match flaw {
                "everybody runs everything" => true,
                "the first member runs everything" => index == 0,
                _ => number % size == index,
            });
            let mine = mine.map(|(_, task)| (*task, Role::Active)).collect();
            let event = Event::Assigned(Generation(self.generation), mine);
            inbox.lock().unwrap().push(event);
        }
    }
}

impl Talk {
    fn answer(&mut self, event: impl FnOnce(Ticket) -> Event) -> Ticket {
        self.requests += 1;
        let ticket = Ticket(self.requests);
        self.inbox.lock().unwrap().push(event(ticket));
        self.broker.changed.notify_all();
        ticket
    }
}

impl Session for Talk {
    fn describe(&mut self, topics: &[Arc<str>]) -> Ticket {
        let all = self.broker.lock().topics.clone();
        let named = |name: &Arc<str>| all.iter().find(|topic| topic.name == *name).cloned();
        let found = match topics {
            [] => all,
            _ => topics.iter().filter_map(named).collect(),
        };
        self.answer(|ticket| Event::Topics(ticket, Ok(found)))
    }

    fn create(&mut self, topics: Vec<TopicSpec>) -> Ticket {
        let created = self.broker.lock().create(topics, self.broker.flaw);
        self.answer(|ticket| Event::Created(ticket, created))
    }

    fn positions(&mut self, group: &str, partitions: &[TopicPartition]) -> Ticket {
        let shared = self.broker.flaw == "groups share positions";
        let group: Arc<str> = if shared { "".into() } else { group.into() };
        let state = self.broker.lock();
        let of = |place: &TopicPartition| state.positions.get(&(group.clone(), place.clone()));
        let found = partitions.iter().filter_map(of).cloned().collect();
        drop(state);
        self.answer(|ticket| Event::Positions(ticket, Ok(found)))
    }

    fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Ticket {
        let offset = self.broker.lock().seek(partition, at, self.broker.flaw);
        self.answer(|ticket| Event::Offset(ticket, offset))
    }

    fn fetch(&mut self, fetch: Fetch) -> Ticket {
        let fetched = self.broker.lock().fetch(&fetch, self.broker.flaw);
        self.answer(|ticket| Event::Fetched(ticket, fetched))
    }

    fn join(&mut self, group: &str, tasks: &[TaskId]) {
        let group = match self.broker.flaw {
            "groups are one" => "",
            _ => group,
        };
        let mut state = self.broker.lock();
        let group = state.groups.entry(group.into()).or_default();
        let inbox = self.inbox.clone();
        group.members.push(Member { id: self.id, tasks: tasks.to_vec(), inbox });
        group.rebalance(self.broker.flaw);
        self.broker.changed.notify_all();
    }

    fn leave(&mut self) {
        if self.broker.flaw == "nobody takes over" {
            return;
        }
        let mut state = self.broker.lock();
        for group in state.groups.values_mut() {
            let before = group.members.len();
            group.members.retain(|member| member.id != self.id);
            if group.members.len() < before {
                group.rebalance(self.broker.flaw);
            }
        }
        self.broker.changed.notify_all();
    }

    fn begin(&mut self) -> CommitId {
        self.requests += 1;
        self.open.insert(CommitId(self.requests), Vec::new());
        CommitId(self.requests)
    }

    fn append(&mut self, commit: CommitId, to: &TopicPartition, batches: Bytes) {
        if self.broker.flaw == "appends are visible at once" {
            self.broker.lock().log(to).unwrap().append(batches, "");
            return;
        }
        self.open.get_mut(&commit).unwrap().push((to.clone(), batches));
    }

    fn commit(&mut self, commit: CommitId, fence: Option<Fence>, positions: Vec<Position>) {
        let appends = self.open.remove(&commit).unwrap();
        let flaw = self.broker.flaw;
        let mut state = self.broker.lock();
        let fenced = state.holders.get(&self.name) != Some(&self.id);
        let outcome = if fenced && flaw != "names do not fence" {
            Outcome::Fenced(Error::fenced("the name was opened again"))
        } else {
            state.commit(appends, fence, positions, flaw)
        };
        let mut inbox = self.inbox.lock().unwrap();
        let place = if flaw == "outcomes are reversed" { 0 } else { inbox.len() };
        inbox.insert(place, Event::Resolved(commit, outcome));
        drop(state);
        self.broker.changed.notify_all();
    }

    fn abort(&mut self, commit: CommitId) {
        if self.broker.flaw == "abort commits" {
            return self.commit(commit, None, Vec::new());
        }
        self.open.remove(&commit);
    }

    fn trim(&mut self, partition: &TopicPartition, offset: Offset) {
        let mut state = self.broker.lock();
        let log = state.log(partition).unwrap();
        let beyond = i64::from(self.broker.flaw == "trim deletes too much");
        log.start = log.start.max((offset + beyond).min(log.end));
        if self.broker.flaw == "trim does not move the start" {
            log.batches.drain(..log.batches.len() / 2);
            log.start = 0;
        }
    }

    fn members(&mut self, group: &str) -> Ticket {
        let state = self.broker.lock();
        let members = state.groups.get(group).map_or(0, |group| group.members.len());
        drop(state);
        let members = if self.broker.flaw == "members are not counted" { 0 } else { members };
        self.answer(|ticket| Event::Members(ticket, Ok(members)))
    }

    fn remove(&mut self, group: &str, topics: &[Arc<str>]) -> Ticket {
        let removed = self.broker.lock().remove(group, topics, self.broker.flaw);
        self.answer(|ticket| Event::Removed(ticket, removed))
    }

    fn poll(&mut self, events: &mut Vec<Event>) {
        if self.broker.flaw == "poll blocks" {
            self.wait(Duration::from_millis(1));
        }
        self.commits_seen = self.broker.lock().commits;
        events.append(&mut self.inbox.lock().unwrap());
    }

    fn wait(&mut self, timeout: Duration) {
        let flaw = self.broker.flaw;
        // A broken broker is noticed sooner if it never lets anybody wait.
        let nap = match flaw {
            "" | "wake is lost" | "wait misses commits" | "poll blocks" => timeout,
            "wait ignores its time" => Duration::from_millis(200),
            _ => Duration::ZERO,
        };
        let state = self.broker.lock();
        let idle = |state: &mut State| {
            let woken = std::mem::take(&mut *self.woken.lock().unwrap());
            let news = state.commits > self.commits_seen && flaw != "wait misses commits";
            self.inbox.lock().unwrap().is_empty() && !woken && !news
        };
        drop(self.broker.changed.wait_timeout_while(state, nap, idle).unwrap());
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(Waker { woken: self.woken.clone(), broker: self.broker.clone() })
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if self.broker.flaw == "drop commits" {
            for commit in self.open.keys().copied().collect::<Vec<_>>() {
                self.commit(commit, None, Vec::new());
            }
        }
        self.leave();
    }
}

impl Wake for Waker {
    fn wake(&self) {
        let _state = self.broker.lock();
        *self.woken.lock().unwrap() = self.broker.flaw != "wake is lost";
        self.broker.changed.notify_all();
    }
}
