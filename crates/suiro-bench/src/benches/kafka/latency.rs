//! From the time when a record is due to be sent to a read-committed reader of what follows
//! from it, at 10,000 records a second: as the bench `latency` on the embedded log.
//!
//! The subject `topic` has no program: its reader reads what the producer wrote. The producer
//! commits what is due together, so that its own commits are a part of every latency.

use super::broker::{Broker, unique};
use crate::benches::Outcome;
use crate::benches::latency::{Seen, drive};
use crate::measure::measure;
use crate::options::{Options, Setup, guarantee_name};
use crate::report::Line;
use std::thread::sleep;
use std::time::{Duration, Instant};
use suiro::{App, AppState, Durability, Integer, Plan, Running, Topic, Topology};

const NUMBERS: Topic<u64, u64> = Topic::of("numbers", &Integer, &Integer);

/// How long a program may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Topic,
    Stateless,
    Count,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Topic => "latency-topic",
            Self::Stateless => "latency-stateless",
            Self::Count => "latency-count",
        }
    }
}

pub fn run(options: &Options, broker: &Broker) -> Outcome<()> {
    let partitions = options.kafka.partitions.unwrap_or(4);
    let setup = options.setup(200_000, 1_000, Durability::Fsync, 100);
    for subject in [Subject::Topic, Subject::Stateless, Subject::Count] {
        pass(broker, &setup, partitions, subject)?;
    }
    Ok(())
}

fn pass(broker: &Broker, setup: &Setup, partitions: u32, subject: Subject) -> Outcome<()> {
    let name = unique(subject.name());
    let [sent, seen] = ["sent", "seen"].map(|what| NUMBERS.named(format!("{name}-{what}")));
    for topic in [&sent, &seen] {
        broker.create(topic.name(), partitions)?;
    }
    let plan = plan(subject, &name, &sent, &seen)?;
    let from = if subject == Subject::Topic { &sent } else { &seen };
    let (app, commit) =
        (|plan| App::new(plan, broker.kafka().clone()), Duration::from_millis(setup.commit_ms));
    let running = match &plan {
        Some(plan) => {
            let app = app(plan.clone()).threads(setup.threads as usize);
            let app = app.commit_interval(commit).guarantee(setup.guarantee);
            let running = app.start()?;
            ready(&running, partitions)?;
            Some(running)
        }
        None => None,
    };
    let before = broker.cpu_time()?;
    let (driven, cost) = measure(|| drive(setup, broker.kafka(), &sent, from));
    let Seen { mut latencies, mut overruns, expected, digest } = driven?;
    let spent = broker.cpu_time()?.zip(before);
    if let Some(running) = running {
        running.shutdown()?;
    }
    let mut line = Line::new("kafka", subject.name());
    line.text("guarantee", guarantee_name(setup.guarantee));
    line.number("records", setup.records as f64, 0);
    line.number("keys", setup.keys as f64, 0);
    line.number("partitions", f64::from(partitions), 0);
    line.number("threads", f64::from(setup.threads), 0);
    line.number("wall_s", cost.wall.as_secs_f64(), 3);
    line.number("cpu_s", cost.cpu.as_secs_f64(), 3);
    line.number("p50_ms", latencies.percentile_ms(0.5), 3);
    line.number("p99_ms", latencies.percentile_ms(0.99), 3);
    line.number("p99_9_ms", latencies.percentile_ms(0.999), 3);
    line.number("max_ms", latencies.percentile_ms(1.0), 3);
    line.number("probe_p99_ms", overruns.percentile_ms(0.99), 3);
    line.number("peak_rss_bytes", cost.peak_rss_mb * f64::from(1 << 20), 0);
    if let Some((after, before)) = spent {
        line.number("broker_cpu_s", after.saturating_sub(before).as_secs_f64(), 3);
    }
    line.number("commit_ms", setup.commit_ms as f64, 0);
    line.print();
    if let Some(plan) = plan {
        app(plan).reset()?.carry_out()?;
    }
    broker.remove(&[sent.name(), seen.name()])?;
    if digest == expected {
        return Ok(());
    }
    Err(format!("{} did not see what was sent", subject.name()).into())
}

/// The program of the subject, if it has one.
fn plan(
    subject: Subject,
    name: &str,
    sent: &Topic<u64, u64>,
    seen: &Topic<u64, u64>,
) -> Outcome<Option<Plan>> {
    let topology = Topology::new(name);
    match subject {
        Subject::Topic => return Ok(None),
        Subject::Stateless => topology.stream(sent).map(|sent| sent).to(seen),
        Subject::Count => topology
            .stream(sent)
            .fold("counts", || (0, 0), |row: &mut (u64, u64), sent| *row = (row.0 + 1, sent))
            .changes()
            .flat_map(|row| row.map(|(_, sent)| sent))
            .to(seen),
    }
    Ok(Some(topology.build()?))
}

/// Waits until the program has its tasks: records wait for a start otherwise.
fn ready(running: &Running, partitions: u32) -> Outcome<()> {
    let begun = Instant::now();
    let has_all = || running.metrics().tasks.len() >= partitions as usize;
    while running.state() != AppState::Running || !has_all() {
        if running.is_ended() || begun.elapsed() > PATIENCE {
            return Err("the program does not start".into());
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}
