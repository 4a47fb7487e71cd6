//! Commits without a transaction: records are there when they are written, and positions only
//! of the newest generation.
#![allow(clippy::unwrap_used)]

mod talk;

use suiro_core::TopicPartition;
use suiro_core::batch::batches;
use suiro_core::broker::{
    Broker, Event, Fence, Fetch, Generation, Guarantee, Outcome, Position, Session, TaskId,
};
use suiro_kafka::{Kafka, Settings};
use suiro_kafka_harness::Kafka as Cluster;
use talk::{assigned, commit, create, until};

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
    create(&mut *session, &topic);
    session.join(&group, &[TaskId { subtopology: 0, partition: 0 }]);
    let generation = assigned(&mut *session);
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
    let generation = assigned(&mut *session);
    let outcome = commit(&mut *session, &topic, (&fence(generation), 4));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    assert_eq!(written(&mut *session, &topic).len(), 5);
}
