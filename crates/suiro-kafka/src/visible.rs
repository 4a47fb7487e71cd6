//! What was committed here, and must be seen here.
//!
//! A coordinator answers the end of a transaction before the leaders of its partitions have
//! heard of it: for some milliseconds a reader does not see what is committed. Whoever reads
//! through the client that committed waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use suiro_core::{Offset, TopicPartition};

/// After that the offset is not waited for: the topic was made anew.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends of partitions that a reader must see, shared by the sessions of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visible {
    ends: Arc<Mutex<BTreeMap<TopicPartition, Offset>>>,
}

/// What a reader waits for, and since when. What is committed meanwhile it does not wait for: a
/// client that commits all the time would keep it waiting for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    end: Offset,
    since: Duration,
}

impl Visible {
    /// Something was committed before `offset`.
    pub(crate) fn committed(&self, partition: &TopicPartition, offset: Offset) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        match ends.get_mut(partition) {
            Some(end) => *end = offset.max(*end),
            None => drop(ends.insert(partition.clone(), offset)),
        }
    }

    /// Forgets partitions that `keep` does not take.
    pub(crate) fn retain(&self, keep: impl Fn(&TopicPartition) -> bool) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|partition, _| keep(partition));
    }

    /// Whether a reader who sees a partition up to `stable` misses something that was committed
    /// when it was answered first. `awaited` is the reader's own, empty at first.
    pub(crate) fn hides(
        &self,
        of: &TopicPartition,
        awaited: &mut Option<Awaited>,
        stable: Offset,
        now: Duration,
    ) -> bool {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = ends.get(of).copied();
        if awaited.is_none() {
            *awaited = newest.map(|end| Awaited { end, since: now });
        }
        let Some(Awaited { end, since }) = *awaited else { return false };
        let waits = stable < end && now < since.saturating_add(PATIENCE);
        if !waits && newest.is_some_and(|newest| newest <= stable.max(end)) {
            ends.remove(of);
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_waited_for_but_not_for_ever() {
        let (visible, at) = (Visible::default(), Duration::from_secs);
        let partition = TopicPartition::new("topic", 0);
        let (mut one, mut other, mut late) = (None, None, None);
        assert!(!visible.hides(&partition, &mut one, 0, at(0)));
        visible.committed(&partition, 7);
        visible.committed(&partition, 5);
        assert!(visible.hides(&partition, &mut one, 6, at(1)));
        let elsewhere = TopicPartition::new("topic", 1);
        assert!(!visible.hides(&elsewhere, &mut other, 0, at(1)));
        assert!(!visible.hides(&partition, &mut one, 7, at(2)));
        assert!(!visible.hides(&partition, &mut other, 6, at(2)));
        visible.committed(&partition, 9);
        let mut beside = None;
        assert!(visible.hides(&partition, &mut beside, 8, at(2)));
        assert!(visible.hides(&partition, &mut late, 8, at(3)));
        assert!(!visible.hides(&partition, &mut late, 8, at(13)));
        assert!(!visible.hides(&partition, &mut None, 8, at(13)));
        // That another has stopped waiting, or has seen it, is nothing to who has not.
        visible.committed(&partition, 12);
        let (mut here, mut there) = (None, None);
        assert!(visible.hides(&partition, &mut here, 11, at(20)));
        assert!(!visible.hides(&partition, &mut there, 12, at(20)));
        assert!(visible.hides(&partition, &mut here, 11, at(20)));
    }

    #[test]
    fn who_waits_does_not_wait_for_what_is_committed_meanwhile() {
        let (visible, at) = (Visible::default(), Duration::from_secs);
        let (partition, mut reader) = (TopicPartition::new("topic", 0), None);
        visible.committed(&partition, 7);
        assert!(visible.hides(&partition, &mut reader, 6, at(1)));
        visible.committed(&partition, 9);
        assert!(!visible.hides(&partition, &mut reader, 7, at(1)));
        // Who is answered from now on must see that, too.
        assert!(visible.hides(&partition, &mut None, 7, at(1)));
        assert!(!visible.hides(&partition, &mut None, 9, at(1)));
    }
}
