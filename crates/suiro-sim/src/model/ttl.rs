//! Rows that go by time (rule A5).

use super::Model;
use super::operators::Item;
use crate::program::{From, Ttl};

impl Model {
    /// A record of the time `at` comes to a table: the rows whose time is over go. Gives whether the
    /// record itself is so old.
    pub(super) fn has_aged(&mut self, partition: u32, op: usize, ttl: Ttl, at: i64) -> bool {
        let Some(ttl) = ttl else { return false };
        let state = &mut self.states[partition as usize][op];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        self.let_go(partition, op, Some(ttl), now);
        at + ttl <= now
    }

    /// Whether a record is the first of its key within a time. Keys that passed long enough ago go
    /// without a word.
    pub(super) fn passes(
        &mut self,
        partition: u32,
        op: usize,
        within: i64,
        key: &str,
        at: i64,
    ) -> bool {
        let state = &mut self.states[partition as usize][op];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        self.forget(partition, op, within, now);
        let rows = &mut self.states[partition as usize][op].rows;
        if at + within <= now || rows.contains_key(key) {
            return false;
        }
        rows.insert(key.to_owned(), (String::new(), at));
        true
    }

    /// Keys that passed long enough ago go.
    pub(super) fn forget(&mut self, partition: u32, op: usize, within: i64, now: i64) {
        let rows = &mut self.states[partition as usize][op].rows;
        rows.retain(|_, (_, at)| *at + within > now);
    }

    /// The rows of a table go whose time is over at `now`, in order of time and key, and then
    /// their removals are handed on.
    pub(super) fn let_go(&mut self, partition: u32, op: usize, ttl: Ttl, now: i64) {
        let Some(ttl) = ttl else { return };
        let state = &mut self.states[partition as usize][op];
        let mut gone = Vec::new();
        state.rows.retain(|key, (row, row_at)| {
            let goes = *row_at + ttl <= now;
            if goes {
                gone.push((*row_at + ttl, key.clone(), row.clone()));
            }
            !goes
        });
        gone.sort();
        for (at, key, row) in gone {
            let item = Item::Change { old: Some(row), new: None, at };
            self.pass(partition, From { op, late: false }, key, item);
        }
    }
}
