//! The last offset of each key, in little memory.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use suiro_core::Offset;

/// The last offset of each key. Keys lie one behind another; an entry knows where its key is.
#[derive(Default)]
pub(crate) struct Newest {
    entries: HashTable<Entry>,
    keys: Vec<u8>,
    hasher: FixedState,
}

struct Entry {
    /// Where the key begins, and how long it is.
    from: usize,
    len: u32,
    offset: Offset,
}

impl Newest {
    /// Notes that a record of `key` is at `offset`, behind those that were noted before.
    pub(crate) fn note(&mut self, key: &[u8], offset: Offset) {
        let (hash, keys, hasher) = (self.hasher.hash_one(key), &self.keys, &self.hasher);
        let is_it = |entry: &Entry| of(keys, entry) == key;
        if let Some(entry) = self.entries.find_mut(hash, is_it) {
            entry.offset = offset;
            return;
        }
        let entry = Entry { from: keys.len(), len: key.len() as u32, offset };
        self.entries.insert_unique(hash, entry, |entry| hasher.hash_one(of(keys, entry)));
        self.keys.extend_from_slice(key);
    }

    /// The last offset of `key`, if it was noted.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let hash = self.hasher.hash_one(key);
        let entry = self.entries.find(hash, |entry| of(&self.keys, entry) == key)?;
        Some(entry.offset)
    }

    /// How much memory it takes to note `records` more with `bytes` of keys, in bytes, while
    /// what has grown is moved.
    pub(crate) fn with(&self, records: usize, bytes: usize) -> usize {
        let buckets = self.entries.num_buckets();
        let grows = self.entries.len() + records > self.entries.capacity();
        let table = if grows { buckets * 3 } else { buckets } * (size_of::<Entry>() + 1);
        let room = self.keys.capacity();
        let grows = self.keys.len() + bytes > room;
        table + if grows { room * 3 } else { room }
    }
}

fn of<'a>(keys: &'a [u8], entry: &Entry) -> &'a [u8] {
    &keys[entry.from..entry.from + entry.len as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn the_last_offset_of_each_key_is_known(
            keys in prop::collection::vec(prop::collection::vec(0..4_u8, 0..4), 0..200),
        ) {
            let (mut newest, mut model) = (Newest::default(), HashMap::new());
            for (offset, key) in keys.iter().enumerate() {
                newest.note(key, offset as Offset);
                model.insert(key.clone(), offset as Offset);
            }
            for (key, offset) in &model {
                prop_assert_eq!(newest.get(key), Some(*offset));
            }
            prop_assert_eq!(newest.get(&[9]), None);
        }
    }
}
