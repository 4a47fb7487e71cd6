//! The CSV files as plain rows, read by nothing but a reader of CSV.

use flate2::read::MultiGzDecoder;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

/// Milliseconds in 31 days: how far a copy of the data is from the next.
const COPY: i64 = 31 * 86_400_000;

/// Where the data of the project is.
pub fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/nycflights13")
}

/// A line of a file by the names of its columns.
pub type Row = HashMap<String, String>;

fn rows(name: &str) -> Vec<Row> {
    let path = data().join(name);
    let file = File::open(&path).expect("the data of the project is there");
    let mut reader: csv::Reader<Box<dyn std::io::Read>> = if name.ends_with(".gz") {
        csv::Reader::from_reader(Box::new(MultiGzDecoder::new(file)))
    } else {
        csv::Reader::from_reader(Box::new(file))
    };
    reader.deserialize().map(|row| row.expect("the data of the project is good")).collect()
}

pub struct Flight {
    pub origin: String,
    pub carrier: String,
    pub flight: i64,
    pub tailnum: Option<String>,
    pub dest: String,
    pub distance: i64,
    pub scheduled: i64,
    pub delay: Option<i64>,
    pub air_minutes: Option<i64>,
    /// The event time.
    pub at: i64,
    /// When it is sent.
    pub reported: i64,
}

pub struct Weather {
    pub origin: String,
    pub at: i64,
    pub temp: Option<i64>,
    pub wind_speed: Option<i64>,
    pub precip: Option<i64>,
    pub visib: Option<i64>,
}

/// All flights of `copies` copies in the order in which they are sent.
pub fn flights(copies: i64) -> Vec<Flight> {
    let mut flights = Vec::new();
    for copy in 0..copies {
        for row in rows("flights.csv.gz") {
            let minute: i64 = number(&row, "minute");
            let scheduled = hour(&row["time_hour"]) + minute * 60_000 + copy * COPY;
            let delay = known(&row, "dep_delay");
            flights.push(Flight {
                origin: row["origin"].clone(),
                carrier: row["carrier"].clone(),
                flight: number(&row, "flight"),
                tailnum: Some(row["tailnum"].clone()).filter(|tailnum| tailnum != "NA"),
                dest: row["dest"].clone(),
                distance: number(&row, "distance"),
                scheduled,
                delay,
                air_minutes: known(&row, "air_time"),
                at: scheduled + delay.unwrap_or(0) * 60_000,
                reported: scheduled + delay.unwrap_or(150) * 60_000,
            });
        }
    }
    flights.sort_by_key(|flight| flight.reported);
    flights
}

/// All weather of `copies` copies in the order in which it is sent.
pub fn weather(copies: i64) -> Vec<Weather> {
    let mut weather = Vec::new();
    for copy in 0..copies {
        for row in rows("weather.csv.gz") {
            weather.push(Weather {
                origin: row["origin"].clone(),
                at: hour(&row["time_hour"]) + copy * COPY,
                temp: hundredths(&row["temp"]),
                wind_speed: hundredths(&row["wind_speed"]),
                precip: hundredths(&row["precip"]),
                visib: hundredths(&row["visib"]),
            });
        }
    }
    weather.sort_by_key(|weather| weather.at);
    weather
}

/// Seats and manufacturer by tail number.
pub fn planes() -> HashMap<String, (Option<i64>, Option<String>)> {
    let planes = rows("planes.csv.gz").into_iter().map(|row| {
        let manufacturer = Some(row["manufacturer"].clone()).filter(|name| name != "NA");
        (row["tailnum"].clone(), (known(&row, "seats"), manufacturer))
    });
    planes.collect()
}

/// Names by carrier.
pub fn airlines() -> HashMap<String, String> {
    let rows = rows("airlines.csv").into_iter();
    rows.map(|row| (row["carrier"].clone(), row["name"].clone())).collect()
}

/// `2013-01-31T19:00:00Z` or a time in February 2013, which is all that the files hold.
fn hour(text: &str) -> i64 {
    let day = match &text[..8] {
        "2013-01-" => 0,
        "2013-02-" => 31,
        other => panic!("{other} is not in the data"),
    };
    assert_eq!(&text[13..], ":00:00Z");
    let part = |from: usize| text[from..from + 2].parse::<i64>().expect("digits");
    1_356_998_400_000 + (day + part(8) - 1) * 86_400_000 + part(11) * 3_600_000
}

fn number(row: &Row, column: &str) -> i64 {
    row[column].parse().expect("a number")
}

fn known(row: &Row, column: &str) -> Option<i64> {
    (row[column] != "NA").then(|| number(row, column))
}

fn hundredths(text: &str) -> Option<i64> {
    (text != "NA").then(|| (text.parse::<f64>().expect("a number") * 100.0).round() as i64)
}
