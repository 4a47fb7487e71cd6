//! Keys as other Kafka programs write them: strings and integers plain, the rest as JSON.

use super::{Encoded, Format};
use crate::Data;
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};
use serde::ser::{self, Impossible, Serializer};
use std::fmt;
use suiro_core::{Error, Result};

/// Strings, integers and enum names as plain text, everything else as JSON. Wrappers (`struct
/// UserId(u64)`) are seen through.
///
/// ```
/// use suiro::{Format, JsonKey};
///
/// let mut bytes = Vec::new();
/// JsonKey.encode(&"ann".to_owned(), &mut bytes)?;
/// assert_eq!(bytes, b"ann");
/// bytes.clear();
/// JsonKey.encode(&(1, "ann".to_owned()), &mut bytes)?;
/// assert_eq!(bytes, br#"[1,"ann"]"#);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonKey;

impl<T: Data> Format<T> for JsonKey {
    fn name(&self) -> &'static str {
        "json-key"
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<Encoded> {
        let start = out.len();
        if value.serialize(Plain(out)).is_ok() {
            return Ok(Encoded::Bytes);
        }
        out.truncate(start);
        serde_json::to_writer(&mut *out, value).map_err(|error| {
            Error::invalid("key cannot be written as json").caused_by(error)
        })?;
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        T::deserialize(Text(bytes))
            .map_err(|error| Error::invalid("not the key that was expected").caused_by(error))
    }
}

/// Writes what is plain text, and refuses the rest.
struct Plain<'a>(&'a mut Vec<u8>);

/// The value is no plain text, or the text is no such value.
#[derive(Debug)]
struct NotPlain(String);

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotPlain {}

impl ser::Error for NotPlain {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl de::Error for NotPlain {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

fn not_plain<T>() -> Result<T, NotPlain> {
    Err(NotPlain(String::new()))
}

macro_rules! plain_integers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), NotPlain> {
            self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            Ok(())
        })*
    };
}

macro_rules! refused {
    ($($method:ident($($arg:ty),*) -> $out:ty;)*) => {
        $(fn $method(self, $(_: $arg),*) -> Result<$out, NotPlain> { not_plain() })*
    };
}

type No = Impossible<(), NotPlain>;

impl Serializer for Plain<'_> {
    type Ok = ();
    type Error = NotPlain;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    plain_integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_str(self, text: &str) -> Result<(), NotPlain> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), NotPlain> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), NotPlain> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: ser::Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), NotPlain> {
        value.serialize(self)
    }

    fn serialize_some<T: ser::Serialize + ?Sized>(self, _: &T) -> Result<(), NotPlain> {
        not_plain()
    }

    fn serialize_newtype_variant<T: ser::Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), NotPlain> {
        not_plain()
    }

    refused! {
        serialize_bool(bool) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> No;
        serialize_tuple(usize) -> No;
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct(&'static str, usize) -> No;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
    }
}

/// Reads plain text where the type asks for text or an integer, and JSON elsewhere.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn text(&self) -> Result<&'a str, NotPlain> {
        std::str::from_utf8(self.0).map_err(|error| NotPlain(format!("not utf-8: {error}")))
    }
}

macro_rules! json {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
            let mut json = serde_json::Deserializer::from_slice(self.0);
            let value = json.$method(visitor).map_err(de::Error::custom)?;
            json.end().map_err(de::Error::custom)?;
            Ok(value)
        })*
    };
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
            let text = self.text()?;
            let number: $type = text
                .parse()
                .map_err(|error| NotPlain(format!("`{text}` is no integer: {error}")))?;
            visitor.$visit(number)
        })*
    };
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = NotPlain;

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128, deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_u128 visit_u128 u128
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        let text = self.text()?;
        if variants.contains(&text) {
            return visitor.visit_enum(text.into_deserializer());
        }
        serde_json::Deserializer::from_slice(self.0)
            .deserialize_enum(name, variants, visitor)
            .map_err(de::Error::custom)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        self.deserialize_map(visitor)
    }

    json! {
        deserialize_any deserialize_bool deserialize_f32 deserialize_f64 deserialize_bytes
        deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct UserId(u64);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Small,
        Sized(u8),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Pair {
        left: String,
        right: Option<i32>,
    }

    fn check<T: Data + PartialEq + fmt::Debug>(value: T, bytes: &str) {
        let mut out = Vec::new();
        JsonKey.encode(&value, &mut out).unwrap();
        assert_eq!(std::str::from_utf8(&out).unwrap(), bytes);
        let back: T = JsonKey.decode(&out).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn strings_and_integers_are_plain() {
        check("a \"b\"".to_owned(), "a \"b\"");
        check(String::new(), "");
        check(UserId(7), "7");
        check(-3_i8, "-3");
        check('x', "x");
        check(Kind::Small, "Small");
    }

    #[test]
    fn the_rest_is_json() {
        check(Kind::Sized(3), r#"{"Sized":3}"#);
        check(Pair { left: "l".into(), right: None }, r#"{"left":"l","right":null}"#);
        check((1, "b".to_owned()), r#"[1,"b"]"#);
        check(true, "true");
        check(Some(3), "3");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Format::<u64>::decode(&JsonKey, b"seven").is_err());
        assert!(Format::<u8>::decode(&JsonKey, b"300").is_err());
        assert!(Format::<String>::decode(&JsonKey, b"\xff").is_err());
        assert!(Format::<Pair>::decode(&JsonKey, b"{}").is_err());
    }
}
