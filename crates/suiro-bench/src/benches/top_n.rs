//! The ten largest values of each key, written once a commit.

use super::{Outcome, run_to_end};
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use suiro::{Durability, Integer, Json, Record, Topic, Topology};

const TOPS: Topic<u64, Vec<u64>> = Topic::of("tops", &Integer, &Json);

const N: usize = 10;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(10_000_000, 100_000, Durability::None, 1_000);
    let mut report = Report::new("top-n", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

fn digest_of<'a>(tops: impl Iterator<Item = (&'a u64, &'a Vec<u64>)>) -> Digest {
    let mut digest = Digest::default();
    for (key, top) in tops {
        let row: Vec<u64> = [*key].into_iter().chain(top.iter().copied()).collect();
        digest.add(&row);
    }
    digest
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    measure(|| {
        let mut tops: HashMap<u64, Vec<u64>, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        for partition in input.partitions() {
            for number in 0..input.records() {
                let Some((key, value)) = input.at(partition, number) else { continue };
                let top = tops.entry(key).or_default();
                let place = top.partition_point(|other| *other >= value);
                if place < N {
                    top.truncate(N - 1);
                    top.insert(place, value);
                }
            }
        }
        digest_of(tops.iter())
    })
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let topology = Topology::new("top-n");
    topology
        .generate("numbers", setup.threads, move |partition, number| {
            let (key, value) = input.at(partition.into(), number)?;
            Some(Record::new(key, value, number as i64))
        })
        .top_n("tops", N, |value| *value)
        .to(&TOPS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let mut tops = HashMap::new();
    place.each(&TOPS, |record| {
        tops.extend(record.value.map(|top| (record.key, top)));
    })?;
    Ok((digest_of(tops.iter()), cost))
}
