//! Killed with SIGKILL at any moment and started again, as often as you like: the outputs are
//! those of a run that nobody disturbed.

use super::exports::Exports;
use super::process::{Process, bytes, run, temporary, text};
use std::path::Path;
use suiro::{Broker, Log, Reader, Result, Seed, Topic};

/// How the program is run.
#[derive(Clone, Copy, Debug)]
struct Setting {
    partitions: &'static str,
    exchange: &'static str,
    copies: &'static str,
}

/// Where kills have landed.
#[derive(Clone, Copy, Debug, Default)]
struct Landed {
    /// Before the inputs were committed.
    loading: usize,
    /// Before the first commit of the program.
    starting: usize,
    /// Between the first commit and the last, which closes what is open.
    running: usize,
    /// Behind the last commit: closing down, exporting, reporting.
    exporting: usize,
}

impl Landed {
    fn total(&self) -> usize {
        self.loading + self.starting + self.running + self.exporting
    }
}

fn args(setting: Setting, dir: &Path, out: &Path) -> Vec<String> {
    let Setting { partitions, exchange, copies } = setting;
    let args = [
        ["--dir", text(dir)],
        ["--out", text(out)],
        ["--partitions", partitions],
        ["--exchange", exchange],
        ["--copies", copies],
        ["--commit-ms", "1"],
    ];
    args.concat().into_iter().map(str::to_owned).collect()
}

/// Kills at least `kills` processes, in as many lives of the program as it takes, and compares
/// the outputs of each life with those of an undisturbed run.
fn survive(setting: Setting, kills: usize, seed: u64) -> Result<Landed> {
    let (dir, out) = (temporary(), temporary());
    let whole = args(setting, dir.path(), out.path());
    run(&whole).assert_success();
    let undisturbed = Exports::read(out.path());
    let work = (bytes(dir.path()), bytes(out.path()));
    let mut seed = Seed::new(seed);
    let mut landed = Landed::default();
    while landed.total() < kills {
        let (dir, out) = (temporary(), temporary());
        let args = args(setting, dir.path(), out.path());
        let mut goals: Vec<(u64, u64)> =
            (0..1 + seed.below(7)).map(|_| goal(&mut seed, work)).collect();
        goals.sort_unstable();
        for (exported, logged) in goals {
            let mut process = Process::start(&args);
            // A goal that an earlier process has passed is a kill while this one starts.
            let mut patience = seed.below(400);
            let there = process.wait_until(|| {
                patience = patience.saturating_sub(1);
                patience == 0 && bytes(dir.path()) >= logged && bytes(out.path()) >= exported
            });
            if !there {
                process.finish().assert_success();
                break;
            }
            if process.kill() {
                *place(dir.path(), &undisturbed, &mut landed) += 1;
            }
        }
        run(&args).assert_success();
        Exports::read(out.path()).assert_same(&undisturbed);
    }
    println!("{setting:?}: {landed:?}");
    Ok(landed)
}

/// The moment of a kill, as bytes that are exported and bytes that are in the log by then. One
/// in four comes while the export is written, and one when the log is nearly as large as it
/// gets and windows are closed.
fn goal(seed: &mut Seed, (logged, exported): (u64, u64)) -> (u64, u64) {
    match seed.below(4) {
        0 => (1 + seed.below(exported), 0),
        1 => (0, logged - seed.below(logged / 8)),
        _ => (0, seed.below(logged)),
    }
}

/// Where the process was that was killed. The log is only read, so that the next process finds
/// it as the kill has left it.
fn place<'a>(dir: &Path, whole: &Exports, landed: &'a mut Landed) -> &'a mut usize {
    let Ok(log) = Log::open_reader(dir) else { return &mut landed.loading };
    if count(&log, "flights") == 0 {
        &mut landed.loading
    } else if count(&log, "flights.hourly-departures.changelog") == 0 {
        &mut landed.starting
    } else if whole.counts().iter().any(|(topic, all)| count(&log, topic) < *all) {
        &mut landed.running
    } else {
        &mut landed.exporting
    }
}

/// The records of a topic; none if it does not exist.
fn count(log: &impl Broker, topic: &str) -> usize {
    let records = Reader::open(log, &Topic::bytes("").named(topic));
    records.and_then(|mut records| records.read_to_end()).map_or(0, |records| records.len())
}

#[test]
fn kills_change_nothing() -> Result<()> {
    for (seed, partitions, exchange) in [(1, "1", "memory"), (2, "4", "topic")] {
        let landed = survive(Setting { partitions, exchange, copies: "1" }, 4, seed)?;
        assert!(landed.total() >= 4, "{landed:?}");
    }
    Ok(())
}

/// The long form, for a release build: `cargo test --release --test flights -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn many_kills_change_nothing() -> Result<()> {
    let mut seed = 100;
    for partitions in ["1", "4"] {
        for exchange in ["memory", "topic"] {
            let setting = Setting { partitions, exchange, copies: "2" };
            let mut running = 0;
            while running < 20 {
                let landed = survive(setting, 40, seed)?;
                running += landed.running;
                seed += 1;
            }
        }
    }
    Ok(())
}
