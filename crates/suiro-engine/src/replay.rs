//! Changelogs that are replayed into the stores of a task on its way here, piece by piece.

use crate::below::age;
use crate::restore::stopped;
use crate::scope::Scope;
use crate::stores::{Restored, State, Stores};
use crate::task::Task;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::{Event, Fetch, Fetched, Session, Ticket};
use suiro_core::store::Store;
use suiro_core::{Error, Offset, Result, Timestamp, TopicPartition};

/// After so many records restoring says how far it is.
const TELL: u64 = 1 << 20;

/// How long the engine waits in one go for a piece of a changelog.
const PATIENCE: Duration = Duration::from_millis(500);

/// A task that is this process's own, and whose stores are not restored yet.
pub(crate) struct Arrival {
    pub(crate) task: Box<Task>,
    /// What is left to be replayed, in order; the first is under way.
    pub(crate) replays: VecDeque<Replay>,
    /// What lies below the stores that are restored.
    below: Vec<(usize, Box<dyn Store>)>,
}

/// A changelog and the store that it is replayed into.
pub(crate) struct Replay {
    pub(crate) store: usize,
    pub(crate) partition: TopicPartition,
    /// The changelog is the topic of a source.
    pub(crate) from_source: bool,
    /// What was replayed into the store before is to be forgotten.
    pub(crate) renews: bool,
    /// The offset of the next record.
    pub(crate) next: Offset,
    pub(crate) end: Offset,
    /// Before the end was asked for.
    pub(crate) since: Timestamp,
    /// The store that it is replayed into, if it is one below a working set.
    pub(crate) below: Option<Box<dyn Store>>,
    pub(crate) pace: Pace,
}

/// How far a replay is.
#[derive(Default)]
pub(crate) struct Pace {
    fetching: Option<Ticket>,
    has_begun: bool,
    /// The changelog has no more, though it ends before its end.
    is_dry: bool,
    /// The store holds what is before the next record.
    goes_on: bool,
    count: u64,
    told: u64,
}

impl Replay {
    /// How many records are left, with those that compaction took.
    pub(crate) fn left(&self) -> u64 {
        u64::try_from(self.end - self.next).unwrap_or(0)
    }

    /// Whether nothing was replayed yet.
    pub(crate) fn is_new(&self) -> bool {
        !self.is_asking() && self.pace.count == 0 && !self.pace.goes_on
    }

    /// Asks for the next piece, unless one is under way.
    pub(crate) fn ask(&mut self, session: &mut dyn Session, max_bytes: usize) {
        if self.pace.fetching.is_none() {
            let (partition, offset) = (self.partition.clone(), self.next);
            let ticket = session.fetch(Fetch { partition, offset, max_bytes });
            self.pace.fetching = Some(ticket);
        }
    }

    /// Whether a piece is under way.
    pub(crate) fn is_asking(&self) -> bool {
        self.pace.fetching.is_some()
    }

    /// Whether `ticket` is of the piece that is under way.
    pub(crate) fn has_asked(&self, ticket: Ticket) -> bool {
        self.pace.fetching == Some(ticket)
    }

    /// Nothing is under way: it has come, or will not be answered.
    pub(crate) fn has_heard(&mut self) {
        self.pace.fetching = None;
    }

    /// The store holds what is before `next`.
    pub(crate) fn goes_on(&mut self, next: Offset) {
        self.next = self.next.max(next);
        self.pace.goes_on = true;
    }

    fn is_done(&self) -> bool {
        self.next >= self.end || self.pace.is_dry
    }

    /// Takes a piece.
    pub(crate) fn take(&mut self, stores: &mut Stores, fetched: Fetched) -> Result<()> {
        let mut lowering = Vec::new();
        for batch in batches(fetched.batches) {
            let records = batch?.records()?;
            for record in records.iter() {
                let record = record?;
                if record.offset < self.next || record.offset >= self.end {
                    continue;
                }
                let Some(key) = record.key else { continue };
                let (value, at, from_source) = (record.value, record.at, self.from_source);
                let headers = &record.headers.to_headers()?;
                if from_source && !at.is_valid() {
                    continue;
                }
                let restored = Restored { key, value, at, headers, from_source };
                let state = stores.state(self.store);
                let done = match &self.below {
                    Some(_) => state.lower(&restored, &mut lowering),
                    None => state.restore(restored),
                };
                match done {
                    Ok(()) => self.pace.count += 1,
                    // It could not be read the first time either, and a policy skipped it.
                    Err(error) if from_source => {
                        let cause = error.report();
                        tracing::debug!(%cause, offset = record.offset, "skipped again");
                    }
                    Err(error) => {
                        return Err(Error::corrupt("cannot restore a row")
                            .with("topic", &self.partition.topic)
                            .with("partition", self.partition.partition)
                            .with("offset", record.offset)
                            .caused_by(error));
                    }
                }
            }
        }
        if fetched.next <= self.next {
            // A leader that was just elected may not know yet how far the log is committed.
            self.pace.is_dry = self.from_source || fetched.end >= self.end;
            return Ok(());
        }
        self.next = fetched.next.min(self.end);
        if let Some(below) = &mut self.below {
            below.apply(&lowering, self.next)?;
        }
        Ok(())
    }
}

impl Arrival {
    pub(crate) fn new(task: Box<Task>, replays: VecDeque<Replay>) -> Self {
        Self { task, replays, below: Vec::new() }
    }

    /// Ends the replays that are done, up to one that is not. Gives how many records they took.
    fn settle(&mut self) -> Result<u64> {
        let mut taken = 0;
        while let Some(replay) = self.replays.front_mut() {
            let state = self.task.stores.state(replay.store);
            if replay.renews && !std::mem::replace(&mut replay.pace.has_begun, true) {
                state.renew();
            }
            if !replay.is_done() {
                break;
            }
            if let Some(mut below) = replay.below.take() {
                below.apply(&[age(replay.since)], replay.end)?;
                self.below.push((replay.store, below));
            }
            state.restored()?;
            taken += replay.pace.count;
            if replay.pace.count > 0 {
                let (partition, records) = (&replay.partition, replay.pace.count);
                tracing::info!(%partition, records, "store restored");
            }
            self.replays.pop_front();
        }
        Ok(taken)
    }
}

impl Scope {
    /// Whether tasks are on their way here: they are this process's own, and their stores are
    /// not restored yet.
    pub fn is_restoring(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// Replays all changelogs to their ends, and does nothing else meanwhile.
    pub(crate) fn replay_all(&mut self, begun: Duration) -> Result<()> {
        self.restoring_since = begun;
        loop {
            self.seat()?;
            if self.arrivals.is_empty() {
                return Ok(());
            }
            if self.progress.cuts() {
                return Err(stopped());
            }
            self.ask_replays();
            self.link.wait_for_events(PATIENCE);
            for event in self.link.events() {
                if let Event::Fetched(ticket, fetched) = event
                    && let Some(fetched) = self.take_replay(ticket, fetched)?
                {
                    self.follow_global(ticket, fetched)?;
                }
            }
        }
    }

    /// Asks for the next piece of each changelog.
    pub(crate) fn ask_replays(&mut self) {
        for replay in self.arrivals.iter_mut().filter_map(|it| it.replays.front_mut()) {
            replay.ask(&mut *self.link.session, self.settings.fetch_bytes);
        }
    }

    /// Whether pieces are under way.
    pub(crate) fn is_replaying(&self) -> bool {
        let mut fronts = self.arrivals.iter().filter_map(|arrival| arrival.replays.front());
        fronts.any(Replay::is_asking)
    }

    /// What was asked will not be answered.
    pub(crate) fn forget_replays(&mut self) {
        let replays = self.arrivals.iter_mut().flat_map(|arrival| &mut arrival.replays);
        replays.for_each(Replay::has_heard);
    }

    /// Takes a piece of a changelog, if that is what came; what is not is given back.
    pub(crate) fn take_replay(
        &mut self,
        ticket: Ticket,
        fetched: Result<Fetched>,
    ) -> Result<Option<Result<Fetched>>> {
        let is_it = |arrival: &&mut Arrival| {
            arrival.replays.front().is_some_and(|replay| replay.has_asked(ticket))
        };
        let Some(arrival) = self.arrivals.iter_mut().find(is_it) else {
            return Ok(Some(fetched));
        };
        let replay = arrival.replays.front_mut().expect("the replay was just found");
        replay.has_heard();
        let fetched = fetched?;
        let (before, bytes) = (replay.left(), fetched.batches.len() as u64);
        replay.take(&mut arrival.task.stores, fetched)?;
        let passed = before - replay.left();
        let elapsed = self.clock.elapsed().saturating_sub(self.restoring_since);
        self.progress.add(passed, bytes, elapsed);
        if replay.pace.count >= replay.pace.told + TELL {
            replay.pace.told = replay.pace.count;
            self.progress.tell();
        }
        Ok(None)
    }

    /// Lets tasks begin whose stores are restored.
    pub(crate) fn seat(&mut self) -> Result<()> {
        for mut arrival in std::mem::take(&mut self.arrivals) {
            self.totals.restored += arrival.settle()?;
            if !arrival.replays.is_empty() {
                self.arrivals.push(arrival);
                continue;
            }
            let vacant = self.tasks.iter().position(Option::is_none);
            let place = vacant.unwrap_or(self.tasks.len());
            if vacant.is_none() {
                self.tasks.push(None);
            }
            for (store, below) in arrival.below {
                self.below.add((place, store), below);
            }
            self.places.insert(arrival.task.id, place);
            self.tasks[place] = Some(arrival.task);
        }
        Ok(())
    }
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
