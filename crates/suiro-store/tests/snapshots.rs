//! Snapshots of changelogs: what is restored from one is what a full replay gives, whatever
//! happens while it is taken.

#[path = "snapshots/common.rs"]
mod common;

use bytes::Bytes;
use common::World;
use proptest::prelude::*;
use std::sync::atomic::Ordering;
use std::time::Duration;
use suiro_core::ErrorKind;
use suiro_core::objects::Objects;
use suiro_store::snapshot::{Step, Tuning};

/// So small that a few rows fill a file, and a few more the memory.
fn small() -> Tuning {
    Tuning { gather_bytes: 1_000, file_bytes: 300, ..Tuning::default() }
}

#[derive(Clone, Debug)]
enum Event {
    Append(u8, Option<u8>),
    Snapshot,
    /// The process dies after so many writes, with or without the last of them, and a new one
    /// takes the snapshots.
    Crash(i64),
    Compact,
    /// Time passes: files come of age.
    Wait,
    /// A file or a manifest, by number, is damaged.
    Damage(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..24_u8, prop::option::weighted(0.8, any::<u8>()))
            .prop_map(|(key, value)| Event::Append(key, value)),
        3 => Just(Event::Snapshot),
        1 => (0..12_i64).prop_map(Event::Crash),
        1 => Just(Event::Compact),
        1 => Just(Event::Wait),
        1 => (0..20_usize).prop_map(Event::Damage),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// At every moment a restore gives what a replay of the whole changelog gives, and after a
    /// snapshot it replays nothing.
    #[test]
    fn a_restore_is_a_full_replay(events in prop::collection::vec(event(), 0..160)) {
        let mut world = World::new(small());
        let mut time = 0;
        // What compaction takes away never matters: here is all that ever was.
        let mut whole = World::new(small());
        for event in events {
            match event {
                Event::Append(key, value) => {
                    time += 1;
                    let value = value.map(|value| vec![value; 20]);
                    world.log.append(vec![key; 9], value.as_deref(), time);
                    whole.log.append(vec![key; 9], value.as_deref(), time);
                }
                Event::Snapshot => {
                    let step = world.step().unwrap();
                    prop_assert!(step != Step::GaveWay && step != Step::Stopped);
                    let newest = world.usable().unwrap().first().map_or(0, |it| it.offset);
                    prop_assert_eq!(newest, world.log.end);
                }
                Event::Crash(writes) => {
                    world.objects.left.store(writes, Ordering::Relaxed);
                    // Whether it came to its end before it died does not matter.
                    let _ = world.step();
                    world.objects.left.store(-1, Ordering::Relaxed);
                    world.snapshotter = world.another();
                }
                Event::Compact => world.log.compact(),
                Event::Wait => world.clock.advance(Duration::from_mins(11)),
                Event::Damage(number) => {
                    let mut names = world.names("manifest");
                    names.extend(world.names("run"));
                    if let Some(name) = names.get(number) {
                        let bytes = world.objects.get(name).unwrap().unwrap();
                        let half = bytes.slice(..bytes.len() / 2);
                        world.objects.inner.put(name, half).unwrap();
                        world.snapshotter = world.another();
                    }
                }
            }
            prop_assert!(world.restored().0 == whole.full());
        }
    }
}

fn grown(rows: u32, tuning: Tuning) -> World {
    let mut world = World::new(tuning);
    for number in 0..rows {
        world.log.append(number.to_be_bytes(), Some(b"value"), i64::from(number));
    }
    world
}

/// The second snapshot writes what has changed, and not what was there.
#[test]
fn a_snapshot_adds_only_what_has_changed() {
    let mut world = grown(2_000, Tuning { file_bytes: 4_000, ..Tuning::default() });
    let first = world.take();
    assert_eq!((first.rows, first.read, first.runs), (2_000, 2_000, 1));
    assert_eq!(first.added, first.bytes);
    for number in 0..20_u32 {
        world.log.append(number.to_be_bytes(), Some(b"other"), 5_000);
    }
    let second = world.take();
    assert_eq!((second.rows, second.read, second.runs), (2_020, 20, 2));
    assert!(second.added * 50 < second.bytes, "{second:?}");
    assert_eq!(world.step().unwrap(), Step::Unchanged);
    world.restores_from(2_020);
}

/// However many snapshots are taken, their runs stay few, and their rows not many more than
/// there are keys.
#[test]
fn runs_are_merged_in_tiers() {
    let mut world = grown(500, small());
    let mut added = 0;
    for number in 0..200_u32 {
        let key = (number * 7 % 500).to_be_bytes();
        let value = (number % 3 > 0).then_some(&b"other"[..]);
        world.log.append(key, value, i64::from(number));
        let taken = world.take();
        added += taken.added;
        assert!(taken.runs <= 8, "{taken:?}");
        assert!(taken.rows <= 700, "{taken:?}");
    }
    let whole = world.take_bytes();
    assert!(added < whole * 30, "{added} of {whole}");
    assert!(world.restored().0 == world.full());
}

impl World {
    /// What is restored is what a full replay gives, and the changelog was replayed from here.
    fn restores_from(&mut self, offset: i64) {
        let (rows, from) = self.restored();
        assert!(rows == self.full());
        assert_eq!(from, offset);
    }

    fn take_bytes(&mut self) -> u64 {
        let newest = self.usable().expect("the snapshots are those of the log").remove(0);
        newest.runs.iter().map(|run| run.bytes()).sum()
    }
}

/// A tombstone hides rows below it, and goes when nothing is below.
#[test]
fn tombstones_go_in_the_lowest_tier_only() {
    let mut world = grown(400, small());
    world.take();
    world.log.append(7_u32.to_be_bytes(), None, 9_000);
    let taken = world.take();
    assert_eq!((taken.rows, taken.runs > 1), (401, true));
    assert!(!world.restored().0.contains_key(&7_u32.to_be_bytes()[..]));
    for number in 0..400_u32 {
        world.log.append(number.to_be_bytes(), None, 9_001);
    }
    let taken = world.take();
    assert_eq!((taken.rows, taken.runs, taken.bytes), (0, 0, 0));
    world.restores_from(801);
}

/// What died amid a snapshot has left files and no manifest; the snapshot before it counts.
#[test]
fn a_half_written_snapshot_is_never_used() {
    let mut world = grown(300, small());
    world.take();
    for number in 0..300_u32 {
        world.log.append(number.to_be_bytes(), Some(b"later"), 1_000);
    }
    let mut writes = 0;
    loop {
        let files = world.names("run").len();
        world.objects.left.store(writes, Ordering::Relaxed);
        world.snapshotter = world.another();
        let step = world.step();
        world.objects.left.store(-1, Ordering::Relaxed);
        if step.is_ok() {
            break;
        }
        let (rows, from) = world.restored();
        assert!(rows == world.full(), "died at write {writes}");
        assert!(world.names("run").len() >= files);
        writes += 1;
        if from == 600 {
            // The last thing that it did was to write the manifest.
            break;
        }
        assert_eq!(from, 300);
    }
    assert!(writes > 20, "the snapshot took {writes} writes only");
    assert_eq!(world.restored().1, 600);
    world.log.append("late", Some(b"row"), 1);
    assert!(matches!(world.step(), Ok(Step::Taken(_))), "it knows its own manifest");
}

/// Damage is seen by checksums; an older snapshot is used, or the changelog; and the next
/// snapshot is whole again.
#[test]
fn a_damaged_snapshot_is_passed_over() {
    let mut world = grown(300, small());
    world.take();
    world.log.append("late", Some(b"row"), 1);
    world.take();
    let newest = world.usable().unwrap().remove(0);
    let file = &newest.runs.last().unwrap().files[0];
    let name = world.names("run").into_iter().find(|name| name.ends_with(&file.hash)).unwrap();
    let mut bytes = world.objects.get(&name).unwrap().unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    world.objects.put(&name, Bytes::from(bytes)).unwrap();
    world.restores_from(300);

    let manifest = world.names("manifest").pop().unwrap();
    world.objects.put(&manifest, Bytes::from_static(b"suiro-snapshot 1 ")).unwrap();
    world.restores_from(300);

    world.snapshotter = world.another();
    world.take();
    world.restores_from(301);
}

/// Merging meets the damage that nobody has seen yet, and begins anew.
#[test]
fn a_snapshot_that_cannot_be_extended_is_made_anew() {
    let mut world = grown(300, small());
    world.take();
    for name in world.names("run") {
        let bytes = world.objects.get(&name).unwrap().unwrap();
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        world.objects.put(&name, bytes.into()).unwrap();
    }
    for number in 0..300_u32 {
        world.log.append(number.to_be_bytes(), Some(b"later"), 1_000);
    }
    let taken = world.take();
    assert_eq!((taken.rows, taken.read), (300, 600));
    world.restores_from(600);
}

/// Without its files a snapshot is worth nothing, and costs nothing.
#[test]
fn deleted_snapshots_are_made_anew() {
    let mut world = grown(100, small());
    world.take();
    for name in world.names("run").iter().take(1) {
        world.objects.delete(name).unwrap();
    }
    world.restores_from(0);
    world.log.append("late", Some(b"row"), 1);
    world.snapshotter = world.another();
    assert_eq!(world.take().rows, 101);
    for kind in ["run", "manifest"] {
        world.names(kind).iter().for_each(|name| world.objects.delete(name).unwrap());
    }
    world.restores_from(0);
    world.snapshotter = world.another();
    assert_eq!(world.take().read, 101);
}

/// A log that ends before its snapshot, or has other records, is not the log it was.
#[test]
fn a_snapshot_of_a_lost_log_is_refused() {
    let mut world = grown(100, small());
    world.take();
    let kept = world.log.clone();

    world.log.end = 99;
    world.log.records.pop();
    let error = world.usable().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for part in ["newer than the changelog", "end=`99`", "snapshot=`100`", "app.counts"] {
        assert!(error.report().contains(part), "{}", error.report());
    }
    world.snapshotter = world.another();
    assert_eq!(world.step().unwrap_err().kind(), ErrorKind::Invalid);

    world.log = grown(0, small()).log;
    for number in 0..200_u32 {
        world.log.append(number.to_be_bytes(), Some(b"another log"), 1);
    }
    let error = world.usable().unwrap_err();
    assert!(error.report().contains("another log"), "{}", error.report());

    world.log = kept;
    world.log.compact();
    world.restores_from(100);
}

/// Once the log may have dropped tombstones behind it, a snapshot is too old.
#[test]
fn a_snapshot_that_is_older_than_tombstones_is_not_used() {
    let mut world = grown(100, small());
    world.take();
    world.clock.advance(Duration::from_hours(24));
    world.restores_from(0);
    world.log.append(5_u32.to_be_bytes(), None, 1);
    let taken = world.take();
    assert_eq!((taken.read, taken.rows), (101, 99), "it begins anew");
    world.restores_from(101);
}

/// Of two who take snapshots the newer goes on, and the older gives way for ever.
#[test]
fn the_older_snapshotter_gives_way() {
    let mut world = grown(10, small());
    world.take();
    let mut newer = world.another();
    world.log.append("a", Some(b"1"), 1);
    let step = newer.step(&mut world.log, &mut || true).unwrap();
    assert!(matches!(step, Step::Taken(_)));
    world.log.append("b", Some(b"2"), 2);
    assert_eq!(world.step().unwrap(), Step::GaveWay);
    assert_eq!(world.step().unwrap(), Step::GaveWay);
    let step = newer.step(&mut world.log, &mut || true).unwrap();
    assert!(matches!(step, Step::Taken(_)));
    world.restores_from(12);
}

/// Two that began at the same moment are as new as each other: the first to publish wins.
#[test]
fn of_equals_one_gives_way() {
    let mut world = grown(10, small());
    let mut other = world.another();
    let mut first = world.log.clone();
    assert_eq!(other.step(&mut first, &mut || false).unwrap(), Step::Stopped);
    world.take();
    assert_eq!(other.step(&mut world.log, &mut || true).unwrap(), Step::GaveWay);
}

/// Files that no manifest names go when they are old, and not before.
#[test]
fn what_is_not_needed_goes_after_a_grace() {
    let mut world = grown(100, Tuning { keep: 2, ..small() });
    world.take();
    for round in 0..4 {
        for number in 0..100_u32 {
            world.log.append(number.to_be_bytes(), Some(b"again"), round);
        }
        world.take();
    }
    assert_eq!(world.names("manifest").len(), 2);
    let young = world.names("run").len();
    world.clock.advance(Duration::from_mins(11));
    world.log.append("late", Some(b"row"), 1);
    world.take();
    let mut needed: Vec<String> = Vec::new();
    for manifest in world.usable().unwrap() {
        let files = manifest.runs.iter().flat_map(|run| &run.files);
        needed.extend(files.map(|file| file.hash.clone()));
    }
    needed.sort();
    needed.dedup();
    let mut left = world.names("run");
    left.iter_mut().for_each(|name| *name = name.rsplit('/').next().unwrap().to_owned());
    assert_eq!(left, needed);
    assert!(left.len() < young, "{} of {young}", left.len());
}

/// Who is asked to stop leaves everything as it was.
#[test]
fn a_snapshot_can_be_given_up() {
    let mut world = grown(100, small());
    for pieces in 0..8 {
        let mut left = pieces;
        let step = world.snapshotter.step(&mut world.log, &mut || {
            left -= 1;
            left >= 0
        });
        assert_eq!(step.unwrap(), Step::Stopped);
        world.restores_from(0);
    }
    assert_eq!(world.take().rows, 100);
}
