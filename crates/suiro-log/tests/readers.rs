//! Readers beside the writer see what is committed, as it happens, and nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Party, batch, batch_at, fence, place};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Cleanup, Outcome, Position, Seek};
use suiro_core::{Seed, Timestamp};
use suiro_log::{FaultyDisk, Log, MemoryDisk};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<usize>),
    Big,
    Aborted,
    Read,
    Reopen,
    Checkpoint,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(0usize..40, 1..4).prop_map(Step::Commit),
        1 => Just(Step::Big),
        1 => Just(Step::Aborted),
        4 => Just(Step::Read),
        1 => Just(Step::Reopen),
        1 => Just(Step::Checkpoint),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_follows(steps in prop::collection::vec(step(), 1..40), inline: bool) {
        let options = Log::options()
            .disk(Arc::new(MemoryDisk::new()))
            .inline(inline)
            .segment_bytes(2000)
            .journal_bytes(3000)
            .recent_bytes(1000);
        let open = || {
            let log = options.clone().open("log").unwrap();
            let party = Party::new(&log, "writer");
            (log, party)
        };
        let mut writer = Some(open());
        writer.as_mut().unwrap().1.create("t", 2, Cleanup::Keep).unwrap();
        let reader = options.clone().open_reader("log").unwrap();
        let mut reader = Party::new(&reader, "reader");
        let places = [place("t", 0), place("t", 1)];
        let mut expected: [Vec<String>; 2] = Default::default();
        let mut number = 0;
        for step in steps {
            let (log, party) = writer.as_mut().unwrap();
            match step {
                Step::Commit(_) | Step::Big => {
                    number += 1;
                    let mut appends = Vec::new();
                    if let Step::Commit(lengths) = &step {
                        for (n, length) in lengths.iter().enumerate() {
                            let value = format!("{number} {}", "x".repeat(*length));
                            appends.push((places[n % 2].clone(), batch(&[&value])));
                            expected[n % 2].push(value);
                        }
                    } else {
                        let value = format!("{number} {}", "x".repeat(9000));
                        appends.push((places[0].clone(), batch(&[&value]).repeat(20).into()));
                        expected[0].extend(vec![value; 20]);
                    }
                    let (next, note) = (number, format!("note {number}"));
                    let position = Position { partition: places[1].clone(), next, note };
                    let outcome = party.commit(&appends, fence("g", None), vec![position]);
                    prop_assert!(matches!(outcome, Outcome::Committed { .. }), "{:?}", outcome);
                }
                Step::Aborted => {
                    let open = party.session.begin();
                    party.session.append(open, &places[0], batch(&["open"]));
                    let nowhere = place("nowhere", 0);
                    let both = [(places[0].clone(), batch(&["no"])), (nowhere, batch(&["no"]))];
                    let outcome = party.commit(&both, None, vec![]);
                    prop_assert!(matches!(outcome, Outcome::Aborted(_)));
                }
                Step::Read => {
                    for (partition, expected) in places.iter().zip(&expected) {
                        for max_bytes in [1, 3000] {
                            let rows = reader.read_by(partition, max_bytes).unwrap();
                            let values = rows.into_iter().filter_map(|row| row.2);
                            prop_assert_eq!(&values.collect::<Vec<_>>(), expected);
                        }
                    }
                    let positions = reader.positions("g", &places);
                    prop_assert_eq!(positions.first().map_or(0, |found| found.next), number);
                }
                Step::Reopen => {
                    drop(writer.take());
                    writer = Some(open());
                }
                Step::Checkpoint => log.clone().close().unwrap(),
            }
        }
    }
}

#[test]
fn a_reader_refuses_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    Party::new(&log, "writer").create("t", 1, Cleanup::Keep).unwrap();
    let reader = Log::open_reader(dir.path()).unwrap();
    let mut reader = Party::new(&reader, "reader");
    assert_eq!(reader.topics().len(), 1);
    assert!(reader.create("u", 1, Cleanup::Keep).is_err());
    let outcome = reader.commit(&[(place("t", 0), batch(&["no"]))], None, vec![]);
    assert!(matches!(outcome, Outcome::Aborted(_)), "{outcome:?}");
}

/// A wait of a reader in another process ends at a commit, long before its time is over.
#[test]
fn a_reader_wakes_at_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    let mut writer = Party::new(&log, "writer");
    writer.create("t", 1, Cleanup::Keep).unwrap();
    let reader = Log::open_reader(dir.path()).unwrap();
    let mut reader = Party::new(&reader, "reader");
    let waits = std::thread::spawn(move || {
        let mut offset = 0;
        while offset < 100 {
            offset = reader.fetch(&place("t", 0), offset, 1 << 20).unwrap().next;
            if offset < 100 {
                reader.session.wait(Duration::from_secs(3600));
            }
        }
    });
    for _ in 0..100 {
        writer.write(&[(place("t", 0), batch(&["x"]))]);
    }
    waits.join().unwrap();
}

/// What was written and not yet made durable is not shown.
#[test]
fn a_commit_that_may_not_have_happened_is_not_shown() {
    let disk = FaultyDisk::new(Seed::new(3));
    let options = Log::options().disk(Arc::new(disk.clone())).inline(true);
    let log = options.clone().open("log").unwrap();
    let mut writer = Party::new(&log, "writer");
    writer.create("t", 1, Cleanup::Keep).unwrap();
    writer.write(&[(place("t", 0), batch(&["sure"]))]);
    let reader = options.open_reader("log").unwrap();
    let mut reader = Party::new(&reader, "reader");
    disk.fail_syncs(1);
    let outcome = writer.commit(&[(place("t", 0), batch(&["unsure"]))], None, vec![]);
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    assert_eq!(writer.values(&place("t", 0)), ["sure"]);
    assert_eq!(reader.values(&place("t", 0)), ["sure"]);
}

/// Seeking a time gives the first record with this time or a later one, wherever it lies.
#[test]
fn times_are_found_in_segments_and_in_memory() {
    let options = Log::options().disk(Arc::new(MemoryDisk::new())).inline(true);
    let log = options.clone().segment_bytes(50_000).recent_bytes(10_000).open("log").unwrap();
    let mut party = Party::new(&log, "party");
    party.create("t", 1, Cleanup::Keep).unwrap();
    let partition = place("t", 0);
    let mut times = Vec::new();
    let mut seed = Seed::new(5);
    for _ in 0..300 {
        let at = seed.below(1000) as i64;
        let value = "x".repeat(seed.below(1500) as usize);
        party.write(&[(partition.clone(), batch_at(at, &[(None, Some(&value))]))]);
        times.push(at);
    }
    let reader = options.open_reader("log").unwrap();
    let mut reader = Party::new(&reader, "reader");
    for at in (0..1100).step_by(7) {
        let expected = times.iter().position(|time| *time >= at).unwrap_or(times.len()) as i64;
        let seek = Seek::Time(Timestamp::from_millis(at));
        assert_eq!(party.seek(&partition, seek).unwrap(), expected);
        assert_eq!(reader.seek(&partition, seek).unwrap(), expected);
    }
}
