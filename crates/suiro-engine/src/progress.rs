//! How far a start has come, for those who wait for it on other threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How far the stores of an app are restored from snapshots and changelogs.
///
/// ```
/// use std::time::Duration;
/// use suiro_engine::Restoring;
///
/// let (bytes, elapsed) = (40_000, Duration::from_secs(2));
/// let third = Restoring { records: 500, of: 1_500, bytes, elapsed };
/// assert_eq!(third.left(), Some(Duration::from_secs(4)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restoring {
    /// Records that were loaded or replayed. Those that compaction took count when they are
    /// passed.
    pub records: u64,
    /// Records that are loaded or replayed in all.
    pub of: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// For how long it has been going on.
    pub elapsed: Duration,
}

impl Restoring {
    /// How much longer it will take, if it goes on as it went so far; `None` before the first
    /// record.
    ///
    /// ```
    /// use suiro_engine::Restoring;
    ///
    /// assert_eq!(Restoring::default().left(), None);
    /// ```
    pub fn left(&self) -> Option<Duration> {
        let left = self.of.saturating_sub(self.records);
        (self.records > 0).then(|| self.elapsed.mul_f64(left as f64 / self.records as f64))
    }
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

    /// So many more records were loaded or replayed, out of so many bytes.
    pub(crate) fn add(&self, records: u64, bytes: u64, elapsed: Duration) {
        let mut restoring = self.restoring.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(restoring) = restoring.as_mut() {
            restoring.records += records;
            restoring.bytes += bytes;
            restoring.elapsed = elapsed;
        }
    }

    /// Says in the log how far restoring is.
    pub(crate) fn tell(&self) {
        if let Some(restoring) = self.restoring() {
            let Restoring { records, of, bytes, .. } = restoring;
            let left_ms = restoring.left().unwrap_or_default().as_millis() as u64;
            tracing::info!(records, of, bytes, left_ms, "restoring");
        }
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
