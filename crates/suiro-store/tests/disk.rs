//! Stores on a disk when a process dies, and when the disk is full.
#![cfg(feature = "disk")]

#[path = "../../suiro/tests/support/process.rs"]
mod process;
#[path = "../../suiro/tests/support/small_disk.rs"]
mod small_disk;

use process::{Process, args_of_child, temporary, text};
use small_disk::SmallDisk;
use std::fs;
use std::path::Path;
use suiro_core::store::{Change, Store, StoreProvider};
use suiro_core::{Error, ErrorKind, Offset, Result, Seed};
use suiro_store::DiskStores;

/// The smallest write buffers, so that much is written beside the work.
const MEMORY: u64 = 1 << 20;

/// How many keys there are.
const KEYS: u64 = 4_000;

/// Change number `number` of a store; every seventh removes its key. Keys come round in turn.
fn change(number: u64) -> Change {
    let key = format!("key-{:05}", number * 7_919 % KEYS);
    let value = (!number.is_multiple_of(7)).then(|| format!("{number:<400}"));
    Change { key: key.into(), value: value.map(Into::into) }
}

const PART: u64 = 500;

/// Applies changes from the position of the store on, in parts, as far as `end`.
fn apply(store: &mut dyn Store, end: u64) -> Result<()> {
    let mut next = store.position().unwrap_or(0) as u64;
    while next < end {
        let part: Vec<Change> = (next..next + PART).map(change).collect();
        next += PART;
        store.apply(&part, next as Offset)?;
    }
    Ok(())
}

/// The store has the rows of all changes before its position, and no others.
fn assert_rows(store: &dyn Store) {
    let end = store.position().unwrap_or(0) as u64;
    assert_eq!(end % PART, 0, "changes of one call come together");
    let mut rows = std::collections::BTreeMap::new();
    for Change { key, value } in (end.saturating_sub(KEYS)..end).map(change) {
        rows.insert(key, value);
    }
    for (key, value) in &rows {
        assert_eq!(&store.get(key).expect("a row can be read"), value, "{key:?} at {end}");
    }
    let (mut count, all) = (0, std::ops::Bound::Unbounded);
    let counting = &mut |_: &[u8], _: &[u8]| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    };
    store.range(all, all, counting).expect("rows can be read");
    assert_eq!(count, rows.values().flatten().count());
}

/// Does nothing, unless this process was started by a test: then it writes to stores in the
/// directory that it is told, until it is killed.
#[test]
fn child() {
    let Some(args) = args_of_child("stores") else { return };
    let stores = DiskStores::open_in(&args[1], MEMORY).unwrap();
    let mut store = stores.open("rows", 0).unwrap();
    apply(&mut *store, u64::MAX).unwrap();
}

#[test]
fn a_killed_process_leaves_a_position_that_was() {
    let place = temporary();
    let (mut seed, mut before) = (Seed::new(1), None);
    for _ in 0..10 {
        let mut process = Process::start(&[text(place.path())]);
        let mut patience = seed.below(1_000);
        process.wait_until(|| {
            patience = patience.saturating_sub(1);
            patience == 0
        });
        assert!(process.kill(), "it ends by a kill only");
        let stores = DiskStores::open_in(place.path(), MEMORY).unwrap();
        let store = stores.open("rows", 0).unwrap();
        assert!(store.position() >= before, "it was further");
        before = store.position();
        assert_rows(&*store);
    }
    assert!(before > Some(0));
}

/// The files of a database in the order in which they are made.
const STEPS: [&str; 5] = ["", "lock", "keyspaces", "0.jnl", "version"];

#[test]
fn stores_that_are_half_made_are_made_anew() {
    for steps in 1..=STEPS.len() {
        let place = temporary();
        for step in &STEPS[..steps] {
            let path = place.path().join("rows").join(step);
            match *step {
                "" | "keyspaces" => fs::create_dir(path).unwrap(),
                _ => fs::write(path, "").unwrap(),
            }
        }
        fs::write(place.path().join("LOCK"), "making").unwrap();
        for end in [1_000, 2_000] {
            let stores = DiskStores::open_in(place.path(), MEMORY).unwrap();
            let mut store = stores.open("rows", 0).unwrap();
            apply(&mut *store, end).unwrap();
            assert_rows(&*store);
        }
    }
}

#[test]
fn what_a_crash_left_unreadable_is_made_anew_and_other_damage_is_refused() {
    for file in ["version", "keyspaces/0/current", "keyspaces/1/current"] {
        let place = temporary();
        let stores = DiskStores::open_in(place.path(), MEMORY).unwrap();
        apply(&mut *stores.open("rows", 0).unwrap(), 10_000).unwrap();
        drop(stores);
        fs::write(place.path().join("rows").join(file), "?").unwrap();
        for _ in 0..2 {
            let error = DiskStores::open_in(place.path(), MEMORY).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.report());
            assert!(error.to_string().contains("delete"), "{error}");
        }
        // As a process leaves it that dies.
        fs::write(place.path().join("LOCK"), "opened").unwrap();
        let stores = DiskStores::open_in(place.path(), MEMORY).unwrap();
        let mut store = stores.open("rows", 0).unwrap();
        assert_eq!(store.position(), None, "it is new");
        apply(&mut *store, 1_000).unwrap();
        assert_rows(&*store);
    }
}

fn assert_full(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.report());
}

/// Opens the stores and writes until that is not possible any more.
fn write_until_full(place: &Path) -> Error {
    let stores = match DiskStores::open_in(place, MEMORY) {
        Ok(stores) => stores,
        Err(error) => return error,
    };
    let mut store = match stores.open("rows", 0) {
        Ok(store) => store,
        Err(error) => return error,
    };
    assert_rows(&*store);
    let error = apply(&mut *store, u64::MAX).expect_err("the disk is full");
    assert_rows(&*store);
    // It does not get better by trying.
    assert_full(&apply(&mut *store, u64::MAX).expect_err("the disk is full"));
    error
}

#[test]
fn a_full_disk_is_unavailable_and_the_stores_go_on_when_there_is_room() {
    let test = "a_full_disk_is_unavailable_and_the_stores_go_on_when_there_is_room";
    const ENOUGH: u64 = 256 << 10;
    let Some(disk) = SmallDisk::for_test(test, ENOUGH) else { return };
    let place = disk.path().join("stores");
    for mebibytes in [1, 3, 6] {
        fs::remove_dir_all(&place).ok();
        // Full, full again with some more room, and without an end.
        for mebibytes in [mebibytes, mebibytes + 2] {
            disk.resize(mebibytes << 10);
            for _ in 0..2 {
                let error = write_until_full(&place);
                assert_full(&error);
                println!("{mebibytes} MiB: {}", error.report());
            }
        }
        disk.resize(ENOUGH);
        let stores = DiskStores::open_in(&place, MEMORY).unwrap();
        let mut store = stores.open("rows", 0).unwrap();
        assert_rows(&*store);
        let end = store.position().unwrap_or(0) as u64 + 10_000;
        apply(&mut *store, end).unwrap();
        assert_rows(&*store);
    }
}
