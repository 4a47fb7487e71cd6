//! The store below a working set, and how rows are brought up from it.

use super::{Cells, StreamTime, prefix};
use crate::Key;
use std::ops::{Bound, ControlFlow};
use suiro_core::store::Store;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::lifted;

/// The store that has all committed rows, where a working set holds only some.
pub(crate) struct Beneath {
    store: Box<dyn Store>,
    /// How many slots the working set has room for.
    room: usize,
}

/// Is shown the key of a row, its time, its headers and its value.
pub(crate) type Show<'a> =
    dyn FnMut(&[u8], Timestamp, Headers, &[u8]) -> Result<ControlFlow<()>> + 'a;

impl Beneath {
    pub(crate) fn new(store: Box<dyn Store>, room: usize) -> Self {
        Self { store, room }
    }

    /// Whether `more` slots beside those that are `held` are more than there is room for.
    pub(crate) fn is_tight(&self, held: usize, more: usize) -> bool {
        held + more > self.room
    }

    /// Whether so many slots that cannot be dropped are too many to go on.
    pub(crate) fn is_full(&self, pinned: usize) -> bool {
        pinned > self.room / 2
    }

    /// Whether after so many changes a commit had better be made.
    pub(crate) fn is_heavy(&self, changed: usize) -> bool {
        changed > self.room / 8
    }

    /// The row behind `key`, read by `decode`.
    pub(crate) fn read<A>(
        &self,
        key: &[u8],
        decode: impl FnOnce(Headers, &[u8]) -> Result<A>,
    ) -> Result<Option<(A, Timestamp)>> {
        let Some(value) = self.store.get(key)? else { return Ok(None) };
        let (at, headers, row) = lifted(&value).ok_or_else(cut_off)?;
        Ok(Some((decode(headers, row)?, at)))
    }

    /// Shows the rows whose keys begin with `prefix`, in order of their keys.
    pub(crate) fn visit(&self, prefix: &[u8], show: &mut Show<'_>) -> Result<()> {
        let to = after(prefix);
        let to = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut failed = Ok(());
        self.store.range(Bound::Included(prefix), to, &mut |key, value| {
            let row = lifted(value).ok_or_else(cut_off);
            match row.and_then(|(at, headers, row)| show(key, at, headers, row)) {
                Ok(on) => on,
                Err(error) => {
                    failed = Err(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed
    }

    /// Shows the keys from `from` to before `to`, in order.
    pub(crate) fn keys(
        &self,
        from: &[u8],
        to: &[u8],
        show: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let (from, to) = (Bound::Included(from), Bound::Excluded(to));
        self.store.range(from, to, &mut |key, _| show(key))
    }

    /// Brings up the rows of keys that nothing is held for. Old ones are dropped first if there
    /// is no room for them.
    pub(crate) fn bring_up<'a, K: Key + 'a, A: Clone>(
        &self,
        cells: &mut Cells<K, A>,
        keys: impl ExactSizeIterator<Item = &'a K>,
        read: impl Fn(&K) -> Result<Option<(A, Timestamp)>>,
    ) -> Result<()> {
        if self.is_tight(cells.len(), keys.len()) {
            cells.evict();
        }
        raise(cells, keys, read)
    }

    /// Reads stream time, as it was saved with the rows.
    pub(crate) fn restore_time(&self, time: &mut StreamTime) -> Result<()> {
        let saved = self.read(&[prefix::TIME], |_, value| Ok(value.to_vec()))?;
        saved.map_or(Ok(()), |(value, _)| time.restore(Some(&value)))
    }
}

/// Brings up the rows of keys that nothing is held for.
pub(crate) fn raise<'a, K: Key + 'a, A: Clone>(
    cells: &mut Cells<K, A>,
    keys: impl Iterator<Item = &'a K>,
    read: impl Fn(&K) -> Result<Option<(A, Timestamp)>>,
) -> Result<()> {
    if cells.is_whole() {
        return Ok(());
    }
    for key in keys {
        if !cells.holds(key) {
            let row = read(key)?;
            cells.raise(key.clone(), row);
        }
    }
    Ok(())
}

/// The first bytes that are larger than all that begin with `prefix`, if there are some.
pub(crate) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

fn cut_off() -> Error {
    Error::corrupt("a row of a store is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_comes_after_a_prefix_comes_after_all_that_begin_with_it(
            prefix in prop::collection::vec(prop_oneof![Just(254_u8), Just(255)], 0..4),
            rest in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let longer: Vec<u8> = [prefix.clone(), rest].concat();
            match after(&prefix) {
                Some(next) => {
                    prop_assert!(next > longer);
                    prop_assert!(!next.starts_with(&prefix));
                }
                None => prop_assert!(prefix.iter().all(|byte| *byte == 255)),
            }
        }
    }
}
