//! JSON by serde.

use super::{Encoded, Format};
use crate::Data;
use serde::de::{Deserializer, IntoDeserializer, Visitor, value::Error as NullError};
use suiro_core::{Error, Result};

/// JSON, as serde writes it. `None` is a null: in a topic, no value.
///
/// ```
/// use suiro::{Encoded, Format, Json};
///
/// let mut bytes = Vec::new();
/// assert_eq!(Json.encode(&Some(7), &mut bytes)?, Encoded::Bytes);
/// assert_eq!(bytes, b"7");
/// assert_eq!(Json.encode(&None::<u8>, &mut bytes)?, Encoded::Null);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<T: Data> Format<T> for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<Encoded> {
        let start = out.len();
        serde_json::to_writer(&mut *out, value).map_err(|error| {
            Error::invalid("value cannot be written as json").caused_by(error)
        })?;
        if &out[start..] == b"null" {
            out.truncate(start);
            return Ok(Encoded::Null);
        }
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::invalid("not the json that was expected").caused_by(error))
    }

    fn decode_null(&self) -> Option<T> {
        T::deserialize(Null).ok()
    }
}

/// Deserializes what can be made of nothing: an `Option`.
struct Null;

impl<'de> Deserializer<'de> for Null {
    type Error = NullError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NullError> {
        ().into_deserializer().deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NullError> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NullError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
