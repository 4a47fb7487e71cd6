//! What a join as of a time sends, and what a versioned table says, written down from the rules
//! (K2, K3, A3 and A6) with no state but the list of all that was taken.

use std::collections::VecDeque;

/// What came to the stream or to the table; a removal has no value.
#[derive(Clone, Debug)]
pub struct Came {
    pub to_table: bool,
    pub key: String,
    pub value: Option<String>,
    pub at: i64,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub key: String,
    pub value: Option<String>,
    pub at: i64,
}

/// The order in which what waits is taken: the smallest head, the stream's on a tie (T2).
pub fn turns(group: Vec<Came>) -> Vec<Came> {
    let (table, stream): (VecDeque<_>, VecDeque<_>) =
        group.into_iter().partition(|came| came.to_table);
    let (mut stream, mut table, mut all) = (stream, table, Vec::new());
    loop {
        let next = match (stream.front(), table.front()) {
            (Some(of_stream), Some(of_table)) if of_stream.at <= of_table.at => &mut stream,
            (Some(_), None) => &mut stream,
            _ => &mut table,
        };
        match next.pop_front() {
            Some(next) => all.push(next),
            None => return all,
        }
    }
}

/// What the table has taken.
#[derive(Default)]
struct Table {
    time: Option<i64>,
    /// In order of arrival.
    taken: Vec<Came>,
}

impl Table {
    fn reaches_back_to(&self, history: i64) -> i64 {
        self.time.map_or(i64::MIN, |time| time - history)
    }

    /// The version with the largest time of those that `test` names; of one time the last.
    fn largest(&self, key: &str, test: impl Fn(i64) -> bool) -> Option<&Came> {
        let versions = self.taken.iter().filter(|came| came.key == key && test(came.at));
        versions.max_by_key(|came| came.at)
    }

    fn look_up(&self, key: &str, at: i64, history: i64) -> Option<String> {
        let newest = self.largest(key, |_| true)?;
        if newest.at <= at {
            return newest.value.clone();
        }
        if at < self.reaches_back_to(history) {
            return None;
        }
        self.largest(key, |time| time <= at)?.value.clone()
    }
}

/// All that is sent to the end of a bounded run, and the changes of the newest rows.
pub fn joined(
    came: &[Came],
    (is_left, history, grace): (bool, i64, i64),
) -> (Vec<Sent>, Vec<Sent>) {
    let (mut table, mut waiting) = (Table::default(), Vec::new());
    let (mut sent, mut changes) = (Vec::new(), Vec::new());
    let mut release = |waiting: &mut Vec<Came>, table: &Table, until: i64| {
        // The sort is stable: of one time the first to come goes first.
        waiting.sort_by_key(|came: &Came| came.at);
        for came in waiting.extract_if(.., |came| came.at <= until) {
            let row = table.look_up(&came.key, came.at, history);
            if row.is_some() || is_left {
                let value = came.value.as_deref().expect("a stream has no removals");
                let value = Some(format!("{value}-{}", row.as_deref().unwrap_or("none")));
                sent.push(Sent { key: came.key, value, at: came.at });
            }
        }
    };
    let mut now = i64::MIN;
    for came in came {
        now = now.max(came.at);
        // Without a grace nothing waits, and the table's records let nothing go.
        if !came.to_table {
            waiting.push(came.clone());
        }
        release(&mut waiting, &table, now.saturating_sub(grace));
        if came.to_table {
            table.time = table.time.max(Some(came.at));
            if came.at < table.reaches_back_to(history) {
                continue;
            }
            let newest = table.largest(&came.key, |_| true);
            let old = newest.and_then(|newest| newest.value.as_ref());
            let is_newest = newest.is_none_or(|newest| newest.at <= came.at);
            if is_newest && (old.is_some() || came.value.is_some()) {
                let Came { key, value, at, .. } = came.clone();
                changes.push(Sent { key, value, at });
            }
            table.taken.push(came.clone());
        }
    }
    release(&mut waiting, &table, i64::MAX);
    (sent, changes)
}
