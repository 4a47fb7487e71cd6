//! The benches on Kafka run, check what the programs wrote, and leave their input alone.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::process::{Command, Output, Stdio};
use suiro_kafka_harness::Kafka;

/// A bench that has ended, and the process that it was.
struct Ended {
    pid: u32,
    output: Output,
}

fn bench(kafka: &Kafka, words: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_suiro-bench"));
    command.args(["kafka", "--broker", kafka.bootstrap()]).args(words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    Ended { pid: child.id(), output: child.wait_with_output().unwrap() }
}

fn lines(ended: &Ended) -> Vec<Value> {
    let Output { status, stdout, stderr } = &ended.output;
    assert!(status.success(), "{}", String::from_utf8_lossy(stderr));
    let text = std::str::from_utf8(stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn topics(kafka: &Kafka) -> Vec<String> {
    let all = kafka.tool("kafka-topics", &["--list"], "").unwrap();
    all.lines().map(String::from).collect()
}

/// How many topics carry the name of a run.
fn left_by(ended: &Ended, topics: &[String]) -> usize {
    let of = format!("-{}-", ended.pid);
    topics.iter().filter(|it| it.starts_with("suiro-bench-") && it.contains(&of)).count()
}

#[test]
fn programs_run_to_the_end_and_leave_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    // Of a size that no other run has: the input is this test's own.
    let (keys, records) = (1_000 + std::process::id(), "4001");
    let keys = keys.to_string();
    let size =
        ["--records", records, "--keys", &keys, "--partitions", "3", "--commit-ms", "20"];
    let pid = kafka.pid(1).ok().map(|pid| pid.to_string());
    let benches =
        ["stateless", "count", "count-every-change", "repartition", "tumbling", "session"];
    let mut runs = Vec::new();
    for program in benches.into_iter().chain(["table-join"]) {
        let mut words = vec![program];
        words.extend(size);
        words.extend(pid.iter().flat_map(|pid| ["--broker-pid", pid]));
        let ended = bench(kafka, &words);
        let lines = lines(&ended);
        runs.push(ended);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert_eq!((&line["bench"], &line["subject"]), (&"kafka".into(), &program.into()));
        assert_eq!(line["records"], 4001);
        for field in ["wall_s", "start_s", "cpu_s", "records_per_cpu_s", "peak_rss_bytes"] {
            assert!(line[field].as_f64().unwrap() > 0.0, "{field}: {line}");
        }
        assert_eq!(line["broker_cpu_s"].is_number(), pid.is_some(), "{line}");
        assert!(line["start_s"].as_f64() <= line["wall_s"].as_f64(), "{line}");
    }
    let topics = topics(kafka);
    for input in
        [format!("suiro-bench-events-4001-{keys}-3-92"), format!("suiro-bench-rows-{keys}-3")]
    {
        assert!(topics.contains(&input), "{topics:?}");
    }
    assert!(runs.iter().all(|ended| left_by(ended, &topics) == 0), "{topics:?}");
}

#[test]
fn latency_is_measured_with_and_without_a_program() {
    let Some(kafka) = Kafka::shared() else { return };
    let ended = bench(kafka, &["latency", "--records", "2000", "--partitions", "2"]);
    let lines = lines(&ended);
    let subjects: Vec<_> = lines.iter().map(|line| line["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["latency-topic", "latency-stateless", "latency-count"]);
    for line in lines {
        let of = |field: &str| line[field].as_f64().unwrap();
        assert!(of("p50_ms") <= of("p99_ms") && of("p99_ms") <= of("max_ms"), "{line}");
    }
    assert_eq!(left_by(&ended, &topics(kafka)), 0);
}

#[test]
fn a_wrong_result_is_told() {
    let Some(kafka) = Kafka::shared() else { return };
    // Records that the bench did not write are in the topic that it takes for its input.
    let input = format!("suiro-bench-events-2-{}-1-92", 5_000_000 + std::process::id());
    let keys = (5_000_000 + std::process::id()).to_string();
    kafka
        .tool("kafka-topics", &["--create", "--topic", &input, "--partitions", "1"], "")
        .unwrap();
    let value = "x".repeat(92);
    let two = format!("abcdefgh:{value}\nabcdefgh:{value}\n");
    let ends = ["--topic", &input, "--property", "parse.key=true", "--property"];
    kafka
        .tool("kafka-console-producer", &[&ends[..], &["key.separator=:"]].concat(), &two)
        .unwrap();
    let size = ["count", "--records", "2", "--keys", &keys, "--partitions", "1"];
    let ended = bench(kafka, &size);
    let text = String::from_utf8_lossy(&ended.output.stderr);
    assert!(!ended.output.status.success() && text.contains("is right"), "{text}");
    assert_eq!(left_by(&ended, &topics(kafka)), 0);
    kafka.tool("kafka-topics", &["--delete", "--topic", &input], "").unwrap();
}

#[test]
fn what_is_missing_is_said() {
    let run = |words: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_suiro-bench")).args(words).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&["kafka", "count"]).contains("--broker HOST:PORT is missing"));
    let here = ["kafka", "--broker", "127.0.0.1:1"];
    assert!(run(&[&here[..], &["counts"]].concat()).contains("table-join"));
    let pid = ["count", "--broker-pid", "0"];
    assert!(run(&[&here[..], &pid].concat()).contains("--broker-pid 0"));
}
