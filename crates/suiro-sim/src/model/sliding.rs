//! Sliding windows: what the accepted records of a key make (rule W2), worked out anew each time.

use super::operators::Item;
use super::{Model, Span, State};
use crate::act;
use crate::program::{From, Slide};
use std::collections::BTreeSet;

/// A record that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Slid {
    key: String,
    value: String,
    at: i64,
}

impl Slide {
    fn closing(self, start: i64) -> i64 {
        start + self.span + 1 + self.grace
    }

    fn has(self, start: i64, at: i64) -> bool {
        start <= at && at <= start + self.span
    }
}

impl State {
    /// The starts of the windows that the accepted records of a key make, with one that may be
    /// accepted.
    fn slides(&self, slide: Slide, key: &str, more: Option<i64>) -> BTreeSet<i64> {
        let of_key = self.slid.iter().filter(|row| row.key == key);
        let times: BTreeSet<i64> = of_key.map(|row| row.at).chain(more).collect();
        let lefts = times.iter().map(|at| (at - slide.span).max(0));
        let is_near = |at: &&i64| times.range(*at + 1..=*at + 1 + slide.span).next().is_some();
        let rights = times.iter().filter(is_near).map(|at| at + 1);
        lefts.chain(rights).collect()
    }

    /// The windows of all keys that the end of a bounded run has not closed, by key and start.
    fn unshut(&self, slide: Slide) -> Vec<(&str, i64)> {
        let keys: BTreeSet<&str> = self.slid.iter().map(|row| &*row.key).collect();
        let all = keys.into_iter().flat_map(|key| {
            self.slides(slide, key, None).into_iter().map(move |start| (key, start))
        });
        all.filter(|(key, start)| !self.is_shut(key, *start)).collect()
    }

    /// When the next of the windows closes that are not closed yet.
    pub(super) fn next_slide(&self, slide: Slide) -> Option<i64> {
        let swept = self.swept.unwrap_or(i64::MIN);
        let closings = self.unshut(slide).into_iter().map(|(_, start)| slide.closing(start));
        closings.filter(|closing| *closing > swept).min()
    }

    /// A window with all accepted records in it, by arrival.
    fn slid(&self, slide: Slide, key: &str, start: i64, commutative: bool) -> Span {
        let rows = self.slid.iter().filter(|row| row.key == key && slide.has(start, row.at));
        let (mut value, mut at) = (String::new(), i64::MIN);
        for row in rows {
            value = act::adds(&value, &row.value, commutative);
            at = at.max(row.at);
        }
        let end = start + slide.span;
        Span { start, end, reach: end, value, at }
    }

    fn is_shut(&self, key: &str, start: i64) -> bool {
        self.closed.contains_key(&(key.to_owned(), start))
    }

    /// The windows of all keys that some say close, in order of end, start and key.
    fn closing_slides(
        &self,
        slide: Slide,
        commutative: bool,
        closes: impl Fn(i64) -> bool,
    ) -> Vec<(String, Span)> {
        let mut all = Vec::new();
        for (key, start) in self.unshut(slide) {
            if closes(slide.closing(start)) {
                all.push((key.to_owned(), self.slid(slide, key, start, commutative)));
            }
        }
        all.sort_by(|left, right| (left.1.start, &left.0).cmp(&(right.1.start, &right.0)));
        all
    }

    /// The windows that are open.
    pub(super) fn open_slides(&self, slide: Slide, commutative: bool) -> Vec<(String, Span)> {
        let now = self.time.unwrap_or(i64::MIN);
        self.closing_slides(slide, commutative, |closing| closing > now)
    }
}

impl Model {
    pub(super) fn slide(
        &mut self,
        partition: u32,
        op: usize,
        slide: Slide,
        key: String,
        (value, at): (String, i64),
    ) {
        let commutative = self.program.is_commutative();
        let panics = self.program.panics && act::panics(&value, op);
        // What a silence has closed does not change by a record that came of the same moment.
        if let Some(risen) = self.states[partition as usize][op].time {
            self.close_slides(partition, op, slide, risen);
        }
        let state = &mut self.states[partition as usize][op];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        let old = state.slides(slide, &key, None);
        let new = state.slides(slide, &key, Some(at));
        let is_open = |start: &i64| slide.closing(*start) > now && !state.is_shut(&key, *start);
        let is_in = |start: &i64| slide.has(*start, at) && is_open(start);
        let changes = |start: &&i64| is_in(start) || !old.contains(start) && is_open(start);
        let changed: Vec<i64> = new.iter().filter(changes).copied().collect();
        let is_late = !new.iter().any(is_in);
        if is_late {
            let item = Item::Row { value, at };
            self.pass(partition, From { op, late: true }, key, item);
        } else if panics {
            self.fail(op, &key, at);
        } else {
            state.slid.push(Slid { key: key.clone(), value, at });
            let slid = |start| state.slid(slide, &key, start, commutative);
            let said: Vec<Span> = changed.into_iter().map(slid).collect();
            if !slide.on_close {
                for Span { start, end, value, at, .. } in said {
                    let value = act::windowed(Some(&value), start, end);
                    self.emit(partition, op, key.clone(), value, at);
                }
            }
        }
        self.close_slides(partition, op, slide, now);
    }

    /// Time has come to `now`: what has not been closed up to it is.
    pub(super) fn close_slides(&mut self, partition: u32, op: usize, slide: Slide, now: i64) {
        let commutative = self.program.is_commutative();
        let state = &mut self.states[partition as usize][op];
        let before = state.swept.replace(now).unwrap_or(i64::MIN);
        let due = state
            .closing_slides(slide, commutative, |closing| before < closing && closing <= now);
        state.closed.retain(|(_, start), _| slide.closing(*start) > now);
        self.emit_slides(partition, op, slide, due);
    }

    fn emit_slides(
        &mut self,
        partition: u32,
        op: usize,
        slide: Slide,
        due: Vec<(String, Span)>,
    ) {
        // What closes says nothing of the lane by which the time came.
        self.lane_time = i64::MAX;
        for (key, Span { start, end, value, at, .. }) in due {
            if slide.on_close {
                let value = act::windowed(Some(&value), start, end);
                self.emit(partition, op, key, value, at);
            }
        }
    }

    /// The end of a bounded run closes the windows that are open, and they stay closed.
    pub(super) fn end_slides(&mut self, partition: u32, op: usize, slide: Slide) {
        let commutative = self.program.is_commutative();
        let state = &mut self.states[partition as usize][op];
        let due = state.open_slides(slide, commutative);
        let marks = due.iter().map(|(key, span)| ((key.clone(), span.start), span.start));
        state.closed.extend(marks);
        self.emit_slides(partition, op, slide, due);
    }
}
