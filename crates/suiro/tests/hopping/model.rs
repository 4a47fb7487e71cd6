//! What a fold over hopping windows sends when they close, written down from its rules (W1, W4, W5,
//! W8 and H1): a list for each window, and nothing shared.

use super::support::{Came, Outcome, Sent};
use std::collections::{BTreeMap, BTreeSet};

/// Size, distance of starts and grace.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub size: i64,
    pub advance: i64,
    pub grace: i64,
}

/// What is known of a run so far.
pub struct Model<'a> {
    spec: Spec,
    came: &'a [Came],
    /// The records in each open window, by its start and key, in order of arrival.
    open: BTreeMap<(i64, String), Vec<usize>>,
    /// The windows that ends of bounded runs have closed.
    ended: BTreeSet<(i64, String)>,
    now: i64,
    pub outcome: Outcome,
}

impl<'a> Model<'a> {
    pub fn new(spec: Spec, came: &'a [Came]) -> Self {
        let (open, ended, outcome) = (BTreeMap::new(), BTreeSet::new(), Outcome::default());
        Self { spec, came, open, ended, now: i64::MIN, outcome }
    }

    /// A record comes.
    pub fn take(&mut self, number: usize) {
        let Came { key, at } = &self.came[number];
        self.now = self.now.max(*at);
        let Spec { size, advance, grace } = self.spec;
        let starts = (0..=at / advance).map(|number| number * advance);
        let mut is_late = true;
        for start in starts.filter(|start| at - start < size) {
            let window = (start, key.clone());
            if start + size + grace > self.now && !self.ended.contains(&window) {
                self.open.entry(window).or_default().push(number);
                is_late = false;
            }
        }
        if is_late {
            self.outcome.late.push(number);
        }
        let closes_at = self.now - size - grace;
        self.close(|start| start <= closes_at);
    }

    /// A bounded run ends.
    pub fn end(&mut self) {
        self.ended.extend(self.open.keys().cloned());
        self.close(|_| true);
    }

    fn close(&mut self, closes: impl Fn(i64) -> bool) {
        // They are in order of start and key, and all have one size.
        let due: Vec<_> = self.open.extract_if(.., |(start, _), _| closes(*start)).collect();
        for ((start, key), mut value) in due {
            let headers = *value.last().expect("a window has a record");
            let at = value.iter().map(|number| self.came[*number].at).max();
            value.sort_unstable();
            let (end, at) = (start + self.spec.size, at.expect("a window has a record"));
            self.outcome.sent.push(Sent { key, start, end, value, at, headers });
        }
    }
}
