//! Lets rows of a table go by time, and says so (rule A5).

use crate::row::{Batch, emit};
use crate::state::{Expired, Expiry, TableStore};
use crate::table::Change;
use crate::{Data, Key, Record};
use suiro_core::{Headers, Result, Timestamp};
use suiro_engine::{Context, Failure, Gate};

/// Sends the removals of the rows that are over at `now`. No record is the cause of them, so
/// they have no headers.
#[inline]
pub(crate) fn expire<K: Key, A: Data>(
    store: &mut TableStore<K, A>,
    now: Timestamp,
    speaks: bool,
    out: &mut Batch<K, Change<A>>,
) -> Result<()> {
    let gone = store.expire(now)?;
    if speaks {
        out.extend(gone.into_iter().map(|Expired { key, row, at }| Record {
            key,
            value: Change { old: Some(row), new: None },
            at,
            headers: Headers::NONE,
        }));
    }
    Ok(())
}

/// A record of the time `at` arrives: lets go what is over, and gives whether the record
/// itself is so old that it is late.
#[inline]
pub(crate) fn arrive<K: Key, A: Data>(
    store: &mut TableStore<K, A>,
    (at, gate): (Timestamp, &Gate),
    speaks: bool,
    out: &mut Batch<K, Change<A>>,
) -> Result<bool> {
    let Some(expiry) = &mut store.expiry else { return Ok(false) };
    let now = expiry.observe(at, gate);
    let is_late = expiry.end(at) <= now;
    expire(store, now, speaks, out)?;
    Ok(is_late)
}

/// The table's time may have moved, by a record or by the gate: lets go what is over.
pub(crate) fn move_on<K: Key, A: Data>(
    (slot, label): (usize, &str),
    speaks: bool,
    cx: &mut Context<'_>,
    now: impl FnOnce(&mut Expiry<K>, &Gate) -> Timestamp,
) -> Result<(), Failure> {
    let store = cx.stores.get_mut::<TableStore<K, A>>(slot);
    let Some(expiry) = &mut store.expiry else { return Ok(()) };
    let (now, mut out) = (now(expiry, &cx.gate), Vec::new());
    expire(store, now, speaks, &mut out).map_err(|cause| Failure::stop(label, cause))?;
    emit(cx, 0, out);
    Ok(())
}
