//! Programs on Apache Kafka: their input is there, and they run until all of it is taken and
//! committed. There is no loop beside them; the digest of what they write is held against that
//! of the same work over the same numbers, beside the measured time.

mod broker;
mod check;
mod input;
mod latency;
mod programs;

use super::Outcome;
use crate::measure::{Cost, measure};
use crate::options::{Options, guarantee_name};
use crate::report::Line;
use broker::Broker;
use input::Input;
use programs::Program;
use std::thread::sleep;
use std::time::{Duration, Instant};
use suiro::{App, Guarantee, Metrics, Plan};

/// How often the run is looked at: what its end and its first commit are known to.
const GLANCE: Duration = Duration::from_millis(2);

/// What a bench runs with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    records: u64,
    keys: u64,
    partitions: u32,
    /// The bytes of a value; a key has eight more.
    value_bytes: usize,
    threads: usize,
    commit: Duration,
    guarantee: Guarantee,
}

impl Setup {
    fn new(options: &Options) -> Outcome<Self> {
        let setup = Self {
            records: options.records.unwrap_or(4_000_000),
            keys: options.keys.unwrap_or(100_000),
            partitions: options.kafka.partitions.unwrap_or(4),
            value_bytes: options.kafka.value_bytes.unwrap_or(92),
            threads: options.threads.unwrap_or(1) as usize,
            commit: Duration::from_millis(options.commit_ms.unwrap_or(100)),
            guarantee: options.guarantee,
        };
        if setup.records == 0 || setup.keys == 0 || setup.partitions == 0 {
            return Err("records, keys and partitions are above zero".into());
        }
        if setup.value_bytes < 8 {
            return Err("a value has eight bytes at least, for a number".into());
        }
        Ok(setup)
    }
}

pub fn run(options: &Options) -> Outcome<()> {
    let broker = Broker::open(&options.kafka)?;
    if options.kafka.bench == "latency" {
        return latency::run(options, &broker);
    }
    let program = Program::named(&options.kafka.bench)?;
    let setup = Setup::new(options)?;
    let input = Input::prepare(&broker, setup)?;
    let name = broker::unique(program.name());
    let output = format!("{name}-output");
    broker.create(&output, setup.partitions)?;
    let plan = program.plan(&name, &input, &output)?;
    let ran = measured(&broker, &plan, setup);
    // What the run has left goes also when the check fails, or the next run would find less room.
    let checked = ran.and_then(|ran| {
        report(program, setup, &ran);
        check::check(program, &broker, &input, &output)
    });
    let tidied = tidy(&broker, &plan, &output);
    checked.and(tidied)
}

/// What a run was and what it cost.
struct Ran {
    cost: Cost,
    start: Duration,
    /// The CPU time of the broker, if its process is known.
    broker: Option<Duration>,
    metrics: Metrics,
}

fn measured(broker: &Broker, plan: &Plan, setup: Setup) -> Outcome<Ran> {
    let before = broker.cpu_time()?;
    let (ran, cost) = measure(|| bounded(app(broker, plan, setup)));
    let (start, metrics) = ran?;
    let after = broker.cpu_time()?;
    let broker = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(Ran { cost, start, broker, metrics })
}

fn app(broker: &Broker, plan: &Plan, setup: Setup) -> App {
    let app = App::new(plan.clone(), broker.kafka().clone());
    app.threads(setup.threads).commit_interval(setup.commit).guarantee(setup.guarantee)
}

/// Runs until all input is taken; gives how long it took to the first commit.
fn bounded(app: App) -> Outcome<(Duration, Metrics)> {
    let begun = Instant::now();
    let running = app.start_to_end()?;
    let mut first = None;
    while !running.is_ended() {
        if first.is_none() && running.metrics().commits > 0 {
            first = Some(begun.elapsed());
        }
        sleep(GLANCE);
    }
    let metrics = running.metrics();
    running.wait()?;
    Ok((first.unwrap_or_else(|| begun.elapsed()), metrics))
}

fn report(program: Program, setup: Setup, ran: &Ran) {
    let Ran { cost, start, broker, metrics } = ran;
    let mut line = Line::new("kafka", program.name());
    line.text("emit", program.emits());
    line.text("guarantee", guarantee_name(setup.guarantee));
    line.number("records", setup.records as f64, 0);
    line.number("keys", setup.keys as f64, 0);
    line.number("partitions", f64::from(setup.partitions), 0);
    line.number("value_bytes", setup.value_bytes as f64, 0);
    line.number("threads", setup.threads as f64, 0);
    line.number("wall_s", cost.wall.as_secs_f64(), 3);
    line.number("start_s", start.as_secs_f64(), 3);
    line.number("cpu_s", cost.cpu.as_secs_f64(), 3);
    line.number("records_per_cpu_s", setup.records as f64 / cost.cpu.as_secs_f64(), 0);
    line.number("peak_rss_bytes", cost.peak_rss_mb * f64::from(1 << 20), 0);
    if let Some(broker) = broker {
        line.number("broker_cpu_s", broker.as_secs_f64(), 3);
    }
    line.number("records_out", metrics.records_out as f64, 0);
    line.number("commits", metrics.commits as f64, 0);
    line.number("commit_ms", setup.commit.as_millis() as f64, 0);
    line.print();
}

/// Takes away what a program has made, and its output.
fn tidy(broker: &Broker, plan: &Plan, output: &str) -> Outcome<()> {
    App::new(plan.clone(), broker.kafka().clone()).reset()?.carry_out()?;
    broker.remove(&[output])
}
