//! What a human must mend ends an app on Kafka at once, and the error says what to do; when it is
//! done, the app goes on where it was.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;
use suiro::{
    App, Broker, ErrorKind, Kafka, KafkaSettings, Plan, Producer, Reader, Topic, Topology,
};
use suiro_core::TopicPartition;
use suiro_core::broker::{Event, Seek};
use suiro_kafka_harness::Kafka as Cluster;

struct Program {
    app: String,
    input: Topic<u64, String>,
    output: Topic<u64, String>,
    kafka: Kafka,
}

impl Program {
    fn new(cluster: &Cluster) -> Self {
        let app = cluster.unique("errors");
        let [input, output] =
            ["in", "out"].map(|it| Topic::json(it).named(format!("{app}-{it}")));
        let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
        Self { app, input, output, kafka }
    }

    fn write(&self, values: &[String]) {
        let mut input = Producer::open(&self.kafka, &self.input).unwrap();
        input.create(1).unwrap();
        for value in values {
            input.send(1, value.clone(), 0).unwrap();
        }
        input.flush().unwrap();
    }

    fn plan(&self) -> Plan {
        let topology = Topology::new(&self.app);
        topology.stream(&self.input).to(&self.output);
        topology.build().unwrap()
    }

    fn app(&self) -> App {
        App::new(self.plan(), self.kafka.clone())
    }

    fn read(&self) -> Vec<Option<String>> {
        let rows = Reader::open(&self.kafka, &self.output).unwrap().read_to_end().unwrap();
        rows.into_iter().map(|row| row.value).collect()
    }

    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.app)
    }
}

/// Why an app ends: a human must act.
fn refused<T: std::fmt::Debug>(run: suiro::Result<T>, parts: &[&str]) {
    let error = run.unwrap_err();
    let text = error.report();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_source_that_is_missing_is_named() {
    let Some(cluster) = Cluster::shared() else { return };
    let program = Program::new(cluster);
    let topic = format!("topic=`{}`", program.name("in"));
    refused(program.app().run_to_end(), &["does not exist; create it first", &topic]);
    assert_eq!(program.app().partitions(2).run_to_end().unwrap().records_in, 0);
}

#[test]
fn topics_that_meet_by_key_have_equal_numbers_of_partitions() {
    let Some(cluster) = Cluster::shared() else { return };
    let program = Program::new(cluster);
    let more = Topic::<u64, String>::json("more").named(program.name("more"));
    for (topic, partitions) in [(&program.input, 2), (&more, 3)] {
        Producer::open(&program.kafka, topic).unwrap().create(partitions).unwrap();
    }
    let topology = Topology::new(&program.app);
    let table = topology.table(&more);
    topology.stream(&program.input).join(&table, |row, _| row.clone()).to(&program.output);
    let app = App::new(topology.build().unwrap(), program.kafka.clone());
    let says = ["equal numbers of partitions", ".repartition_into(", "partitions=`"];
    let topics = [program.name("in"), program.name("more")];
    let names = topics.each_ref().map(String::as_str);
    refused(app.run_to_end(), &[&says[..], &names].concat());
}

#[test]
fn a_record_that_is_too_large_is_told_with_the_limit() {
    let Some(cluster) = Cluster::shared() else { return };
    let program = Program::new(cluster);
    let output = program.name("out");
    let limit = ["--config", "max.message.bytes=2000"];
    let create = [&["--create", "--topic", &output][..], &limit].concat();
    cluster.tool("kafka-topics", &create, "").unwrap();
    program.write(&["small".to_owned(), "large".repeat(1000)]);
    let says = ["raise its max.message.bytes", "bytes=`50", "max.message.bytes=`2000`"];
    let partition = format!("partition=`{output}/0`");
    let says = [&says[..], &[&partition]].concat();
    refused(program.app().run_to_end(), &says);
    let mut producer = Producer::open(&program.kafka, &program.output).unwrap();
    producer.send(2, "large".repeat(1000), 0).unwrap();
    refused(producer.flush(), &says);
    drop(producer);
    assert_eq!(program.read(), []);

    let of = ["--alter", "--entity-type", "topics", "--entity-name", &output];
    let more = ["--add-config", "max.message.bytes=20000"];
    cluster.tool("kafka-configs", &[&of[..], &more].concat(), "").unwrap();
    program.app().run_to_end().unwrap();
    assert_eq!(program.read(), [Some("small".to_owned()), Some("large".repeat(1000))]);
}

#[test]
fn records_that_went_before_they_were_read_are_told() {
    let Some(cluster) = Cluster::shared() else { return };
    let program = Program::new(cluster);
    let numbers = |of: std::ops::Range<u32>| of.map(|it| it.to_string()).collect::<Vec<_>>();
    program.write(&numbers(0..5));
    program.app().run_to_end().unwrap();
    program.write(&numbers(5..10));
    // As retention does it.
    let mut session = program.kafka.anonymous("retention").unwrap();
    let place = TopicPartition::new(program.name("in"), 0);
    let mut offset = |at| {
        let (asked, mut events) = (session.offset(&place, at), Vec::new());
        loop {
            session.poll(&mut events);
            let found = events.drain(..).find_map(|event| match event {
                Event::Offset(of, answer) if of == asked => Some(answer.unwrap()),
                _ => None,
            });
            match found {
                Some(offset) => return offset,
                None => session.wait(Duration::from_millis(50)),
            }
        }
    };
    // The last offset is that of the marker of the commit.
    let start = offset(Seek::Latest) - 3;
    let mut trim = program.kafka.anonymous("trim").unwrap();
    trim.trim(&place, start);
    while offset(Seek::Earliest) < start {
        trim.poll(&mut Vec::new());
    }
    let [partition, start] = [format!("partition=`{place}`"), format!("start=`{start}`")];
    let says = ["deleted before they were read", "reset the app", "position=`"];
    refused(program.app().run_to_end(), &[&says[..], &[&partition, &start]].concat());

    program.app().reset().unwrap().carry_out().unwrap();
    assert_eq!(program.app().run_to_end().unwrap().records_in, 2);
    let all = numbers(0..5).into_iter().chain(numbers(8..10)).map(Some).collect::<Vec<_>>();
    assert_eq!(program.read(), all);
}
