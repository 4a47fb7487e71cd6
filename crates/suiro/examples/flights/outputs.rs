//! What the program has written, read back from its topics record by record: each record goes
//! to the file of its topic, if files are wanted, and counts for the report.

use crate::domain::{AircraftRotation, AirlineTotals, Airport, Carrier, HourlyDepartures};
use crate::export::Lines;
use crate::topology::{
    AIRCRAFT_ROTATIONS, AIRLINE_TOTALS, HOURLY_DEPARTURES, LATE_FLIGHTS, STORMY_DEPARTURES,
};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use suiro::{Broker, Reader, Received, Result, Timestamp, Topic};

/// What the report shows. It does not grow with what was written.
#[derive(Default)]
pub struct Outputs {
    pub hours: u64,
    pub late: u64,
    pub rotations: u64,
    pub storms: u64,
    /// The busiest hours: more flights first, then the earlier hour, then by airport.
    pub busiest: Top<(Reverse<u64>, Timestamp, Airport), HourlyDepartures>,
    /// The longest rotations: the longer one first, then by aircraft.
    pub longest: Top<(Reverse<i64>, String, Timestamp), AircraftRotation>,
    /// The last row of each airline.
    pub airlines: BTreeMap<Carrier, AirlineTotals>,
}

impl Outputs {
    /// Reads each output topic once: partitions in order, then offsets in order.
    pub fn read(log: &dyn Broker, out: Option<&Path>) -> Result<Self> {
        let mut outputs = Self::default();
        each(log, &HOURLY_DEPARTURES, out, |Received { key, value, .. }| {
            outputs.hours += 1;
            if let Some(hour) = value {
                outputs.busiest.add((Reverse(hour.flights), hour.start, key), hour);
            }
        })?;
        each(log, &LATE_FLIGHTS, out, |_| outputs.late += 1)?;
        each(log, &AIRCRAFT_ROTATIONS, out, |Received { value, .. }| {
            outputs.rotations += 1;
            if let Some(row) = value {
                let length = row.end.as_millis() - row.start.as_millis();
                let place = (Reverse(length), row.tailnum.clone(), row.start);
                outputs.longest.add(place, row);
            }
        })?;
        each(log, &AIRLINE_TOTALS, out, |Received { key, value, .. }| {
            match value {
                Some(totals) => outputs.airlines.insert(key, totals),
                None => outputs.airlines.remove(&key),
            };
        })?;
        each(log, &STORMY_DEPARTURES, out, |_| outputs.storms += 1)?;
        Ok(outputs)
    }
}

/// Reads a topic to its end, and writes it to its file.
fn each<K: Serialize, V: Serialize>(
    log: &dyn Broker,
    topic: &Topic<K, V>,
    out: Option<&Path>,
    mut visit: impl FnMut(Received<K, V>),
) -> Result<()> {
    let mut file = out.map(|dir| Lines::create(dir, topic.name())).transpose()?;
    for record in Reader::open(log, topic)?.iter_to_end()? {
        let record = record?;
        if let Some(file) = &mut file {
            file.write(&record)?;
        }
        visit(record);
    }
    file.map_or(Ok(()), Lines::finish)
}

/// The first rows in the order of `K`.
pub struct Top<K, T>(BTreeMap<K, T>);

/// How many there are.
const TOP: usize = 5;

impl<K, T> Default for Top<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, T> Top<K, T> {
    fn add(&mut self, place: K, row: T) {
        self.0.insert(place, row);
        if self.0.len() > TOP {
            self.0.pop_last();
        }
    }

    /// The rows, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &T)> {
        self.0.iter()
    }
}
