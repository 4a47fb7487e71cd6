//! From the start of a process to its first new record, with much state: from a snapshot, and
//! from the whole changelog.

use super::Outcome;
use crate::digest::Digest;
use crate::options::{Options, Setup};
use crate::report::Line;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use suiro::{
    App, Durability, Integer, Log, Metrics, Plan, Producer, Running, Snapshots, Topic, Topology,
};

/// The first words of command lines that make this binary a program that starts, in the
/// directory of its log.
pub const FROM_SNAPSHOT: &str = "restart-from-snapshot";
pub const FROM_CHANGELOG: &str = "restart-from-changelog";

const ORDERS: Topic<u64, u64> = Topic::of("orders", &Integer, &Integer);

/// The store, and the app.
const CUSTOMERS: &str = "customers";

/// A row: with its key about 80 bytes in the changelog.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Customer {
    orders: u64,
    spent: u64,
    largest: u64,
    latest: u64,
    rebate: u64,
}

impl Customer {
    fn add(&mut self, cents: u64) {
        self.orders += 1;
        self.spent += cents;
        self.largest = self.largest.max(cents);
        self.rebate = self.spent / 20;
        self.latest = cents;
    }
}

pub fn run(options: &Options) -> Outcome<()> {
    let threads = options.threads.or(Some(2));
    let options = Options { threads, ..options.clone() };
    let setup = options.setup(0, 5_000_000, Durability::None, 1_000);
    let tail = options.records.unwrap_or(10_000).min(setup.keys);
    let dir = tempfile::Builder::new().prefix("suiro-bench-").tempdir()?;
    let snapshot_s = prepare(dir.path(), &setup, tail)?;
    let mut digests = Vec::new();
    for (mode, subject) in [(FROM_SNAPSHOT, "snapshot"), (FROM_CHANGELOG, "changelog")] {
        let restart = restart(dir.path(), mode)?;
        let mut line = Line::new("restart", subject);
        line.number("keys", setup.keys as f64, 0);
        line.number("partitions", f64::from(setup.threads), 0);
        line.number("changelog_mb", size_mb(dir.path(), "topics")?, 1);
        line.number("snapshot_mb", size_mb(dir.path(), "snapshots")?, 1);
        line.number("snapshot_s", snapshot_s, 3);
        line.number("log_open_s", restart.opened, 3);
        line.number("first_record_s", restart.first_record, 3);
        line.number("loaded", restart.loaded, 0);
        line.number("replayed", restart.replayed, 0);
        line.text("checksum", &restart.digest);
        line.print();
        digests.push(restart.digest);
    }
    if digests[0] == digests[1] { Ok(()) } else { Err("the two states differ".into()) }
}

/// Fills a log, takes a snapshot, and has a few more records processed. Gives how long the
/// snapshot took, in seconds.
fn prepare(dir: &Path, setup: &Setup, tail: u64) -> Outcome<f64> {
    let log = Log::options().durability(setup.durability).open(dir)?;
    let mut orders = Producer::open(&log, &ORDERS)?;
    orders.create(setup.threads)?;
    let app = App::new(plan()?, log.clone()).threads(setup.threads as usize);
    let running = app.snapshots(snapshots()).start()?;
    for key in 0..setup.keys {
        orders.send(key, key % 1_000_000, (key / 1_000) as i64)?;
    }
    orders.flush()?;
    wait(&running, setup.keys);
    let begun = Instant::now();
    running.snapshot()?;
    let took = begun.elapsed().as_secs_f64();
    for key in 0..tail {
        orders.send(key, 1_000, (setup.keys / 1_000) as i64)?;
    }
    orders.flush()?;
    wait(&running, setup.keys + tail);
    running.shutdown()?;
    drop(orders);
    log.close()?;
    Ok(took)
}

fn plan() -> Outcome<Plan> {
    let topology = Topology::new("restart");
    let _customers =
        topology.stream(&ORDERS).fold(CUSTOMERS, Customer::default, |customer, cents| {
            customer.add(cents);
        });
    Ok(topology.build()?)
}

fn snapshots() -> Snapshots {
    Snapshots::every(Duration::from_hours(1))
}

fn wait(running: &Running, records: u64) -> Metrics {
    loop {
        let metrics = running.metrics();
        if metrics.records_in >= records || running.is_ended() {
            return metrics;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// What a start came to; times in seconds since the process was started.
struct Restart {
    opened: f64,
    first_record: f64,
    loaded: f64,
    replayed: f64,
    digest: String,
}

/// Appends one record, starts the program, and waits for it to have processed that record.
fn restart(dir: &Path, mode: &str) -> Outcome<Restart> {
    let log = Log::open(dir)?;
    let mut orders = Producer::open(&log, &ORDERS)?;
    // A customer for each start, so that the others are the same after both.
    let number = u64::from(mode == FROM_CHANGELOG);
    orders.send(number, 7, i64::MAX >> 16)?;
    orders.flush()?;
    drop(orders);
    log.close()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(mode).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let mut output = BufReader::new(child.stdout.take().ok_or("the program has no output")?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    let opened = begun.elapsed().as_secs_f64();
    line.clear();
    output.read_line(&mut line)?;
    let first_record = begun.elapsed().as_secs_f64();
    let mut digest = String::new();
    output.read_to_string(&mut digest)?;
    if !child.wait()?.success() {
        return Err("the program failed".into());
    }
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut number = || numbers.next().ok_or("the program said too little");
    let (loaded, replayed) = (number()??, number()??);
    Ok(Restart { opened, first_record, loaded, replayed, digest: digest.trim().to_owned() })
}

/// The program that starts: it says when the log is open, when it has processed a record, and
/// what is in its store.
pub fn child(mode: &str) -> Outcome<()> {
    let log = Log::open(".")?;
    println!("open");
    let mut app = App::new(plan()?, log.clone()).threads(2);
    if mode == FROM_SNAPSHOT {
        app = app.snapshots(snapshots());
    }
    let running = app.start()?;
    let metrics = wait(&running, 1);
    if running.is_ended() {
        return Ok(running.wait()?);
    }
    println!("{} {}", metrics.loaded, metrics.restored);
    let mut digest = Digest::default();
    for row in running.query::<u64, Customer>(CUSTOMERS)?.all()? {
        // The customers of the records that the two starts begin with are left out.
        if row.key > 1 {
            digest.add(&[row.key, row.value.orders, row.value.spent, row.value.latest]);
        }
    }
    println!("{:016x}", digest.0);
    Ok(running.shutdown()?)
}

fn size_mb(dir: &Path, part: &str) -> Outcome<f64> {
    fn size(path: &Path) -> std::io::Result<u64> {
        let meta = path.metadata()?;
        if !meta.is_dir() {
            return Ok(meta.len());
        }
        std::fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
    }
    let part = dir.join(part);
    let topics = std::fs::read_dir(&part)?;
    let mut bytes = 0;
    for entry in topics {
        let path = entry?.path();
        if path.file_name().is_none_or(|name| name != "orders") {
            bytes += size(&path)?;
        }
    }
    Ok(bytes as f64 / 1e6)
}
