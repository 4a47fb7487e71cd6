//! One session, with the patience to wait for its answers.

use super::rows::{Row, rows_of_batches};
use crate::broker::{
    CommitId, Event, Fence, Fetch, Fetched, Generation, Outcome, Position, Role, Seek, Session,
    TaskId, Ticket, TopicSpec,
};
use crate::{Clock, Offset, Result, SystemClock, TopicPartition};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How long one wait may take before the party looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A session, what it said that nobody has asked for yet, and its newest assignment.
pub(super) struct Party {
    check: &'static str,
    pub session: Box<dyn Session>,
    patience: Duration,
    events: Vec<Event>,
    pub assigned: Option<(Generation, Vec<(TaskId, Role)>)>,
}

impl Party {
    pub fn new(check: &'static str, session: Box<dyn Session>, patience: Duration) -> Self {
        Self { check, session, patience, events: Vec::new(), assigned: None }
    }

    /// Polls once. Generations that a member hears of must grow.
    pub fn listen(&mut self) {
        let mut events = Vec::new();
        self.session.poll(&mut events);
        for event in events {
            let Event::Assigned(generation, tasks) = event else {
                self.events.push(event);
                continue;
            };
            if let Some((former, _)) = self.assigned {
                let check = self.check;
                assert!(
                    former < generation,
                    "{check}: {generation:?} was assigned after {former:?}"
                );
            }
            self.assigned = Some((generation, tasks));
        }
    }

    /// Polls and waits until `done` gives something, for as long as the patience lasts.
    pub fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let clock = SystemClock::default();
        loop {
            self.listen();
            if let Some(answer) = done(self) {
                return answer;
            }
            let (check, patience) = (self.check, self.patience);
            assert!(clock.elapsed() < patience, "{check}: no {what} within {patience:?}");
            self.session.wait(LOOK_AGAIN);
        }
    }

    /// Takes the first event that `is` recognises, waiting for it.
    fn take(&mut self, what: &str, is: impl Fn(&Event) -> bool) -> Event {
        self.until(what, |party| {
            let found = party.events.iter().position(&is)?;
            Some(party.events.remove(found))
        })
    }

    pub fn describe(&mut self, topics: &[Arc<str>]) -> Result<Vec<TopicSpec>> {
        let ticket = self.session.describe(topics);
        let is = |event: &Event| matches!(event, Event::Topics(found, _) if *found == ticket);
        match self.take("answer to describe", is) {
            Event::Topics(_, answer) => answer,
            other => unreachable!("{other:?} is not the event asked for"),
        }
    }

    pub fn create(&mut self, topics: Vec<TopicSpec>) -> Result<()> {
        let ticket = self.session.create(topics);
        let is = |event: &Event| matches!(event, Event::Created(found, _) if *found == ticket);
        match self.take("answer to create", is) {
            Event::Created(_, answer) => answer,
            other => unreachable!("{other:?} is not the event asked for"),
        }
    }

    pub fn members(&mut self, group: &str) -> usize {
        let ticket = self.session.members(group);
        let is = |event: &Event| matches!(event, Event::Members(found, _) if *found == ticket);
        match self.take("answer to members", is) {
            Event::Members(_, Ok(members)) => members,
            other => panic!("{}: members: {other:?}", self.check),
        }
    }

    pub fn remove(&mut self, group: &str, topics: &[Arc<str>]) -> Result<()> {
        let ticket = self.session.remove(group, topics);
        let is = |event: &Event| matches!(event, Event::Removed(found, _) if *found == ticket);
        match self.take("answer to remove", is) {
            Event::Removed(_, answer) => answer,
            other => unreachable!("{other:?} is not the event asked for"),
        }
    }

    /// The committed positions, in order of their partitions.
    pub fn positions(&mut self, group: &str, of: &[TopicPartition]) -> Vec<Position> {
        let ticket = self.session.positions(group, of);
        let is =
            |event: &Event| matches!(event, Event::Positions(found, _) if *found == ticket);
        let mut positions = match self.take("answer to positions", is) {
            Event::Positions(_, Ok(positions)) => positions,
            other => panic!("{}: positions: {other:?}", self.check),
        };
        positions.sort_by(|a, b| a.partition.cmp(&b.partition));
        positions
    }

    pub fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Result<Offset> {
        let ticket = self.session.offset(partition, at);
        let is = |event: &Event| matches!(event, Event::Offset(found, _) if *found == ticket);
        match self.take("answer to offset", is) {
            Event::Offset(_, answer) => answer,
            other => unreachable!("{other:?} is not the event asked for"),
        }
    }

    pub fn try_fetch(
        &mut self,
        partition: &TopicPartition,
        offset: Offset,
        max_bytes: usize,
    ) -> Result<Fetched> {
        let fetch = Fetch { partition: partition.clone(), offset, max_bytes };
        let ticket = self.session.fetch(fetch);
        self.fetched(ticket)
    }

    /// Takes the answer to a fetch that was asked for before.
    pub fn fetched(&mut self, ticket: Ticket) -> Result<Fetched> {
        let is = |event: &Event| matches!(event, Event::Fetched(found, _) if *found == ticket);
        match self.take("answer to fetch", is) {
            Event::Fetched(_, answer) => answer,
            other => unreachable!("{other:?} is not the event asked for"),
        }
    }

    /// Fetches, and asserts what holds for every fetch.
    pub fn fetch(&mut self, of: &TopicPartition, from: Offset, max_bytes: usize) -> Fetched {
        let check = self.check;
        let fetched = self.try_fetch(of, from, max_bytes);
        let fetched =
            fetched.unwrap_or_else(|error| panic!("{check}: fetch of {of} at {from}: {error}"));
        let Fetched { partition, next, end, start, batches } = &fetched;
        assert_eq!(partition, of, "{check}: fetch of another partition");
        assert!(from <= *next, "{check}: fetch of {of} at {from}: next is {next}");
        assert!(next <= end, "{check}: fetch of {of} at {from}: next {next} is past end {end}");
        assert!(start <= end, "{check}: fetch of {of}: start {start} is past end {end}");
        assert!(
            from == *end || from < *next,
            "{check}: fetch of {of} at {from} makes no progress to end {end}"
        );
        let rows = rows_of_batches(check, batches.clone()).concat();
        assert!(
            rows.is_sorted_by(|a, b| a.offset < b.offset),
            "{check}: fetch of {of}: offsets do not grow"
        );
        if let Some(last) = rows.last() {
            let last = last.offset;
            assert!(last < *next, "{check}: fetch of {of}: {last} is not before next {next}");
            assert!(from <= last, "{check}: fetch of {of} at {from}: ends at {last}");
        }
        fetched
    }

    /// All records of a partition from `from` to its end, fetched `max_bytes` at a time.
    pub fn read_from(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Vec<Row> {
        let (mut rows, mut next) = (Vec::new(), from);
        loop {
            let fetched = self.fetch(partition, next, max_bytes);
            let read = rows_of_batches(self.check, fetched.batches).concat();
            rows.extend(read.into_iter().filter(|row| row.offset >= next));
            next = fetched.next;
            if next >= fetched.end {
                return rows;
            }
        }
    }

    /// All records of a partition.
    pub fn read(&mut self, partition: &TopicPartition) -> Vec<Row> {
        self.read_from(partition, 0, 1 << 20)
    }

    /// Begins a commit that holds `appends`.
    pub fn begin(&mut self, appends: &[(&TopicPartition, Bytes)]) -> CommitId {
        let commit = self.session.begin();
        for (partition, batches) in appends {
            self.session.append(commit, partition, batches.clone());
        }
        commit
    }

    /// Takes the outcome of a commit.
    pub fn outcome(&mut self, commit: CommitId) -> Outcome {
        let is = |event: &Event| matches!(event, Event::Resolved(found, _) if *found == commit);
        match self.take("outcome of a commit", is) {
            Event::Resolved(_, outcome) => outcome,
            other => unreachable!("{other:?} is not the event asked for"),
        }
    }

    /// Takes the next outcome of any commit.
    pub fn next_outcome(&mut self) -> (CommitId, Outcome) {
        match self.take("outcome of a commit", |event| matches!(event, Event::Resolved(..))) {
            Event::Resolved(commit, outcome) => (commit, outcome),
            other => unreachable!("{other:?} is not the event asked for"),
        }
    }

    /// Commits, and takes the outcome.
    pub fn resolve(
        &mut self,
        commit: CommitId,
        fence: Option<Fence>,
        positions: Vec<Position>,
    ) -> Outcome {
        self.session.commit(commit, fence, positions);
        self.outcome(commit)
    }

    /// The offsets of an outcome that must be a committed one.
    pub fn committed(&self, outcome: Outcome) -> Vec<Offset> {
        match outcome {
            Outcome::Committed { offsets } => offsets,
            other => panic!("{}: not committed but {other:?}", self.check),
        }
    }

    /// Commits `appends` alone, and gives their offsets.
    pub fn write(&mut self, appends: &[(&TopicPartition, Bytes)]) -> Vec<Offset> {
        let commit = self.begin(appends);
        let outcome = self.resolve(commit, None, Vec::new());
        self.committed(outcome)
    }
}
