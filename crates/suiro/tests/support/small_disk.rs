//! A small disk for one test: a file system in memory, mounted where only the process of this
//! test sees it. It is gone with the process.
#![allow(dead_code)]

use super::process::{Process, end_with_parent, temporary, text};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the process of such a test finds its disk.
const DISK: &str = "SUIRO_SMALL_DISK";

/// A disk of a few mebibytes.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Starts the test `test` of this file again, in a process that may mount, and gives the disk
    /// to that. Here it waits for that process, and gives nothing.
    ///
    /// Where the system lets nobody mount, the test is skipped, and says so.
    pub fn for_test(test: &str, mebibytes: u64) -> Option<Self> {
        if let Some(dir) = std::env::var_os(DISK) {
            end_with_parent();
            let disk = Self(dir.into());
            mount(&["-t", "tmpfs", "-o", &size(mebibytes), "suiro-test"], &disk.0);
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
    pub fn resize(&self, mebibytes: u64) {
        mount(&["-o", &format!("remount,{}", size(mebibytes))], &self.0);
    }

    /// Writes a file that takes all the room that is left.
    pub fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = File::create(&ballast).expect("a file can be made");
        let mut block = vec![7; 1 << 20];
        while !block.is_empty() {
            match file.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    block.truncate(block.len() / 2);
                }
                Err(error) => panic!("the disk cannot be filled: {error}"),
            }
        }
        ballast
    }
}

fn size(mebibytes: u64) -> String {
    format!("size={mebibytes}m")
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
