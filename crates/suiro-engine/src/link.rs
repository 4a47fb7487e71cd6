//! A session with a memory for answers, so that the engine can ask and wait for one of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{
    CommitId, Event, Generation, Outcome, Position, Role, Seek, Session, TaskId, Ticket,
    TopicSpec, Wake,
};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// A session, and the events of it that nobody has asked for yet.
pub(crate) struct Link {
    pub(crate) session: Box<dyn Session>,
    events: Vec<Event>,
    assigned: Option<Result<Assignment>>,
}

/// Which tasks are a process's own, and what is known of how it came to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) generation: Generation,
    pub(crate) tasks: Vec<(TaskId, Role)>,
    /// The first generation that was heard of since the last assignment was taken; `None` if one
    /// of those after it was not heard of.
    since: Option<Generation>,
    /// The tasks that were this process's own in all of them.
    always: BTreeSet<TaskId>,
}

impl Assignment {
    pub(crate) fn new(generation: Generation, tasks: Vec<(TaskId, Role)>) -> Self {
        let active = tasks.iter().filter(|(_, role)| *role == Role::Active);
        let always = active.map(|(task, _)| *task).collect();
        Self { generation, tasks, since: Some(generation), always }
    }

    /// Another one follows, of which was heard as well.
    fn then(self, next: Self) -> Self {
        let follows = next.generation.0 == self.generation.0 + 1;
        let since = self.since.filter(|_| follows);
        let always = match cfg!(suiro_mutant = "absence_overlooked") {
            true => next.always,
            false => self.always.intersection(&next.always).copied().collect(),
        };
        Self { since, always, ..next }
    }

    /// The tasks that nobody else can have had since generation `last`, if they were this
    /// process's own in that.
    pub(crate) fn stays(&self, last: Generation) -> BTreeSet<TaskId> {
        let follows = self.since.is_some_and(|since| since.0 == last.0 + 1);
        if follows { self.always.clone() } else { BTreeSet::new() }
    }
}

/// How long the engine waits in one go for an answer that must come.
const PATIENCE: Duration = Duration::from_millis(500);

impl Link {
    pub(crate) fn new(session: Box<dyn Session>) -> Self {
        Self { session, events: Vec::new(), assigned: None }
    }

    pub(crate) fn waker(&self) -> Arc<dyn Wake> {
        self.session.waker()
    }

    /// Takes what has come in; assignments are kept apart.
    fn poll(&mut self) {
        self.session.poll(&mut self.events);
        let assigned = &mut self.assigned;
        self.events.retain_mut(|event| match event {
            Event::Assigned(generation, tasks) => {
                let next = Assignment::new(*generation, std::mem::take(tasks));
                *assigned = Some(Ok(match assigned.take() {
                    Some(Ok(before)) => before.then(next),
                    _ => next,
                }));
                false
            }
            Event::Refused(error) => {
                let text = "the group of the app cannot be joined";
                let error = Error::new(error.kind(), text).with("why", error.report());
                *assigned = Some(Err(error));
                false
            }
            _ => true,
        });
    }

    /// The newest assignment, if there is one that was not seen.
    pub(crate) fn assignment(&mut self) -> Result<Option<Assignment>> {
        self.poll();
        self.assigned.take().transpose()
    }

    /// Whether there is an assignment that was not seen.
    pub(crate) fn has_assignment(&mut self) -> bool {
        self.poll();
        self.assigned.is_some()
    }

    /// All answers that have come in, but for what became of a commit.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.poll();
        let answers = |event: &mut Event| !matches!(event, Event::Resolved(..));
        self.events.extract_if(.., answers).collect()
    }

    pub(crate) fn forget(&mut self) {
        self.poll();
        self.events.clear();
    }

    /// Blocks until something may have come in, but no longer than `timeout`. What came in while
    /// something else was waited for is there already, and ends no wait any more.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        if self.events.is_empty() && self.assigned.is_none() {
            self.session.wait(timeout);
        }
    }

    /// Blocks until an answer may have come in; a new assignment is left for later.
    pub(crate) fn wait_for_events(&mut self, timeout: Duration) {
        if self.events.is_empty() {
            self.session.wait(timeout);
        }
    }

    /// Waits for the event that `pick` takes.
    fn wait_for<T>(
        &mut self,
        mut pick: impl FnMut(Event) -> std::result::Result<T, Event>,
    ) -> T {
        loop {
            self.poll();
            let mut found = None;
            for event in std::mem::take(&mut self.events) {
                if found.is_some() {
                    self.events.push(event);
                    continue;
                }
                match pick(event) {
                    Ok(value) => found = Some(value),
                    Err(event) => self.events.push(event),
                }
            }
            match found {
                Some(value) => return value,
                None => self.session.wait(PATIENCE),
            }
        }
    }

    pub(crate) fn wait_assigned(&mut self) -> Result<Assignment> {
        loop {
            if let Some(assigned) = self.assignment()? {
                return Ok(assigned);
            }
            self.session.wait(PATIENCE);
        }
    }

    pub(crate) fn describe(&mut self, topics: &[Arc<str>]) -> Result<Vec<TopicSpec>> {
        let ticket = self.session.describe(topics);
        self.wait_for(|event| match event {
            Event::Topics(of, answer) if of == ticket => Ok(answer),
            other => Err(other),
        })
    }

    pub(crate) fn create(&mut self, topics: Vec<TopicSpec>) -> Result<()> {
        if topics.is_empty() {
            return Ok(());
        }
        let ticket = self.session.create(topics);
        self.wait_for(|event| match event {
            Event::Created(of, answer) if of == ticket => Ok(answer),
            other => Err(other),
        })
    }

    pub(crate) fn positions(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Position>> {
        let ticket = self.session.positions(group, partitions);
        self.wait_for(|event| match event {
            Event::Positions(of, answer) if of == ticket => Ok(answer),
            other => Err(other),
        })
    }

    pub(crate) fn members(&mut self, group: &str) -> Result<usize> {
        let ticket = self.session.members(group);
        self.wait_for(|event| match event {
            Event::Members(of, answer) if of == ticket => Ok(answer),
            other => Err(other),
        })
    }

    pub(crate) fn remove(&mut self, group: &str, topics: &[Arc<str>]) -> Result<()> {
        let ticket = self.session.remove(group, topics);
        self.wait_for(|event| match event {
            Event::Removed(of, answer) if of == ticket => Ok(answer),
            other => Err(other),
        })
    }

    pub(crate) fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Result<Offset> {
        let ticket = self.session.offset(partition, at);
        self.wait_for(|event| match event {
            Event::Offset(of, answer) if of == ticket => Ok(answer),
            other => Err(other),
        })
    }

    pub(crate) fn fetched(&mut self, ticket: Ticket) -> Result<suiro_core::broker::Fetched> {
        self.wait_for(|event| match event {
            Event::Fetched(of, answer) if of == ticket => Ok(answer),
            other => Err(other),
        })
    }

    /// What became of a commit, if that is known.
    pub(crate) fn resolution(&mut self, commit: CommitId) -> Option<Outcome> {
        self.poll();
        let is_it = |event: &Event| matches!(event, Event::Resolved(of, _) if *of == commit);
        let place = self.events.iter().position(is_it)?;
        match self.events.remove(place) {
            Event::Resolved(_, outcome) => Some(outcome),
            _ => None,
        }
    }

    pub(crate) fn resolved(&mut self, commit: CommitId) -> Outcome {
        self.wait_for(|event| match event {
            Event::Resolved(of, outcome) if of == commit => Ok(outcome),
            other => Err(other),
        })
    }
}

/// The error of a topic that a program names and nobody made.
pub(crate) fn missing(topic: &str) -> Error {
    Error::invalid("topic does not exist; create it first, or let the app create its sources")
        .with("topic", topic)
}
