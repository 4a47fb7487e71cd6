//! What is in a partition: batches as brokers keep them, who wrote them, and what became of
//! their transactions.

use super::codes;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use suiro_core::batch::{BatchHeader, Marker, Producer, set_base_offset, write_marker};
use suiro_core::{Offset, Timestamp};

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its transaction has not ended.
    Open,
    Committed,
    Aborted,
    /// It says how a transaction ended.
    Marker,
}

/// A batch in its place.
pub(crate) struct Entry {
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    pub(crate) bytes: Bytes,
    pub(crate) producer: i64,
    pub(crate) fate: Fate,
}

/// A transaction that was aborted: whose, where it began, and where its marker is.
#[derive(Clone, Copy)]
pub(crate) struct Aborted {
    pub(crate) producer: i64,
    pub(crate) first: Offset,
    pub(crate) marker: Offset,
}

/// What is known of who writes.
#[derive(Default)]
struct Writer {
    epoch: i16,
    /// First and last sequence number and base offset of the last batches of this epoch.
    last: VecDeque<(i32, i32, Offset)>,
    /// Where its open transaction begins.
    open: Option<Offset>,
}

/// So many batches of a producer are remembered.
const REMEMBERED: usize = 5;

/// A partition's log.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    pub(crate) start: Offset,
    pub(crate) next: Offset,
    pub(crate) aborted: Vec<Aborted>,
    writers: BTreeMap<i64, Writer>,
}

/// What became of an append.
pub(crate) enum Appended {
    New(Offset),
    /// It was there already.
    Known(Offset),
}

impl Log {
    /// Up to where everything is decided.
    pub(crate) fn stable(&self) -> Offset {
        self.writers.values().filter_map(|writer| writer.open).min().unwrap_or(self.next)
    }

    /// Whether a producer has a transaction open here.
    pub(crate) fn has_open(&self, producer: i64, epoch: i16) -> bool {
        let writer = self.writers.get(&producer);
        writer.is_some_and(|writer| writer.epoch == epoch && writer.open.is_some())
    }

    /// Takes a batch of who counts its batches, if epoch and sequence are right.
    pub(crate) fn append(
        &mut self,
        batch: &[u8],
        leader_epoch: i32,
        v2: bool,
    ) -> Result<Appended, i16> {
        let header = BatchHeader::parse(batch).ok().flatten().expect("whole batches are sent");
        let Producer { id, epoch, sequence, transactional } = header.producer;
        let last = sequence + header.count as i32 - 1;
        let is_new = !self.writers.contains_key(&id);
        let writer = self.writers.entry(id).or_default();
        if !is_new && epoch < writer.epoch {
            return Err(codes::INVALID_PRODUCER_EPOCH);
        }
        let is_known = |it: &&(i32, i32, Offset)| it.0 == sequence && it.1 == last;
        if let Some((_, _, base)) = writer.last.iter().find(is_known)
            && epoch == writer.epoch
        {
            return Ok(Appended::Known(*base));
        }
        let expected = match writer.last.back() {
            _ if is_new && !v2 => sequence,
            _ if is_new || epoch != writer.epoch => 0,
            Some((_, last, _)) => last + 1,
            None => 0,
        };
        if sequence != expected {
            if is_new {
                self.writers.remove(&id);
            }
            return Err(codes::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        let base = self.next;
        if epoch != writer.epoch {
            (writer.epoch, writer.last) = (epoch, VecDeque::new());
        }
        writer.last.push_back((sequence, last, base));
        if writer.last.len() > REMEMBERED {
            writer.last.pop_front();
        }
        let fate = match transactional {
            true => Fate::Open,
            false => Fate::Committed,
        };
        if transactional {
            writer.open.get_or_insert(base);
        }
        self.push(batch.to_vec(), header.count, id, (fate, leader_epoch));
        Ok(Appended::New(base))
    }

    /// Takes a batch that is part of no transaction, of nobody in particular.
    pub(crate) fn append_plain(&mut self, batch: &[u8], leader_epoch: i32) {
        let header = BatchHeader::parse(batch).ok().flatten().expect("whole batches are sent");
        self.push(batch.to_vec(), header.count, -1, (Fate::Committed, leader_epoch));
    }

    /// Takes the word of how a transaction ended.
    pub(crate) fn end(&mut self, (id, epoch): (i64, i16), committed: bool, leader_epoch: i32) {
        let writer = self.writers.entry(id).or_default();
        if epoch < writer.epoch {
            return;
        }
        if epoch != writer.epoch {
            (writer.epoch, writer.last) = (epoch, VecDeque::new());
        }
        let first = writer.open.take();
        let fate = if committed { Fate::Committed } else { Fate::Aborted };
        if let Some(first) = first {
            let own = self.entries.iter_mut().filter(|entry| entry.base >= first);
            let own = own.filter(|entry| entry.producer == id && entry.fate == Fate::Open);
            own.for_each(|entry| entry.fate = fate);
            if !committed {
                self.aborted.push(Aborted { producer: id, first, marker: self.next });
            }
        }
        let (mut bytes, marker) =
            (Vec::new(), if committed { Marker::Commit } else { Marker::Abort });
        let producer = Producer { id, epoch, sequence: -1, transactional: true };
        write_marker(&mut bytes, producer, Timestamp::ZERO, marker, 0);
        self.push(bytes, 1, id, (Fate::Marker, leader_epoch));
    }

    fn push(
        &mut self,
        mut bytes: Vec<u8>,
        count: usize,
        producer: i64,
        (fate, epoch): (Fate, i32),
    ) {
        let base = self.next;
        set_base_offset(&mut bytes, base);
        // The checksum covers neither the offset nor the election.
        bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
        self.next += count as Offset;
        let (next, bytes) = (self.next, Bytes::from(bytes));
        self.entries.push(Entry { base, next, bytes, producer, fate });
    }

    /// Lets go of what is before an offset.
    pub(crate) fn trim(&mut self, before: Offset) {
        self.start = self.start.max(before.min(self.next));
    }
}
