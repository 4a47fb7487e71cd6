//! From where a reader stands to the ends, piece by piece.

use super::decode::{Decoded, decode};
use super::{Reader, Received, at};
use crate::Start;
use std::vec;
use suiro_core::batch::{Batches, batches};
use suiro_core::{Error, Offset, Result};

/// The records up to the ends of the partitions, as [`Reader::iter_to_end`] found them.
///
/// ```
/// use suiro::{Log, Producer, Reader, Result, ToEnd, Topic};
///
/// const WORDS: Topic<u64, String> = Topic::json("words");
///
/// fn letters(words: ToEnd<'_, u64, String>) -> Result<usize> {
///     let lengths = words.map(|word| Ok(word?.value.map_or(0, |word| word.len())));
///     lengths.sum()
/// }
///
/// let log = Log::in_memory();
/// let mut words = Producer::open(&log, &WORDS)?;
/// words.create(1)?;
/// words.send(1, "tea".into(), 0)?;
/// words.send(2, "milk".into(), 0)?;
/// words.flush()?;
/// assert_eq!(letters(Reader::open(&log, &WORDS)?.iter_to_end()?)?, 7);
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct ToEnd<'a, K: 'static, V: 'static> {
    reader: &'a mut Reader<K, V>,
    /// The ends of the partitions, in the order of the cursors.
    ends: Vec<Offset>,
    /// The cursor that moves.
    index: usize,
    /// What is left of the last fetch, and where the next one goes on.
    fetched: Batches,
    next: Offset,
    /// What is left of the last batch, where it ends, and why it ends there.
    records: vec::IntoIter<Received<K, V>>,
    batch_end: Offset,
    failed: Option<Error>,
}

impl<K: 'static, V: 'static> std::fmt::Debug for ToEnd<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToEnd")
            .field("reader", &self.reader)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl<'a, K: 'static, V: 'static> ToEnd<'a, K, V> {
    pub(super) fn new(reader: &'a mut Reader<K, V>) -> Result<Self> {
        let ends = reader.offsets(Start::Latest)?;
        Ok(Self {
            reader,
            ends,
            index: 0,
            fetched: batches(bytes::Bytes::new()),
            next: 0,
            records: Vec::new().into_iter(),
            batch_end: 0,
            failed: None,
        })
    }

    /// Gets a further batch or fetch ready; no, if the ends are reached.
    fn advance(&mut self) -> Result<bool> {
        while let Some(end) = self.ends.get(self.index).copied() {
            let (partition, cursor) = &mut self.reader.cursors[self.index];
            *cursor = self.batch_end.min(end).max(*cursor);
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if let Some(batch) = self.fetched.next() {
                let topic = &self.reader.topic;
                let read =
                    batch.and_then(|batch| decode(topic, partition, &batch, *cursor..end));
                let Decoded { records, next, failed } =
                    read.map_err(|error| at(partition, error))?;
                (self.records, self.batch_end, self.failed) =
                    (records.into_iter(), next, failed);
                return Ok(true);
            }
            *cursor = self.next.min(end).max(*cursor);
            let before = *cursor;
            if before < end {
                let fetched = self.reader.fetch(self.index)?;
                (self.next, self.fetched) = (fetched.next, batches(fetched.batches));
                // An answer without progress is an end.
                if self.next > before {
                    continue;
                }
            }
            self.index += 1;
            (self.next, self.batch_end) = (0, 0);
        }
        Ok(false)
    }
}

impl<K: 'static, V: 'static> Iterator for ToEnd<'_, K, V> {
    type Item = Result<Received<K, V>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.records.next() {
                self.reader.cursors[self.index].1 = record.offset + 1;
                return Some(Ok(record));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.ends.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl<K: 'static, V: 'static> std::iter::FusedIterator for ToEnd<'_, K, V> {}
