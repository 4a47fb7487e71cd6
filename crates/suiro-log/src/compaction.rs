//! Compaction: of the records of a key the last one stays, with its offset. A tombstone goes
//! some time after its append.
//!
//! The segments before the active one are rewritten into new files. The next checkpoint names
//! these instead of the old ones, which are removed after it: so a crash leaves either.

use crate::core::Core;
use crate::disk::{DiskFile, Mode, failed};
use crate::filter::{Left, filter};
use crate::newest::Newest;
use crate::partition::Partition;
use crate::segment::{Indexed, Segment, SegmentMeta};
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::Arc;
use suiro_core::batch::{Batch, BatchHeader, batches};
use suiro_core::{Offset, Result, Timestamp};

/// Rewrites the segments of a partition if that is worth it, and gives the files that are no
/// longer in use.
pub(crate) fn compact(core: &Core, partition: &Partition) -> Result<Vec<PathBuf>> {
    let expired = core.options.clock.now() - core.options.tombstone_retention;
    let sealed = sealed(partition);
    if !is_worth_it(&sealed, expired) {
        return Ok(Vec::new());
    }
    let newest = Newest::default();
    let mut pass =
        Pass { core, partition, newest, end: Offset::MAX, expired, done: Vec::new() };
    let count = pass.read_keys(&sealed)?;
    let old = &sealed[..count];
    let version = 1 + sealed.iter().map(|meta| meta.version).max().unwrap_or(0);
    for meta in old {
        pass.rewrite(meta, version)?;
    }
    let done = pass.finish()?;
    let mut state = partition.state();
    let gone = state.segments.splice(..count, done).map(|old| old.path(&partition.dir));
    let gone = gone.collect();
    // Readers must not find in memory what is gone from the segments.
    state.forget_sealed();
    Ok(gone)
}

/// The segments before the active one. Nobody but the keeper changes them.
fn sealed(partition: &Partition) -> Vec<SegmentMeta> {
    let state = partition.state();
    let segments = &state.segments[..state.segments.len() - 1];
    segments.iter().map(|segment| segment.meta.clone()).collect()
}

fn is_worth_it(sealed: &[SegmentMeta], expired: Timestamp) -> bool {
    let bytes = |compacted: bool| -> u64 {
        let those = sealed.iter().filter(|meta| meta.compacted == compacted);
        those.map(|meta| meta.bytes).sum()
    };
    let dirty = bytes(false);
    let tombstone = sealed.iter().filter_map(|meta| meta.tombstone).min();
    dirty > 0 && dirty * 2 >= bytes(true) || tombstone.is_some_and(|at| at < expired)
}

struct Pass<'a> {
    core: &'a Core,
    partition: &'a Partition,
    newest: Newest,
    /// Records from here on are not looked at for want of memory, and stay.
    end: Offset,
    /// Tombstones appended before this go.
    expired: Timestamp,
    done: Vec<Output>,
}

/// A segment that is being written.
struct Output {
    segment: Segment,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// What is in the file.
    written: u64,
    /// What is not yet in it.
    buffer: Vec<u8>,
}

/// About so many bytes are written at once.
const PIECE: usize = 1 << 20;

impl Output {
    fn write(&mut self) -> Result<()> {
        let error = |error| failed("write a compacted segment", &self.path, error);
        crate::disk::write_all(&*self.file, self.written, &self.buffer).map_err(error)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Pass<'_> {
    /// Learns the newest offset of the keys in the segments that were not yet compacted, as far
    /// as memory allows; says how many segments to rewrite.
    fn read_keys(&mut self, sealed: &[SegmentMeta]) -> Result<usize> {
        for (at, meta) in sealed.iter().enumerate() {
            if meta.compacted {
                continue;
            }
            self.visit(meta, |pass, batch, _| {
                let (records, bytes) = (batch.header().count, batch.bytes().len());
                if pass.newest.with(records, bytes) > pass.core.options.compaction_memory {
                    pass.end = pass.end.min(batch.header().base_offset);
                    return Ok(());
                }
                for record in batch.records()?.iter() {
                    let record = record?;
                    if let Some(key) = record.key {
                        pass.newest.note(key, record.offset);
                    }
                }
                Ok(())
            })?;
            if self.end < Offset::MAX {
                return Ok(at + 1);
            }
        }
        Ok(sealed.len())
    }

    /// Calls `visit` with each batch of a segment and the time by which it was appended.
    fn visit(
        &mut self,
        meta: &SegmentMeta,
        mut visit: impl FnMut(&mut Self, &Batch, Timestamp) -> Result<()>,
    ) -> Result<()> {
        let (disk, partition) = (&*self.core.view.disk, self.partition);
        let mut segment = Segment::stored(meta.clone());
        let index = segment.index(disk, &partition.dir)?.clone();
        segment.batches(disk, &partition.dir, 0, |position, bytes| {
            let appended = index.appended(position).unwrap_or(meta.appended);
            for batch in batches(Bytes::copy_from_slice(bytes)) {
                let batch = batch.map_err(|error| {
                    let path = Segment::stored(meta.clone()).path(&partition.dir);
                    crate::segment::damaged(&path, position).caused_by(error)
                })?;
                visit(self, &batch, appended)?;
            }
            Ok(())
        })
    }

    fn rewrite(&mut self, meta: &SegmentMeta, version: u64) -> Result<()> {
        self.visit(meta, |pass, batch, appended| {
            let (newest, end) = (&pass.newest, pass.end);
            let expired = appended < pass.expired;
            let mut has_tombstone = false;
            let left = filter(batch, |record| {
                let Some(key) = record.key else { return true };
                let last = newest.get(key).filter(|_| record.offset < end);
                let is_newest = last.is_none_or(|offset| offset == record.offset);
                let is_tombstone = record.value.is_none();
                let early = cfg!(suiro_mutant = "tombstone_dropped_early");
                let drops = cfg!(suiro_mutant = "live_key_dropped");
                // What a tombstone removes goes with it or before it, so one that was not looked
                // at stays.
                let is_over = is_tombstone && (expired || early) && record.offset < end;
                let keep = is_newest && !is_over && !(drops && expired);
                has_tombstone |= keep && is_tombstone;
                keep
            })?;
            let bytes = match &left {
                Left::All => batch.bytes(),
                Left::Some(bytes) => &bytes[..],
                Left::Nothing => return Ok(()),
            };
            pass.push(bytes, appended, has_tombstone, version)
        })
    }

    /// Adds a batch to the new segments.
    fn push(
        &mut self,
        bytes: &[u8],
        appended: Timestamp,
        has_tombstone: bool,
        version: u64,
    ) -> Result<()> {
        let Some(header) = BatchHeader::parse(bytes)? else { return Ok(()) };
        let limit = self.core.options.segment_bytes;
        // What was not looked at is for the next pass, in segments of its own.
        let compacted = header.base_offset < self.end;
        let fits = |output: &Output| {
            let meta = &output.segment.meta;
            meta.bytes + bytes.len() as u64 <= limit && meta.compacted == compacted
        };
        if !self.done.last().is_some_and(fits) {
            self.write_last()?;
            let mut segment = Segment::new(header.base_offset);
            segment.meta.version = version;
            segment.meta.compacted = compacted;
            let path = segment.path(&self.partition.dir);
            let error = |error| failed("write a compacted segment", &path, error);
            let file = self.core.view.disk.open(&path, Mode::Create).map_err(error)?;
            file.truncate(0).map_err(error)?;
            self.done.push(Output { segment, file, path, written: 0, buffer: Vec::new() });
        }
        let output = self.done.last_mut().expect("an output was just made");
        output.segment.push(Indexed {
            base: header.base_offset,
            next: header.next_offset(),
            bytes: bytes.len(),
            max_at: header.max_at,
            appended,
        });
        if has_tombstone {
            let oldest = output.segment.meta.tombstone;
            output.segment.meta.tombstone =
                Some(oldest.map_or(appended, |at| at.min(appended)));
        }
        output.buffer.extend_from_slice(bytes);
        if output.buffer.len() >= PIECE { output.write() } else { Ok(()) }
    }

    /// Writes the last new segment, durably.
    fn write_last(&mut self) -> Result<()> {
        let Some(output) = self.done.last_mut() else { return Ok(()) };
        let (disk, dir) = (&*self.core.view.disk, &self.partition.dir);
        output.write()?;
        let error = |error| failed("write a compacted segment", &output.path, error);
        output.file.sync_data().map_err(error)?;
        output.buffer = Vec::new();
        output.segment.synced = output.segment.meta.bytes;
        output.segment.save_index(disk, dir)
    }

    fn finish(mut self) -> Result<Vec<Segment>> {
        self.write_last()?;
        let (disk, dir) = (&*self.core.view.disk, &self.partition.dir);
        disk.sync_dir(dir).map_err(|error| failed("make the names durable", dir, error))?;
        Ok(self.done.into_iter().map(|output| output.segment).collect())
    }
}
