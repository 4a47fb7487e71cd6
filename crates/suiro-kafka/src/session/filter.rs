//! What a reader of committed records may see of an answer: no markers, and nothing of
//! transactions that were aborted.

use bytes::{Bytes, BytesMut};
use std::collections::BTreeSet;
use suiro_core::batch::{BatchHeader, Marker, batches};
use suiro_core::{Offset, Result};

/// A transaction that was aborted: whose, and where it began in the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Aborted {
    pub(super) first: Offset,
    pub(super) producer: i64,
}

/// What of an answer may be seen.
pub(super) struct Seen {
    /// Whole batches.
    pub(super) batches: Bytes,
    /// The offset after everything that was looked at; `None` if not even one batch was whole.
    pub(super) next: Option<Offset>,
    /// The election in which the last batch was written.
    pub(super) epoch: i32,
}

/// Looks through `records`: batches one after another, of which the last may be cut off.
pub(super) fn committed(records: &Bytes, mut aborted: Vec<Aborted>) -> Result<Seen> {
    aborted.sort();
    let mut aborted = aborted.into_iter().peekable();
    let mut dead = BTreeSet::new();
    let (mut runs, mut at) = (Vec::<(usize, usize)>::new(), 0);
    let (mut next, mut epoch) = (None, -1);
    while let Some(header) = BatchHeader::parse(&records[at..])? {
        let end = at + header.length;
        while let Some(begun) = aborted.next_if(|begun| begun.first < header.next_offset()) {
            dead.insert(begun.producer);
        }
        let producer = header.producer.id;
        if header.control {
            let batch = batches(records.slice(at..end)).next().transpose()?;
            let marker = batch.map(|batch| batch.marker()).transpose()?.flatten();
            if marker == Some(Marker::Abort) {
                dead.remove(&producer);
            }
        } else if !(header.transactional && dead.contains(&producer))
            || cfg!(suiro_mutant = "aborted_batch_delivered")
        {
            match runs.last_mut() {
                Some(last) if last.1 == at => last.1 = end,
                _ => runs.push((at, end)),
            }
        }
        (next, epoch, at) = (Some(header.next_offset()), header.leader_epoch, end);
    }
    let batches = match runs[..] {
        [] => Bytes::new(),
        [(start, end)] => records.slice(start..end),
        _ => {
            let length = runs.iter().map(|(start, end)| end - start).sum();
            let mut together = BytesMut::with_capacity(length);
            runs.iter().for_each(|(start, end)| {
                together.extend_from_slice(&records[*start..*end]);
            });
            together.freeze()
        }
    };
    Ok(Seen { batches, next, epoch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use suiro_core::batch::{
        BatchWriter, Compression, Producer, set_base_offset, write_marker,
    };
    use suiro_core::{Headers, Timestamp};

    /// A partition as a broker keeps it, and what a reader should see of it.
    #[derive(Default)]
    struct Log {
        bytes: Vec<u8>,
        next: Offset,
        open: Vec<(i64, Offset)>,
        aborted: Vec<Aborted>,
        /// Values by offset, with the producer while its transaction is open.
        rows: Vec<(Offset, u8, i64)>,
    }

    fn producer(id: i64, transactional: bool) -> Producer {
        Producer { id, epoch: 0, sequence: 0, transactional }
    }

    impl Log {
        fn write(&mut self, id: i64, transactional: bool, count: usize, value: u8) {
            let writer = BatchWriter::new(Compression::None);
            let mut writer = writer.with_producer(producer(id, transactional));
            for _ in 0..count {
                writer.push(Timestamp::ZERO, None, Some(&[value]), &Headers::NONE);
            }
            let mut batch = writer.finish().unwrap().to_vec();
            set_base_offset(&mut batch, self.next);
            self.bytes.extend(batch);
            if transactional && !self.open.iter().any(|(open, _)| *open == id) {
                self.open.push((id, self.next));
            }
            for _ in 0..count {
                self.rows.push((self.next, value, id));
                self.next += 1;
            }
        }

        fn end(&mut self, id: i64, marker: Marker) {
            let Some(place) = self.open.iter().position(|(open, _)| *open == id) else {
                return;
            };
            let (_, first) = self.open.remove(place);
            let at = self.bytes.len();
            write_marker(&mut self.bytes, producer(id, true), Timestamp::ZERO, marker, 0);
            set_base_offset(&mut self.bytes[at..], self.next);
            self.next += 1;
            if marker == Marker::Abort {
                self.rows.retain(|(offset, _, whose)| *whose != id || *offset < first);
                self.aborted.push(Aborted { first, producer: id });
            }
        }
    }

    proptest! {
        #[test]
        fn only_what_is_committed_is_seen(
            deeds in prop::collection::vec((0..4_u8, 1..4_i64, 1..4_usize), 0..40),
            cut in 0..200_usize,
        ) {
            let mut log = Log::default();
            for (number, (deed, id, count)) in deeds.into_iter().enumerate() {
                match deed {
                    0 => log.write(100 + id, false, count, number as u8),
                    1 => log.write(id, true, count, number as u8),
                    2 => log.end(id, Marker::Commit),
                    _ => log.end(id, Marker::Abort),
                }
            }
            // What is open is behind the last stable offset, and not in an answer.
            for id in 1..4 {
                log.end(id, Marker::Abort);
            }
            let whole = Bytes::from(log.bytes.clone());
            let bytes = whole.slice(..whole.len().saturating_sub(cut));
            let seen = committed(&bytes, log.aborted.clone()).unwrap();
            let next = seen.next.unwrap_or(0);
            prop_assert!(cut > 0 || next == log.next);
            let mut rows = Vec::new();
            for batch in batches(seen.batches) {
                for record in batch.unwrap().records().unwrap().iter() {
                    let record = record.unwrap();
                    rows.push((record.offset, record.value.unwrap()[0]));
                }
            }
            let expected = log.rows.iter().filter(|row| row.0 < next);
            let expected: Vec<_> = expected.map(|row| (row.0, row.1)).collect();
            prop_assert_eq!(rows, expected);
        }
    }
}
