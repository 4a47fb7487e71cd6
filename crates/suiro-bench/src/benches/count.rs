//! A sum per key: 64-bit keys and values out of a generator, state in memory.

use super::{Outcome, run_to_end};
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use suiro::{Durability, Integer, Record, Topic, Topology};

const SUMS: Topic<u64, u64> = Topic::of("sums", &Integer, &Integer);

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(100_000_000, 100_000, Durability::None, 1_000);
    let mut report = Report::new("count", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    let (sums, cost) = measure(|| {
        let mut sums: HashMap<u64, u64, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        for partition in input.partitions() {
            for number in 0..input.records() {
                if let Some((key, value)) = input.at(partition, number) {
                    *sums.entry(key).or_insert(0) += value;
                }
            }
        }
        sums
    });
    let mut digest = Digest::default();
    sums.iter().for_each(|(key, sum)| digest.add(&[*key, *sum]));
    (digest, cost)
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let topology = Topology::new("count");
    topology
        .generate("numbers", setup.threads, move |partition, number| {
            let (key, value) = input.at(partition.into(), number)?;
            Some(Record::new(key, value, (number / 1_000) as i64))
        })
        .fold("sums", || 0, |sum, value| *sum += value)
        .to(&SUMS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let digest = place.table(&SUMS, |key, sum| [*key, *sum])?;
    Ok((digest, cost))
}
