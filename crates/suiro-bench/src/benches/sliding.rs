//! A sum per key and sliding window of ten seconds, sent when the window closes. A key has about
//! twenty records in that time, so that each is in as many windows. Records are in order of time.

use super::window_format::Windows;
use super::{Outcome, run_to_end};
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::time::Duration;
use suiro::{Durability, InWindow, Integer, Record, Sliding, Topic, Topology};

const SUMS: Topic<u64, InWindow<u64>> = Topic::of("sliding-sums", &Integer, &Windows);

const SPAN: i64 = 10_000;
/// Records of a key in the span.
const NEAR: u64 = 20;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(2_000_000, 10_000, Durability::None, 1_000);
    let mut report = Report::new("sliding", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

/// The time of a record of a partition with so many keys.
fn at(number: u64, keys: u64) -> i64 {
    (number * SPAN as u64 / (NEAR * keys).max(1)) as i64
}

fn keys(setup: &Setup) -> u64 {
    setup.keys / u64::from(setup.threads)
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    let keys = keys(setup);
    measure(|| {
        let mut digest = Digest::default();
        let mut all: HashMap<u64, Near, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        for partition in input.partitions() {
            for number in 0..input.records() {
                if let Some((key, value)) = input.at(partition, number) {
                    all.entry(key).or_default().add(key, value, at(number, keys), &mut digest);
                }
            }
        }
        for (key, near) in &mut all {
            near.close(*key, i64::MAX, &mut digest);
        }
        digest
    })
}

/// What a key has in the span: its records, the sums of the windows that begin behind one of
/// them, and of the one that ends with the last.
#[derive(Default)]
struct Near {
    records: VecDeque<(i64, u64)>,
    behind: VecDeque<(i64, u64)>,
    last: Option<(i64, u64)>,
}

impl Near {
    /// Takes a record that is not before the last one.
    #[inline]
    fn add(&mut self, key: u64, value: u64, at: i64, digest: &mut Digest) {
        self.close(key, at, digest);
        for (_, sum) in &mut self.behind {
            *sum += value;
        }
        let last = self.records.back().map(|(at, _)| at + 1);
        let is_near = |start: &i64| *start <= at && *start + SPAN >= at;
        let before = last.filter(is_near);
        if let Some(start) = before {
            self.behind.push_back((start, value));
        }
        self.records.push_back((at, value));
        let start = (at - SPAN).max(0);
        let is_known = |(of, _): &(i64, u64)| *of == start;
        if !self.behind.front().is_some_and(is_known) {
            match &mut self.last {
                Some((of, sum)) if *of == start => *sum += value,
                last => {
                    let near = self.records.iter().filter(|(at, _)| *at >= start);
                    *last = Some((start, near.map(|(_, value)| value).sum()));
                }
            }
        }
    }

    /// Sends the windows that end before `now`, and drops what is in none any more.
    #[inline]
    fn close(&mut self, key: u64, now: i64, digest: &mut Digest) {
        let is_closed = |window: &mut (i64, u64)| window.0 + SPAN < now;
        let mut send = |(start, sum): (i64, u64)| {
            digest.add(&[key, start as u64, (start + SPAN) as u64, sum]);
        };
        if let Some(window) = self.last.take_if(is_closed) {
            send(window);
        }
        while let Some(window) = self.behind.pop_front_if(is_closed) {
            send(window);
        }
        while self.records.pop_front_if(|record| record.0 + SPAN < now).is_some() {}
    }
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let keys = keys(setup);
    let topology = Topology::new("sliding");
    topology
        .generate("numbers", setup.threads, move |partition, number| {
            let (key, value) = input.at(partition.into(), number)?;
            Some(Record::new(key, value, at(number, keys)))
        })
        .window(Sliding::of(Duration::from_millis(SPAN as u64)))
        .fold("sums", || 0, |sum, value| *sum += value)
        .on_close()
        .to(&SUMS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    Ok((super::window_format::digest(&place, &SUMS)?, cost))
}
