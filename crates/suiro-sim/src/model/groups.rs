//! Groups of rows of a table (rule A2).

use super::Model;
use crate::act;

impl Model {
    /// Sends what a change of a row changes in its group, or first in the old group and then in
    /// the new one. A row whose group cannot be told is in none.
    pub(super) fn send_members(
        &mut self,
        partition: u32,
        number: usize,
        (old, new): (Option<String>, Option<String>),
        at: i64,
    ) {
        let panics = self.program.panics;
        let known = |row: &String| !(panics && act::panics(row, act::grouping(number)));
        let group = |row: &Option<String>| row.as_ref().map(|row| act::key(row, number));
        let (old, new) = (old.filter(known), new.filter(known));
        match (group(&old), group(&new)) {
            (Some(from), Some(to)) if from == to => {
                self.send(partition, number, to, (old, new), at);
            }
            (from, to) => {
                if let Some(from) = from {
                    self.send(partition, number, from, (old, None), at);
                }
                if let Some(to) = to {
                    self.send(partition, number, to, (None, new), at);
                }
            }
        }
    }

    /// A group loses a row, gets one, or both. What its fold cannot take is in no group.
    pub(super) fn take_member(
        &mut self,
        partition: u32,
        number: usize,
        counts: bool,
        key: String,
        (old, new): (Option<String>, Option<String>),
        at: i64,
    ) {
        let commutative = self.program.is_commutative();
        let panics = self.program.panics && !counts;
        let takes = |row: &String| !(panics && act::panics(row, number));
        let state = &mut self.states[partition as usize][number];
        let before = state.rows.get(&key).cloned();
        let mut group = before.as_ref().map(|(row, _)| (row.clone(), state.members[&key]));
        let mut is_changed = false;
        if let Some(row) = old.filter(takes)
            && let Some((value, members)) = &mut group
        {
            *value = act::subtracts(value, &row, commutative);
            *members -= 1;
            is_changed = true;
        }
        if let Some(row) = new.filter(takes) {
            let (value, members) = group.get_or_insert_default();
            *value = act::adds(value, &row, commutative);
            *members += 1;
            is_changed = true;
        }
        if !is_changed {
            return;
        }
        let group = group.filter(|(_, members)| *members > 0);
        match &group {
            Some((_, members)) => state.members.insert(key.clone(), *members),
            None => state.members.remove(&key),
        };
        let at = before.map_or(at, |(_, old_at)| at.max(old_at));
        let value = |(value, members): (String, u64)| {
            if counts { members.to_string() } else { value }
        };
        self.set(partition, number, key, group.map(value), at);
    }
}
