//! The last appends of a partition, which are served before the segments are asked.

use crate::disk::DiskFile;
use crate::segment::{damaged, read_at};
use crate::walk::{Cut, cut};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use suiro_core::{Error, Offset, Result, Timestamp};

/// One append of one commit.
#[derive(Clone)]
pub(crate) struct Recent {
    pub base: Offset,
    pub next: Offset,
    pub at: Timestamp,
    pub source: Source,
}

/// Where the bytes of an append are.
#[derive(Clone)]
pub(crate) enum Source {
    /// In memory.
    Memory(Bytes),
    /// In a journal.
    Journal { file: Arc<dyn DiskFile>, path: Arc<Path>, position: u64, bytes: u64 },
}

/// Splits an append that is in a journal, so that nobody who wants a part of it reads it whole.
pub(crate) struct Pieces {
    file: Arc<dyn DiskFile>,
    path: Arc<Path>,
    at: Timestamp,
    base: Offset,
    next: Offset,
    start: u64,
    end: u64,
    done: Vec<Recent>,
}

/// A piece ends with the batch with which it has this many bytes.
const PIECE: u64 = 64 * 1024;

impl Pieces {
    /// The pieces of an append that lies at `position`, committed `at`.
    pub fn new(
        file: &Arc<dyn DiskFile>,
        path: &Arc<Path>,
        base: Offset,
        at: Timestamp,
        position: u64,
    ) -> Self {
        let (file, path) = (Arc::clone(file), Arc::clone(path));
        let (next, start, end) = (base, position, position);
        Self { file, path, at, base, next, start, end, done: Vec::new() }
    }

    /// Takes up the next batch.
    pub fn push(&mut self, bytes: u64, offsets: i64) {
        self.end += bytes;
        self.next += offsets;
        if self.end - self.start >= PIECE {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let (file, path) = (Arc::clone(&self.file), Arc::clone(&self.path));
        let (position, bytes) = (self.start, self.end - self.start);
        let source = Source::Journal { file, path, position, bytes };
        self.done.push(Recent { base: self.base, next: self.next, at: self.at, source });
        (self.base, self.start) = (self.next, self.end);
    }

    /// All pieces.
    pub fn finish(mut self) -> Vec<Recent> {
        if self.end > self.start {
            self.cut();
        }
        self.done
    }
}

impl Source {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Journal { bytes, .. } => usize::try_from(*bytes).unwrap_or(usize::MAX),
        }
    }

    /// The bytes.
    pub fn load(&self) -> Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::Journal { file, path, position, .. } => {
                let end = position + self.len() as u64;
                read_at(&**file, path, *position, self.len(), end)
            }
        }
    }

    /// The batches of the append from `offset` on.
    pub fn cut(&self, offset: Offset, max_bytes: usize) -> Result<Cut> {
        Ok(cut(&self.load()?, offset, max_bytes, matches!(self, Self::Memory(_))))
    }

    /// The error for a batch that is not what was written, in the partition in `dir`.
    pub fn damaged(&self, dir: &Path, at: usize) -> Error {
        match self {
            Self::Memory(_) => damaged(dir, at as u64),
            Self::Journal { path, position, .. } => damaged(path, position + at as u64),
        }
    }
}
