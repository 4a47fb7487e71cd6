//! Whatever crashes: what was acknowledged is there, whole and in order, and nothing is there
//! in part.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Party, batch, fence, place};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Cleanup, Outcome, Position};
use suiro_core::{Seed, TopicPartition};
use suiro_log::{Durability, FaultyDisk, Log, LogOptions};

const PARTITIONS: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A commit of so many records to each partition.
    Commit([u8; PARTITIONS as usize]),
    /// Power off and on.
    Crash,
    /// Power off in the middle of something, later.
    PowerOffAfter(u8),
    /// SIGKILL.
    Kill,
    /// An orderly end.
    Close,
    FailSync,
    Full(bool),
    ShortWrites(bool),
    Maintain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => any::<[u8; 3]>().prop_map(|counts| Step::Commit(counts.map(|count| count % 4))),
        2 => Just(Step::Crash),
        3 => any::<u8>().prop_map(Step::PowerOffAfter),
        2 => Just(Step::Kill),
        1 => Just(Step::Close),
        1 => Just(Step::FailSync),
        1 => any::<bool>().prop_map(Step::Full),
        1 => any::<bool>().prop_map(Step::ShortWrites),
        1 => Just(Step::Maintain),
    ]
}

/// One commit: its number and the records that it holds.
type Commit = (usize, [u8; PARTITIONS as usize]);

struct World {
    disk: FaultyDisk,
    options: LogOptions,
    open: Option<(Log, Party)>,
    /// Commits that must be there, in order.
    acknowledged: Vec<Commit>,
    /// How many of those were there after the last crash.
    durable: usize,
    /// Commits that may be there, behind the others.
    unknown: Vec<Commit>,
    commits: usize,
    fsync: bool,
    /// Whether the power was off since the last check.
    lost_power: bool,
}

fn places() -> [TopicPartition; PARTITIONS as usize] {
    [0, 1, 2].map(|partition| place("t", partition))
}

fn values((number, counts): &Commit, partition: usize) -> Vec<String> {
    (0..counts[partition]).map(|n| format!("{number}.{partition}.{n}")).collect()
}

impl World {
    fn new(seed: u64, durability: Durability, recent: usize) -> Self {
        let disk = FaultyDisk::new(Seed::new(seed));
        let options = Log::options()
            .disk(Arc::new(disk.clone()))
            .inline(true)
            .durability(durability)
            .segment_bytes(400)
            .journal_bytes(1500)
            .recent_bytes(recent);
        let mut world = Self {
            disk,
            options,
            open: None,
            acknowledged: Vec::new(),
            durable: 0,
            unknown: Vec::new(),
            commits: 0,
            fsync: durability == Durability::Fsync,
            lost_power: false,
        };
        world.open();
        let (log, party) = world.open.as_mut().unwrap();
        party.create("t", PARTITIONS, Cleanup::Keep).unwrap();
        // From here on the topic is there, whatever the durability.
        log.clone().close().unwrap();
        world
    }

    fn open(&mut self) {
        let log = match self.options.clone().open("dir/log") {
            Ok(log) => log,
            Err(error) => {
                // The power may go off while the log opens, or the disk may be full or fail;
                // then it opens once that is over.
                let kind = error.kind();
                assert_eq!(kind, suiro_core::ErrorKind::Unavailable, "{}", error.report());
                self.disk.limit(None);
                self.disk.fail_syncs(0);
                self.disk.crash();
                self.lost_power = true;
                self.options
                    .clone()
                    .open("dir/log")
                    .unwrap_or_else(|error| panic!("{}", error.report()))
            }
        };
        let party = Party::new(&log, "party");
        self.open = Some((log, party));
    }

    fn commit(&mut self, counts: [u8; 3]) {
        self.commits += 1;
        let commit = (self.commits, counts);
        let (_, party) = self.open.as_mut().unwrap();
        let mut appends = Vec::new();
        for (at, partition) in places().iter().enumerate() {
            let values = values(&commit, at);
            let texts: Vec<&str> = values.iter().map(String::as_str).collect();
            if !texts.is_empty() {
                appends.push((partition.clone(), batch(&texts)));
            }
        }
        let position = Position {
            partition: place("t", 0),
            next: self.commits as i64,
            note: format!("after {}", self.commits),
        };
        match party.commit(&appends, fence("g", None), vec![position]) {
            Outcome::Committed { offsets } => {
                assert_eq!(offsets.len(), appends.len());
                assert!(self.unknown.is_empty(), "nothing is committed after an unknown end");
                self.acknowledged.push(commit);
            }
            Outcome::Aborted(_) => {}
            Outcome::Unknown(_) => self.unknown.push(commit),
            Outcome::Fenced(error) => panic!("{error}"),
        }
    }

    /// What is there must be a prefix of the commits, and all of those that must be there.
    fn check(&mut self, least: usize) {
        let mut all = self.acknowledged.clone();
        all.append(&mut self.unknown);
        let (_, party) = self.open.as_mut().unwrap();
        let positions = party.positions("g", &places());
        let last = positions.first().map_or(0, |position| position.next as usize);
        let there = match last {
            0 => 0,
            _ => 1 + all.iter().position(|commit| commit.0 == last).expect("a known commit"),
        };
        assert!(there >= least, "{least} commits must be there, {there} are");
        all.truncate(there);
        if last > 0 {
            assert_eq!(positions[0].note, format!("after {last}"));
        }
        for (at, partition) in places().iter().enumerate() {
            let expected: Vec<String> =
                all.iter().flat_map(|commit| values(commit, at)).collect();
            for max_bytes in [1, 200, 1 << 20] {
                let rows = party.read_by(partition, max_bytes).unwrap();
                let offsets: Vec<i64> = rows.iter().map(|row| row.0).collect();
                assert_eq!(offsets, (0..expected.len() as i64).collect::<Vec<_>>());
                let found: Vec<String> = rows.into_iter().filter_map(|row| row.2).collect();
                assert_eq!(found, expected, "{partition} by {max_bytes}");
            }
        }
        self.acknowledged = all;
        self.durable = there;
    }

    /// Begins again after the process ended.
    fn reopen(&mut self) {
        self.disk.limit(None);
        self.open();
        let is_safe = self.fsync || !std::mem::take(&mut self.lost_power);
        self.check(if is_safe { self.acknowledged.len() } else { self.durable });
    }

    fn crash(&mut self) {
        self.end_process();
        self.disk.crash();
        self.lost_power = true;
        self.reopen();
    }

    /// Ends the process; what it still tries to write fails.
    fn end_process(&mut self) {
        self.disk.power_off_after(0);
        self.open = None;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(counts) => self.commit(*counts),
            Step::Crash => self.crash(),
            Step::PowerOffAfter(operations) => {
                self.disk.power_off_after(u64::from(*operations) / 4);
            }
            Step::Kill => {
                self.end_process();
                self.disk.kill();
                self.reopen();
            }
            Step::Close => {
                self.open = None;
                // The power may have gone off before.
                self.crash();
            }
            Step::FailSync => self.disk.fail_syncs(1),
            Step::Full(true) => self.disk.limit(Some(self.disk.used() + 300)),
            Step::Full(false) => self.disk.limit(None),
            Step::ShortWrites(short) => self.disk.short_writes(*short),
            Step::Maintain => {
                let (log, _) = self.open.as_ref().unwrap();
                // The disk may be full, or off.
                let _ = log.maintain();
            }
        }
    }
}

fn run(seed: u64, durability: Durability, recent: usize, steps: &[Step]) {
    let mut world = World::new(seed, durability, recent);
    for step in steps {
        world.step(step);
    }
    world.crash();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_commits_survive(
        seed: u64,
        recent in prop_oneof![Just(0usize), Just(500), Just(1 << 20)],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(seed, Durability::Fsync, recent, &steps);
    }

    #[test]
    fn without_syncs_a_prefix_survives(
        seed: u64,
        interval: bool,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let hour = Duration::from_hours(1);
        let durability = if interval { Durability::Interval(hour) } else { Durability::None };
        run(seed, durability, 500, &steps);
    }
}
