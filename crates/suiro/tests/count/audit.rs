//! What is in the log after a run, held against a plain count of the input.

use super::program::record;
use std::collections::BTreeMap;
use std::path::Path;
use suiro::{Bytes, Log, Reader, Received, Result, Topic};

/// The committed records of input and output.
pub struct Audit {
    input: Vec<Received<Bytes, Bytes>>,
    output: Vec<Received<Bytes, Bytes>>,
}

impl Audit {
    /// Reads the log in `dir`, which nobody else may have open.
    pub fn read(dir: &Path) -> Result<Self> {
        let log = Log::open(dir)?;
        let input = Reader::open(&log, &Topic::bytes("in"))?.read_to_end()?;
        let output = Reader::open(&log, &Topic::bytes("out"))?.read_to_end()?;
        Ok(Self { input, output })
    }

    /// The input is the load of `records` records over `keys` keys, each once, in order.
    pub fn assert_loaded(&self, records: u64, keys: u64) {
        let mut input: Vec<_> = self.input.iter().collect();
        input.sort_by_key(|received| received.at);
        assert_eq!(input.len() as u64, records);
        for (number, received) in (0..).zip(input) {
            let (key, value) = record(number, keys);
            assert_eq!(key.len() + value.len(), 100);
            assert_eq!((&received.key, received.value.as_ref()), (&key, Some(&value)));
        }
        for pair in self.input.windows(2).filter(|pair| pair[0].partition == pair[1].partition)
        {
            assert!(pair[0].at < pair[1].at, "the load is out of order: {pair:?}");
        }
    }

    /// Each key was given the counts 1, 2 and so on to the number of its records, in order.
    pub fn assert_every_change(&self) {
        for (key, (counts, expected)) in self.counts() {
            assert_eq!(counts, (1..=expected).collect::<Vec<_>>(), "counts of {key:?}");
        }
    }

    /// The counts of each key only grow, and end with the number of its records.
    pub fn assert_last_counts(&self) {
        for (key, (counts, expected)) in self.counts() {
            let grow = counts.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(grow, "counts of {key:?}: {counts:?}");
            assert_eq!(counts.last(), Some(&expected), "last count of {key:?}");
        }
    }

    /// For each key, the counts that were written, and how many records it has.
    fn counts(&self) -> BTreeMap<&Bytes, (Vec<u64>, u64)> {
        let mut keys: BTreeMap<&Bytes, (Vec<u64>, u64)> = BTreeMap::new();
        for received in &self.input {
            keys.entry(&received.key).or_default().1 += 1;
        }
        for received in &self.output {
            let value = received.value.as_deref().expect("a count is never removed");
            let text = std::str::from_utf8(value).expect("a count is text");
            let count = text.parse().expect("a count is a decimal number");
            keys.entry(&received.key).or_default().0.push(count);
        }
        keys
    }
}
