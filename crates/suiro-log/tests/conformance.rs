//! The log keeps the contract of every broker, in each way of opening it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use suiro_core::conformance::broker::{CHECKS, Subject, run};
use suiro_log::{Durability, Log, LogOptions, MemoryDisk};
use tempfile::TempDir;

fn in_memory(options: LogOptions) {
    run(&mut || {
        let options = options.clone().disk(Arc::new(MemoryDisk::new()));
        Subject::new(move || Arc::new(options.clone().open("log").unwrap()))
    });
}

fn on_disk(options: LogOptions) {
    run(&mut || {
        let (options, dir) = (options.clone(), TempDir::new().unwrap());
        Subject::new(move || Arc::new(options.clone().open(dir.path()).unwrap()))
    });
}

#[test]
fn inline_in_memory() {
    in_memory(Log::options().inline(true));
    assert!(CHECKS.len() > 30);
}

#[test]
fn threads_in_memory() {
    in_memory(Log::options());
}

/// Nothing is served from memory, and every few records there is a new file.
#[test]
fn tiny_files() {
    let tiny = Log::options().segment_bytes(300).journal_bytes(1000).recent_bytes(0);
    in_memory(tiny.clone().inline(true));
    on_disk(tiny);
}

#[test]
fn on_disk_with_fsync() {
    on_disk(Log::options());
}

#[test]
fn on_disk_without_sync() {
    on_disk(Log::options().durability(Durability::None).inline(true));
}
