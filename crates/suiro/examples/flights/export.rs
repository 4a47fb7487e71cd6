//! Writes each output topic to a file: one line of JSON per record.

use crate::outputs::Outputs;
use crate::topology::{
    AIRCRAFT_ROTATIONS, AIRLINE_TOTALS, HOURLY_DEPARTURES, LATE_FLIGHTS, STORMY_DEPARTURES,
};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use suiro::{Error, Received, Result, Timestamp};

/// A line.
#[derive(Serialize)]
struct Line<'a, K, V> {
    key: &'a K,
    at: Timestamp,
    value: Option<&'a V>,
}

/// Writes `<topic>.jsonl` for each output topic.
pub fn write(outputs: &Outputs, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    write_topic(dir, HOURLY_DEPARTURES.name(), &outputs.hours)?;
    write_topic(dir, LATE_FLIGHTS.name(), &outputs.late)?;
    write_topic(dir, AIRCRAFT_ROTATIONS.name(), &outputs.rotations)?;
    write_topic(dir, AIRLINE_TOTALS.name(), &outputs.airlines)?;
    write_topic(dir, STORMY_DEPARTURES.name(), &outputs.storms)
}

/// The file gets its name when it is whole, so that nobody takes a part for the whole.
fn write_topic<K: Serialize, V: Serialize>(
    dir: &Path,
    topic: &str,
    records: &[Received<K, V>],
) -> Result<()> {
    let (part, path) =
        (dir.join(format!("{topic}.jsonl.part")), dir.join(format!("{topic}.jsonl")));
    let written = write_lines(&part, records).and_then(|()| fs::rename(&part, &path));
    written.map_err(|error| failed(&path, error))
}

fn write_lines<K: Serialize, V: Serialize>(
    path: &Path,
    records: &[Received<K, V>],
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for Received { key, value, at, .. } in records {
        serde_json::to_writer(&mut file, &Line { key, at: *at, value: value.as_ref() })?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::unavailable("cannot write; choose another directory with --out")
        .with("path", path.display())
        .caused_by(error)
}
