//! What a fold over sliding windows sends, written down from its rules (W2, W4, W5, W8 and H1)
//! with no state but the list of all that came.

use super::support::{Came, Outcome, Sent};
use std::collections::BTreeSet;

/// Span, grace, and whether results are sent when windows close, or at every update.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub span: i64,
    pub grace: i64,
    pub on_close: bool,
}

/// What is known of a run so far.
pub struct Model<'a> {
    spec: Spec,
    came: &'a [Came],
    accepted: Vec<usize>,
    /// The windows that ends of bounded runs have closed.
    ended: BTreeSet<(String, i64)>,
    now: i64,
    pub outcome: Outcome,
}

impl<'a> Model<'a> {
    pub fn new(spec: Spec, came: &'a [Came]) -> Self {
        let (accepted, ended, outcome) = (Vec::new(), BTreeSet::new(), Outcome::default());
        Self { spec, came, accepted, ended, now: i64::MIN, outcome }
    }

    /// The starts of the windows that accepted records of a key make (W2).
    fn windows(&self, key: &str, accepted: &[usize]) -> BTreeSet<i64> {
        let span = self.spec.span;
        let of_key = accepted.iter().map(|number| &self.came[*number]);
        let times: Vec<i64> =
            of_key.filter(|came| came.key == key).map(|came| came.at).collect();
        let left = times.iter().map(|at| (at - span).max(0));
        let is_near =
            |at: &i64| times.iter().any(|other| (at + 1..=at + 1 + span).contains(other));
        left.chain(times.iter().filter(|at| is_near(at)).map(|at| at + 1)).collect()
    }

    fn closing(&self, start: i64) -> i64 {
        start + self.spec.span + 1 + self.spec.grace
    }

    fn is_open(&self, key: &str, start: i64) -> bool {
        self.closing(start) > self.now && !self.ended.contains(&(key.to_owned(), start))
    }

    fn has(&self, start: i64, at: i64) -> bool {
        (start..=start + self.spec.span).contains(&at)
    }

    /// The window with all accepted records in it.
    fn window(&self, key: &str, start: i64) -> Sent {
        let is_in = |number: &usize| {
            let came = &self.came[*number];
            came.key == key && self.has(start, came.at)
        };
        let value: Vec<usize> = self.accepted.iter().copied().filter(is_in).collect();
        let at = value.iter().map(|number| self.came[*number].at).max().unwrap_or(i64::MIN);
        let headers = *value.last().expect("a window has a record");
        Sent { key: key.to_owned(), start, end: start + self.spec.span, value, at, headers }
    }

    /// A record comes.
    pub fn take(&mut self, number: usize) {
        let came = &self.came[number];
        let before = self.now;
        self.now = self.now.max(came.at);
        let mut with: Vec<usize> = self.accepted.clone();
        with.push(number);
        let (old, new) =
            (self.windows(&came.key, &self.accepted), self.windows(&came.key, &with));
        let is_in = |start: &i64| self.has(*start, came.at) && self.is_open(&came.key, *start);
        let is_accepted = new.iter().any(is_in);
        let is_changed = |start: &&i64| {
            is_in(start) || (!old.contains(start) && self.is_open(&came.key, **start))
        };
        let changed: Vec<i64> = new.iter().filter(is_changed).copied().collect();
        if is_accepted {
            self.accepted = with;
        } else {
            self.outcome.late.push(number);
        }
        if is_accepted && !self.spec.on_close {
            let sent = changed
                .into_iter()
                .map(|start| Sent { headers: number, ..self.window(&came.key, start) });
            let sent: Vec<Sent> = sent.collect();
            self.outcome.sent.extend(sent);
        }
        let now = self.now;
        self.send(|closing| (before + 1..=now).contains(&closing));
    }

    /// A bounded run ends.
    pub fn end(&mut self) {
        let now = self.now;
        self.send(|closing| closing > now);
        for key in self.keys() {
            let windows = self.windows(&key, &self.accepted);
            self.ended.extend(windows.into_iter().map(|start| (key.clone(), start)));
        }
    }

    fn keys(&self) -> BTreeSet<String> {
        self.accepted.iter().map(|number| self.came[*number].key.clone()).collect()
    }

    /// Sends the windows that close, in order of end, start and key (W5).
    fn send(&mut self, closes: impl Fn(i64) -> bool) {
        if !self.spec.on_close {
            return;
        }
        let mut due = Vec::new();
        for key in self.keys() {
            let windows = self.windows(&key, &self.accepted).into_iter();
            let windows = windows.filter(|start| {
                closes(self.closing(*start)) && !self.ended.contains(&(key.clone(), *start))
            });
            due.extend(windows.map(|start| (start, key.clone())));
        }
        due.sort();
        let sent = due.iter().map(|(start, key)| self.window(key, *start));
        let sent: Vec<Sent> = sent.collect();
        self.outcome.sent.extend(sent);
    }
}
