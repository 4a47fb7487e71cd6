//! What the rules say and what came, one after the other, whichever of the two is known first.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Debug;
use std::time::Duration;
use suiro::{Reader, Received};

/// Two lists that must be equal.
pub struct Compared<T> {
    what: String,
    expected: VecDeque<T>,
    came: VecDeque<T>,
    /// How many were equal.
    pub equal: u64,
}

impl<T: Debug + PartialEq> Compared<T> {
    /// Of what is named so, in a partition.
    pub fn new(what: &str, partition: usize) -> Self {
        let what = format!("{what}, partition {partition}");
        Self { what, expected: VecDeque::new(), came: VecDeque::new(), equal: 0 }
    }

    pub fn expect(&mut self, one: T) {
        self.expected.push_back(one);
        self.compare();
    }

    pub fn come(&mut self, one: T) {
        self.came.push_back(one);
        self.compare();
    }

    fn compare(&mut self) {
        while !self.came.is_empty() && !self.expected.is_empty() {
            let (came, expected) = (self.came.pop_front(), self.expected.pop_front());
            assert_eq!(came, expected, "{}, behind {} that are right", self.what, self.equal);
            self.equal += 1;
        }
    }

    /// What is there of one list only.
    pub fn rest(&self) -> Option<String> {
        let Self { what, expected, came, equal } = self;
        let rest = !expected.is_empty() || !came.is_empty();
        rest.then(|| {
            let first = (expected.front(), came.front());
            let (missing, extra) = (expected.len(), came.len());
            format!("{what}: {equal} right, {missing} missing, {extra} extra, first {first:?}")
        })
    }
}

/// The keys that a table has, by the records of its topic: a removal of one that it does not have
/// is no change (A6).
#[derive(Clone, Default)]
pub struct Present(BTreeSet<String>);

impl Present {
    /// Whether the record changes the table.
    pub fn change(&mut self, key: &str, has_value: bool) -> bool {
        if has_value {
            self.0.insert(key.to_owned());
        }
        has_value || self.0.remove(key)
    }
}

/// What has come since the last time; all that is there, if that is asked for.
pub fn read<K: 'static, V: 'static>(
    reader: &mut Reader<K, V>,
    all: bool,
) -> Vec<Received<K, V>> {
    let read = if all { reader.read_to_end() } else { reader.follow(Duration::ZERO) };
    read.unwrap()
}
