//! Steps of one's own: turns of records and of timers (rules R1 to R5).

use super::Model;
use super::operators::Item;
use crate::act::{self, Deed};
use crate::program::{From, Process};

/// Whose turn it is: the key, the time of what it sends, and the name of the timer that fired.
type Turn = (String, i64, Option<u64>);

impl Model {
    /// A record comes: first the timers fire whose time it brings, then it is taken, and then
    /// those that it set for a time that has come.
    pub(super) fn process(
        &mut self,
        partition: u32,
        of: (usize, Process),
        key: String,
        value: String,
        at: i64,
    ) {
        let state = &mut self.states[partition as usize][of.0];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        self.fire(partition, of, now);
        if !self.take_turn(partition, of, (key.clone(), at, None), &value) {
            self.fail(of.0, &key, at);
        }
        self.fire(partition, of, now);
    }

    /// The timers fire that are due, in order of time, key, and setting.
    pub(super) fn fire(&mut self, partition: u32, of: (usize, Process), now: i64) {
        loop {
            let timers = &mut self.states[partition as usize][of.0].timers;
            let due = timers.iter().enumerate().filter(|(_, timer)| timer.2 <= now);
            let next = due.min_by_key(|(place, (key, _, at))| (*at, key.clone(), *place));
            let Some((place, _)) = next else { return };
            let timer = timers.remove(place);
            self.ring(partition, of, timer);
        }
    }

    /// At the end of a bounded run the timers that are set fire once.
    pub(super) fn end_timers(&mut self, partition: u32, of: (usize, Process)) {
        let mut standing = self.states[partition as usize][of.0].timers.clone();
        // What is alike in time and key stays in its order.
        standing.sort_by(|left, right| (left.2, &left.0).cmp(&(right.2, &right.0)));
        for timer in standing {
            let timers = &mut self.states[partition as usize][of.0].timers;
            if let Some(place) = timers.iter().position(|it| *it == timer) {
                timers.remove(place);
                self.ring(partition, of, timer);
            }
        }
    }

    fn ring(
        &mut self,
        partition: u32,
        of: (usize, Process),
        (key, name, at): (String, String, i64),
    ) {
        let number = name.parse().ok();
        if !self.take_turn(partition, of, (key.clone(), at, number), &name) {
            self.fail_apart(&key, at);
        }
    }

    /// Takes a turn, or leaves everything as it was; gives whether it was taken.
    fn take_turn(
        &mut self,
        partition: u32,
        (op, how): (usize, Process),
        (key, at, fired): Turn,
        value: &str,
    ) -> bool {
        let commutative = self.program.is_commutative();
        let before = self.states[partition as usize][op].clone();
        let looked_up = how.table.map(|table| self.view(partition, table, &key));
        let state = &mut self.states[partition as usize][op];
        let turns = state.turns.get(&key).map_or(0, |(turns, _)| *turns) + 1;
        state.turns.insert(key.clone(), (turns, at));
        let row = state.rows.get(&key).map_or("", |(row, _)| row);
        let row = act::adds(row, value, commutative);
        state.rows.insert(key.clone(), (row.clone(), at));
        let (mut told, mut aside) = (Vec::new(), Vec::new());
        for deed in act::deeds(&row, op, how.ahead, fired) {
            match deed {
                Deed::Tell => told.push(match &looked_up {
                    Some(found) => act::joins(&row, found.as_ref().map(|(row, _)| &**row)),
                    None => row.clone(),
                }),
                Deed::Aside if how.wall => {}
                Deed::Aside => aside.push(turns.to_string()),
                Deed::Set(name, after) => {
                    let least = fired.map_or(0, |_| at + 1);
                    let timer = (key.clone(), name.to_string(), (at + after).max(least));
                    if !state.timers.contains(&timer) {
                        state.timers.retain(|it| (&it.0, &it.1) != (&timer.0, &timer.1));
                        state.timers.push(timer);
                    }
                }
                Deed::Cancel(name) => {
                    let name = name.to_string();
                    state.timers.retain(|it| (&it.0, &it.1) != (&key, &name));
                }
                Deed::Forget => drop(state.rows.remove(&key)),
            }
        }
        if how.wall && fired.is_none() {
            state.walls.insert((key.clone(), format!("w{turns}")));
        }
        if self.program.panics && act::panics(&row, op) {
            self.states[partition as usize][op] = before;
            return false;
        }
        for (values, late) in [(told, false), (aside, true)] {
            for value in values {
                let item = Item::Row { value, at };
                self.pass(partition, From { op, late }, key.clone(), item);
            }
        }
        true
    }
}
