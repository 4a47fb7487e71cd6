//! Groups, generations and fences, beyond what every broker must do.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Party, batch, fence, place};
use std::collections::BTreeSet;
use std::sync::Arc;
use suiro_core::broker::{Cleanup, Outcome, Position, TaskId};
use suiro_core::{ErrorKind, Seed};
use suiro_log::{FaultyDisk, Log};

fn tasks(count: u32) -> Vec<TaskId> {
    (0..count).map(|partition| TaskId { subtopology: 0, partition }).collect()
}

fn position(next: i64) -> Vec<Position> {
    vec![Position { partition: place("t", 0), next, note: String::new() }]
}

fn log() -> Log {
    let log = Log::in_memory();
    Party::new(&log, "creator").create("t", 1, Cleanup::Keep).unwrap();
    log
}

#[test]
fn an_outsider_commits_only_while_nobody_is_a_member() {
    let log = log();
    let (mut member, mut outsider) = (Party::new(&log, "member"), Party::new(&log, "outsider"));
    let outcome = outsider.commit(&[], fence("g", None), position(1));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");

    member.session.join("g", &tasks(1));
    let (generation, _) = member.assigned();
    let outcome = outsider.commit(&[], fence("g", None), position(2));
    let Outcome::Fenced(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let outcome = member.commit(&[], fence("g", Some(generation)), position(3));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");

    drop(member);
    let outcome = outsider.commit(&[], fence("g", None), position(4));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    assert_eq!(outsider.positions("g", &[place("t", 0)]), position(4));
}

#[test]
fn positions_need_a_group_and_a_short_note() {
    let log = log();
    let mut party = Party::new(&log, "party");
    let append = [(place("t", 0), batch(&["x"]))];
    let long = vec![Position { note: "n".repeat(4097), ..position(1).remove(0) }];
    for (fence, positions) in
        [(None, position(1)), (fence("g", None), long), (fence("g", None), position(-1))]
    {
        let outcome = party.commit(&append, fence, positions);
        let Outcome::Aborted(error) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert!(party.values(&place("t", 0)).is_empty());
}

#[test]
fn few_tasks_move() {
    let log = log();
    let (mut one, mut two) = (Party::new(&log, "one"), Party::new(&log, "two"));
    one.session.join("g", &tasks(6));
    assert_eq!(one.assigned().1.len(), 6);
    two.session.join("g", &tasks(6));
    let before: BTreeSet<TaskId> = one.assigned().1.into_iter().collect();
    assert_eq!((before.len(), two.assigned().1.len()), (3, 3));
    let mut three = Party::new(&log, "three");
    three.session.join("g", &tasks(6));
    let after: BTreeSet<TaskId> = one.assigned().1.into_iter().collect();
    assert_eq!((after.len(), two.assigned().1.len(), three.assigned().1.len()), (2, 2, 2));
    assert!(after.is_subset(&before));
}

#[test]
fn a_fenced_session_loses_its_tasks_and_joins_no_more() {
    let log = log();
    let mut old = Party::new(&log, "worker");
    old.session.join("g", &tasks(2));
    let (first, _) = old.assigned();
    let mut new = Party::new(&log, "worker");
    old.session.join("g", &tasks(2));
    new.session.join("g", &tasks(2));
    let (second, assigned) = new.assigned();
    assert!(second > first);
    assert_eq!(assigned, tasks(2));
}

#[test]
fn generations_grow_whatever_crashes() {
    let disk = FaultyDisk::new(Seed::new(9));
    let options = Log::options().disk(Arc::new(disk.clone())).inline(true);
    let mut last = 0;
    for round in 0..30 {
        let log = options.clone().open("log").unwrap();
        let mut party = Party::new(&log, "party");
        party.create("t", 1, Cleanup::Keep).unwrap();
        party.session.join("g", &tasks(1));
        let (generation, _) = party.assigned();
        assert!(generation > last, "round {round}: {generation} does not follow {last}");
        let outcome = party.commit(&[], fence("g", Some(generation)), position(round));
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
        last = generation;
        disk.power_off_after(0);
        drop((party, log));
        disk.crash();
    }
}
