//! The example `count`, as real processes on a real directory: stopped and misused.

#[path = "../examples/count/options.rs"]
mod options;
#[path = "../examples/count/program.rs"]
mod program;
#[path = "../examples/shared/mod.rs"]
mod shared;

#[path = "count/audit.rs"]
mod audit;
#[path = "support/process.rs"]
mod process;

use audit::Audit;
use process::{Process, args_of_child, bytes, run, temporary, text};
use std::fs;
use std::path::Path;
use suiro::{Bytes, Encoded, Format, Producer, Raw, Result, TestDriver, Topic};

const RECORDS: u64 = 12_000;
const KEYS: u64 = 40;

/// Does nothing, unless this process was started by a test: then it is the program.
#[test]
fn child() {
    if let Some(args) = args_of_child("count") {
        std::process::exit(program::main(args).into());
    }
}

/// The arguments of a run to the end over `RECORDS` records.
fn to_the_end(dir: &Path, emit: &str, more: &[&str]) -> Vec<String> {
    let (records, keys) = (RECORDS.to_string(), KEYS.to_string());
    let load = ["--load", &records, "--keys", &keys, "--partitions", "3", "--until-end"];
    let rest = ["--emit", emit, "--commit-ms", "2"];
    let log = ["--dir", text(dir), "--input", "in", "--output", "out"];
    let all = [&log[..], &load, &rest, more].concat();
    all.into_iter().map(str::to_owned).collect()
}

#[test]
fn a_signal_ends_it_with_success_and_nothing_is_lost() -> Result<()> {
    for (signal, emit) in [("TERM", "every-change"), ("INT", "per-commit")] {
        let dir = temporary();
        let until_end = to_the_end(dir.path(), emit, &[]);
        let endless: Vec<_> =
            until_end.iter().filter(|arg| *arg != "--until-end").cloned().collect();
        let mut process = Process::start(&endless);
        assert!(process.wait_until(|| bytes(&dir.path().join("topics/out")) > 0));
        process.signal(signal);
        process.finish().assert_success();
        run(&until_end).assert_success();
        let audit = Audit::read(dir.path())?;
        audit.assert_loaded(RECORDS, KEYS);
        match emit {
            "every-change" => audit.assert_every_change(),
            _ => audit.assert_last_counts(),
        }
    }
    Ok(())
}

#[test]
fn mistakes_are_named() {
    let dir = temporary();
    let wrong = |args: &[&str], code, expected: &str| {
        run(args).assert_failure(code, &[expected]);
    };
    let known = ["--dir", text(dir.path()), "--input", "in", "--output", "out"];
    wrong(&known[..4], 2, "count: --output is missing; --help names the options");
    let emit = [&known[..], &["--emit", "now"]].concat();
    wrong(&emit, 2, "it is every-change or per-commit");
    wrong(&["--threads", "0"], 2, "number would be zero");
    wrong(&["--quick"], 2, "'--quick'");
    wrong(
        &known,
        1,
        "topic does not exist; create it first, or let the app create its sources",
    );
    let file = dir.path().join("file");
    fs::write(&file, "no directory").expect("the directory can be written to");
    wrong(&["--dir", text(&file), "--input", "in", "--output", "out"], 1, text(&file));
}

/// Bytes of any kind, with a null.
const ANY: Topic<Bytes, Option<Bytes>> = Topic::of("in", &Raw, &Raw);
/// The counts as bytes, as other programs see them.
const SEEN: Topic<Bytes, Bytes> = Topic::bytes("out");

#[test]
fn keys_and_values_are_any_bytes() -> Result<()> {
    let args = ["count", "--dir", "-", "--input", "in", "--output", "out"];
    let options = options::parse(args.map(Into::into)).expect("the arguments are right");
    let options = options.expect("nobody asked for help");
    let mut driver = TestDriver::new(program::plan(&options)?)?;
    let keys: [&[u8]; 4] = [b"", b"\xff\xfe", b"\0", b"null"];
    let values = [None, Some(Bytes::new()), Some(Bytes::from_static(b"\xc3\x28"))];
    for key in keys {
        for value in &values {
            driver.send(&ANY, Bytes::from_static(key), value.clone(), 0)?;
        }
    }
    let counts = driver.read_last(&SEEN)?;
    assert_eq!(counts.len(), keys.len());
    assert!(counts.values().all(|count| &count[..] == b"3"), "{counts:?}");
    assert_eq!(driver.metrics().skipped, 0);
    Ok(())
}

#[test]
fn a_load_that_was_broken_off_goes_on_where_it_ended() -> Result<()> {
    let dir = temporary();
    let log = suiro::Log::open(dir.path())?;
    let mut input = Producer::open(&log, &Topic::bytes("in"))?;
    input.create(3)?;
    for number in 0..5000 {
        let (key, value) = program::record(number, KEYS);
        input.send(key, value, number as i64)?;
    }
    input.flush()?;
    drop((input, log));
    run(&to_the_end(dir.path(), "every-change", &[])).assert_success();
    let audit = Audit::read(dir.path())?;
    audit.assert_loaded(RECORDS, KEYS);
    audit.assert_every_change();
    Ok(())
}

#[test]
fn decimal_text_is_what_people_write() -> Result<()> {
    let mut bytes = Vec::new();
    let written = program::Decimal.encode(&u64::MAX, &mut bytes)?;
    assert_eq!((written, &bytes[..]), (Encoded::Bytes, &b"18446744073709551615"[..]));
    assert_eq!(program::Decimal.decode(&bytes)?, u64::MAX);
    let error = program::Decimal.decode(b"many").expect_err("a word is no number");
    assert_eq!(error.to_string(), "not a decimal number");
    Ok(())
}
