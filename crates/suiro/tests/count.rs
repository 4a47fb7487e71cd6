//! The example `count`, as real processes on a real directory: killed, stopped and misused.

#[path = "../examples/count/options.rs"]
mod options;
#[path = "../examples/count/program.rs"]
mod program;

#[path = "count/audit.rs"]
mod audit;
#[path = "support/process.rs"]
mod process;

use audit::Audit;
use process::{Process, args_of_child, bytes, run, temporary, text};
use std::fs;
use std::path::Path;
use suiro::{Bytes, Encoded, Format, Producer, Raw, Result, Seed, TestDriver, Topic};

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

/// About how many bytes of work are done: loading writes input, counting writes output.
fn work(dir: &Path) -> u64 {
    bytes(&dir.join("topics/in")) + 4 * bytes(&dir.join("topics/out"))
}

/// Runs to the end, killed `kills` times on the way, at moments that `seed` spreads over the
/// work; then audits what is in the log.
fn survive(seed: u64, kills: usize, emit: &str, more: &[&str]) -> Result<()> {
    let dir = temporary();
    let args = to_the_end(dir.path(), emit, more);
    let mut seed = Seed::new(seed);
    let all = RECORDS * if emit == "every-change" { 200 } else { 110 };
    let mut goals: Vec<u64> = (0..kills).map(|_| seed.below(all)).collect();
    goals.sort_unstable();
    let mut killed = 0;
    for goal in goals {
        let mut process = Process::start(&args);
        // A goal that was passed by an earlier life is a kill while this one starts.
        let mut patience = seed.below(40);
        let there = process.wait_until(|| {
            patience = patience.saturating_sub(1);
            patience == 0 && work(dir.path()) >= goal
        });
        if !there {
            process.finish().assert_success();
            break;
        }
        process.kill();
        killed += 1;
    }
    assert!(killed > kills / 2, "only {killed} of {kills} kills came before the end");
    run(&args).assert_success();
    let audit = Audit::read(dir.path())?;
    audit.assert_loaded(RECORDS, KEYS);
    match emit {
        "every-change" => audit.assert_every_change(),
        _ => audit.assert_last_counts(),
    }
    let outputs = audit.outputs();
    run(&args).assert_success();
    assert_eq!(Audit::read(dir.path())?.outputs(), outputs, "a run after the end wrote");
    Ok(())
}

#[test]
fn every_change_survives_kills() -> Result<()> {
    survive(1, 6, "every-change", &["--threads", "1"])
}

#[test]
fn last_counts_survive_kills() -> Result<()> {
    survive(2, 6, "per-commit", &["--threads", "2"])
}

#[test]
#[ignore = "160 kills take a while"]
fn counts_survive_many_kills() -> Result<()> {
    for (seed, durability) in [(3, "fsync"), (4, "interval"), (5, "none"), (6, "fsync")] {
        survive(seed, 20, "every-change", &["--threads", "2", "--durability", durability])?;
        survive(seed, 20, "per-commit", &["--threads", "1", "--durability", durability])?;
    }
    Ok(())
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
