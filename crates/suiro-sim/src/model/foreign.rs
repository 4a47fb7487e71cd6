//! Joins on foreign keys (rules F1 to F3): what they hold at rest is a function of both tables.

use super::Model;
use crate::act;
use crate::program::{Needs, Op};
use std::collections::BTreeMap;
use suiro_core::partition::partition_of;

impl Model {
    /// Makes a join anew of the tables as they are, and says what is different now. Which rows it
    /// showed on the way there is not laid down.
    pub(super) fn join_foreign(&mut self, op: usize) {
        let Op::ForeignKey { left, right, needs } = self.program.ops[op] else { return };
        let mut pairs = self.pairs(op, (left, right), needs);
        let before = self.table(op);
        for key in before.keys() {
            if !pairs.contains_key(key) {
                let partition = partition_of(key.as_bytes(), self.partitions);
                self.set(partition, op, key.clone(), None, before[key].1);
            }
        }
        pairs.retain(|key, row| before.get(key) != Some(row));
        for (key, (value, at)) in pairs {
            let partition = partition_of(key.as_bytes(), self.partitions);
            self.set(partition, op, key, Some(value), at);
        }
    }

    /// For each left row the pair that it makes.
    fn pairs(
        &self,
        op: usize,
        (left, right): (usize, usize),
        needs: Needs,
    ) -> BTreeMap<String, (String, i64)> {
        let right = self.table(right);
        let mut pairs = BTreeMap::new();
        for (key, (row, at)) in self.table(left) {
            let other = act::foreign(&row, op).and_then(|foreign| right.get(&foreign));
            if other.is_none() && needs == Needs::Both {
                continue;
            }
            let pair = act::joins(&row, other.map(|(row, _)| row.as_str()));
            if !(self.program.panics && act::panics(&pair, op)) {
                pairs.insert(key, (pair, other.map_or(at, |(_, other)| at.max(*other))));
            }
        }
        pairs
    }
}
