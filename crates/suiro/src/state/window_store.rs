//! The store of fixed windows: for each window that is open, one row per key.

use super::form::form;
use super::table_store::encode_key;
use super::{Cells, StreamTime, prefix};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use std::any::Any;
use std::collections::BTreeMap;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, State};

/// A window of a key.
#[derive(Clone)]
pub(crate) enum Held<A> {
    /// It takes records; with the headers of the last one.
    Open(A, Headers),
    /// The end of a bounded run has closed it before its time; it stays closed.
    Closed,
}

/// Windows by start, then rows by key.
pub(crate) struct WindowStore<K: 'static, A: 'static> {
    pub(crate) panes: BTreeMap<Timestamp, Cells<K, Held<A>>>,
    pub(crate) time: StreamTime,
    pub(crate) keys: &'static dyn Format<K>,
    /// Empty maps of windows that came and went between two commits, to be used again.
    spare: Vec<Cells<K, Held<A>>>,
    /// The size of a window, in milliseconds.
    pub(crate) size: i64,
}

impl<K: Key, A: Data> WindowStore<K, A> {
    pub(crate) fn new(keys: &'static dyn Format<K>, size: i64) -> Self {
        let (panes, spare) = (BTreeMap::new(), Vec::new());
        Self { panes, time: StreamTime::NONE, keys, spare, size }
    }

    /// The rows of the window that starts at `start`.
    pub(crate) fn pane(&mut self, start: Timestamp) -> &mut Cells<K, Held<A>> {
        let spare = &mut self.spare;
        self.panes.entry(start).or_insert_with(|| spare.pop().unwrap_or_else(Cells::new))
    }

    /// Takes out the rows of a window that came and goes between two commits: nobody has seen
    /// it, and to take the commit back is to forget it. Gives whether it was one.
    pub(crate) fn drain_fresh(
        &mut self,
        start: Timestamp,
        take: impl FnMut(K, Held<A>, Timestamp),
    ) -> bool {
        if !self.panes.get(&start).is_some_and(Cells::is_fresh) {
            return false;
        }
        if let Some(mut pane) = self.panes.remove(&start) {
            pane.drain_fresh(take);
            self.spare.push(pane);
        }
        true
    }

    fn key(&self, start: Timestamp, key: &K, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        out.push(prefix::ROW);
        out.extend_from_slice(&start.as_millis().to_be_bytes());
        encode_key(self.keys, key, out)
    }
}

impl<K: Key, A: Data> State for WindowStore<K, A> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (start, cells) in &self.panes {
            if cells.is_emptied() {
                for (row, at) in cells.removed() {
                    self.key(*start, row, &mut key)?;
                    changes.put(at, &key, None, &Headers::NONE)?;
                }
                continue;
            }
            for (touched, slot) in cells.touched() {
                if touched.before.is_none() && slot.get().is_none() {
                    continue;
                }
                self.key(*start, &touched.key, &mut key)?;
                value.clear();
                match slot.get() {
                    None => changes.put(slot.at(), &key, None, &Headers::NONE)?,
                    Some(Held::Open(row, headers)) => {
                        write_state(&Some(row.clone()), &mut value)?;
                        changes.put(slot.at(), &key, Some(&value), headers)?;
                    }
                    Some(Held::Closed) => {
                        write_state(&None::<A>, &mut value)?;
                        changes.put(slot.at(), &key, Some(&value), &Headers::NONE)?;
                    }
                }
            }
        }
        self.time.save(changes)
    }

    fn committed(&mut self) {
        self.panes.retain(|_, cells| {
            let is_over = cells.is_emptied();
            if !is_over {
                cells.commit();
            }
            !is_over
        });
        self.time.commit();
    }

    fn rollback(&mut self) {
        self.panes.values_mut().for_each(Cells::rollback);
        self.panes.retain(|_, cells| !cells.is_unused());
        self.time.rollback();
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        let (kind, rest) = change.key.split_first().unwrap_or((&0xff, &[]));
        match (*kind, rest.split_first_chunk::<8>()) {
            (prefix::TIME, _) => self.time.restore(change.value),
            (prefix::ROW, Some((start, key))) => {
                let start = Timestamp::from_millis(i64::from_be_bytes(*start));
                let key = self.keys.decode(key)?;
                let Some(value) = change.value else {
                    self.pane(start).unload(&key);
                    return Ok(());
                };
                let held = match read_state::<Option<A>>(value)? {
                    Some(row) => Held::Open(row, change.headers.clone()),
                    None => Held::Closed,
                };
                self.pane(start).load(key, held, change.at);
                Ok(())
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) {
        self.panes.retain(|_, cells| !cells.is_unused());
    }

    fn rows(&self) -> usize {
        self.panes.values().map(Cells::len).sum()
    }

    fn stream_time(&self) -> Option<Timestamp> {
        Some(self.time.now())
    }

    fn form(&self) -> Option<Form> {
        Some(form::<K, A>(format!("windows of {} ms", self.size), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
