//! Bad input, bad places and a damaged log: each a clear error that names the place and what to
//! do, and nothing is lost.

use super::exports::Exports;
use super::load::fill;
use super::model::Model;
use super::options::Options;
use super::process::{bytes, run, temporary, text};
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
use tempfile::TempDir;

const GOOD: &str = r#"{"carrier":"UA","flight":1,"tailnum":"N1","dest":"IAH","distance":1400,
    "scheduled":1357034400000,"delay":2,"air_minutes":227}"#;
const WRONG_TYPE: &str = r#"{"carrier":"UA","flight":1,"tailnum":"N1","dest":"IAH",
    "distance":1400,"scheduled":1357034400000,"delay":"soon","air_minutes":227}"#;
/// Why a test may expect its files to be good.
const FILES: &str = "a test can read and write its own files";
const TIME: i64 = 1_357_034_520_000;

/// A log with three flights of one airline; the second is `value` at `at`.
fn log_with(value: &str, at: i64) -> Result<TempDir> {
    let dir = temporary();
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
    let totals = fs::read_to_string(out.join("airline-totals.jsonl")).expect(FILES);
    let last = totals.lines().last().expect("there are totals");
    let last: serde_json::Value = serde_json::from_str(last).expect("lines are json");
    last["value"]["flights"].as_u64().expect("a count is a number")
}

#[test]
fn bad_records_stop_the_run_or_are_skipped_and_counted() -> Result<()> {
    for (value, at, cause) in [
        ("not json", TIME, "not the json that was expected"),
        (WRONG_TYPE, TIME, "expected i64"),
        (GOOD, -5, "negative time"),
    ] {
        let (dir, out) = (log_with(value, at)?, temporary());
        let args = ["--dir", text(dir.path()), "--out", text(out.path()), "--partitions", "1"];
        let place = ["topic=`flights`", "partition=`0`", "offset=`1`", "mend it", cause];
        run(&args).assert_failure(1, &place);
        // A further run stops at the same record.
        run(&args).assert_failure(1, &place);
        run(&[&args[..], &["--on-error", "skip"]].concat()).assert_prints(&["1 skipped"]);
        assert_eq!(counted(out.path()), 2, "{cause}");
    }
    Ok(())
}

/// A copy of a directory and all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect(FILES);
    for entry in fs::read_dir(from).expect(FILES) {
        let path = entry.expect(FILES).path();
        let target = to.join(path.file_name().expect("entries have names"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).expect(FILES)),
        }
    }
}

/// The data with other flights.
fn data_with(flights: &[u8]) -> TempDir {
    let dir = temporary();
    copy(&data(), dir.path());
    fs::write(dir.path().join("flights.csv.gz"), flights).expect(FILES);
    dir
}

/// How many records there are in all, with some hundreds of flights.
const FEW: &str = "5,963 records read";
const ONE_LESS: &str = "5,962 records read";

/// Some hundreds of flights.
fn few_flights() -> String {
    let mut text = String::new();
    let file = File::open(data().join("flights.csv.gz")).expect(FILES);
    MultiGzDecoder::new(file).read_to_string(&mut text).expect(FILES);
    text.lines().take(400).flat_map(|line| [line, "\n"]).collect()
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).expect(FILES);
    packed.finish().expect(FILES)
}

#[test]
fn bad_files_are_named_and_load_nothing() {
    let good = packed(&few_flights());
    let missing = packed(&few_flights().replacen("dep_delay", "delay", 1));
    for (content, expected) in [
        (&missing[..], ["flights.csv.gz`", "column=`dep_delay`", "column is missing"]),
        (&good[..good.len() / 2], ["flights.csv.gz`", "line=`", "cut short; copy it anew"]),
        (b"not packed", ["flights.csv.gz`", "file=`", "damaged"]),
    ] {
        let (data, dir) = (data_with(content), temporary());
        let args = ["--dir", text(dir.path()), "--data", text(data.path())];
        run(&args).assert_failure(1, &expected);
        run(&[&args[..], &["--on-error", "skip"]].concat()).assert_failure(1, &expected);
        // With the file mended, the same log takes all of it.
        fs::write(data.path().join("flights.csv.gz"), &good).unwrap();
        run(&args).assert_prints(&[FEW]);
    }
}

#[test]
fn bad_fields_are_named_or_skipped_and_counted() {
    for (good, wrong, expected) in [
        ("UA,1545,", "UA,many,", ["line=`2`", "column=`flight`", "found=`many`"]),
        ("2013-01-01T10:00", "1913-01-01T10:00", ["line=`2`", "column=`time_hour`", "1970"]),
    ] {
        let data = data_with(&packed(&few_flights().replacen(good, wrong, 1)));
        let args = ["--data", text(data.path())];
        run(&args).assert_failure(1, &expected);
        let skipping = [&args[..], &["--on-error", "skip"]].concat();
        run(&skipping).assert_prints(&[ONE_LESS, "1 skipped"]);
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
        run(&args).assert_failure(1, &[expected]);
    }
    let (data, dir) = (data_with(&packed(&few_flights())), temporary());
    let args = ["--data", text(data.path()), "--dir", text(dir.path()), "--partitions"];
    run(&[&args[..], &["2"]].concat()).assert_success();
    let other = run(&[&args[..], &["3"]].concat());
    other.assert_failure(1, &["--partitions", "partitions=`2`", "wanted=`3`"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let dir = temporary();
    let file = dir.path().join("file");
    fs::write(&file, "a file, not a directory").unwrap();
    let log = file.join("log");
    run(&["--dir", text(&log)]).assert_failure(1, &[text(&log), "cannot"]);
    let out = file.join("out");
    run(&["--out", text(&out)]).assert_failure(1, &[text(&out), "--out"]);
}

#[test]
fn a_directory_in_use_is_named_with_its_holder() -> Result<()> {
    let dir = temporary();
    let log = Log::options().holder("the test").open(dir.path())?;
    let args = ["--dir", text(dir.path())];
    run(&args).assert_failure(1, &["log is in use", text(dir.path()), "the test"]);
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
            Ok(entries) => paths.extend(entries.map(|entry| entry.expect(FILES).path())),
            Err(_) => files.push(path),
        }
    }
    files.into_iter().max_by_key(|file| bytes(file)).expect("there are files")
}

/// Damages a file in the middle of what it holds (zeros at its end are nothing), for the run
/// `again`, which names it; then mends the file, and runs again.
fn damage(file: &Path, again: &[&str]) {
    let good = fs::read(file).expect(FILES);
    let mut damaged = good.clone();
    let middle =
        good.iter().rposition(|byte| *byte != 0).expect("the file holds something") / 2;
    damaged[middle] ^= 1;
    fs::write(file, &damaged).expect(FILES);
    run(again).assert_failure(1, &["damaged", text(file), "position=`"]);
    fs::write(file, &good).expect(FILES);
    run(again).assert_success();
}

/// A log that the program has loaded and not run on.
fn loaded(dir: &Path, args: &[&str]) -> Log {
    let options = std::iter::once(&"flights").chain(args).map(OsString::from);
    let options = Options::parse(options).expect("good options").expect("no call for help");
    let log = Log::open(dir).expect("the directory is good");
    assert!(fill(&log, &options).expect("the data are good").is_some());
    log
}

#[test]
fn damaged_records_stop_with_the_place_and_the_run_goes_on_when_mended() {
    let (dir, out) = (temporary(), temporary());
    let args = ["--dir", text(dir.path()), "--out", text(out.path()), "--partitions", "1"];
    loaded(dir.path(), &args).close().unwrap();
    let topics = dir.path().join("topics");
    damage(&largest(&topics.join("flights")), &args);
    let first = Exports::read(out.path());
    first.assert_streams(&Model::of(1));
    damage(&largest(&topics.join("hourly-departures")), &args);
    assert_eq!(first, Exports::read(out.path()));
}

#[test]
fn a_damaged_journal_stops_with_the_place_and_the_run_goes_on_when_mended() {
    let data = data_with(&packed(&few_flights()));
    let (dir, killed) = (temporary(), temporary());
    let args = ["--dir", text(killed.path()), "--data", text(data.path()), "--partitions", "1"];
    let log = loaded(dir.path(), &args);
    // What lies behind the damage says that it is no torn tail.
    Producer::open(&log, &Topic::<u64, u64>::json("later")).unwrap().create(1).unwrap();
    // As a process leaves it that is killed: nothing is closed.
    copy(dir.path(), killed.path());
    damage(&largest(&killed.path().join("journal")), &args);
}
