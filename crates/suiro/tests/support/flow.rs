//! A steady flow of records through `count` on Kafka, and what is counted of them.
//! Each test that uses it takes what it needs.
#![allow(dead_code)]

use crate::program;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use suiro::{Bytes, Clock, Kafka, KafkaSettings, Producer, Reader, SystemClock, Topic};

const KEYS: u64 = 200;
const PARTITIONS: u32 = 4;

/// So many records are written in a second.
const RATE: u64 = 1000;

/// The arguments of a `count` that takes part, but for where it keeps its state.
pub fn args(properties: &Path, app: &str, input: &str, output: &str) -> Vec<String> {
    let properties = properties.to_str().unwrap();
    let named =
        ["--properties", properties, "--app", app, "--input", input, "--output", output];
    let fixed = ["--emit", "every-change", "--threads", "1", "--standbys", "1"];
    named.into_iter().chain(fixed).map(str::to_owned).collect()
}

/// A steady flow of records, and what is counted of them.
pub struct Flow {
    kafka: Kafka,
    input: Topic<Bytes, Bytes>,
    clock: SystemClock,
    records: Producer<Bytes, Bytes>,
    counts: Reader<Bytes, u64>,
    /// How many were handed over to be written.
    pub sent: u64,
    /// How many were counted.
    pub seen: u64,
    last: BTreeMap<Bytes, u64>,
    /// When something came last, and the longest that nothing did, by partition.
    came: BTreeMap<u32, Duration>,
    gaps: BTreeMap<u32, Duration>,
}

impl Flow {
    /// A flow through the topics of these names, which are made.
    pub fn open(settings: KafkaSettings, input: &str, output: &str) -> Self {
        let kafka = Kafka::new(settings);
        let input = Topic::bytes("input").named(input);
        let mut records = Producer::open(&kafka, &input).unwrap();
        records.create(PARTITIONS).unwrap();
        let counts: Topic<Bytes, u64> = Topic::of("output", &suiro::Raw, &program::Decimal);
        let counts = counts.named(output);
        Producer::open(&kafka, &counts).unwrap().create(PARTITIONS).unwrap();
        let counts = Reader::open(&kafka, &counts).unwrap();
        let (clock, last) = (SystemClock::default(), BTreeMap::new());
        let (came, gaps) = (BTreeMap::new(), BTreeMap::new());
        Self { kafka, input, clock, records, counts, sent: 0, seen: 0, last, came, gaps }
    }

    /// Goes on for so long. Each key must be counted 1, 2, 3 and so on.
    pub fn run(&mut self, lasts: Duration) {
        let (begun, before) = (self.clock.elapsed(), self.sent);
        self.gaps.clear();
        while self.clock.elapsed() < begun + lasts {
            let now = self.clock.elapsed();
            let due = before + (now - begun).as_millis() as u64 * RATE / 1000;
            for number in self.sent..due {
                let (key, value) = program::record(number, KEYS);
                self.records.send(key, value, number as i64).unwrap();
            }
            self.sent = due;
            // What was not written for sure is not written again: what is there counts.
            if self.records.flush().is_err() {
                self.records = Producer::open(&self.kafka, &self.input).unwrap();
            }
            self.look();
        }
    }

    fn look(&mut self) {
        for count in self.counts.follow(Duration::from_millis(2)).unwrap() {
            let before = self.last.entry(count.key.clone()).or_default();
            *before += 1;
            assert_eq!(count.value, Some(*before), "count of {:?}", count.key);
            self.seen += 1;
            let now = self.clock.elapsed();
            let came = self.came.insert(count.partition, now).unwrap_or(now);
            let gap = self.gaps.entry(count.partition).or_default();
            *gap = (*gap).max(now - came);
        }
    }

    /// The longest that nothing came of a partition since the last run was begun.
    pub fn gap(&self) -> Duration {
        self.gaps.values().max().copied().unwrap_or_default()
    }

    /// Waits until all that is in the input is counted, and nothing else is.
    pub fn settle(&mut self, patience: Duration) {
        let input = Reader::open(&self.kafka, &self.input).unwrap().read_to_end().unwrap();
        let begun = self.clock.elapsed();
        while self.seen < input.len() as u64 {
            self.look();
            let waited = self.clock.elapsed() - begun;
            assert!(waited < patience, "{} of {} were counted", self.seen, input.len());
        }
        let mut right: BTreeMap<Bytes, u64> = BTreeMap::new();
        input.into_iter().for_each(|record| *right.entry(record.key).or_default() += 1);
        assert_eq!(self.last, right);
    }

    /// So much time has gone by since the flow was opened.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}
