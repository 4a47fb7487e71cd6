//! Going back to the last commit: after a failing step, an aborted commit, a new assignment.

use crate::exchange::ExchangeKind;
use crate::input::Input;
use crate::operator::Failure;
use crate::scope::{Probe, Scope};
use crate::task::{Failed, Task};
use suiro_core::{Error, ErrorKind, Offset, Result, TopicPartition};

impl Scope {
    /// A step failed: goes back to the last commit, and either repeats the work with care (the
    /// step itself then skips the record) or comes nearer to the failing record, to commit all
    /// before it and stop with an error that names it.
    pub(crate) fn recover(&mut self, mut failed: Failed) -> Result<()> {
        // It is no record that is at fault, but a store below: no search will find one, and no
        // policy may drop one.
        if failed.failure.cause.kind() != ErrorKind::Invalid {
            let Failure { step, cause, .. } = failed.failure;
            return Err(Error::new(cause.kind(), "a step could not get at its state")
                .with("step", step)
                .caused_by(cause));
        }
        if failed.offsets.is_none() {
            failed.newest = self.newest();
        }
        // What it was done on top of may not have happened.
        if !self.land()? {
            return Ok(());
        }
        let rows = self.taken();
        let since = rows.saturating_sub(self.taken_before);
        self.rollback()?;
        if failed.failure.skip {
            self.set_careful();
            if failed.failure.letter.is_some() {
                self.alone = since.max(1);
            }
            return Ok(());
        }
        let step = match self.probe {
            None => self.settings.batch_rows,
            Some(Probe { rows: 1, .. }) => return Err(failed.into_error()),
            Some(probe) => probe.rows,
        };
        self.probe = Some(Probe { rows: (step / 16).max(1), left: rows.max(1) });
        Ok(())
    }

    /// The newest records that were taken from topics, for a row that crossed in memory: when the
    /// search has come down to single records, it comes from one of them.
    pub(crate) fn newest(&self) -> Vec<String> {
        let tasks = self.tasks.iter().flatten();
        let newest = tasks.filter_map(|task| {
            let (input, offset) = task.newest?;
            Some(format!("{} at {offset}", task.inputs[input].origin))
        });
        newest.collect()
    }

    fn set_careful(&mut self) {
        self.careful = true;
        self.tasks.iter_mut().flatten().for_each(|task| task.careful = true);
    }

    /// Puts all tasks back to the last commit. None is in flight.
    pub(crate) fn rollback(&mut self) -> Result<()> {
        debug_assert!(self.flight.is_none(), "nobody knows what the last commit is");
        self.totals.rollbacks += 1;
        self.taken_before = self.taken();
        self.outgoing.clear();
        let committed = &self.committed;
        let position = |partition: &TopicPartition| -> Option<Offset> {
            committed.get(partition).map(|position| position.next)
        };
        let by_topic = self.settings.exchange == ExchangeKind::Topic;
        for task in self.tasks.iter_mut().flatten() {
            task.rollback(&position)?;
            if by_topic {
                task.inputs.iter_mut().for_each(Input::restore_lanes);
            }
        }
        self.dirty = false;
        self.forget_fetches();
        self.read_leftovers()?;
        self.mark_ends();
        Ok(())
    }
}

impl Failed {
    fn into_error(self) -> Error {
        let Self { failure, origin, offsets, newest } = self;
        let error = Error::invalid(
            "a step failed; mend the program or the record, or set a policy to skip it",
        )
        .with("step", failure.step)
        .with("topic", &origin.topic)
        .with("partition", origin.partition);
        let error = match offsets {
            Some((first, last)) if first == last => error.with("offset", first),
            Some((first, last)) => error.with("offsets", format!("{first}..={last}")),
            None if newest.is_empty() => error,
            None => error.with("newest_records_read", newest.join(", ")),
        };
        error.caused_by(failure.cause)
    }

    pub(crate) fn of_exchange(error: Error) -> Box<Self> {
        let origin = TopicPartition::new("exchange", 0);
        Box::new(Self {
            failure: Failure::stop("exchange", error),
            origin,
            offsets: None,
            newest: Vec::new(),
        })
    }
}

impl Task {
    pub(crate) fn failed_at_end(&self, failure: Failure) -> Box<Failed> {
        let origin = self.inputs[0].origin.clone();
        Box::new(Failed { failure, origin, offsets: None, newest: Vec::new() })
    }
}
