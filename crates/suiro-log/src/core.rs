//! What the sessions, the writer and the keeper of one log share.

use crate::commit::{Request, commit_all};
use crate::frame::Entry;
use crate::group::Groups;
use crate::keeper::Keeper;
use crate::ledger::{Ledger, Prepared};
use crate::mailbox::Mailbox;
use crate::options::LogOptions;
use crate::sessions::Sessions;
use crate::view::View;
use crate::writer::Queue;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use suiro_core::broker::{TaskId, TopicSpec};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// One open log. Locks are taken in the order of the fields `keeper`, `ledger`, `groups`,
/// `sessions`, then those of the view.
pub(crate) struct Core {
    pub view: View,
    pub options: LogOptions,
    pub queue: Queue,
    keeper: Mutex<Keeper>,
    ledger: Mutex<Ledger>,
    groups: Mutex<Groups>,
    sessions: Mutex<Sessions>,
}

/// What the writer does, in the order in which it was asked.
pub(crate) enum Job {
    /// A commit; those that wait together are written together.
    Commit(Request),
    /// Anything else.
    Work(Work),
}

/// Work for whoever holds the ledger.
pub(crate) type Work = Box<dyn FnOnce(&Core, &mut Ledger) + Send>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub fn new(view: View, options: LogOptions, ledger: Ledger, keeper: Keeper) -> Self {
        Self {
            view,
            options,
            queue: Queue::default(),
            keeper: Mutex::new(keeper),
            ledger: Mutex::new(ledger),
            groups: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    pub fn keeper(&self) -> MutexGuard<'_, Keeper> {
        lock(&self.keeper)
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub fn groups(&self) -> MutexGuard<'_, Groups> {
        lock(&self.groups)
    }

    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        lock(&self.sessions)
    }

    /// Does a job, or has the writer do it.
    pub fn submit(&self, job: Job) {
        if !self.options.inline {
            self.queue.push(job);
            return;
        }
        let is_long = {
            let mut ledger = self.ledger();
            self.execute(&mut ledger, vec![job]);
            ledger.tick(self);
            ledger.journal.end >= self.options.journal_bytes
        };
        if is_long {
            // What fails here fails again, and loudly, where somebody waits for it.
            let _ = self.keeper().checkpoint(self);
        }
    }

    /// Does `work` in its turn among the commits, and waits for what it gives.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self, &mut Ledger) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.options.inline {
            return work(self, &mut self.ledger());
        }
        let (answer, answered) = channel();
        self.queue.push(Job::Work(Box::new(move |core, ledger| {
            // Whoever asked waits for the answer, or is gone.
            let _ = answer.send(work(core, ledger));
        })));
        answered.recv().unwrap_or_else(|_| Err(Error::unavailable("log is closed")))
    }

    /// Does jobs in order; commits that follow each other become one write.
    pub fn execute(&self, ledger: &mut Ledger, jobs: Vec<Job>) {
        let mut commits = Vec::new();
        for job in jobs {
            match job {
                Job::Commit(request) => commits.push(request),
                Job::Work(work) => {
                    commit_all(self, ledger, std::mem::take(&mut commits));
                    work(self, ledger);
                }
            }
        }
        commit_all(self, ledger, commits);
        // What cannot be written to the segments now is in the journal and in memory; the next
        // commit tries again and reports it.
        let _ = ledger.settle(self);
    }

    /// Creates the topics that do not exist yet.
    pub fn create(&self, ledger: &mut Ledger, specs: Vec<TopicSpec>) -> Result<()> {
        let mut topics: Vec<TopicSpec> = Vec::new();
        for spec in specs {
            let is_new = self.view.read().catalog.is_new(&spec)?;
            let twin = topics.iter().find(|other| other.name == spec.name);
            match twin {
                Some(twin) if twin.partitions == spec.partitions => {}
                Some(_) => {
                    let error = Error::invalid("topic is named twice, with other partitions");
                    return Err(error.with("topic", &spec.name));
                }
                None if is_new => topics.push(spec),
                None => {}
            }
        }
        if topics.is_empty() {
            return Ok(());
        }
        let entry = Entry { at: self.options.clock.now(), topics, ..Entry::default() };
        Ok(ledger.record(self, &[Prepared { entry, data: Vec::new() }], true)?)
    }

    /// Moves the start of a partition.
    pub fn trim(&self, ledger: &mut Ledger, name: &TopicPartition, offset: Offset) {
        let Ok(partition) = self.view.read().catalog.partition(name).cloned() else { return };
        let (start, end) = partition.range();
        let offset = offset.min(end);
        if offset <= start {
            return;
        }
        let trims = vec![(partition.place, offset)];
        let entry = Entry { at: self.options.clock.now(), trims, ..Entry::default() };
        // Records that cannot be deleted now are deleted by a later trim.
        let _ = ledger.record(self, &[Prepared { entry, data: Vec::new() }], false);
    }

    /// Removes positions and topics, unless the group has members.
    pub fn remove(
        &self,
        ledger: &mut Ledger,
        group: &Arc<str>,
        topics: &[Arc<str>],
    ) -> Result<()> {
        if self.groups().count(group) > 0 {
            let text = "the group has members, so the app runs: stop all its processes first";
            return Err(Error::invalid(text).with("group", group));
        }
        let entry = {
            let state = self.view.read();
            let forgotten = state.positions.contains_key(group).then(|| Arc::clone(group));
            let removed = topics.iter().filter_map(|topic| state.catalog.number(topic));
            let (at, removed) = (self.options.clock.now(), removed.collect());
            Entry { at, forgotten, removed, ..Entry::default() }
        };
        if entry.forgotten.is_none() && entry.removed.is_empty() {
            return Ok(());
        }
        Ok(ledger.record(self, &[Prepared { entry, data: Vec::new() }], true)?)
    }

    /// Makes a session a member of one group.
    pub fn join(
        &self,
        ledger: &mut Ledger,
        group: &Arc<str>,
        session: u64,
        tasks: &[TaskId],
        to: &Arc<Mailbox>,
    ) {
        for left in self.leave_groups(session, Some(group)) {
            self.change(ledger, &left);
        }
        self.groups().join(group, session, tasks, to);
        self.change(ledger, group);
    }

    /// Takes a session out of its group.
    pub fn leave(&self, ledger: &mut Ledger, session: u64) {
        for left in self.leave_groups(session, None) {
            self.change(ledger, &left);
        }
    }

    fn leave_groups(&self, session: u64, keep: Option<&str>) -> Vec<Arc<str>> {
        self.groups().leave(session, keep)
    }

    /// Raises the generation of a group whose members changed.
    fn change(&self, ledger: &mut Ledger, group: &Arc<str>) {
        let generation = self.view.read().generations.get(group).copied().unwrap_or(0) + 1;
        let entry = Entry {
            at: self.options.clock.now(),
            generation: Some((Arc::clone(group), generation)),
            ..Entry::default()
        };
        if ledger.record(self, &[Prepared { entry, data: Vec::new() }], false).is_err() {
            // No commit of this generation can succeed before the disk is well again; until
            // then it is enough that this process knows it.
            self.view.write().generations.insert(Arc::clone(group), generation);
        }
        self.groups().assign(group, generation);
    }
}
