//! A table joined with another whose keys its rows name, about ten of them each. One update in
//! four moves its row to another key, and for ten updates there is one of the other table, which
//! goes through all rows that name it.

use super::{Outcome, run_to_end};
use crate::digest::{Digest, splitmix};
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::BTreeSet;
use suiro::{Data, Durability, Integer, JsonKey, Record, Stream, Topic, Topology};

const PAIRS: Topic<u64, u64> = Topic::of("pairs", &JsonKey, &Integer);

/// Updates of the left table for each update of the right one.
const EVERY: u64 = 10;
/// Left rows for each right row.
const ROWS: u64 = 10;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(10_000_000, 100_000, Durability::None, 1_000);
    let mut report = Report::new("foreign-key", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

fn rights(setup: &Setup) -> u64 {
    (setup.keys / ROWS).max(1)
}

/// The key that a left row names: the usual one of its own key, or one of some others.
fn foreign(key: u64, value: u64, rights: u64) -> u64 {
    let other = if value.is_multiple_of(4) { value % 64 } else { 0 };
    splitmix(key * 64 + other) % rights
}

/// Update `number` of the right table comes before the left ones from `EVERY * number` on.
fn update(input: &Input, rights: u64, partition: u64, number: u64) -> Option<(u64, u64)> {
    let (_, bits) = input.at(partition, number * EVERY)?;
    Some((splitmix(number * 64 + partition) % rights, bits))
}

fn pair(value: u64, right: u64) -> u64 {
    splitmix(value) ^ right
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let (input, rights) = (Input::new(setup), rights(setup));
    type Map<V> = HashMap<u64, V, FixedState>;
    let (pairs, cost) = measure(|| {
        let keys = setup.keys as usize;
        let mut rows: Map<u64> = Map::with_capacity_and_hasher(keys, FixedState::default());
        let mut pairs: Map<u64> = Map::with_capacity_and_hasher(keys, FixedState::default());
        let mut right: Map<u64> = Map::with_hasher(FixedState::default());
        let mut named: Map<BTreeSet<u64>> = Map::with_hasher(FixedState::default());
        for partition in input.partitions() {
            for number in 0..input.records() {
                if number % EVERY == 0
                    && let Some((key, row)) = update(&input, rights, partition, number / EVERY)
                {
                    right.insert(key, row);
                    for left in named.get(&key).into_iter().flatten() {
                        pairs.insert(*left, pair(rows[left], row));
                    }
                }
                let Some((key, value)) = input.at(partition, number) else { continue };
                let to = foreign(key, value, rights);
                let from = rows.insert(key, value).map(|old| foreign(key, old, rights));
                if from != Some(to) {
                    if let Some(names) = from.and_then(|from| named.get_mut(&from)) {
                        names.remove(&key);
                    }
                    named.entry(to).or_default().insert(key);
                }
                match right.get(&to) {
                    Some(row) => pairs.insert(key, pair(value, *row)),
                    None => pairs.remove(&key),
                };
            }
        }
        pairs
    });
    let mut digest = Digest::default();
    pairs.iter().for_each(|(key, pair)| digest.add(&[*key, *pair]));
    (digest, cost)
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let (input, rights, threads) = (Input::new(setup), rights(setup), setup.threads);
    let topology = Topology::new("foreign-key");
    let right = topology.generate("right", threads, move |partition, number| {
        let (key, row) = update(&input, rights, partition.into(), number)?;
        Some(Record::new(key, row, (number * EVERY / 1_000) as i64))
    });
    let right = owned(right, threads, "right-rows").fold("right", || 0, |row, new| *row = new);
    let left = topology.generate("left", threads, move |partition, number| {
        let (key, value) = input.at(partition.into(), number)?;
        Some(Record::new(key, (key, value), (number / 1_000) as i64))
    });
    owned(left, threads, "left-rows")
        .fold("left", || (0, 0), |row, new| *row = new)
        .join_on(
            "pairs",
            &right,
            move |(key, value)| Some(foreign(*key, *value, rights)),
            |(_, value), right| pair(*value, *right),
        )
        .to(&PAIRS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let digest = place.table(&PAIRS, |key, pair| [*key, *pair])?;
    Ok((digest, cost))
}

/// Generators give each partition keys of its own; with several, they are to be where they
/// belong.
fn owned<V: Data>(stream: Stream<u64, V>, threads: u32, name: &str) -> Stream<u64, V> {
    if threads > 1 { stream.repartition(name) } else { stream }
}
