//! Records in, one encoded batch out.

use super::header::{BatchHeader, HEADER_LEN};
use super::varint::{put, size, zigzag};
use super::{Compression, Producer};
use crate::{Error, Headers, Result, Timestamp};
use bytes::Bytes;
use std::fmt;

/// Zigzagged -1, the length of an absent key or value.
const ABSENT: u64 = 1;

/// The most bytes that are copied at once.
const PIECE: usize = 2048;

/// Writes records into one growing buffer, and the buffer as a batch.
///
/// The batch begins at offset 0 ([`set_base_offset`](super::set_base_offset) moves it) and its
/// leader epoch is -1. A finished writer is empty and can be used again; the sequence of its
/// producer, if it has one, has moved on by the records written.
///
/// ```
/// use suiro_core::batch::{BatchWriter, Compression};
/// use suiro_core::{Headers, Timestamp};
///
/// let mut writer = BatchWriter::new(Compression::None);
/// writer.push(Timestamp::from_millis(7), Some(b"ann"), Some(b"1"), &Headers::NONE);
/// assert_eq!(writer.len(), 1);
///
/// let mut log = Vec::new();
/// writer.finish_into(&mut log)?;
/// assert!(writer.is_empty());
/// writer.finish_into(&mut log)?;
/// assert_eq!(log.len(), 61 + 11);
/// # Ok::<(), suiro_core::Error>(())
/// ```
pub struct BatchWriter {
    compression: Compression,
    producer: Producer,
    control: bool,
    /// Room for the header and then the records; bytes from `end` on mean nothing. It is kept
    /// initialised because growing a vector record by record costs more than the record.
    buffer: Vec<u8>,
    end: usize,
    count: usize,
    base_at: i64,
    max_at: i64,
}

impl BatchWriter {
    /// A writer of batches whose records are compressed as `compression` says, from nobody in
    /// particular.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            producer: Producer::NONE,
            control: false,
            buffer: Vec::new(),
            end: HEADER_LEN,
            count: 0,
            base_at: 0,
            max_at: i64::MIN,
        }
    }

    /// The writer, for batches of `producer`.
    #[must_use]
    pub fn with_producer(self, producer: Producer) -> Self {
        Self { producer, ..self }
    }

    /// The writer, for control batches.
    pub(super) fn control(self) -> Self {
        Self { control: true, ..self }
    }

    /// Adds a record. A batch beyond 2 GiB is refused when it is finished, not here.
    #[inline]
    pub fn push(
        &mut self,
        at: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) {
        let at = at.as_millis();
        if self.count == 0 {
            self.base_at = at;
        }
        self.max_at = self.max_at.max(at);
        // Times that are too far apart for their difference wrap around, here as in the reader.
        let at_delta = zigzag(at.wrapping_sub(self.base_at));
        let offset_delta = zigzag(self.count as i64);
        let header_bytes = if headers.is_empty() { 1 } else { headers_size(headers) };
        let body = 1
            + size(at_delta)
            + size(offset_delta)
            + bytes_size(key)
            + bytes_size(value)
            + header_bytes;
        let length = zigzag(body as i64);
        let whole = size(length) + body;

        let to = self.room(whole);
        let mut end = put(to, 0, length);
        to[end] = 0;
        end = put(to, end + 1, at_delta);
        end = put(to, end, offset_delta);
        end = put_bytes(to, end, key);
        end = put_bytes(to, end, value);
        if headers.is_empty() {
            to[end] = 0;
        } else {
            put_headers(to, end, headers);
        }
        self.end += whole;
        self.count += 1;
    }

    /// How many records are waiting.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no record is waiting.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of the batch so far, header included, before compression.
    pub fn size(&self) -> usize {
        self.end
    }

    /// Appends the batch to `out` and empties the writer, which keeps its memory; without
    /// records it does nothing.
    ///
    /// An error leaves the writer and `out` as they were. It is of kind `Invalid`: the batch
    /// is too large, or its compression is not built in.
    pub fn finish_into(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let start = out.len();
        if let Err(error) = self.encode(out, start) {
            out.truncate(start);
            return Err(error);
        }
        self.producer = self.producer.after(self.count);
        self.end = HEADER_LEN;
        self.count = 0;
        self.max_at = i64::MIN;
        Ok(())
    }

    /// The batch on its own; see [`BatchWriter::finish_into`]. Empty without records.
    pub fn finish(&mut self) -> Result<Bytes> {
        let room = match self.compression {
            _ if self.is_empty() => 0,
            Compression::None => self.size(),
            _ => self.size() / 2,
        };
        let mut out = Vec::with_capacity(room);
        self.finish_into(&mut out)?;
        Ok(Bytes::from(out))
    }

    fn encode(&self, out: &mut Vec<u8>, start: usize) -> Result<()> {
        if i32::try_from(self.end).is_err() {
            return Err(Error::invalid("batch is larger than 2 GiB").with("bytes", self.end));
        }
        if self.compression == Compression::None {
            append(out, &self.buffer[..self.end]);
        } else {
            out.extend_from_slice(&[0; HEADER_LEN]);
            self.compression.compress(&self.buffer[HEADER_LEN..self.end], out)?;
        }
        let header = BatchHeader {
            base_offset: 0,
            length: 0,
            leader_epoch: -1,
            crc: 0,
            compression: self.compression,
            transactional: self.producer.transactional,
            control: self.control,
            append_time: false,
            last_offset_delta: (self.count - 1) as i32,
            base_at: Timestamp::from_millis(self.base_at),
            max_at: Timestamp::from_millis(self.max_at),
            producer: self.producer,
            count: self.count,
        };
        header.seal(&mut out[start..])
    }

    /// The next `needed` bytes of the buffer.
    #[inline]
    fn room(&mut self, needed: usize) -> &mut [u8] {
        let end = self.end + needed;
        if end > self.buffer.len() {
            self.grow(end);
        }
        &mut self.buffer[self.end..end]
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.buffer.resize(needed.max(self.buffer.len() * 2).max(1024), 0);
    }
}

impl fmt::Debug for BatchWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriter")
            .field("compression", &self.compression)
            .field("producer", &self.producer)
            .field("len", &self.len())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// Appends `bytes` to `out` in pieces. From 2 KiB on the C library may leave a copy to one
/// processor instruction, which on AMD's processors is twenty times slower where the two
/// addresses lie unluckily: more than all the rest of writing a record.
fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    for piece in bytes.chunks(PIECE) {
        out.extend_from_slice(piece);
    }
}

#[inline]
fn bytes_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| size(zigzag(bytes.len() as i64)) + bytes.len())
}

#[inline]
fn put_bytes(to: &mut [u8], at: usize, bytes: Option<&[u8]>) -> usize {
    let Some(bytes) = bytes else { return put(to, at, ABSENT) };
    let start = put(to, at, zigzag(bytes.len() as i64));
    let end = start + bytes.len();
    to[start..end].copy_from_slice(bytes);
    end
}

#[inline(never)]
fn headers_size(headers: &Headers) -> usize {
    let each = headers.iter().map(|header| {
        bytes_size(Some(header.key.as_bytes())) + bytes_size(header.value.as_deref())
    });
    size(zigzag(headers.len() as i64)) + each.sum::<usize>()
}

#[inline(never)]
fn put_headers(to: &mut [u8], at: usize, headers: &Headers) {
    let mut end = put(to, at, zigzag(headers.len() as i64));
    for header in headers.iter() {
        end = put_bytes(to, end, Some(header.key.as_bytes()));
        end = put_bytes(to, end, header.value.as_deref());
    }
}
