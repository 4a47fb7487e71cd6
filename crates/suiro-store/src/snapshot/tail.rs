//! What has changed in a changelog since the last snapshot, by key.

use super::changelog::Changelog;
use super::manifest::Run;
use super::place::Place;
use super::run::RunWriter;
use super::snapshotter::Pause;
use std::collections::{BTreeMap, VecDeque};
use suiro_core::batch::{RecordView, batches};
use suiro_core::{Headers, Offset, Result, Timestamp, TopicPartition};

/// How many bytes are asked for at a time.
const READ_BYTES: usize = 1 << 20;

/// How many records are remembered to know the log by.
const SEEN: usize = 16;

/// What a row costs beside its bytes, about.
const ROW_OVERHEAD: usize = 96;

/// The last record of a key, out of its batch: a batch that is kept for one record would keep
/// the others.
struct Last {
    value: Option<Box<[u8]>>,
    at: Timestamp,
    headers: Headers,
}

/// The last record of each key in a stretch of a changelog.
pub(crate) struct Tail {
    rows: BTreeMap<Box<[u8]>, Last>,
    bytes: usize,
    /// The offset after the stretch.
    pub(crate) next: Offset,
    /// How many records there were.
    pub(crate) records: u64,
    pub(crate) seen: VecDeque<(Offset, u32)>,
}

impl Tail {
    /// Reads from `from` to `end`, or until there is much in memory; nothing if it was asked to
    /// stop.
    pub(crate) fn gather(
        log: &mut dyn Changelog,
        (place, of): (&Place, &TopicPartition),
        (from, end): (Offset, Offset),
        pause: &mut Pause<'_>,
    ) -> Result<Option<Self>> {
        let (rows, seen) = (BTreeMap::new(), VecDeque::with_capacity(SEEN));
        let mut tail = Self { rows, bytes: 0, next: from, records: 0, seen };
        while tail.next < end && tail.bytes < place.tuning.gather_bytes {
            let read = log.read(of, tail.next, READ_BYTES)?;
            for batch in batches(read.batches) {
                for record in batch?.records()?.iter() {
                    tail.take(&record?)?;
                }
            }
            if read.next <= tail.next {
                break;
            }
            tail.next = read.next;
            if !pause() {
                return Ok(None);
            }
        }
        Ok(Some(tail))
    }

    fn take(&mut self, record: &RecordView<'_>) -> Result<()> {
        let Some(key) = record.key.filter(|_| record.offset >= self.next) else {
            return Ok(());
        };
        self.records += 1;
        if self.seen.len() == SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back((record.offset, checksum(record)));
        let (value, headers) = (record.value.map(Box::from), record.headers.to_headers()?);
        let last = Last { value, at: record.at, headers };
        self.bytes += record.value.map_or(0, <[u8]>::len);
        match self.rows.get_mut(key) {
            Some(old) => {
                self.bytes -= old.value.as_ref().map_or(0, |value| value.len());
                *old = last;
            }
            None => {
                self.bytes += key.len() + ROW_OVERHEAD;
                self.rows.insert(key.into(), last);
            }
        }
        Ok(())
    }

    /// Writes it as a run; without tombstones if there is nothing below that they could hide.
    pub(crate) fn write(
        self,
        place: &Place,
        of: &TopicPartition,
        lowest: bool,
        pause: &mut Pause<'_>,
    ) -> Result<Option<Run>> {
        let mut writer = RunWriter::new(place, of);
        for (key, Last { value, at, headers }) in self.rows {
            if lowest && value.is_none() {
                continue;
            }
            let filled = writer.push(&key, value.as_deref(), at, &headers)?;
            if filled && !pause() {
                return Ok(None);
            }
        }
        writer.finish().map(Some)
    }
}

/// What a record is known by.
pub(crate) fn checksum(record: &RecordView<'_>) -> u32 {
    let crc = crc32c::crc32c(&record.at.as_millis().to_be_bytes());
    let crc = crc32c::crc32c_append(crc, record.key.unwrap_or_default());
    let crc = crc32c::crc32c_append(crc, &[u8::from(record.value.is_some())]);
    crc32c::crc32c_append(crc, record.value.unwrap_or_default())
}
