//! What is written compressed lies compressed on the broker, and is read as it was.
#![allow(clippy::unwrap_used)]

mod talk;

use suiro_core::batch::{BatchWriter, Compression, batches};
use suiro_core::broker::{Broker, Event, Fetch, Outcome};
use suiro_core::{Headers, Timestamp, TopicPartition};
use suiro_kafka::{Kafka, Settings};
use suiro_kafka_harness::Kafka as Cluster;
use talk::{create, resolved, until};

#[test]
fn batches_are_compressed_as_the_settings_say() {
    let Some(cluster) = Cluster::shared() else { return };
    for (name, kind) in [
        ("none", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
    ] {
        let mut settings = Settings::new(cluster.bootstrap());
        settings.set("compression.type", name).unwrap();
        let kafka = Kafka::new(settings);
        let topic = TopicPartition::new(cluster.unique(name), 0);
        let mut session = kafka.session(&cluster.unique("writer")).unwrap();
        create(&mut *session, &topic);
        let mut writer = BatchWriter::new(Compression::None);
        for number in 0..500 {
            let value = format!("the same again, number {number}");
            writer.push(Timestamp::ZERO, None, Some(value.as_bytes()), &Headers::NONE);
        }
        let commit = session.begin();
        session.append(commit, &topic, writer.finish().unwrap());
        // Of what is short nothing is gained.
        writer.push(Timestamp::ZERO, None, Some(b"short"), &Headers::NONE);
        session.append(commit, &topic, writer.finish().unwrap());
        session.commit(commit, None, Vec::new());
        let outcome = resolved(&mut *session, commit);
        let Outcome::Committed { offsets } = outcome else { panic!("{name}: {outcome:?}") };
        assert_eq!(offsets, [0, 500]);

        let fetch = Fetch { partition: topic, offset: 0, max_bytes: 1 << 20 };
        let asked = session.fetch(fetch);
        let fetched = until(&mut *session, |event| match event {
            Event::Fetched(of, fetched) if of == asked => Some(fetched.unwrap()),
            _ => None,
        });
        let (mut kinds, mut values) = (Vec::new(), Vec::new());
        for batch in batches(fetched.batches) {
            let batch = batch.unwrap();
            kinds.push(batch.header().compression);
            for record in batch.records().unwrap().iter() {
                values.push(record.unwrap().value.map(<[u8]>::to_vec).unwrap());
            }
        }
        assert_eq!(kinds, [kind, Compression::None], "{name}");
        assert_eq!((values.len(), &*values[499]), (501, &b"the same again, number 499"[..]));
    }
    let error = Settings::new("one:1").set("compression.type", "rar").unwrap_err();
    assert!(error.to_string().contains("lz4"), "{error}");
}
