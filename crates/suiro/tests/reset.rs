//! An app that is reset begins anew, and nothing else is touched.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro::{
    App, Broker, ErrorKind, Log, MemoryObjects, MemoryStores, Plan, Producer, Reader,
    Snapshots, Topic, Topology,
};
use suiro_core::broker::Event;

/// The program, on topics of its own.
struct Program {
    app: String,
    broker: Arc<dyn Broker>,
    words: Topic<u64, String>,
    counts: Topic<String, u64>,
}

impl Program {
    fn new(app: String, broker: Arc<dyn Broker>) -> Self {
        let words = Topic::json("words").named(format!("{app}-words"));
        let counts = Topic::json("counts").named(format!("{app}-counts"));
        Self { app, broker, words, counts }
    }

    fn write(&self, partitions: u32, words: &[&str]) {
        let mut producer = Producer::open(&*self.broker, &self.words).unwrap();
        producer.create(partitions).unwrap();
        for (number, word) in (0..).zip(words) {
            producer.send(number, (*word).into(), number as i64).unwrap();
        }
        producer.flush().unwrap();
    }

    fn plan(&self, app: &str) -> Plan {
        let topology = Topology::new(app);
        let words = topology.stream(&self.words).key_by(|word| word.clone());
        words.repartition("by-word").count("counts").to(&self.counts);
        topology.build().unwrap()
    }

    fn app(&self) -> App {
        App::new(self.plan(&self.app), Arc::clone(&self.broker))
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let all = Reader::open(&*self.broker, &self.counts).unwrap().read_to_end().unwrap();
        all.into_iter().map(|record| (record.key, record.value.unwrap())).collect()
    }

    /// All topics whose names begin like the app's.
    fn topics(&self) -> Vec<String> {
        let mut session = self.broker.anonymous("topics").unwrap();
        session.describe(&[]);
        let mut events = Vec::new();
        while events.is_empty() {
            session.wait(Duration::from_secs(1));
            session.poll(&mut events);
        }
        let Some(Event::Topics(_, Ok(topics))) = events.pop() else { panic!("{events:?}") };
        let names = topics.iter().map(|spec| spec.name.to_string());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(&self.app)).collect();
        names.sort();
        names
    }
}

/// Counts, resets, and counts again.
fn resets(app: String, broker: Arc<dyn Broker>) {
    let program = Program::new(app.clone(), broker);
    program.write(2, &["tea", "milk", "tea"]);
    assert!(program.app().reset().unwrap().is_empty());
    program.app().run_to_end().unwrap();
    // Another app on the same topics is nobody's business.
    let other = || {
        let plan = program.plan(&format!("{app}.other"));
        App::new(plan, Arc::clone(&program.broker))
    };
    other().run_to_end().unwrap();
    let before = program.topics();

    let text = program.app().reset().unwrap().to_string();
    for part in [
        format!("position  {app}-words/0 at "),
        format!("topic     {app}.counts.changelog with 2 partitions"),
        format!("topic     {app}.by-word.repartition with 2 partitions"),
        format!("topic     {app}.forms with 1 partitions"),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    assert!(!text.contains("not possible now") && !text.contains(".other"), "{text}");
    assert_eq!(program.topics(), before, "to look changes nothing");
    assert_eq!(program.app().run_to_end().unwrap().records_in, 0);

    let running = program.app().start().unwrap();
    let reset = program.app().reset().unwrap();
    assert!(reset.to_string().contains("not possible now: 1 processes"), "{reset}");
    let error = reset.carry_out().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.report().contains("stop all its processes"), "{}", error.report());
    running.shutdown().unwrap();
    assert_eq!(program.topics(), before, "what lives is not reset");

    program.app().reset().unwrap().carry_out().unwrap();
    let own = |name: &&String| {
        let of = |what| name.starts_with(&format!("{app}.{what}"));
        !["counts", "by-word", "forms"].into_iter().any(of)
    };
    let expected: Vec<_> = before.iter().filter(own).cloned().collect();
    assert_eq!(program.topics(), expected);
    assert!(program.app().reset().unwrap().is_empty());
    program.app().reset().unwrap().carry_out().unwrap();

    let metrics = program.app().run_to_end().unwrap();
    assert_eq!(metrics.records_in, 3, "the app begins anew");
    assert_eq!(program.counts(), BTreeMap::from([("milk".into(), 1), ("tea".into(), 2)]));
    assert_eq!(program.topics(), before);
    assert_eq!(other().run_to_end().unwrap().records_in, 0, "the other goes on");
}

#[test]
fn an_app_begins_anew_on_the_embedded_log() {
    resets("app".into(), Arc::new(Log::in_memory()));
    let directory = tempfile::tempdir().unwrap();
    resets("app".into(), Arc::new(Log::open(directory.path()).unwrap()));
}

#[cfg(feature = "kafka")]
#[test]
fn an_app_begins_anew_on_kafka() {
    let Some(cluster) = suiro_kafka_harness::Kafka::shared() else { return };
    let settings = suiro::KafkaSettings::new(cluster.bootstrap());
    resets(cluster.unique("reset"), Arc::new(suiro::Kafka::new(settings)));
}

/// Stores and snapshots of the old rows would be taken for those of the new ones.
#[test]
fn stores_and_snapshots_go_too() {
    let program = Program::new("app".into(), Arc::new(Log::in_memory()));
    let (stores, objects) = (MemoryStores::default(), MemoryObjects::default());
    let app = || {
        let snapshots = Snapshots::in_objects(Duration::from_hours(1), objects.clone());
        program.app().stores(stores.clone(), 1 << 20).snapshots(snapshots)
    };
    program.write(2, &["tea", "milk", "tea"]);
    let running = app().start_to_end().unwrap();
    while !running.is_ended() {
        std::thread::yield_now();
    }
    drop(running);
    let running = app().start().unwrap();
    assert!(running.snapshot().unwrap().rows > 0);
    running.shutdown().unwrap();

    let reset = app().reset().unwrap();
    let text = reset.to_string();
    assert!(text.contains("store     app.counts.changelog"), "{text}");
    assert!(text.contains("snapshots ") && text.contains(" objects with "), "{text}");
    reset.carry_out().unwrap();
    assert!(app().reset().unwrap().is_empty());
    program.write(2, &["tea"]);
    assert_eq!(app().run_to_end().unwrap().records_in, 4);
    assert_eq!(program.counts()["tea"], 3);
}

/// After a reset the sources may have another number of partitions.
#[test]
fn the_number_of_partitions_may_be_another() {
    let log = Log::in_memory();
    let program = Program::new("app".into(), Arc::new(log.clone()));
    program.write(2, &["tea"]);
    program.app().run_to_end().unwrap();
    let mut session = log.session("somebody").unwrap();
    session.remove("nobody", &["app-words".into()]);
    program.write(3, &["tea", "milk"]);
    let error = program.app().run_to_end().unwrap_err();
    assert!(error.report().contains("reset the app"), "{}", error.report());
    program.app().reset().unwrap().carry_out().unwrap();
    assert_eq!(program.app().run_to_end().unwrap().records_in, 2);
}

#[cfg(feature = "disk")]
#[test]
fn rows_on_a_disk_go_too() {
    let program = Program::new("app".into(), Arc::new(Log::in_memory()));
    let directory = tempfile::tempdir().unwrap();
    let app = || program.app().state_on_disk(directory.path(), 64 << 20).unwrap();
    program.write(2, &["tea", "milk", "tea"]);
    app().run_to_end().unwrap();
    app().reset().unwrap().carry_out().unwrap();
    assert_eq!(app().run_to_end().unwrap().records_in, 3);
    assert_eq!(program.counts()["tea"], 2);
}
