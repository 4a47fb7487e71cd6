//! What a running app says of itself.

use crate::copies::CopyMetrics;
use crate::operator::Counters;
use crate::progress::Restoring;
use crate::scope::Scope;
use crate::task::Task;
use std::time::Duration;
use suiro_core::broker::TaskId;
use suiro_core::{Timestamp, TopicPartition};

/// A snapshot of a running app, as of its last commit. Counts are since its start.
///
/// ```
/// use suiro_engine::Metrics;
///
/// let metrics = Metrics { records_in: 10, skipped: 1, ..Metrics::default() };
/// assert_eq!(metrics.records_in - metrics.skipped, 9);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Records read from topics and taken by tasks.
    pub records_in: u64,
    /// Records written to topics.
    pub records_out: u64,
    /// Records that came too late for every window (rule W4), or for a table whose rows go by
    /// time (rule A5).
    pub late: u64,
    /// Records that a policy skipped, undecodable ones among them.
    pub skipped: u64,
    /// Dead letters among them.
    pub letters: u64,
    /// Commits that were resolved as committed.
    pub commits: u64,
    /// Times that the app went back to its last commit.
    pub rollbacks: u64,
    /// Commits that were in flight while the work went on.
    pub overlapped: u64,
    /// Those of them that did not happen, so that what was done meanwhile was done again, too.
    pub taken_back: u64,
    /// Tasks that went on where they were when the tasks of the app were shared anew, and needed
    /// no restoring.
    pub stayed: u64,
    /// Tasks that came to this process when it had a copy of their state.
    pub prepared: u64,
    /// The longest that the program was busy between two rounds of work: with a commit, with
    /// waiting for stores. A wait for input does not count.
    pub longest_pause: Duration,
    /// The longest that one round of work took.
    pub longest_round: Duration,
    /// What goes up from the stores below and down to them, where there are some.
    pub below: Traffic,
    /// Records that were replayed from changelogs at the start.
    pub restored: u64,
    /// Rows that were loaded from snapshots at the start.
    pub loaded: u64,
    /// Rows in the global tables.
    pub global_rows: usize,
    /// How far the stores are restored; `None` when they are.
    pub restoring: Option<Restoring>,
    /// Copies of the state of tasks that run in other processes.
    pub copies: Vec<CopyMetrics>,
    /// One entry per task.
    pub tasks: Vec<TaskMetrics>,
}

/// What working sets that hold only some of their rows have to do with the stores below.
///
/// ```
/// use suiro_engine::Traffic;
///
/// let traffic = Traffic { read: 3, ..Traffic::default() };
/// assert_eq!(traffic.dropped, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Rows that are held in memory now.
    pub held: u64,
    /// How often a row was looked for below.
    pub read: u64,
    /// Rows that were dropped to make room.
    pub dropped: u64,
    /// Bytes of changes that are committed and not yet below.
    pub under_way: u64,
    /// How long the input was held up because changes came faster than they went down.
    pub waited: Duration,
}

/// A snapshot of a task: a sub-topology and a partition.
///
/// ```
/// use suiro_engine::{Metrics, TaskMetrics};
///
/// fn waiting(metrics: &Metrics) -> usize {
///     metrics.tasks.iter().filter(|task: &&TaskMetrics| task.waits_for.is_some()).count()
/// }
/// assert_eq!(waiting(&Metrics::default()), 0);
/// ```
#[derive(Clone, Debug)]
pub struct TaskMetrics {
    /// The task.
    pub task: TaskId,
    /// Rows in its stores.
    pub rows: usize,
    /// The largest stream time among its stores (rule T4); `None` before the first record.
    pub stream_time: Option<Timestamp>,
    /// The input that the task waits for (rule T3), if it waits.
    pub waits_for: Option<TopicPartition>,
    /// Records still to be read, by input; `None` where it is not known yet.
    pub lag: Vec<(TopicPartition, Option<u64>)>,
}

impl Metrics {
    /// Records still to be read, over all inputs whose lag is known.
    ///
    /// ```
    /// use suiro_engine::Metrics;
    ///
    /// assert_eq!(Metrics::default().lag(), 0);
    /// ```
    pub fn lag(&self) -> u64 {
        let inputs = self.tasks.iter().flat_map(|task| &task.lag);
        inputs.filter_map(|(_, lag)| *lag).sum()
    }

    pub(crate) fn count(&mut self, counters: &Counters) {
        self.records_out += counters.written;
        self.late += counters.late;
        self.skipped += counters.skipped;
        self.letters += counters.letters;
    }
}

impl Scope {
    /// A snapshot of the app.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.totals.clone();
        metrics.restoring = self.progress.restoring();
        metrics.below = self.traffic();
        metrics.global_rows = self.followed.globals.rows();
        metrics.copies = self.copy_metrics();
        metrics.tasks = self.tasks.iter().flatten().map(|task| of_task(task)).collect();
        metrics
    }
}

fn of_task(task: &Task) -> TaskMetrics {
    let waiting = task.inputs.iter().any(|input| input.head().is_some());
    let stuck =
        task.inputs.iter().find(|input| input.head().is_none() && !input.is_caught_up());
    let times = task.stores.iter().filter_map(|(_, store)| store.stream_time());
    TaskMetrics {
        task: task.id,
        rows: task.stores.iter().map(|(_, store)| store.rows()).sum(),
        stream_time: times.filter(|at| at.is_valid()).max(),
        waits_for: stuck.filter(|_| waiting).map(|input| input.origin.clone()),
        lag: task.inputs.iter().map(|input| (input.origin.clone(), input.lag())).collect(),
    }
}
