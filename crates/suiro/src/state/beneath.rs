//! The store below a working set, and how rows are brought up from it.

use super::cells::ROOM;
use super::{Cells, StreamTime, prefix};
use crate::Key;
use std::cell::Cell;
use std::ops::{Bound, ControlFlow};
use suiro_core::store::Store;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Standing, lifted};

/// The store that has all committed rows, where a working set holds only some.
pub(crate) struct Beneath {
    store: Box<dyn Store>,
    /// What the working set may take, in bytes.
    memory: usize,
    /// How many slots there is room for, as far as the maps are concerned.
    slots: usize,
    /// What a row takes outside of the maps, in bytes; none, or about what it takes encoded.
    outside: usize,
    has_outside: bool,
    /// What a row takes encoded, in bytes.
    encoded: usize,
    reads: Cell<u64>,
    dropped: Cell<u64>,
}

/// After so many changes, or so many bytes of them, a commit had better be made: what it holds
/// until it is written, and the pause that it is, stay small.
const CHANGES: usize = 1 << 16;
const SHARE: usize = 8;

/// What the allocator takes for each thing that a row owns.
const ALLOCATION: usize = 32;

/// Is shown the key of a row, its time, its headers and its value.
pub(crate) type Show<'a> =
    dyn FnMut(&[u8], Timestamp, Headers, &[u8]) -> Result<ControlFlow<()>> + 'a;

impl Beneath {
    /// A working set of maps from `K` to `A` that have room for so many slots in `memory` bytes.
    pub(crate) fn new<K, A>(store: Box<dyn Store>, memory: usize, slots: usize) -> Self {
        let has_outside = std::mem::needs_drop::<(K, A)>();
        let (outside, encoded) = (0, 0);
        let (reads, dropped) = <(Cell<u64>, Cell<u64>)>::default();
        Self { store, memory, slots, outside, has_outside, encoded, reads, dropped }
    }

    /// Rows take about so many bytes each, encoded. What is too little memory for any is a number
    /// of slots, as [`Cells::room`] says, and what rows own does not count there.
    pub(crate) fn weigh(&mut self, encoded: usize) {
        self.encoded = encoded;
        if self.has_outside && self.memory >= ROOM {
            self.outside = encoded + ALLOCATION;
        }
    }

    /// How many slots the working set has room for: with what lies outside of the maps, they get
    /// half of the memory.
    pub(crate) fn room(&self) -> usize {
        match self.memory / 2 / self.outside.max(1) {
            rows if self.outside > 0 => self.slots.min(rows),
            _ => self.slots,
        }
    }

    /// Drops the oldest slots of a map, and counts them.
    pub(crate) fn evict<K: Key, A: Clone>(&self, cells: &mut Cells<K, A>) {
        let held = cells.len();
        cells.evict();
        self.dropped.set(self.dropped.get() + (held - cells.len()) as u64);
    }

    /// Whether `more` slots beside those that are `held` are more than there is room for.
    pub(crate) fn is_tight(&self, held: usize, more: usize) -> bool {
        held + more > self.room()
    }

    /// How it stands with `pinned` slots that cannot be dropped and so many changes since the last
    /// commit. Pressure is in percent of half of the room.
    pub(crate) fn standing(&self, pinned: usize, changed: usize) -> Standing {
        let memory = if self.memory < ROOM { usize::MAX } else { self.memory };
        let limit = CHANGES.min(memory / SHARE / self.encoded.max(1));
        Standing {
            pressure: pinned * 200 / self.room().max(1),
            is_heavy: changed > limit.min(self.room() / 8),
            read: self.reads.get(),
            dropped: self.dropped.get(),
        }
    }

    /// The row behind `key`, read by `decode`.
    pub(crate) fn read<A>(
        &self,
        key: &[u8],
        decode: impl FnOnce(Headers, &[u8]) -> Result<A>,
    ) -> Result<Option<(A, Timestamp)>> {
        self.reads.set(self.reads.get() + 1);
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
            self.evict(cells);
        } else {
            cells.prepare(self.room());
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
