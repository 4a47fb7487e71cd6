//! A program whose state is many times its memory budget keeps to it.
#![cfg(feature = "disk")]

#[path = "support/process.rs"]
mod process;

use process::{args_of_child, run, temporary, text};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use suiro::{App, Durability, Log, Reader, Record, Result, Topic, Topology};

const SEEN: Topic<u64, u64> = Topic::json("seen");

/// What the process may take, and what comes on top of it: a fifth and 16 MiB.
const BUDGET: usize = 24 << 20;
const OVERHEAD: usize = BUDGET / 5 + (16 << 20);

/// Rows, and what is kept of each: twice the budget together, and ten times what of it is for rows.
const ROWS: u64 = 250_000;
const TEXT: usize = 128;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Row {
    seen: u64,
    text: String,
}

/// A text that no other number has.
fn text_of(number: u64) -> String {
    let word = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word.repeat(TEXT / word.len())
}

/// Each row is made, and looked at again when it is not in memory any more.
fn count(dir: &Path) -> Result<()> {
    let topology = Topology::new("budget");
    let make = |_, number: u64| {
        let key = number % ROWS;
        (number < 2 * ROWS).then(|| Record::new(key, key, number as i64))
    };
    let see = |row: &mut Row, number: u64| {
        let text = text_of(number);
        row.seen += if row.seen == 0 || row.text == text { 1 } else { 1000 };
        row.text = text;
    };
    let rows = topology.generate("numbers", 1, make).fold("rows", Row::default, see);
    rows.map(|row| row.seen).to(&SEEN);

    let options = Log::options().memory(BUDGET / 3).durability(Durability::None);
    let log = options.open(dir.join("log"))?;
    let app = App::new(topology.build()?, log.clone()).partitions(1);
    let metrics = app.state_on_disk(dir.join("state"), BUDGET)?.run_to_end()?;
    println!("peak={} ", peak_kb());
    assert!(metrics.below.dropped > ROWS, "rows were dropped: {:?}", metrics.below);
    assert!(metrics.below.read > ROWS, "and read again: {:?}", metrics.below);

    let mut last = HashMap::new();
    for seen in Reader::open(&log, &SEEN)?.iter_to_end()? {
        let seen = seen?;
        last.insert(seen.key, seen.value);
    }
    assert_eq!(last.len() as u64, ROWS);
    assert!(last.values().all(|seen| *seen == Some(2)), "every row was there the second time");
    Ok(())
}

fn peak_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("the system tells the peak of the memory")
}

#[test]
fn child() -> Result<()> {
    match args_of_child("budget") {
        Some(args) => count(Path::new(&args[1])),
        None => Ok(()),
    }
}

#[test]
fn state_of_many_times_the_budget_keeps_to_it() {
    let dir = temporary();
    let child = run(&[text(dir.path())]);
    child.assert_success();
    let peak = child.printed.split("peak=").nth(1).and_then(|rest| rest.split(' ').next());
    let peak: usize =
        peak.and_then(|peak| peak.parse().ok()).expect("the child tells its peak");
    assert!(peak << 10 < BUDGET + OVERHEAD, "it took {} MiB", peak >> 10);
}
