//! A process that dies is missed by the others at once, and not when its session times out.
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
const PARTITIONS: u32 = 4;

/// So many records are written in a second.
const RATE: u64 = 1000;

/// How long sessions and transactions last: nobody waits for that.
const LASTS: Duration = Duration::from_secs(300);

/// Long before they end a kill must be over.
const PATIENCE: Duration = Duration::from_secs(90);

/// A steady flow of records, and what is counted of them.
struct Flow {
    clock: SystemClock,
    records: Producer<Bytes, Bytes>,
    counts: Reader<Bytes, u64>,
    sent: u64,
    seen: u64,
    last: BTreeMap<Bytes, u64>,
    /// When something came last, and the longest that nothing did, by partition.
    came: BTreeMap<u32, Duration>,
    gaps: BTreeMap<u32, Duration>,
}

impl Flow {
    /// Goes on for so long, and longer if not all is counted by then.
    fn run(&mut self, lasts: Duration) -> Duration {
        let (begun, before) = (self.clock.elapsed(), self.sent);
        self.gaps.clear();
        let until = begun + lasts;
        loop {
            let now = self.clock.elapsed();
            let due = before + (now.min(until) - begun).as_millis() as u64 * RATE / 1000;
            for number in self.sent..due {
                let (key, value) = program::record(number, KEYS);
                self.records.send(key, value, number as i64).unwrap();
            }
            self.records.flush().unwrap();
            self.sent = due;
            for count in self.counts.follow(Duration::from_millis(2)).unwrap() {
                let before = self.last.entry(count.key.clone()).or_default();
                *before += 1;
                assert_eq!(count.value, Some(*before), "count of {:?}", count.key);
                self.seen += 1;
                let now = self.clock.elapsed();
                let came = self.came.insert(count.partition, now).unwrap_or(now);
                let gap = self.gaps.entry(count.partition).or_default();
                *gap = (*gap).max(now - came);
            }
            if now >= until && self.seen == self.sent {
                return self.gaps.values().max().copied().unwrap_or_default();
            }
            assert!(now < until + PATIENCE, "{} of {} were counted", self.seen, self.sent);
        }
    }
}

/// With `SUIRO_FAILOVERS` so many are killed, and the longest gaps in what comes out shown.
#[test]
fn a_process_that_dies_is_missed_at_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let kills = std::env::var("SUIRO_FAILOVERS").ok();
    let kills: u32 = kills.map_or(1, |kills| kills.parse().unwrap());
    let app = cluster.unique("failover");
    let (input, output) = (format!("{app}-in"), format!("{app}-out"));
    let directory = temporary();
    let properties = directory.path().join("client.properties");
    let millis = LASTS.as_millis();
    let patient = format!(
        "bootstrap.servers={}\nsession.timeout.ms={millis}\ntransaction.timeout.ms={millis}\n",
        cluster.bootstrap()
    );
    std::fs::write(&properties, patient).unwrap();
    let start = |number: usize| {
        // Each has a state directory of its own, so that none takes up the name of a dead one.
        let state = directory.path().join(format!("state-{number}"));
        Process::start(&[
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
            "--standbys",
            "1",
        ])
    };
    let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
    let mut records = Producer::open(&kafka, &Topic::bytes("input").named(&input)).unwrap();
    records.create(PARTITIONS).unwrap();
    let counts: Topic<Bytes, u64> = Topic::of("output", &suiro::Raw, &program::Decimal);
    let counts = counts.named(&output);
    Producer::open(&kafka, &counts).unwrap().create(PARTITIONS).unwrap();
    let mut flow = Flow {
        clock: SystemClock::default(),
        records,
        counts: Reader::open(&kafka, &counts).unwrap(),
        sent: 0,
        seen: 0,
        last: BTreeMap::new(),
        came: BTreeMap::new(),
        gaps: BTreeMap::new(),
    };

    let mut processes: Vec<_> = (0..3).map(start).collect();
    let settles = Duration::from_secs(12);
    flow.run(settles);
    let mut gaps = Vec::new();
    for kill in 0..kills as usize {
        assert!(processes.remove(0).kill(), "a process had ended by itself");
        gaps.push(flow.run(Duration::from_secs(4)).as_millis());
        processes.push(start(3 + kill));
        println!("while one comes: {} ms without output", flow.run(settles).as_millis());
    }
    println!("killed: longest gaps {gaps:?} ms");
    let leaver = processes.remove(0);
    leaver.signal("TERM");
    println!("while one leaves: {} ms", flow.run(Duration::from_secs(4)).as_millis());
    leaver.finish().assert_success();
    for process in processes {
        process.signal("TERM");
        process.finish().assert_success();
    }
}
