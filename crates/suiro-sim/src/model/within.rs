//! Joins of streams within a time (rules J1 to J5): all that waits in one list.

use super::{Model, Waiting};
use crate::act;
use crate::program::{Needs, Reach};
use std::collections::BTreeMap;

/// Puts a record that a join keeps among the rows of a store. Records that are alike but for
/// whether they were paired may be told apart by their order only, which is not fixed: so they
/// are counted.
pub(crate) fn count(
    all: &mut BTreeMap<(String, i64), (Option<String>, i64, i64)>,
    (key, side, value): (&str, usize, &str),
    at: i64,
    matched: bool,
) {
    let name = format!("{key}/{side}/{value}/{matched}");
    all.entry((name, at)).or_insert((None, 0, at)).1 += 1;
}

impl Needs {
    /// Whether records of a side are sent alone.
    fn speaks(self, side: usize) -> bool {
        match self {
            Self::Both => false,
            Self::Left => side == 0,
            Self::Any => true,
        }
    }
}

impl Reach {
    /// When a record is closed (rule J5).
    pub(super) fn closing(self, side: usize, at: i64) -> i64 {
        at + [self.after, self.before][side] + 1 + self.grace
    }
}

fn joined(side: usize, own: &str, other: Option<&str>) -> String {
    match (side, other) {
        (0, other) => act::joins(own, other),
        (_, other) => act::joins(other.unwrap_or("none"), Some(own)),
    }
}

impl Model {
    pub(super) fn within(
        &mut self,
        partition: u32,
        (op, side): (usize, usize),
        (reach, needs): (Reach, Needs),
        key: String,
        value: String,
        at: i64,
    ) {
        let state = &mut self.states[partition as usize][op];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        self.close_within(partition, op, (reach, needs), now);
        let panics = self.program.panics && self.program.skips_pairs();
        let state = &mut self.states[partition as usize][op];
        let is_near = |other: &Waiting| {
            let (left, right) = if side == 0 { (at, other.at) } else { (other.at, at) };
            left - reach.before <= right && right <= left + reach.after
        };
        let mut partners: Vec<&mut Waiting> = state
            .waiting
            .iter_mut()
            .filter(|other| other.side != side && other.key == key && is_near(other))
            .collect();
        partners.sort_by_key(|other| other.at);
        let pairs: Vec<(String, i64)> = partners
            .iter()
            .map(|other| (joined(side, &value, Some(&other.value)), at.max(other.at)))
            .collect();
        // A record of which one pair cannot be made is skipped as a whole.
        if panics && pairs.iter().any(|(pair, _)| act::panics(pair, op)) {
            return;
        }
        partners.into_iter().for_each(|other| other.matched = needs.speaks(other.side));
        let is_closed = reach.closing(side, at) <= now;
        if !is_closed {
            let matched = !pairs.is_empty() && needs.speaks(side);
            state.waiting.push(Waiting {
                key: key.clone(),
                value: value.clone(),
                at,
                side,
                matched,
            });
        }
        let is_alone = is_closed && pairs.is_empty() && needs.speaks(side);
        for (pair, at) in pairs {
            self.emit(partition, op, key.clone(), pair, at);
        }
        if is_alone {
            self.emit_alone(partition, op, Waiting { key, value, at, side, matched: false });
        }
    }

    /// Drops what is closed at `now`, and sends what was alone.
    pub(super) fn close_within(
        &mut self,
        partition: u32,
        op: usize,
        (reach, needs): (Reach, Needs),
        now: i64,
    ) {
        self.send_alone(partition, op, (reach, needs), |waiting| {
            reach.closing(waiting.side, waiting.at) <= now
        });
    }

    /// Takes out what `is_closed` says; sends what was alone, in order of closing time, side, key
    /// and arrival (rule J3).
    fn send_alone(
        &mut self,
        partition: u32,
        op: usize,
        (reach, needs): (Reach, Needs),
        is_closed: impl Fn(&Waiting) -> bool,
    ) {
        let state = &mut self.states[partition as usize][op];
        let mut closed: Vec<Waiting> =
            state.waiting.extract_if(.., |waiting| is_closed(waiting)).collect();
        closed.retain(|waiting| needs.speaks(waiting.side) && !waiting.matched);
        closed.sort_by_key(|Waiting { at, side, key, .. }| {
            (reach.closing(*side, *at), *side, key.clone())
        });
        let lane_time = self.lane_time;
        // What closes says nothing of the lane by which the time came.
        self.lane_time = i64::MAX;
        for waiting in closed {
            self.emit_alone(partition, op, waiting);
        }
        self.lane_time = lane_time;
    }

    fn emit_alone(&mut self, partition: u32, op: usize, waiting: Waiting) {
        let Waiting { key, value, at, side, .. } = waiting;
        let value = joined(side, &value, None);
        let panics = self.program.panics && self.program.skips_pairs();
        if !(panics && act::panics(&value, op)) {
            self.emit(partition, op, key, value, at);
        }
    }

    /// The end of a bounded run: what has had no partner is sent alone.
    pub(super) fn end_within(&mut self, partition: u32, op: usize, reach: Reach, needs: Needs) {
        self.send_alone(partition, op, (reach, needs), |waiting| {
            needs.speaks(waiting.side) && !waiting.matched
        });
    }
}
