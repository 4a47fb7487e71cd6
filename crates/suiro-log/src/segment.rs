//! A segment: one file of a partition, batches one after another, and its index.

use crate::disk::{Disk, DiskFile, Mode, failed, read_file, read_full, write_all};
use crate::index::{Index, IndexEntry};
use crate::walk::{Front, is_sound, peek};
use crate::wire::{Put, Take};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro_core::{Error, Offset, Result, Timestamp};

/// Bytes read at once when a segment is read from one end to the other.
const CHUNK: usize = 1 << 20;

/// What a checkpoint says of a segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SegmentMeta {
    /// The offset from which on it holds records.
    pub base: Offset,
    /// Number of the rewrite that made it; 0 if it is as it was appended.
    pub version: u64,
    /// Its length.
    pub bytes: u64,
    /// The offset after its last record.
    pub next: Offset,
    /// The largest event time in it.
    pub max_at: Timestamp,
    /// When its first record was appended.
    pub first_appended: Timestamp,
    /// When its last record was appended.
    pub appended: Timestamp,
    /// Whether compaction has been here.
    pub compacted: bool,
    /// The oldest append time of a tombstone that compaction left in it.
    pub tombstone: Option<Timestamp>,
}

impl SegmentMeta {
    pub fn new(base: Offset) -> Self {
        Self {
            base,
            version: 0,
            bytes: 0,
            next: base,
            max_at: Timestamp::MIN,
            first_appended: Timestamp::MAX,
            appended: Timestamp::MIN,
            compacted: false,
            tombstone: None,
        }
    }

    /// The name of its file.
    pub fn name(&self) -> String {
        match self.version {
            0 => format!("{:020}.log", self.base),
            version => format!("{:020}-{version}.log", self.base),
        }
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        out.put_i64(self.base);
        out.put_u64(self.version);
        out.put_u64(self.bytes);
        out.put_i64(self.next);
        out.put_time(self.max_at);
        out.put_time(self.first_appended);
        out.put_time(self.appended);
        out.put_u8(u8::from(self.compacted));
        out.put_time(self.tombstone.unwrap_or(Timestamp::MAX));
    }

    pub fn take(from: &mut Take) -> Option<Self> {
        Some(Self {
            base: from.i64()?,
            version: from.u64()?,
            bytes: from.u64()?,
            next: from.i64()?,
            max_at: from.time()?,
            first_appended: from.time()?,
            appended: from.time()?,
            compacted: from.u8()? != 0,
            tombstone: from.time().map(|at| (at < Timestamp::MAX).then_some(at))?,
        })
    }
}

/// A segment that is in use.
pub(crate) struct Segment {
    pub meta: SegmentMeta,
    /// How much of it is known to be durable.
    pub synced: u64,
    index: Option<Index>,
    file: Option<Arc<dyn DiskFile>>,
}

/// A batch as the index sees it.
#[derive(Clone, Copy)]
pub(crate) struct Indexed {
    pub base: Offset,
    pub next: Offset,
    pub bytes: usize,
    pub max_at: Timestamp,
    pub appended: Timestamp,
}

impl Segment {
    /// A segment without records, which has no file yet.
    pub fn new(base: Offset) -> Self {
        let (index, file) = (Some(Index::default()), None);
        Self { meta: SegmentMeta::new(base), synced: 0, index, file }
    }

    /// A segment that a checkpoint names.
    pub fn stored(meta: SegmentMeta) -> Self {
        Self { synced: meta.bytes, meta, index: None, file: None }
    }

    pub fn path(&self, dir: &Path) -> PathBuf {
        dir.join(self.meta.name())
    }

    fn index_path(&self, dir: &Path) -> PathBuf {
        self.path(dir).with_extension("index")
    }

    /// The open file.
    pub fn file(&mut self, disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let path = self.path(dir);
        let error = |error| failed("open a segment", &path, error);
        disk.open(&path, Mode::Read).map_err(error)
    }

    /// The open file, to append to.
    pub fn writable(&mut self, disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let path = self.path(dir);
        let error = |error| failed("open a segment for writing", &path, error);
        let mode = if self.meta.bytes == 0 { Mode::Create } else { Mode::Write };
        let file = disk.open(&path, mode).map_err(error)?;
        if self.meta.bytes == 0 {
            // A crash may have left a file of this name.
            file.truncate(0).map_err(error)?;
        }
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Forgets the open file; it is opened again when it is needed.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Takes up a batch that was written at the end of the file.
    pub fn push(&mut self, batch: Indexed) {
        if let Some(index) = &mut self.index {
            index.push(IndexEntry {
                offset: batch.base,
                position: self.meta.bytes,
                max_at: batch.max_at,
                appended: batch.appended,
            });
        }
        self.meta.bytes += batch.bytes as u64;
        self.meta.next = batch.next;
        self.meta.max_at = self.meta.max_at.max(batch.max_at);
        self.meta.first_appended = self.meta.first_appended.min(batch.appended);
        self.meta.appended = self.meta.appended.max(batch.appended);
    }

    /// The index, from its file or else from the segment itself.
    pub fn index(&mut self, disk: &dyn Disk, dir: &Path) -> Result<&Index> {
        if self.index.is_none() {
            self.index = Some(self.load_index(disk, dir)?);
        }
        Ok(self.index.as_ref().expect("the index was just loaded"))
    }

    /// Forgets an index that turned out to be wrong and makes it anew from the segment.
    pub fn rebuild_index(&mut self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        self.index = Some(self.scan(disk, dir, Index::default(), 0)?);
        Ok(())
    }

    fn load_index(&mut self, disk: &dyn Disk, dir: &Path) -> Result<Index> {
        let stored = read_file(disk, &self.index_path(dir)).ok().flatten();
        let stored = stored.and_then(|content| Index::decode(&content));
        let Some((mut index, covers)) = stored else {
            return self.scan(disk, dir, Index::default(), 0);
        };
        if covers == self.meta.bytes {
            return Ok(index);
        }
        let from = index.truncate(covers.min(self.meta.bytes));
        let known = index.clone();
        // An index that does not fit the segment leads into the middle of a batch.
        self.scan(disk, dir, known, from).or_else(|_| self.scan(disk, dir, Index::default(), 0))
    }

    fn scan(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        mut index: Index,
        from: u64,
    ) -> Result<Index> {
        let (appended, path) = (self.meta.appended, self.path(dir));
        let mut last = self.meta.base;
        self.batches(disk, dir, from, |position, bytes| {
            let Front::Whole(batch) = peek(bytes) else { return Err(damaged(&path, position)) };
            if batch.base_offset < last {
                return Err(damaged(&path, position));
            }
            last = batch.next_offset();
            let (offset, max_at) = (batch.base_offset, batch.max_at);
            index.push(IndexEntry { offset, position, max_at, appended });
            Ok(())
        })?;
        Ok(index)
    }

    /// Writes the index file. It is not made durable: who finds it missing or wrong makes it
    /// anew.
    pub fn save_index(&mut self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        let bytes = self.meta.bytes;
        let Some(index) = &self.index else { return Ok(()) };
        let (content, path) = (index.encode(bytes), self.index_path(dir));
        let error = |error| failed("write an index", &path, error);
        let file = disk.open(&path, Mode::Create).map_err(error)?;
        file.truncate(0).map_err(error)?;
        write_all(&*file, 0, &content).map_err(error)
    }

    /// Visits the batches from the one at `from` on.
    pub fn batches(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        from: u64,
        visit: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if from >= self.meta.bytes {
            return Ok(());
        }
        let file = self.file(disk, dir)?;
        walk(&*file, &self.path(dir), from, self.meta.bytes, visit)
    }
}

/// Visits the batches between two positions of a file.
pub(crate) fn walk(
    file: &dyn DiskFile,
    path: &Path,
    mut position: u64,
    end: u64,
    mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut want = CHUNK;
    while position < end {
        let bytes = read_at(file, path, position, want, end)?;
        let mut at = 0;
        loop {
            match peek(&bytes[at..]) {
                Front::Whole(batch) => {
                    if !is_sound(&bytes[at..at + batch.length]) {
                        return Err(damaged(path, position + at as u64));
                    }
                    visit(position + at as u64, &bytes[at..at + batch.length])?;
                    at += batch.length;
                }
                Front::Part(needs) if position + (at + needs) as u64 <= end => {
                    want = needs.max(CHUNK);
                    break;
                }
                Front::Part(_) if at == bytes.len() => break,
                _ => return Err(damaged(path, position + at as u64)),
            }
        }
        position += at as u64;
    }
    Ok(())
}

/// Reads `want` bytes at `position`, but not past `end`, where the file must reach.
pub(crate) fn read_at(
    file: &dyn DiskFile,
    path: &Path,
    position: u64,
    want: usize,
    end: u64,
) -> Result<Bytes> {
    let left = usize::try_from(end.saturating_sub(position)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; want.min(left)];
    let filled = read_full(file, position, &mut bytes)
        .map_err(|error| failed("read", path, error).with("position", position))?;
    if filled < bytes.len() {
        return Err(damaged(path, position + filled as u64));
    }
    Ok(bytes.into())
}

/// The error for stored data that are not what was written.
pub(crate) fn damaged(path: &Path, position: u64) -> Error {
    Error::corrupt(
        "log is damaged: restore this file from a copy, or remove the log and load it again",
    )
    .with("file", path.display())
    .with("position", position)
}
