//! Rows that go by time: the stream time of a table, and when to look at which row (rule A5).

use super::{Agenda, Cells, Slot, StreamTime};
use crate::Key;
use suiro_core::Timestamp;
use suiro_engine::Gate;

/// The stream time of a table whose rows go after a while, and when to look at which of them.
///
/// A row that is updated is not put on the agenda again: it is looked at when its oldest time
/// would be over, and then, if it is younger, put there for the time when it is. So there is
/// one entry for a key, but for those that went and came again, or went back in time.
pub(crate) struct Expiry<K> {
    ttl: i64,
    time: StreamTime,
    due: Agenda<K>,
    /// How many entries there are on the agenda.
    entries: usize,
}

/// A row that has gone, and when it was over.
pub(crate) struct Expired<K, A> {
    pub(crate) key: K,
    pub(crate) row: A,
    pub(crate) at: Timestamp,
}

/// So many entries are no matter, however few rows there are.
const FEW: usize = 4096;

impl<K: Key> Expiry<K> {
    /// For rows that live for `ttl` milliseconds.
    pub(super) fn new(ttl: i64) -> Self {
        Self { ttl, time: StreamTime::NONE, due: Agenda::new(ttl), entries: 0 }
    }

    /// A record arrives: gives stream time, this record included.
    #[inline]
    pub(crate) fn observe(&mut self, at: Timestamp, gate: &Gate) -> Timestamp {
        self.time.observe(at, gate)
    }

    /// Follows the gate, which may have risen.
    pub(crate) fn settle(&mut self, gate: &Gate) -> Timestamp {
        self.time.settle(gate)
    }

    /// After how many milliseconds more a row may be over.
    pub(super) fn due_in(&self) -> Option<i64> {
        self.time.until(self.due.next())
    }

    /// When a row of the time `at` is over.
    #[inline]
    pub(crate) fn end(&self, at: Timestamp) -> Timestamp {
        at.plus_millis(self.ttl)
    }

    /// A row of the time `at` was put in place of one of the time `before`, if there was one.
    #[inline]
    pub(crate) fn note(&mut self, key: &K, at: Timestamp, before: Option<Timestamp>) {
        if before.is_none_or(|before| at < before) {
            self.push(key.clone(), at);
        }
    }

    fn push(&mut self, key: K, at: Timestamp) {
        self.due.push(self.end(at), key);
        self.entries += 1;
    }

    /// Takes out the rows that are over at `now`, roughly in order of their time.
    pub(super) fn take_due<A: Clone>(
        &mut self,
        now: Timestamp,
        cells: &mut Cells<K, A>,
    ) -> Vec<Expired<K, A>> {
        let mut gone = Vec::new();
        while let Some((_, key)) = self.due.pop(now) {
            self.entries -= 1;
            let place = cells.place(&key);
            let Some(row_at) = cells.get_at(place, &key).map(Slot::at) else { continue };
            let at = self.end(row_at);
            if at > now {
                self.push(key, row_at);
                continue;
            }
            let slot = cells.edit_at(place, &key);
            let row = slot.replace(None);
            slot.set_at(at);
            gone.extend(row.map(|row| Expired { key, row, at }));
        }
        // Keys that come and go before their time leave entries behind.
        if self.entries > 2 * cells.len() + FEW {
            self.note_all(cells);
        }
        gone
    }

    /// Looks at every row anew.
    pub(super) fn note_all<A: Clone>(&mut self, cells: &Cells<K, A>) {
        self.due.clear();
        self.entries = 0;
        for (key, slot) in cells.iter() {
            self.push(key.clone(), slot.at());
        }
    }

    /// All rows are there: no time was seen before theirs. It is known from the changelog, but
    /// for rows of a program in which they did not go by time.
    pub(super) fn restored<A: Clone>(&mut self, cells: &Cells<K, A>) {
        if let Some(newest) = cells.iter().map(|(_, slot)| slot.at()).max() {
            self.time.have_seen(newest);
        }
        if !cfg!(suiro_mutant = "due_rows_not_restored") {
            self.note_all(cells);
        }
    }

    pub(super) fn time(&self) -> &StreamTime {
        &self.time
    }

    pub(super) fn time_mut(&mut self) -> &mut StreamTime {
        &mut self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn put(expiry: &mut Expiry<u32>, cells: &mut Cells<u32, u8>, key: u32, time: i64) {
        let before = cells.get(&key).map(Slot::at);
        let slot = cells.edit(&key);
        slot.replace(Some(1));
        slot.set_at(at(time));
        expiry.note(&key, at(time), before);
    }

    #[test]
    fn a_row_that_is_updated_again_and_again_has_one_entry() {
        let (mut expiry, mut cells) = (Expiry::new(1_000), Cells::new());
        for time in 0..100_000 {
            put(&mut expiry, &mut cells, 1, time);
            assert!(expiry.take_due(at(time), &mut cells).is_empty());
        }
        assert_eq!(expiry.entries, 1);
        assert_eq!(expiry.take_due(at(100_998), &mut cells).len(), 0);
        assert_eq!(expiry.take_due(at(100_999), &mut cells).len(), 1);
    }

    #[test]
    fn a_row_that_comes_and_goes_before_its_time_leaves_few_behind() {
        let (mut expiry, mut cells) = (Expiry::new(1_000_000), Cells::new());
        for time in 0..50_000 {
            put(&mut expiry, &mut cells, 1, time);
            cells.edit(&1).replace(None);
            assert!(expiry.take_due(at(time), &mut cells).is_empty());
            assert!(expiry.entries <= FEW + 2);
        }
        put(&mut expiry, &mut cells, 1, 60_000);
        let gone = expiry.take_due(at(1_060_000), &mut cells);
        assert_eq!(gone.iter().map(|gone| gone.at).collect::<Vec<_>>(), [at(1_060_000)]);
    }
}
