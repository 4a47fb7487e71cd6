//! The rows of a table in a thousand groups, with a sum for each: most updates move their row.

use super::{Outcome, run_to_end};
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use suiro::{Durability, Integer, JsonKey, Record, Topic, Topology};

const SUMS: Topic<u64, u64> = Topic::of("sums", &JsonKey, &Integer);

const GROUPS: u64 = 1_000;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(20_000_000, 100_000, Durability::None, 1_000);
    let mut report = Report::new("table-group", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    let (groups, cost) = measure(|| {
        let mut rows: HashMap<u64, u64, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        // The number of rows and their sum.
        let mut groups: HashMap<u64, (u64, u64), FixedState> =
            HashMap::with_hasher(FixedState::default());
        for partition in input.partitions() {
            for number in 0..input.records() {
                let Some((key, value)) = input.at(partition, number) else { continue };
                if let Some(old) = rows.insert(key, value)
                    && let Some((count, sum)) = groups.get_mut(&(old % GROUPS))
                {
                    (*count, *sum) = (*count - 1, *sum - old);
                    if *count == 0 {
                        groups.remove(&(old % GROUPS));
                    }
                }
                let (count, sum) = groups.entry(value % GROUPS).or_insert((0, 0));
                (*count, *sum) = (*count + 1, *sum + value);
            }
        }
        groups
    });
    let mut digest = Digest::default();
    groups.iter().for_each(|(group, (_, sum))| digest.add(&[*group, *sum]));
    (digest, cost)
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let topology = Topology::new("table-group");
    topology
        .generate("updates", setup.threads, move |partition, number| {
            let (key, value) = input.at(partition.into(), number)?;
            Some(Record::new(key, value, (number / 1_000) as i64))
        })
        .fold("rows", || 0, |row, update| *row = update)
        .group_by(|row| row % GROUPS)
        .fold("sums", || 0, |sum, row| *sum += row, |sum, row| *sum -= row)
        .to(&SUMS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let digest = place.table(&SUMS, |group, sum| [*group, *sum])?;
    Ok((digest, cost))
}
