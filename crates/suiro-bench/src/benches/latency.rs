//! From the append of a record to a committed reader of what follows from it, at a fixed rate.
//!
//! The time of a record begins when the schedule says that it is to be sent, whether or not the
//! producer is late: what waits because others are slow is counted (no coordinated omission).
//! The subject `loop` is the log alone: its reader reads what the producer wrote.

use super::Outcome;
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::measure;
use crate::options::{Options, Setup, durability_name};
use crate::percentiles::Durations;
use crate::place::Place;
use crate::report::Line;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};
use suiro::{
    App, Broker, Durability, Integer, Log, Producer, Reader, Result, Running, Topic, Topology,
};

/// Values are times of the schedule, in nanoseconds since the start.
const SENT: Topic<u64, u64> = Topic::of("sent", &Integer, &Integer);
const ROWS: Topic<u64, u64> = Topic::of("rows", &Integer, &Integer);
const SEEN: Topic<u64, u64> = Topic::of("seen", &Integer, &Integer);

/// The time between two records: 10,000 a second.
const PACE: Duration = Duration::from_micros(100);
/// How long the reader waits for the last records.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Loop,
    Stateless,
    Count,
    Join,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Stateless => "stateless",
            Self::Count => "count",
            Self::Join => "join",
        }
    }
}

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(200_000, 1_000, Durability::Fsync, 100);
    for subject in [Subject::Loop, Subject::Stateless, Subject::Count, Subject::Join] {
        pass(&setup, subject)?;
    }
    Ok(())
}

fn pass(setup: &Setup, subject: Subject) -> Outcome<()> {
    let place = Place::new(setup.durability)?;
    for topic in [&SENT, &ROWS, &SEEN] {
        Producer::open(&place.log, topic)?.create(setup.threads)?;
    }
    let running = match subject {
        Subject::Loop => None,
        _ => Some(start(subject, setup, &place.log)?),
    };
    let from = if subject == Subject::Loop { &SENT } else { &SEEN };
    let (seen, cost) = measure(|| drive(setup, &place.log, &SENT, from));
    let Seen { mut latencies, mut overruns, expected, digest } = seen?;
    if let Some(running) = running {
        running.shutdown()?;
    }
    let mut line = Line::new("latency", subject.name());
    line.number("records", setup.records as f64, 0);
    line.number("keys", setup.keys as f64, 0);
    line.number("threads", f64::from(setup.threads), 0);
    line.number("wall_s", cost.wall.as_secs_f64(), 3);
    line.number("cpu_s", cost.cpu.as_secs_f64(), 3);
    line.number("records_per_cpu_s", setup.records as f64 / cost.cpu.as_secs_f64(), 0);
    line.number("p50_ms", latencies.percentile_ms(0.5), 3);
    line.number("p99_ms", latencies.percentile_ms(0.99), 3);
    line.number("p99_9_ms", latencies.percentile_ms(0.999), 3);
    line.number("probe_p99_ms", overruns.percentile_ms(0.99), 3);
    line.number("peak_rss_mb", cost.peak_rss_mb, 1);
    line.text("durability", durability_name(setup.durability));
    line.number("commit_ms", setup.commit_ms as f64, 0);
    line.text("checksum", &format!("{:016x}", digest.0));
    line.print();
    if digest == expected {
        return Ok(());
    }
    Err(format!("{} did not see what was sent", subject.name()).into())
}

/// Starts the program of the subject.
fn start(subject: Subject, setup: &Setup, log: &Log) -> Outcome<Running> {
    let topology = Topology::new(subject.name());
    let stream = topology.stream(&SENT);
    match subject {
        Subject::Loop | Subject::Stateless => stream.map(|sent| sent).to(&SEEN),
        Subject::Count => stream
            .fold("counts", || (0, 0), |row: &mut (u64, u64), sent| *row = (row.0 + 1, sent))
            .changes()
            .map(|row| row.map_or(0, |(_, sent)| sent))
            .to(&SEEN),
        Subject::Join => {
            let mut rows = Producer::open(log, &ROWS)?;
            (0..setup.keys).try_for_each(|key| rows.send(key, key, 0))?;
            rows.flush()?;
            let rows = topology.table(&ROWS);
            stream.join(&rows, |sent, _| sent).to(&SEEN);
        }
    }
    let app = App::new(topology.build()?, log.clone())
        .threads(setup.threads as usize)
        .commit_interval(Duration::from_millis(setup.commit_ms));
    Ok(app.start()?)
}

/// What the reader and the probe saw.
pub(super) struct Seen {
    pub(super) latencies: Durations,
    pub(super) overruns: Durations,
    pub(super) expected: Digest,
    pub(super) digest: Digest,
}

/// Writes to a topic at the pace, and reads from one what follows from it.
pub(super) fn drive(
    setup: &Setup,
    broker: &dyn Broker,
    to: &Topic<u64, u64>,
    from: &Topic<u64, u64>,
) -> Outcome<Seen> {
    let (epoch, over) = (Instant::now(), AtomicBool::new(false));
    scope(|scope| {
        let producer = scope.spawn(|| produce(setup, broker, to, epoch));
        let probe = scope.spawn(|| probe(&over));
        let read = read(setup, broker, from, epoch);
        over.store(true, Ordering::Relaxed);
        let expected = joined(producer)??;
        let overruns = joined(probe)?;
        let (latencies, digest) = read?;
        Ok(Seen { latencies, overruns, expected, digest })
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> Outcome<T> {
    thread.join().map_err(|_| "a thread of the bench panicked".into())
}

/// Sends each record when it is due; those that are due together go together.
fn produce(
    setup: &Setup,
    broker: &dyn Broker,
    to: &Topic<u64, u64>,
    epoch: Instant,
) -> Result<Digest> {
    let input = Input::new(&Setup { threads: 1, ..*setup });
    let mut producer = Producer::open(broker, to)?.guarantee(setup.guarantee);
    let mut digest = Digest::default();
    let mut number = 0;
    while let Some((key, _)) = input.at(0, number) {
        let due = PACE * number as u32;
        let now = epoch.elapsed();
        if due > now {
            producer.flush()?;
            sleep(due.saturating_sub(epoch.elapsed()));
            continue;
        }
        let stamp = due.as_nanos() as u64;
        digest.add(&[key, stamp]);
        producer.send(key, stamp, now.as_millis() as i64)?;
        number += 1;
    }
    producer.flush()?;
    Ok(digest)
}

/// Reads until all records are there, or none comes any more.
fn read(
    setup: &Setup,
    broker: &dyn Broker,
    from: &Topic<u64, u64>,
    epoch: Instant,
) -> Result<(Durations, Digest)> {
    let mut reader = Reader::open(broker, from)?;
    let mut latencies = Durations::with_capacity(setup.records as usize);
    let (mut digest, mut seen, mut last) = (Digest::default(), 0, epoch.elapsed());
    while seen < setup.records && epoch.elapsed() < last + PATIENCE {
        let records = reader.follow(Duration::from_millis(500))?;
        let now = epoch.elapsed();
        if !records.is_empty() {
            last = now;
        }
        for record in records {
            let stamp = record.value.unwrap_or_default();
            latencies.add(now.saturating_sub(Duration::from_nanos(stamp)));
            digest.add(&[record.key, stamp]);
            seen += 1;
        }
    }
    Ok((latencies, digest))
}

/// Sleeps a millisecond at a time, and notes how much longer it took: what the machine adds to
/// any latency.
fn probe(over: &AtomicBool) -> Durations {
    const NAP: Duration = Duration::from_millis(1);
    let mut overruns = Durations::default();
    while !over.load(Ordering::Relaxed) {
        let before = Instant::now();
        sleep(NAP);
        overruns.add(before.elapsed().saturating_sub(NAP));
    }
    overruns
}
