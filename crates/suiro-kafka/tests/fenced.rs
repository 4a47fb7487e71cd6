//! Who was fenced can go on: it is told what is assigned to it now.
#![allow(clippy::unwrap_used)]

use std::time::Duration;
use suiro_core::batch::{BatchWriter, Compression};
use suiro_core::broker::{
    Broker, Cleanup, Event, Fence, Generation, Outcome, Position, Session, TaskId, TopicSpec,
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

fn assigned(session: &mut dyn Session) -> Generation {
    until(session, |event| match event {
        Event::Assigned(generation, tasks) => {
            assert_eq!(tasks.len(), 1);
            Some(generation)
        }
        _ => None,
    })
}

fn commit(session: &mut dyn Session, to: &TopicPartition, fence: &Fence) -> Outcome {
    let mut writer = BatchWriter::new(Compression::None);
    writer.push(Timestamp::ZERO, None, Some(b"value"), &Headers::NONE);
    let commit = session.begin();
    session.append(commit, to, writer.finish().unwrap());
    let position = Position { partition: to.clone(), next: 1, note: String::new() };
    session.commit(commit, Some(fence.clone()), vec![position]);
    until(session, |event| match event {
        Event::Resolved(of, outcome) if of == commit => Some(outcome),
        _ => None,
    })
}

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
    let spec =
        TopicSpec { name: topic.topic.clone(), partitions: 1, cleanup: Cleanup::default() };
    let asked = session.create(vec![spec]);
    let made = until(&mut *session, |event| match event {
        Event::Created(of, made) if of == asked => Some(made),
        _ => None,
    });
    made.unwrap();
    session.join(&group, &tasks);
    let first = assigned(&mut *session);
    let fence =
        |generation| Fence { group: group.as_str().into(), generation: Some(generation) };
    let outcome = commit(&mut *session, &topic, &fence(first));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");

    drop(kafka.session(&name).unwrap());
    let outcome = commit(&mut *session, &topic, &fence(first));
    assert!(matches!(outcome, Outcome::Fenced(_)), "{outcome:?}");

    session.rejoin(&group, &tasks);
    let second = assigned(&mut *session);
    assert!(first < second);
    let outcome = commit(&mut *session, &topic, &fence(second));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}
