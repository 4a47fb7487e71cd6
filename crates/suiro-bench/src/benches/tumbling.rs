//! A sum per key and window of ten seconds, sent when the window closes. Records are up to half
//! a second out of order.

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
use suiro::{Durability, InWindow, Integer, Record, Topic, Topology, Tumbling};

const SUMS: Topic<u64, InWindow<u64>> = Topic::of("window-sums", &Integer, &Windows);

const SIZE: i64 = 10_000;
const GRACE: i64 = 1_000;
const DISORDER: u64 = 500;
/// Records in a millisecond of a partition.
const DENSITY: u64 = 10;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(30_000_000, 10_000, Durability::None, 1_000);
    let mut report = Report::new("tumbling", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

fn at(number: u64, bits: u64) -> i64 {
    (number / DENSITY + bits % DISORDER) as i64
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    measure(|| {
        let mut digest = Digest::default();
        for partition in input.partitions() {
            let mut open = Open::new(setup.keys / u64::from(setup.threads));
            for number in 0..input.records() {
                if let Some((key, value)) = input.at(partition, number) {
                    open.add(key, value, at(number, value), &mut digest);
                }
            }
            while open.close_first(&mut digest) {}
        }
        digest
    })
}

type Sums = HashMap<u64, u64, FixedState>;

/// The windows that are open, in order of start, from `first` on.
struct Open {
    windows: VecDeque<Sums>,
    /// Empty maps, to be used again.
    spare: Vec<Sums>,
    keys: usize,
    first: i64,
    stream_time: i64,
    closes: i64,
}

impl Open {
    fn new(keys: u64) -> Self {
        Self {
            windows: VecDeque::new(),
            spare: Vec::new(),
            keys: keys as usize,
            first: 0,
            stream_time: 0,
            closes: SIZE + GRACE,
        }
    }

    #[inline]
    fn add(&mut self, key: u64, value: u64, at: i64, digest: &mut Digest) {
        self.stream_time = self.stream_time.max(at);
        let Ok(place) = usize::try_from(at / SIZE - self.first) else { return };
        while self.windows.len() <= place {
            let empty = || Sums::with_capacity_and_hasher(self.keys, FixedState::default());
            let window = self.spare.pop().unwrap_or_else(empty);
            self.windows.push_back(window);
        }
        *self.windows[place].entry(key).or_insert(0) += value;
        while self.stream_time >= self.closes {
            self.close_first(digest);
        }
    }

    fn close_first(&mut self, digest: &mut Digest) -> bool {
        let window = self.windows.pop_front();
        let (start, end) = (self.first * SIZE, (self.first + 1) * SIZE);
        self.first += 1;
        self.closes += SIZE;
        let Some(mut window) = window else { return false };
        for (key, sum) in window.drain() {
            digest.add(&[key, start as u64, end as u64, sum]);
        }
        self.spare.push(window);
        true
    }
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let windows = Tumbling::of(Duration::from_millis(SIZE as u64));
    let topology = Topology::new("tumbling");
    topology
        .generate("numbers", setup.threads, move |partition, number| {
            let (key, value) = input.at(partition.into(), number)?;
            Some(Record::new(key, value, at(number, value)))
        })
        .window(windows.grace(Duration::from_millis(GRACE as u64)))
        .fold("sums", || 0, |sum, value| *sum += value)
        .on_close()
        .to(&SUMS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    Ok((super::window_format::digest(&place, &SUMS)?, cost))
}
