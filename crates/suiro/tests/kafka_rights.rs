//! A user without rights: each one that is missing is named, and with all of them an app runs.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;
use suiro::{App, Broker, ErrorKind, Kafka, KafkaSettings, Plan, Producer, Topic, Topology};
use suiro_core::broker::{Event, Fetch, Seek};
use suiro_core::{Error, TopicPartition};
use suiro_kafka_harness::{Kafka as Cluster, Options};

const WORDS: Topic<u64, String> = Topic::json("app-words");
const COUNTS: Topic<String, u64> = Topic::json("app-counts");

fn plan() -> Plan {
    let topology = Topology::new("app");
    let words = topology.stream(&WORDS).key_by(|word| word.clone());
    words.repartition("by-word").count("counts").to(&COUNTS);
    topology.build().unwrap()
}

/// Why the app of a user without some right ends: a human must act, and is told how.
fn refused(kafka: &Kafka, state: &std::path::Path) -> String {
    // Nothing of one run is left for the next one.
    std::fs::remove_dir_all(state).ok();
    let error = App::new(plan(), kafka.clone()).run_to_end().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{}", error.report());
    error.report()
}

/// What is said of a topic that may not be seen.
fn unseen(kafka: &Kafka) {
    let mut session = kafka.anonymous("unseen").unwrap();
    let partition = TopicPartition::new("app-words", 0);
    session.offset(&partition, Seek::Earliest);
    session.fetch(Fetch { partition, offset: 0, max_bytes: 100 });
    session.describe(&["app-words".into()]);
    let (mut errors, mut events) = (Vec::<Error>::new(), Vec::new());
    while errors.len() < 3 {
        session.wait(Duration::from_millis(50));
        session.poll(&mut events);
        errors.extend(events.drain(..).map(|event| match event {
            Event::Offset(_, Err(error)) => error,
            Event::Fetched(_, Err(error)) => error,
            Event::Topics(_, Err(error)) => error,
            other => panic!("{other:?} is no refusal"),
        }));
    }
    for error in errors {
        let text = error.report();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(
            text.contains("no permission on the topic") && text.contains("app-words"),
            "{text}"
        );
    }
}

/// Gives the user a right on all that is the app's.
fn allow(cluster: &Cluster, resource: &str, operation: &str) {
    let principal = format!("User:{}", cluster.fact("user").unwrap());
    let who = ["--add", "--allow-principal", &principal, "--operation", operation];
    let what = [resource, "app", "--resource-pattern-type", "prefixed"];
    cluster.tool("kafka-acls", &[&who[..], &what].concat(), "").unwrap();
}

#[test]
fn each_right_that_is_missing_is_named() {
    let Some(cluster) = Cluster::own(&Options::new().security().authorization()) else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let mut settings = KafkaSettings::new(cluster.fact("sasl_plaintext").unwrap());
    settings.state_dir = state.path().join("names");
    for (name, value) in [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", cluster.fact("user").unwrap()),
        ("sasl.password", cluster.fact("password").unwrap()),
    ] {
        settings.set(name, value).unwrap();
    }
    let names = settings.state_dir.clone();
    let (user, owner) =
        (Kafka::new(settings), Kafka::new(KafkaSettings::new(cluster.bootstrap())));
    let mut words = Producer::open(&owner, &WORDS).unwrap();
    words.create(1).unwrap();
    words.send(1, "tea".into(), 0).unwrap();
    words.flush().unwrap();

    unseen(&user);
    let cluster = &cluster;
    let mut before = "not this";
    for (missing, resource, operation) in [
        ("no permission on the transactional id", "--transactional-id", "Write"),
        ("topic cannot be described: no permission", "--topic", "Describe"),
        ("settings of the topic cannot be read: no per", "--topic", "DescribeConfigs"),
        ("topic cannot be created: no permission", "--topic", "Create"),
        ("no permission on the group", "--group", "Read"),
        ("records cannot be written: no permission", "--topic", "Write"),
        ("positions cannot be committed: no permission", "--topic", "Read"),
    ] {
        let mut text = refused(&user, &names);
        while text.contains(before) {
            // Brokers hear of a right in their time.
            text = refused(&user, &names);
        }
        assert!(text.contains(missing), "{missing}: {text}");
        assert!(text.contains("give the user an acl for it"), "{text}");
        let names_it = text.contains("topic=`app") || text.contains("partition=`app");
        assert!(names_it || resource != "--topic", "{text}");
        before = missing;
        allow(cluster, resource, operation);
    }
    let ran = || App::new(plan(), user.clone()).run_to_end();
    let mut last = ran();
    while last.as_ref().is_err_and(|error| error.report().contains(before)) {
        last = ran();
    }
    last.unwrap();

    let reset = || App::new(plan(), user.clone()).reset().unwrap().carry_out();
    for (missing, resource) in [
        ("group cannot be removed: no permission on the group", "--group"),
        ("topic cannot be removed: no permission on the topic", "--topic"),
    ] {
        let mut error = reset().unwrap_err();
        while error.report().contains(before) {
            error = reset().unwrap_err();
        }
        let text = error.report();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(text.contains(missing) && text.contains("reset it once more"), "{text}");
        before = missing;
        allow(cluster, resource, "Delete");
    }
    let mut last = reset();
    while last.as_ref().is_err_and(|error| error.report().contains(before)) {
        last = reset();
    }
    last.unwrap();
    assert!(App::new(plan(), user.clone()).reset().unwrap().is_empty());
}
