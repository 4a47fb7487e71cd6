//! One partition: its segments, and what was committed and is not yet in them.

use crate::disk::{Disk, DiskFile, failed, write_all};
use crate::frame::Place;
use crate::pread::{read_batch, read_batches};
use crate::recent::{Recent, Source};
use crate::segment::{Indexed, Segment, SegmentMeta, damaged};
use crate::walk::{Cut, Front, peek};
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use suiro_core::broker::{Cleanup, Fetched};
use suiro_core::{Offset, Result, Timestamp, TopicPartition};

/// One partition of one topic.
pub(crate) struct Partition {
    pub name: TopicPartition,
    pub place: Place,
    pub cleanup: Cleanup,
    pub dir: PathBuf,
    state: Mutex<PartitionState>,
}

/// What changes in a partition.
pub(crate) struct PartitionState {
    /// The offset of the oldest record that is there.
    pub start: Offset,
    /// The offset after the last committed record.
    pub end: Offset,
    /// The segments in order; new records go to the last one.
    pub segments: Vec<Segment>,
    /// What lies before this offset is in the segments.
    pub written: Offset,
    /// The last appends, without a gap up to `end`.
    recent: VecDeque<Recent>,
}

/// Where a fetch finds its batches.
enum Found {
    Nothing,
    Recent(Vec<Source>),
    Segment { number: usize, position: u64, end: u64, file: Arc<dyn DiskFile>, path: PathBuf },
}

impl Partition {
    /// A new partition.
    pub fn new(name: TopicPartition, place: Place, cleanup: Cleanup, dir: PathBuf) -> Self {
        let state = Mutex::new(PartitionState {
            start: 0,
            end: 0,
            segments: vec![Segment::new(0)],
            written: 0,
            recent: VecDeque::new(),
        });
        Self { name, place, cleanup, dir, state }
    }

    /// The state, for as long as the guard lives.
    pub fn state(&self) -> MutexGuard<'_, PartitionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest offset and the committed end.
    pub fn range(&self) -> (Offset, Offset) {
        let state = self.state();
        (state.start, state.end)
    }

    /// Takes the state that a checkpoint says.
    pub fn restore(&self, start: Offset, end: Offset, segments: Vec<SegmentMeta>) {
        let mut state = self.state();
        state.start = state.start.max(start);
        state.segments = segments.into_iter().map(Segment::stored).collect();
        if state.segments.is_empty() {
            state.segments.push(Segment::new(end));
        }
        state.written = end;
        state.end = state.end.max(end);
        state.recent.retain(|recent| recent.base >= end);
    }

    /// Makes an append visible.
    pub fn publish(&self, recent: Recent) {
        let mut state = self.state();
        state.end = recent.next;
        state.recent.push_back(recent);
    }

    /// Forgets the oldest append that is kept in memory.
    pub fn evict(&self) {
        let mut state = self.state();
        if state.recent.front().is_some_and(|recent| recent.next <= state.written) {
            state.recent.pop_front();
        }
    }

    /// Moves the start; the records before it may go.
    pub fn trim(&self, offset: Offset) {
        let mut state = self.state();
        state.start = state.start.max(offset.min(state.end));
    }

    /// Writes to the segments what is committed and not yet there, without making it durable.
    pub fn flush(&self, disk: &dyn Disk, segment_bytes: u64) -> Result<()> {
        let waiting: Vec<Recent> = {
            let state = self.state();
            let first = state.recent.partition_point(|recent| recent.next <= state.written);
            state.recent.range(first..).cloned().collect()
        };
        let mut in_journal = false;
        for recent in waiting {
            let bytes = recent.source.load()?;
            let mut rest = self.unwritten(&bytes);
            while !rest.is_empty() {
                rest = self.write(disk, segment_bytes, recent.at, rest)?;
            }
            in_journal |= matches!(recent.source, Source::Journal { .. });
        }
        if in_journal {
            // From now on the segments serve it, and the file of the journal may go.
            self.state().recent.clear();
        }
        Ok(())
    }

    /// What an attempt that failed half way left to do.
    fn unwritten<'a>(&self, mut bytes: &'a [u8]) -> &'a [u8] {
        let written = self.state().written;
        while let Front::Whole(batch) = peek(bytes) {
            if batch.next_offset() > written {
                break;
            }
            bytes = &bytes[batch.length..];
        }
        bytes
    }

    /// Writes the batches that go into one segment, and gives the rest.
    fn write<'a>(
        &self,
        disk: &dyn Disk,
        segment_bytes: u64,
        appended: Timestamp,
        bytes: &'a [u8],
    ) -> Result<&'a [u8]> {
        let (file, path, start) = {
            let mut state = self.state();
            let state = &mut *state;
            let first = peek(bytes);
            let length = if let Front::Whole(batch) = &first { batch.length as u64 } else { 0 };
            if state.is_full(length, segment_bytes, appended, self.cleanup) {
                state.roll();
            }
            let segment = state.active();
            if segment.meta.bytes == 0 {
                let error = |error| failed("create a directory", &self.dir, error);
                disk.create_dir(&self.dir).map_err(error)?;
            }
            (segment.writable(disk, &self.dir)?, segment.path(&self.dir), segment.meta.bytes)
        };
        let (mut at, mut batches) = (0, Vec::new());
        while let Front::Whole(batch) = peek(&bytes[at..]) {
            if at > 0 && start + (at + batch.length) as u64 > segment_bytes {
                break;
            }
            batches.push(Indexed {
                base: batch.base_offset,
                next: batch.next_offset(),
                bytes: batch.length,
                max_at: batch.max_at,
                appended,
            });
            at += batch.length;
        }
        if at == 0 {
            return Err(damaged(&path, start));
        }
        let error = |error| failed("write", &path, error);
        write_all(&*file, start, &bytes[..at]).map_err(error)?;
        let mut state = self.state();
        for batch in batches {
            state.written = batch.next;
            state.active().push(batch);
        }
        Ok(&bytes[at..])
    }

    /// Reads committed batches from `offset` on.
    pub fn fetch(&self, disk: &dyn Disk, offset: Offset, max_bytes: usize) -> Result<Fetched> {
        let mut rebuilt = false;
        let mut at = offset;
        loop {
            let (start, end, found) = self.find(disk, &mut at, max_bytes)?;
            let mut batches = Bytes::new();
            let mut next = at;
            match found {
                Found::Nothing => {}
                Found::Recent(sources) => {
                    (batches, next) = self.gather(&sources, at, max_bytes)?;
                }
                Found::Segment { number, position, end, file, path } => {
                    match read_batches(&*file, &path, position, end, at, max_bytes) {
                        Ok(Some(read)) => (batches, next) = read,
                        // Compaction took the rest of this segment: go on in the next one.
                        Ok(None) => {
                            at = self.after_segment(number, at);
                            continue;
                        }
                        Err(_) if !rebuilt => {
                            rebuilt = true;
                            self.rebuild_index(disk, at)?;
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            let partition = self.name.clone();
            return Ok(Fetched { partition, batches, next, end, start });
        }
    }

    /// Where the batches from `offset` on are. Moves `offset` past what is gone.
    fn find(
        &self,
        disk: &dyn Disk,
        offset: &mut Offset,
        max_bytes: usize,
    ) -> Result<(Offset, Offset, Found)> {
        let mut state = self.state();
        let state = &mut *state;
        *offset = (*offset).max(state.start);
        let (start, end) = (state.start, state.end);
        if *offset >= end {
            return Ok((start, end, Found::Nothing));
        }
        if state.recent.front().is_some_and(|recent| recent.base <= *offset) {
            let first = state.recent.partition_point(|recent| recent.next <= *offset);
            let mut sources = Vec::new();
            let mut bytes = 0;
            for recent in state.recent.range(first..) {
                bytes += recent.source.len();
                sources.push(recent.source.clone());
                if bytes >= max_bytes {
                    break;
                }
            }
            return Ok((start, end, Found::Recent(sources)));
        }
        let after = state.segments.partition_point(|segment| segment.meta.base <= *offset);
        let mut number = after.saturating_sub(1);
        while state.segments[number].meta.next <= *offset && number + 1 < state.segments.len() {
            number += 1;
        }
        let segment = &mut state.segments[number];
        if segment.meta.next <= *offset || segment.meta.bytes == 0 {
            // Everything up to the appends in memory is gone.
            *offset = state.recent.front().map_or(end, |recent| recent.base);
            let sources = state.recent.front().map(|recent| recent.source.clone());
            return Ok((start, end, Found::Recent(sources.into_iter().collect())));
        }
        let position = segment.index(disk, &self.dir)?.locate(*offset);
        let file = segment.file(disk, &self.dir)?;
        let (bytes, path) = (segment.meta.bytes, segment.path(&self.dir));
        Ok((start, end, Found::Segment { number, position, end: bytes, file, path }))
    }

    /// The offset from which to go on when a segment holds nothing from `offset` on.
    fn after_segment(&self, number: usize, offset: Offset) -> Offset {
        let state = self.state();
        let next = state.segments.get(number).map(|segment| segment.meta.next);
        next.unwrap_or(state.end).max(offset + 1)
    }

    fn rebuild_index(&self, disk: &dyn Disk, offset: Offset) -> Result<()> {
        let mut state = self.state();
        let after = state.segments.partition_point(|segment| segment.meta.base <= offset);
        match state.segments.get_mut(after.saturating_sub(1)) {
            Some(segment) => segment.rebuild_index(disk, &self.dir),
            None => Ok(()),
        }
    }

    /// Puts the batches of several appends together.
    fn gather(
        &self,
        sources: &[Source],
        offset: Offset,
        max_bytes: usize,
    ) -> Result<(Bytes, Offset)> {
        let mut parts: Vec<Bytes> = Vec::new();
        let (mut bytes, mut next) = (0, offset);
        for source in sources {
            if bytes >= max_bytes && bytes > 0 {
                break;
            }
            match source.cut(next, max_bytes.saturating_sub(bytes))? {
                // A batch that no longer fits waits for the next fetch.
                Cut::Found { batches, .. }
                    if bytes > 0 && bytes + batches.len() > max_bytes =>
                {
                    break;
                }
                Cut::Found { batches, next: after } => {
                    bytes += batches.len();
                    next = after;
                    parts.push(batches);
                }
                Cut::More { .. } => {}
                Cut::Damaged { at } => return Err(source.damaged(&self.dir, at)),
            }
        }
        let batches = match parts.len() {
            0 => Bytes::new(),
            1 => parts.remove(0),
            _ => parts.concat().into(),
        };
        Ok((batches, next))
    }

    /// Calls `visit` with stretches of batches, in order, until it finds something: those that
    /// may hold an event time of `at` or later.
    pub fn search_time<T>(
        &self,
        disk: &dyn Disk,
        at: Timestamp,
        mut visit: impl FnMut(Bytes) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut state = self.state();
        let state = &mut *state;
        for segment in &mut state.segments {
            if segment.meta.max_at < at || segment.meta.bytes == 0 {
                continue;
            }
            let (path, end) = (segment.path(&self.dir), segment.meta.bytes);
            let index = segment.index(disk, &self.dir)?;
            let positions: Vec<u64> = index.locate_time(at).collect();
            let file = segment.file(disk, &self.dir)?;
            for position in positions {
                let mut from = position;
                while from < end && from < position + crate::index::STRIDE {
                    let Some(batch) = read_batch(&*file, &path, from, end)? else { break };
                    from += batch.len() as u64;
                    if let Some(found) = visit(batch)? {
                        return Ok(Some(found));
                    }
                }
            }
        }
        for recent in state.recent.iter().filter(|recent| recent.next > state.written) {
            if let Some(found) = visit(recent.source.load()?)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl PartitionState {
    /// The segment to which new records go.
    pub fn active(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a partition has a segment")
    }

    /// The segment of this identity, if it is still in use.
    pub fn segment(&mut self, base: Offset, version: u64) -> Option<&mut Segment> {
        let is = |meta: &SegmentMeta| meta.base == base && meta.version == version;
        self.segments.iter_mut().find(|segment| is(&segment.meta))
    }

    /// Ends the segment to which records go, and begins one.
    pub fn roll(&mut self) {
        if self.active().meta.bytes > 0 {
            self.segments.push(Segment::new(self.written));
        }
    }

    /// Lets go of the memory of what is in the segments before the active one.
    pub fn forget_sealed(&mut self) {
        let active = self.active().meta.base;
        while self
            .recent
            .front()
            .is_some_and(|recent| recent.base < active && recent.next <= self.written)
        {
            self.recent.pop_front();
        }
    }

    fn is_full(
        &mut self,
        more: u64,
        segment_bytes: u64,
        now: Timestamp,
        cleanup: Cleanup,
    ) -> bool {
        let active = &self.active().meta;
        let old = match cleanup {
            // Whole segments are deleted, so one must not gather records for ever.
            Cleanup::Delete { after: Some(after), .. } => active.first_appended + after < now,
            _ => false,
        };
        active.bytes > 0 && (old || active.bytes + more > segment_bytes)
    }
}
