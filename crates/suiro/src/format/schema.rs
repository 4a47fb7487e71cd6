//! The schema of a type, as serde sees it: what its fields and variants are called and hold.
//!
//! A type is asked to deserialize itself from nothing, several times, and what it asks for is
//! written down. It gives two types of one layout one schema: names of types do not matter, since
//! they are not in the bytes.

use crate::Data;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor, value::Error,
};

/// The schema of `T`, such as `{views:[u64],start:i64}`. What a type does not tell, because it
/// checks what it reads, is a question mark.
pub(crate) fn schema<T: Data>() -> String {
    let mut tracer = Tracer::default();
    for _ in 0..RUNS {
        tracer.text.clear();
        tracer.depth = 0;
        tracer.found = false;
        if T::deserialize(&mut tracer).is_err() {
            tracer.text.push('?');
        }
        if !tracer.found {
            break;
        }
    }
    let mut text = tracer.text;
    for (number, kind) in tracer.kinds.iter().enumerate() {
        let parts = kind.parts.iter().map(|(name, held)| {
            let held = held.as_deref().unwrap_or("?");
            format!("{name}:{held}")
        });
        let parts = parts.collect::<Vec<_>>().join(if kind.is_enum { "|" } else { "," });
        text += &format!("; #{number}={{{parts}}}");
    }
    text
}

/// A run finds what one more variant of each enum holds.
const RUNS: usize = 256;

/// Types that hold themselves are followed no deeper.
const DEPTH: usize = 24;

#[derive(Default)]
struct Tracer {
    text: String,
    kinds: Vec<Kind>,
    depth: usize,
    /// This run has found something new.
    found: bool,
}

/// A struct or an enum.
struct Kind {
    name: &'static str,
    is_enum: bool,
    /// Fields or variants, and what they hold, once it is known.
    parts: Vec<(&'static str, Option<String>)>,
}

impl Tracer {
    fn kind(
        &mut self,
        name: &'static str,
        parts: &'static [&'static str],
        is_enum: bool,
    ) -> usize {
        let same = |kind: &Kind| {
            kind.is_enum == is_enum
                && kind.name == name
                && kind.parts.iter().map(|(part, _)| part).eq(parts)
        };
        let known = self.kinds.iter().position(same);
        let number = known.unwrap_or_else(|| {
            let parts = parts.iter().map(|part| (*part, None)).collect();
            self.kinds.push(Kind { name, is_enum, parts });
            self.kinds.len() - 1
        });
        self.text += &format!("#{number}");
        number
    }

    /// Writes down what `look` asks for as the part of a kind; the first answer counts.
    fn part<T>(
        &mut self,
        (kind, part): (usize, usize),
        look: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let outer = std::mem::take(&mut self.text);
        let result = look(self);
        let text = std::mem::replace(&mut self.text, outer);
        let held = &mut self.kinds[kind].parts[part].1;
        if held.is_none() {
            *held = Some(if result.is_ok() { text } else { text + "?" });
            self.found = true;
        }
        result
    }

    fn deeper<T>(
        &mut self,
        look: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth >= DEPTH {
            return Err(serde::de::Error::custom("the type goes too deep"));
        }
        self.depth += 1;
        let result = look(self);
        self.depth -= 1;
        result
    }
}

macro_rules! plain {
    ($($method:ident $visit:ident $name:literal ($($value:expr)?);)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.text += $name;
            visitor.$visit($($value)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Tracer {
    type Error = Error;

    // One and not nothing, for numbers that cannot be zero.
    plain! {
        deserialize_any visit_unit "any" ();
        deserialize_bool visit_bool "bool" (false);
        deserialize_i8 visit_i8 "i8" (1);
        deserialize_i16 visit_i16 "i16" (1);
        deserialize_i32 visit_i32 "i32" (1);
        deserialize_i64 visit_i64 "i64" (1);
        deserialize_i128 visit_i128 "i128" (1);
        deserialize_u8 visit_u8 "u8" (1);
        deserialize_u16 visit_u16 "u16" (1);
        deserialize_u32 visit_u32 "u32" (1);
        deserialize_u64 visit_u64 "u64" (1);
        deserialize_u128 visit_u128 "u128" (1);
        deserialize_f32 visit_f32 "f32" (1.0);
        deserialize_f64 visit_f64 "f64" (1.0);
        deserialize_char visit_char "char" ('a');
        deserialize_str visit_str "text" ("");
        deserialize_string visit_str "text" ("");
        deserialize_bytes visit_bytes "bytes" (b"");
        deserialize_byte_buf visit_bytes "bytes" (b"");
        deserialize_identifier visit_str "name" ("");
        deserialize_ignored_any visit_unit "any" ();
        deserialize_unit visit_unit "()" ();
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text += "option ";
        self.deeper(|tracer| visitor.visit_some(tracer))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deeper(|tracer| visitor.visit_newtype_struct(tracer))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text.push('[');
        let value = self.deeper(|tracer| visitor.visit_seq(Items { tracer, left: 1 }))?;
        self.text.push(']');
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.text.push('(');
        let value = self.deeper(|tracer| visitor.visit_seq(Items { tracer, left }))?;
        self.text.push(')');
        Ok(value)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(left, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text.push('<');
        let value = self.deeper(|tracer| visitor.visit_map(Items { tracer, left: 1 }))?;
        self.text.push('>');
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let kind = self.kind(name, fields, false);
        self.deeper(|tracer| visitor.visit_map(Fields { tracer, kind, next: 0, fields }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let kind = self.kind(name, variants, true);
        let unknown = self.kinds[kind].parts.iter().position(|(_, held)| held.is_none());
        // Of a type that holds itself the variant that is looked at further down must come to
        // an end: each level takes the next.
        let part = match unknown {
            Some(part) => (part + self.depth / 4) % variants.len(),
            None => self.depth % variants.len().max(1),
        };
        if variants.is_empty() {
            return Err(serde::de::Error::custom("an enum without variants has no value"));
        }
        self.deeper(|tracer| visitor.visit_enum(Choice { tracer, kind, part, variants }))
    }

    fn is_human_readable(&self) -> bool {
        // As the format of state is.
        false
    }
}

/// Some items of a sequence, a tuple or a map.
struct Items<'a> {
    tracer: &'a mut Tracer,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let value = seed.deserialize(&mut *self.tracer)?;
        if self.left > 0 {
            self.tracer.text.push(',');
        }
        Ok(Some(value))
    }
}

impl<'de> MapAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let key = seed.deserialize(&mut *self.tracer)?;
        self.tracer.text.push(',');
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.tracer)
    }
}

/// The fields of a struct, each under its name.
struct Fields<'a> {
    tracer: &'a mut Tracer,
    kind: usize,
    next: usize,
    fields: &'static [&'static str],
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.fields.get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let place = (self.kind, self.next - 1);
        self.tracer.part(place, |tracer| seed.deserialize(tracer))
    }
}

/// A variant of an enum.
struct Choice<'a> {
    tracer: &'a mut Tracer,
    kind: usize,
    part: usize,
    variants: &'static [&'static str],
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name = self.variants[self.part];
        Ok((seed.deserialize(name.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.tracer.part((self.kind, self.part), |tracer| {
            tracer.text += "()";
            Ok(())
        })
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.tracer.part((self.kind, self.part), |tracer| seed.deserialize(tracer))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let place = (self.kind, self.part);
        self.tracer.part(place, |tracer| tracer.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let place = (self.kind, self.part);
        let name = self.variants[self.part];
        self.tracer.part(place, |tracer| tracer.deserialize_struct(name, fields, visitor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    #[derive(Clone, Serialize, Deserialize)]
    struct Visit {
        views: Vec<u64>,
        from: Option<String>,
        step: Step,
    }

    #[derive(Clone, Serialize, Deserialize)]
    enum Step {
        Seen,
        Paid(u32),
        Sent { to: (f64, bool) },
    }

    #[derive(Clone, Serialize, Deserialize)]
    enum Tree {
        Node(Box<Tree>, Box<Tree>),
        Leaf(u8),
    }

    #[derive(Clone, Serialize, Deserialize)]
    struct List {
        next: Option<Box<List>>,
    }

    #[test]
    fn all_fields_and_variants_are_in_it() {
        assert_eq!(schema::<u64>(), "u64");
        assert_eq!(schema::<BTreeMap<String, Vec<i8>>>(), "<text,[i8]>");
        assert_eq!(
            schema::<Visit>(),
            "#0; #0={views:[u64],from:option text,step:#1}; #1={Seen:()|Paid:u32|Sent:#2}; \
             #2={to:(f64,bool)}"
        );
    }

    #[test]
    fn a_type_that_holds_itself_comes_to_an_end() {
        let tree = schema::<Tree>();
        assert!(tree.contains("Leaf:u8"), "{tree}");
        assert_eq!(tree, schema::<Tree>());
        assert!(schema::<List>().starts_with("#0"));
    }

    #[test]
    fn names_of_types_do_not_matter_and_names_of_fields_do() {
        mod other {
            use serde::{Deserialize, Serialize};
            #[derive(Clone, Serialize, Deserialize)]
            pub(super) struct Named {
                pub(super) next: Option<u8>,
            }
            #[derive(Clone, Serialize, Deserialize)]
            pub(super) struct Same {
                pub(super) next: Option<u8>,
            }
            #[derive(Clone, Serialize, Deserialize)]
            pub(super) struct Other {
                pub(super) then: Option<u8>,
            }
        }
        assert_eq!(schema::<other::Named>(), schema::<other::Same>());
        assert_ne!(schema::<other::Named>(), schema::<other::Other>());
    }
}
