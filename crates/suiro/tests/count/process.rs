//! The program as a child process: this test, started again with arguments in its environment.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where a child finds its arguments, one per line.
const CHILD: &str = "SUIRO_COUNT_ARGS";

/// The arguments of this process, if it is a child; the name of the program first.
pub fn args_of_child() -> Option<Vec<OsString>> {
    let args = std::env::var(CHILD).ok()?;
    Some(std::iter::once("count").chain(args.lines()).map(OsString::from).collect())
}

/// Arguments that name the log and the topics, and `more`.
pub fn args(dir: &Path, more: &[&str]) -> Vec<String> {
    let dir = dir.display().to_string();
    let all = ["--dir", &dir, "--input", "in", "--output", "out"];
    all.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
}

/// A child that runs.
pub struct Process(Child);

/// A child that has ended.
pub struct Finished {
    code: Option<i32>,
    said: String,
}

impl Process {
    /// Starts the program.
    pub fn start(args: &[String]) -> Self {
        let test = std::env::current_exe().expect("a test knows where it is");
        let mut command = Command::new(test);
        command.args(["child", "--exact", "--nocapture"]).env(CHILD, args.join("\n"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
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

    /// Kills it with SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().expect("a child can be killed");
        self.0.wait().expect("a child can be waited for");
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("the system has `kill`").success());
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let mut said = String::new();
        let errors = self.0.stderr.as_mut().expect("the errors of a child are piped");
        errors.read_to_string(&mut said).expect("errors are text");
        let code = self.0.wait().expect("a child can be waited for").code();
        Finished { code, said }
    }
}

impl Finished {
    /// It ended with exit code 0.
    pub fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "{}", self.said);
    }

    /// It ended with `code`, and said `expected`.
    pub fn assert_failure(&self, code: i32, expected: &str) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        assert!(self.said.contains(expected), "`{expected}` is not in: {}", self.said);
    }
}
