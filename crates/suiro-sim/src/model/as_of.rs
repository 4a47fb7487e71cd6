//! Versioned tables, and joins with what was valid at a time (rules A3 and K2).

use super::operators::Item;
use super::{Model, Waiting};
use crate::act;
use crate::program::{AsOf, From, Op};

impl Model {
    /// A record comes to a versioned table: first goes what has waited for it long enough.
    pub(super) fn take_version(
        &mut self,
        partition: u32,
        (op, history): (usize, i64),
        key: String,
        new: Option<String>,
        at: i64,
    ) {
        for reader in 0..self.program.ops.len() {
            if let Op::AsOf(_, table, how) = self.program.ops[reader]
                && table == op
                && how.grace > 0
            {
                self.tell_time(partition, (reader, table), how, at);
            }
        }
        let state = &mut self.states[partition as usize][op];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        let bound = now - history;
        let mut change = None;
        if at >= bound {
            let versions = state.versions.entry(key.clone()).or_default();
            let newest = versions.last_key_value().map(|(at, row)| (*at, row.clone()));
            if newest.as_ref().is_none_or(|(newest, _)| *newest <= at) {
                change = Some(newest.and_then(|(_, row)| row));
            }
            versions.insert(at, new.clone());
        }
        // Of the versions that are not after the bound the newest is still valid, if it is a row.
        for versions in state.versions.values_mut() {
            let valid = versions.range(..=bound).next_back();
            let valid = valid.filter(|(_, row)| row.is_some()).map(|(at, _)| *at);
            versions.retain(|at, _| *at > bound || Some(*at) == valid);
        }
        state.versions.retain(|_, versions| !versions.is_empty());
        if let Some(old) = change
            && (old.is_some() || new.is_some())
        {
            let item = Item::Change { old, new, at };
            self.pass(partition, From { op, late: false }, key, item);
        }
    }

    /// A record comes to a join as of its time.
    pub(super) fn join_as_of(
        &mut self,
        partition: u32,
        of: (usize, usize),
        how: AsOf,
        (key, value, at): (String, String, i64),
    ) {
        let record = Waiting { key, value, at, side: 0, matched: false };
        if how.grace == 0 {
            return self.join_valid(partition, of, how, record);
        }
        self.states[partition as usize][of.0].waiting.push(record);
        self.tell_time(partition, of, how, at);
    }

    fn tell_time(&mut self, partition: u32, of: (usize, usize), how: AsOf, at: i64) {
        let time = &mut self.states[partition as usize][of.0].time;
        let now = time.map_or(at, |time| time.max(at));
        *time = Some(now);
        self.release(partition, of, how, now - how.grace);
    }

    /// Joins the records that wait, up to a time, in order of time and arrival.
    pub(super) fn release(
        &mut self,
        partition: u32,
        of: (usize, usize),
        how: AsOf,
        until: i64,
    ) {
        let waiting = &mut self.states[partition as usize][of.0].waiting;
        waiting.sort_by_key(|record| record.at);
        let due: Vec<_> = waiting.extract_if(.., |record| record.at <= until).collect();
        for record in due {
            self.join_valid(partition, of, how, record);
        }
    }

    fn join_valid(
        &mut self,
        partition: u32,
        (op, table): (usize, usize),
        how: AsOf,
        record: Waiting,
    ) {
        let Waiting { key, value, at, .. } = record;
        let row = self.valid(partition, table, &key, at);
        if row.is_none() && !how.left {
            return;
        }
        let pair = act::joins(&value, row.as_deref());
        match self.program.panics && act::panics(&pair, op) {
            true => self.fail(op, &key, at),
            false => self.emit(partition, op, key, pair, at),
        }
    }

    /// What a look-up at a time gives.
    fn valid(&self, partition: u32, table: usize, key: &str, at: i64) -> Option<String> {
        let Op::Versioned(_, history) = self.program.ops[table] else { return None };
        let state = &self.states[partition as usize][table];
        let versions = state.versions.get(key)?;
        let (newest, row) = versions.last_key_value()?;
        if *newest <= at {
            return row.clone();
        }
        if state.time.is_none_or(|time| at < time - history) {
            return None;
        }
        versions.range(..=at).next_back()?.1.clone()
    }
}
