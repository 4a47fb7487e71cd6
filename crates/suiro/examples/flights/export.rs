//! Writes an output topic to a file: one line of JSON per record.

use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use suiro::{Error, Received, Result, Timestamp};

/// A line.
#[derive(Serialize)]
struct Line<'a, K, V> {
    key: &'a K,
    at: Timestamp,
    value: Option<&'a V>,
}

/// Makes the directory of the files, so that one that cannot be written to is known early.
pub fn prepare(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))
}

/// The file `<topic>.jsonl`. It gets its name when it is whole, so that nobody takes a part for
/// the whole.
pub struct Lines {
    file: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
}

impl Lines {
    pub fn create(dir: &Path, topic: &str) -> Result<Self> {
        let path = dir.join(format!("{topic}.jsonl"));
        let part = dir.join(format!("{topic}.jsonl.part"));
        let file = File::create(&part).map_err(|error| failed(&part, error))?;
        Ok(Self { file: BufWriter::new(file), part, path })
    }

    pub fn write<K: Serialize, V: Serialize>(&mut self, record: &Received<K, V>) -> Result<()> {
        let Received { key, value, at, .. } = record;
        let line = Line { key, at: *at, value: value.as_ref() };
        let written = serde_json::to_writer(&mut self.file, &line).map_err(io::Error::from);
        let written = written.and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|error| failed(&self.part, error))
    }

    pub fn finish(mut self) -> Result<()> {
        let written = self.file.flush().and_then(|()| fs::rename(&self.part, &self.path));
        written.map_err(|error| failed(&self.path, error))
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::unavailable("cannot write; choose another directory with --out")
        .with("path", path.display())
        .caused_by(error)
}
