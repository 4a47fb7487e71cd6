//! Two streams joined within a time: a left join without grace. Records are in order of time,
//! half of them on each side, and one has a partner on the other side about every time.

use super::join::Tally;
use super::{Outcome, run_to_end};
use crate::digest::{Digest, mixed};
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use suiro::{Durability, Record, Topology, Within};

/// Records in a millisecond of a partition, of both sides together.
const DENSITY: u64 = 10;

/// Stands for a partner that is not there.
const NONE: u64 = u64::MAX;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(10_000_000, 10_000, Durability::None, 1_000);
    let mut report = Report::new("stream-stream", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

/// How far partners are apart at most: half a record of a key is on each side in that time.
fn distance(setup: &Setup) -> i64 {
    (setup.keys / u64::from(setup.threads) / DENSITY).max(1) as i64
}

/// Record `number` of a side: 0 is the left one.
fn at(input: &Input, partition: u64, number: u64, side: u64) -> Option<(u64, u64, i64)> {
    let (key, value) = input.at(partition, 2 * number + side)?;
    Some((key, value, (2 * number / DENSITY) as i64))
}

/// What a key keeps: times and values, and of the left side whether there was a partner.
#[derive(Default)]
struct Kept {
    left: VecDeque<(i64, u64, bool)>,
    right: VecDeque<(i64, u64)>,
}

impl Kept {
    /// Drops what is older than `from`, and sends what was alone.
    #[inline]
    fn close(&mut self, key: u64, from: i64, digest: &mut Digest) {
        while let Some((_, value, matched)) = self.left.pop_front_if(|row| row.0 < from) {
            if !matched {
                digest.add(&[key, value, NONE]);
            }
        }
        while self.right.pop_front_if(|row| row.0 < from).is_some() {}
    }
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    let distance = distance(setup);
    measure(|| {
        let mut digest = Digest::default();
        let mut all: HashMap<u64, Kept, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        for partition in input.partitions() {
            for number in 0..input.records().div_ceil(2) {
                if let Some((key, value, at)) = at(&input, partition, number, 0) {
                    let kept = all.entry(key).or_default();
                    kept.close(key, at - distance, &mut digest);
                    for (_, right) in &kept.right {
                        digest.add(&[key, value, *right]);
                    }
                    kept.left.push_back((at, value, !kept.right.is_empty()));
                }
                if let Some((key, value, at)) = at(&input, partition, number, 1) {
                    let kept = all.entry(key).or_default();
                    kept.close(key, at - distance, &mut digest);
                    for (_, left, matched) in &mut kept.left {
                        digest.add(&[key, *left, value]);
                        *matched = true;
                    }
                    kept.right.push_back((at, value));
                }
            }
        }
        for (key, kept) in &mut all {
            kept.close(*key, i64::MAX, &mut digest);
        }
        digest
    })
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let threads = setup.threads;
    let tallies: Arc<[Tally]> = (0..threads).map(|_| Tally::default()).collect();
    let topology = Topology::new("stream-stream");
    let [left, right] = [("left", 0), ("right", 1)].map(|(name, side)| {
        topology.generate(name, threads, move |partition, number| {
            let (key, value, at) = at(&input, partition.into(), number, side)?;
            Some(Record::new(key, value, at))
        })
    });
    let within = Within::of(Duration::from_millis(distance(setup) as u64));
    let shown = Arc::clone(&tallies);
    let joined = left
        .left_join_within("pairs", right, within, |left, right| (*left, right.copied()))
        .inspect(move |key, (left, right)| {
            let tally = &shown[(key % u64::from(threads)) as usize];
            tally.add(mixed(&[*key, *left, right.unwrap_or(NONE)]));
        });
    drop(joined);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let sums = tallies.iter().map(|tally| tally.0.load(Ordering::Relaxed));
    Ok((Digest(sums.fold(0, u64::wrapping_add)), cost))
}
