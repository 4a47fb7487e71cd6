//! Updates that were not shown yet, by key.

use super::TableStore;
use super::form::form;
use super::kept_headers::{KeptHeaders, keep, load};
use crate::format::Format;
use crate::{Data, Key, Record};
use serde::{Deserialize, Serialize};
use suiro_core::{Headers, Timestamp};

/// The last update of a window or a row that was not shown since.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "U: Data")]
pub(crate) struct Pending<U> {
    pub(crate) value: U,
    /// Its time, in milliseconds.
    at: i64,
    headers: KeptHeaders,
}

impl<U> Pending<U> {
    pub(crate) fn new(value: U, at: Timestamp, headers: &Headers) -> Self {
        Self { value, at: at.as_millis(), headers: keep(headers) }
    }

    pub(crate) fn into_record<K>(self, key: K) -> Record<K, U> {
        let at = Timestamp::from_millis(self.at);
        Record { key, value: self.value, at, headers: load(self.headers) }
    }

    /// The same update with a value of another type.
    pub(super) fn turned<W>(self, turn: impl FnOnce(U) -> W) -> Pending<W> {
        Pending { value: turn(self.value), at: self.at, headers: self.headers }
    }
}

/// The kind of store that holds them.
pub(super) const KIND: &str = "pending";

impl<K: Key, U: Data> TableStore<K, Vec<Pending<U>>> {
    /// A store of updates: its form is that of their values, so that these can be migrated. It is
    /// held in memory as a whole, for all of it is shown at once.
    pub(crate) fn of_pending(keys: &'static dyn Format<K>) -> Self {
        let form = |keys: &dyn Format<K>| form::<K, U>(KIND.to_owned(), keys);
        Self::with_form(keys, None, None, form).held_whole()
    }
}
