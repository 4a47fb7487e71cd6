//! What is to be looked at when: keys by time, the near ones apart from the far.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use suiro_core::Timestamp;

/// Keys to be looked at, each at its time.
///
/// What is not due soon lies unsorted in boxes of some width; a box is put in order when its
/// time comes near. So most pushes only append, and most pops only take from an end.
pub(crate) struct Agenda<K> {
    /// What is near, the earliest last.
    near: Vec<Due<K>>,
    /// What came to be near after its box was opened.
    sudden: BinaryHeap<Due<K>>,
    /// What is due before this box is near.
    first: i64,
    /// The boxes from `first` on.
    boxes: VecDeque<Vec<Due<K>>>,
    /// How many keys are in them.
    boxed: usize,
    /// Boxes further away, by number.
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
        // A heap gives its largest first and a list its last, and the earliest is wanted.
        other.at.cmp(&self.at)
    }
}

/// How many boxes the usual distance is divided into.
const BOXES: i64 = 64;

/// How many boxes are at hand; what is due later waits further away.
const AT_HAND: i64 = 4 * BOXES;

impl<K> Agenda<K> {
    /// An agenda whose keys are usually due `distance` milliseconds ahead.
    pub(crate) fn new(distance: i64) -> Self {
        Self {
            near: Vec::new(),
            sudden: BinaryHeap::new(),
            first: i64::MIN,
            boxes: VecDeque::new(),
            boxed: 0,
            far: BTreeMap::new(),
            width: (distance / BOXES).max(1),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, at: Timestamp, key: K) {
        let number = at.as_millis().div_euclid(self.width);
        if self.first == i64::MIN {
            self.first = number;
        }
        let due = Due { at, key };
        match usize::try_from(number.saturating_sub(self.first)) {
            Err(_) => self.sudden.push(due),
            Ok(ahead) if ahead < AT_HAND as usize => self.put(ahead, due),
            Ok(_) => self.far.entry(number).or_default().push(due),
        }
    }

    #[inline]
    fn put(&mut self, ahead: usize, due: Due<K>) {
        if self.boxes.len() <= ahead {
            self.boxes.resize_with(ahead + 1, Vec::new);
        }
        self.boxes[ahead].push(due);
        self.boxed += 1;
    }

    /// Takes a key that is due at `now`, the earliest first, with its time.
    #[inline]
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, K)> {
        if self.first.saturating_mul(self.width) <= now.as_millis() {
            self.look_ahead(now);
        }
        let near = self.near.last().map(|due| due.at);
        let sudden = self.sudden.peek().map(|due| due.at);
        match (near, sudden) {
            (Some(near), sudden) if near <= now && sudden.is_none_or(|at| near <= at) => {
                self.near.pop().map(|due| (due.at, due.key))
            }
            (_, Some(sudden)) if sudden <= now => {
                self.sudden.pop().map(|due| (due.at, due.key))
            }
            _ => None,
        }
    }

    /// When the next key is due, or a moment before that; what is in a box is not looked at.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let near = self.near.last().map(|due| due.at);
        let sudden = self.sudden.peek().map(|due| due.at);
        let boxed = self.boxes.iter().position(|all| !all.is_empty());
        let boxed = boxed.map(|ahead| self.first.saturating_add(ahead as i64));
        let far = self.far.keys().next().copied();
        let opens = boxed.into_iter().chain(far).min();
        let opens =
            opens.map(|number| Timestamp::from_millis(number.saturating_mul(self.width)));
        near.into_iter().chain(sudden).chain(opens).min()
    }

    /// Opens the boxes that may hold something due; times without a box are leapt over.
    fn look_ahead(&mut self, now: Timestamp) {
        let last = now.as_millis().div_euclid(self.width);
        while self.first <= last {
            if self.boxed == 0 {
                let Some(far) = self.far.keys().next().filter(|far| **far <= last) else {
                    break;
                };
                self.first = *far;
                self.boxes.clear();
                self.fetch();
            }
            let opened = self.boxes.pop_front().unwrap_or_default();
            self.boxed -= opened.len();
            self.first += 1;
            self.open(opened);
            self.fetch();
        }
    }

    /// Puts a box in order, behind what is near already.
    fn open(&mut self, mut opened: Vec<Due<K>>) {
        if !opened.is_empty() {
            // What is left of earlier boxes is due earlier, and stays at the end.
            opened.sort_unstable();
            opened.append(&mut self.near);
            let spare = std::mem::replace(&mut self.near, opened);
            // The place of the list that was near serves a box to come.
            self.boxes.push_back(spare);
        }
    }

    /// Brings boxes to hand that are not far any more.
    fn fetch(&mut self) {
        while let Some(entry) = self.far.first_entry()
            && *entry.key() < self.first.saturating_add(AT_HAND)
        {
            let ahead = (entry.key() - self.first) as usize;
            for due in entry.remove() {
                self.put(ahead, due);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { width: self.width, ..Self::new(0) };
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
                while let Some((_, at)) = agenda.pop(Timestamp::from_millis(now)) {
                    got.push(at);
                }
                prop_assert_eq!(got, due);
            }
        }
    }
}
