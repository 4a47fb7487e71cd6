//! The rows of a global table, in every process the same.

use crate::row::typed;
use crate::{Data, Key, Record};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::any::Any;
use suiro_core::Timestamp;
use suiro_engine::{BoxRows, Global};

/// The last row of each key. There is no commit that could be rolled back: what comes is true.
pub(crate) struct GlobalRows<K, V> {
    rows: HashMap<K, (V, Timestamp), FixedState>,
}

impl<K: Key, V: Data> GlobalRows<K, V> {
    pub(crate) fn new() -> Self {
        Self { rows: HashMap::default() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|(value, _)| value)
    }

    /// All rows with their times, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V, Timestamp)> {
        self.rows.iter().map(|(key, (value, at))| (key, value, *at))
    }
}

impl<K: Key + Sync, V: Data + Sync> Global for GlobalRows<K, V> {
    fn take(&mut self, rows: BoxRows) {
        for Record { key, value, at, .. } in typed::<K, Option<V>>(rows) {
            match value {
                Some(value) => self.rows.insert(key, (value, at)),
                None => self.rows.remove(&key),
            };
        }
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
