//! Settings of the engine: plain data.

use crate::below::Shelf;
use crate::exchange::ExchangeKind;
use crate::outside::ExecutorHandle;
use crate::snapshots::SnapshotSettings;
use std::time::Duration;
use suiro_core::broker::Guarantee;

/// How an app runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest time between two commits under load.
    pub commit_interval: Duration,
    /// What a commit promises where something fails.
    pub guarantee: Guarantee,
    /// How much longer a task waits for an input that is caught up and empty, while others have
    /// rows (rule T3).
    pub max_idle: Duration,
    /// How rows cross between tasks.
    pub exchange: ExchangeKind,
    /// How many rows a task takes at most before the others have their turn.
    pub batch_rows: usize,
    /// About how many bytes one fetch asks for.
    pub fetch_bytes: usize,
    /// How many threads work on tasks.
    pub threads: usize,
    /// How many copies of the state of each task other processes of the app keep, where its broker
    /// has them.
    pub standbys: u32,
    /// Whether the run ends where the sources end now.
    pub bounded: bool,
    /// After each commit, rows are replaced by what their changelog says: for tests, so that a
    /// format which loses something shows.
    pub reload: bool,
    /// Source topics that do not exist are made, with this number of partitions.
    pub create_sources: Option<u32>,
    /// How many threads load stores at a start.
    pub restore_threads: usize,
    /// Where snapshots of the stores are kept, if there are any.
    pub snapshots: Option<SnapshotSettings>,
    /// What runs the work that the program asks for outside.
    pub executor: Option<ExecutorHandle>,
    /// Where the rows of stores are, when they are more than memory holds.
    pub shelf: Shelf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_millis(100),
            guarantee: Guarantee::ExactlyOnce,
            max_idle: Duration::ZERO,
            exchange: ExchangeKind::default(),
            batch_rows: 2048,
            fetch_bytes: 1 << 20,
            threads: 1,
            standbys: 0,
            bounded: false,
            reload: false,
            create_sources: None,
            restore_threads: 1,
            snapshots: None,
            executor: None,
            shelf: Shelf::Memory,
        }
    }
}
