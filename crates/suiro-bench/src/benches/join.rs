//! A stream looks up a table. The table has one update for ten records of the stream, and they
//! interleave in time: ten records, one update, ten records, ...

use super::{Outcome, run_to_end};
use crate::digest::{Digest, mixed, splitmix};
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use suiro::{Durability, Record, Topology};

/// Records of the stream for each update of the table.
const EVERY: u64 = 10;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(40_000_000, 100_000, Durability::None, 1_000);
    let mut report = Report::new("join", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

/// Update `number` of a partition comes before the stream's records from `EVERY * number` on.
fn update(input: &Input, partition: u64, number: u64) -> Option<(u64, u64)> {
    let (_, bits) = input.at(partition, number * EVERY)?;
    let number = splitmix(number) % input.records();
    Some((input.at(partition, number)?.0, bits))
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    measure(|| {
        let mut digest = Digest::default();
        let mut rows: HashMap<u64, u64, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        for partition in input.partitions() {
            for number in 0..input.records() {
                if number % EVERY == 0
                    && let Some((key, row)) = update(&input, partition, number / EVERY)
                {
                    rows.insert(key, row);
                }
                if let Some((key, value)) = input.at(partition, number)
                    && let Some(row) = rows.get(&key)
                {
                    digest.add(&[key, value, *row]);
                }
            }
        }
        digest
    })
}

/// A sum per partition. A partition is run by one thread at a time, so that adding needs no
/// locked instruction.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Tally(pub(super) AtomicU64);

impl Tally {
    pub(super) fn add(&self, share: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(share);
        self.0.store(sum, Ordering::Relaxed);
    }
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let threads = setup.threads;
    let tallies: Arc<[Tally]> = (0..threads).map(|_| Tally::default()).collect();
    let topology = Topology::new("join");
    let table = topology
        .generate("updates", threads, move |partition, number| {
            let (key, row) = update(&input, partition.into(), number)?;
            Some(Record::new(key, row, (number * EVERY) as i64))
        })
        .fold("rows", || 0, |row, update| *row = update);
    let stream = topology.generate("numbers", threads, move |partition, number| {
        let (key, value) = input.at(partition.into(), number)?;
        Some(Record::new(key, value, number as i64))
    });
    let shown = Arc::clone(&tallies);
    let joined =
        stream.join(&table, |value, row| (value, *row)).inspect(move |key, (value, row)| {
            let tally = &shown[(key % u64::from(threads)) as usize];
            tally.add(mixed(&[*key, *value, *row]));
        });
    drop(joined);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let sums = tallies.iter().map(|tally| tally.0.load(Ordering::Relaxed));
    Ok((Digest(sums.fold(0, u64::wrapping_add)), cost))
}
