//! The store of a join that waits for its table: records in order of time and arrival (rule K2).
//!
//! Most records come in order of time, and all go in it. So those that do are a queue, and only
//! the others are in a tree.

use super::deeds::Deeds;
use super::form::form;
use super::numbers::Numbers;
use super::{StreamTime, prefix};
use crate::format::{Format, read_state, write_state};
use crate::state::encode_key;
use crate::{Data, Key, Record};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, State};

/// A record that waits, and its number in order of arrival.
#[derive(Clone, Debug)]
struct Waiting<K, V> {
    number: u64,
    record: Record<K, V>,
}

/// What says when a record goes, and tells it from all others.
type Turn = (Timestamp, u64);

impl<K, V> Waiting<K, V> {
    fn turn(&self) -> Turn {
        (self.record.at, self.number)
    }
}

/// The records that wait, with the changes of the generations that are open.
pub(crate) struct WaitStore<K: 'static, V> {
    orderly: VecDeque<Waiting<K, V>>,
    others: BTreeMap<Turn, Waiting<K, V>>,
    numbers: Numbers,
    /// Those that came since the last commit, and not in order of time.
    strays: Deeds<Turn>,
    /// Records of earlier generations that went since the last commit.
    gone: Deeds<Waiting<K, V>>,
    pub(crate) time: StreamTime,
    /// How long records wait, in milliseconds.
    grace: i64,
    keys: &'static dyn Format<K>,
}

impl<K: Key, V: Data> WaitStore<K, V> {
    pub(crate) fn new(keys: &'static dyn Format<K>, grace: i64) -> Self {
        Self {
            orderly: VecDeque::new(),
            others: BTreeMap::new(),
            numbers: Numbers::default(),
            strays: Deeds::new(),
            gone: Deeds::new(),
            time: StreamTime::NONE,
            grace,
            keys,
        }
    }

    /// Keeps a record, behind those of its time.
    pub(crate) fn keep(&mut self, record: Record<K, V>) {
        let number = self.numbers.give();
        let row = Waiting { number, record };
        match self.orderly.back() {
            Some(last) if last.record.at > row.record.at => {
                self.strays.push(row.turn());
                self.others.insert(row.turn(), row);
            }
            _ => self.orderly.push_back(row),
        }
    }

    /// Takes out the first record, if its time is not after `until`.
    pub(crate) fn release(&mut self, until: Timestamp) -> Option<Record<K, V>> {
        let orderly = self.orderly.front().map(Waiting::turn);
        let other = self.others.first_key_value().map(|(turn, _)| *turn);
        let is_other = match (orderly, other) {
            (Some(orderly), Some(other)) => other < orderly,
            (orderly, _) => orderly.is_none(),
        };
        let first = if is_other { other } else { orderly };
        first.filter(|(at, _)| *at <= until)?;
        let row = match is_other {
            true => self.others.pop_first().map(|(_, row)| row),
            false => self.orderly.pop_front(),
        }?;
        if row.number < self.numbers.first() {
            self.gone.push(row.clone());
        }
        Some(row.record)
    }

    /// The time of the first record.
    fn first_at(&self) -> Option<Timestamp> {
        let orderly = self.orderly.front().map(|row| row.record.at);
        let other = self.others.first_key_value().map(|((at, _), _)| *at);
        orderly.into_iter().chain(other).min()
    }

    fn len(&self) -> usize {
        self.orderly.len() + self.others.len()
    }

    fn iter(&self) -> impl Iterator<Item = &Waiting<K, V>> {
        self.orderly.iter().chain(self.others.values())
    }

    /// The records that wait as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> impl Iterator<Item = &Record<K, V>> {
        let all = self.iter().chain(self.gone.iter());
        let there = all.filter(|row| self.numbers.is_committed(row.number));
        there.map(|row| &row.record)
    }

    fn put_row(
        &self,
        row: &Waiting<K, V>,
        is_there: bool,
        (key, value): (&mut Vec<u8>, &mut Vec<u8>),
        changes: &mut Changes,
    ) -> Result<()> {
        let Waiting { number, record } = row;
        key.clear();
        key.push(prefix::ROW);
        key.extend_from_slice(&record.at.as_millis().to_be_bytes());
        key.extend_from_slice(&number.to_be_bytes());
        encode_key(self.keys, &record.key, key)?;
        if !is_there {
            return changes.put(record.at, key, None, &Headers::NONE);
        }
        value.clear();
        write_state(&record.value, value)?;
        changes.put(record.at, key, Some(value), &record.headers)
    }

    /// Takes a record of the changelog that is behind its first byte.
    fn load(&mut self, key: &[u8], change: &Restored<'_>) -> Result<()> {
        let split = || {
            let (at, rest) = key.split_first_chunk()?;
            let (number, key) = rest.split_first_chunk()?;
            Some((i64::from_be_bytes(*at), u64::from_be_bytes(*number), key))
        };
        let cut_off = || Error::corrupt("the key of a record that waits is cut off");
        let (at, number, key) = split().ok_or_else(cut_off)?;
        let at = Timestamp::from_millis(at);
        self.numbers.have_given(number);
        let place = self.orderly.binary_search_by_key(&(at, number), Waiting::turn);
        let Some(value) = change.value else {
            match place {
                Ok(place) => self.orderly.remove(place),
                Err(_) => self.others.remove(&(at, number)),
            };
            return Ok(());
        };
        let (key, value) = (self.keys.decode(key)?, read_state(value)?);
        let record = Record { key, value, at, headers: change.headers.clone() };
        let row = Waiting { number, record };
        match place {
            Ok(place) => self.orderly[place] = row,
            Err(_) => drop(self.others.insert((at, number), row)),
        }
        Ok(())
    }

    /// Has all that is there in order of time, as committed.
    fn settle(&mut self) {
        let mut all = std::mem::take(&mut self.others);
        all.extend(self.orderly.drain(..).map(|row| (row.turn(), row)));
        self.orderly = all.into_values().collect();
        self.numbers.settle();
    }
}

impl<K: Key, V: Data> State for WaitStore<K, V> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for row in self.gone.iter() {
            self.put_row(row, false, (&mut key, &mut value), changes)?;
        }
        let first = self.numbers.first();
        // Those that came since the last commit are at the end of the queue.
        let young = self.orderly.iter().rev().take_while(|row| row.number >= first);
        let from = self.orderly.len() - young.count();
        let strays = self.strays.iter().filter_map(|turn| self.others.get(turn));
        for row in self.orderly.range(from..).chain(strays) {
            self.put_row(row, true, (&mut key, &mut value), changes)?;
        }
        self.time.save(changes)
    }

    fn seal(&mut self) -> bool {
        self.gone.seal();
        self.strays.seal();
        self.numbers.seal();
        self.time.seal();
        true
    }

    fn committed(&mut self) {
        self.gone.commit();
        self.strays.commit();
        self.numbers.commit();
        self.time.commit();
    }

    fn rollback(&mut self) {
        self.time.rollback();
        self.numbers.rollback();
        let numbers = &self.numbers;
        self.orderly.retain(|row| numbers.is_committed(row.number));
        self.others.retain(|_, row| numbers.is_committed(row.number));
        let gone = self.gone.take_back().filter(|row| numbers.is_committed(row.number));
        self.others.extend(gone.map(|row| (row.turn(), row)));
        drop(self.strays.take_back());
        self.settle();
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        match change.key.split_first() {
            Some((&prefix::TIME, _)) => self.time.restore(change.value),
            Some((&prefix::ROW, key)) => self.load(key, &change),
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) -> Result<()> {
        self.settle();
        Ok(())
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn stream_time(&self) -> Option<Timestamp> {
        Some(self.time.now())
    }

    fn pass(&mut self, millis: i64) {
        self.time.pass(millis);
    }

    fn due_in(&self) -> Option<i64> {
        self.time.until(self.first_at().map(|at| at.plus_millis(self.grace)))
    }

    fn form(&self) -> Option<Form> {
        Some(form::<K, V>("records that wait".to_owned(), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;
    use proptest::prelude::*;

    const TOPIC: Topic<u8, u64> = Topic::json("waits");

    proptest! {
        /// Records go in order of time and arrival, and a roll-back knows those of the commit.
        #[test]
        fn records_go_in_order_of_time_and_arrival(
            steps in prop::collection::vec((0..9_u8, 0..20_i64), 0..200),
        ) {
            let mut store = WaitStore::<u8, u64>::new(TOPIC.keys, 0);
            let (mut now, mut committed, mut number) = (BTreeMap::new(), BTreeMap::new(), 0);
            let mut sealed: Option<BTreeMap<(i64, u64), ()>> = None;
            for (what, time) in steps {
                let at = Timestamp::from_millis(time);
                match what {
                    0 => {
                        store.committed();
                        committed = sealed.take().unwrap_or_else(|| now.clone());
                    }
                    1 => { store.rollback(); sealed = None; now = committed.clone(); }
                    8 if sealed.is_none() => { store.seal(); sealed = Some(now.clone()); }
                    8 => {}
                    2 | 3 => {
                        let got = store.release(at).map(|record| record.value);
                        let due = now.first_key_value().filter(|((due, _), ())| *due <= time);
                        let due = due.map(|(turn, ())| *turn);
                        prop_assert_eq!(got, due.map(|(_, number)| number));
                        due.and_then(|turn| now.remove(&turn));
                    }
                    _ => {
                        let headers = Headers::NONE;
                        store.keep(Record { key: 1, value: number, at, headers });
                        now.insert((time, number), ());
                        number += 1;
                    }
                }
                prop_assert_eq!(store.rows(), now.len());
                let mut old: Vec<_> = store.all_committed().map(|record| record.value).collect();
                old.sort_unstable();
                let mut expected: Vec<_> = committed.keys().map(|(_, number)| *number).collect();
                expected.sort_unstable();
                prop_assert_eq!(old, expected);
            }
        }
    }
}
