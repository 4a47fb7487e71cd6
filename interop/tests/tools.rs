//! Kafka's own console tools write what we read, and read what we write.
#![allow(clippy::unwrap_used)]

use suiro::{Bytes, Headers, Kafka, KafkaSettings, Producer, Reader, Topic, Transaction};
use suiro_kafka_harness::Kafka as Cluster;

#[test]
fn what_the_console_producer_writes_is_read() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = Topic::bytes("console").named(cluster.unique(codec));
        Producer::open(&kafka, &topic).unwrap().create(3).unwrap();
        let lines = "language:en,size:2\tk1\ttea\nlanguage:ja,size:3\tk2\tocha\n\
                     language:none,size:0\tk1\tGONE\n";
        let arguments = [
            "--topic",
            topic.name(),
            "--compression-codec",
            codec,
            "--property",
            "parse.key=true",
            "--property",
            "parse.headers=true",
            "--property",
            "null.marker=GONE",
        ];
        cluster.tool("kafka-console-producer", &arguments, lines).unwrap();
        let received = Reader::open(&kafka, &topic).unwrap().read_to_end().unwrap();
        let mut found: Vec<_> = received
            .into_iter()
            .map(|it| {
                let size = it.headers.get("size").unwrap().clone();
                (it.key, it.value, it.headers.len(), size)
            })
            .collect();
        found.sort();
        let text = |text: &'static str| Bytes::from(text);
        let line = |key, value: Option<&'static str>, size| {
            (text(key), value.map(text), 2, text(size))
        };
        let all = [
            line("k1", None, "0"),
            line("k1", Some("tea"), "2"),
            line("k2", Some("ocha"), "3"),
        ];
        assert_eq!(found, all, "{codec}");
    }
}

#[test]
fn what_we_write_is_read_by_the_console_consumer() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
    let topic = Topic::bytes("console").named(cluster.unique("console"));
    Producer::open(&kafka, &topic).unwrap().create(1).unwrap();
    let headers: Headers = [("language", "en"), ("size", "2")].into_iter().collect();
    let mut written = Transaction::open(&kafka).unwrap();
    let (key, value) = (Bytes::from("k1"), Bytes::from("tea"));
    written.write_with(&topic, &key, Some(&value), 1_500.into(), &headers).unwrap();
    written.write(&topic, &key, None, 2_500).unwrap();
    written.commit().unwrap();
    let arguments = [
        "--topic",
        topic.name(),
        "--from-beginning",
        "--max-messages",
        "2",
        "--timeout-ms",
        "60000",
        "--isolation-level",
        "read_committed",
        "--property",
        "print.key=true",
        "--property",
        "print.headers=true",
        "--property",
        "print.timestamp=true",
        "--property",
        "null.literal=GONE",
    ];
    let found = cluster.tool("kafka-console-consumer", &arguments, "").unwrap();
    // The tool has more to say, such as which of its options will go.
    let lines: Vec<_> = found.lines().filter(|line| line.starts_with("CreateTime")).collect();
    let expected = [
        "CreateTime:1500\tlanguage:en,size:2\tk1\ttea",
        "CreateTime:2500\tNO_HEADERS\tk1\tGONE",
    ];
    assert_eq!(lines, expected);
}
