//! Who works on tasks: the engine hands out jobs and gets them back done.

use crate::operator::Failure;
use crate::stores::Changes;
use crate::task::{Task, Tried};
use std::panic::{AssertUnwindSafe, catch_unwind};
use suiro_core::{Error, Result, TopicPartition};

/// A task, and what is to be done with it.
pub struct Job {
    pub(crate) index: usize,
    pub(crate) task: Box<Task>,
    pub(crate) work: Work,
    pub(crate) done: Option<Done>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Take turns, this many rows at most.
    Step(usize),
    /// Write down what a commit must carry.
    Save,
}

/// What was done.
pub(crate) enum Done {
    Stepped(Tried<()>),
    Saved(Result<Saved>),
    Failed(Failure),
}

/// What one task gives to a commit.
#[derive(Default)]
pub(crate) struct Saved {
    /// Encoded batches of outputs.
    pub(crate) outputs: Vec<(TopicPartition, Vec<u8>)>,
    /// Encoded batches of changes, by store.
    pub(crate) changes: Vec<(usize, Vec<u8>)>,
    /// Changes of stores whose source topic is their changelog, for the stores below.
    pub(crate) lowered: Vec<(usize, Vec<u8>)>,
}

/// A crew does jobs, in any order, on any threads.
pub trait Crew: Send {
    /// Does all jobs and gives them back, in any order.
    fn work(&mut self, jobs: Vec<Job>) -> Vec<Job>;
}

/// The crew of one: jobs are done where they are handed out, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Crew for Alone {
    fn work(&mut self, mut jobs: Vec<Job>) -> Vec<Job> {
        jobs.iter_mut().for_each(Job::run);
        jobs
    }
}

impl Job {
    /// Does the job. A panic of the engine itself becomes an error, so that the job comes back.
    pub fn run(&mut self) {
        let done = catch_unwind(AssertUnwindSafe(|| self.perform()));
        self.done = Some(done.unwrap_or_else(|_| {
            Done::Saved(Err(Error::corrupt("the engine panicked in a task")))
        }));
    }

    fn perform(&mut self) -> Done {
        match self.work {
            Work::Step(budget) => match self.task.absorb() {
                Err(error) => Done::Saved(Err(error)),
                Ok(()) => {
                    let heard = self.task.hear();
                    let stepped = heard.and_then(|()| self.task.step(budget));
                    let listened = stepped.and_then(|()| self.task.listen());
                    Done::Stepped(listened.and_then(|()| self.task.speak()))
                }
            },
            Work::Save => match self.task.flush() {
                Err(failure) => Done::Failed(failure),
                Ok(()) => Done::Saved(save(&mut self.task)),
            },
        }
    }

    /// About how much work it is, in bytes and rows.
    pub fn weight(&self) -> usize {
        let inputs = self.task.inputs.iter();
        inputs
            .map(|input| {
                let raw: usize = input.raw.iter().map(|fetched| fetched.batches.len()).sum();
                raw + input.waiting * 16
            })
            .sum()
    }
}

fn save(task: &mut Task) -> Result<Saved> {
    let mut saved = Saved::default();
    task.outbox.drain(|to, batches| saved.outputs.push((to.clone(), batches)))?;
    let mut changes = Changes::default();
    for (slot, store) in task.stores.iter_mut() {
        let is_logged = !task.unlogged.contains(&slot);
        if !is_logged && !store.is_lean() {
            continue;
        }
        store.save(&mut changes)?;
        let count = changes.count();
        if count > 0 {
            let to = if is_logged { &mut saved.changes } else { &mut saved.lowered };
            let batches = changes.finish()?;
            store.weigh(batches.len().div_ceil(count));
            to.push((slot, batches));
        }
    }
    Ok(saved)
}
