//! Measures the log on this machine: bytes per second, and the time from an append to a
//! committed reader. `cargo run --release -p suiro-log --example probe -- [DIR]`

use bytes::Bytes;
use std::time::{Duration, Instant};
use suiro_core::batch::{BatchHeader, BatchWriter, Compression};
use suiro_core::broker::{Broker, Cleanup, Event, Fetch, Outcome, Session, TopicSpec};
use suiro_core::{Headers, Result, Timestamp, TopicPartition};
use suiro_log::{Durability, Log};

const RECORD: [u8; 100] = [7; 100];

fn main() -> Result<()> {
    let dir = match std::env::args().nth(1) {
        Some(dir) => dir.into(),
        None => std::env::temp_dir().join(format!("suiro-probe-{}", std::process::id())),
    };
    for (name, durability) in [
        ("fsync", Durability::Fsync),
        ("interval", Durability::Interval(Duration::from_millis(100))),
        ("none", Durability::None),
    ] {
        let dir = dir.join(name);
        let log = Log::options().durability(durability).open(&dir)?;
        // First, so that it does not wait for what the throughput leaves to be written.
        latency(&log, name)?;
        throughput(&log, name)?;
        drop(log);
        std::fs::remove_dir_all(&dir).map_err(|error| {
            suiro_core::Error::unavailable("cannot remove the log").caused_by(error)
        })?;
    }
    Ok(())
}

fn batch(records: usize) -> Result<Bytes> {
    let mut writer = BatchWriter::new(Compression::None);
    for _ in 0..records {
        writer.push(Timestamp::ZERO, None, Some(&RECORD), &Headers::NONE);
    }
    writer.finish()
}

fn create(session: &mut dyn Session, name: &str, partitions: u32) {
    let cleanup = Cleanup::Keep;
    session.create(vec![TopicSpec { name: name.into(), partitions, cleanup }]);
}

/// Commits of 64 batches of 100 records of 100 bytes; then all of it is read.
fn throughput(log: &Log, name: &str) -> Result<()> {
    const COMMITS: usize = 1000;
    let mut session = log.session("writer")?;
    create(&mut *session, "t", 4);
    let batch = batch(100)?;
    let bytes = (COMMITS * 64 * batch.len()) as f64 / 1e6;
    let started = Instant::now();
    let (mut open, mut events) = (0, Vec::new());
    for _ in 0..COMMITS {
        let commit = session.begin();
        for at in 0..64 {
            session.append(commit, &TopicPartition::new("t", at % 4), batch.clone());
        }
        session.commit(commit, None, Vec::new());
        open += 1;
        while open > 4 {
            session.wait(Duration::from_secs(1));
            session.poll(&mut events);
            open -= committed(&mut events);
        }
    }
    while open > 0 {
        session.wait(Duration::from_secs(1));
        session.poll(&mut events);
        open -= committed(&mut events);
    }
    let wrote = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let mut read = 0;
    for partition in 0..4 {
        let (partition, mut offset) = (TopicPartition::new("t", partition), 0);
        loop {
            let fetch = Fetch { partition: partition.clone(), offset, max_bytes: 1 << 20 };
            session.fetch(fetch);
            session.poll(&mut events);
            let Some(Event::Fetched(_, fetched)) = events.pop() else { continue };
            let fetched = fetched?;
            read += fetched.batches.len();
            offset = fetched.next;
            if offset == fetched.end {
                break;
            }
        }
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "{name}: wrote {:.0} MB at {:.0} MB/s, read {:.0} MB at {:.0} MB/s",
        bytes,
        bytes / wrote,
        read as f64 / 1e6,
        read as f64 / 1e6 / took
    );
    Ok(())
}

fn committed(events: &mut Vec<Event>) -> usize {
    let count = events
        .iter()
        .filter(|event| matches!(event, Event::Resolved(_, Outcome::Committed { .. })))
        .count();
    events.clear();
    count
}

/// 10,000 records a second in a commit every millisecond, with a reader that waits.
fn latency(log: &Log, name: &str) -> Result<()> {
    const ROUNDS: u32 = 5_000;
    let mut writer = log.session("writer")?;
    create(&mut *writer, "l", 1);
    let batch = batch(10)?;
    let partition = TopicPartition::new("l", 0);
    let per_batch = BatchHeader::parse(&batch)?.map_or(0, |header| header.count as i64);
    let started = Instant::now();
    let mut reader = log.session("reader")?;
    let of_reader = partition.clone();
    let reader = std::thread::spawn(move || {
        let (mut events, mut offset, mut seen) = (Vec::new(), 0, Vec::new());
        while seen.len() < ROUNDS as usize {
            let partition = of_reader.clone();
            reader.fetch(Fetch { partition, offset, max_bytes: 1 << 20 });
            reader.poll(&mut events);
            for event in events.drain(..) {
                if let Event::Fetched(_, Ok(fetched)) = event {
                    let now = started.elapsed();
                    while offset < fetched.next {
                        offset += per_batch;
                        seen.push(now);
                    }
                }
            }
            reader.wait(Duration::from_secs(1));
        }
        seen
    });
    let mut events = Vec::new();
    for round in 0..ROUNDS {
        let due = Duration::from_millis(round.into());
        while started.elapsed() < due {
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
        let commit = writer.begin();
        writer.append(commit, &partition, batch.clone());
        writer.commit(commit, None, Vec::new());
        writer.poll(&mut events);
        events.clear();
    }
    let seen = reader.join().expect("the reader does not panic");
    let mut late: Vec<Duration> = (0u64..)
        .zip(seen)
        .map(|(round, seen)| seen.saturating_sub(Duration::from_millis(round)))
        .collect();
    late.sort();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
    println!("{name}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
    Ok(())
}
