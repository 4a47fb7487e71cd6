//! What becomes of records that a step cannot take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What becomes of a record that cannot be decoded, or whose step fails or panics.
///
/// One policy is set per topology with [`Topology::on_error`](crate::Topology::on_error), and
/// any step may have its own. The default is `Stop`. Null values and null keys where a topic
/// has none, and negative times, are skipped and counted unless a policy was set (rules T1, N1
/// and N2).
///
/// ```
/// use suiro::{Policy, TestDriver, Topic, Topology};
///
/// const TEXTS: Topic<u64, String> = Topic::json("texts");
/// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
///
/// let topology = Topology::new("strict");
/// topology.on_error(Policy::Skip);
/// let numbers = topology.stream(&TEXTS).try_map(|text| text.parse::<i64>());
/// numbers.on_error(Policy::Stop).to(&NUMBERS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&Topic::<u64, u8>::json("texts"), 1, 7, 0)?;
/// assert_eq!(driver.metrics().skipped, 1);
/// assert!(driver.send(&TEXTS, 1, "many".into(), 1).is_err());
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Commits everything before the record, then ends the app with an error that names it.
    Stop,
    /// Drops the record at the failing step and counts it. Earlier steps keep their effect,
    /// the row of the failing step is as it was before.
    Skip,
}

/// A policy that may be set while the topology is written, and is read when it runs.
#[derive(Clone, Debug)]
pub(crate) struct PolicyCell {
    own: Arc<AtomicU8>,
    shared: Arc<AtomicU8>,
}

const UNSET: u8 = 0;
const STOP: u8 = 1;
const SKIP: u8 = 2;

fn code(policy: Policy) -> u8 {
    match policy {
        Policy::Stop => STOP,
        Policy::Skip => SKIP,
    }
}

impl PolicyCell {
    pub(crate) fn new(shared: &Arc<AtomicU8>) -> Self {
        Self { own: Arc::new(AtomicU8::new(UNSET)), shared: Arc::clone(shared) }
    }

    pub(crate) fn set(&self, policy: Policy) {
        self.own.store(code(policy), Ordering::Relaxed);
    }

    pub(crate) fn set_shared(shared: &AtomicU8, policy: Policy) {
        shared.store(code(policy), Ordering::Relaxed);
    }

    /// The policy that was set for this step or for the topology.
    pub(crate) fn get(&self) -> Option<Policy> {
        let own = self.own.load(Ordering::Relaxed);
        let code = if own == UNSET { self.shared.load(Ordering::Relaxed) } else { own };
        match code {
            STOP => Some(Policy::Stop),
            SKIP => Some(Policy::Skip),
            _ => None,
        }
    }
}
