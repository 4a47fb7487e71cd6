//! What is to be looked at when: keys by time, the near ones apart from the far.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use suiro_core::Timestamp;

/// Keys to be looked at, each at its time.
///
/// Far ones lie unsorted in boxes of some width; only the nearest box is kept in order. So most
/// pushes are cheap, and the heap stays small.
pub(crate) struct Agenda<K> {
    near: BinaryHeap<Due<K>>,
    /// What is due before this time is near.
    horizon: Timestamp,
    far: BTreeMap<i64, Vec<Due<K>>>,
    width: i64,
}

struct Due<K> {
    at: Timestamp,
    key: K,
}

impl<K> PartialEq for Due<K> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<K> Eq for Due<K> {}

impl<K> PartialOrd for Due<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Due<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives its largest first, and the earliest is wanted.
        other.at.cmp(&self.at)
    }
}

/// How many boxes the usual distance is divided into.
const BOXES: i64 = 256;

impl<K> Agenda<K> {
    /// An agenda whose keys are usually due `distance` milliseconds ahead.
    pub(crate) fn new(distance: i64) -> Self {
        let width = (distance / BOXES).max(1);
        Self { near: BinaryHeap::new(), horizon: Timestamp::MIN, far: BTreeMap::new(), width }
    }

    pub(crate) fn push(&mut self, at: Timestamp, key: K) {
        let due = Due { at, key };
        if at < self.horizon {
            self.near.push(due);
        } else {
            let number = at.as_millis().div_euclid(self.width);
            self.far.entry(number).or_default().push(due);
        }
    }

    /// Takes a key that is due at `now`, the earliest first.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<K> {
        while self.horizon <= now {
            // The first box that may hold something due becomes near, and empty ones are
            // leapt over.
            let Some(first) = self.far.first_entry() else { break };
            let start = first.key().saturating_mul(self.width);
            if Timestamp::from_millis(start) > now {
                break;
            }
            self.horizon = Timestamp::from_millis(start).plus_millis(self.width);
            self.near.extend(first.remove());
        }
        if self.near.peek()?.at > now {
            return None;
        }
        self.near.pop().map(|due| due.key)
    }

    pub(crate) fn clear(&mut self) {
        self.near.clear();
        self.far.clear();
        self.horizon = Timestamp::MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is due comes out, in order of time, and nothing else does.
        #[test]
        fn what_is_due_comes_out_in_order(
            steps in prop::collection::vec((0..3_u8, 0..2_000_i64), 0..200),
            distance in 0..3_000_i64,
        ) {
            let mut agenda = Agenda::new(distance);
            let mut model: Vec<i64> = Vec::new();
            let mut now = 0;
            for (what, time) in steps {
                if what > 0 {
                    agenda.push(Timestamp::from_millis(time), time);
                    model.push(time);
                    continue;
                }
                now = now.max(time);
                model.sort_unstable();
                let due: Vec<i64> = model.extract_if(.., |at| *at <= now).collect();
                let mut got = Vec::new();
                while let Some(at) = agenda.pop(Timestamp::from_millis(now)) {
                    got.push(at);
                }
                prop_assert_eq!(got, due);
            }
        }
    }
}
