//! A broker with a tap on it: the real one, whose every call may be the last, whose answers come
//! late and out of order, and whose acknowledgements are written down.

use crate::fault::{Call, Fault};
use crate::ledger::{Ledger, Pending};
use crate::world::{Died, World};
use bytes::Bytes;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro::{Broker, Error, Offset, Result, TopicPartition};
use suiro_core::broker::{
    CommitId, Event, Fence, Fetch, Outcome, Position, Role, Seek, Session, TaskId, Ticket,
    TopicSpec, Wake,
};

/// A broker whose calls pass through the world.
#[derive(Clone)]
pub(crate) struct Tap {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) world: World,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    /// Whether somebody else does the work by now; then it dies when it learns it.
    pub(crate) is_zombie: Arc<AtomicBool>,
    /// The number of the process in its group: each has sessions of its own names.
    pub(crate) member: usize,
    /// Whether it is told to keep copies of the tasks of the others.
    pub(crate) copies: bool,
}

impl Broker for Tap {
    fn session(&self, name: &str) -> Result<Box<dyn Session>> {
        self.world.call(Call::Session);
        let name = match self.member {
            0 => name.to_owned(),
            member => format!("{name}/{member}"),
        };
        let session = self.broker.session(&name)?;
        let tap = self.clone();
        let (open, lied) = (HashMap::new(), Vec::new());
        let (held, joined) = (Vec::new(), None);
        Ok(Box::new(Tapped { tap, session, open, lied, held, joined }))
    }

    fn tombstone_retention(&self) -> Duration {
        self.broker.tombstone_retention()
    }
}

impl Tap {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Tapped {
    tap: Tap,
    session: Box<dyn Session>,
    /// Commits that are not resolved.
    open: HashMap<CommitId, Pending>,
    /// Commits that have happened, of which it will be said that nobody knows.
    lied: Vec<CommitId>,
    /// Answers that are under way, each with the polls until it is there.
    held: Vec<(u64, Event)>,
    /// The group that it is in, and the tasks that it named.
    joined: Option<(String, Vec<TaskId>)>,
}

impl Tapped {
    fn call(&self, call: Call) {
        self.tap.world.call(call);
    }

    /// Ends a commit without a trace, and says what the simulator wants to be said.
    fn refuse(&mut self, commit: CommitId, outcome: Outcome) {
        self.session.abort(commit);
        self.open.remove(&commit);
        self.tap.ledger().doubt = None;
        self.tap.world.note(|| format!("commit {} refused", commit.0));
        let event = Event::Resolved(commit, outcome);
        self.held.push((self.delay(&event), event));
    }

    /// Somebody joins the group, if that is planned, and is gone again.
    fn let_pass(&self) {
        let Some((group, tasks)) = &self.joined else { return };
        if !std::mem::take(&mut self.tap.world.state().passes) {
            return;
        }
        if let Ok(mut passing) = self.tap.broker.session("passing") {
            self.tap.world.note(|| "=== somebody joins, and is gone".into());
            self.tap.world.state().counts.struck(Fault::Passes);
            passing.join(group, tasks);
        }
    }

    /// The tasks of a process, and those of the others as copies.
    fn with_copies(&self, mut tasks: Vec<(TaskId, Role)>) -> Vec<(TaskId, Role)> {
        if let Some((_, all)) = self.joined.as_ref().filter(|_| self.tap.copies) {
            let own: Vec<TaskId> = tasks.iter().map(|(task, _)| *task).collect();
            let others = all.iter().filter(|task| !own.contains(task));
            tasks.extend(others.map(|task| (*task, Role::Standby)));
        }
        tasks
    }

    /// Takes what the session has to say, some of which the program hears later.
    fn gather(&mut self) {
        let mut fresh = Vec::new();
        self.session.poll(&mut fresh);
        for event in fresh {
            let event = match event {
                Event::Resolved(commit, outcome) => self.resolved(commit, outcome),
                Event::Assigned(of, tasks) => Event::Assigned(of, self.with_copies(tasks)),
                event => event,
            };
            let delay = self.delay(&event);
            self.held.push((delay, event));
        }
    }

    /// After how many polls the program hears of something.
    fn delay(&self, event: &Event) -> u64 {
        match event {
            Event::Fetched(..) => self.tap.world.state().seed.below(6).saturating_sub(3),
            Event::Resolved(..) => self.tap.world.state().seed.below(16).saturating_sub(6),
            // One comes after another.
            Event::Assigned(..) => {
                let held = self.held.iter().filter(|(_, it)| matches!(it, Event::Assigned(..)));
                let before = held.map(|(delay, _)| *delay).max().unwrap_or(0);
                before.max(self.tap.world.state().seed.below(6).saturating_sub(3))
            }
            _ => 0,
        }
    }

    /// Writes down how a commit ended.
    fn resolved(&mut self, commit: CommitId, outcome: Outcome) -> Event {
        let Some(pending) = self.open.remove(&commit) else {
            return Event::Resolved(commit, outcome);
        };
        let mut ledger = self.tap.ledger();
        let ends = match &outcome {
            Outcome::Committed { .. } => "committed",
            Outcome::Aborted(_) => "aborted",
            Outcome::Fenced(_) => "fenced",
            Outcome::Unknown(_) => "unknown",
        };
        self.tap.world.note(|| format!("commit {} {ends}", commit.0));
        match &outcome {
            Outcome::Committed { .. } => {
                ledger.doubt = None;
                let of_program = u64::from(pending.group.is_some());
                self.tap.world.state().counts.commits += of_program;
                let bytes = "what the log has taken can be read";
                ledger.apply(pending).expect(bytes);
                if self.lied.contains(&commit) {
                    self.tap.world.state().counts.unknown += 1;
                    let error = Error::unavailable("the simulator does not say");
                    return Event::Resolved(commit, Outcome::Unknown(error));
                }
            }
            Outcome::Fenced(_) if self.tap.is_zombie.load(Ordering::Relaxed) => {
                ledger.doubt = None;
                drop(ledger);
                resume_unwind(Box::new(Died));
            }
            Outcome::Aborted(_) => ledger.doubt = None,
            Outcome::Fenced(_) => {
                ledger.doubt = None;
                self.tap.world.state().counts.taken_over += 1;
            }
            Outcome::Unknown(_) => {
                ledger.unknown = ledger.doubt.take();
                self.tap.world.state().counts.unknown += 1;
            }
        }
        Event::Resolved(commit, outcome)
    }
}

impl Session for Tapped {
    fn describe(&mut self, topics: &[Arc<str>]) -> Ticket {
        self.call(Call::Describe);
        self.session.describe(topics)
    }

    fn create(&mut self, topics: Vec<TopicSpec>) -> Ticket {
        self.call(Call::Create);
        self.session.create(topics)
    }

    fn positions(&mut self, group: &str, partitions: &[TopicPartition]) -> Ticket {
        self.call(Call::Positions);
        self.session.positions(group, partitions)
    }

    fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Ticket {
        self.call(Call::Offset);
        self.session.offset(partition, at)
    }

    fn fetch(&mut self, fetch: Fetch) -> Ticket {
        self.call(Call::Fetch);
        self.session.fetch(fetch)
    }

    fn join(&mut self, group: &str, tasks: &[TaskId]) {
        self.call(Call::Join);
        self.joined = Some((group.to_owned(), tasks.to_vec()));
        self.session.join(group, tasks);
    }

    fn leave(&mut self) {
        self.call(Call::Leave);
        self.session.leave();
    }

    fn begin(&mut self) -> CommitId {
        self.call(Call::Begin);
        let commit = self.session.begin();
        self.open.insert(commit, Pending::default());
        commit
    }

    fn append(&mut self, commit: CommitId, to: &TopicPartition, batches: Bytes) {
        self.call(Call::Append);
        self.tap.world.note(|| format!("  {} bytes to {to}", batches.len()));
        if let Some(pending) = self.open.get_mut(&commit) {
            pending.appends.push((to.clone(), batches.clone()));
        }
        self.session.append(commit, to, batches);
    }

    fn commit(&mut self, commit: CommitId, fence: Option<Fence>, positions: Vec<Position>) {
        self.call(Call::Commit);
        if let Some(pending) = self.open.get_mut(&commit) {
            pending.group = fence.as_ref().map(|fence| Arc::clone(&fence.group));
            pending.positions.clone_from(&positions);
            pending.asked = self.tap.world.state().time_of_day().as_millis();
            self.tap.ledger().doubt = Some(pending.clone());
        }
        self.let_pass();
        let said = self.tap.world.state().next_commit.take();
        let error = || Error::unavailable("the simulator says so");
        match said {
            Some(Fault::LostCommit) => self.refuse(commit, Outcome::Unknown(error())),
            Some(Fault::AbortedCommit) => self.refuse(commit, Outcome::Aborted(error())),
            said => {
                if said.is_some() {
                    self.lied.push(commit);
                }
                self.session.commit(commit, fence, positions);
                // What has happened is written down before anybody else does anything.
                self.gather();
            }
        }
        self.call(Call::Committed);
    }

    fn abort(&mut self, commit: CommitId) {
        self.open.remove(&commit);
        self.session.abort(commit);
    }

    fn trim(&mut self, partition: &TopicPartition, offset: Offset) {
        self.call(Call::Trim);
        let mut ledger = self.tap.ledger();
        let kept = ledger.partitions.entry(partition.clone()).or_default();
        kept.trimmed = kept.trimmed.max(offset);
        drop(ledger);
        self.session.trim(partition, offset);
    }

    fn members(&mut self, group: &str) -> Ticket {
        self.session.members(group)
    }

    fn remove(&mut self, group: &str, topics: &[Arc<str>]) -> Ticket {
        self.session.remove(group, topics)
    }

    fn poll(&mut self, events: &mut Vec<Event>) {
        self.call(Call::Poll);
        self.gather();
        for (delay, event) in std::mem::take(&mut self.held) {
            match delay {
                0 => events.push(event),
                _ => self.held.push((delay - 1, event)),
            }
        }
    }

    fn wait(&mut self, timeout: Duration) {
        self.call(Call::Wait);
        self.tap.world.state().wait(timeout);
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.session.waker()
    }
}
