//! The versions of a row: what was valid from when on (rule K2).

use std::collections::VecDeque;
use suiro_core::Timestamp;

/// A row, or none after a removal, that is valid from a time on.
#[derive(Clone, Debug)]
pub(crate) struct Version<V> {
    pub(crate) at: Timestamp,
    /// The generation of changes in which it came; 0 for one that was read.
    pub(super) born: u64,
    pub(crate) row: Option<V>,
}

/// The versions of a key in order of their times, no two of one time. The newest is at hand: most
/// look-ups end there.
#[derive(Debug)]
pub(crate) struct Versions<V> {
    newest: Option<Version<V>>,
    older: VecDeque<Version<V>>,
}

impl<V> Default for Versions<V> {
    fn default() -> Self {
        Self { newest: None, older: VecDeque::new() }
    }
}

impl<V> Versions<V> {
    pub(crate) fn newest(&self) -> Option<&Version<V>> {
        self.newest.as_ref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    pub(super) fn len(&self) -> usize {
        self.older.len() + usize::from(self.newest.is_some())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Version<V>> {
        self.older.iter().chain(&self.newest)
    }

    /// Puts a version in its place; gives the one of its time that it replaces.
    pub(super) fn put(&mut self, version: Version<V>) -> Option<Version<V>> {
        let Some(newest) = &mut self.newest else {
            self.newest = Some(version);
            return None;
        };
        if version.at > newest.at {
            self.older.push_back(std::mem::replace(newest, version));
            return None;
        }
        if version.at == newest.at {
            return Some(std::mem::replace(newest, version));
        }
        match self.search(version.at) {
            Ok(place) => Some(std::mem::replace(&mut self.older[place], version)),
            Err(place) => {
                self.older.insert(place, version);
                None
            }
        }
    }

    pub(super) fn remove(&mut self, at: Timestamp) -> Option<Version<V>> {
        if self.newest.as_ref().is_some_and(|newest| newest.at == at) {
            let last = self.older.pop_back();
            return std::mem::replace(&mut self.newest, last);
        }
        self.search(at).ok().and_then(|place| self.older.remove(place))
    }

    pub(super) fn get(&self, at: Timestamp) -> Option<&Version<V>> {
        match &self.newest {
            Some(newest) if newest.at == at => Some(newest),
            _ => self.search(at).ok().map(|place| &self.older[place]),
        }
    }

    fn search(&self, at: Timestamp) -> Result<usize, usize> {
        self.older.binary_search_by_key(&at, |version| version.at)
    }

    /// The version that is valid at a time before that of the newest.
    pub(super) fn before_newest(&self, at: Timestamp) -> Option<&Version<V>> {
        let place = self.older.partition_point(|version| version.at <= at);
        place.checked_sub(1).map(|place| &self.older[place])
    }

    /// From when on the oldest version is not needed any more: another is valid then, or it is a
    /// removal and says no more than that there is nothing. The largest time if it stays.
    pub(super) fn oldest_until(&self) -> Timestamp {
        let mut all = self.iter();
        let second = match all.next() {
            Some(oldest) if oldest.row.is_none() => return oldest.at,
            _ => all.next(),
        };
        second.map_or(Timestamp::MAX, |second| second.at)
    }

    pub(super) fn take_oldest(&mut self) -> Option<Version<V>> {
        self.older.pop_front().or_else(|| self.newest.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Versions are a map by time, of which the oldest goes when the next is valid.
        #[test]
        fn versions_are_a_map_by_time(
            steps in prop::collection::vec((0..5_u8, 0..20_i64, prop::option::of(0..9_u8)), 0..80),
        ) {
            let (mut versions, mut model) = (Versions::default(), BTreeMap::new());
            for (what, time, row) in steps {
                let at = Timestamp::from_millis(time);
                match what {
                    0 => {
                        let gone = versions.remove(at).map(|gone| gone.row);
                        prop_assert_eq!(gone, model.remove(&time));
                    }
                    1 => {
                        let until = versions.oldest_until().as_millis();
                        let second = model.keys().nth(1).copied();
                        let removal = model.iter().next().filter(|(_, row)| row.is_none());
                        let removal = removal.map(|(at, _)| *at);
                        prop_assert_eq!(until, removal.or(second).unwrap_or(i64::MAX));
                        if until <= time {
                            let oldest = versions.take_oldest().map(|oldest| oldest.row);
                            prop_assert_eq!(oldest, model.pop_first().map(|(_, row)| row));
                        }
                    }
                    _ => {
                        let replaced = versions.put(Version { at, born: 0, row });
                        prop_assert_eq!(replaced.map(|old| old.row), model.insert(time, row));
                    }
                }
                let rows: Vec<_> = versions.iter().map(|it| (it.at.as_millis(), it.row)).collect();
                prop_assert_eq!(rows, model.clone().into_iter().collect::<Vec<_>>());
                let newest = versions.newest().map(|newest| newest.at.as_millis());
                prop_assert_eq!(newest, model.keys().last().copied());
                prop_assert_eq!(versions.len(), model.len());
                let found = versions.get(at).map(|found| found.row);
                prop_assert_eq!(found, model.get(&time).copied());
                if newest.is_some_and(|newest| newest > time) {
                    let valid = versions.before_newest(at).map(|valid| valid.row);
                    prop_assert_eq!(valid, model.range(..=time).last().map(|(_, row)| *row));
                }
            }
        }
    }
}
