//! The key format of topics without keys.

use super::{Encoded, Format};
use crate::NoKey;
use suiro_core::Result;

/// No key: every record has a null key, and goes to any partition.
///
/// ```
/// use suiro::{Encoded, Format, NoKey, Unkeyed};
///
/// let mut bytes = Vec::new();
/// assert_eq!(Unkeyed.encode(&NoKey, &mut bytes)?, Encoded::Null);
/// assert!(bytes.is_empty());
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Unkeyed;

impl Format<NoKey> for Unkeyed {
    fn name(&self) -> &'static str {
        "unkeyed"
    }

    fn encode(&self, _: &NoKey, _: &mut Vec<u8>) -> Result<Encoded> {
        Ok(Encoded::Null)
    }

    fn decode(&self, _: &[u8]) -> Result<NoKey> {
        Ok(NoKey)
    }

    fn decode_null(&self) -> Option<NoKey> {
        Some(NoKey)
    }
}
