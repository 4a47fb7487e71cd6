//! The examples give on Apache Kafka what they give on the embedded log.
#![cfg(feature = "kafka")]

mod ad_engagements {
    #[path = "../../examples/ad_engagements/options.rs"]
    pub mod options;
    #[path = "../../examples/ad_engagements/program.rs"]
    pub mod program;
    #[path = "../../examples/ad_engagements/service.rs"]
    pub mod service;
    #[path = "../../examples/ad_engagements/traffic.rs"]
    pub mod traffic;
}
#[path = "../examples/flights/calendar.rs"]
mod calendar;
#[path = "../examples/flights/domain.rs"]
mod domain;
#[path = "../examples/flights/export.rs"]
mod export;
#[path = "../examples/flights/load.rs"]
mod load;
#[path = "../examples/flights/options.rs"]
mod options;
#[path = "../examples/flights/outputs.rs"]
mod outputs;
#[path = "support/process.rs"]
mod process;
#[path = "../examples/flights/program.rs"]
mod program;
#[path = "../examples/flights/progress.rs"]
mod progress;
#[path = "../examples/flights/report.rs"]
mod report;
#[path = "../examples/shared/mod.rs"]
mod shared;
#[path = "../examples/flights/sheet.rs"]
mod sheet;
#[path = "../examples/flights/topology.rs"]
mod topology;
#[path = "../examples/word_count/program.rs"]
mod word_count;

use process::{args_of_child, run, temporary, text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use suiro_kafka_harness::{Kafka as Cluster, Options};

/// Does nothing, unless this process was started by a test: then it is one of the programs.
#[test]
fn child() {
    let Some(args) = args_of_child("examples") else { return };
    let args: Vec<_> = args.into_iter().skip(1).collect();
    let code = match args[0].to_str() {
        Some("ad_engagements") => ad_engagements::service::main(args),
        Some("flights") => program::main(args),
        Some("word_count") => word_count::main(args),
        other => panic!("there is no program {other:?}"),
    };
    std::process::exit(code.into());
}

/// The lines of a topic that was written to a file.
fn lines(dir: &Path, topic: &str) -> Vec<String> {
    let file = dir.join(topic).with_extension("jsonl");
    let read = std::fs::read_to_string(file).expect("each topic has a file");
    read.lines().map(String::from).collect()
}

/// The last value of each key: a table's updates on the way are as many as there were commits.
fn last(lines: Vec<String>) -> BTreeMap<String, String> {
    let parse = |line: String| {
        let row: serde_json::Value = serde_json::from_str(&line).expect("lines are JSON");
        (row["key"].to_string(), row["value"].to_string())
    };
    lines.into_iter().map(parse).collect()
}

/// The flights are of 2013: brokers that keep records for a week, by their times, would delete
/// what is just being counted.
#[test]
fn examples_give_what_they_give_on_the_embedded_log() {
    let Some(cluster) = Cluster::own(&Options::new()) else { return };
    let (dir, bootstrap) = (temporary(), cluster.bootstrap());
    let [embedded, kafka, state, log] =
        ["embedded", "kafka", "state", "log"].map(|it| dir.path().join(it));
    let on_kafka = ["--kafka", bootstrap, "--state", text(&state)];

    let flights = |out: &Path, place: &[&str]| {
        let args = ["flights", "--partitions", "1", "--out", text(out)];
        run(&[&args[..], place].concat()).assert_success();
    };
    flights(&embedded, &[]);
    flights(&kafka, &on_kafka);
    for topic in
        ["hourly-departures", "aircraft-rotations", "late-flights", "stormy-departures"]
    {
        let rows = lines(&embedded, topic);
        assert!(rows.len() > 100, "{topic} has {} rows", rows.len());
        assert_eq!(lines(&kafka, topic), rows, "{topic}");
    }
    let totals = |dir| last(lines(dir, "airline-totals"));
    assert_eq!(totals(&kafka), totals(&embedded));

    let same = |args: &[&str], log: &[&str]| {
        let alone = run(&[args, log].concat());
        let shared = run(&[args, &on_kafka[..]].concat());
        alone.assert_success();
        shared.assert_success();
        assert!(alone.printed.lines().count() > 5, "{}", alone.printed);
        assert_eq!(shared.printed, alone.printed);
    };
    same(&["ad_engagements", "5000", "--app", "ads-of-today"], &[]);
    // The second time the counts go on.
    for _ in 0..2 {
        same(&["word_count"], &[text(&log)]);
    }
    let groups =
        cluster.tool("kafka-consumer-groups", &["--list"], "").expect("groups are listed");
    let groups: BTreeSet<_> = groups.lines().collect();
    assert_eq!(groups, BTreeSet::from(["ads-of-today", "flights", "word-count"]));
}
