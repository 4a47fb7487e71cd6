//! The mark: a small file that tells readers in other processes how far the journal is
//! committed.
//!
//! It is never made durable. After a loss of power it may be old or missing; then a reader
//! shows less until a writer opens the log.

use crate::disk::{Disk, DiskFile, Mode, failed, read_full, write_all};
use crate::wire::{Put, Take};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro_core::Result;

const BYTES: usize = 20;

/// The mark, open.
pub(crate) struct Mark(Arc<dyn DiskFile>);

fn path(root: &Path) -> PathBuf {
    root.join("COMMITTED")
}

impl Mark {
    /// Opens the mark of the log in `root`.
    pub fn open(disk: &dyn Disk, root: &Path, mode: Mode) -> Result<Self> {
        let path = path(root);
        let error = |error| failed("open the mark", &path, error);
        Ok(Self(disk.open(&path, mode).map_err(error)?))
    }

    /// Says that journal number `journal` is committed up to `position`.
    pub fn set(&self, journal: u64, position: u64) {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.put_u64(journal);
        bytes.put_u64(position);
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
        // Without the mark readers are behind; the commit is as good.
        let _ = write_all(&*self.0, 0, &bytes);
    }

    /// The journal and the position up to which it is committed; `None` if nobody can tell.
    pub fn get(&self) -> Option<(u64, u64)> {
        // A read may meet a write half way; one of the next reads does not.
        (0..100).find_map(|_| {
            let mut bytes = [0; BYTES];
            let filled = read_full(&*self.0, 0, &mut bytes).ok()?;
            let (body, crc) = bytes[..filled].split_last_chunk::<4>()?;
            (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(())?;
            let mut from = Take(body);
            Some((from.u64()?, from.u64()?))
        })
    }
}
