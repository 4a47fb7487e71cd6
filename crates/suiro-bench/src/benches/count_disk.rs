//! Counts of more keys than memory holds: the state is on the disk, and memory is a cache of a
//! stated size. Beside it the disk store alone, asked and written to record by record.

use super::count_log::{COUNTS, EVENTS, load, plain};
use super::{Outcome, app};
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Emit, Options, Setup, durability_name};
use crate::report::Report;
use std::ops::{Bound, ControlFlow};
use std::process::{Command, Stdio};
use std::time::Duration;
use suiro::store::{Change, StoreProvider};
use suiro::{DiskStores, Durability, Log, Topology};

/// The log has this part of the memory.
const LOG: usize = 6;

/// The subjects as processes of their own, so that none has the memory that another left.
pub const STORE: &str = "count-log/disk-store";
pub const SUIRO: &str = "count-log/suiro";

pub fn run(options: &Options, budget: u64) -> Outcome<()> {
    let setup = setup(options);
    let mut report = Report::new("count-log", setup);
    report.subject("loop", None, plain(&setup))?;
    for (child, name, emit) in
        [(STORE, "disk-store", None), (SUIRO, "suiro", Some(Emit::PerCommit))]
    {
        let (answer, figures) = run_child(child, &setup, budget)?;
        let mut all = vec![("budget_mb", (budget >> 20) as f64)];
        all.extend(figures.iter().map(|(name, figure)| (name.as_str(), *figure)));
        report.subject_with(name, emit, answer, &all)?;
    }
    Ok(())
}

fn setup(options: &Options) -> Setup {
    options.setup(20_000_000, 20_000_000, Durability::Fsync, 1_000)
}

type Figures = Vec<(String, f64)>;

/// Has a child do the work, and reads what it cost.
fn run_child(child: &str, setup: &Setup, budget: u64) -> Outcome<((Digest, Cost), Figures)> {
    let number = |name: &str, value: u64| [format!("--{name}"), value.to_string()];
    let mut program = Command::new(std::env::current_exe()?);
    program.args([child, "--store", "disk", "--durability", durability_name(setup.durability)]);
    program.args(number("records", setup.records)).args(number("keys", setup.keys));
    program.args(number("commit-ms", setup.commit_ms));
    program.args(number("threads", setup.threads.into())).args(number("memory-budget", budget));
    let output = program.stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8(output.stdout)?;
    let mut figures = Vec::new();
    for word in said.split_whitespace() {
        let (name, figure) = word.split_once('=').ok_or("a child says what it should not")?;
        figures.push((name.to_owned(), figure.to_owned()));
    }
    let mut take = |name: &str| {
        let place = figures.iter().position(|(other, _)| other == name);
        place.map(|place| figures.remove(place).1).ok_or(format!("{child} did not say {name}"))
    };
    let digest = Digest(take("digest")?.parse()?);
    let wall = Duration::from_secs_f64(take("wall")?.parse()?);
    let cpu = Duration::from_secs_f64(take("cpu")?.parse()?);
    let cost = Cost { wall, cpu, peak_rss_mb: take("peak")?.parse()? };
    let rest = figures.into_iter().map(|(name, figure)| Ok((name, figure.parse()?)));
    Ok(((digest, cost), rest.collect::<Outcome<Figures>>()?))
}

/// A subject, in a process of its own.
pub fn child(options: &Options) -> Outcome<()> {
    let (setup, budget) = (setup(options), options.disk_budget.unwrap_or_default());
    let ((digest, cost), figures) = match options.bench.as_str() {
        STORE => (alone(&setup, budget)?, Vec::new()),
        _ => suiro(&setup, budget)?,
    };
    let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
    println!("digest={} wall={wall} cpu={cpu} peak={}", digest.0, cost.peak_rss_mb);
    figures.iter().for_each(|(name, figure)| println!("{name}={figure}"));
    Ok(())
}

/// The disk store without a cache of rows before it.
fn alone(setup: &Setup, budget: u64) -> Outcome<(Digest, Cost)> {
    let dir = tempfile::Builder::new().prefix("suiro-bench-").tempdir()?;
    let stores = DiskStores::open_in(dir.path(), budget)?;
    let mut store = stores.open("counts", 0)?;
    let input = Input::new(setup);
    let (done, cost) = measure(|| {
        let numbers = (0..input.records())
            .flat_map(|number| input.partitions().map(move |partition| (partition, number)));
        for (position, (partition, number)) in numbers.enumerate() {
            let Some((key, _)) = input.at(partition, number) else { continue };
            let key = key.to_be_bytes();
            let count = store.get(&key)?.map_or(0, |bytes| read(&bytes)) + 1;
            let value = Some(count.to_be_bytes().to_vec().into());
            let change = Change { key: key.to_vec().into(), value };
            store.apply(&[change], position as i64)?;
        }
        Ok::<_, suiro::Error>(())
    });
    done?;
    let mut digest = Digest::default();
    store.range(Bound::Unbounded, Bound::Unbounded, &mut |key, count| {
        digest.add(&[read(key), read(count)]);
        ControlFlow::Continue(())
    })?;
    Ok((digest, cost))
}

fn read(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn suiro(setup: &Setup, budget: u64) -> Outcome<((Digest, Cost), Figures)> {
    let place = load(setup, Log::options().memory(budget as usize / LOG))?;
    let dir = tempfile::Builder::new().prefix("suiro-bench-").tempdir()?;
    let topology = Topology::new("count-disk");
    topology.stream(&EVENTS).count("counts").to(&COUNTS);
    let app = app(topology, &place.log, setup)?.state_on_disk(dir.path(), budget as usize)?;
    let (done, cost) = measure(|| app.run_to_end());
    let metrics = done?;
    let digest = place.table(&COUNTS, |key, count| [*key, *count])?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let figures = [
        ("longest_pause_ms", ms(metrics.longest_pause)),
        ("longest_round_ms", ms(metrics.longest_round)),
        ("waited_ms", ms(metrics.below.waited)),
        ("rows_held", metrics.below.held as f64),
        ("rows_read", metrics.below.read as f64),
        ("rows_dropped", metrics.below.dropped as f64),
    ];
    let figures = figures.map(|(name, figure)| (name.to_owned(), figure));
    Ok(((digest, cost), figures.to_vec()))
}
