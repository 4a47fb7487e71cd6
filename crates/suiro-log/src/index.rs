//! The sparse index of a segment: from offset to position, from time to position, and when
//! records were appended.

use crate::wire::{Put, Take};
use suiro_core::{Offset, Timestamp};

const MAGIC: &[u8] = b"SUIX\x01";
/// An entry stands for at least this many bytes, if the segment goes on so long.
pub(crate) const STRIDE: u64 = 16 * 1024;

/// Where one stretch of whole batches begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct IndexEntry {
    /// The base offset of its first batch.
    pub offset: Offset,
    /// The position of its first batch.
    pub position: u64,
    /// The largest event time in it.
    pub max_at: Timestamp,
    /// The last time at which something in it was appended.
    pub appended: Timestamp,
}

/// The stretches of a segment, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    entries: Vec<IndexEntry>,
}

impl Index {
    /// Takes up the batch that lies at `entry.position`.
    pub fn push(&mut self, entry: IndexEntry) {
        match self.entries.last_mut() {
            Some(last) if entry.position - last.position < STRIDE => {
                last.max_at = last.max_at.max(entry.max_at);
                last.appended = last.appended.max(entry.appended);
            }
            _ => self.entries.push(entry),
        }
    }

    /// The position of a batch at or before `offset`.
    pub fn locate(&self, offset: Offset) -> u64 {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }

    /// The positions of the stretches that hold an event time of `at` or later.
    pub fn locate_time(&self, at: Timestamp) -> impl Iterator<Item = u64> {
        self.entries.iter().filter(move |entry| entry.max_at >= at).map(|entry| entry.position)
    }

    /// By when what lies at `position` was appended.
    pub fn appended(&self, position: u64) -> Option<Timestamp> {
        let after = self.entries.partition_point(|entry| entry.position <= position);
        after.checked_sub(1).map(|at| self.entries[at].appended)
    }

    /// Forgets the stretches that begin at `position` or later, and the last one before it,
    /// since it may go on; gives the position from which the segment must be read again.
    pub fn truncate(&mut self, position: u64) -> u64 {
        let keep = self.entries.partition_point(|entry| entry.position < position);
        self.entries.truncate(keep);
        self.entries.pop().map_or(0, |last| last.position)
    }

    /// The content of an index file for a segment of `covers` bytes.
    pub fn encode(&self, covers: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.entries.len() * 32);
        out.extend_from_slice(MAGIC);
        out.put_u64(covers);
        out.put_len(self.entries.len());
        for entry in &self.entries {
            out.put_i64(entry.offset);
            out.put_u64(entry.position);
            out.put_time(entry.max_at);
            out.put_time(entry.appended);
        }
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out
    }

    /// The index in a file and how much of the segment it covers; `None` if it is no such file.
    pub fn decode(content: &[u8]) -> Option<(Self, u64)> {
        let (body, crc) = content.split_last_chunk::<4>()?;
        (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(())?;
        let mut from = Take(body);
        (from.bytes(MAGIC.len())? == MAGIC).then_some(())?;
        let covers = from.u64()?;
        let entries = from.list(|from| {
            Some(IndexEntry {
                offset: from.i64()?,
                position: from.u64()?,
                max_at: from.time()?,
                appended: from.time()?,
            })
        })?;
        Some((Self { entries }, covers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset: Offset, position: u64, max_at: i64) -> IndexEntry {
        let max_at = Timestamp::from_millis(max_at);
        IndexEntry { offset, position, max_at, appended: Timestamp::from_millis(offset) }
    }

    #[test]
    fn finds_stretches_by_offset_and_time() {
        let mut index = Index::default();
        index.push(entry(0, 0, 5));
        index.push(entry(10, 100, 9));
        index.push(entry(20, STRIDE, 3));
        index.push(entry(30, 3 * STRIDE, 20));
        assert_eq!(index.locate(0), 0);
        assert_eq!(index.locate(19), 0);
        assert_eq!(index.locate(25), STRIDE);
        assert_eq!(index.locate(99), 3 * STRIDE);
        assert_eq!(index.locate_time(Timestamp::from_millis(9)).next(), Some(0));
        assert_eq!(index.locate_time(Timestamp::from_millis(10)).next(), Some(3 * STRIDE));
        assert_eq!(index.locate_time(Timestamp::from_millis(21)).next(), None);
        assert_eq!(index.appended(100), Some(Timestamp::from_millis(10)));

        let (read, covers) = Index::decode(&index.encode(77)).unwrap();
        assert_eq!((&read, covers), (&index, 77));
        assert!(Index::decode(&index.encode(77)[1..]).is_none());
        assert_eq!(index.truncate(STRIDE + 1), STRIDE);
        assert_eq!(index.locate(99), 0);
    }
}
