//! The batches in a piece of a log, one after another.

use super::header::{BatchHeader, HEADER_LEN, check_crc};
use super::marker::{Marker, read_marker};
use super::records::Records;
use crate::{Error, Result};
use bytes::Bytes;

/// All batches in `bytes`, one after another, their checksums tested; nothing is copied.
///
/// A batch that is damaged or cut off is an error of kind `Corrupt` that names its position in
/// `bytes`, and the last item.
///
/// ```
/// use bytes::Bytes;
/// use suiro_core::batch::batches;
///
/// assert!(batches(Bytes::new()).next().is_none());
/// let error = batches(Bytes::from_static(b"torn")).next().expect("there are bytes").unwrap_err();
/// assert_eq!(error.to_string(), "batch is cut off bytes=`4` position=`0`");
/// ```
pub fn batches(bytes: Bytes) -> Batches {
    Batches { rest: bytes, position: 0 }
}

/// The iterator that [`batches`] gives.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    position: usize,
}

impl Batches {
    fn take(&mut self) -> Result<Batch> {
        let header = BatchHeader::parse(&self.rest)?
            .ok_or_else(|| Error::corrupt("batch is cut off").with("bytes", self.rest.len()))?;
        if !check_crc(&self.rest) {
            return Err(Error::corrupt("batch does not fit its checksum")
                .with("base_offset", header.base_offset));
        }
        let bytes = self.rest.split_to(header.length);
        self.position += header.length;
        Ok(Batch { header, bytes })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = self.take();
        Some(batch.map_err(|error| {
            self.rest.clear();
            error.with("position", self.position)
        }))
    }
}

impl std::iter::FusedIterator for Batches {}

/// One batch, whose checksum was tested. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// What is known of the batch without touching its records.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The encoded batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The records, decompressed if need be. An error is of kind `Corrupt` if they cannot be
    /// decompressed (or to more than 1 GiB), of kind `Invalid` if their compression is not
    /// built in.
    pub fn records(&self) -> Result<Records> {
        Records::new(&self.header, self.bytes.slice(HEADER_LEN..))
    }

    /// The marker, if this is a control batch that ends a transaction. Readers pass over
    /// control batches of other types.
    pub fn marker(&self) -> Result<Option<Marker>> {
        read_marker(self)
    }
}
