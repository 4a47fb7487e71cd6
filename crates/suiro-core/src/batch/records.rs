//! The records of one batch, where they lie.

use super::headers::{HeaderViews, take_headers};
use super::varint::{take_bytes, take_i32, take_i64};
use super::{BatchHeader, Compression, header};
use crate::{Error, Offset, Result, Timestamp};
use bytes::Bytes;

/// The records of one batch, decompressed.
///
/// ```
/// use suiro_core::batch::{BatchWriter, Compression, batches};
/// use suiro_core::{Headers, Timestamp};
///
/// let mut writer = BatchWriter::new(Compression::None);
/// writer.push(Timestamp::ZERO, None, Some(b"kept"), &Headers::NONE);
/// let batch = batches(writer.finish()?).next().expect("one batch was written")?;
///
/// let records = batch.records()?;
/// let record = records.iter().next().expect("one record was written")?;
/// let value = records.payload().slice_ref(record.value.expect("it has a value"));
/// drop((batch, records));
/// assert_eq!(value, "kept");
/// # Ok::<(), suiro_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    payload: Bytes,
}

impl Records {
    pub(super) fn new(header: &BatchHeader, bytes: Bytes) -> Result<Self> {
        let place = |error: Error| error.with("base_offset", header.base_offset);
        let payload = match header.compression {
            Compression::None => bytes,
            // Compaction may leave a batch without records: then there is nothing compressed.
            _ if header.count == 0 && bytes.is_empty() => bytes,
            compression => Bytes::from(compression.decompress(&bytes).map_err(place)?),
        };
        if !header::fits(header.count, payload.len()) {
            return Err(place(
                Error::corrupt("batch has more records than can be in it")
                    .with("count", header.count)
                    .with("bytes", payload.len()),
            ));
        }
        Ok(Self { header: *header, payload })
    }

    /// The records in order of their offsets. Damage is an error of kind `Corrupt` that names
    /// the batch, the record and its byte in the payload, and the last item.
    #[inline]
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter {
            header: &self.header,
            rest: &self.payload,
            length: self.payload.len(),
            left: self.header.count,
            next_delta: 0,
        }
    }

    /// The encoded records; keys and values are slices of it
    /// ([`Bytes::slice_ref`] keeps one).
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// How many records there are.
    pub fn count(&self) -> usize {
        self.header.count
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<RecordView<'a>>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// One record, borrowed from its [`Records`].
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its number in the partition.
    pub offset: Offset,
    /// Its time. A foreign producer may have sent a negative one.
    pub at: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: HeaderViews<'a>,
}

/// The iterator that [`Records::iter`] gives.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: &'a BatchHeader,
    rest: &'a [u8],
    length: usize,
    left: usize,
    /// The smallest offset that the next record may have, counted from the base offset.
    next_delta: i64,
}

impl<'a> RecordIter<'a> {
    #[inline(always)]
    fn take(&mut self) -> Option<RecordView<'a>> {
        let mut rest = self.rest;
        let length = usize::try_from(take_i32(&mut rest)?).ok()?;
        let (record, after) = rest.split_at_checked(length)?;
        // The attributes of a record have no meaning yet.
        let (_, mut record) = record.split_first()?;
        let at_delta = take_i64(&mut record)?;
        let delta = i64::from(take_i32(&mut record)?);
        if delta < self.next_delta || delta > i64::from(self.header.last_offset_delta) {
            return None;
        }
        let key = take_bytes(&mut record)?;
        let value = take_bytes(&mut record)?;
        let headers = take_headers(&mut record)?;
        let at = if self.header.append_time {
            self.header.max_at
        } else {
            // Times that are too far apart for their difference wrap around, here as in the
            // writer.
            Timestamp::from_millis(self.header.base_at.as_millis().wrapping_add(at_delta))
        };
        self.rest = after;
        self.left -= 1;
        self.next_delta = delta + 1;
        Some(RecordView { offset: self.header.base_offset + delta, at, key, value, headers })
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self, message: &str) -> Error {
        let error = Error::corrupt(message)
            .with("base_offset", self.header.base_offset)
            .with("record", self.header.count - self.left)
            .with("position", self.length - self.rest.len());
        self.rest = &[];
        self.left = 0;
        error
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordView<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let ended = self.rest.is_empty();
            return (!ended).then(|| Err(self.fail("batch goes on after its last record")));
        }
        Some(match self.take() {
            Some(record) => Ok(record),
            None => Err(self.fail("record cannot be read")),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.left + usize::from(!self.rest.is_empty());
        (self.left.min(1), Some(most))
    }
}

impl std::iter::FusedIterator for RecordIter<'_> {}
