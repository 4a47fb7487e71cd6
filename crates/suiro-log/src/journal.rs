//! The journal: one file in which every commit is one frame.
//!
//! A journal begins with a head that names it and says how long the one before it was; so the
//! end of an older journal is known, and what is missing from it is damage.

use crate::disk::{Disk, DiskFile, Mode, failed, read_full, write_all};
use crate::wire::{Put, Take};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro_core::Result;

const MAGIC: &[u8] = b"SUIROJ01";
/// Bytes before the first frame.
pub(crate) const JOURNAL_HEAD: u64 = 28;
/// The fewest and the most zeros that are written ahead of the frames.
const AHEAD: std::ops::RangeInclusive<u64> = 128 << 10..=4 << 20;
/// So many of them are written at once.
const ZEROS: u64 = 1 << 20;

/// The directory of the journals.
pub(crate) fn journal_dir(root: &Path) -> PathBuf {
    root.join("journal")
}

/// The file of journal number `number`.
pub(crate) fn journal_path(root: &Path, number: u64) -> PathBuf {
    journal_dir(root).join(format!("{number:012}.journal"))
}

/// The numbers of the journals that are there, in order.
pub(crate) fn journals(disk: &dyn Disk, root: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(&journal_dir(root))?;
    let number = |name: &String| name.strip_suffix(".journal")?.parse().ok();
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The journal that is being written.
pub(crate) struct Journal {
    pub number: u64,
    pub path: PathBuf,
    /// Where the next frame goes.
    pub end: u64,
    /// Up to where it is durable.
    pub durable: u64,
    /// Up to where there are zeros for the frames to come.
    zeroed: u64,
    file: Arc<dyn DiskFile>,
}

impl Journal {
    /// Creates journal number `number`, durably; the one before it was `before` bytes long.
    pub fn create(disk: &dyn Disk, root: &Path, number: u64, before: u64) -> Result<Self> {
        let path = journal_path(root, number);
        let error = |error| failed("create a journal", &path, error);
        let file = disk.open(&path, Mode::Create).map_err(error)?;
        let created = file
            .truncate(0)
            .and_then(|()| write_all(&*file, 0, &head(number, before)))
            .and_then(|()| file.sync_data())
            .and_then(|()| disk.sync_dir(&journal_dir(root)));
        if let Err(cause) = created {
            // Without this file the log goes on in the old journal.
            let _ = disk.remove(&path);
            return Err(error(cause));
        }
        let (end, durable, zeroed) = (JOURNAL_HEAD, JOURNAL_HEAD, JOURNAL_HEAD);
        Ok(Self { number, path, end, durable, zeroed, file })
    }

    /// Writes frames, or a part of one, at `position`, without making it durable. They count
    /// when `end` is moved behind them.
    pub fn write(&self, position: u64, frames: &[u8]) -> io::Result<()> {
        write_all(&*self.file, position, frames)
    }

    /// The file, for who reads what is in it.
    pub fn source(&self) -> (Arc<dyn DiskFile>, Arc<Path>) {
        (Arc::clone(&self.file), self.path.as_path().into())
    }

    /// Writes zeros where frames will go, so that syncing a small frame need not sync the length
    /// of the file and where its blocks are: that takes about twice as long, and waits for what
    /// else is being written.
    pub fn write_ahead(&mut self, bytes: usize, most: u64) {
        let next = self.end + bytes as u64;
        let ahead = self.end.clamp(*AHEAD.start(), *AHEAD.end()).min(most);
        if next <= self.zeroed || bytes as u64 > ahead / 4 {
            return;
        }
        let to = next + ahead;
        let zeros = vec![0; ZEROS.min(to - self.end) as usize];
        let mut at = self.end;
        while at < to {
            let piece = (to - at).min(ZEROS) as usize;
            if write_all(&*self.file, at, &zeros[..piece]).is_err() {
                // Without zeros commits are slower, and as good.
                return;
            }
            at += piece as u64;
        }
        self.zeroed = to;
    }

    /// Takes back an append that failed half way, durably: whatever of it reached the disk must
    /// not come back.
    pub fn take_back(&mut self) -> io::Result<()> {
        self.zeroed = self.end;
        self.file.truncate(self.end)?;
        self.file.sync_data()
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.durable < self.end {
            self.file.sync_data()?;
            self.durable = self.end;
        }
        Ok(())
    }
}

fn head(number: u64, before: u64) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.put_u64(number);
    head.put_u64(before);
    let crc = crc32c::crc32c(&head);
    head.put_u32(crc);
    head
}

/// What the head of journal `number` says of the length of the one before it; `None` if it has
/// no whole head.
pub(crate) fn read_head(file: &dyn DiskFile, number: u64) -> io::Result<Option<u64>> {
    let mut bytes = [0; JOURNAL_HEAD as usize];
    if read_full(file, 0, &mut bytes)? < bytes.len() {
        return Ok(None);
    }
    Ok(parse_head(&bytes, number))
}

fn parse_head(bytes: &[u8], number: u64) -> Option<u64> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(())?;
    let mut from = Take(body);
    (from.bytes(MAGIC.len())? == MAGIC && from.u64()? == number).then_some(())?;
    from.u64()
}
