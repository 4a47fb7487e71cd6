//! Topics of an app on a real cluster that are not as the app needs them: it says what to do,
//! and doing it helps.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

use suiro::{App, ErrorKind, Kafka, KafkaSettings, Plan, Producer, Topic, Topology};
use suiro_kafka_harness::Kafka as Cluster;

struct Program {
    app: String,
    words: Topic<u64, String>,
    kafka: Kafka,
}

impl Program {
    fn new(cluster: &Cluster) -> Self {
        let app = cluster.unique("topics");
        let words = Topic::json("words").named(format!("{app}-words"));
        let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
        let mut producer = Producer::open(&kafka, &words).unwrap();
        producer.create(3).unwrap();
        producer.send(1, "tea".into(), 0).unwrap();
        producer.flush().unwrap();
        Self { app, words, kafka }
    }

    fn plan(&self) -> Plan {
        let topology = Topology::new(&self.app);
        let words = topology.stream(&self.words).key_by(|word| word.clone());
        let _counts = words.repartition("by-word").count("counts");
        topology.build().unwrap()
    }

    fn run(&self) -> suiro::Result<()> {
        App::new(self.plan(), self.kafka.clone()).run_to_end().map(drop)
    }

    /// Why the app does not start. It names the topic.
    fn refused(&self, topic: &str, says: &[&str]) -> String {
        let error = self.run().unwrap_err();
        let text = error.report();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(text.contains(&format!("topic=`{topic}`")), "{text}");
        for part in says {
            assert!(text.contains(part), "{part}: {text}");
        }
        text
    }
}

fn alter(cluster: &Cluster, topic: &str, configs: &str) {
    let of = ["--alter", "--entity-type", "topics", "--entity-name", topic];
    cluster.tool("kafka-configs", &[&of[..], &["--add-config", configs]].concat(), "").unwrap();
}

#[test]
fn topics_that_would_lose_rows_are_refused_until_they_are_mended() {
    let Some(cluster) = Cluster::shared() else { return };
    let program = Program::new(cluster);
    program.run().unwrap();
    let [changelog, between] = ["counts.changelog", "by-word.repartition"]
        .map(|name| format!("{}.{name}", program.app));

    for (topic, wrong, says) in [
        (&changelog, "cleanup.policy=[compact,delete]", "needed=`cleanup.policy=compact`"),
        (&between, "retention.ms=3600000", "retention.ms=3600000,retention.bytes=-1` needed="),
    ] {
        alter(cluster, topic, wrong);
        let text = program.refused(topic, &[says, "reset the app"]);
        let command = text.split('`').find(|part| part.starts_with("kafka-configs ")).unwrap();
        let mut words = command.split(' ');
        let tool = words.next().unwrap();
        let arguments: Vec<&str> =
            words.filter(|it| !["--bootstrap-server", "HOST:PORT"].contains(it)).collect();
        cluster.tool(tool, &arguments, "").unwrap();
        program.run().unwrap();
    }
}

#[test]
fn a_topic_with_another_number_of_partitions_is_refused() {
    let Some(cluster) = Cluster::shared() else { return };
    let program = Program::new(cluster);
    let changelog = format!("{}.counts.changelog", program.app);
    let of = ["--create", "--topic", &changelog, "--partitions", "7"];
    let compact = ["--config", "cleanup.policy=compact"];
    cluster.tool("kafka-topics", &[&of[..], &compact].concat(), "").unwrap();
    program.refused(&changelog, &["partitions=`7`", "needed=`3`", "reset the app"]);
}
