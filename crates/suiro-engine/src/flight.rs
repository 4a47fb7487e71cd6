//! A commit in flight: what it settles, and the work that goes on until its outcome is known.
//!
//! Two generations are open then. The stores keep what both of them have changed, nothing of
//! either is seen from outside, and one outcome decides about the work of both: where the commit
//! did not happen, what was done on top of it did not either. There is never a third: the next
//! commit waits for the one in flight.

use crate::commit::Leftover;
use crate::crew::Crew;
use crate::operator::Counters;
use crate::scope::Scope;
use crate::task::Task;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::{CommitId, Outcome, Position};
use suiro_core::{ErrorKind, Offset, Result, Timestamp, TopicPartition};

/// A commit whose outcome is not known.
pub(crate) struct Flight {
    pub(crate) commit: CommitId,
    pub(crate) positions: Vec<Position>,
    pub(crate) leftovers: Vec<Leftover>,
    /// What goes to the stores below: the place of the task and the store, the changes, and the
    /// number of the append.
    pub(crate) lower: Vec<((usize, usize), Bytes, Option<usize>)>,
    /// Rows to be replaced by what was written of them.
    pub(crate) reload: Vec<(usize, usize, Bytes)>,
    pub(crate) asked: Timestamp,
    /// How many rows had been taken.
    pub(crate) taken: u64,
    #[cfg(suiro_mutant = "changelog_after_commit")]
    pub(crate) after: Vec<(TopicPartition, Bytes)>,
}

/// What a task has in a commit in flight.
pub(crate) struct Sealed {
    /// The rows that it took from topics.
    read: u64,
    counters: Counters,
}

/// How long to wait after an aborted commit before the work is done again.
const PAUSE: Duration = Duration::from_millis(200);

impl Scope {
    /// Whether a commit is in flight: what it has changed counts already, but is not there yet
    /// for whoever asks for committed rows.
    pub fn is_in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// Commits what was done since the last commit, and waits for the outcome.
    pub(crate) fn commit(&mut self, crew: &mut dyn Crew) -> Result<()> {
        self.set_off(crew)?;
        self.land()?;
        Ok(())
    }

    /// Commits what was done since the last commit. Where it may, work goes on before the
    /// outcome is known.
    pub(crate) fn set_off(&mut self, crew: &mut dyn Crew) -> Result<()> {
        self.land()?;
        self.depart(crew)?;
        if !self.goes_on() {
            self.land()?;
        }
        Ok(())
    }

    /// Whether work may go on while the commit is in flight; if so, a new generation begins.
    fn goes_on(&mut self) -> bool {
        let Some(flight) = &self.flight else { return true };
        // Who looks for a record that fails has a commit between two steps, and rows that cross in
        // memory are in a topic only when the commit has said where. What was read before the
        // commit is seen is no silence.
        let is_plain = flight.leftovers.is_empty()
            && flight.reload.is_empty()
            && self.probe.is_none()
            && self.alone == 0
            && self.below.is_empty()
            && self.plan.graph.idle_after.is_none()
            && !self.has_forms_due();
        // All are asked: what one has begun does not matter until there is work.
        let all = self.tasks.iter_mut().flatten().map(|task| is_plain && task.begin_next());
        all.fold(true, |all, one| all & one)
    }

    /// Takes note of what became of the commit in flight, if that is known.
    pub(crate) fn look_out(&mut self) -> Result<()> {
        let Some(flight) = &self.flight else { return Ok(()) };
        match self.link.resolution(flight.commit) {
            Some(outcome) => self.arrive_with(outcome).map(drop),
            None => Ok(()),
        }
    }

    /// Waits for the outcome of the commit in flight, if there is one. Gives whether it happened;
    /// if not, the scope is back at the commit before it.
    pub(crate) fn land(&mut self) -> Result<bool> {
        let Some(flight) = &self.flight else { return Ok(true) };
        let outcome = self.link.resolved(flight.commit);
        self.missed = true;
        self.arrive_with(outcome)
    }

    fn arrive_with(&mut self, outcome: Outcome) -> Result<bool> {
        let Some(flight) = self.flight.take() else { return Ok(true) };
        let went_on = u64::from(self.taken() > flight.taken);
        self.totals.overlapped += went_on;
        if !matches!(outcome, Outcome::Committed { .. }) {
            self.totals.taken_back += went_on;
        }
        match outcome {
            Outcome::Committed { offsets } => {
                return self.settle(flight, &offsets).map(|()| true);
            }
            Outcome::Aborted(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::warn!(error = %error.report(), "commit aborted; it is done again");
                self.rollback()?;
                self.link.session.wait(PAUSE);
            }
            Outcome::Aborted(error) => return Err(error),
            Outcome::Fenced(error) => {
                tracing::warn!(error = %error.report(), "fenced; joining again");
                self.rejoin()?;
            }
            #[cfg(suiro_mutant = "retry_after_unknown")]
            Outcome::Unknown(_) => self.rollback()?,
            #[cfg(not(suiro_mutant = "retry_after_unknown"))]
            Outcome::Unknown(error) => {
                tracing::warn!(error = %error.report(), "commit unresolved; restoring");
                self.reopen()?;
            }
        }
        Ok(false)
    }

    /// The commit is durable.
    fn settle(&mut self, flight: Flight, offsets: &[Offset]) -> Result<()> {
        #[cfg(suiro_mutant = "changelog_after_commit")]
        self.commit_apart(flight.after, Vec::new());
        for position in flight.positions {
            let kept = self.committed.insert(position.partition.clone(), position.clone());
            let trims = self.plan.is_repartition(&position.partition.topic);
            if trims && kept.is_some_and(|kept| kept.next < position.next) {
                self.link.session.trim(&position.partition, position.next);
            }
        }
        for leftover in &flight.leftovers {
            let task = self.tasks[leftover.task].as_mut().expect("tasks are at rest");
            leftover.settle(&mut task.inputs[leftover.input], offsets[leftover.append]);
        }
        self.forms_written();
        self.totals.commits += 1;
        self.taken_before = flight.taken;
        for task in self.tasks.iter_mut().flatten() {
            let Some(Sealed { read, counters }) = task.sealed.take() else { continue };
            self.totals.records_in += read;
            self.totals.count(&counters);
            task.stores.iter_mut().for_each(|(_, store)| store.committed());
            task.inputs.iter_mut().for_each(|input| input.keep_lanes());
            task.silence.commit();
        }
        let mut lowered = BTreeMap::new();
        for (of, batches, append) in flight.lower {
            let position = match append {
                Some(append) => offsets[append] + count(&batches)?,
                None => self.source_position(of),
            };
            lowered.insert(of, (batches, position));
        }
        self.lower(lowered, flight.asked)?;
        self.reload(flight.reload)
    }

    /// The committed position in the source topic of a store that has no changelog of its own.
    fn source_position(&self, (place, store): (usize, usize)) -> Offset {
        let partition = self.tasks[place].as_ref().map_or(0, |task| task.id.partition);
        let topic = self.plan.graph.stores[store].topic.clone();
        let topic = topic.expect("a store without a changelog has a source topic");
        self.committed.get(&TopicPartition { topic, partition }).map_or(0, |it| it.next)
    }
}

impl Task {
    /// What was done until now is in the commit that is asked for.
    pub(crate) fn seal(&mut self) {
        let (read, counters) =
            (std::mem::take(&mut self.read), std::mem::take(&mut self.counters));
        self.sealed = Some(Sealed { read, counters });
        self.inputs.iter_mut().for_each(|input| input.seal_lanes());
    }

    /// A new generation begins, while the one before is in flight. False if a store cannot.
    fn begin_next(&mut self) -> bool {
        let stores = self.stores.iter_mut();
        stores.map(|(_, store)| store.seal()).fold(true, |all, one| all & one)
    }
}

/// How many records there are in some batches.
pub(crate) fn count(bytes: &Bytes) -> Result<Offset> {
    batches(bytes.clone()).try_fold(0, |count, batch| {
        let batch = batch?;
        let header = batch.header();
        Ok(count + header.next_offset() - header.base_offset)
    })
}
