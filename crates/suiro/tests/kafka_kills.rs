//! Several processes of one program on a real cluster, killed with SIGKILL at any moment: what
//! comes out is what comes out of one that nobody disturbs, or at least that.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

#[path = "../examples/count/options.rs"]
mod options;
#[path = "support/process.rs"]
mod process;
#[path = "../examples/count/program.rs"]
mod program;
#[path = "../examples/shared/mod.rs"]
mod shared;

use process::{Process, args_of_child, temporary, text};
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{Bytes, Clock, Kafka, KafkaSettings, Producer, Reader, SystemClock, Topic};
use suiro_kafka_harness::Kafka as Cluster;

/// Does nothing, unless this process was started by a test: then it counts.
#[test]
fn child() {
    if let Some(args) = args_of_child("count") {
        std::process::exit(program::main(args).into());
    }
}

const KEYS: u64 = 200;
const RECORDS: u64 = 30_000;
const KILLS: u64 = 6;

/// How long the records of one step may take: a member that was killed is missed after six
/// seconds, and a machine may be slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was counted of some records.
trait Counts {
    /// Takes a count of a key.
    fn take(&mut self, key: Bytes, count: u64);

    /// Whether all of so many records are counted.
    fn have(&self, records: u64) -> bool;
}

/// Each key is counted 1, 2, 3 and so on.
#[derive(Default)]
struct Exact {
    last: BTreeMap<Bytes, u64>,
    seen: u64,
}

impl Counts for Exact {
    fn take(&mut self, key: Bytes, count: u64) {
        let before = self.last.entry(key.clone()).or_default();
        *before += 1;
        assert_eq!(count, *before, "count of {key:?}");
        self.seen += 1;
    }

    fn have(&self, records: u64) -> bool {
        self.seen >= records
    }
}

/// Each key is counted as often as it came, or more often.
#[derive(Default)]
struct Enough {
    most: BTreeMap<Bytes, u64>,
}

impl Counts for Enough {
    fn take(&mut self, key: Bytes, count: u64) {
        let most = self.most.entry(key).or_default();
        *most = count.max(*most);
    }

    fn have(&self, records: u64) -> bool {
        let mut came: BTreeMap<Bytes, u64> = BTreeMap::new();
        for number in 0..records {
            *came.entry(program::record(number, KEYS).0).or_default() += 1;
        }
        came.iter().all(|(key, count)| self.most.get(key) >= Some(count))
    }
}

/// Kills processes again and again while they count; gives what they had counted and what came
/// behind that.
fn killed<C: Counts + Default>(cluster: &Cluster, guarantee: &str) -> (C, usize) {
    let app = cluster.unique("count");
    let (input, output) = (format!("{app}-in"), format!("{app}-out"));
    let directory = temporary();
    let properties = directory.path().join("client.properties");
    let quick = format!(
        "bootstrap.servers={}\nsession.timeout.ms=6000\nheartbeat.interval.ms=200\n",
        cluster.bootstrap()
    );
    std::fs::write(&properties, quick).unwrap();
    let state = directory.path().join("state");
    let args = [
        "--properties",
        text(&properties),
        "--state",
        text(&state),
        "--app",
        &app,
        "--input",
        &input,
        "--output",
        &output,
        "--emit",
        "every-change",
        "--threads",
        "1",
        "--guarantee",
        guarantee,
    ];

    let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
    let topic = Topic::bytes("input").named(&input);
    let mut records = Producer::open(&kafka, &topic).unwrap();
    records.create(4).unwrap();
    let counts: Topic<Bytes, u64> = Topic::of("output", &suiro::Raw, &program::Decimal);
    let counts = counts.named(&output);
    Producer::open(&kafka, &counts).unwrap().create(4).unwrap();

    let mut counters: Vec<_> = (0..3).map(|_| Process::start(&args)).collect();
    let mut reader = Reader::open(&kafka, &counts).unwrap();
    let mut counted = C::default();
    for step in 0..=KILLS {
        let until = RECORDS * (step + 1) / (KILLS + 1);
        for number in RECORDS * step / (KILLS + 1)..until {
            let (key, value) = program::record(number, KEYS);
            records.send(key, value, number as i64).unwrap();
        }
        records.flush().unwrap();
        if step < KILLS {
            // In the midst of what was just sent.
            let killed = counters.remove(0);
            assert!(killed.kill(), "a process had ended by itself");
            counters.push(Process::start(&args));
        }
        let clock = SystemClock::default();
        while !counted.have(until) {
            for count in reader.follow(Duration::from_millis(100)).unwrap() {
                counted.take(count.key, count.value.unwrap());
            }
            assert!(clock.elapsed() < PATIENCE, "not all of {until} records were counted");
        }
    }
    for counter in counters {
        counter.signal("TERM");
        counter.finish().assert_success();
    }
    (counted, reader.read_to_end().unwrap().len())
}

#[test]
fn kills_change_nothing_on_kafka() {
    let Some(cluster) = Cluster::shared() else { return };
    let (counted, behind) = killed::<Exact>(cluster, "exactly-once");
    assert_eq!(counted.last.len() as u64, KEYS);
    assert_eq!(behind, 0);
}

/// What was written and is not committed is there as well, so that a key may have been counted
/// too often; but nothing is lost.
#[test]
fn kills_lose_nothing_without_transactions() {
    let Some(cluster) = Cluster::shared() else { return };
    let (counted, _) = killed::<Enough>(cluster, "at-least-once");
    assert_eq!(counted.most.len() as u64, KEYS);
}
