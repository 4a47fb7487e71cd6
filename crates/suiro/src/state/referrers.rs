//! The left rows of a foreign-key join, by the key that they refer to.
//!
//! The rows that refer to one key are kept in order of the bytes of their own keys, for that is
//! the order in which an update of the right row goes through them (rule F1).

use super::deeds::Deeds;
use super::referrer_list::{KeyBytes, ReferrerList};
use super::referrer_rows::read_rows;
use super::slots::{Lower, Rows, Slot, Slots};
use crate::format::Format;
use crate::{Data, Key};
use suiro_core::{Result, Timestamp};

/// A left row.
#[derive(Clone)]
pub(crate) struct Referrer<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    pub(crate) at: Timestamp,
    /// The task that sent it, and the version that it gave it.
    pub(crate) lane: u32,
    pub(crate) version: u64,
    /// The generation of its last change, if that is not committed, and the place of it in what
    /// was done in that generation.
    pub(super) changed: u64,
    pub(super) place: u32,
}

impl<K, V> Referrer<K, V> {
    pub(crate) fn new(key: K, value: V, at: Timestamp, (lane, version): (u32, u64)) -> Self {
        Self { key, value, at, lane, version, changed: 0, place: 0 }
    }
}

/// The left rows by the key that they refer to, with the changes of the generations that are open.
pub(crate) struct ReferrerStore<F: 'static, K: 'static, V> {
    pub(super) slots: Slots<F, ReferrerList<K, V>>,
    /// What changed since the last commit, to be taken back or saved.
    pub(super) log: Deeds<Before<K, V>>,
    /// How many rows there are.
    pub(super) count: usize,
    pub(super) foreign: &'static dyn Format<F>,
    pub(super) keys: &'static dyn Format<K>,
    pub(super) lower: Option<Lower>,
}

impl<K, V> Rows for ReferrerList<K, V> {
    fn count(&self) -> usize {
        self.len()
    }
}

/// A row as it was at the last commit, if it was there.
pub(super) struct Before<K, V> {
    pub(super) slot: u32,
    pub(super) bytes: KeyBytes,
    pub(super) row: Option<Referrer<K, V>>,
}

/// The slot of a key that no row refers to.
pub(crate) const NO_SLOT: u32 = u32::MAX;

impl<F: Key, K: Key, V: Data> ReferrerStore<F, K, V> {
    /// How much of memory a row or a key takes, at most and without what values point to.
    pub(super) const ROW_BYTES: usize = {
        let (slot, row) =
            (size_of::<Slot<F, ReferrerList<K, V>>>(), size_of::<(KeyBytes, Referrer<K, V>)>());
        if slot > row { slot } else { row }
    };

    pub(crate) fn new(foreign: &'static dyn Format<F>, keys: &'static dyn Format<K>) -> Self {
        Self {
            slots: Slots::default(),
            log: Deeds::new(),
            count: 0,
            foreign,
            keys,
            lower: None,
        }
    }

    /// The slot of `key`, with all its rows; a new one if nothing is held.
    fn raise(&mut self, key: &F) -> Result<u32> {
        if let Some(slot) = self.slots.find(key) {
            return Ok(slot);
        }
        let mut rows = ReferrerList::default();
        if let Some(lower) = &self.lower {
            read_rows(&lower.below, (self.foreign, self.keys), key, &mut |bytes, row| {
                rows.put(bytes, row);
            })?;
        }
        self.count += rows.len();
        Ok(self.slots.insert(key.clone(), rows, Timestamp::MAX))
    }

    /// The slots of keys, with all rows that refer to them, to be read and changed. They stay
    /// where they are until the next call and the next commit.
    pub(crate) fn find<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a F>,
        slots: &mut Vec<u32>,
    ) -> Result<()>
    where
        F: 'a,
    {
        let held = self.slots.len() + self.count;
        if let Some(lower) =
            self.lower.as_ref().filter(|it| it.below.is_tight(held, keys.len()))
        {
            self.count -= self.slots.evict(lower.safe);
        }
        for key in keys {
            slots.push(self.raise(key)?);
        }
        Ok(())
    }

    /// As [`ReferrerStore::find`], for keys whose rows are only read: [`NO_SLOT`] for those
    /// that nothing refers to.
    pub(crate) fn look<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a F>,
        slots: &mut Vec<u32>,
    ) -> Result<()>
    where
        F: 'a,
    {
        if self.lower.is_some() {
            return self.find(keys, slots);
        }
        slots.extend(keys.map(|key| self.slots.find(key).unwrap_or(NO_SLOT)));
        Ok(())
    }

    /// The rows of a slot, in order of the bytes of their keys.
    pub(crate) fn rows(&self, slot: u32) -> impl Iterator<Item = &Referrer<K, V>> {
        (slot != NO_SLOT).then(|| self.slots[slot].rows.iter()).into_iter().flatten()
    }

    /// Puts a row into a slot, or takes it out.
    pub(crate) fn change(&mut self, slot: u32, bytes: KeyBytes, row: Option<Referrer<K, V>>) {
        let (generation, place) = (self.log.generation(), self.log.at_hand() as u32);
        let kept = &mut self.slots[slot];
        let is_there = row.is_some();
        let before = match row {
            Some(row) => {
                let row = Referrer { changed: generation, place, ..row };
                kept.rows.put(bytes.clone(), row)
            }
            None => kept.rows.remove(&bytes),
        };
        self.count = self.count + usize::from(is_there) - usize::from(before.is_some());
        kept.changed = generation;
        let may_go = !is_there && kept.rows.is_empty();
        match before {
            // It is in the log already.
            Some(before) if before.changed == generation => {
                if let Some(row) = kept.rows.get_mut(&bytes) {
                    row.place = before.place;
                }
            }
            None if !is_there => {}
            before => self.log.push(Before { slot, bytes, row: before }),
        }
        if may_go {
            self.slots.may_go(slot);
        }
    }

    /// Puts a committed row or drops one, as restoring does.
    pub(super) fn load(&mut self, key: F, bytes: KeyBytes, row: Option<Referrer<K, V>>) {
        let slot = self.slots.find(&key);
        let slot = slot
            .unwrap_or_else(|| self.slots.insert(key, ReferrerList::default(), Timestamp::MAX));
        let rows = &mut self.slots[slot].rows;
        let (is_there, before) = match row {
            Some(row) => (true, rows.put(bytes, row)),
            None => (false, rows.remove(&bytes)),
        };
        self.count = self.count + usize::from(is_there) - usize::from(before.is_some());
        if !is_there {
            self.slots.may_go(slot);
        }
    }

    /// The changes are durable.
    pub(super) fn commit_rows(&mut self) {
        let (generation, changes) = self.log.commit();
        if let Some(lower) = &mut self.lower {
            lower.commit(generation, changes);
        }
        self.slots.let_settled_go(self.lower.is_some(), self.log.generation());
    }

    /// Puts everything back to the last commit.
    pub(super) fn take_back(&mut self) {
        for Before { slot, bytes, row } in self.log.take_back() {
            let rows = &mut self.slots[slot].rows;
            let (is_there, gone) = match row {
                Some(row) => (true, rows.put(bytes, row)),
                None => (false, rows.remove(&bytes)),
            };
            self.count = self.count + usize::from(is_there) - usize::from(gone.is_some());
            self.slots.may_go(slot);
        }
        self.let_idle_go();
    }

    /// All rows that are there are committed.
    pub(super) fn let_idle_go(&mut self) {
        self.slots.let_idle_go(self.lower.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use suiro_core::Headers;
    use suiro_engine::State;

    const TOPIC: Topic<u8, u32> = Topic::json("rows");

    type Rows = BTreeMap<(u8, u8), u32>;
    type Store = ReferrerStore<u8, u8, u32>;

    fn rows_of(store: &Store) -> Rows {
        store
            .slots
            .iter()
            .flat_map(|slot| slot.rows.iter().map(|row| ((*slot.key(), row.key), row.value)))
            .collect()
    }

    fn saved(store: &mut Store) -> Result<Vec<u8>> {
        let mut changes = suiro_engine::Changes::default();
        store.save(&mut changes)?;
        changes.finish()
    }

    fn take(copy: &mut Store, changes: Vec<u8>) -> Result<()> {
        for batch in suiro_core::batch::batches(changes.into()) {
            for record in batch?.records()?.iter() {
                let record = record?;
                let (key, value, at) =
                    (record.key.unwrap_or_default(), record.value, record.at);
                let (headers, from_source) = (&Headers::NONE, false);
                copy.restore(suiro_engine::Restored { key, value, at, headers, from_source })?;
            }
        }
        copy.restored()
    }

    proptest! {
        /// The store behaves as three maps, the one that is, the one in flight and the one that
        /// was committed, and is the same when it is restored from what it has saved.
        #[test]
        fn left_rows_are_three_maps(
            steps in prop::collection::vec((0..12_u8, 0..3_u8, 0..9_u8, any::<u32>()), 0..300),
        ) {
            let new = || Store::new(TOPIC.keys, TOPIC.keys);
            let (mut store, mut copy) = (new(), new());
            let (mut now, mut committed) = (Rows::new(), Rows::new());
            let mut sealed: Option<(Rows, Vec<u8>)> = None;
            for (what, foreign, key, value) in steps {
                match what {
                    // A commit sets off, or one that is in flight has happened.
                    0 if sealed.is_none() => {
                        sealed = Some((now.clone(), saved(&mut store)?));
                        store.seal();
                    }
                    0 | 1 => {
                        let (rows, changes) = match sealed.take() {
                            Some(sealed) => sealed,
                            None => (now.clone(), saved(&mut store)?),
                        };
                        store.committed();
                        committed = rows;
                        take(&mut copy, changes)?;
                        prop_assert_eq!(rows_of(&copy), committed.clone());
                        prop_assert_eq!(copy.count, committed.len());
                    }
                    2 => {
                        store.rollback();
                        sealed = None;
                        now = committed.clone();
                    }
                    _ => {
                        let row = (what > 4).then_some(value);
                        let mut slots = Vec::new();
                        store.find([foreign].iter(), &mut slots)?;
                        let bytes = KeyBytes::from_slice(key.to_string().as_bytes());
                        let made = row.map(|row| Referrer::new(key, row, Timestamp::ZERO, (0, 0)));
                        store.change(slots[0], bytes, made);
                        match row {
                            Some(row) => now.insert((foreign, key), row),
                            None => now.remove(&(foreign, key)),
                        };
                    }
                }
                prop_assert_eq!(rows_of(&store), now.clone());
                prop_assert_eq!(store.count, now.len());
                let held: Vec<u8> = [foreign, foreign + 1]
                    .iter()
                    .flat_map(|key| store.rows(store.slots.find(key).unwrap_or(NO_SLOT)))
                    .map(|row| row.key)
                    .collect();
                let range = now.range((foreign, 0)..(foreign + 2, 0));
                prop_assert_eq!(held, range.map(|((_, key), _)| *key).collect::<Vec<_>>());
            }
        }
    }
}
