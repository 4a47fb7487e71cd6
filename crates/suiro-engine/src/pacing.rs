//! Back-pressure: who pauses while much waits at an exchange.

use crate::crew::{Job, Work};
use crate::scope::Scope;
use suiro_core::Timestamp;

/// So many batches may wait at one input of an exchange before its senders pause.
const CROWD: usize = 8;

impl Scope {
    /// How many rows a task of this level may take in this round. What comes through an exchange
    /// in memory is taken at once, so that little waits there; where much waits all the same,
    /// for another input, the senders pause as long as anything else moves.
    pub(crate) fn budget(&self, level: usize) -> usize {
        match self.probe {
            Some(probe) => probe.rows,
            // One by one, so that what is newest in the topics tells where a row comes from.
            None if self.alone > 0 && self.levels() > 1 => 1,
            None if level > 0 => usize::MAX,
            None if self.moving && self.is_crowded() => 0,
            None => self.paced(self.settings.batch_rows),
        }
    }

    fn is_crowded(&self) -> bool {
        let limit = self.settings.batch_rows.saturating_mul(CROWD);
        let mut inputs = self.tasks.iter().flatten().flat_map(|task| &task.inputs);
        inputs.any(|input| input.is_exchange() && input.waiting > limit)
    }

    /// Where much waits, it mostly waits for the lane that is behind the others in time: then
    /// the senders that are ahead pause, else what waits would grow with all that is read. The
    /// one that is furthest behind never pauses.
    pub(crate) fn hold_back(&self, jobs: &mut [Job]) {
        if self.probe.is_some() || !self.is_crowded() {
            return;
        }
        for sub in 0..self.plan.subs.len() {
            let of_sub = |job: &&mut Job| job.task.id.subtopology as usize == sub;
            let heads = jobs.iter_mut().filter(of_sub).filter_map(|job| head(job));
            let (sum, count) = heads
                .fold((0, 0), |(sum, count), at| (sum + i128::from(at.as_millis()), count + 1));
            let is_ahead = |job: &&mut Job| {
                head(job).is_some_and(|at| i128::from(at.as_millis()) * count > sum)
            };
            for job in jobs.iter_mut().filter(of_sub).filter(is_ahead) {
                job.work = Work::Step(0);
            }
        }
    }
}

/// The time of the next row of a task.
fn head(job: &Job) -> Option<Timestamp> {
    job.task.inputs.iter().filter_map(|input| input.head()).min()
}
