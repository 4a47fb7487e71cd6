//! What is to be looked at when: keys by time, the near ones apart from the far.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use suiro_core::Timestamp;

/// Keys to be looked at, each at its time.
///
/// Far ones lie unsorted in boxes of some width; a box is put in order when its time comes near.
/// So most pushes only append, and most pops only take from an end.
pub(crate) struct Agenda<K> {
    /// What is near, the earliest last.
    near: Vec<Due<K>>,
    /// What came to be near after its box was opened.
    sudden: BinaryHeap<Due<K>>,
    /// What is due before this time is near.
    horizon: Timestamp,
    far: BTreeMap<i64, Vec<Due<K>>>,
    /// The box that was pushed to last, apart from the others.
    open: (i64, Vec<Due<K>>),
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
        // A heap gives its largest first and a list its last, and the earliest is wanted.
        other.at.cmp(&self.at)
    }
}

/// How many boxes the usual distance is divided into.
const BOXES: i64 = 64;

impl<K> Agenda<K> {
    /// An agenda whose keys are usually due `distance` milliseconds ahead.
    pub(crate) fn new(distance: i64) -> Self {
        Self {
            near: Vec::new(),
            sudden: BinaryHeap::new(),
            horizon: Timestamp::MIN,
            far: BTreeMap::new(),
            open: (i64::MIN, Vec::new()),
            width: (distance / BOXES).max(1),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, at: Timestamp, key: K) {
        let due = Due { at, key };
        if at < self.horizon {
            return self.sudden.push(due);
        }
        let number = at.as_millis().div_euclid(self.width);
        if number != self.open.0 {
            self.shut();
            let again = self.far.remove(&number).unwrap_or_default();
            self.open = (number, again);
        }
        self.open.1.push(due);
    }

    /// Puts the open box to the others.
    fn shut(&mut self) {
        let (number, dues) = std::mem::replace(&mut self.open, (i64::MIN, Vec::new()));
        if !dues.is_empty() {
            self.far.insert(number, dues);
        }
    }

    /// Takes a key that is due at `now`, the earliest first.
    #[inline]
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<K> {
        if self.horizon <= now {
            self.look_ahead(now);
        }
        let near = self.near.last().map(|due| due.at);
        let sudden = self.sudden.peek().map(|due| due.at);
        match (near, sudden) {
            (Some(near), sudden) if near <= now && sudden.is_none_or(|at| near <= at) => {
                self.near.pop().map(|due| due.key)
            }
            (_, Some(sudden)) if sudden <= now => self.sudden.pop().map(|due| due.key),
            _ => None,
        }
    }

    /// Opens the boxes that may hold something due; times without a box are leapt over.
    fn look_ahead(&mut self, now: Timestamp) {
        self.shut();
        while self.horizon <= now {
            let Some(first) = self.far.first_entry() else { break };
            let start = Timestamp::from_millis(first.key().saturating_mul(self.width));
            if start > now {
                break;
            }
            self.horizon = start.plus_millis(self.width);
            // What is left of earlier boxes is due earlier, and stays at the end.
            let mut later = first.remove();
            later.sort_unstable();
            later.append(&mut self.near);
            self.near = later;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.near.clear();
        self.sudden.clear();
        self.far.clear();
        self.open = (i64::MIN, Vec::new());
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
