//! What the program knows of flights: its data and plain functions on them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use suiro::{InWindow, Timestamp};

/// The code of an airport.
pub type Airport = String;
/// The code of an airline.
pub type Carrier = String;
/// What is painted on the tail of an aircraft.
pub type Tailnum = String;

/// Minutes behind schedule from which a flight counts as delayed.
const DELAYED: i64 = 15;
/// Minutes behind schedule from which the weather is worth a look.
const STORMY: i64 = 60;
/// Minutes after its schedule at which a cancellation is reported.
const CANCELLED_AFTER: i64 = 150;

const MINUTE: i64 = 60_000;

/// An aircraft.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plane {
    pub seats: Option<u64>,
    pub manufacturer: Option<String>,
}

/// An airline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Airline {
    pub name: String,
}

/// The weather at an airport, in hundredths of its units.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Weather {
    pub temp: Option<i64>,
    pub wind_speed: Option<i64>,
    pub precip: Option<i64>,
    pub visib: Option<i64>,
}

/// A flight that left, or should have left, the airport that is its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flight {
    pub carrier: Carrier,
    pub flight: u64,
    pub tailnum: Option<Tailnum>,
    pub dest: Airport,
    pub distance: u64,
    pub scheduled: Timestamp,
    /// Minutes behind schedule, negative if early, none if the flight was cancelled.
    pub delay: Option<i64>,
    pub air_minutes: Option<u64>,
}

impl Flight {
    /// When it left; if it was cancelled, when it should have left.
    pub fn departure(&self) -> Timestamp {
        self.scheduled.plus_millis(self.delay.unwrap_or(0) * MINUTE)
    }

    /// When its airport told of it.
    pub fn reported(&self) -> Timestamp {
        self.scheduled.plus_millis(self.delay.unwrap_or(CANCELLED_AFTER) * MINUTE)
    }

    pub fn is_cancelled(&self) -> bool {
        self.delay.is_none()
    }

    pub fn is_delayed(&self) -> bool {
        self.delay >= Some(DELAYED)
    }

    pub fn is_stormy(&self) -> bool {
        self.delay >= Some(STORMY)
    }
}

/// The departures of one airport in one hour, so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hour {
    flights: u64,
    cancelled: u64,
    delayed: u64,
    delay_minutes: i64,
    worst_delay: Option<i64>,
}

impl Hour {
    pub fn add(&mut self, flight: Flight) {
        self.flights += 1;
        self.cancelled += u64::from(flight.is_cancelled());
        self.delayed += u64::from(flight.is_delayed());
        self.delay_minutes += flight.delay.unwrap_or(0).max(0);
        self.worst_delay = self.worst_delay.max(flight.delay);
    }
}

/// The departures of one airport in one hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HourlyDepartures {
    pub start: Timestamp,
    pub end: Timestamp,
    pub flights: u64,
    pub cancelled: u64,
    pub delayed: u64,
    pub delay_minutes: i64,
    pub worst_delay: Option<i64>,
}

impl HourlyDepartures {
    pub fn of(window: InWindow<Hour>) -> Self {
        let InWindow { start, end, value } = window;
        let Hour { flights, cancelled, delayed, delay_minutes, worst_delay } = value;
        Self { start, end, flights, cancelled, delayed, delay_minutes, worst_delay }
    }
}

/// One flight of an aircraft that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leg {
    pub tailnum: Tailnum,
    carrier: Carrier,
    origin: Airport,
    dest: Airport,
    departure: Timestamp,
    air_minutes: u64,
    miles: u64,
}

impl Leg {
    /// The leg that a flight was, unless it was cancelled or nobody knows the aircraft.
    pub fn of(origin: &Airport, flight: Flight) -> Option<Self> {
        let departure = flight.departure();
        let flown = !flight.is_cancelled();
        flight.tailnum.filter(|_| flown).map(|tailnum| Self {
            tailnum,
            carrier: flight.carrier,
            origin: origin.clone(),
            dest: flight.dest,
            departure,
            air_minutes: flight.air_minutes.unwrap_or(0),
            miles: flight.distance,
        })
    }
}

/// Legs of one aircraft without a long rest between them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rotation {
    legs: u64,
    air_minutes: u64,
    miles: u64,
    airports: BTreeSet<Airport>,
    /// When the latest leg left, and whose it was.
    latest: (Timestamp, Carrier),
}

impl Rotation {
    pub fn add(&mut self, leg: Leg) {
        self.legs += 1;
        self.air_minutes += leg.air_minutes;
        self.miles += leg.miles;
        self.airports.extend([leg.origin, leg.dest]);
        let latest = (leg.departure, leg.carrier);
        if latest > self.latest {
            self.latest = latest;
        }
    }

    pub fn merge(&mut self, later: Self) {
        self.legs += later.legs;
        self.air_minutes += later.air_minutes;
        self.miles += later.miles;
        self.airports.extend(later.airports);
        if later.latest > self.latest {
            self.latest = later.latest;
        }
    }
}

/// A rotation that is over, with what is known of the aircraft.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FlownRotation {
    tailnum: Tailnum,
    rotation: InWindow<Rotation>,
    plane: Option<Plane>,
}

impl FlownRotation {
    pub fn of(tailnum: &Tailnum, rotation: InWindow<Rotation>) -> Self {
        Self { tailnum: tailnum.clone(), rotation, plane: None }
    }

    pub fn with_plane(self, plane: Option<&Plane>) -> Self {
        Self { plane: plane.cloned(), ..self }
    }

    pub fn carrier(&self) -> Carrier {
        self.rotation.value.latest.1.clone()
    }
}

/// A rotation, with what is known of the aircraft and of its airline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AircraftRotation {
    pub tailnum: Tailnum,
    pub start: Timestamp,
    pub end: Timestamp,
    pub legs: u64,
    pub air_minutes: u64,
    pub miles: u64,
    pub airports: BTreeSet<Airport>,
    pub seats: Option<u64>,
    pub manufacturer: Option<String>,
    pub seat_miles: Option<u64>,
    pub airline: Option<String>,
}

impl AircraftRotation {
    pub fn of(flown: FlownRotation, airline: Option<&Airline>) -> Self {
        let FlownRotation { tailnum, rotation: InWindow { start, end, value }, plane } = flown;
        let Rotation { legs, air_minutes, miles, airports, .. } = value;
        let seats = plane.as_ref().and_then(|plane| plane.seats);
        Self {
            tailnum,
            start,
            end,
            legs,
            air_minutes,
            miles,
            airports,
            seats,
            manufacturer: plane.and_then(|plane| plane.manufacturer),
            seat_miles: seats.map(|seats| seats * miles),
            airline: airline.map(|airline| airline.name.clone()),
        }
    }
}

/// What an airline has done so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    flights: u64,
    cancelled: u64,
    delayed: u64,
    miles: u64,
}

impl Totals {
    pub fn add(&mut self, flight: Flight) {
        self.flights += 1;
        self.cancelled += u64::from(flight.is_cancelled());
        self.delayed += u64::from(flight.is_delayed());
        self.miles += if flight.is_cancelled() { 0 } else { flight.distance };
    }
}

/// What an airline has done so far, with its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AirlineTotals {
    pub airline: String,
    pub flights: u64,
    pub cancelled: u64,
    pub delayed: u64,
    pub miles: u64,
}

impl AirlineTotals {
    pub fn of(totals: &Totals, airline: &Airline) -> Self {
        let Totals { flights, cancelled, delayed, miles } = *totals;
        Self { airline: airline.name.clone(), flights, cancelled, delayed, miles }
    }
}

/// The weather at an airport, and when it was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Observation {
    observed: Timestamp,
    weather: Weather,
}

impl Observation {
    pub fn of(observed: Timestamp, weather: Weather) -> Self {
        Self { observed, weather }
    }
}

/// A flight that left late, and the weather it left in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StormyDeparture {
    pub carrier: Carrier,
    pub flight: u64,
    pub delay: Option<i64>,
    pub observed: Timestamp,
    pub temp: Option<i64>,
    pub wind_speed: Option<i64>,
    pub precip: Option<i64>,
    pub visib: Option<i64>,
}

impl StormyDeparture {
    pub fn of(flight: Flight, last: &Observation) -> Self {
        let Weather { temp, wind_speed, precip, visib } = last.weather;
        Self {
            carrier: flight.carrier,
            flight: flight.flight,
            delay: flight.delay,
            observed: last.observed,
            temp,
            wind_speed,
            precip,
            visib,
        }
    }
}
