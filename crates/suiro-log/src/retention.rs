//! Retention: which whole segments may go, by their age since the append, by the size of the
//! partition, or because they were trimmed.

use crate::core::Core;
use crate::partition::{Partition, PartitionState};
use crate::segment::SegmentMeta;
use std::path::PathBuf;
use std::sync::Arc;
use suiro_core::broker::Cleanup;
use suiro_core::{Result, Timestamp};

/// Takes the segments of a partition out of use that may go, and gives their files.
pub(crate) fn retain(core: &Core, partition: &Arc<Partition>) -> Result<Vec<PathBuf>> {
    let now = core.options.clock.now();
    if ends_active(&mut partition.state(), partition.cleanup, now) {
        // Only the writer may end the segment to which it writes.
        let partition = Arc::clone(partition);
        core.ask(move |core, ledger| {
            ledger.settle(core)?;
            partition.state().roll();
            Ok(())
        })?;
    }
    let mut state = partition.state();
    let count = expendable(&state, partition.cleanup, now);
    let gone: Vec<PathBuf> =
        state.segments.drain(..count).map(|segment| segment.path(&partition.dir)).collect();
    if !gone.is_empty() {
        let oldest = state.segments[0].meta.base;
        state.start = state.start.max(oldest);
    }
    Ok(gone)
}

/// Whether even the newest record is older than what is kept.
fn ends_active(state: &mut PartitionState, cleanup: Cleanup, now: Timestamp) -> bool {
    let active = &state.active().meta;
    let is_old = matches!(cleanup, Cleanup::Delete { after: Some(after), .. }
        if active.appended + after < now);
    active.bytes > 0 && is_old
}

/// How many segments may go, the oldest first and never the active one.
fn expendable(state: &PartitionState, cleanup: Cleanup, now: Timestamp) -> usize {
    let mut left: u64 = state.segments.iter().map(|segment| segment.meta.bytes).sum();
    let mut may_go = |segment: &SegmentMeta| {
        left -= segment.bytes;
        let by_cleanup = match cleanup {
            Cleanup::Delete { after, bytes } => {
                after.is_some_and(|after| segment.appended + after < now)
                    || bytes.is_some_and(|bytes| left >= bytes)
            }
            _ => false,
        };
        by_cleanup || segment.next <= state.start
    };
    let sealed = &state.segments[..state.segments.len() - 1];
    sealed.iter().take_while(|segment| may_go(&segment.meta)).count()
}
