//! Asking a session, and waiting for what it says. Each test that uses it takes what it needs.
#![allow(dead_code)]

use std::time::Duration;
use suiro_core::batch::{BatchWriter, Compression};
use suiro_core::broker::{
    Cleanup, CommitId, Event, Fence, Generation, Outcome, Position, Session, TopicSpec,
};
use suiro_core::{Clock, Headers, SystemClock, Timestamp, TopicPartition};

/// Waits for an event.
pub fn until<T>(session: &mut dyn Session, mut pick: impl FnMut(Event) -> Option<T>) -> T {
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

/// Creates a topic of one partition.
pub fn create(session: &mut dyn Session, topic: &TopicPartition) {
    let spec =
        TopicSpec { name: topic.topic.clone(), partitions: 1, cleanup: Cleanup::default() };
    let asked = session.create(vec![spec]);
    let made = until(session, |event| match event {
        Event::Created(of, made) if of == asked => Some(made),
        _ => None,
    });
    made.unwrap();
}

/// Waits until there is a new generation, in which the one task is this session's own.
pub fn assigned(session: &mut dyn Session) -> Generation {
    until(session, |event| match event {
        Event::Assigned(generation, tasks) => {
            assert_eq!(tasks.len(), 1);
            Some(generation)
        }
        _ => None,
    })
}

/// Commits a record, and that the next one to read is at `next`.
pub fn commit(
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
    resolved(session, commit)
}

/// Waits for what becomes of a commit.
pub fn resolved(session: &mut dyn Session, commit: CommitId) -> Outcome {
    until(session, |event| match event {
        Event::Resolved(of, outcome) if of == commit => Some(outcome),
        _ => None,
    })
}
