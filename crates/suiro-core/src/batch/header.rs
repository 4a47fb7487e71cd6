//! The fixed header of a batch, and the checksum behind it.

use super::{Compression, Producer};
use crate::{Error, Offset, Result, Timestamp};

/// How many bytes the header of a batch takes.
pub const HEADER_LEN: usize = 61;

/// The fewest bytes that a record takes: its length, five numbers and its attributes.
pub(super) const SMALLEST_RECORD: usize = 7;

/// How many bytes come before those that the length field counts.
const PREFIX: usize = 12;

const LENGTH: usize = 8;
const LEADER_EPOCH: usize = 12;
const MAGIC: usize = 16;
const CRC: usize = 17;
/// Where the bytes that the checksum covers begin.
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_AT: usize = 27;
const MAX_AT: usize = 35;
const PRODUCER_ID: usize = 43;
const PRODUCER_EPOCH: usize = 51;
const SEQUENCE: usize = 53;
const COUNT: usize = 57;

const COMPRESSION_BITS: i16 = 0b111;
const APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;

/// The fixed header of a batch, read without touching the records.
///
/// ```
/// use suiro_core::batch::{BatchHeader, BatchWriter, Compression, set_base_offset};
/// use suiro_core::{Headers, Timestamp};
///
/// let mut writer = BatchWriter::new(Compression::None);
/// writer.push(Timestamp::from_millis(7), None, Some(b"one"), &Headers::NONE);
/// let mut batch = Vec::new();
/// writer.finish_into(&mut batch)?;
/// set_base_offset(&mut batch, 40);
///
/// let header = BatchHeader::parse(&batch)?.expect("the batch is whole");
/// assert_eq!((header.base_offset, header.next_offset(), header.count), (40, 41, 1));
/// assert_eq!(header.length, batch.len());
/// assert_eq!(BatchHeader::parse(&batch[..batch.len() - 1])?, None);
/// # Ok::<(), suiro_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset from which the records count theirs.
    pub base_offset: Offset,
    /// The bytes of the whole batch, header included.
    pub length: usize,
    /// The epoch of the leader that wrote the batch; -1 if it is not known.
    pub leader_epoch: i32,
    /// The CRC-32C of everything behind it.
    pub crc: u32,
    /// How the records are compressed.
    pub compression: Compression,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// Whether the batch holds a marker instead of data.
    pub control: bool,
    /// Whether all records carry [`BatchHeader::max_at`], the time at which the log took them.
    pub append_time: bool,
    /// The offset of the last record, counted from the base offset.
    pub last_offset_delta: i32,
    /// The time from which the records count theirs.
    pub base_at: Timestamp,
    /// The largest time of a record.
    pub max_at: Timestamp,
    /// Who wrote the batch.
    pub producer: Producer,
    /// How many records there are; a compacted batch may have fewer than its offsets say.
    pub count: usize,
}

impl BatchHeader {
    /// Reads the header of the batch at the start of `bytes`: `None` if the batch is cut off,
    /// an error of kind `Corrupt` if what is there is no batch.
    ///
    /// The checksum is not looked at; see [`check_crc`].
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = i32::from_be_bytes(field(prefix, LENGTH));
        if length < (HEADER_LEN - PREFIX) as i32 {
            return Err(Error::corrupt("batch length is too small").with("length", length));
        }
        if let Some(&magic) = bytes.get(MAGIC)
            && magic != 2
        {
            return Err(Error::corrupt("batch format is not version 2").with("magic", magic));
        }
        let length = PREFIX + length as usize;
        if bytes.len() < length {
            return Ok(None);
        }
        Self::parse_fixed(&field(bytes, 0), length).map(Some)
    }

    fn parse_fixed(bytes: &[u8; HEADER_LEN], length: usize) -> Result<Self> {
        let attributes = i16::from_be_bytes(field(bytes, ATTRIBUTES));
        let transactional = attributes & TRANSACTIONAL_BIT != 0;
        let count = i32::from_be_bytes(field(bytes, COUNT));
        let header = Self {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            length,
            leader_epoch: i32::from_be_bytes(field(bytes, LEADER_EPOCH)),
            crc: u32::from_be_bytes(field(bytes, CRC)),
            compression: Compression::from_id(attributes & COMPRESSION_BITS)?,
            transactional,
            control: attributes & CONTROL_BIT != 0,
            append_time: attributes & APPEND_TIME_BIT != 0,
            last_offset_delta: i32::from_be_bytes(field(bytes, LAST_OFFSET_DELTA)),
            base_at: Timestamp::from_millis(i64::from_be_bytes(field(bytes, BASE_AT))),
            max_at: Timestamp::from_millis(i64::from_be_bytes(field(bytes, MAX_AT))),
            producer: Producer {
                id: i64::from_be_bytes(field(bytes, PRODUCER_ID)),
                epoch: i16::from_be_bytes(field(bytes, PRODUCER_EPOCH)),
                sequence: i32::from_be_bytes(field(bytes, SEQUENCE)),
                transactional,
            },
            count: usize::try_from(count).map_err(|_| {
                Error::corrupt("batch has a negative count").with("count", count)
            })?,
        };
        header.check()?;
        Ok(header)
    }

    /// Refuses numbers that no batch can have.
    fn check(&self) -> Result<()> {
        let last = i64::from(self.last_offset_delta);
        if self.base_offset < 0 || last < 0 || self.base_offset > i64::MAX - 1 - last {
            return Err(Error::corrupt("batch has impossible offsets")
                .with("base_offset", self.base_offset)
                .with("last_offset_delta", last));
        }
        let room = self.length - HEADER_LEN;
        let fits = self.compression != Compression::None || fits(self.count, room);
        if !fits || self.count as i64 > last + 1 {
            return Err(Error::corrupt("batch has more records than can be in it")
                .with("count", self.count)
                .with("bytes", room)
                .with("last_offset_delta", last));
        }
        Ok(())
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta) + 1
    }

    /// Writes the header over the first bytes of `batch`, whose records are in place, and
    /// computes the checksum. Length and checksum of `self` are not used.
    pub(super) fn seal(&self, batch: &mut [u8]) -> Result<()> {
        let length = batch.len() - PREFIX;
        let count = i32::try_from(self.count).ok();
        let (Ok(length), Some(count)) = (i32::try_from(length), count) else {
            return Err(Error::invalid("batch is larger than 2 GiB").with("bytes", batch.len()));
        };
        let mut attributes = self.compression.id();
        for (bit, set) in [
            (APPEND_TIME_BIT, self.append_time),
            (TRANSACTIONAL_BIT, self.transactional),
            (CONTROL_BIT, self.control),
        ] {
            attributes |= if set { bit } else { 0 };
        }
        set_base_offset(batch, self.base_offset);
        put(batch, LENGTH, length.to_be_bytes());
        put(batch, LEADER_EPOCH, self.leader_epoch.to_be_bytes());
        put(batch, MAGIC, [2]);
        put(batch, ATTRIBUTES, attributes.to_be_bytes());
        put(batch, LAST_OFFSET_DELTA, self.last_offset_delta.to_be_bytes());
        put(batch, BASE_AT, self.base_at.as_millis().to_be_bytes());
        put(batch, MAX_AT, self.max_at.as_millis().to_be_bytes());
        put(batch, PRODUCER_ID, self.producer.id.to_be_bytes());
        put(batch, PRODUCER_EPOCH, self.producer.epoch.to_be_bytes());
        put(batch, SEQUENCE, self.producer.sequence.to_be_bytes());
        put(batch, COUNT, count.to_be_bytes());
        set_crc(batch);
        Ok(())
    }
}

/// Whether `count` records can be in `room` bytes.
pub(super) fn fits(count: usize, room: usize) -> bool {
    count <= room / SMALLEST_RECORD
}

/// Gives the batch at the start of `batch` its place in a partition. The checksum does not
/// cover the offset and stays as it is.
///
/// # Panics
///
/// If `batch` is shorter than 8 bytes.
pub fn set_base_offset(batch: &mut [u8], offset: Offset) {
    put(batch, 0, offset.to_be_bytes());
}

/// Says who writes the batch, which is whole and alone in `batch`, and where it is in the
/// producer's sequence. The checksum is computed anew.
///
/// ```
/// use suiro_core::batch::{BatchWriter, Compression, Producer, batches, set_producer};
/// use suiro_core::{Headers, Timestamp};
///
/// let mut writer = BatchWriter::new(Compression::None);
/// writer.push(Timestamp::ZERO, None, Some(b"one"), &Headers::NONE);
/// let mut batch = writer.finish()?.to_vec();
/// let producer = Producer { id: 7, epoch: 1, sequence: 40, transactional: true };
/// set_producer(&mut batch, producer);
///
/// let read = batches(batch.into()).next().expect("a batch was written")?;
/// assert_eq!(read.header().producer, producer);
/// # Ok::<(), suiro_core::Error>(())
/// ```
///
/// # Panics
///
/// If `batch` is shorter than a header.
pub fn set_producer(batch: &mut [u8], producer: Producer) {
    let attributes = i16::from_be_bytes(field(batch, ATTRIBUTES)) & !TRANSACTIONAL_BIT;
    let bit = if producer.transactional { TRANSACTIONAL_BIT } else { 0 };
    put(batch, ATTRIBUTES, (attributes | bit).to_be_bytes());
    put(batch, PRODUCER_ID, producer.id.to_be_bytes());
    put(batch, PRODUCER_EPOCH, producer.epoch.to_be_bytes());
    put(batch, SEQUENCE, producer.sequence.to_be_bytes());
    set_crc(batch);
}

/// Whether the batch at the start of `batch` is whole and fits its checksum.
///
/// ```
/// use suiro_core::batch::{BatchWriter, Compression, check_crc};
/// use suiro_core::{Headers, Timestamp};
///
/// let mut writer = BatchWriter::new(Compression::None);
/// writer.push(Timestamp::ZERO, None, Some(b"one"), &Headers::NONE);
/// let mut batch = writer.finish()?.to_vec();
/// assert!(check_crc(&batch));
/// batch[70] ^= 1;
/// assert!(!check_crc(&batch));
/// # Ok::<(), suiro_core::Error>(())
/// ```
pub fn check_crc(batch: &[u8]) -> bool {
    if batch.len() < HEADER_LEN {
        return false;
    }
    let length = i32::from_be_bytes(field(batch, LENGTH));
    let Ok(length) = usize::try_from(length) else { return false };
    batch
        .get(ATTRIBUTES..PREFIX + length)
        .is_some_and(|covered| crc32c::crc32c(covered) == crc(batch))
}

/// Computes the checksum of `batch`, which is a whole batch and nothing else.
pub(super) fn set_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES..]);
    put(batch, CRC, crc.to_be_bytes());
}

fn crc(batch: &[u8]) -> u32 {
    u32::from_be_bytes(field(batch, CRC))
}

#[inline]
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

#[inline]
fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn batch() -> Vec<u8> {
        let mut batch = vec![0; HEADER_LEN];
        // One record without key, value and headers.
        batch.extend([12, 0, 0, 0, 1, 1, 0]);
        let header = BatchHeader {
            base_offset: 5,
            length: batch.len(),
            leader_epoch: 3,
            crc: 0,
            compression: Compression::None,
            transactional: true,
            control: false,
            append_time: true,
            last_offset_delta: 0,
            base_at: Timestamp::from_millis(-2),
            max_at: Timestamp::from_millis(9),
            producer: Producer { id: 1, epoch: 2, sequence: 3, transactional: true },
            count: 1,
        };
        header.seal(&mut batch).unwrap();
        let read = BatchHeader::parse(&batch).unwrap().unwrap();
        assert_eq!(read, BatchHeader { crc: crc(&batch), ..header });
        batch
    }

    #[test]
    fn a_batch_that_is_cut_off_is_none() {
        let batch = batch();
        for cut in 0..batch.len() {
            assert_eq!(BatchHeader::parse(&batch[..cut]).unwrap(), None, "{cut}");
            assert!(!check_crc(&batch[..cut]));
        }
        assert!(check_crc(&batch));
        assert!(check_crc(&[&batch[..], &[1, 2, 3]].concat()));
    }

    #[test]
    fn nonsense_is_corrupt() {
        for (at, bytes) in [
            (LENGTH, &[0xff, 0xff, 0xff, 0xff][..]),
            (LENGTH, &[0, 0, 0, 48]),
            (MAGIC, &[1]),
            (ATTRIBUTES, &[0, 5]),
            (0, &[0xff]),
            (0, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            (LAST_OFFSET_DELTA, &[0xff, 0xff, 0xff, 0xff]),
            (COUNT, &[0xff, 0xff, 0xff, 0xff]),
            (COUNT, &[0, 0, 0, 2]),
        ] {
            let mut batch = batch();
            batch[at..at + bytes.len()].copy_from_slice(bytes);
            let error = BatchHeader::parse(&batch).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{at} {bytes:?}");
        }
    }

    #[test]
    fn a_batch_needs_not_hold_all_of_its_offsets() {
        let mut batch = batch();
        put(&mut batch, LAST_OFFSET_DELTA, 9_i32.to_be_bytes());
        assert_eq!(BatchHeader::parse(&batch).unwrap().unwrap().next_offset(), 15);
    }
}
