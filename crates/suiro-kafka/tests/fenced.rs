//! Who was fenced can go on: it is told what is assigned to it now.
#![allow(clippy::unwrap_used)]

mod talk;

use suiro_core::TopicPartition;
use suiro_core::broker::{Broker, Fence, Outcome, TaskId};
use suiro_kafka::{Kafka, Settings};
use suiro_kafka_harness::Kafka as Cluster;
use talk::{assigned, commit, create};

/// The group has nothing against its member, but somebody has taken its name as a producer, as
/// brokers themselves do with one that takes too long.
#[test]
fn a_member_whose_producer_was_fenced_is_assigned_its_tasks_anew() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(Settings::new(cluster.bootstrap()));
    let (name, group) = (cluster.unique("worker"), cluster.unique("group"));
    let topic = TopicPartition::new(cluster.unique("topic"), 0);
    let tasks = [TaskId { subtopology: 0, partition: 0 }];

    let mut session = kafka.session(&name).unwrap();
    create(&mut *session, &topic);
    session.join(&group, &tasks);
    let first = assigned(&mut *session);
    let fence =
        |generation| Fence { group: group.as_str().into(), generation: Some(generation) };
    let outcome = commit(&mut *session, &topic, (&fence(first), 1));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");

    drop(kafka.session(&name).unwrap());
    let outcome = commit(&mut *session, &topic, (&fence(first), 1));
    assert!(matches!(outcome, Outcome::Fenced(_)), "{outcome:?}");

    session.rejoin(&group, &tasks);
    let second = assigned(&mut *session);
    assert!(first < second);
    let outcome = commit(&mut *session, &topic, (&fence(second), 1));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}
