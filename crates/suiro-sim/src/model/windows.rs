//! Windows and sessions: which records they take, and when they close (rules W1 to W6).

use super::operators::Item;
use super::{Counting, Model, Span};
use crate::act;
use crate::program::{CountWindow, From, Op, Windows};

impl Windows {
    /// How long after its end, or what it reaches, a window closes (rule W4).
    pub(super) fn linger(self) -> i64 {
        self.grace + i64::from(self.sessions)
    }

    /// Whether the library keeps slices: then a window that an end has closed has no time.
    fn is_sliced(self) -> bool {
        self.combining && self.on_close
    }

    /// The starts of the windows that a time is in, in order (rule W1).
    fn starts(self, at: i64) -> impl DoubleEndedIterator<Item = i64> {
        let last = at.div_euclid(self.advance);
        let first = last - self.size / self.advance - 1;
        let starts = (first.max(0)..=last).map(move |number| number * self.advance);
        starts.filter(move |start| start + self.size > at)
    }
}

impl Model {
    pub(super) fn window(
        &mut self,
        partition: u32,
        op: usize,
        windows: Windows,
        key: String,
        value: String,
        at: i64,
    ) {
        let is_told = self.is_told(op);
        let mut was_told = false;
        let state = &mut self.states[partition as usize][op];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        if self.program.idles {
            // Time has gone on, and what was closed by that takes nothing more.
            self.close(partition, op, windows, now);
        }
        let state = &mut self.states[partition as usize][op];
        let rested = state.rested.unwrap_or(i64::MIN);
        let taken = if windows.sessions {
            self.add_to_session(partition, op, windows, (&key, &value, at), now)
        } else if is_told && self.take_late(op, &key, &value, at) {
            self.check_late(partition, op, windows, (&key, &value, at));
            was_told = true;
            None
        } else {
            let now = if is_told { rested } else { now };
            self.add_to_window(partition, op, windows, (&key, &value, at), now)
        };
        match taken {
            // A window that was closed when all lanes were at rest takes nothing more.
            None if is_told && !was_told => self
                .violations
                .push(format!("not late, and should be: operator {op}, {key}={value} @{at}")),
            None => {
                let item = Item::Row { value, at };
                self.pass(partition, From { op, late: true }, key, item);
            }
            Some(results) if !windows.on_close => {
                for (value, at) in results {
                    self.emit(partition, op, key.clone(), value, at);
                }
            }
            Some(_) => {}
        }
        if !is_told {
            self.close(partition, op, windows, now);
        }
    }

    /// Takes a record into the window of its key that is being filled (rule W7).
    pub(super) fn count_window(
        &mut self,
        partition: u32,
        op: usize,
        windows: CountWindow,
        key: String,
        (value, at): (String, i64),
    ) {
        let commutative = self.program.is_commutative();
        let rows = &mut self.states[partition as usize][op].counting;
        let window = rows.entry(key.clone()).or_insert_with(|| Counting {
            count: 0,
            span: Span { start: at, end: at, reach: at, value: String::new(), at },
        });
        let Counting { count, span } = window;
        *count += 1;
        span.value = act::adds(&span.value, &value, commutative);
        (span.start, span.end) = (span.start.min(at), span.end.max(at));
        span.at = span.end;
        let (is_full, said) = (*count == windows.records, span.clone());
        if is_full {
            rows.remove(&key);
        }
        if is_full || !windows.on_close {
            let Span { start, end, value, .. } = said;
            self.emit(partition, op, key, act::windowed(Some(&value), start, end), end);
        }
    }

    /// Whether this row is one of those that were said to be late.
    fn take_late(&mut self, op: usize, key: &str, value: &str, at: i64) -> bool {
        let row = (key.to_owned(), value.to_owned(), at);
        let left = self.late.get_mut(&op).and_then(|late| late.get_mut(&row));
        let Some(left) = left.filter(|left| **left > 0) else { return false };
        *left -= 1;
        true
    }

    /// A row is late by the time of its own lane, or by what was seen when all lanes were at rest;
    /// never because another lane ran ahead (rule T6).
    fn check_late(
        &mut self,
        partition: u32,
        op: usize,
        windows: Windows,
        (key, value, at): (&str, &str, i64),
    ) {
        let lane_time = self.lane_time;
        let start = windows.starts(at).next_back().unwrap_or_default();
        let closes = start + windows.size + windows.grace;
        let state = &self.states[partition as usize][op];
        let rested = state.rested.unwrap_or(i64::MIN);
        let is_shut = state.closed.contains_key(&(key.to_owned(), start));
        if closes > lane_time.max(rested) && !is_shut {
            self.violations.push(format!(
                "late only because another lane ran ahead (T6): operator {op}, {key}={value} \
                 @{at}, closes at {closes}, its lane had come to {lane_time}"
            ));
        }
    }

    /// Rows that were said to be late and never came.
    pub fn unexplained_late(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (op, late) in &self.late {
            for ((key, value, at), left) in late.iter().filter(|(_, left)| **left > 0) {
                all.push(format!("{left} too many late: operator {op}, {key}={value} @{at}"));
            }
        }
        all
    }

    /// All lanes are caught up: stream time is the largest seen.
    pub(super) fn rest(&mut self, partition: u32, op: usize) {
        let Op::Window(_, windows) = self.program.ops[op] else { return };
        let state = &mut self.states[partition as usize][op];
        state.rested = state.time;
        if let Some(now) = state.time
            && self.is_told(op)
        {
            self.close(partition, op, windows, now);
        }
    }

    /// Takes a record into its window; gives what `on_update` says, or nothing if it is late.
    fn add_to_window(
        &mut self,
        partition: u32,
        op: usize,
        windows: Windows,
        (key, value, at): (&str, &str, i64),
        now: i64,
    ) -> Option<Vec<(String, i64)>> {
        let state = &mut self.states[partition as usize][op];
        let is_open = |start: &i64| {
            start + windows.size + windows.grace > now
                && !state.closed.contains_key(&(key.to_owned(), *start))
        };
        let starts: Vec<i64> = windows.starts(at).filter(is_open).collect();
        if starts.is_empty() {
            return None;
        }
        if self.program.panics && act::panics(value, op) {
            self.fail(op, key, at);
            return Some(Vec::new());
        }
        let open = state.windows.entry(key.to_owned()).or_default();
        let mut said = Vec::new();
        for start in starts {
            let end = start + windows.size;
            let place = open.partition_point(|span| span.start < start);
            if open.get(place).is_none_or(|span| span.start != start) {
                let value = String::new();
                open.insert(place, Span { start, end, reach: end, value, at });
            }
            let span = &mut open[place];
            let commutative = self.program.is_commutative() || windows.combining;
            span.value = act::adds(&span.value, value, commutative);
            span.at = span.at.max(at);
            said.push((act::windowed(Some(&span.value), start, end), span.at));
        }
        Some(said)
    }

    /// As above, for sessions.
    fn add_to_session(
        &mut self,
        partition: u32,
        op: usize,
        windows: Windows,
        (key, value, at): (&str, &str, i64),
        now: i64,
    ) -> Option<Vec<(String, i64)>> {
        let (longest, panics) = (windows.size, self.program.panics);
        let gap = match windows.own_gaps {
            true => act::gap(value, op, longest, panics),
            false => longest,
        };
        if gap > longest {
            self.fail(op, key, at);
            return Some(Vec::new());
        }
        let commutative = self.program.is_commutative();
        let all = &mut self.states[partition as usize][op].windows;
        let (mut joined, mut others) = (Vec::new(), Vec::new());
        for span in all.get(key).into_iter().flatten() {
            let touches = span.start <= at + gap && at <= span.reach;
            if touches { &mut joined } else { &mut others }.push(span.clone());
        }
        let start = joined.iter().map(|span| span.start).min().unwrap_or(at).min(at);
        let end = joined.iter().map(|span| span.end).max().unwrap_or(at).max(at);
        let reach = joined.iter().map(|span| span.reach).max().unwrap_or(at).max(at + gap);
        if reach + windows.linger() <= now {
            return None;
        }
        if panics && act::panics(value, op) {
            self.fail(op, key, at);
            return Some(Vec::new());
        }
        let mut said = Vec::new();
        for span in &joined {
            if (span.start, span.end) != (start, end) {
                said.push((act::windowed(None, span.start, span.end), span.end));
            }
        }
        let merged = joined.into_iter().map(|span| span.value);
        let merged = merged.reduce(|left, right| act::merges(&left, &right, commutative));
        let value = act::adds(&merged.unwrap_or_default(), value, commutative);
        said.push((act::windowed(Some(&value), start, end), end));
        others.push(Span { start, end, reach, value, at: end });
        others.sort_by_key(|span| span.start);
        all.insert(key.to_owned(), others);
        Some(said)
    }

    /// Closes what is due at `now`, in order of end, start and key (rule W5).
    pub(super) fn close(&mut self, partition: u32, op: usize, windows: Windows, now: i64) {
        let is_due = |reach: i64| reach.saturating_add(windows.linger()) <= now;
        let state = &mut self.states[partition as usize][op];
        state.closed.retain(|(_, start), _| !is_due(start + windows.size));
        let due = state.take_due(is_due);
        // What closes says nothing of the lane by which the time came.
        self.lane_time = i64::MAX;
        for (end, start, key, span) in due {
            if windows.on_close {
                let value = act::windowed(Some(&span.value), start, end);
                self.emit(partition, op, key, value, span.at);
            }
        }
    }

    /// Closes everything, as the end of a bounded run does.
    pub(super) fn end(&mut self, partition: u32, op: usize) {
        if let Op::Within(_, _, reach, needs) = self.program.ops[op] {
            self.end_within(partition, op, reach, needs);
        }
        if let Op::Sliding(_, slide) = self.program.ops[op] {
            self.end_slides(partition, op, slide);
        }
        if let Op::Process(_, how) = self.program.ops[op] {
            self.end_timers(partition, (op, how));
        }
        self.end_patterns(partition, op);
        if let Op::AsOf(_, table, how) = self.program.ops[op] {
            self.release(partition, (op, table), how, i64::MAX);
        }
        let Op::Window(_, windows) = self.program.ops[op] else { return };
        self.rest(partition, op);
        let state = &mut self.states[partition as usize][op];
        let due = state.take_due(|_| true);
        if !windows.sessions {
            let at =
                |start: i64, span: &Span| if windows.is_sliced() { start } else { span.at };
            let marks = due
                .iter()
                .map(|(_, start, key, span)| ((key.clone(), *start), at(*start, span)));
            state.closed.extend(marks);
        }
        self.lane_time = i64::MAX;
        for (end, start, key, span) in due {
            if windows.on_close {
                let value = act::windowed(Some(&span.value), start, end);
                self.emit(partition, op, key, value, span.at);
            }
        }
    }
}

impl super::State {
    /// Takes out the windows that are due, in order of end, start and key.
    fn take_due(&mut self, is_due: impl Fn(i64) -> bool) -> Vec<(i64, i64, String, Span)> {
        let mut due = Vec::new();
        for (key, open) in &mut self.windows {
            open.retain(|span| {
                let goes = is_due(span.reach);
                if goes {
                    due.push((span.end, span.start, key.clone(), span.clone()));
                }
                !goes
            });
        }
        self.windows.retain(|_, open| !open.is_empty());
        due.sort_by(|left, right| (left.0, left.1, &left.2).cmp(&(right.0, right.1, &right.2)));
        due
    }
}
