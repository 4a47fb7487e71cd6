//! Bytes as they are.

use super::{Encoded, Format};
use bytes::Bytes;
use suiro_core::Result;

/// Bytes as they are. `Option<Bytes>` keeps a null apart from no bytes.
///
/// ```
/// use suiro::{Bytes, Encoded, Format, Raw};
///
/// let mut bytes = Vec::new();
/// Raw.encode(&Bytes::from_static(b"tea"), &mut bytes)?;
/// assert_eq!(bytes, b"tea");
/// assert_eq!(Raw.encode(&None::<Bytes>, &mut bytes)?, Encoded::Null);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Format<Bytes> for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn encode(&self, value: &Bytes, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(value);
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(bytes))
    }
}

impl Format<Vec<u8>> for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn encode(&self, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(value);
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(bytes.to_vec())
    }
}

impl Format<Option<Bytes>> for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn encode(&self, value: &Option<Bytes>, out: &mut Vec<u8>) -> Result<Encoded> {
        let Some(value) = value else { return Ok(Encoded::Null) };
        self.encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<Bytes>> {
        Ok(Some(Bytes::copy_from_slice(bytes)))
    }

    fn decode_null(&self) -> Option<Option<Bytes>> {
        Some(None)
    }
}
