//! Fills the input topics from the CSV files, once.

use crate::calendar;
use crate::domain::{Airline, Airport, Carrier, Flight, Plane, Tailnum, Weather};
use crate::options::Options;
use crate::sheet::{Rows, Sheet};
use crate::topology::{AIRLINES, FLIGHTS, PLANES, WEATHER};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter;
use std::path::Path;
use std::time::Duration;
use suiro::{
    Broker, Cleanup, Error, Policy, Producer, Reader, Result, Timestamp, Topic, Transaction,
};

/// What was loaded.
pub struct Loaded {
    /// Rows that a policy skipped.
    pub skipped: u64,
}

/// How far one copy of the data is from the next.
const SHIFT: i64 = 31 * 24 * 60 * 60 * 1_000;

/// Creates the input topics, and loads the files into them in one commit if they are empty.
pub fn fill(log: &dyn Broker, options: &Options) -> Result<Option<Loaded>> {
    create_topics(log, options.partitions).map_err(|error| {
        Error::invalid("cannot use this log; give --partitions as it was, or another --dir")
            .caused_by(error)
    })?;
    for topic in [PLANES.name(), AIRLINES.name(), WEATHER.name(), FLIGHTS.name()] {
        let mut records = Reader::open(log, &Topic::bytes("").named(topic))?;
        if !records.follow(Duration::ZERO)?.is_empty() {
            return Ok(None);
        }
    }
    load(log, options).map(Some)
}

/// Planes and airlines have one record per key. The weather has many, and each of them counts,
/// so that it is kept whole.
fn create_topics(log: &dyn Broker, partitions: u32) -> Result<()> {
    Producer::open(log, &PLANES)?.create_with(partitions, Cleanup::Compact)?;
    Producer::open(log, &AIRLINES)?.create_with(partitions, Cleanup::Compact)?;
    Producer::open(log, &WEATHER)?.create_with(partitions, Cleanup::Keep)?;
    Producer::open(log, &FLIGHTS)?.create_with(partitions, Cleanup::Keep)
}

fn load(log: &dyn Broker, options: &Options) -> Result<Loaded> {
    let (dir, policy) = (options.data.as_path(), options.on_error);
    let (planes, airlines) = (read_planes(dir, policy)?, read_airlines(dir, policy)?);
    let (weather, flights) = (read_weather(dir, policy)?, read_flights(dir, policy)?);
    let skipped = planes.skipped + airlines.skipped + weather.skipped + flights.skipped;

    let mut transaction = Transaction::open(log)?;
    for (tailnum, plane) in &planes.rows {
        transaction.write(&PLANES, tailnum, Some(plane), Timestamp::ZERO)?;
    }
    for (carrier, airline) in &airlines.rows {
        transaction.write(&AIRLINES, carrier, Some(airline), Timestamp::ZERO)?;
    }
    for (shift, (origin, at, weather)) in
        copies(&weather.rows, options.copies, |(_, at, _)| *at)
    {
        transaction.write(&WEATHER, origin, Some(weather), at.plus_millis(shift))?;
    }
    for (shift, (origin, flight)) in
        copies(&flights.rows, options.copies, |(_, flight)| flight.reported())
    {
        let scheduled = flight.scheduled.plus_millis(shift);
        let flight = Flight { scheduled, ..flight.clone() };
        transaction.write(&FLIGHTS, origin, Some(&flight), flight.departure())?;
    }
    transaction.commit()?;
    Ok(Loaded { skipped })
}

/// The rows of all copies with the shift of each, in order of time, ties in order of copy and
/// row.
fn copies<T>(
    rows: &[T],
    copies: u32,
    time: impl Fn(&T) -> Timestamp,
) -> impl Iterator<Item = (i64, &T)> {
    let mut rows: Vec<&T> = rows.iter().collect();
    rows.sort_by_key(|row| time(row));
    // The next row of each copy, by its time.
    let next = move |rows: &[&T], shift: i64, row: usize| {
        rows.get(row).map(|found| Reverse((time(found).plus_millis(shift), shift, row)))
    };
    let shifts = (0..i64::from(copies)).map(|copy| copy * SHIFT);
    let mut heap: BinaryHeap<_> = shifts.filter_map(|shift| next(&rows, shift, 0)).collect();
    iter::from_fn(move || {
        let Reverse((_, shift, row)) = heap.pop()?;
        heap.extend(next(&rows, shift, row + 1));
        Some((shift, rows[row]))
    })
}

fn read_planes(dir: &Path, policy: Policy) -> Result<Rows<(Tailnum, Plane)>> {
    let sheet = Sheet::open(dir, "planes")?;
    let [tailnum, seats, manufacturer] = sheet.columns(["tailnum", "seats", "manufacturer"])?;
    sheet.read(policy, |row| {
        let seats = row.known(seats)?;
        let manufacturer = row.known(manufacturer)?;
        Ok((row.text(tailnum), Plane { seats, manufacturer }))
    })
}

fn read_airlines(dir: &Path, policy: Policy) -> Result<Rows<(Carrier, Airline)>> {
    let sheet = Sheet::open(dir, "airlines")?;
    let [carrier, name] = sheet.columns(["carrier", "name"])?;
    sheet.read(policy, |row| Ok((row.text(carrier), Airline { name: row.text(name) })))
}

fn read_weather(dir: &Path, policy: Policy) -> Result<Rows<(Airport, Timestamp, Weather)>> {
    let sheet = Sheet::open(dir, "weather")?;
    let [origin, time_hour, temp, wind_speed, precip, visib] =
        sheet.columns(["origin", "time_hour", "temp", "wind_speed", "precip", "visib"])?;
    sheet.read(policy, |row| {
        let weather = Weather {
            temp: row.hundredths(temp)?,
            wind_speed: row.hundredths(wind_speed)?,
            precip: row.hundredths(precip)?,
            visib: row.hundredths(visib)?,
        };
        Ok((row.text(origin), row.read(time_hour, TIME, time)?, weather))
    })
}

fn read_flights(dir: &Path, policy: Policy) -> Result<Rows<(Airport, Flight)>> {
    let sheet = Sheet::open(dir, "flights")?;
    let [origin, carrier, flight, tailnum, dest, distance] =
        sheet.columns(["origin", "carrier", "flight", "tailnum", "dest", "distance"])?;
    let [time_hour, minute, dep_delay, air_time] =
        sheet.columns(["time_hour", "minute", "dep_delay", "air_time"])?;
    sheet.read(policy, |row| {
        let hour = row.read(time_hour, TIME, time)?;
        let flight = Flight {
            carrier: row.text(carrier),
            flight: row.number(flight)?,
            tailnum: row.known(tailnum)?,
            dest: row.text(dest),
            distance: row.number(distance)?,
            scheduled: hour.plus_millis(row.number::<i64>(minute)?.saturating_mul(60_000)),
            delay: row.known(dep_delay)?,
            air_minutes: row.known(air_time)?,
        };
        if !flight.departure().is_valid() {
            return Err(row.refuse(dep_delay, "a departure after 1970"));
        }
        Ok((row.text(origin), flight))
    })
}

const TIME: &str = "a time after 1970 as in 2013-01-31T19:00:00Z";

fn time(text: &str) -> Option<Timestamp> {
    calendar::parse(text).filter(|at| at.is_valid())
}
