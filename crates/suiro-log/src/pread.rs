//! Reading batches from the middle of a segment.

use crate::disk::DiskFile;
use crate::segment::{damaged, read_at};
use crate::walk::{Cut, Front, cut, is_sound, peek};
use bytes::Bytes;
use std::path::Path;
use suiro_core::{Offset, Result};

/// A read of a segment takes this much more than asked, since the index is sparse.
const SLACK: usize = 32 * 1024;

/// One whole batch at `position`; nothing at the end.
pub(crate) fn read_batch(
    file: &dyn DiskFile,
    path: &Path,
    position: u64,
    end: u64,
) -> Result<Option<Bytes>> {
    let mut want = SLACK;
    loop {
        let bytes = read_at(file, path, position, want, end)?;
        match peek(&bytes) {
            _ if bytes.is_empty() => return Ok(None),
            Front::Whole(batch) if is_sound(&bytes[..batch.length]) => {
                return Ok(Some(bytes.slice(..batch.length)));
            }
            Front::Part(needs) if needs > bytes.len() && position + needs as u64 <= end => {
                want = needs;
            }
            _ => return Err(damaged(path, position)),
        }
    }
}

/// The batches of a segment from `offset` on, and where to go on; `None` if there are none.
pub(crate) fn read_batches(
    file: &dyn DiskFile,
    path: &Path,
    mut position: u64,
    end: u64,
    offset: Offset,
    max_bytes: usize,
) -> Result<Option<(Bytes, Offset)>> {
    let mut want = max_bytes.saturating_add(SLACK);
    loop {
        let bytes = read_at(file, path, position, want, end)?;
        match cut(&bytes, offset, max_bytes, false) {
            Cut::Found { batches, next } => return Ok(Some((batches, next))),
            Cut::Damaged { at } => return Err(damaged(path, position + at as u64)),
            Cut::More { at, needs } => {
                position += at as u64;
                if position >= end {
                    return Ok(None);
                }
                if position + needs as u64 > end {
                    return Err(damaged(path, position));
                }
                want = want.max(needs);
            }
        }
    }
}
