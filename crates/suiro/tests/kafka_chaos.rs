//! Chaos on three brokers: up to three processes, each with a standby elsewhere, are killed, halted
//! beyond their time-outs, stopped and started, and so are the brokers. Each runs `count`, whose
//! counts must be 1, 2, 3 and so on for each key, and one app with `ad_engagements` and joins of two
//! inputs, whose results must be what the rules say, one after the other.
//!
//! `SUIRO_CHAOS_MINUTES` and `SUIRO_CHAOS_SEED` make it longer, and another.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

#[path = "kafka_chaos/compared.rs"]
mod compared;
#[path = "kafka_chaos/deeds.rs"]
mod deeds;
#[path = "support/flow.rs"]
mod flow;
#[path = "kafka_chaos/joins.rs"]
mod joins;
#[path = "../examples/count/options.rs"]
mod options;
#[path = "support/process.rs"]
mod process;
#[path = "../examples/count/program.rs"]
mod program;
#[path = "kafka_chaos/programs.rs"]
mod programs;
#[path = "kafka_chaos/rules.rs"]
mod rules;
#[path = "../examples/shared/mod.rs"]
mod shared;
#[path = "kafka_chaos/traffic.rs"]
mod traffic;
#[path = "kafka_chaos/visits.rs"]
mod visits;
#[path = "kafka_chaos/watch.rs"]
mod watch;

use deeds::{Chaos, SESSION, TRANSACTION};
use flow::Flow;
use process::{args_of_child, temporary};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use suiro::{Kafka, KafkaSettings};
use suiro_kafka_harness::{Kafka as Cluster, Options};

/// Does nothing, unless this process was started by a test: then it runs the programs.
#[test]
fn child() {
    if let Some(args) = args_of_child("count") {
        std::process::exit(programs::main(args).into());
    }
}

/// How long it may take until all has come when nothing happens any more.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn whatever_dies_all_programs_say_what_the_rules_say() {
    // A segment that is old by the time of its records would be compacted, and what was written to
    // a table could not be read back.
    let options = Options::new().nodes(3).set("log.roll.hours", "1000000");
    let Some(cluster) = Cluster::own(&options) else { return };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let minutes = number("SUIRO_CHAOS_MINUTES").unwrap_or(2);
    let seed = number("SUIRO_CHAOS_SEED").unwrap_or(1);
    println!("chaos of {minutes} minutes, seed {seed}");
    let app = cluster.unique("chaos");
    let (input, output) = (format!("{app}-in"), format!("{app}-out"));
    let directory = temporary();
    let properties = directory.path().join("client.properties");
    let bootstrap = cluster.bootstrap();
    let quick = format!(
        "bootstrap.servers={bootstrap}\nsession.timeout.ms={SESSION}\n\
         transaction.timeout.ms={TRANSACTION}\nheartbeat.interval.ms=300\n"
    );
    std::fs::write(&properties, quick).unwrap();
    let args = flow::args(&properties, &app, &input, &output);
    let settings = KafkaSettings::new(bootstrap);
    watch::create(&Kafka::new(settings.clone())).unwrap();
    let flow = Flow::open(settings.clone(), &input, &output);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let watch = std::thread::spawn(move || watch::run(settings, seed, &stopped));

    let mut chaos = Chaos::begin(&cluster, directory.path(), args, flow, seed);
    let lasts = Duration::from_mins(minutes);
    while chaos.flow.elapsed() < lasts || !chaos.is_whole() {
        assert!(!watch.is_finished(), "what has come is wrong; it is said above");
        chaos.step();
    }
    stop.store(true, Ordering::Relaxed);
    let end = chaos.end();
    let watched = watch.join().unwrap();
    end.stop();
    println!("{}", watched.join("\n"));
}
