//! Programs on a real cluster give what they give on the embedded log.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    App, Broker, ErrorKind, InWindow, Kafka, KafkaSettings, Log, Plan, Producer, Reader, Topic,
    Topology, Tumbling,
};
use suiro_kafka_harness::Kafka as Cluster;

struct Names {
    app: String,
    lines: Topic<String, String>,
    words: Topic<String, u64>,
    hours: Topic<String, InWindow<u64>>,
}

impl Names {
    fn new(app: String) -> Self {
        let name = |what: &str| -> &'static str { Box::leak(format!("{app}-{what}").into()) };
        let (lines, words, hours) = (name("lines"), name("words"), name("hours"));
        let (lines, words, hours) =
            (Topic::json(lines), Topic::json(words), Topic::json(hours));
        Self { app, lines, words, hours }
    }

    /// Counts words behind an exchange, for ever and by the hour.
    fn plan(&self) -> Plan {
        let topology = Topology::new(&self.app);
        let words = topology
            .stream(&self.lines)
            .flat_map(|line: String| line.split(' ').map(String::from).collect::<Vec<_>>())
            .key_by(|word| word.clone());
        words.clone().count("counts").to(&self.words);
        let hour = Tumbling::of(Duration::from_hours(1));
        words.window(hour).count("hours").on_close().to(&self.hours);
        topology.build().unwrap()
    }

    fn write(&self, broker: &dyn Broker, from: i64, to: i64) {
        let mut lines = Producer::open(broker, &self.lines).unwrap();
        lines.create(3).unwrap();
        for number in from..to {
            let line = format!("a{} b{} c", number % 7, number % 100);
            lines.send(format!("k{}", number % 50), line, number * 60_000).unwrap();
        }
        lines.flush().unwrap();
    }

    /// What came out: the last count of each word, and all windows.
    fn read(&self, broker: &dyn Broker) -> (BTreeMap<String, u64>, Vec<String>) {
        let words = Reader::open(broker, &self.words).unwrap().read_to_end().unwrap();
        let words = words.into_iter().map(|record| (record.key, record.value.unwrap()));
        let hours = Reader::open(broker, &self.hours).unwrap().read_to_end().unwrap();
        let mut hours: Vec<_> = hours
            .into_iter()
            .map(|record| format!("{} {:?} {}", record.key, record.value, record.at))
            .collect();
        hours.sort();
        (words.collect(), hours)
    }
}

fn kafka(cluster: &Cluster) -> Kafka {
    Kafka::new(KafkaSettings::new(cluster.bootstrap()))
}

#[test]
fn a_program_gives_what_it_gives_on_the_embedded_log() {
    let Some(cluster) = Cluster::shared() else { return };
    let names = Names::new(cluster.unique("words"));
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path()).unwrap();
    let kafka = kafka(cluster);
    let mut runs = Vec::new();
    for broker in [&log as &dyn Broker, &kafka] {
        names.write(broker, 0, 2000);
        runs.push(broker);
    }
    App::new(names.plan(), log.clone()).run_to_end().unwrap();
    let metrics = App::new(names.plan(), kafka.clone()).run_to_end().unwrap();
    assert_eq!(metrics.records_in, 2000);
    assert_eq!(names.read(&kafka), names.read(&log));

    // It goes on where it was, with its state restored from changelogs.
    for broker in runs {
        names.write(broker, 2000, 3000);
    }
    App::new(names.plan(), log.clone()).run_to_end().unwrap();
    let metrics = App::new(names.plan(), kafka.clone()).run_to_end().unwrap();
    assert_eq!(metrics.records_in, 1000);
    assert_eq!(names.read(&kafka), names.read(&log));
}

#[test]
fn a_wrong_address_is_told_in_time() {
    let mut settings = KafkaSettings::new("127.0.0.1:1");
    settings.set("default.api.timeout.ms", "300").unwrap();
    let error = Kafka::new(settings).session("worker").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.report();
    assert!(text.contains("127.0.0.1:1"), "{text}");
    assert!(text.contains("check that they run"), "{text}");
}
