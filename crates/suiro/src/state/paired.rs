//! The row of a foreign-key join: the pair of a left row, and what tells old answers from new.

use super::TableStore;
use super::form::form;
use crate::format::Format;
use crate::{Data, Key};
use serde::{Deserialize, Serialize};
use suiro_core::Timestamp;

/// What the newest answer said of a left row. Its version is kept also where there is no pair:
/// an answer to an older version must not bring a pair back.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "W: Data")]
pub(crate) enum Paired<W> {
    /// The version of the left row, the time of its right row, if it has one, and the pair.
    Pair(u64, Option<i64>, W),
    /// The version of a left row without a pair.
    Alone(u64),
}

impl<W> Paired<W> {
    pub(crate) fn version(&self) -> u64 {
        match self {
            Self::Pair(version, ..) | Self::Alone(version) => *version,
        }
    }

    /// The pair, if there is one.
    pub(crate) fn row(&self) -> Option<&W> {
        match self {
            Self::Pair(_, _, row) => Some(row),
            Self::Alone(_) => None,
        }
    }

    pub(crate) fn into_row(self) -> Option<W> {
        match self {
            Self::Pair(_, _, row) => Some(row),
            Self::Alone(_) => None,
        }
    }

    /// The time of the right row of the pair.
    pub(crate) fn right_at(&self) -> Option<Timestamp> {
        match self {
            Self::Pair(_, at, _) => at.map(Timestamp::from_millis),
            Self::Alone(_) => None,
        }
    }
}

/// The kind of store that holds pairs.
pub(super) const KIND: &str = "pairs";

impl<K: Key, W: Data> TableStore<K, Paired<W>> {
    /// A store of pairs: its form is that of their values, so that these can be migrated.
    pub(crate) fn of_pairs(keys: &'static dyn Format<K>) -> Self {
        Self::with_form(keys, None, None, |keys| form::<K, W>(KIND.to_owned(), keys))
    }
}
