//! Retention and compaction take what they may, never more, whatever crashes meanwhile.
#![allow(clippy::unwrap_used)]

mod common;

use common::{HandClock, Party, Row, batch, batch_at, place};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Cleanup, Seek};
use suiro_core::{Clock, Seed, Timestamp};
use suiro_log::{FaultyDisk, Log, LogOptions};

/// How long tombstones are kept, and records of a topic with retention.
const KEPT: i64 = 1000;

#[derive(Clone, Debug)]
enum Step {
    /// Records with these keys; those of an odd number are tombstones.
    Write(Vec<(u8, u8)>),
    Advance(i64),
    Maintain,
    MaintainAndCrash(u8),
    Trim(u8),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec((0u8..6, any::<u8>()), 1..6).prop_map(Step::Write),
        3 => (1i64..KEPT).prop_map(Step::Advance),
        3 => Just(Step::Maintain),
        2 => any::<u8>().prop_map(Step::MaintainAndCrash),
        1 => any::<u8>().prop_map(Step::Trim),
        1 => Just(Step::Crash),
    ]
}

struct World {
    disk: FaultyDisk,
    clock: HandClock,
    options: LogOptions,
    cleanup: Cleanup,
    open: Option<(Log, Party)>,
    /// Another process that reads the log all the time.
    reader: Option<Party>,
    /// Everything that was ever written, with the time of its append and of its event.
    written: Vec<(Row, i64, i64)>,
    /// Up to where it was trimmed.
    trimmed: i64,
}

impl World {
    fn new(seed: u64, cleanup: Cleanup) -> Self {
        let (disk, clock) = (FaultyDisk::new(Seed::new(seed)), HandClock::default());
        let options = Log::options()
            .disk(Arc::new(disk.clone()))
            .clock(Arc::new(clock.clone()))
            .inline(true)
            .segment_bytes(350)
            .journal_bytes(3000)
            .recent_bytes(300)
            // Odd seeds have memory for the keys of one batch.
            .compaction_memory(if seed.is_multiple_of(2) { 1 << 20 } else { 1 })
            .tombstone_retention(Duration::from_millis(KEPT as u64));
        let mut world = Self {
            disk,
            clock,
            options,
            cleanup,
            open: None,
            reader: None,
            written: Vec::new(),
            trimmed: 0,
        };
        world.open();
        world.party().create("t", 1, cleanup).unwrap();
        world
    }

    fn open(&mut self) {
        let log = self.options.clone().open("log").unwrap();
        let party = Party::new(&log, "party");
        self.open = Some((log, party));
        let reader = self.options.clone().open_reader("log").unwrap();
        self.reader = Some(Party::new(&reader, "reader"));
    }

    fn party(&mut self) -> &mut Party {
        &mut self.open.as_mut().unwrap().1
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millis()
    }

    fn write(&mut self, records: &[(u8, u8)]) {
        let mut bytes = Vec::new();
        for (nth, (key, value)) in (0..).zip(records) {
            let offset = self.written.len() as i64;
            let (key, text) = (format!("key {key}"), format!("{value} {offset}"));
            let value = (value % 2 == 0).then_some(text);
            // Event times run backwards within a commit.
            let at = 10_000 + offset - 2 * nth;
            bytes.push((at, key.clone(), value.clone()));
            self.written.push(((offset, Some(key), value), self.now(), at));
        }
        // Two neighbours share a batch.
        let mut batches = Vec::new();
        for pair in bytes.chunks(2) {
            let rows: Vec<_> = pair
                .iter()
                .map(|(_, key, value)| (Some(key.as_str()), value.as_deref()))
                .collect();
            batches.extend_from_slice(&batch_at(pair[0].0, &rows));
        }
        // Records of one batch have one time.
        let start = self.written.len() - bytes.len();
        for (nth, record) in self.written[start..].iter_mut().enumerate() {
            record.2 = bytes[nth - nth % 2].0;
        }
        self.party().write(&[(place("t", 0), batches.into())]);
    }

    fn crash(&mut self) {
        self.disk.power_off_after(0);
        self.open = None;
        self.disk.crash();
        self.open();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(records) => self.write(records),
            Step::Advance(millis) => self.clock.advance(*millis),
            Step::Maintain => self.open.as_ref().unwrap().0.maintain().unwrap(),
            Step::MaintainAndCrash(operations) => {
                self.disk.power_off_after(u64::from(*operations) / 4);
                let _ = self.open.as_ref().unwrap().0.maintain();
                self.crash();
            }
            Step::Trim(share) => {
                let offset = self.written.len() as i64 * i64::from(*share) / 512;
                self.trimmed = self.trimmed.max(offset);
                self.party().session.trim(&place("t", 0), offset);
            }
            Step::Crash => self.crash(),
        }
        self.check();
    }

    fn check(&mut self) {
        let end = self.written.len() as i64;
        let partition = place("t", 0);
        assert_eq!(self.party().seek(&partition, Seek::Latest).unwrap(), end);
        let start = self.party().seek(&partition, Seek::Earliest).unwrap();
        let rows = self.party().read_by(&partition, 1 << 20).unwrap();
        for max_bytes in [1, 300] {
            assert_eq!(self.party().read_by(&partition, max_bytes).unwrap(), rows);
        }
        for row in &rows {
            assert_eq!(*row, self.written[row.0 as usize].0, "a record is as it was written");
        }
        match self.cleanup {
            Cleanup::Compact => self.check_compacted(&rows),
            Cleanup::Delete { after, .. } => self.check_retained(&rows, start, after.is_some()),
            Cleanup::Keep => {}
        }
        self.check_times(&rows, start);
        self.check_reader(&rows);
    }

    /// A reader may still see what was deleted, but lacks nothing that is there.
    fn check_reader(&mut self, rows: &[Row]) {
        for max_bytes in [1, 1 << 20] {
            let found =
                self.reader.as_mut().unwrap().read_by(&place("t", 0), max_bytes).unwrap();
            for row in &found {
                assert_eq!(*row, self.written[row.0 as usize].0);
            }
            assert!(found.is_sorted_by_key(|row| row.0));
            let last = found.last().map(|row| row.0);
            assert_eq!(last.max(rows.last().map(|row| row.0)), last);
            if self.cleanup == Cleanup::Compact {
                self.check_compacted(&found);
            } else {
                assert!(found.ends_with(rows), "{found:?} {rows:?}");
            }
        }
    }

    /// The last row of each key is the last that was written.
    fn check_compacted(&self, rows: &[Row]) {
        let mut newest: BTreeMap<&String, (&Row, i64)> = BTreeMap::new();
        for (row, appended, _) in &self.written {
            newest.insert(row.1.as_ref().unwrap(), (row, *appended));
        }
        for (key, (row, appended)) in newest {
            let found = rows.iter().rfind(|found| found.1.as_ref() == Some(key));
            if row.0 < self.trimmed {
                continue;
            }
            match found {
                Some(found) => assert_eq!(found, row),
                None => {
                    assert_eq!(row.2, None, "{key} lost its value");
                    assert!(appended + KEPT < self.now(), "{key} lost its tombstone early");
                }
            }
        }
    }

    /// What is left is the end of what was written, and nothing young is missing.
    fn check_retained(&self, rows: &[Row], start: i64, by_time: bool) {
        let offsets: Vec<i64> = rows.iter().map(|row| row.0).collect();
        assert_eq!(offsets, (start..self.written.len() as i64).collect::<Vec<_>>());
        if by_time {
            let young =
                self.written.iter().find(|(_, appended, _)| appended + KEPT >= self.now());
            if let Some(((offset, ..), ..)) = young {
                assert!(start <= (*offset).max(self.trimmed), "a young record is gone");
            }
        } else {
            let bytes = batch(&["x"]).len();
            let gone = (start > self.trimmed).then_some(rows.len() * bytes);
            assert!(gone.is_none_or(|left| left > 100), "too much is gone");
        }
    }

    /// Seeking a time leads to the first record that has it or a later one. Compaction may
    /// have taken one already that is still served from memory.
    fn check_times(&mut self, rows: &[Row], start: i64) {
        for at in [0, 10_000, 10_007, 10_000 + self.written.len() as i64 / 2, 99_999] {
            let seek = Seek::Time(Timestamp::from_millis(at));
            let found = self.party().seek(&place("t", 0), seek).unwrap();
            let fits = |row: &&Row| row.0 >= start && self.written[row.0 as usize].2 >= at;
            let skipped = rows.iter().filter(fits).find(|row| row.0 < found);
            if let Some(row) = skipped {
                assert_eq!(self.cleanup, Cleanup::Compact);
                let newer = &self.written[row.0 as usize + 1..];
                assert!(row.2.is_none() || newer.iter().any(|(newer, ..)| newer.1 == row.1));
            }
            let end = self.written.len() as i64;
            assert!(found == end || self.written[found as usize].2 >= at);
        }
    }
}

fn run(seed: u64, cleanup: Cleanup, steps: &[Step]) {
    let mut world = World::new(seed, cleanup);
    for step in steps {
        world.step(step);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 80,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn compaction_keeps_the_last_value(
        seed: u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(seed, Cleanup::Compact, &steps);
    }

    #[test]
    fn retention_by_time_keeps_what_is_young(
        seed: u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let after = Some(Duration::from_millis(KEPT as u64));
        run(seed, Cleanup::Delete { after, bytes: None }, &steps);
    }

    #[test]
    fn retention_by_size_keeps_as_much(
        seed: u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(seed, Cleanup::Delete { after: None, bytes: Some(800) }, &steps);
    }
}

#[test]
fn compaction_leaves_one_record_per_key() {
    let mut world = World::new(2, Cleanup::Compact);
    for round in 0..50u8 {
        world.write(&[(1, 2 * round), (2, 2 * round), (3, 2 * round + 1)]);
    }
    let before = world.disk.used();
    world.step(&Step::Maintain);
    let rows = world.party().read(&place("t", 0));
    // Two keys with a value, a tombstone, and what is in the active segment.
    assert!(rows.len() <= 3 + 9, "{rows:?}");
    assert!(world.disk.used() < before / 3);

    // When its time has come the tombstone goes, without a new record.
    for _ in 0..5 {
        world.write(&[(4, 2), (5, 2)]);
    }
    world.step(&Step::Maintain);
    world.clock.advance(KEPT + 1);
    world.step(&Step::Maintain);
    let rows = world.party().read(&place("t", 0));
    assert!(rows.iter().all(|row| row.1.as_deref() != Some("key 3")), "{rows:?}");
    world.step(&Step::Crash);
}

#[test]
fn retention_deletes_what_is_old_even_if_nothing_new_comes() {
    let after = Some(Duration::from_millis(KEPT as u64));
    let mut world = World::new(1, Cleanup::Delete { after, bytes: None });
    for _ in 0..20 {
        world.write(&[(1, 2), (2, 2)]);
    }
    world.clock.advance(KEPT + 1);
    world.step(&Step::Maintain);
    assert_eq!(world.party().seek(&place("t", 0), Seek::Earliest).unwrap(), 40);
    assert_eq!(world.party().read(&place("t", 0)), []);
    world.step(&Step::Crash);
    world.write(&[(1, 2)]);
    assert_eq!(world.party().read(&place("t", 0)).len(), 1);
}

#[test]
fn a_trim_frees_the_disk_and_survives() {
    let mut world = World::new(1, Cleanup::Keep);
    for _ in 0..100 {
        world.write(&[(1, 2), (2, 2)]);
    }
    let before = world.disk.used();
    world.party().session.trim(&place("t", 0), 190);
    let fetched = world.party().fetch(&place("t", 0), 0, 1 << 20).unwrap();
    assert_eq!((fetched.start, fetched.end), (190, 200));
    world.step(&Step::Maintain);
    assert!(world.disk.used() < before / 3);
    world.step(&Step::Crash);
    assert_eq!(world.party().seek(&place("t", 0), Seek::Earliest).unwrap(), 190);
    assert_eq!(world.party().read(&place("t", 0)).len(), 10);
}
