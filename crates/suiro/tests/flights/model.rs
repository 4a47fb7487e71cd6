//! What the program should write, computed by plain loops over the rows.

use super::rows::{self, Flight, Weather};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A record of an output topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub key: String,
    pub at: i64,
    pub value: Value,
}

impl Line {
    fn new(key: &str, at: i64, value: Value) -> Self {
        Self { key: key.to_owned(), at, value }
    }
}

/// All outputs. The order of hours, late flights and storms is that of one partition.
pub struct Model {
    pub hours: Vec<Line>,
    pub late: Vec<Line>,
    pub storms: Vec<Line>,
    /// In no order.
    pub rotations: Vec<Line>,
    /// The last row of each key.
    pub airlines: BTreeMap<String, Line>,
}

const HOUR: i64 = 3_600_000;

impl Model {
    pub fn of(copies: i64) -> Self {
        let flights = rows::flights(copies);
        let (hours, late) = hours(&flights);
        Self {
            hours,
            late,
            storms: storms(&flights, &rows::weather(copies)),
            rotations: rotations(&flights),
            airlines: airlines(&flights),
        }
    }
}

#[derive(Default)]
struct Hour {
    flights: i64,
    cancelled: i64,
    delayed: i64,
    delay_minutes: i64,
    worst_delay: Option<i64>,
    newest: i64,
}

fn hours(flights: &[Flight]) -> (Vec<Line>, Vec<Line>) {
    let (mut closed, mut late) = (Vec::new(), Vec::new());
    // In order of end and key: windows of one size with one end have one start.
    let mut open: BTreeMap<(i64, String), Hour> = BTreeMap::new();
    let mut now = 0;
    for flight in flights {
        now = now.max(flight.at);
        let end = flight.at - flight.at % HOUR + HOUR;
        if now >= end + 2 * HOUR {
            late.push(Line::new(&flight.origin, flight.at, whole(flight)));
            continue;
        }
        let hour = open.entry((end, flight.origin.clone())).or_default();
        hour.flights += 1;
        hour.newest = hour.newest.max(flight.at);
        match flight.delay {
            None => hour.cancelled += 1,
            Some(delay) => {
                if delay >= 15 {
                    hour.delayed += 1;
                }
                if delay > 0 {
                    hour.delay_minutes += delay;
                }
                if hour.worst_delay.is_none_or(|worst| delay > worst) {
                    hour.worst_delay = Some(delay);
                }
            }
        }
        while open.first_key_value().is_some_and(|((end, _), _)| now >= end + 2 * HOUR) {
            closed.extend(open.pop_first().map(hour_line));
        }
    }
    closed.extend(open.into_iter().map(hour_line));
    (closed, late)
}

fn hour_line(((end, origin), hour): ((i64, String), Hour)) -> Line {
    let value = json!({
        "start": end - HOUR, "end": end, "flights": hour.flights,
        "cancelled": hour.cancelled, "delayed": hour.delayed,
        "delay_minutes": hour.delay_minutes, "worst_delay": hour.worst_delay,
    });
    Line::new(&origin, hour.newest, value)
}

fn whole(flight: &Flight) -> Value {
    json!({
        "carrier": flight.carrier, "flight": flight.flight, "tailnum": flight.tailnum,
        "dest": flight.dest, "distance": flight.distance, "scheduled": flight.scheduled,
        "delay": flight.delay, "air_minutes": flight.air_minutes,
    })
}

fn rotations(flights: &[Flight]) -> Vec<Line> {
    let (planes, names) = (rows::planes(), rows::airlines());
    let mut aircraft: BTreeMap<&str, Vec<&Flight>> = BTreeMap::new();
    for flight in flights.iter().filter(|flight| flight.delay.is_some()) {
        if let Some(tailnum) = &flight.tailnum {
            aircraft.entry(tailnum).or_default().push(flight);
        }
    }
    let mut lines = Vec::new();
    for (tailnum, mut legs) in aircraft {
        legs.sort_by_key(|leg| leg.at);
        let unknown = (None, None);
        let (seats, manufacturer) = planes.get(tailnum).unwrap_or(&unknown);
        for legs in legs.chunk_by(|one, next| next.at - one.at <= 20 * HOUR) {
            let (mut air_minutes, mut miles, mut airports) = (0, 0, BTreeSet::new());
            for leg in legs {
                air_minutes += leg.air_minutes.unwrap_or(0);
                miles += leg.distance;
                airports.insert(&leg.origin);
                airports.insert(&leg.dest);
            }
            let (start, end) = (legs[0].at, legs[legs.len() - 1].at);
            let last = legs.iter().filter(|leg| leg.at == end).map(|leg| &leg.carrier);
            let carrier = last.max().expect("a session has a last leg");
            let value = json!({
                "tailnum": tailnum, "start": start, "end": end, "legs": legs.len(),
                "air_minutes": air_minutes, "miles": miles, "airports": airports,
                "seats": seats, "manufacturer": manufacturer,
                "seat_miles": seats.map(|seats| seats * miles), "airline": names.get(carrier),
            });
            lines.push(Line::new(carrier, end, value));
        }
    }
    lines
}

fn airlines(flights: &[Flight]) -> BTreeMap<String, Line> {
    let mut lines = BTreeMap::new();
    for (carrier, name) in rows::airlines() {
        let (mut count, mut cancelled, mut delayed, mut miles, mut at) = (0, 0, 0, 0, 0);
        for flight in flights.iter().filter(|flight| flight.carrier == carrier) {
            count += 1;
            at = at.max(flight.at);
            match flight.delay {
                None => cancelled += 1,
                Some(delay) => {
                    miles += flight.distance;
                    delayed += i64::from(delay >= 15);
                }
            }
        }
        let value = json!({
            "airline": name, "flights": count, "cancelled": cancelled, "delayed": delayed,
            "miles": miles,
        });
        if count > 0 {
            lines.insert(carrier.clone(), Line::new(&carrier, at, value));
        }
    }
    lines
}

fn storms(flights: &[Flight], weather: &[Weather]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut newest: HashMap<&str, &Weather> = HashMap::new();
    let mut weather = weather.iter().peekable();
    for flight in flights {
        while let Some(seen) = weather.next_if(|weather| weather.at <= flight.at) {
            newest.insert(&seen.origin, seen);
        }
        let Some(seen) = newest.get(flight.origin.as_str()) else { continue };
        if flight.delay.is_some_and(|delay| delay >= 60) {
            let value = json!({
                "carrier": flight.carrier, "flight": flight.flight, "delay": flight.delay,
                "observed": seen.at, "temp": seen.temp, "wind_speed": seen.wind_speed,
                "precip": seen.precip, "visib": seen.visib,
            });
            lines.push(Line::new(&flight.origin, flight.at, value));
        }
    }
    lines
}
