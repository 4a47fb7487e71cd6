//! What the program has written, read back from its topics.

use crate::domain::{
    AircraftRotation, AirlineTotals, Airport, Carrier, Flight, HourlyDepartures,
    StormyDeparture,
};
use crate::topology::{
    AIRCRAFT_ROTATIONS, AIRLINE_TOTALS, HOURLY_DEPARTURES, LATE_FLIGHTS, STORMY_DEPARTURES,
};
use suiro::{Log, Reader, Received, Result};

/// The records of each output topic: partitions in order, then offsets in order.
pub struct Outputs {
    pub hours: Vec<Received<Airport, HourlyDepartures>>,
    pub late: Vec<Received<Airport, Flight>>,
    pub rotations: Vec<Received<Carrier, AircraftRotation>>,
    pub airlines: Vec<Received<Carrier, AirlineTotals>>,
    pub storms: Vec<Received<Airport, StormyDeparture>>,
}

impl Outputs {
    pub fn read(log: &Log) -> Result<Self> {
        Ok(Self {
            hours: Reader::open(log, &HOURLY_DEPARTURES)?.read_to_end()?,
            late: Reader::open(log, &LATE_FLIGHTS)?.read_to_end()?,
            rotations: Reader::open(log, &AIRCRAFT_ROTATIONS)?.read_to_end()?,
            airlines: Reader::open(log, &AIRLINE_TOTALS)?.read_to_end()?,
            storms: Reader::open(log, &STORMY_DEPARTURES)?.read_to_end()?,
        })
    }
}
