//! Several processes of one program on a real cluster, killed with SIGKILL at any moment: what
//! comes out is what comes out of one that nobody disturbs.
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

#[test]
fn kills_change_nothing_on_kafka() {
    let Some(cluster) = Cluster::shared() else { return };
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
    let (mut last, mut seen) = (BTreeMap::<Bytes, u64>::new(), 0);
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
        while seen < until {
            for count in reader.follow(Duration::from_millis(100)).unwrap() {
                let before = last.entry(count.key.clone()).or_default();
                *before += 1;
                assert_eq!(count.value, Some(*before), "count of {:?}", count.key);
                seen += 1;
            }
            assert!(clock.elapsed() < PATIENCE, "{seen} of {until} records were counted");
        }
    }
    assert_eq!(last.len() as u64, KEYS);
    for counter in counters {
        counter.signal("TERM");
        counter.finish().assert_success();
    }
    // Nothing came behind the last.
    assert!(reader.read_to_end().unwrap().is_empty());
}
