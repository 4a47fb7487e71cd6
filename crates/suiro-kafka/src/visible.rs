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
    ends: Arc<Mutex<BTreeMap<TopicPartition, End>>>,
}

#[derive(Debug)]
struct End {
    offset: Offset,
    /// Since when somebody waits for it.
    since: Option<Duration>,
}

impl Visible {
    /// Something was committed before `offset`.
    pub(crate) fn committed(&self, partition: &TopicPartition, offset: Offset) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        match ends.get_mut(partition) {
            Some(end) if end.offset >= offset => {}
            Some(end) => *end = End { offset, since: None },
            None => drop(ends.insert(partition.clone(), End { offset, since: None })),
        }
    }

    /// Forgets partitions that `keep` does not take.
    pub(crate) fn retain(&self, keep: impl Fn(&TopicPartition) -> bool) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|partition, _| keep(partition));
    }

    /// Whether a reader who sees a partition up to `stable` misses something.
    pub(crate) fn hides(&self, of: &TopicPartition, stable: Offset, now: Duration) -> bool {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(end) = ends.get_mut(of) else { return false };
        let until = end.since.get_or_insert(now).saturating_add(PATIENCE);
        let waits = stable < end.offset && now < until;
        if !waits {
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
        assert!(!visible.hides(&partition, 0, at(0)));
        visible.committed(&partition, 7);
        visible.committed(&partition, 5);
        assert!(visible.hides(&partition, 6, at(1)));
        assert!(!visible.hides(&TopicPartition::new("topic", 1), 0, at(1)));
        assert!(!visible.hides(&partition, 7, at(2)));
        assert!(!visible.hides(&partition, 6, at(2)));
        visible.committed(&partition, 9);
        assert!(visible.hides(&partition, 8, at(3)));
        assert!(!visible.hides(&partition, 8, at(13)));
    }
}
