//! Calls of `tools/kafka`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The script, and the directory of the cluster that it is asked about.
pub(crate) struct Script {
    dir: Option<PathBuf>,
}

impl Script {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir: Some(dir) }
    }

    pub(crate) fn without_cluster() -> Self {
        Self { dir: None }
    }

    /// The directory of the cluster.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// What the script writes to stdout.
    pub(crate) fn run(&self, arguments: &[&str]) -> io::Result<String> {
        self.run_with(arguments, Stdio::null())
    }

    /// The same, with a file to read.
    pub(crate) fn run_on(&self, arguments: &[&str], input: File) -> io::Result<String> {
        self.run_with(arguments, input.into())
    }

    fn run_with(&self, arguments: &[&str], stdin: Stdio) -> io::Result<String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/kafka");
        let mut command = Command::new(script);
        // Options come first, because what follows a tool's name is the tool's.
        command.args(arguments.first());
        if let Some(dir) = &self.dir {
            command.arg("--dir").arg(dir);
        }
        command.args(arguments.iter().skip(1)).stdin(stdin);
        let failed = |reason: String| {
            io::Error::other(format!("tools/kafka {}: {reason}", arguments.join(" ")))
        };
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return String::from_utf8(output.stdout).map_err(|error| failed(error.to_string()));
        }
        let [out, err] = [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).trim().to_owned());
        Err(failed(format!("{err}\n{out}").trim().to_owned()))
    }
}
