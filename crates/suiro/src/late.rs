//! Records that update no window: counted, and sent if somebody wants them (rule W4).

use crate::row::{Batch, emit};
use crate::{Data, Key, Record};
use suiro_engine::Context;

/// Sends records that are late.
pub(crate) type TellLate<K, V> = fn(&mut Context<'_>, Batch<K, V>);

/// As they came.
pub(crate) fn tell_late<K: Key, V: Data>(cx: &mut Context<'_>, late: Batch<K, V>) {
    emit(cx, 1, late);
}

/// The late records of a batch.
pub(crate) struct Late<K, V> {
    pub(crate) count: u64,
    /// Empty if nobody wants them.
    pub(crate) rows: Batch<K, V>,
    is_wanted: bool,
}

impl<K, V> Late<K, V> {
    pub(crate) fn new(is_wanted: bool) -> Self {
        Self { count: 0, rows: Vec::new(), is_wanted }
    }

    pub(crate) fn add(&mut self, row: Record<K, V>) {
        self.count += 1;
        if self.is_wanted {
            self.rows.push(row);
        }
    }
}
