//! Several threads at once.

use super::Subject;
use super::rows::{batch, texts};
use super::waits::assert_quick;
use super::world::World;
use crate::TopicPartition;
use std::collections::HashSet;
use std::panic::resume_unwind;
use std::thread;

const WRITERS: usize = 4;
const COMMITS: usize = 25;

/// A waker ends a wait from another thread, whichever of them comes first.
pub fn wake_comes_from_another_thread(subject: Subject) {
    let check = "wake_comes_from_another_thread";
    let mut world = World::new(check, subject);
    let mut party = world.party();
    let patience = world.patience();
    for _ in 0..20 {
        let waker = party.session.waker();
        party.listen();
        thread::scope(|scope| {
            let wait = || assert_quick(check, patience, || party.session.wait(patience));
            let waiting = scope.spawn(wait);
            waker.wake();
            waiting.join().unwrap_or_else(|cause| resume_unwind(cause));
        });
    }
}

/// While several threads commit to two partitions, whoever sees a record of a commit in one
/// partition finds the other record of that commit in the other one.
pub fn commits_of_threads_stay_whole(subject: Subject) {
    let check = "commits_of_threads_stay_whole";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 2);
    let [left, right] = [0, 1].map(|number| TopicPartition::new(topic.clone(), number));
    let mut reader = world.party();
    let writers: Vec<_> = (0..WRITERS).map(|_| world.party()).collect();
    thread::scope(|scope| {
        for (number, mut writer) in writers.into_iter().enumerate() {
            let (left, right) = (&left, &right);
            scope.spawn(move || {
                for round in 0..COMMITS {
                    let value = format!("{number}:{round}");
                    let batches = batch(&[&value]);
                    writer.write(&[(left, batches.clone()), (right, batches)]);
                }
            });
        }
        let all = reader.until("record of every commit", |reader| {
            let seen = texts(&reader.read(&left));
            let other: HashSet<_> = texts(&reader.read(&right)).into_iter().collect();
            let torn = seen.iter().find(|value| !other.contains(*value));
            assert_eq!(torn, None, "{check}: seen in one partition only");
            (seen.len() >= WRITERS * COMMITS).then_some(seen)
        });
        for number in 0..WRITERS {
            let own = format!("{number}:");
            let rounds: Vec<_> = all.iter().filter(|value| value.starts_with(&own)).collect();
            let expected: Vec<_> = (0..COMMITS).map(|round| format!("{own}{round}")).collect();
            assert!(rounds.into_iter().eq(&expected), "{check}: order of writer {number}");
        }
    });
}
