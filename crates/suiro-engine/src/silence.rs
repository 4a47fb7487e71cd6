//! Silence: when no input has anything to say, time goes on by the clock (rule T5).
//!
//! Each task listens for itself. As long as it takes records no time passes but theirs; when all
//! its inputs have been caught up and silent for long enough, the stream times of its stores rise
//! with the clock. Rows that come through an exchange are records like others. The end of the
//! silence takes nothing back.
//!
//! How long a task has been silent is an input. It is kept in the notes of its positions, in the
//! commit that has the risen stream times, and goes on from there; time in which the program did
//! not run, or did not look, is no silence. Risen times alone are no reason to commit.

use crate::exchange::ExchangeKind;
use crate::input::{Input, InputKind};
use crate::operator::Failure;
use crate::scope::Scope;
use crate::task::{Task, Tried};
use std::time::Duration;
use suiro_core::TopicPartition;
use suiro_core::time::millis;

/// How long a task has been silent.
#[derive(Default)]
pub(crate) struct Silence {
    /// After how much of it time goes on; `None` for never.
    after: Option<Duration>,
    lasted: Duration,
    /// When that was known.
    at: Duration,
    committed: (Duration, Duration),
    /// How many rows the task had taken then.
    taken: u64,
    /// As of when it is known that nothing more has come, in this round.
    pub(crate) known_until: Option<Duration>,
}

impl Silence {
    /// A silence that has lasted for so long when the task is opened at `now`.
    pub(crate) fn new(after: Option<Duration>, lasted: Duration, now: Duration) -> Self {
        Self { after, lasted, at: now, committed: (lasted, now), ..Self::default() }
    }

    /// What is kept of it, in milliseconds, if there is any.
    pub(crate) fn note(&self) -> Option<u64> {
        let lasted = self.after.map(|_| self.lasted.as_millis());
        lasted.and_then(|lasted| u64::try_from(lasted).ok()).filter(|lasted| *lasted > 0)
    }

    pub(crate) fn commit(&mut self) {
        self.committed = (self.lasted, self.at);
    }

    pub(crate) fn rollback(&mut self, taken: u64) {
        (self.lasted, self.at) = self.committed;
        self.taken = taken;
    }

    /// By how many milliseconds time has gone on.
    fn beyond(&self) -> i64 {
        self.after.map_or(0, |after| millis(self.lasted.saturating_sub(after)))
    }

    /// Nothing has come until then: gives by how many milliseconds more time goes on.
    fn last_until(&mut self, until: Duration) -> i64 {
        let before = self.beyond();
        self.lasted += until.saturating_sub(self.at);
        self.at = self.at.max(until);
        self.beyond() - before
    }
}

impl Task {
    /// Looks whether anything has come, and lets time go on if nothing has for long enough.
    pub(crate) fn listen(&mut self) -> Tried<()> {
        if self.silence.after.is_none() || self.ended {
            return Ok(());
        }
        if self.silence.taken != self.taken || self.is_owed() {
            self.silence.taken = self.taken;
            (self.silence.lasted, self.silence.at) = (Duration::ZERO, self.now);
            return Ok(());
        }
        let Some(until) = self.silence.known_until else { return Ok(()) };
        if !self.inputs.iter().all(Input::is_caught_up) {
            self.silence.at = self.silence.at.max(self.now);
            return Ok(());
        }
        let passed = self.silence.last_until(until.min(self.now));
        self.pass(passed).map_err(|failure| self.failed_at_end(failure))
    }

    /// Lets time go on for all stores. It goes in pieces, from one moment at which something is
    /// due to the next, so that what follows does not depend on how often the engine looks.
    fn pass(&mut self, mut passing: i64) -> Result<(), Failure> {
        while passing > 0 {
            let due = self.stores.iter().filter_map(|(_, store)| store.due_in()).min();
            let piece = due.map_or(passing, |due| due.clamp(1, passing));
            let said = self.said;
            self.stores.iter_mut().for_each(|(_, store)| store.pass(piece));
            self.advance_all()?;
            // What goes without a word is to be committed, too.
            self.spoke |= self.said != said || due.is_some_and(|due| due <= piece);
            passing -= piece;
        }
        Ok(())
    }

    /// Until when it is known that nothing has come to the inputs of this task; `subs` says so
    /// of the sub-topologies that send to it.
    fn known_until(
        &self,
        subs: &[Option<Duration>],
        sender: impl Fn(usize) -> usize,
        kind: ExchangeKind,
    ) -> Option<Duration> {
        let known = self.inputs.iter().flat_map(|input| {
            let (own, sent) = match input.kind {
                InputKind::Generator => (None, None),
                InputKind::Topic => (Some(input.looked), None),
                InputKind::Exchange(exchange) => {
                    let read = kind == ExchangeKind::Topic;
                    (read.then_some(input.looked), Some(subs[sender(exchange)]))
                }
            };
            own.into_iter().chain(sent)
        });
        known.min().unwrap_or(Some(Duration::MAX))
    }
}

impl Scope {
    /// What was sent through a topic is not seen by who looked, or asked, before its commit: it
    /// must come before time goes on there.
    pub(crate) fn forget_look(&mut self, to: &TopicPartition) {
        if self.plan.graph.idle_after.is_none() {
            return;
        }
        let inputs = self.tasks.iter_mut().flatten().flat_map(|task| &mut task.inputs);
        for input in inputs.filter(|input| input.origin == *to) {
            (input.asked, input.looked) = (None, None);
        }
    }

    /// Tells the tasks until when it is known that nothing has come to their inputs. Only so may
    /// time go on: a process that stood still for an hour must first look what came meanwhile.
    pub(crate) fn tell_known(&mut self) {
        if self.plan.graph.idle_after.is_none() || self.settings.bounded {
            return;
        }
        let mut subs = vec![Some(Duration::MAX); self.plan.subs.len()];
        for level in 0..self.levels() {
            for task in self.tasks.iter_mut().flatten() {
                let sub = task.id.subtopology as usize;
                if self.plan.subs[sub].level != level {
                    continue;
                }
                let sender = |exchange| self.layout.sender(exchange);
                let known = task.known_until(&subs, sender, self.settings.exchange);
                subs[sub] = subs[sub].min(known);
                task.silence.known_until = known;
            }
        }
    }
}
