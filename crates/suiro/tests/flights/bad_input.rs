//! Bad input, bad places and a damaged log: each a clear error that names the place and what to
//! do, and nothing is lost.

use super::exports::Exports;
use super::load::fill;
use super::model::Model;
use super::options::Options;
use super::process::{bytes, run, text};
use super::rows::data;
use super::topology::{AIRLINES, FLIGHTS, PLANES, WEATHER};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use suiro::{Bytes, Cleanup, Log, Producer, Result, Topic};
use tempfile::{TempDir, tempdir};

const GOOD: &str = r#"{"carrier":"UA","flight":1,"tailnum":"N1","dest":"IAH","distance":1400,
    "scheduled":1357034400000,"delay":2,"air_minutes":227}"#;
const WRONG_TYPE: &str = r#"{"carrier":"UA","flight":1,"tailnum":"N1","dest":"IAH",
    "distance":1400,"scheduled":1357034400000,"delay":"soon","air_minutes":227}"#;
const TIME: i64 = 1_357_034_520_000;

/// A log with three flights of one airline; the second is `value` at `at`.
fn log_with(value: &str, at: i64) -> Result<TempDir> {
    let dir = tempdir().unwrap();
    let log = Log::open(dir.path())?;
    Producer::open(&log, &PLANES)?.create_with(1, Cleanup::Compact)?;
    Producer::open(&log, &AIRLINES)?.create_with(1, Cleanup::Compact)?;
    Producer::open(&log, &WEATHER)?.create(1)?;
    Producer::open(&log, &FLIGHTS)?.create(1)?;
    let mut airlines = Producer::open(&log, &Topic::bytes("airlines"))?;
    airlines.send("UA".into(), r#"{"name":"United"}"#.into(), 0)?;
    airlines.flush()?;
    let mut flights = Producer::open(&log, &Topic::bytes("flights"))?;
    for (value, at) in [(GOOD, TIME), (value, at), (GOOD, TIME)] {
        flights.send("EWR".into(), Bytes::copy_from_slice(value.as_bytes()), at)?;
    }
    flights.flush()?;
    log.close()?;
    Ok(dir)
}

/// How many flights the last row of the airline counts.
fn counted(out: &Path) -> u64 {
    let totals = fs::read_to_string(out.join("airline-totals.jsonl")).unwrap();
    let last = totals.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    last["value"]["flights"].as_u64().unwrap()
}

#[test]
fn bad_records_stop_the_run_or_are_skipped_and_counted() -> Result<()> {
    for (value, at, cause) in [
        ("not json", TIME, "not the json that was expected"),
        (WRONG_TYPE, TIME, "expected i64"),
        (GOOD, -5, "negative time"),
    ] {
        let (dir, out) = (log_with(value, at)?, tempdir().unwrap());
        let args = ["--dir", text(dir.path()), "--out", text(out.path()), "--partitions", "1"];
        let place = ["topic=`flights`", "partition=`0`", "offset=`1`", "mend it", cause];
        run(&args).assert_failure(&place);
        // A further run stops at the same record.
        run(&args).assert_failure(&place);
        let ended = run(&[&args[..], &["--on-error", "skip"]].concat());
        ended.assert_success();
        assert!(ended.printed.contains("1 skipped"), "{}", ended.printed);
        assert_eq!(counted(out.path()), 2, "{cause}");
    }
    Ok(())
}

/// A copy of the data in which one file is another.
fn data_with(name: &str, content: &[u8]) -> TempDir {
    let dir = tempdir().unwrap();
    for entry in fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::write(dir.path().join(name), content).unwrap();
    dir
}

fn flights_text() -> String {
    let mut text = String::new();
    let file = File::open(data().join("flights.csv.gz")).unwrap();
    MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn bad_files_are_named_and_load_nothing() {
    let good = fs::read(data().join("flights.csv.gz")).unwrap();
    let missing = packed(&flights_text().replacen("dep_delay", "delay", 1));
    for (content, expected) in [
        (&missing[..], ["flights.csv.gz`", "column=`dep_delay`", "column is missing"]),
        (&good[..good.len() / 2], ["flights.csv.gz`", "line=`", "cut short; copy it anew"]),
        (b"not packed", ["flights.csv.gz`", "file=`", "damaged"]),
    ] {
        let data = data_with("flights.csv.gz", content);
        let (dir, out) = (tempdir().unwrap(), tempdir().unwrap());
        let kept = ["--dir", text(dir.path()), "--out", text(out.path())];
        let bad = [&kept[..], &["--data", text(data.path())]].concat();
        run(&bad).assert_failure(&expected);
        run(&[&bad[..], &["--on-error", "skip"]].concat()).assert_failure(&expected);
        // With the file mended, the same log takes all of it.
        let ended = run(&kept);
        ended.assert_success();
        assert!(ended.printed.contains("32,568 records read"), "{}", ended.printed);
    }
}

#[test]
fn bad_fields_are_named_or_skipped_and_counted() {
    for (good, wrong, expected) in [
        ("UA,1545,", "UA,many,", ["line=`2`", "column=`flight`", "found=`many`"]),
        ("2013-01-01T10:00", "1913-01-01T10:00", ["line=`2`", "column=`time_hour`", "1970"]),
    ] {
        let bad = packed(&flights_text().replacen(good, wrong, 1));
        let data = data_with("flights.csv.gz", &bad);
        let args = ["--data", text(data.path())];
        run(&args).assert_failure(&expected);
        let ended = run(&[&args[..], &["--on-error", "skip"]].concat());
        ended.assert_success();
        assert!(ended.printed.contains("32,567 records read"), "{}", ended.printed);
        assert!(ended.printed.contains("1 skipped"), "{}", ended.printed);
    }
}

#[test]
fn wrong_options_are_named() {
    for (args, expected) in [
        (["--partitions", "0"], "give a number from 1 on"),
        (["--exchange", "pigeon"], "give memory or topic"),
        (["--speed", "9"], "--speed"),
        (["--data", "/nowhere"], "--data"),
    ] {
        run(&args).assert_failure(&[expected]);
    }
    let dir = tempdir().unwrap();
    run(&["--dir", text(dir.path()), "--partitions", "2"]).assert_success();
    let args = ["--dir", text(dir.path()), "--partitions", "3"];
    run(&args).assert_failure(&["--partitions", "partitions=`2`", "wanted=`3`"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "a file, not a directory").unwrap();
    let log = file.join("log");
    run(&["--dir", text(&log)]).assert_failure(&[text(&log), "cannot"]);
    let out = file.join("out");
    run(&["--out", text(&out)]).assert_failure(&[text(&out), "--out"]);
}

#[test]
fn a_directory_in_use_is_named_with_its_holder() -> Result<()> {
    let dir = tempdir().unwrap();
    let log = Log::options().holder("the test").open(dir.path())?;
    let args = ["--dir", text(dir.path())];
    run(&args).assert_failure(&["log is in use", text(dir.path()), "the test"]);
    log.close()?;
    run(&args).assert_success();
    Ok(())
}

/// The largest file below a directory.
fn largest(dir: &Path) -> PathBuf {
    let mut paths = vec![dir.to_path_buf()];
    let mut files = Vec::new();
    while let Some(path) = paths.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => paths.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => files.push(path),
        }
    }
    files.into_iter().max_by_key(|file| bytes(file)).unwrap()
}

/// Damages a file in its middle for the run `again`, which names it, mends the file, and runs
/// again.
fn damage(file: &Path, again: &[&str]) {
    let good = fs::read(file).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(file, &damaged).unwrap();
    run(again).assert_failure(&["damaged", text(file), "position=`"]);
    fs::write(file, &good).unwrap();
    run(again).assert_success();
}

#[test]
fn damaged_records_stop_with_the_place_and_the_run_goes_on_when_mended() {
    let (dir, out) = (tempdir().unwrap(), tempdir().unwrap());
    let args = ["--dir", text(dir.path()), "--out", text(out.path()), "--partitions", "1"];
    let options = std::iter::once("flights").chain(args).map(OsString::from);
    let options = Options::parse(options).unwrap().unwrap();
    let log = Log::open(dir.path()).unwrap();
    assert!(fill(&log, &options).unwrap().is_some());
    log.close().unwrap();

    let topics = dir.path().join("topics");
    damage(&largest(&topics.join("flights")), &args);
    let first = Exports::read(out.path());
    first.assert_streams(&Model::of(1));
    damage(&largest(&topics.join("hourly-departures")), &args);
    assert_eq!(first, Exports::read(out.path()));
}
