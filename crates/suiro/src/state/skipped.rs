//! A value inside of a row that nobody looks at.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

/// Stands for a value of any type where a row is read for what is beside it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(reader).map(|_| Self)
    }
}
