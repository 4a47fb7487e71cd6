//! What rules R1 to R5 say, as a plain loop.

use super::script::Act;
use std::collections::BTreeMap;

/// A timer that is set: its key, its name, whether it goes by the wall, and when it fires.
type Set = (String, u8, bool, i64);

#[derive(Clone)]
pub struct Model {
    timers: Vec<Vec<Act>>,
    rows: BTreeMap<(usize, String), u64>,
    table: BTreeMap<String, u64>,
    /// In the order in which they were set.
    set: Vec<Set>,
    time: Option<i64>,
    wall: i64,
    /// Whether the sources have grown since the last bounded run: only then does another end.
    pub has_grown: bool,
    /// Key, value and time of what was sent, in order.
    pub sent: Vec<(String, String, i64)>,
}

impl Model {
    pub fn new(timers: &[Vec<Act>]) -> Self {
        let (rows, table, set) = Default::default();
        let (timers, time, sent) = (timers.to_vec(), None, Vec::new());
        Self { timers, rows, table, set, time, wall: 0, has_grown: true, sent }
    }

    pub fn row(&mut self, key: &str, row: Option<u64>) {
        self.has_grown = true;
        match row {
            Some(row) => drop(self.table.insert(key.to_owned(), row)),
            None => drop(self.table.remove(key)),
        }
    }

    pub fn record(&mut self, key: &str, acts: &[Act], at: i64) {
        self.has_grown = true;
        self.time = self.time.max(Some(at));
        self.fire(false);
        self.turn(key, acts, at, None);
        self.fire(false);
    }

    /// The clock says so.
    pub fn tick(&mut self, wall: i64) {
        self.wall = wall;
        self.fire(true);
        self.fire(false);
    }

    /// The end of a bounded run: what is set fires once.
    pub fn end(&mut self) {
        self.has_grown = false;
        let mut standing: Vec<Set> = self.set.iter().filter(|set| !set.2).cloned().collect();
        // A stable sort: of one key and time, what was set first stays first.
        standing.sort_by(|a, b| (a.3, &a.0).cmp(&(b.3, &b.0)));
        for timer in standing {
            if self.set.contains(&timer) {
                self.ring(timer);
            }
        }
    }

    /// Fires what is due, the earliest first.
    fn fire(&mut self, is_wall: bool) {
        let Some(now) = (if is_wall { Some(self.wall) } else { self.time }) else { return };
        loop {
            let due = self.set.iter().filter(|set| set.2 == is_wall && set.3 <= now);
            // Of equal ones the first is the least.
            let Some(timer) = due.min_by_key(|set| (set.3, set.0.clone())).cloned() else {
                return;
            };
            self.ring(timer);
        }
    }

    fn ring(&mut self, timer: Set) {
        self.set.retain(|set| *set != timer);
        let (key, name, is_wall, at) = timer;
        let acts = self.timers[usize::from(name)].clone();
        let time = self.time.expect("a record came before any timer was set");
        let before = self.sent.len();
        let sends_at = if is_wall { time } else { at };
        if self.turn(&key, &acts, sends_at, Some((is_wall, at))) {
            // It goes to the first output, before all else.
            self.sent.insert(before, (key, format!("timer {name}"), sends_at));
        }
    }

    /// Does all of it, or nothing; gives whether it did.
    fn turn(&mut self, key: &str, acts: &[Act], at: i64, timer: Option<(bool, i64)>) -> bool {
        let before = self.clone();
        let mut said = Vec::new();
        let done = acts.iter().all(|act| self.act(act, key, at, timer, &mut said));
        if !done {
            *self = before;
            return false;
        }
        let (ones, twos): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|text: &String| text.len().is_multiple_of(2));
        let twos = twos.into_iter().map(|text| format!("{key}: {text}"));
        let all = ones.into_iter().chain(twos);
        self.sent.extend(all.map(|text| (key.to_owned(), text, at)));
        true
    }

    fn act(
        &mut self,
        act: &Act,
        key: &str,
        at: i64,
        timer: Option<(bool, i64)>,
        said: &mut Vec<String>,
    ) -> bool {
        let earliest = |is_wall: bool| match timer {
            Some((fired, at)) if fired == is_wall => at + 1,
            _ => 0,
        };
        let of = |store: usize| (store, key.to_owned());
        match *act {
            Act::Put(store, row) => drop(self.rows.insert(of(store), row)),
            Act::Remove(store) => {
                said.push(format!("removed {:?}", self.rows.remove(&of(store))))
            }
            Act::Add(store) => *self.rows.entry(of(store)).or_default() += 1,
            Act::Tell(store) => {
                said.push(format!("{store} is {:?}", self.rows.get(&of(store))));
            }
            Act::Set(name, after) => {
                self.set((key.to_owned(), name, false, (at + after).max(earliest(false))));
            }
            Act::SetWall(name, after) => {
                self.set((key.to_owned(), name, true, (self.wall + after).max(earliest(true))));
            }
            Act::Cancel(name) => {
                let at = self.when(key, name, false);
                said.push(format!("cancelled {at:?}"));
                self.set.retain(|set| (&*set.0, set.1, set.2) != (key, name, false));
            }
            Act::CancelWall(name) => {
                let at = self.when(key, name, true);
                said.push(format!("cancelled on the wall {at:?}"));
                self.set.retain(|set| (&*set.0, set.1, set.2) != (key, name, true));
            }
            Act::TellTimer(name) => {
                let [event, wall] = [false, true].map(|wall| self.when(key, name, wall));
                said.push(format!("{event:?} {wall:?}"));
            }
            Act::LookUp => said.push(format!("found {:?}", self.table.get(key))),
            Act::Times => {
                let time = self.time.expect("there is no turn before a record");
                said.push(format!("{time} {}", self.wall));
            }
            Act::Fail | Act::Panic => return false,
        }
        true
    }

    fn when(&self, key: &str, name: u8, is_wall: bool) -> Option<i64> {
        let is_it = |set: &&Set| (&*set.0, set.1, set.2) == (key, name, is_wall);
        self.set.iter().find(is_it).map(|set| set.3)
    }

    fn set(&mut self, timer: Set) {
        if self.set.contains(&timer) {
            return;
        }
        self.set.retain(|set| (&set.0, set.1, set.2) != (&timer.0, timer.1, timer.2));
        self.set.push(timer);
    }
}
