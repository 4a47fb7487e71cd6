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
