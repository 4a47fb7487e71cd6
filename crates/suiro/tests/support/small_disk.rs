//! A small disk for one test: a file system in memory, mounted where only the process of this
//! test sees it. It is gone with the process.
#![allow(dead_code)]

use super::process::{Process, end_with_parent, temporary, text};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the process of such a test finds its disk.
const DISK: &str = "SUIRO_SMALL_DISK";

/// A disk of a few mebibytes. Sizes are in kibibytes.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Starts the test `test` of this file again, in a process that may mount, and gives the disk
    /// to that. Here it waits for that process, and gives nothing.
    ///
    /// Where the system lets nobody mount, the test is skipped, and says so.
    pub fn for_test(test: &str, kibibytes: u64) -> Option<Self> {
        if let Some(dir) = std::env::var_os(DISK) {
            end_with_parent();
            let disk = Self(dir.into());
            mount(&["-t", "tmpfs", "-o", &size(kibibytes), "suiro-test"], &disk.0);
            return Some(disk);
        }
        let dir = temporary();
        match private(dir.path()) {
            Ok(mut command) => {
                let this = std::env::current_exe().expect("a test knows where it is");
                command.arg(this).args([test, "--exact", "--nocapture", "--include-ignored"]);
                let ended = Process::spawn(command.env(DISK, dir.path())).finish();
                assert_eq!(ended.code, Some(0), "{}{}", ended.printed, ended.said);
                let ran = ended.printed.contains("1 passed");
                assert!(ran, "there is no test {test}: {}", ended.printed);
                println!("{}", ended.printed);
            }
            Err(reason) => {
                // Past the harness, which keeps what a test says that passes.
                let line = format!("SKIPPED {test}: no file system can be mounted: {reason}\n");
                std::io::stderr().write_all(line.as_bytes()).expect("it can be said");
            }
        }
        None
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it larger or smaller.
    pub fn resize(&self, kibibytes: u64) {
        mount(&["-o", &format!("remount,{}", size(kibibytes))], &self.0);
    }

    /// How many bytes are free.
    pub fn free(&self) -> u64 {
        let mut stat = Command::new("stat");
        let told = stat.args(["--file-system", "--format", "%a %S"]).arg(&self.0).output();
        let told = String::from_utf8(told.expect("the system has `stat`").stdout);
        let told = told.expect("numbers are text");
        let numbers = told.split_whitespace().map(|text| text.parse::<u64>());
        numbers.map(|number| number.expect("blocks, and the size of one")).product()
    }
}

fn size(kibibytes: u64) -> String {
    format!("size={kibibytes}k")
}

fn mount(args: &[&str], dir: &Path) {
    let done = Command::new("mount").args(args).arg(dir).output();
    let done = done.expect("the system has `mount`");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// What starts a program among mounts of its own, as one who may mount; or why there is no way.
fn private(dir: &Path) -> Result<Command, String> {
    let mut reason = String::new();
    for rights in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let mut command = Command::new("unshare");
        command.args(rights);
        let args = ["mount", "-t", "tmpfs", "-o", "size=1m", "suiro-test", text(dir)];
        match Command::new("unshare").args(rights).args(args).output() {
            Ok(tried) if tried.status.success() => return Ok(command),
            Ok(tried) => reason = String::from_utf8_lossy(&tried.stderr).trim().to_owned(),
            Err(error) => reason = format!("unshare: {error}"),
        }
    }
    Err(reason)
}
