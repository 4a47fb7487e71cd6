//! Processes that come and go take over what they have copies of, and the others go on.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    App, Clock, Kafka, KafkaSettings, Metrics, Plan, Producer, Reader, Role, Running,
    SystemClock, Topic, Topology,
};
use suiro_kafka_harness::Kafka as Cluster;
use tempfile::TempDir;

const PARTITIONS: usize = 4;
const KEYS: u64 = 40;

struct Counting {
    app: String,
    words: Topic<u64, u64>,
    counts: Topic<u64, u64>,
    kafka: KafkaSettings,
    written: u64,
}

/// A process of the app: here one more client with a state directory of its own.
struct Process {
    running: Running,
    _state: TempDir,
}

impl Counting {
    fn new(cluster: &Cluster) -> Self {
        let app = cluster.unique("standbys");
        let name = |what: &str| -> &'static str { Box::leak(format!("{app}-{what}").into()) };
        let (words, counts) = (Topic::json(name("words")), Topic::json(name("counts")));
        let kafka = KafkaSettings::new(cluster.bootstrap());
        let counting = Self { app, words, counts, kafka, written: 0 };
        let mut words = Producer::open(&Kafka::new(counting.kafka.clone()), &counting.words);
        words.as_mut().unwrap().create(PARTITIONS as u32).unwrap();
        counting
    }

    fn plan(&self) -> Plan {
        let topology = Topology::new(&self.app);
        topology.stream(&self.words).count("seen").to(&self.counts);
        topology.build().unwrap()
    }

    fn start(&self) -> Process {
        let state = tempfile::tempdir().unwrap();
        let mut settings = self.kafka.clone();
        settings.state_dir = state.path().to_owned();
        let app = App::new(self.plan(), Kafka::new(settings)).standbys(1);
        Process { running: app.start().unwrap(), _state: state }
    }

    /// Writes each key once more, and waits until that was counted.
    fn go_on(&mut self) {
        let kafka = Kafka::new(self.kafka.clone());
        let mut words = Producer::open(&kafka, &self.words).unwrap();
        for key in 0..KEYS {
            words.send(key, self.written, 0).unwrap();
        }
        words.flush().unwrap();
        self.written += 1;
        let mut counts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        until("everything is counted", || {
            counts.clear();
            let all = Reader::open(&kafka, &self.counts).and_then(|mut all| all.read_to_end());
            for record in all.unwrap_or_default() {
                counts.entry(record.key).or_default().push(record.value.unwrap());
            }
            let last = |counts: &Vec<u64>| counts.last() == Some(&self.written);
            counts.len() as u64 == KEYS && counts.values().all(last)
        });
        let right: Vec<u64> = (1..=self.written).collect();
        assert!(counts.values().all(|of_key| *of_key == right), "{counts:?}");
    }

    /// The partitions of each member, as Kafka's own tool shows them.
    fn members(&self, cluster: &Cluster) -> BTreeMap<String, Vec<String>> {
        let described = ["--describe", "--group", &self.app];
        let described = cluster.tool("kafka-consumer-groups", &described, "").unwrap();
        let mut members = BTreeMap::<String, Vec<String>>::new();
        for line in described.lines() {
            let columns: Vec<&str> = line.split_whitespace().collect();
            if let [_, topic, partition, _, _, lag, member, ..] = columns[..]
                && topic == self.words.name()
            {
                // The mark of the last transaction is passed, too.
                assert_eq!(lag, "0", "{described}");
                members.entry(member.to_owned()).or_default().push(partition.to_owned());
            }
        }
        members
    }
}

impl Process {
    fn metrics(&self) -> Metrics {
        self.running.metrics()
    }

    fn runs(&self) -> usize {
        self.metrics().tasks.len()
    }

    fn standbys(&self) -> usize {
        let metrics = self.metrics();
        let ready = metrics.copies.iter().filter(|it| it.role == Role::Standby && it.lag == 0);
        ready.count()
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock::default();
    while !is_so() {
        assert!(clock.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::yield_now();
    }
}

#[test]
fn tasks_move_to_copies_and_the_others_stay() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut counting = Counting::new(cluster);
    let first = counting.start();
    counting.go_on();
    assert_eq!(first.runs(), PARTITIONS);

    // Who comes warms up first; the tasks that stay are not restored.
    let second = counting.start();
    until("the tasks are shared", || first.runs() == 2 && second.runs() == 2);
    until("each has copies of the other's", || first.standbys() == 2 && second.standbys() == 2);
    let (stayed, restored) = (first.metrics().stayed, first.metrics().restored);
    assert!(stayed >= 2, "{:?}", first.metrics());
    assert_eq!(second.metrics().prepared, 2, "{:?}", second.metrics());
    counting.go_on();
    let members = counting.members(cluster);
    assert_eq!(members.values().map(Vec::len).collect::<Vec<_>>(), [2, 2], "{members:?}");

    // Who goes leaves its tasks to the copies: nothing is restored but what came last.
    second.running.shutdown().unwrap();
    until("the first one has all again", || first.runs() == PARTITIONS);
    let metrics = first.metrics();
    assert_eq!(metrics.prepared, 2, "{metrics:?}");
    assert!(metrics.restored - restored <= KEYS, "{metrics:?}");
    counting.go_on();
    first.running.shutdown().unwrap();
}
