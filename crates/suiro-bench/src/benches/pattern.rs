//! Orders that no payment follows within a time: of four records of a key one is an order, and
//! one a payment.

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
use suiro::{Durability, Integer, Record, Topic, Topology};

const UNPAID: Topic<u64, u64> = Topic::of("unpaid", &Integer, &Integer);

/// Records in a millisecond of a partition.
const DENSITY: u64 = 10;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(10_000_000, 100_000, Durability::None, 1_000);
    let mut report = Report::new("pattern", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

/// Four times the mean pause of a key: about one payment comes in it.
fn within(setup: &Setup) -> i64 {
    (4 * setup.keys / u64::from(setup.threads) / DENSITY).max(1) as i64
}

fn at(number: u64) -> i64 {
    (number / DENSITY) as i64
}

fn is_order(value: u64) -> bool {
    value.is_multiple_of(4)
}

fn is_payment(value: u64) -> bool {
    value % 4 == 1
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    let within = within(setup);
    measure(|| {
        let mut digest = Digest::default();
        // The times of the orders of each key that are not paid.
        let mut open: HashMap<u64, VecDeque<i64>, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        for partition in input.partitions() {
            for number in 0..input.records() {
                let Some((key, value)) = input.at(partition, number) else { continue };
                if !is_order(value) && !is_payment(value) {
                    continue;
                }
                let (at, orders) = (at(number), open.entry(key).or_default());
                while let Some(start) = orders.pop_front_if(|start| *start + within < at) {
                    digest.add(&[key, start as u64]);
                }
                if is_order(value) {
                    orders.push_back(at);
                } else {
                    orders.clear();
                }
            }
        }
        for (key, orders) in &open {
            orders.iter().for_each(|start| digest.add(&[*key, *start as u64]));
        }
        digest
    })
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let topology = Topology::new("pattern");
    topology
        .generate("numbers", setup.threads, move |partition, number| {
            let (key, value) = input.at(partition.into(), number)?;
            Some(Record::new(key, value, at(number)))
        })
        .pattern("unpaid", |value| is_order(*value))
        .not(|value| is_payment(*value))
        .within(Duration::from_millis(within(setup) as u64))
        .matches()
        .map(|unpaid| unpaid.start.as_millis() as u64)
        .to(&UNPAID);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let mut digest = Digest::default();
    place.each(&UNPAID, |record| {
        record.value.iter().for_each(|start| digest.add(&[record.key, *start]));
    })?;
    Ok((digest, cost))
}
