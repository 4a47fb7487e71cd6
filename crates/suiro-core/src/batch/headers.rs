//! The headers of one record, where they lie.

use super::varint::{take_bytes, take_i32};
use crate::{Error, Header, Headers, Result};
use bytes::Bytes;
use std::fmt;

/// The headers of a record, still encoded.
///
/// ```
/// use suiro_core::batch::{BatchWriter, Compression, batches};
/// use suiro_core::{Headers, Timestamp};
///
/// let headers: Headers = [("trace", "7f")].into_iter().collect();
/// let mut writer = BatchWriter::new(Compression::None);
/// writer.push(Timestamp::ZERO, None, None, &headers);
///
/// let batch = batches(writer.finish()?).next().expect("one batch was written")?;
/// let records = batch.records()?;
/// let record = records.iter().next().expect("one record was written")?;
/// assert_eq!(record.headers.len(), 1);
/// assert_eq!(record.headers.to_headers()?, headers);
/// # Ok::<(), suiro_core::Error>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct HeaderViews<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> HeaderViews<'a> {
    /// The `count` headers that `bytes` consist of; `None` if they do not. Names are not
    /// looked at.
    pub(super) fn new(count: usize, bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        for _ in 0..count {
            take_bytes(&mut rest)??;
            take_bytes(&mut rest)?;
        }
        rest.is_empty().then_some(Self { count, bytes })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The headers on their own; an error of kind `Corrupt` if a name is not UTF-8. The bytes
    /// of all headers are copied once and shared.
    pub fn to_headers(&self) -> Result<Headers> {
        if self.is_empty() {
            return Ok(Headers::NONE);
        }
        let copy = Bytes::copy_from_slice(self.bytes);
        let mut rest = &copy[..];
        let mut headers = Vec::with_capacity(self.count);
        while !rest.is_empty() {
            let damaged = || Error::corrupt("header cannot be read").with("at", headers.len());
            let name = take_bytes(&mut rest).flatten().ok_or_else(damaged)?;
            let value = take_bytes(&mut rest).ok_or_else(damaged)?;
            let key = str::from_utf8(name).map_err(|cause| {
                Error::corrupt("header name is not utf-8")
                    .with("at", headers.len())
                    .caused_by(cause)
            })?;
            let value = value.map(|value| copy.slice_ref(value));
            headers.push(Header { key: key.to_owned(), value });
        }
        Ok(Headers::from(headers))
    }
}

impl fmt::Debug for HeaderViews<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_headers() {
            Ok(headers) => headers.fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}

/// Takes the number of headers and the headers, which are all that is left of a record.
#[inline]
pub(super) fn take_headers<'a>(bytes: &mut &'a [u8]) -> Option<HeaderViews<'a>> {
    if let [0] = bytes {
        return Some(HeaderViews::default());
    }
    let count = usize::try_from(take_i32(bytes)?).ok()?;
    HeaderViews::new(count, bytes)
}
