//! How far a start has come, for those who wait for it on other threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// How far the stores of an app are restored from their changelogs.
///
/// ```
/// use suiro_engine::Restoring;
///
/// let half = Restoring { records: 500, of: 1_000 };
/// assert_eq!(half.records * 100 / half.of, 50);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restoring {
    /// Records that were replayed. Those that compaction took count when they are passed.
    pub records: u64,
    /// Records that are replayed in all.
    pub of: u64,
}

/// What a scope and its handle share.
#[derive(Default)]
pub(crate) struct Progress {
    restoring: Mutex<Option<Restoring>>,
    stop: AtomicBool,
    cut: AtomicBool,
}

impl Progress {
    pub(crate) fn set(&self, restoring: Option<Restoring>) {
        *self.restoring.lock().unwrap_or_else(PoisonError::into_inner) = restoring;
    }

    /// How far restoring is; `None` if nothing is being restored.
    pub(crate) fn restoring(&self) -> Option<Restoring> {
        *self.restoring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for an end that need not wait until everything is restored.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether restoring must end here; then it ends with an error that nobody needs to see.
    pub(crate) fn cuts(&self) -> bool {
        let stop = self.stop.load(Ordering::Relaxed);
        if stop {
            self.cut.store(true, Ordering::Relaxed);
        }
        stop
    }

    /// Whether restoring was ended by [`Progress::stop`].
    pub(crate) fn was_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}
