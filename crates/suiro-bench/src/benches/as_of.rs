//! A stream looks up what was valid at the times of its records, with a grace. The table has one
//! version for ten records of the stream; versions come up to half of the grace late, and of each
//! key about three are in history. There is one partition, so that the topic of the table has the
//! keys of the stream.

use super::join::Tally;
use super::{Outcome, run_to_end};
use crate::digest::{Digest, mixed, splitmix};
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
use suiro::{Durability, Integer, JsonKey, Producer, Record, Topic, Topology};

const VERSIONS: Topic<u64, u64> = Topic::of("versions", &JsonKey, &Integer);

/// Records of the stream for each version.
const EVERY: u64 = 10;

/// How long records wait, in milliseconds; there is one in each.
const GRACE: i64 = 64;

/// Stands for a row that is not there.
const NONE: u64 = u64::MAX;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(10_000_000, 10_000, Durability::None, 1_000);
    let setup = Setup { threads: 1, ..setup };
    let mut report = Report::new("as-of", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

/// Version `number`: its key, row and time.
fn version(input: &Input, number: u64) -> Option<(u64, u64, i64)> {
    let (_, bits) = input.at(0, number * EVERY)?;
    let (key, _) = input.at(0, splitmix(number) % input.records())?;
    let late = (splitmix(!number) % (GRACE as u64 / 2)) as i64;
    Some((key, bits, ((number * EVERY) as i64 - late).max(0)))
}

fn history(setup: &Setup) -> i64 {
    (3 * setup.keys * EVERY) as i64
}

#[derive(Default)]
struct Table {
    rows: HashMap<u64, VecDeque<(i64, u64)>, FixedState>,
    from: i64,
}

impl Table {
    #[inline]
    fn put(&mut self, key: u64, row: u64, at: i64) {
        let versions = self.rows.entry(key).or_default();
        let place = versions.iter().rposition(|version| version.0 <= at);
        match place {
            Some(place) if versions[place].0 == at => versions[place].1 = row,
            place => versions.insert(place.map_or(0, |place| place + 1), (at, row)),
        }
        while versions.get(1).is_some_and(|second| second.0 <= self.from) {
            versions.pop_front();
        }
    }

    #[inline]
    fn valid(&self, key: u64, at: i64) -> u64 {
        let Some(versions) = self.rows.get(&key) else { return NONE };
        let valid = versions.iter().rev().find(|version| version.0 <= at);
        let is_newest = versions.back().is_some_and(|newest| newest.0 <= at);
        valid.filter(|_| is_newest || at >= self.from).map_or(NONE, |version| version.1)
    }
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let (input, history) = (Input::new(setup), history(setup));
    measure(|| {
        let (mut digest, mut table) = (Digest::default(), Table::default());
        let mut waiting: VecDeque<(u64, u64, i64)> = VecDeque::new();
        let (mut number, mut versions, mut now) = (0, 0, 0);
        loop {
            let (next, new) = (input.at(0, number), version(&input, versions));
            let at = number as i64;
            let is_first = next.is_some() && new.is_none_or(|(_, _, new_at)| at <= new_at);
            match (next, new) {
                (Some((key, value)), _) if is_first => {
                    now = now.max(at);
                    waiting.push_back((key, value, at));
                    number += 1;
                }
                (_, Some((_, _, new_at))) => now = now.max(new_at),
                _ => break,
            }
            while let Some((key, value, at)) =
                waiting.pop_front_if(|(_, _, at)| *at + GRACE <= now)
            {
                digest.add(&[key, value, table.valid(key, at)]);
            }
            if let (Some((key, row, new_at)), false) = (new, is_first) {
                table.from = table.from.max(new_at - history);
                if new_at >= table.from {
                    table.put(key, row, new_at);
                }
                versions += 1;
            }
        }
        for (key, value, at) in waiting {
            digest.add(&[key, value, table.valid(key, at)]);
        }
        digest
    })
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let mut producer = Producer::open(&place.log, &VERSIONS)?;
    producer.create(1)?;
    for (key, row, at) in (0..).map_while(|number| version(&input, number)) {
        producer.send(key, row, at)?;
    }
    producer.flush()?;
    let topology = Topology::new("as-of");
    let stream = topology.generate("numbers", 1, move |_, number| {
        let (key, value) = input.at(0, number)?;
        Some(Record::new(key, value, number as i64))
    });
    let history = Duration::from_millis(history(setup) as u64);
    let table = topology.versioned_table(&VERSIONS, history);
    let tally = Arc::new(Tally::default());
    let (shown, grace) = (Arc::clone(&tally), Duration::from_millis(GRACE as u64));
    let joined = stream
        .left_join_as_of("joined", &table, grace, |value, row| (value, row.copied()))
        .inspect(move |key, (value, row)| {
            shown.add(mixed(&[*key, *value, row.unwrap_or(NONE)]));
        });
    drop(joined);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    Ok((Digest(tally.0.load(Ordering::Relaxed)), cost))
}
