//! Names that nobody else has, and files that go with their owner.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// A name that no other call gives, in this process or another. A process is told by its id and by
/// when it started, since ids come back.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The 22nd field, counted from behind the name of the program, which may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let started = fields.split_whitespace().nth(19).unwrap_or("0");
    format!("{name}-{started}-{}-{next}", process::id())
}

/// A file for the time of one call.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn new(text: &str) -> io::Result<Self> {
        let scratch = Self { path: env::temp_dir().join(unique("suiro-kafka-input")) };
        fs::write(&scratch.path, text)?;
        Ok(scratch)
    }

    pub(crate) fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that stays is small, and in the directory for such.
        let _ = fs::remove_file(&self.path);
    }
}
