//! A session of the process that has the log open.

use crate::commit::Request;
use crate::core::{Core, Job};
use crate::ledger::Ledger;
use crate::log::Handle;
use crate::mailbox::Mailbox;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{
    CommitId, Event, Fence, Fetch, Outcome, Position, Seek, Session, TaskId, Ticket, TopicSpec,
    Wake,
};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// What a session has appended to a commit that is not yet ended.
type Open = Vec<(TopicPartition, Bytes)>;

pub(crate) struct LogSession {
    handle: Arc<Handle>,
    name: Arc<str>,
    number: u64,
    mailbox: Arc<Mailbox>,
    open: BTreeMap<CommitId, Open>,
    last_ticket: u64,
    last_commit: u64,
}

impl LogSession {
    /// Opens a session; when it is open, the commits of the one it fences are resolved.
    pub fn open(handle: Arc<Handle>, name: &str) -> Result<Self> {
        let mailbox = Arc::<Mailbox>::default();
        let (own, called) = (name.to_owned(), Arc::clone(&mailbox));
        let number = handle.core.ask(move |core, ledger| {
            let (number, fenced) = core.sessions().open(&own, called);
            if let Some(fenced) = fenced {
                core.leave(ledger, fenced);
            }
            Ok(number)
        })?;
        Ok(Self {
            handle,
            name: name.into(),
            number,
            mailbox,
            open: BTreeMap::new(),
            last_ticket: 0,
            last_commit: 0,
        })
    }

    fn core(&self) -> &Core {
        &self.handle.core
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    fn work(&self, work: impl FnOnce(&Core, &mut Ledger) + Send + 'static) {
        self.core().submit(Job::Work(Box::new(work)));
    }
}

impl Session for LogSession {
    fn describe(&mut self, topics: &[Arc<str>]) -> Ticket {
        let ticket = self.ticket();
        self.mailbox.post(Event::Topics(ticket, Ok(self.core().view.describe(topics))));
        ticket
    }

    fn create(&mut self, topics: Vec<TopicSpec>) -> Ticket {
        let ticket = self.ticket();
        let mailbox = Arc::clone(&self.mailbox);
        self.work(move |core, ledger| {
            mailbox.post(Event::Created(ticket, core.create(ledger, topics)));
        });
        ticket
    }

    fn positions(&mut self, group: &str, partitions: &[TopicPartition]) -> Ticket {
        let ticket = self.ticket();
        let positions = self.core().view.positions(group, partitions);
        self.mailbox.post(Event::Positions(ticket, Ok(positions)));
        ticket
    }

    fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Ticket {
        let ticket = self.ticket();
        self.mailbox.post(Event::Offset(ticket, self.core().view.offset(partition, at)));
        ticket
    }

    fn fetch(&mut self, fetch: Fetch) -> Ticket {
        let ticket = self.ticket();
        self.mailbox.post(Event::Fetched(ticket, self.core().view.fetch(&fetch)));
        ticket
    }

    fn join(&mut self, group: &str, tasks: &[TaskId]) {
        let (group, tasks): (Arc<str>, _) = (group.into(), tasks.to_vec());
        let (name, number) = (Arc::clone(&self.name), self.number);
        let mailbox = Arc::clone(&self.mailbox);
        self.work(move |core, ledger| {
            let is_newest = core.sessions().is_newest(&name, number);
            // A session that was fenced learns it from its next commit.
            if is_newest {
                core.join(ledger, &group, number, &tasks, &mailbox);
            }
        });
    }

    fn leave(&mut self) {
        let number = self.number;
        self.work(move |core, ledger| core.leave(ledger, number));
    }

    fn begin(&mut self) -> CommitId {
        self.last_commit += 1;
        let commit = CommitId(self.last_commit);
        self.open.insert(commit, Open::new());
        commit
    }

    fn append(&mut self, commit: CommitId, to: &TopicPartition, batches: Bytes) {
        if let Some(open) = self.open.get_mut(&commit) {
            open.push((to.clone(), batches));
        }
    }

    fn commit(&mut self, commit: CommitId, fence: Option<Fence>, positions: Vec<Position>) {
        let Some(appends) = self.open.remove(&commit) else {
            let error = Error::invalid("commit was not begun, or has ended");
            let error = error.with("commit", commit.0);
            self.mailbox.post(Event::Resolved(commit, Outcome::Aborted(error)));
            return;
        };
        self.core().submit(Job::Commit(Request {
            session: self.number,
            name: Arc::clone(&self.name),
            mailbox: Arc::clone(&self.mailbox),
            id: commit,
            appends,
            fence,
            positions,
        }));
    }

    fn abort(&mut self, commit: CommitId) {
        self.open.remove(&commit);
    }

    fn trim(&mut self, partition: &TopicPartition, offset: Offset) {
        let partition = partition.clone();
        self.work(move |core, ledger| core.trim(ledger, &partition, offset));
    }

    fn members(&mut self, group: &str) -> Ticket {
        let ticket = self.ticket();
        let (group, mailbox) = (group.to_owned(), Arc::clone(&self.mailbox));
        self.work(move |core, _| {
            mailbox.post(Event::Members(ticket, Ok(core.groups().count(&group))));
        });
        ticket
    }

    fn remove(&mut self, group: &str, topics: &[Arc<str>]) -> Ticket {
        let ticket = self.ticket();
        let (group, topics): (Arc<str>, _) = (group.into(), topics.to_vec());
        let mailbox = Arc::clone(&self.mailbox);
        self.work(move |core, ledger| {
            let removed = core.remove(ledger, &group, &topics);
            mailbox.post(Event::Removed(ticket, removed));
        });
        ticket
    }

    fn poll(&mut self, events: &mut Vec<Event>) {
        self.mailbox.drain(events);
    }

    fn wait(&mut self, timeout: Duration) {
        self.mailbox.wait(timeout);
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.mailbox) as _
    }
}

impl Drop for LogSession {
    fn drop(&mut self) {
        let (name, number) = (Arc::clone(&self.name), self.number);
        self.work(move |core, ledger| {
            core.leave(ledger, number);
            core.sessions().close(&name, number);
        });
    }
}
