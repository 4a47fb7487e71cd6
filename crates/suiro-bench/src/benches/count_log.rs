//! Counts of 100-byte records that are in a log on the disk, written to it again: after each
//! change, or once per commit.

use super::{Outcome, run_to_end};
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Emit, Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use suiro::{
    Durability, Encoded, Error, Format, Integer, Log, LogOptions, Producer, Result, Topic,
    Topology,
};

pub(super) const EVENTS: Topic<u64, Event> = Topic::of("events", &Integer, &FixedLayout);
pub(super) const COUNTS: Topic<u64, u64> = Topic::of("counts", &Integer, &Integer);
const CHANGES: Topic<u64, Option<u64>> = Topic::of("changes", &Integer, &Known);

/// What a program takes from the 92 bytes of a value; the key has the other eight.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Event {
    amount: u64,
}

const VALUE_BYTES: usize = 92;
const RECORD_BYTES: usize = 100;

/// Values whose first eight bytes are the amount.
pub(super) struct FixedLayout;

impl Format<Event> for FixedLayout {
    fn name(&self) -> &'static str {
        "fixed-layout"
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) -> Result<Encoded> {
        let end = out.len() + VALUE_BYTES;
        out.extend_from_slice(&event.amount.to_be_bytes());
        out.resize(end, b'.');
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Event> {
        match bytes.split_first_chunk() {
            Some((amount, _)) if bytes.len() == VALUE_BYTES => {
                Ok(Event { amount: u64::from_be_bytes(*amount) })
            }
            _ => Err(Error::invalid("event has another width").with("bytes", bytes.len())),
        }
    }
}

/// Rows that are there, or a null.
struct Known;

impl Format<Option<u64>> for Known {
    fn name(&self) -> &'static str {
        "integer"
    }

    fn encode(&self, value: &Option<u64>, out: &mut Vec<u8>) -> Result<Encoded> {
        match value {
            Some(value) => Integer.encode(value, out),
            None => Ok(Encoded::Null),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<u64>> {
        Integer.decode(bytes).map(Some)
    }

    fn decode_null(&self) -> Option<Option<u64>> {
        Some(None)
    }
}

pub fn run(options: &Options) -> Outcome<()> {
    if let Some(budget) = options.disk_budget {
        return super::count_disk::run(options, budget);
    }
    let setup = options.setup(30_000_000, 100_000, Durability::Fsync, 1_000);
    let mut report = Report::new("count-log", setup);
    report.subject("loop", None, plain(&setup))?;
    let place = load(&setup, Log::options())?;
    for emit in [Emit::PerCommit, Emit::EveryChange] {
        if options.emit.is_none_or(|only| only == emit) {
            report.subject("suiro", Some(emit), suiro(&setup, &place, emit)?)?;
        }
    }
    Ok(())
}

/// Counts records that lie side by side in memory. They are made a million at a time, beside
/// the measured time.
pub(super) fn plain(setup: &Setup) -> (Digest, Cost) {
    const CHUNK: u64 = 1_000_000;
    let input = Input::new(setup);
    let mut counts: HashMap<u64, u64, FixedState> =
        HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
    let mut total = Cost::default();
    let mut records = Vec::with_capacity(CHUNK as usize * RECORD_BYTES);
    for partition in input.partitions() {
        for first in (0..input.records()).step_by(CHUNK as usize) {
            records.clear();
            for (key, amount) in (first..first + CHUNK).map_while(|n| input.at(partition, n)) {
                let end = records.len() + RECORD_BYTES;
                records.extend_from_slice(&key.to_be_bytes());
                records.extend_from_slice(&amount.to_be_bytes());
                records.resize(end, b'.');
            }
            let ((), cost) = measure(|| {
                let (records, _) = records.as_chunks::<RECORD_BYTES>();
                for [a, b, c, d, e, f, g, h, ..] in records {
                    let key = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                    *counts.entry(key).or_insert(0) += 1;
                }
            });
            total.add(cost);
        }
    }
    let mut digest = Digest::default();
    counts.iter().for_each(|(key, count)| digest.add(&[*key, *count]));
    (digest, total)
}

/// Writes the records to a log.
pub(super) fn load(setup: &Setup, options: LogOptions) -> Outcome<Place> {
    let place = Place::with(options.clone().durability(Durability::None))?;
    let input = Input::new(setup);
    let mut producer = Producer::open(&place.log, &EVENTS)?;
    producer.create(setup.threads)?;
    for number in 0..input.records() {
        for partition in input.partitions() {
            if let Some((key, amount)) = input.at(partition, number) {
                producer.send(key, Event { amount }, (number / 1_000) as i64)?;
            }
        }
    }
    producer.flush()?;
    drop(producer);
    Ok(place.reopen(options.durability(setup.durability))?)
}

fn suiro(setup: &Setup, place: &Place, emit: Emit) -> Outcome<(Digest, Cost)> {
    let topology = Topology::new(format!("count-{}", emit.name()));
    let counts = topology.stream(&EVENTS).count("counts");
    match emit {
        Emit::PerCommit => counts.to(&COUNTS),
        Emit::EveryChange => counts.changes().to(&CHANGES),
    }
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let digest = match emit {
        Emit::PerCommit => place.table(&COUNTS, |key, count| [*key, *count])?,
        Emit::EveryChange => {
            place.table(&CHANGES, |key, count| [*key, count.unwrap_or_default()])?
        }
    };
    Ok((digest, cost))
}
