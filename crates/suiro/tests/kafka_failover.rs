//! A process that dies is missed by the others at once, and not when its session times out.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

#[path = "support/flow.rs"]
mod flow;
#[path = "../examples/count/options.rs"]
mod options;
#[path = "support/process.rs"]
mod process;
#[path = "../examples/count/program.rs"]
mod program;
#[path = "../examples/shared/mod.rs"]
mod shared;

use flow::Flow;
use process::{Process, args_of_child, temporary, text};
use std::time::Duration;
use suiro::KafkaSettings;
use suiro_kafka_harness::Kafka as Cluster;

/// Does nothing, unless this process was started by a test: then it counts.
#[test]
fn child() {
    if let Some(args) = args_of_child("count") {
        std::process::exit(program::main(args).into());
    }
}

/// How long sessions and transactions last: nobody waits for that.
const LASTS: Duration = Duration::from_secs(300);

/// Long before they end a kill must be over.
const PATIENCE: Duration = Duration::from_secs(90);

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
        let mut args = flow::args(&properties, &app, &input, &output);
        args.extend(["--state".to_owned(), text(&state).to_owned()]);
        Process::start(&args)
    };
    let mut flow = Flow::open(KafkaSettings::new(cluster.bootstrap()), &input, &output);

    let mut processes: Vec<_> = (0..3).map(start).collect();
    let settles = Duration::from_secs(12);
    let mut run = |lasts: Duration| {
        flow.run(lasts);
        flow.settle(PATIENCE);
        flow.gap().as_millis()
    };
    run(settles);
    let mut gaps = Vec::new();
    for kill in 0..kills as usize {
        assert!(processes.remove(0).kill(), "a process had ended by itself");
        gaps.push(run(Duration::from_secs(4)));
        processes.push(start(3 + kill));
        println!("while one comes: {} ms without output", run(settles));
    }
    println!("killed: longest gaps {gaps:?} ms");
    let leaver = processes.remove(0);
    leaver.signal("TERM");
    println!("while one leaves: {} ms", run(Duration::from_secs(4)));
    leaver.finish().assert_success();
    for process in processes {
        process.signal("TERM");
        process.finish().assert_success();
    }
}
