//! A process that is killed at any moment loses nothing that it was told is committed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Party, batch, place};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use suiro_core::broker::{Cleanup, Event, Outcome};
use suiro_log::Log;

const DIR: &str = "SUIRO_LOG_KILL_TEST_DIR";
const PARTITIONS: u32 = 3;

/// Not a test: what the killed process does. It writes the next numbers to all partitions, with
/// several commits on their way at once, and says which of them are committed.
#[test]
#[ignore = "it is the process that the other test kills"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let log = Log::options().journal_bytes(100_000).segment_bytes(50_000).open(dir).unwrap();
    let mut party = Party::new(&log, "child");
    party.create("t", PARTITIONS, Cleanup::Keep).unwrap();
    let mut next = party.read(&place("t", 0)).len();
    let (mut open, mut events) = (Vec::new(), Vec::new());
    loop {
        while open.len() < 5 {
            let commit = party.session.begin();
            for partition in 0..PARTITIONS {
                let value = format!("{next} {}", "x".repeat(next % 700));
                party.session.append(commit, &place("t", partition), batch(&[&value]));
            }
            party.session.commit(commit, None, Vec::new());
            open.push((commit, next));
            next += 1;
        }
        party.session.wait(std::time::Duration::from_secs(10));
        party.session.poll(&mut events);
        for event in events.drain(..) {
            let Event::Resolved(id, Outcome::Committed { .. }) = event else {
                panic!("{event:?}")
            };
            let (commit, number) = open.remove(0);
            assert_eq!(commit, id);
            println!("committed {number}");
        }
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut least = 0;
    for round in 1..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let committed = |line: std::io::Result<String>| {
            line.ok()?.strip_prefix("committed ")?.parse::<usize>().ok()
        };
        let seen = lines.by_ref().filter_map(committed).nth(60 * round).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        least = lines.filter_map(committed).last().unwrap_or(seen).max(least);

        let log = Log::open(dir.path()).unwrap();
        let mut party = Party::new(&log, "parent");
        let counts: Vec<usize> = (0..PARTITIONS)
            .map(|partition| {
                let values = party.values(&place("t", partition));
                for (number, value) in values.iter().enumerate() {
                    let expected = format!("{number} {}", "x".repeat(number % 700));
                    assert_eq!(*value, expected);
                }
                values.len()
            })
            .collect();
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        assert!(counts[0] > least, "{least} was committed, {} are there", counts[0]);
    }
}
