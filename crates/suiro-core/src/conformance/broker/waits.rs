//! What blocks, and for how long.

use super::Subject;
use super::rows::batch;
use super::world::World;
use crate::broker::Fetch;
use crate::{Clock, SystemClock, TopicPartition};
use std::time::Duration;

/// Asserts that `act` takes less than the patience of a wait that was meant to last as long.
pub(super) fn assert_quick(what: &str, patience: Duration, act: impl FnOnce()) {
    let clock = SystemClock::default();
    act();
    let taken = clock.elapsed();
    assert!(taken < patience.mul_f32(0.8), "{what}: took {taken:?} of {patience:?}");
}

/// Polling an idle session, and asking for what is not there yet, return at once.
pub fn poll_never_blocks(subject: Subject) {
    let mut world = World::new("poll_never_blocks", subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();
    assert_quick("poll_never_blocks", world.patience(), || {
        for _ in 0..1000 {
            party.listen();
        }
        let at_the_end = Fetch { partition: place, offset: 0, max_bytes: 1 << 20 };
        let ticket = party.session.fetch(at_the_end);
        let fetched = party.fetched(ticket).expect("poll_never_blocks: fetch at the end");
        assert!(fetched.batches.is_empty(), "poll_never_blocks: records at the end");
    });
}

/// A wait ends after its time if nothing happens.
pub fn wait_ends_in_time(subject: Subject) {
    let mut world = World::new("wait_ends_in_time", subject);
    let mut party = world.party();
    assert_quick("wait_ends_in_time", world.patience(), || {
        for millis in [0, 1, 10] {
            party.session.wait(Duration::from_millis(millis));
        }
    });
}

/// A wake ends the next wait, if none is under way, also one by a waker that was made long
/// before.
pub fn wait_ends_at_a_wake(subject: Subject) {
    let mut world = World::new("wait_ends_at_a_wake", subject);
    let mut party = world.party();
    let patience = world.patience();
    let waker = party.session.waker();
    for _ in 0..3 {
        party.listen();
        waker.wake();
        assert_quick("wait_ends_at_a_wake", patience, || party.session.wait(patience));
    }
    let other = party.session.waker();
    drop(waker);
    other.wake();
    assert_quick("wait_ends_at_a_wake: second waker", patience, || {
        party.session.wait(patience)
    });
    drop(party);
    other.wake();
}

/// A wait ends when there is an event, and when anybody has committed since the last poll.
pub fn wait_ends_at_a_commit(subject: Subject) {
    let mut world = World::new("wait_ends_at_a_commit", subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let (mut reader, mut writer) = (world.party(), world.party());
    let patience = world.patience();
    for round in 0..3 {
        reader.listen();
        writer.write(&[(&place, batch(&["x"]))]);
        let what = format!("wait_ends_at_a_commit: by another, round {round}");
        assert_quick(&what, patience, || reader.session.wait(patience));
        assert_eq!(reader.read(&place).len(), round + 1, "{what}: records");

        writer.listen();
        let commit = writer.begin(&[]);
        writer.session.commit(commit, None, Vec::new());
        let what = format!("wait_ends_at_a_commit: its own, round {round}");
        assert_quick(&what, patience, || writer.session.wait(patience));
        let outcome = writer.outcome(commit);
        writer.committed(outcome);
    }
}
