//! Commits without a transaction: records are there when they are written, and positions only
//! of the newest generation.
#![allow(clippy::unwrap_used)]

use std::time::Duration;
use suiro_core::batch::{BatchWriter, Compression, batches};
use suiro_core::broker::{
    Broker, Cleanup, Event, Fence, Fetch, Generation, Guarantee, Outcome, Position, Session,
    TaskId, TopicSpec,
};
use suiro_core::{Clock, Headers, SystemClock, Timestamp, TopicPartition};
use suiro_kafka::{Kafka, Settings};
use suiro_kafka_harness::Kafka as Cluster;

fn until<T>(session: &mut dyn Session, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let (clock, mut events) = (SystemClock::default(), Vec::new());
    loop {
        session.poll(&mut events);
        if let Some(found) = events.drain(..).find_map(&mut pick) {
            return found;
        }
        assert!(clock.elapsed() < Duration::from_secs(60), "no answer");
        session.wait(Duration::from_millis(100));
    }
}

fn commit(
    session: &mut dyn Session,
    to: &TopicPartition,
    (fence, next): (&Fence, i64),
) -> Outcome {
    let mut writer = BatchWriter::new(Compression::None);
    writer.push(Timestamp::ZERO, None, Some(b"value"), &Headers::NONE);
    let commit = session.begin();
    session.append(commit, to, writer.finish().unwrap());
    let position = Position { partition: to.clone(), next, note: "note".to_owned() };
    session.commit(commit, Some(fence.clone()), vec![position]);
    until(session, |event| match event {
        Event::Resolved(of, outcome) if of == commit => Some(outcome),
        _ => None,
    })
}

/// The offsets of the batches that are there, and whether each is part of a transaction.
fn written(session: &mut dyn Session, from: &TopicPartition) -> Vec<(i64, bool)> {
    let fetch = Fetch { partition: from.clone(), offset: 0, max_bytes: 1 << 20 };
    let asked = session.fetch(fetch);
    let bytes = until(session, |event| match event {
        Event::Fetched(of, fetched) if of == asked => Some(fetched.unwrap().batches),
        _ => None,
    });
    let all = batches(bytes).map(|batch| {
        let header = *batch.unwrap().header();
        (header.base_offset, header.transactional)
    });
    all.collect()
}

#[test]
fn records_come_before_positions_and_without_a_transaction() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(Settings::new(cluster.bootstrap()));
    let (name, group) = (cluster.unique("worker"), cluster.unique("group"));
    let topic = TopicPartition::new(cluster.unique("topic"), 0);
    let mut session = kafka.session(&name).unwrap();
    session.guarantee(Guarantee::AtLeastOnce);
    let spec =
        TopicSpec { name: topic.topic.clone(), partitions: 1, cleanup: Cleanup::default() };
    let asked = session.create(vec![spec]);
    let made = until(&mut *session, |event| match event {
        Event::Created(of, made) if of == asked => Some(made),
        _ => None,
    });
    made.unwrap();
    session.join(&group, &[TaskId { subtopology: 0, partition: 0 }]);
    let generation = until(&mut *session, |event| match event {
        Event::Assigned(generation, _) => Some(generation),
        _ => None,
    });
    let fence =
        |generation| Fence { group: group.as_str().into(), generation: Some(generation) };

    for number in 0..3 {
        match commit(&mut *session, &topic, (&fence(generation), number + 1)) {
            Outcome::Committed { offsets } => assert_eq!(offsets, [number]),
            other => panic!("{other:?}"),
        }
    }
    // Of another generation no position counts; but its record is there.
    let other = Generation(generation.0 + 100);
    let outcome = commit(&mut *session, &topic, (&fence(other), 77));
    assert!(matches!(outcome, Outcome::Fenced(_)), "{outcome:?}");
    let all = [0, 1, 2, 3].map(|offset| (offset, false));
    assert_eq!(written(&mut *session, &topic), all);
    let asked = session.positions(&group, std::slice::from_ref(&topic));
    let positions = until(&mut *session, |event| match event {
        Event::Positions(of, positions) if of == asked => Some(positions.unwrap()),
        _ => None,
    });
    let kept = Position { partition: topic.clone(), next: 3, note: "note".to_owned() };
    assert_eq!(positions, [kept]);

    // Whoever is sent away goes on as one that is new.
    session.rejoin(&group, &[TaskId { subtopology: 0, partition: 0 }]);
    let generation = until(&mut *session, |event| match event {
        Event::Assigned(generation, _) => Some(generation),
        _ => None,
    });
    let outcome = commit(&mut *session, &topic, (&fence(generation), 4));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    assert_eq!(written(&mut *session, &topic).len(), 5);
}
