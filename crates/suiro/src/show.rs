//! What a dead letter shows of a row that is no record of a source.

use crate::format::{Encoded, Format, write_state};
use crate::row::first;
use crate::{Data, Record};
use std::sync::Arc;
use suiro_engine::{Show, Shown};

/// The key, as topics hold it, and the value, as changelogs hold it.
pub(crate) fn both<K: 'static, V: Data>(keys: &'static dyn Format<K>) -> Show {
    with(keys, |value: &V, out| write_state(value, out).is_ok())
}

/// The key only: the values of this stream have no format.
pub(crate) fn key<K: 'static, V: 'static>(keys: &'static dyn Format<K>) -> Show {
    with(keys, |_: &V, _| false)
}

/// What cannot be encoded is left out: a letter without it is better than none.
pub(crate) fn with<K: 'static, V: 'static>(
    keys: &'static dyn Format<K>,
    value: impl Fn(&V, &mut Vec<u8>) -> bool + Send + Sync + 'static,
) -> Show {
    Arc::new(move |rows| {
        let Some(row) = first::<K, V>(rows) else { return Shown::default() };
        let Record { at, headers, .. } = row;
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        let key = matches!(keys.encode(&row.key, &mut key_bytes), Ok(Encoded::Bytes));
        let value = value(&row.value, &mut value_bytes);
        Shown {
            key: key.then_some(key_bytes),
            value: value.then_some(value_bytes),
            at: *at,
            headers: headers.clone(),
        }
    })
}
