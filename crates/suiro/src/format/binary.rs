//! What state and exchanges are written in: MessagePack with field names.
//!
//! It knows its own structure, so that every type that goes through JSON goes through it, fields
//! may be added with a serde default, and maps may have any keys.

use crate::Data;
use suiro_core::{Error, Result};

pub(crate) struct Binary;

impl Binary {
    pub(crate) fn encode<T: Data>(value: &T, out: &mut Vec<u8>) -> Result<()> {
        let mut writer = rmp_serde::Serializer::new(out).with_struct_map();
        value
            .serialize(&mut writer)
            .map_err(|error| Error::invalid("state cannot be written").caused_by(error))
    }

    pub(crate) fn decode<T: Data>(bytes: &[u8]) -> Result<T> {
        rmp_serde::from_slice(bytes).map_err(|error| {
            Error::invalid(
                "state has another type than the program; reset the store or migrate",
            )
            .caused_by(error)
        })
    }
}
