//! When to commit, and how long to wait for something to do.

use crate::exchange::ExchangeKind;
use crate::input::InputKind;
use crate::scope::Scope;
use std::time::Duration;

/// Who speaks by the clock has nobody awake more often than that while nothing comes.
const SPEECH: Duration = Duration::from_millis(10);

/// Each commit costs brokers that others use, too, several requests: so much is between two.
const BREATH: Duration = Duration::from_millis(5);

/// What others read is held in memory, and by brokers, until its commit is over: with so many
/// bytes a commit does not wait for its interval.
const HEAVY: usize = 6 << 20;

impl Scope {
    /// Whether answers to fetches are under way.
    pub(crate) fn is_asking(&self) -> bool {
        !self.fetches.is_empty() || self.followed.is_asking() || self.is_replaying()
    }

    /// Whether the next round is going to ask for anything.
    fn has_to_ask(&self) -> bool {
        let by_topic = self.settings.exchange == ExchangeKind::Topic;
        let mut inputs = self.tasks.iter().flatten().flat_map(|task| &task.inputs);
        inputs.any(|input| {
            let is_read = match input.kind {
                InputKind::Generator => false,
                InputKind::Topic => !input.is_ended(),
                InputKind::Exchange(_) => by_topic,
            };
            is_read && input.raw.is_empty() && input.waiting < self.settings.batch_rows
        })
    }

    /// Blocks until something may have come in, or the next commit is due.
    pub fn wait(&mut self) {
        if self.missed && !self.is_asking() {
            (self.missed, self.stale) = (false, true);
            return;
        }
        // Answers that are under way come first; what is asked again before they are in would
        // be answered at once, with nothing, for ever.
        self.look_again();
        if self.stale && self.hears_by_fetches && self.has_to_ask() {
            return;
        }
        let since = self.clock.elapsed().saturating_sub(self.last_commit);
        let mut longest = Duration::from_millis(500);
        if let Some(every) = self.plan.speaks_every() {
            longest = longest.min(every.max(SPEECH));
        }
        if let Some(wakes_at) = self.wakes_at() {
            let left = wakes_at.as_millis().saturating_sub(self.clock.now().as_millis());
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            longest = longest.min(left.max(SPEECH));
        }
        if let Some(at) = self.copies_look_at() {
            longest = longest.min(at.saturating_sub(self.clock.elapsed()).max(SPEECH));
        }
        if !self.settings.max_idle.is_zero() {
            longest = longest.min(self.settings.max_idle);
        }
        let until = match self.dirty {
            true => self.commit_after().saturating_sub(since),
            false => longest,
        };
        if !until.is_zero() {
            self.link.wait(until.min(longest));
        }
    }

    /// When there is nothing more to do, a commit need not wait for its interval.
    pub(crate) fn commit_due(&self, busy: bool) -> bool {
        let since = self.clock.elapsed().saturating_sub(self.last_commit);
        let due = match busy {
            true => self.settings.commit_interval,
            false => self.commit_after(),
        };
        self.dirty && (since >= due || self.is_heavy() || self.holds_much())
    }

    /// How long after the last commit the next one is due if no more rows come.
    fn commit_after(&self) -> Duration {
        // Rows may wait for what only a commit shows: marks on their way through a topic.
        let is_over = !self.is_behind() && (self.is_quiet() || !self.outgoing.is_empty());
        match is_over && self.flight.is_none() {
            true if !self.hears_by_fetches => Duration::ZERO,
            true => BREATH.min(self.settings.commit_interval),
            false => self.settings.commit_interval,
        }
    }

    /// Whether all tasks have taken what there is.
    fn is_quiet(&self) -> bool {
        let mut inputs = self.tasks.iter().flatten().flat_map(|task| &task.inputs);
        inputs.all(|input| input.raw.is_empty() && input.waiting == 0)
    }

    /// Whether an answer is on its way that is known to bring records.
    fn is_behind(&self) -> bool {
        let mut inputs = self.tasks.iter().flatten().flat_map(|task| &task.inputs);
        inputs.any(|input| {
            input.fetching.is_some() && input.end.is_some_and(|end| input.fetch_from < end)
        })
    }

    /// Whether much is held for others to read.
    fn holds_much(&self) -> bool {
        // What crosses to other tasks comes back to processes of this app.
        let sent = self.outgoing.values().map(|bytes| 2 * bytes.len());
        let outputs = self.tasks.iter().flatten().map(|task| task.outbox.bytes());
        self.hears_by_fetches && sent.chain(outputs).sum::<usize>() >= HEAVY
    }
}
