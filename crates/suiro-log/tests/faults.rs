//! Full disks, failing disks, damaged files, logs in use: each a clear end, nothing lost.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Party, batch, place};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro_core::broker::{Cleanup, Outcome};
use suiro_core::{Error, ErrorKind, Seed};
use suiro_log::{Disk, FaultyDisk, Log, LogOptions, Mode};

const ROOT: &str = "log";

fn disk() -> FaultyDisk {
    FaultyDisk::new(Seed::new(11))
}

fn options(disk: &FaultyDisk) -> LogOptions {
    Log::options().disk(Arc::new(disk.clone())).inline(true).recent_bytes(0)
}

/// A log with ten commits, and what its partition holds.
fn filled(options: LogOptions) -> (Log, Party, Vec<String>) {
    let log = options.open(ROOT).unwrap();
    let mut party = Party::new(&log, "party");
    party.create("t", 1, Cleanup::Keep).unwrap();
    let values: Vec<String> = (0..10).map(|n| format!("value {n}")).collect();
    for value in &values {
        party.write(&[(place("t", 0), batch(&[value]))]);
    }
    (log, party, values)
}

fn files(disk: &FaultyDisk, dir: &str, suffix: &str) -> Vec<PathBuf> {
    let dir = Path::new(ROOT).join(dir);
    let names = disk.list(&dir).unwrap();
    names.iter().filter(|name| name.ends_with(suffix)).map(|name| dir.join(name)).collect()
}

fn assert_names(error: &Error, kind: ErrorKind, words: &[&str]) {
    let report = error.report();
    assert_eq!(error.kind(), kind, "{report}");
    for word in words {
        assert!(report.contains(word), "{word} is missing in: {report}");
    }
}

#[test]
fn a_full_disk_aborts_and_goes_on() {
    let disk = disk();
    let (log, mut party, mut values) = filled(options(&disk));
    for extra in 0..200 {
        disk.limit(Some(disk.used() + extra));
        match party.commit(&[(place("t", 0), batch(&["x"]))], None, vec![]) {
            Outcome::Aborted(error) => {
                assert_names(&error, ErrorKind::Unavailable, &["disk is full", "path=`"]);
            }
            Outcome::Committed { .. } => values.push("x".into()),
            other => panic!("{other:?}"),
        }
        assert_eq!(party.values(&place("t", 0)), values);
    }
    assert!(values.len() > 10, "some of them fit");
    disk.limit(None);
    party.write(&[(place("t", 0), batch(&["space"]))]);
    values.push("space".into());
    drop((party, log));
    let log = options(&disk).open(ROOT).unwrap();
    assert_eq!(Party::new(&log, "party").values(&place("t", 0)), values);
}

#[test]
fn a_failed_sync_is_unknown_and_ends_the_log() {
    let disk = disk();
    let (log, mut party, values) = filled(options(&disk));
    disk.fail_syncs(1);
    let outcome = party.commit(&[(place("t", 0), batch(&["lost?"]))], None, vec![]);
    let Outcome::Unknown(error) = outcome else { panic!("{outcome:?}") };
    assert_names(&error, ErrorKind::Unavailable, &["durable", "journal"]);
    let outcome = party.commit(&[(place("t", 0), batch(&["late"]))], None, vec![]);
    let Outcome::Aborted(error) = outcome else { panic!("{outcome:?}") };
    assert_names(&error, ErrorKind::Unavailable, &["open it again"]);
    assert_eq!(party.values(&place("t", 0)), values, "what was committed can be read");
    assert!(log.clone().close().is_err());
    drop((party, log));
    disk.crash();
    let log = options(&disk).open(ROOT).unwrap();
    let mut party = Party::new(&log, "party");
    let found = party.values(&place("t", 0));
    assert_eq!(found[..10], values);
    assert!(found.len() == 10 || found[10..] == ["lost?"]);
    party.write(&[(place("t", 0), batch(&["again"]))]);
}

#[test]
fn an_unreadable_disk_is_an_error_and_no_damage() {
    let disk = disk();
    let (_log, mut party, values) = filled(options(&disk));
    disk.fail_reads(true);
    let error = party.read_by(&place("t", 0), 100).unwrap_err();
    assert_names(&error, ErrorKind::Unavailable, &["cannot read", ".log"]);
    disk.fail_reads(false);
    assert_eq!(party.values(&place("t", 0)), values);
}

#[test]
fn a_damaged_segment_is_named() {
    let disk = disk();
    let (log, mut party, values) = filled(options(&disk));
    log.clone().close().unwrap();
    let segment = files(&disk, "topics/t/0", ".log").remove(0);
    // The header, the checksum and the records of the third batch.
    let length = batch(&["value 0"]).len() as u64;
    for at in [8, 16, 18, 40, 70] {
        disk.damage(&segment, 2 * length + at).unwrap();
        let error = party.read_by(&place("t", 0), 1 << 20).unwrap_err();
        let position = format!("position=`{}`", 2 * length);
        assert_names(&error, ErrorKind::Corrupt, &["00.log", &position, "restore"]);
        disk.damage(&segment, 2 * length + at).unwrap();
    }
    assert_eq!(party.values(&place("t", 0)), values);
}

#[test]
fn a_segment_that_lacks_records_is_refused() {
    let disk = disk();
    let (log, party, _) = filled(options(&disk));
    drop((party, log));
    let segment = files(&disk, "topics/t/0", ".log").remove(0);
    disk.open(&segment, Mode::Write).unwrap().truncate(100).unwrap();
    let error = options(&disk).open(ROOT).err().unwrap();
    assert_names(&error, ErrorKind::Corrupt, &["00.log", "position=`100`"]);
    disk.remove(&segment).unwrap();
    let error = options(&disk).open(ROOT).err().unwrap();
    assert_names(&error, ErrorKind::Corrupt, &["00.log", "position=`0`"]);
}

#[test]
fn damage_in_the_middle_of_the_journal_is_refused() {
    let disk = disk();
    let (log, party, values) = filled(options(&disk));
    disk.power_off_after(0);
    drop((party, log));
    disk.kill();
    let journal = files(&disk, "journal", ".journal").remove(0);
    disk.damage(&journal, 300).unwrap();
    let error = options(&disk).open(ROOT).err().unwrap();
    assert_names(&error, ErrorKind::Corrupt, &[".journal", "position=`", "restore"]);
    disk.damage(&journal, 300).unwrap();
    let log = options(&disk).open(ROOT).unwrap();
    assert_eq!(Party::new(&log, "party").values(&place("t", 0)), values);
}

#[test]
fn lost_files_are_refused() {
    let disk = disk();
    let (log, party, _) = filled(options(&disk));
    disk.power_off_after(0);
    drop((party, log));
    disk.kill();
    let journal = files(&disk, "journal", ".journal").remove(0);
    let away = journal.with_extension("away");
    disk.rename(&journal, &away).unwrap();
    let error = options(&disk).open(ROOT).err().unwrap();
    assert_names(&error, ErrorKind::Corrupt, &["journal is missing", ".journal"]);
    disk.rename(&away, &journal).unwrap();

    let checkpoint = Path::new(ROOT).join("CHECKPOINT");
    disk.damage(&checkpoint, 9).unwrap();
    let error = options(&disk).open(ROOT).err().unwrap();
    assert_names(&error, ErrorKind::Corrupt, &["checkpoint is damaged", "CHECKPOINT"]);
    disk.remove(&checkpoint).unwrap();
    let error = options(&disk).open(ROOT).err().unwrap();
    assert_names(&error, ErrorKind::Corrupt, &["checkpoint is missing", "CHECKPOINT"]);
}

/// A log that was closed has nothing in its journal, and is no new one all the same.
#[test]
fn a_closed_log_without_its_checkpoint_is_refused() {
    let disk = disk();
    let (log, party, _) = filled(options(&disk));
    drop(party);
    log.close().unwrap();
    disk.remove(&Path::new(ROOT).join("CHECKPOINT")).unwrap();
    for _ in 0..2 {
        let error = options(&disk).open(ROOT).err().unwrap();
        assert_names(&error, ErrorKind::Corrupt, &["checkpoint is missing", "CHECKPOINT"]);
        // No better without what is left of the journals.
        for journal in files(&disk, "journal", ".journal") {
            disk.remove(&journal).unwrap();
        }
    }
}

#[test]
fn an_index_that_is_missing_or_wrong_is_made_anew() {
    let disk = disk();
    let small = options(&disk).segment_bytes(40_000);
    let log = small.clone().open(ROOT).unwrap();
    let mut party = Party::new(&log, "party");
    party.create("t", 1, Cleanup::Keep).unwrap();
    let values: Vec<String> = (0..100).map(|n| format!("{n} {}", "x".repeat(1000))).collect();
    for value in &values {
        party.write(&[(place("t", 0), batch(&[value]))]);
    }
    drop((party, log));
    let indexes = files(&disk, "topics/t/0", ".index");
    assert!(indexes.len() > 2);
    disk.remove(&indexes[0]).unwrap();
    disk.damage(&indexes[1], 30).unwrap();
    // An index of another segment is sound, and wrong.
    let other = files(&disk, "topics/t/0", ".index").pop().unwrap();
    disk.rename(&other, &indexes[2]).unwrap();
    let log = small.open(ROOT).unwrap();
    let mut party = Party::new(&log, "party");
    for (offset, value) in (0..).zip(&values) {
        let fetched = party.fetch(&place("t", 0), offset, 1).unwrap();
        let rows = common::rows(fetched.batches);
        assert_eq!(rows, [(offset, None, Some(value.clone()))]);
    }
}

#[test]
fn a_log_in_use_names_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::options().holder("shop").open(dir.path()).unwrap();
    let error = Log::open(dir.path()).err().unwrap();
    let process = format!("process {} shop", std::process::id());
    assert_names(&error, ErrorKind::Invalid, &["in use", "stop", &process]);
    drop(log);
    Log::open(dir.path()).unwrap();
}

#[test]
fn a_place_that_cannot_hold_a_log_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let error = Log::open(&file).err().unwrap();
    assert_names(&error, ErrorKind::Invalid, &["cannot create the directory", "file"]);
    let error = Log::open_reader(dir.path()).err().unwrap();
    assert_names(&error, ErrorKind::Invalid, &["no log here"]);
}

#[test]
fn a_log_that_must_not_be_written_says_so() {
    let disk = disk();
    let (log, party, values) = filled(options(&disk));
    drop((party, log));
    for (kind, words) in [
        (std::io::ErrorKind::ReadOnlyFilesystem, "file system is read-only"),
        (std::io::ErrorKind::PermissionDenied, "give this user the right"),
    ] {
        disk.deny(Some(kind));
        let error = options(&disk).open(ROOT).err().unwrap();
        assert_names(&error, ErrorKind::Invalid, &["cannot lock the log", words, "LOCK"]);
        let reader = options(&disk).open_reader(ROOT).unwrap();
        assert_eq!(Party::new(&reader, "reader").values(&place("t", 0)), values);
    }
    disk.deny(None);
    let log = options(&disk).open(ROOT).unwrap();
    assert_eq!(Party::new(&log, "party").values(&place("t", 0)), values);
}

#[test]
fn a_log_that_cannot_be_opened_for_lack_of_space_opens_later() {
    let disk = disk();
    let (log, party, values) = filled(options(&disk));
    disk.power_off_after(0);
    drop((party, log));
    disk.kill();
    let mut refused = 0;
    for extra in (0..2000).step_by(7) {
        disk.limit(Some(disk.used() + extra));
        match options(&disk).open(ROOT) {
            Ok(log) => assert_eq!(Party::new(&log, "party").values(&place("t", 0)), values),
            Err(error) => {
                refused += 1;
                assert_names(&error, ErrorKind::Unavailable, &["disk is full"]);
            }
        }
    }
    assert!(refused > 0);
    disk.limit(None);
    let log = options(&disk).open(ROOT).unwrap();
    assert_eq!(Party::new(&log, "party").values(&place("t", 0)), values);
}
