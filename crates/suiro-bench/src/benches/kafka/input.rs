//! What the programs read. It is written once for each size and kept, so that the next run
//! finds it.

use super::Setup;
use super::broker::Broker;
use crate::benches::Outcome;
use crate::digest::splitmix;
use suiro::{Bytes, Encoded, Error, Format, Integer, Producer, Raw, Result, Topic};

/// Whole values.
const WHOLE: Topic<u64, Bytes> = Topic::of("events", &Integer, &Raw);
/// Values of which nobody needs more than the number.
const NUMBERS: Topic<u64, u64> = Topic::of("events", &Integer, &FirstNumber);
const ROWS: Topic<u64, u64> = Topic::of("rows", &Integer, &Integer);

/// Event times begin behind the rows of the table, so that all of them are there.
const FIRST: i64 = 1_000;
/// Records in a millisecond.
const DENSITY: u64 = 10;
/// A record is at most so many milliseconds before those that were written earlier.
const DISORDER: u64 = 500;

/// A record of the input.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub key: u64,
    /// The number at the beginning of the value, of random bits.
    pub number: u64,
    pub at: i64,
}

/// The number that a value begins with.
struct FirstNumber;

impl Format<u64> for FirstNumber {
    fn name(&self) -> &'static str {
        "first-number"
    }

    fn encode(&self, number: &u64, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(&number.to_be_bytes());
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64> {
        first_number(bytes).ok_or_else(|| Error::invalid("value has no number"))
    }
}

pub fn first_number(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The records, and the topics that they are in.
pub struct Input {
    pub setup: Setup,
    /// The records with all of their values, and with what most programs take from them.
    pub whole: Topic<u64, Bytes>,
    pub numbers: Topic<u64, u64>,
    /// A row for each key.
    pub rows: Topic<u64, u64>,
}

impl Input {
    /// Writes what is not there yet. What a load that was broken off has written is the beginning
    /// of the whole, since its commits follow each other.
    pub fn prepare(broker: &Broker, setup: Setup) -> Outcome<Self> {
        let Setup { records, keys, partitions, value_bytes, .. } = setup;
        let events = format!("suiro-bench-events-{records}-{keys}-{partitions}-{value_bytes}");
        let rows = format!("suiro-bench-rows-{keys}-{partitions}");
        let input = Self {
            setup,
            whole: WHOLE.named(&events),
            numbers: NUMBERS.named(&events),
            rows: ROWS.named(&rows),
        };
        fill(broker, &input.whole, &input.numbers, partitions, records, |producer, number| {
            let Event { key, number, at } = input.event(number);
            let mut value = vec![b'.'; value_bytes];
            value[..8].copy_from_slice(&number.to_be_bytes());
            producer.send(key, value.into(), at)
        })?;
        fill(broker, &input.rows, &input.rows, partitions, keys, |producer, key| {
            producer.send(key, row(key), 0)
        })?;
        Ok(input)
    }

    /// Record `number`.
    pub fn event(&self, number: u64) -> Event {
        let bits = splitmix(number);
        // The high half of the product is a number below `keys`, as a remainder would be.
        let key = ((u128::from(bits) * u128::from(self.setup.keys)) >> 64) as u64;
        let at = FIRST + (number / DENSITY + bits % DISORDER) as i64;
        Event { key, number: bits, at }
    }

    pub fn events(&self) -> impl Iterator<Item = Event> {
        (0..self.setup.records).map(|number| self.event(number))
    }

    /// Three times the mean pause of a key, in milliseconds: one pause in twenty is longer.
    pub fn gap(&self) -> i64 {
        (3 * self.setup.keys / DENSITY).max(1) as i64
    }
}

/// The row of a key in the table.
pub fn row(key: u64) -> u64 {
    splitmix(!key)
}

/// The key under which a record goes on behind an exchange.
pub fn other_key(number: u64, keys: u64) -> u64 {
    splitmix(number) % keys
}

/// Writes those of the first `records` that a topic does not have yet.
fn fill<V: 'static>(
    broker: &Broker,
    topic: &Topic<u64, V>,
    seen: &Topic<u64, u64>,
    partitions: u32,
    records: u64,
    send: impl Fn(&mut Producer<u64, V>, u64) -> Result<()>,
) -> Outcome<()> {
    let mut producer = Producer::open(broker.kafka(), topic)?;
    producer.create(partitions)?;
    let mut there = 0;
    broker.each(seen, |_| there += 1)?;
    if there > records {
        let text = "has more records than were written; remove it";
        return Err(format!("topic {} {text}", topic.name()).into());
    }
    for number in there..records {
        send(&mut producer, number)?;
    }
    Ok(producer.flush()?)
}
