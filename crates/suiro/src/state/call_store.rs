//! The store of calls that are to be made or under way: their records, in order of arrival.
//!
//! What a call has brought is not state: until it is handed on and committed, the record is, and the
//! call is made again after a crash.

use super::deeds::Deeds;
use super::form::form;
use super::numbers::Numbers;
use super::prefix;
use crate::format::{Format, read_state, write_state};
use crate::state::encode_key;
use crate::{Data, Key, Record};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use suiro_core::{Error, Headers, Result};
use suiro_engine::{Changes, Form, Restored, State};

/// What a call has brought.
pub(crate) type Answer<W> = Result<W, Arc<Error>>;

/// A record of which a call is made.
#[derive(Clone)]
struct Asked<K, V, W> {
    record: Record<K, V>,
    stage: Stage<W>,
}

#[derive(Clone)]
enum Stage<W> {
    Waits,
    /// The number tells the answer to this call from one to an earlier call for another record.
    Runs(u64),
    Ended(Answer<W>),
}

/// A call that is to be made now.
pub(crate) struct Due<V> {
    pub(crate) number: u64,
    pub(crate) token: u64,
    pub(crate) value: V,
}

/// The records of which calls are made, with the changes of the generations that are open.
pub(crate) struct CallStore<K: 'static, V, W> {
    rows: BTreeMap<u64, Asked<K, V, W>>,
    /// Those that may be called for now.
    ready: BTreeSet<u64>,
    /// Those whose calls have ended.
    ended: BTreeSet<u64>,
    /// Where the calls of a key go one after another: those of each, in order.
    queues: Option<HashMap<K, VecDeque<u64>, FixedState>>,
    running: usize,
    numbers: Numbers,
    /// Records of earlier generations that went since the last commit.
    gone: Deeds<(u64, Asked<K, V, W>)>,
    tokens: u64,
    keys: &'static dyn Format<K>,
}

impl<K: Key, V: Data, W: Clone + Send + 'static> CallStore<K, V, W> {
    pub(crate) fn new(keys: &'static dyn Format<K>, in_order: bool) -> Self {
        Self {
            rows: BTreeMap::new(),
            ready: BTreeSet::new(),
            ended: BTreeSet::new(),
            queues: in_order.then(HashMap::default),
            running: 0,
            numbers: Numbers::default(),
            gone: Deeds::new(),
            tokens: 0,
            keys,
        }
    }

    /// Keeps a record of which a call is to be made.
    pub(crate) fn keep(&mut self, record: Record<K, V>) {
        let number = self.numbers.give();
        self.line_up(number, &record.key, true);
        self.rows.insert(number, Asked { record, stage: Stage::Waits });
    }

    /// Puts a record at the end of its queue.
    fn line_up(&mut self, number: u64, key: &K, waits: bool) {
        let is_first = match &mut self.queues {
            None => true,
            Some(queues) => match queues.get_mut(key) {
                Some(queue) => {
                    queue.push_back(number);
                    false
                }
                None => {
                    queues.insert(key.clone(), VecDeque::from([number]));
                    true
                }
            },
        };
        if is_first && waits {
            self.ready.insert(number);
        }
    }

    /// The next call to make, if fewer than `limit` are under way.
    pub(crate) fn start(&mut self, limit: usize) -> Option<Due<V>> {
        if self.running >= limit {
            return None;
        }
        let number = self.ready.pop_first()?;
        let row = self.rows.get_mut(&number)?;
        self.tokens += 1;
        self.running += 1;
        row.stage = Stage::Runs(self.tokens);
        Some(Due { number, token: self.tokens, value: row.record.value.clone() })
    }

    /// A call has ended. One that nobody waits for any more changes nothing.
    pub(crate) fn end(&mut self, number: u64, token: u64, answer: Answer<W>) {
        let row = self.rows.get_mut(&number);
        if let Some(row) = row.filter(|row| matches!(row.stage, Stage::Runs(of) if of == token))
        {
            row.stage = Stage::Ended(answer);
            self.running -= 1;
            self.ended.insert(number);
        }
    }

    /// Takes out the first record whose call has ended.
    pub(crate) fn take(&mut self) -> Option<(Record<K, V>, Answer<W>)> {
        let number = self.ended.pop_first()?;
        let row = self.rows.remove(&number)?;
        if let Some(queues) = &mut self.queues
            && let Some(queue) = queues.get_mut(&row.record.key)
        {
            queue.retain(|of| *of != number);
            match queue.front() {
                None => drop(queues.remove(&row.record.key)),
                Some(next) => {
                    let next_row = self.rows.get(next);
                    if next_row.is_some_and(|row| matches!(row.stage, Stage::Waits)) {
                        self.ready.insert(*next);
                    }
                }
            }
        }
        if number < self.numbers.first() && !cfg!(suiro_mutant = "call_given_twice") {
            self.gone.push((number, row.clone()));
        }
        let Stage::Ended(answer) = row.stage else { return None };
        Some((row.record, answer))
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether a call has ended that was not handed on.
    pub(crate) fn has_answers(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Makes the queues anew.
    fn settle(&mut self) {
        self.ready.clear();
        self.ended.clear();
        self.running = 0;
        if let Some(queues) = &mut self.queues {
            queues.clear();
        }
        let rows = std::mem::take(&mut self.rows);
        for (number, row) in &rows {
            self.line_up(*number, &row.record.key, matches!(row.stage, Stage::Waits));
            match row.stage {
                Stage::Waits => {}
                Stage::Runs(_) => self.running += 1,
                Stage::Ended(_) => drop(self.ended.insert(*number)),
            }
        }
        self.rows = rows;
    }

    fn put_row(
        &self,
        (number, record, is_there): (u64, &Record<K, V>, bool),
        (key, value): (&mut Vec<u8>, &mut Vec<u8>),
        changes: &mut Changes,
    ) -> Result<()> {
        key.clear();
        key.push(prefix::ROW);
        key.extend_from_slice(&number.to_be_bytes());
        encode_key(self.keys, &record.key, key)?;
        if !is_there {
            return changes.put(record.at, key, None, &Headers::NONE);
        }
        value.clear();
        write_state(&record.value, value)?;
        changes.put(record.at, key, Some(value), &record.headers)
    }
}

impl<K: Key, V: Data, W: Clone + Send + 'static> State for CallStore<K, V, W> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (number, row) in self.gone.iter() {
            let row = (*number, &row.record, false);
            self.put_row(row, (&mut key, &mut value), changes)?;
        }
        for (number, row) in self.rows.range(self.numbers.first()..) {
            let row = (*number, &row.record, true);
            self.put_row(row, (&mut key, &mut value), changes)?;
        }
        Ok(())
    }

    fn seal(&mut self) -> bool {
        self.gone.seal();
        self.numbers.seal();
        true
    }

    fn committed(&mut self) {
        self.gone.commit();
        self.numbers.commit();
    }

    fn rollback(&mut self) {
        self.numbers.rollback();
        drop(self.rows.split_off(&self.numbers.first()));
        let gone = self.gone.take_back();
        self.rows.extend(gone.filter(|(number, _)| self.numbers.is_committed(*number)));
        self.settle();
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        let cut_off = || Error::corrupt("the key of a call is cut off");
        let Some((&prefix::ROW, rest)) = change.key.split_first() else {
            return Err(Error::corrupt("unknown kind of row in a changelog"));
        };
        let (number, key) = rest.split_first_chunk().ok_or_else(cut_off)?;
        let number = u64::from_be_bytes(*number);
        self.numbers.have_given(number);
        // A row that is written down and read again in tests does not lose its call.
        match (change.value, self.rows.get(&number)) {
            (None, _) => drop(self.rows.remove(&number)),
            (Some(value), known) => {
                let stage = known.map_or(Stage::Waits, |row| row.stage.clone());
                let (key, value) = (self.keys.decode(key)?, read_state(value)?);
                let (at, headers) = (change.at, change.headers.clone());
                let record = Record { key, value, at, headers };
                self.rows.insert(number, Asked { record, stage });
            }
        }
        Ok(())
    }

    fn restored(&mut self) -> Result<()> {
        self.numbers.settle();
        self.settle();
        Ok(())
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn form(&self) -> Option<Form> {
        Some(form::<K, V>("calls under way".to_owned(), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
