//! An example as a child process: a test that is started again, with the arguments of the
//! example in its environment. No child outlives its test. Each test that uses it takes what it
//! needs.
#![allow(dead_code)]

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Where a child finds its arguments, one per line.
const CHILD: &str = "SUIRO_CHILD_ARGS";

/// The arguments of this process, if it is a child; the name of the program first.
pub fn args_of_child(program: &str) -> Option<Vec<OsString>> {
    let args = std::env::var(CHILD).ok()?;
    end_with_parent();
    Some(std::iter::once(program).chain(args.lines()).map(OsString::from).collect())
}

/// Ends this process when the one that started it is gone, in whatever way.
pub fn end_with_parent() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        // The parent writes nothing, and holds the other end of the pipe.
        std::io::stdin().read_to_end(&mut rest).ok();
        std::process::abort();
    });
}

/// A child that runs; it is killed when this is dropped.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended, and was waited for, is not killed.
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

/// A child that has ended.
pub struct Finished {
    pub code: Option<i32>,
    pub said: String,
    pub printed: String,
}

impl Process {
    /// Starts the program: the test `child` of this file of tests.
    pub fn start(args: &[impl AsRef<str>]) -> Self {
        let test = std::env::current_exe().expect("a test knows where it is");
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let mut command = Command::new(test);
        Self::spawn(
            command.args(["child", "--exact", "--nocapture"]).env(CHILD, args.join("\n")),
        )
    }

    /// Starts any program. All that it reads and says goes through pipes.
    pub fn spawn(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::piped()).spawn();
        Self(child.expect("a process can be started"))
    }

    /// Waits until `there` says so; no, if the process ended before.
    pub fn wait_until(&mut self, mut there: impl FnMut() -> bool) -> bool {
        while !there() {
            if self.0.try_wait().expect("a child can be waited for").is_some() {
                return false;
            }
            // Gives the processor to the child; how long does not matter.
            std::thread::park_timeout(Duration::from_micros(200));
        }
        true
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_none()
    }

    /// Kills it with SIGKILL; no, if it has ended by itself.
    pub fn kill(mut self) -> bool {
        self.0.kill().expect("a child can be killed");
        self.0.wait().expect("a child can be waited for").code().is_none()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("the system has `kill`").success());
    }

    /// Asks it to end, once it listens: one that has only been started would die of it.
    pub fn terminate(mut self) -> Finished {
        const SIGTERM: u64 = 1 << 14;
        let status = format!("/proc/{}/status", self.0.id());
        self.wait_until(|| {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
            caught.is_some_and(|signals| signals & SIGTERM != 0)
        });
        self.signal("TERM");
        self.finish()
    }

    /// Waits for its end. The child prints less than a pipe holds before it ends.
    pub fn finish(mut self) -> Finished {
        let (mut said, mut printed) = (String::new(), String::new());
        let errors = self.0.stderr.as_mut().expect("the errors of a child are piped");
        errors.read_to_string(&mut said).expect("errors are text");
        let output = self.0.stdout.as_mut().expect("the output of a child is piped");
        output.read_to_string(&mut printed).expect("output is text");
        let code = self.0.wait().expect("a child can be waited for").code();
        Finished { code, said, printed }
    }
}

/// Runs the program to its end.
pub fn run(args: &[impl AsRef<str>]) -> Finished {
    Process::start(args).finish()
}

impl Finished {
    /// It ended with exit code 0.
    pub fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "{}", self.said);
    }

    /// It ended with exit code 0, and printed all of `expected`.
    pub fn assert_prints(&self, expected: &[&str]) {
        self.assert_success();
        assert_in(&self.printed, expected);
    }

    /// It ended with exit code `code`, and said all of `expected`.
    pub fn assert_failure(&self, code: i32, expected: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        assert_in(&self.said, expected);
    }
}

fn assert_in(text: &str, expected: &[&str]) {
    for expected in expected {
        assert!(text.contains(expected), "`{expected}` is not in: {text}");
    }
}

/// A directory for this test.
pub fn temporary() -> TempDir {
    tempfile::tempdir().expect("the system has a directory for temporary files")
}

/// The path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// The bytes in all files of a directory.
pub fn bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |file| file.len());
    };
    entries.flatten().map(|entry| bytes(&entry.path())).sum()
}
