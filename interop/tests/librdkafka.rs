//! The most common other client writes what we read, and reads what we write.
#![allow(clippy::unwrap_used)]

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers as _, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    Bytes, Clock, Guarantee, Headers, Kafka, KafkaSettings, Producer, Raw, Reader, Received,
    SystemClock, Topic, Transaction,
};
use suiro_kafka_harness::Kafka as Cluster;

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 5;

type Lines = Topic<Option<Bytes>, Bytes>;

fn lines(name: String) -> Lines {
    Topic::of("lines", &Raw, &Raw).named(name)
}

/// A record as both clients know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    at: i64,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Keys of all lengths, none, and empty ones; removals; headers twice of one name and without a
/// value; bytes that are no text; a value that is worth compressing.
fn all_kinds() -> Vec<Line> {
    let mut all = Vec::new();
    for number in 0..300_u32 {
        let key = match number % 10 {
            0 => None,
            1 => Some(Vec::new()),
            _ => Some((0..number % 37).map(|at| (number * 7 + at) as u8).collect()),
        };
        let value = match number % 7 {
            0 if key.is_some() => None,
            1 => Some(vec![b'a'; 5_000]),
            _ => Some(number.to_be_bytes().to_vec()),
        };
        let count = number % 3;
        let named = |at| (at != 1).then(|| number.to_le_bytes().to_vec());
        let headers = (0..count).map(|at| ("name".to_owned(), named(at))).collect();
        all.push(Line { key, value, at: 1_000 + i64::from(number), headers });
    }
    all
}

fn ours(received: &Received<Option<Bytes>, Bytes>) -> Line {
    let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
    let headers = received.headers.iter().map(|it| (it.key.clone(), bytes(&it.value)));
    Line {
        key: bytes(&received.key),
        value: bytes(&received.value),
        at: received.at.as_millis(),
        headers: headers.collect(),
    }
}

fn create(kafka: &Kafka, topic: &Lines) {
    Producer::open(kafka, topic).unwrap().create(PARTITIONS).unwrap();
}

fn producer(cluster: &Cluster, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap());
    config.set("partitioner", "murmur2_random");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

fn send(producer: &BaseProducer, topic: &str, line: &Line) {
    let headers = line.headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
        all.insert(Header { key, value: value.as_ref() })
    });
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).timestamp(line.at).headers(headers);
    (record.key, record.payload) = (line.key.as_deref(), line.value.as_deref());
    producer.send(record).map_err(|(error, _)| error).unwrap();
}

/// What librdkafka reads of a topic, by partition; `count` records.
fn read(cluster: &Cluster, topic: &str, count: usize) -> BTreeMap<u32, Vec<Line>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", cluster.unique("group"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut all: BTreeMap<u32, Vec<Line>> = BTreeMap::new();
    let clock = SystemClock::default();
    let mut came = 0;
    while came < count {
        // It also ends early, with nothing, when the group has changed.
        let Some(message) = consumer.poll(Duration::from_secs(1)) else {
            assert!(clock.elapsed() < PATIENCE, "{came} of {count} came");
            continue;
        };
        let message = message.unwrap();
        came += 1;
        let headers = message.headers().map(|all| {
            let each = all.iter();
            each.map(|it| (it.key.to_owned(), it.value.map(<[u8]>::to_vec))).collect()
        });
        all.entry(message.partition() as u32).or_default().push(Line {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            at: message.timestamp().to_millis().unwrap(),
            headers: headers.unwrap_or_default(),
        });
    }
    // Nothing is behind that.
    let more = consumer.poll(Duration::from_millis(500));
    assert!(more.is_none(), "{more:?}");
    all
}

fn sorted(lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort();
    lines
}

#[test]
fn what_librdkafka_writes_is_read_however_it_is_compressed() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = lines(cluster.unique(codec));
        create(&kafka, &topic);
        let writer = producer(cluster, &[("compression.type", codec), ("linger.ms", "50")]);
        let all = all_kinds();
        all.iter().for_each(|line| send(&writer, topic.name(), line));
        writer.flush(PATIENCE).unwrap();
        let received = Reader::open(&kafka, &topic).unwrap().read_to_end().unwrap();
        assert_eq!(sorted(received.iter().map(ours)), sorted(all), "{codec}");
    }
}

/// A key is in the same partition, whoever wrote it; so tables that both write can be joined.
#[test]
fn both_choose_the_same_partitions() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
    let [theirs, own] = ["theirs", "own"].map(|name| lines(cluster.unique(name)));
    [&theirs, &own].into_iter().for_each(|topic| create(&kafka, topic));
    let keyed: Vec<_> = all_kinds().into_iter().filter(|line| line.key.is_some()).collect();
    let writer = producer(cluster, &[]);
    let mut transaction = Transaction::open(&kafka).unwrap();
    for line in &keyed {
        send(&writer, theirs.name(), line);
        write(&mut transaction, &own, line);
    }
    writer.flush(PATIENCE).unwrap();
    transaction.commit().unwrap();
    let by_partition = |topic| {
        let mut all: BTreeMap<u32, Vec<Line>> = BTreeMap::new();
        for received in Reader::open(&kafka, topic).unwrap().read_to_end().unwrap() {
            all.entry(received.partition).or_default().push(ours(&received));
        }
        all.values_mut().for_each(|lines| lines.sort());
        all
    };
    let both = [&theirs, &own].map(by_partition);
    assert!(both[0].len() > 1);
    assert_eq!(both[0], both[1]);
}

fn write(transaction: &mut Transaction, topic: &Lines, line: &Line) {
    let bytes = |bytes: &Option<Vec<u8>>| bytes.clone().map(Bytes::from);
    let headers = line.headers.iter().map(|(key, value)| suiro::Header {
        key: key.clone(),
        value: value.clone().map(Bytes::from),
    });
    let headers = Headers::from(headers.collect::<Vec<_>>());
    let (key, value) = (bytes(&line.key), bytes(&line.value));
    transaction.write_with(topic, &key, value.as_ref(), line.at.into(), &headers).unwrap();
}

#[test]
fn what_we_write_is_read_by_librdkafka() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
    let topic = lines(cluster.unique("written"));
    create(&kafka, &topic);
    let all = all_kinds();
    let mut transaction = Transaction::open(&kafka).unwrap();
    all[..200].iter().for_each(|line| write(&mut transaction, &topic, line));
    transaction.commit().unwrap();
    // A transaction that nobody ends is none.
    let mut lost = Transaction::open(&kafka).unwrap();
    write(&mut lost, &topic, &all[0]);
    drop(lost);
    let simple = |line: &&Line| line.headers.is_empty() && line.value.is_some();
    let rest: Vec<_> = all[200..].iter().filter(simple).cloned().collect();
    for (number, guarantee) in
        [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce].into_iter().enumerate()
    {
        let mut producer = Producer::open(&kafka, &topic).unwrap().guarantee(guarantee);
        for line in rest.iter().skip(number).step_by(2) {
            let key = line.key.clone().map(Bytes::from);
            producer.send(key, line.value.clone().unwrap().into(), line.at).unwrap();
        }
        producer.flush().unwrap();
    }
    let expected = sorted(all[..200].iter().cloned().chain(rest));
    let found = read(cluster, topic.name(), expected.len());
    assert_eq!(sorted(found.into_values().flatten()), expected);
}

#[test]
fn transactions_of_librdkafka_are_read_when_they_are_committed() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(KafkaSettings::new(cluster.bootstrap()));
    let topic = lines(cluster.unique("transactions"));
    create(&kafka, &topic);
    let id = cluster.unique("id");
    let writer = producer(cluster, &[("transactional.id", &id)]);
    writer.init_transactions(PATIENCE).unwrap();
    let mut expected = Vec::new();
    for (number, lines) in all_kinds().chunks(30).enumerate() {
        writer.begin_transaction().unwrap();
        lines.iter().for_each(|line| send(&writer, topic.name(), line));
        writer.flush(PATIENCE).unwrap();
        if number % 3 == 1 {
            writer.abort_transaction(PATIENCE).unwrap();
        } else {
            writer.commit_transaction(PATIENCE).unwrap();
            expected.extend_from_slice(lines);
        }
    }
    let received = Reader::open(&kafka, &topic).unwrap().read_to_end().unwrap();
    assert_eq!(sorted(received.iter().map(ours)), sorted(expected.clone()));
    // One that is open hides what comes after it, and is not read itself.
    writer.begin_transaction().unwrap();
    let open = Line { key: None, value: Some(vec![1]), at: 1, headers: Vec::new() };
    (0..50).for_each(|_| send(&writer, topic.name(), &open));
    writer.flush(PATIENCE).unwrap();
    let received = Reader::open(&kafka, &topic).unwrap().read_to_end().unwrap();
    assert_eq!(received.len(), expected.len());
    writer.abort_transaction(PATIENCE).unwrap();
}
