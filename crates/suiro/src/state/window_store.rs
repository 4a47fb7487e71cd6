//! The store of fixed windows: for each window that is open, one row per key.

use super::beneath::{Beneath, raise};
use super::form::form;
use super::shares::Shares;
use super::table_store::encode_key;
use super::{Cells, Hops, Places, StreamTime, prefix};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use std::any::Any;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use suiro_core::store::Store;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, Standing, State};

/// A window of a key.
#[derive(Clone)]
pub(crate) enum Held<A> {
    /// It takes records; with the headers of the last one.
    Open(A, Headers),
    /// The end of a bounded run has closed it before its time; it stays closed.
    Closed,
}

/// A window by its start and key, with its time.
pub(crate) type Window<K, A> = (Timestamp, K, Held<A>, Timestamp);

/// Windows by start, then rows by key. All windows that have rows are there, also where the rows
/// themselves are below.
pub(crate) struct WindowStore<K: 'static, A: 'static> {
    pub(crate) panes: BTreeMap<Timestamp, Cells<K, Held<A>>>,
    pub(crate) time: StreamTime,
    pub(crate) keys: &'static dyn Format<K>,
    /// Empty maps of windows that came and went between two commits, to be used again.
    spare: Vec<Cells<K, Held<A>>>,
    pub(crate) hops: Hops,
    /// When the first open window closes; `None` if it must be looked up.
    pub(crate) next_due: Option<Timestamp>,
    /// The store that has all rows, where the windows hold only some.
    below: Option<Beneath>,
    shares: Shares,
    /// Whether there is a generation in flight.
    is_sealed: bool,
}

impl<K: Key, A: Data> WindowStore<K, A> {
    pub(crate) fn new(keys: &'static dyn Format<K>, hops: Hops) -> Self {
        Self {
            panes: BTreeMap::new(),
            time: StreamTime::NONE,
            keys,
            spare: Vec::new(),
            hops,
            next_due: None,
            below: None,
            shares: Shares::default(),
            is_sealed: false,
        }
    }

    /// A window closes at `closing`; gives when the first of all does. The least time if that must
    /// be looked up.
    pub(crate) fn will_be_due(&mut self, closing: Timestamp) -> Timestamp {
        self.next_due = self.next_due.map(|next| next.min(closing));
        self.next_due.unwrap_or(Timestamp::MIN)
    }

    /// As [`WindowStore::pane`], with stream time beside it.
    pub(crate) fn pane_and_time(
        &mut self,
        start: Timestamp,
    ) -> (&mut Cells<K, Held<A>>, &mut StreamTime) {
        let (spare, is_lean) = (&mut self.spare, self.below.is_some());
        let pane = self.panes.entry(start).or_insert_with(|| {
            let mut pane = spare.pop().unwrap_or_else(Cells::new);
            if is_lean {
                pane.lean(true);
            }
            pane
        });
        (pane, &mut self.time)
    }

    /// The rows of the window that starts at `start`.
    pub(crate) fn pane(&mut self, start: Timestamp) -> &mut Cells<K, Held<A>> {
        self.pane_and_time(start).0
    }

    /// Makes room for the rows of a batch, where not all are held.
    pub(crate) fn make_room(&mut self, rows: usize) {
        let held = self.panes.values().map(Cells::len).sum();
        if let Some(below) = self.below.as_ref().filter(|below| below.is_tight(held, rows)) {
            self.panes.values_mut().for_each(|pane| below.evict(pane));
        }
    }

    /// Looks for the rows of keys in the window that starts at `start`, brings up those that are
    /// below, and adds their places.
    pub(crate) fn find<'a>(
        &mut self,
        start: Timestamp,
        keys: impl ExactSizeIterator<Item = &'a K> + Clone,
        places: &mut Places,
    ) -> Result<()>
    where
        K: 'a,
    {
        self.bring(start, keys.clone())?;
        match self.panes.get(&start) {
            Some(pane) => pane.find(keys, places),
            None => places.skip(keys.len()),
        }
        Ok(())
    }

    /// Brings up the rows of keys that are below in the window that starts at `start`.
    pub(crate) fn bring<'a>(
        &mut self,
        start: Timestamp,
        keys: impl Iterator<Item = &'a K>,
    ) -> Result<()>
    where
        K: 'a,
    {
        match (&self.below, self.panes.get_mut(&start)) {
            (Some(below), Some(pane)) => {
                raise(pane, keys, |key| read(below, self.keys, start, key))
            }
            _ => Ok(()),
        }
    }

    /// Brings up all rows of the window that starts at `start`.
    pub(crate) fn bring_up(&mut self, start: Timestamp) -> Result<()> {
        let (Some(below), Some(pane)) = (&self.below, self.panes.get_mut(&start)) else {
            return Ok(());
        };
        if pane.is_whole() {
            return Ok(());
        }
        let prefix = beginning(start);
        below.visit(&prefix, &mut |key, at, headers, row| {
            let key = self.keys.decode(&key[prefix.len()..])?;
            if !pane.holds(&key) {
                pane.raise(key, Some((decode(headers, row)?, at)));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        pane.complete();
        Ok(())
    }

    /// The window of `key` that starts at `start`, as of the last commit.
    pub(crate) fn committed(&self, start: Timestamp, key: &K) -> Result<Option<Held<A>>> {
        let Some(pane) = self.panes.get(&start) else { return Ok(None) };
        match &self.below {
            Some(below) if !pane.is_whole() && !pane.holds(key) => {
                Ok(read(below, self.keys, start, key)?.map(|(held, _)| held))
            }
            _ => Ok(pane.committed(key).map(|(held, _)| held.clone())),
        }
    }

    /// All windows as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> Result<Vec<Window<K, A>>> {
        let mut all = Vec::new();
        for (start, pane) in &self.panes {
            let held = pane.all_committed();
            all.extend(held.map(|(key, held, at)| (*start, key.clone(), held.clone(), at)));
            let Some(below) = self.below.as_ref().filter(|_| !pane.is_whole()) else {
                continue;
            };
            let prefix = beginning(*start);
            below.visit(&prefix, &mut |key, at, headers, row| {
                let key = self.keys.decode(&key[prefix.len()..])?;
                if !pane.holds(&key) {
                    all.push((*start, key, decode(headers, row)?, at));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(all)
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
        out.extend_from_slice(&beginning(start));
        encode_key(self.keys, key, out)
    }
}

/// Whether there may be rows of a window that is to be closed.
pub(crate) fn may_have_rows<K: Key, A: Data>(pane: &Cells<K, Held<A>>) -> bool {
    !pane.is_whole() || pane.iter().next().is_some()
}

/// Whether all rows of a window are gone.
fn is_over<K: Key, A: Data>(pane: &Cells<K, Held<A>>) -> bool {
    pane.is_whole() && pane.is_emptied()
}

/// What the rows of a window begin with. So they are in order of start.
fn beginning(start: Timestamp) -> [u8; 9] {
    let mut bytes = [prefix::ROW; 9];
    bytes[1..].copy_from_slice(&start.as_millis().to_be_bytes());
    bytes
}

fn read<K, A: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    start: Timestamp,
    key: &K,
) -> Result<Option<(Held<A>, Timestamp)>> {
    let mut bytes = beginning(start).to_vec();
    encode_key(keys, key, &mut bytes)?;
    below.read(&bytes, decode)
}

fn decode<A: Data>(headers: Headers, row: &[u8]) -> Result<Held<A>> {
    Ok(match read_state::<Option<A>>(row)? {
        Some(row) => Held::Open(row, headers),
        None => Held::Closed,
    })
}

/// The start of a window, and the key, from the key of a row.
fn split(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (start, key) = bytes.get(1..)?.split_first_chunk()?;
    Some((Timestamp::from_millis(i64::from_be_bytes(*start)), key))
}

impl<K: Key, A: Data> State for WindowStore<K, A> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        self.shares.begin();
        for (start, cells) in &self.panes {
            let before = changes.count();
            if is_over(cells) {
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
            if self.below.is_some() {
                self.shares.saved(*start, changes.count() - before);
            }
        }
        self.time.save(changes)
    }

    fn seal(&mut self) -> bool {
        self.panes.values_mut().for_each(Cells::seal);
        self.time.seal();
        self.is_sealed = true;
        true
    }

    fn committed(&mut self) {
        if !std::mem::take(&mut self.is_sealed) {
            self.panes.values_mut().for_each(Cells::seal);
        }
        self.panes.retain(|_, cells| {
            // Windows that began since then are in no commit.
            let is_over = cells.is_sealed() && cells.changed() == 0 && is_over(cells);
            if cells.is_sealed() && !is_over {
                cells.commit();
            }
            !is_over
        });
        if self.below.is_some() {
            self.shares.commit();
        }
        self.time.commit();
    }

    fn rollback(&mut self) {
        self.panes.values_mut().for_each(Cells::rollback);
        self.panes.retain(|_, cells| !cells.is_unused() || !cells.is_whole());
        self.time.rollback();
        (self.next_due, self.is_sealed) = (None, false);
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        let unknown = || Error::corrupt("unknown kind of row in a changelog");
        match change.key.first() {
            Some(&prefix::TIME) => self.time.restore(change.value),
            Some(&prefix::ROW) => {
                let (start, key) = split(change.key).ok_or_else(unknown)?;
                let key = self.keys.decode(key)?;
                match change.value {
                    Some(value) => {
                        let held = decode(change.headers.clone(), value)?;
                        self.pane(start).load(key, held, change.at);
                    }
                    None => {
                        if let Some(pane) = self.panes.get_mut(&start) {
                            pane.unload(&key);
                        }
                    }
                }
                Ok(())
            }
            _ => Err(unknown()),
        }
    }

    fn restored(&mut self) -> Result<()> {
        if let Some(below) = &self.below {
            below.restore_time(&mut self.time)?;
            // No window starts before the epoch (rule W1).
            let mut from = Some(Timestamp::ZERO);
            while let Some(next) = from {
                let mut first = None;
                below.keys(&beginning(next), &[prefix::ROW + 1], &mut |key| {
                    first = split(key).map(|(start, _)| start);
                    ControlFlow::Break(())
                })?;
                if let Some(start) = first {
                    let mut pane = Cells::new();
                    pane.lean(false);
                    self.panes.insert(start, pane);
                }
                from = first.map(|start| start.plus_millis(self.hops.advance));
            }
        }
        self.panes.retain(|_, cells| !cells.is_unused() || !cells.is_whole());
        Ok(())
    }

    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        let room = Cells::<K, Held<A>>::room_apart(memory);
        self.below = Some(Beneath::new::<K, Held<A>>(below, memory, room));
        true
    }

    fn lowered(&mut self, count: usize, last: bool) {
        let panes = &mut self.panes;
        self.shares.lowered(count, last, |start, count, last| {
            if let Some(pane) = panes.get_mut(&start) {
                pane.lowered(count, last);
            }
        });
    }

    fn standing(&self) -> Option<Standing> {
        let below = self.below.as_ref()?;
        let pinned = self.panes.values().map(Cells::pinned).sum();
        Some(below.standing(pinned, self.panes.values().map(Cells::changed).sum()))
    }

    fn weigh(&mut self, bytes: usize) {
        self.below.iter_mut().for_each(|below| below.weigh(bytes));
    }

    fn rows(&self) -> usize {
        self.panes.values().map(Cells::len).sum()
    }

    fn stream_time(&self) -> Option<Timestamp> {
        Some(self.time.now())
    }

    fn pass(&mut self, millis: i64) {
        self.time.pass(millis);
    }

    fn due_in(&self) -> Option<i64> {
        let mut open = self.panes.iter().filter(|(_, pane)| may_have_rows(pane));
        self.time.until(open.next().map(|(start, _)| self.hops.closing(*start)))
    }

    fn form(&self) -> Option<Form> {
        let Hops { size, advance, .. } = self.hops;
        let kind = match size == advance {
            true => format!("windows of {size} ms"),
            false => format!("windows of {size} ms every {advance} ms"),
        };
        Some(form::<K, A>(kind, self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
