//! The program: topics, and the way of a flight from one to the other.

use crate::domain::{
    AircraftRotation, Airline, AirlineTotals, Airport, Carrier, Flight, FlownRotation, Hour,
    HourlyDepartures, Leg, Observation, Plane, Rotation, StormyDeparture, Tailnum, Totals,
    Weather,
};
use std::time::Duration;
use suiro::{Plan, Policy, Result, Sessions, Topic, Topology, Tumbling};

pub const FLIGHTS: Topic<Airport, Flight> = Topic::json("flights");
pub const WEATHER: Topic<Airport, Weather> = Topic::json("weather");
pub const PLANES: Topic<Tailnum, Plane> = Topic::json("planes");
pub const AIRLINES: Topic<Carrier, Airline> = Topic::json("airlines");

pub const HOURLY_DEPARTURES: Topic<Airport, HourlyDepartures> =
    Topic::json("hourly-departures");
pub const LATE_FLIGHTS: Topic<Airport, Flight> = Topic::json("late-flights");
pub const AIRCRAFT_ROTATIONS: Topic<Carrier, AircraftRotation> =
    Topic::json("aircraft-rotations");
pub const AIRLINE_TOTALS: Topic<Carrier, AirlineTotals> = Topic::json("airline-totals");
pub const STORMY_DEPARTURES: Topic<Airport, StormyDeparture> = Topic::json("stormy-departures");

/// The program, under the name `app`.
pub fn plan(app: &str, on_error: Policy) -> Result<Plan> {
    let topology = Topology::new(app);
    topology.on_error(on_error);

    // Weather is declared before flights: at the same time, the weather comes first.
    let weather = topology.stream(&WEATHER);
    let flights = topology.stream(&FLIGHTS);
    let planes = topology.table(&PLANES);
    let airlines = topology.table(&AIRLINES);

    let hours = flights
        .clone()
        .window(Tumbling::of(Duration::from_hours(1)).grace(Duration::from_hours(2)))
        .fold("hourly-departures", Hour::default, Hour::add);
    hours.late().to(&LATE_FLIGHTS);
    hours.on_close().map(HourlyDepartures::of).to(&HOURLY_DEPARTURES);

    flights
        .clone()
        .map_with_key(Leg::of)
        .flat_map(|leg| leg)
        .key_by(|leg| leg.tailnum.clone())
        .window(Sessions::with_gap(Duration::from_hours(20)).grace(Duration::from_hours(24)))
        .fold("aircraft-rotations", Rotation::default, Rotation::add, Rotation::merge)
        .on_close()
        .map_with_key(FlownRotation::of)
        .left_join(&planes, FlownRotation::with_plane)
        .key_by(FlownRotation::carrier)
        .repartition("rotations-by-carrier")
        .left_join(&airlines, AircraftRotation::of)
        .to(&AIRCRAFT_ROTATIONS);

    flights
        .clone()
        .key_by(|flight| flight.carrier.clone())
        .fold("airline-totals", Totals::default, Totals::add)
        .join(&airlines, AirlineTotals::of)
        .to(&AIRLINE_TOTALS);

    let newest_weather =
        weather.map_with_time(Observation::of).reduce("newest-weather", |_, newest| newest);
    flights
        .filter(Flight::is_stormy)
        .join(&newest_weather, StormyDeparture::of)
        .to(&STORMY_DEPARTURES);

    topology.build()
}
