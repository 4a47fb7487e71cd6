//! The rows that refer to one key, in order of the bytes of their own keys.

use super::referrers::Referrer;
use smallvec::SmallVec;
use std::collections::{BTreeMap, btree_map};
use std::slice;

/// The bytes of a key; most are short.
pub(crate) type KeyBytes = SmallVec<[u8; 16]>;

/// More rows than this are a tree: a list would move too many of them for each that comes.
const MANY: usize = if cfg!(test) { 4 } else { 64 };

/// Rows by the bytes of their keys. Most keys have a few, and some have very many.
pub(super) enum ReferrerList<K, V> {
    Few(Vec<(KeyBytes, Referrer<K, V>)>),
    Many(BTreeMap<KeyBytes, Referrer<K, V>>),
}

impl<K, V> Default for ReferrerList<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K, V> ReferrerList<K, V> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(rows) => rows.len(),
            Self::Many(rows) => rows.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn iter(&self) -> Iter<'_, K, V> {
        match self {
            Self::Few(rows) => Iter::Few(rows.iter()),
            Self::Many(rows) => Iter::Many(rows.values()),
        }
    }

    pub(super) fn get(&self, bytes: &KeyBytes) -> Option<&Referrer<K, V>> {
        match self {
            Self::Few(rows) => {
                let place = rows.binary_search_by(|(key, _)| key.cmp(bytes)).ok()?;
                Some(&rows[place].1)
            }
            Self::Many(rows) => rows.get(bytes),
        }
    }

    pub(super) fn get_mut(&mut self, bytes: &KeyBytes) -> Option<&mut Referrer<K, V>> {
        match self {
            Self::Few(rows) => {
                let place = rows.binary_search_by(|(key, _)| key.cmp(bytes)).ok()?;
                Some(&mut rows[place].1)
            }
            Self::Many(rows) => rows.get_mut(bytes),
        }
    }

    /// Puts a row; gives the one that it takes the place of.
    pub(super) fn put(
        &mut self,
        bytes: KeyBytes,
        row: Referrer<K, V>,
    ) -> Option<Referrer<K, V>> {
        match self {
            Self::Few(rows) => {
                match rows.binary_search_by(|(key, _)| key.cmp(&bytes)) {
                    Ok(place) => return Some(std::mem::replace(&mut rows[place].1, row)),
                    Err(place) => {
                        // Many keys have one row, and a list makes room for four by itself.
                        if rows.capacity() == 0 {
                            rows.reserve_exact(1);
                        }
                        rows.insert(place, (bytes, row));
                    }
                }
                if rows.len() > MANY {
                    *self = Self::Many(std::mem::take(rows).into_iter().collect());
                }
                None
            }
            Self::Many(rows) => rows.insert(bytes, row),
        }
    }

    pub(super) fn remove(&mut self, bytes: &KeyBytes) -> Option<Referrer<K, V>> {
        match self {
            Self::Few(rows) => {
                let place = rows.binary_search_by(|(key, _)| key.cmp(bytes)).ok()?;
                Some(rows.remove(place).1)
            }
            Self::Many(rows) => {
                let row = rows.remove(bytes);
                if rows.len() <= MANY / 2 {
                    *self = Self::Few(std::mem::take(rows).into_iter().collect());
                }
                row
            }
        }
    }
}

/// The rows of a list, in order.
pub(super) enum Iter<'a, K, V> {
    Few(slice::Iter<'a, (KeyBytes, Referrer<K, V>)>),
    Many(btree_map::Values<'a, KeyBytes, Referrer<K, V>>),
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = &'a Referrer<K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(rows) => rows.next().map(|(_, row)| row),
            Self::Many(rows) => rows.next(),
        }
    }
}
