//! Topics and positions that are removed are gone for the writer and for readers, whatever
//! crashes, and new topics of their names have nothing of them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Party, batch, fence, place};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use suiro_core::broker::{Cleanup, Event, Outcome, Position};
use suiro_core::{ErrorKind, Result, Seed};
use suiro_log::{FaultyDisk, Log};

fn remove(party: &mut Party, group: &str, topics: &[&str]) -> Result<()> {
    let topics: Vec<_> = topics.iter().map(|name| Arc::from(*name)).collect();
    let asked = party.session.remove(group, &topics);
    party.until(|event| match event {
        Event::Removed(ticket, answer) if ticket == asked => Ok(answer),
        other => Err(other),
    })
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Remove(usize),
    Position(usize),
    Forget,
    Checkpoint,
    Maintain,
    Reopen,
    /// The power goes somewhere in a checkpoint.
    Crash(u64),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..2).prop_map(Step::Write),
        4 => (0usize..2).prop_map(Step::Remove),
        2 => (0usize..2).prop_map(Step::Position),
        1 => Just(Step::Forget),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Maintain),
        2 => Just(Step::Reopen),
        3 => (0u64..40).prop_map(Step::Crash),
        3 => Just(Step::Read),
    ]
}

const NAMES: [&str; 2] = ["app.counts.changelog", "words"];

/// What must be there: by topic, the number of partitions and the values of the last one.
#[derive(Default)]
struct Model {
    topics: BTreeMap<&'static str, (u32, Vec<String>)>,
    positions: BTreeMap<&'static str, i64>,
}

impl Model {
    fn hold(&self, party: &mut Party) {
        let topics = party.topics().into_iter();
        let topics: BTreeMap<_, _> =
            topics.map(|spec| (spec.name.to_string(), spec.partitions)).collect();
        let expected =
            self.topics.iter().map(|(name, (count, _))| ((*name).to_owned(), *count));
        assert_eq!(topics, expected.collect());
        for name in NAMES {
            match self.topics.get(name) {
                Some((count, values)) => {
                    let last = place(name, count - 1);
                    assert_eq!(party.values(&last), *values, "{name}");
                    let positions = party.positions("group", &[last]);
                    let next = positions.first().map(|position| position.next);
                    assert_eq!(next, self.positions.get(name).copied(), "{name}");
                }
                None => {
                    let error = party.fetch(&place(name, 0), 0, 100).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Invalid);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_removed_stays_away(steps in prop::collection::vec(step(), 1..60), seed: u64) {
        let disk = FaultyDisk::new(Seed::new(seed));
        let options = Log::options()
            .disk(Arc::new(disk.clone()))
            .inline(true)
            .segment_bytes(500)
            .recent_bytes(400);
        let open = || {
            let log = options.clone().open("log").unwrap();
            let party = Party::new(&log, "writer");
            (log, party)
        };
        let (mut log, mut party) = open();
        let follow = || Party::new(&options.clone().open_reader("log").unwrap(), "reader");
        let mut reader = follow();
        let mut model = Model::default();
        for (number, step) in (0u32..).zip(steps) {
            match step {
                Step::Write(topic) => {
                    let name = NAMES[topic];
                    let new = || (1 + number % 3, Vec::new());
                    let (count, values) = model.topics.entry(name).or_insert_with(new);
                    party.create(name, *count, Cleanup::Keep).unwrap();
                    let value = format!("{number}{}", "-".repeat(100));
                    let offsets = party.write(&[(place(name, *count - 1), batch(&[&value]))]);
                    prop_assert_eq!(offsets, [values.len() as i64]);
                    values.push(value);
                }
                Step::Remove(topic) => {
                    remove(&mut party, "nobody", &[NAMES[topic]]).unwrap();
                    model.topics.remove(NAMES[topic]);
                    model.positions.remove(NAMES[topic]);
                }
                Step::Position(topic) => {
                    let name = NAMES[topic];
                    let Some((count, _)) = model.topics.get(name) else { continue };
                    let partition = place(name, count - 1);
                    let (next, note) = (number.into(), String::new());
                    let position = Position { partition, next, note };
                    let outcome = party.commit(&[], fence("group", None), vec![position]);
                    assert!(matches!(outcome, Outcome::Committed { .. }));
                    model.positions.insert(name, next);
                }
                Step::Forget => {
                    remove(&mut party, "group", &[]).unwrap();
                    model.positions.clear();
                }
                Step::Checkpoint => log.clone().close().unwrap(),
                Step::Maintain => log.maintain().unwrap(),
                Step::Reopen | Step::Crash(_) => {
                    if let Step::Crash(after) = step {
                        disk.power_off_after(after);
                        let _ = log.clone().close();
                        disk.power_off_after(0);
                    }
                    drop((log, party));
                    if matches!(step, Step::Crash(_)) {
                        disk.crash();
                    }
                    (log, party) = open();
                    if matches!(step, Step::Crash(_)) {
                        // Readers go with the power, too.
                        reader = follow();
                    }
                }
                Step::Read => model.hold(&mut reader),
            }
            model.hold(&mut party);
        }
        model.hold(&mut reader);
    }
}

/// How many bytes the files of a topic have, whatever it is called in the directory.
fn bytes(dir: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return fs::metadata(dir).unwrap().len() };
    entries.map(|entry| bytes(&entry.unwrap().path())).sum()
}

#[test]
fn the_files_of_a_removed_topic_go() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    let mut party = Party::new(&log, "party");
    party.create("t", 2, Cleanup::Keep).unwrap();
    party.write(&[(place("t", 1), batch(&[&"long".repeat(10_000)]))]);
    log.clone().close().unwrap();
    let topics = dir.path().join("topics");
    assert!(bytes(&topics) > 40_000);
    remove(&mut party, "app", &["t"]).unwrap();
    log.clone().close().unwrap();
    assert_eq!(bytes(&topics), 0);
}
