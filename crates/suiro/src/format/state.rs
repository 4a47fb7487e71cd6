//! The layout of values in changelogs: a version byte, then the row.

use super::Binary;
use crate::Data;
use suiro_core::{Error, Result};

/// Version of the layout of rows in changelogs and repartition topics.
const VERSION: u8 = 1;

/// Appends the row that `value` is in a changelog.
pub(crate) fn write_state<T: Data>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    out.push(VERSION);
    Binary::encode(value, out)
}

/// Reads a row of a changelog.
pub(crate) fn read_state<T: Data>(bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, row)) => Binary::decode(row),
        Some((version, _)) => {
            Err(Error::invalid("row was written by another version of suiro")
                .with("version", version)
                .with("known", VERSION))
        }
        None => Err(Error::corrupt("row in a changelog is empty")),
    }
}
