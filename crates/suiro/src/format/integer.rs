//! Integers of fixed width.

use super::{Encoded, Format};
use suiro_core::{Error, Result};

/// Integers of fixed width, big end first, as Kafka's own serializers write them: `i16`, `i32`,
/// `i64`, `u16`, `u32` and `u64`. Bytes of another width are an error.
///
/// ```
/// use suiro::{Format, Integer};
///
/// let mut bytes = Vec::new();
/// Integer.encode(&7_u32, &mut bytes)?;
/// assert_eq!(bytes, [0, 0, 0, 7]);
/// assert!(Format::<u64>::decode(&Integer, &bytes).is_err());
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Integer;

macro_rules! integers {
    ($($type:ty),*) => {
        $(impl Format<$type> for Integer {
            fn name(&self) -> &'static str {
                "integer"
            }

            fn encode(&self, value: &$type, out: &mut Vec<u8>) -> Result<Encoded> {
                out.extend_from_slice(&value.to_be_bytes());
                Ok(Encoded::Bytes)
            }

            fn decode(&self, bytes: &[u8]) -> Result<$type> {
                let array = bytes.try_into().map_err(|_| {
                    Error::invalid("integer has another width")
                        .with("bytes", bytes.len())
                        .with("expected", size_of::<$type>())
                })?;
                Ok(<$type>::from_be_bytes(array))
            }
        })*
    };
}

integers!(i16, i32, i64, u16, u32, u64);
