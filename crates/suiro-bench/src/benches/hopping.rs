//! A sum per key and window of ten minutes, one every ten seconds, sent when the window closes. It
//! sends as much as the windows side by side of the bench `tumbling`, whose records these are.

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
use suiro::{Durability, Hopping, InWindow, Integer, Record, Topic, Topology};

const SUMS: Topic<u64, InWindow<u64>> = Topic::of("window-sums", &Integer, &Windows);

const ADVANCE: i64 = 10_000;
/// So many distances of starts make a window.
const HOPS: i64 = 60;
const SIZE: i64 = HOPS * ADVANCE;
const GRACE: i64 = 1_000;
const DISORDER: u64 = 500;
/// Records in a millisecond of a partition.
const DENSITY: u64 = 10;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(30_000_000, 10_000, Durability::None, 1_000);
    let mut report = Report::new("hopping", setup);
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
            let mut open = Open::default();
            for number in 0..input.records() {
                if let Some((key, value)) = input.at(partition, number) {
                    open.add(key, value, at(number, value), &mut digest);
                }
            }
            while !open.slices.is_empty() {
                open.close_first(&mut digest);
            }
        }
        digest
    })
}

type Sums = HashMap<u64, u64, FixedState>;

/// Sums in slices, and in the window that closes next. No record is so late that its slice is in
/// a sum already; and sums can be taken back, which the library does not know.
#[derive(Default)]
struct Open {
    /// The number of the first slice, and of the window that closes next.
    first: i64,
    slices: VecDeque<Sums>,
    /// The sum of each key in the slices so far, and in how many it has one.
    window: HashMap<u64, (u64, u64), FixedState>,
    /// How many slices are in it.
    taken: usize,
    stream_time: i64,
}

impl Open {
    #[inline]
    fn add(&mut self, key: u64, value: u64, at: i64, digest: &mut Digest) {
        self.stream_time = self.stream_time.max(at);
        let Ok(place) = usize::try_from(at / ADVANCE - self.first) else { return };
        while self.slices.len() <= place {
            self.slices.push_back(Sums::default());
        }
        *self.slices[place].entry(key).or_insert(0) += value;
        while self.stream_time >= self.first * ADVANCE + SIZE + GRACE {
            self.close_first(digest);
        }
    }

    fn close_first(&mut self, digest: &mut Digest) {
        while self.taken < self.slices.len().min(HOPS as usize) {
            for (key, value) in &self.slices[self.taken] {
                let (sum, slices) = self.window.entry(*key).or_default();
                (*sum, *slices) = (*sum + value, *slices + 1);
            }
            self.taken += 1;
        }
        let (start, end) = (self.first * ADVANCE, self.first * ADVANCE + SIZE);
        for (key, (sum, _)) in &self.window {
            digest.add(&[*key, start as u64, end as u64, *sum]);
        }
        self.first += 1;
        self.taken = self.taken.saturating_sub(1);
        for (key, value) in self.slices.pop_front().into_iter().flatten() {
            let Some((sum, slices)) = self.window.get_mut(&key) else { continue };
            (*sum, *slices) = (*sum - value, *slices - 1);
            if *slices == 0 {
                self.window.remove(&key);
            }
        }
    }
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let windows = Hopping::of(Duration::from_millis(SIZE as u64))
        .every(Duration::from_millis(ADVANCE as u64));
    let topology = Topology::new("hopping");
    topology
        .generate("numbers", setup.threads, move |partition, number| {
            let (key, value) = input.at(partition.into(), number)?;
            Some(Record::new(key, value, at(number, value)))
        })
        .window(windows.grace(Duration::from_millis(GRACE as u64)))
        .fold("sums", || 0, |sum, value| *sum += value)
        .combining(|sum, more| *sum += more)
        .on_close()
        .to(&SUMS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    Ok((super::window_format::digest(&place, &SUMS)?, cost))
}
