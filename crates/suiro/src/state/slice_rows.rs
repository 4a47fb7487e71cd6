//! What slices are in the changelog and in a store below, and how their windows are seen from
//! outside.
//!
//! The key is the length and the bytes of the record's key, and the start of the slice; so the
//! slices of a key lie together. The value is the number of the last record and the state; none
//! if the end of a bounded run has closed the windows over the slice.

use super::beneath::Beneath;
use super::due::entry_of;
use super::form::form;
use super::join_rows::put_prefix;
use super::prefix;
use super::slice_log::SliceLog;
use super::slice_store::SliceStore;
use super::slices::{Changed, Part, Slice, Slices};
use super::slots::{Lower, WARM, warm};
use crate::format::{Format, read_state, write_state};
use crate::step::caught;
use crate::{Data, Key};
use bytes::Bytes;
use std::any::Any;
use std::collections::HashMap;
use std::ops::ControlFlow;
use suiro_core::store::{Change, Store};
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, Standing, State, lowered};

/// The kind of store that holds slices.
pub(super) const KIND: &str = "slices";

/// The key of the row that says where the first window begins that has not been closed.
const OPENS: [u8; 2] = [prefix::TIME, 1];

fn read_opens(value: &[u8]) -> Result<Timestamp> {
    let bytes = value.try_into();
    let bytes = bytes.map_err(|_| Error::corrupt("the start of a window is cut off"))?;
    Ok(Timestamp::from_millis(i64::from_be_bytes(bytes)))
}

/// A slice as it is in the changelog.
type Stored<A> = (u64, Option<A>);

/// Reads the key of a row behind its first byte: key and start.
fn read_key<K>(keys: &dyn Format<K>, bytes: &[u8]) -> Result<(K, Timestamp)> {
    let split = || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        Some((key, Timestamp::from_millis(i64::from_be_bytes(rest.try_into().ok()?))))
    };
    let cut_off = || Error::corrupt("the key of a slice is cut off");
    let (key, start) = split().ok_or_else(cut_off)?;
    Ok((keys.decode(key)?, start))
}

fn read_row<A: Data>(
    (start, at): (Timestamp, Timestamp),
    row: &[u8],
    headers: Headers,
) -> Result<Slice<A>> {
    let (number, value): Stored<A> = read_state(row)?;
    Ok(Slice { start, at, number, changed: Changed::NEVER, value, headers })
}

/// Turns the row of a slice into one with a state of another type.
pub(super) fn turn_slice<Old: Data, New: Data>(
    row: &[u8],
    turn: impl Fn(Old) -> New,
    out: &mut Vec<u8>,
) -> Result<()> {
    let (number, value): Stored<Old> = read_state(row)?;
    write_state(&(number, value.map(turn)), out)
}

/// Shows the slices of `key` that are below.
pub(super) fn read_rows<K, A: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    key: &K,
    show: &mut dyn FnMut(Slice<A>),
) -> Result<()> {
    let mut bytes = Vec::new();
    put_prefix(keys, key, &mut bytes)?;
    visit(below, keys, &bytes, &mut |_, row| show(row))
}

/// Shows all slices that are below, with their keys; those of a key together.
pub(super) fn rows_of<K, A: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    show: &mut dyn FnMut(K, Slice<A>),
) -> Result<()> {
    visit(below, keys, &[prefix::ROW], show)
}

fn visit<K, A: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    prefix: &[u8],
    show: &mut dyn FnMut(K, Slice<A>),
) -> Result<()> {
    below.visit(prefix, &mut |bytes, at, headers, value| {
        let (key, start) = read_key(keys, &bytes[1..])?;
        show(key, read_row((start, at), value, headers)?);
        Ok(ControlFlow::Continue(()))
    })
}

/// The open windows of a key by their starts; one that an end has closed has no value.
type Seen<A> = Vec<(Timestamp, Option<Part<A>>)>;

impl<K: Key, A: Data> SliceStore<K, A> {
    /// The windows of `key` that are open, in order of start, as of the last commit.
    pub(crate) fn windows_of(&self, key: &K) -> Result<Seen<A>> {
        if let Some(slot) = self.slots.find(key) {
            return self.windows_in(slot);
        }
        let mut slices = Slices::default();
        if let Some(lower) = &self.lower {
            read_rows(&lower.below, self.keys, key, &mut |slice| {
                slices.put(slice);
            })?;
        }
        self.windows(slices)
    }

    /// The windows of all keys, as of the last commit.
    pub(crate) fn all_windows(&self) -> Result<Vec<(K, Seen<A>)>> {
        let mut all = Vec::new();
        for slot in self.slots.numbers() {
            all.push((self.slots[slot].key().clone(), self.windows_in(slot)?));
        }
        let Some(lower) = &self.lower else { return Ok(all) };
        let mut others: HashMap<K, Slices<A>> = HashMap::new();
        rows_of(&lower.below, self.keys, &mut |key, slice| {
            if self.slots.find(&key).is_none() {
                others.entry(key).or_default().put(slice);
            }
        })?;
        for (key, slices) in others {
            all.push((key, self.windows(slices)?));
        }
        Ok(all)
    }

    /// The windows of a slot as of the last commit.
    fn windows_in(&self, number: u32) -> Result<Seen<A>> {
        let slot = &self.slots[number];
        let mut slices = Slices::default();
        let settled = self.settled();
        let logs = self.sealed.iter().map(|(log, _)| log).chain([&self.log]);
        let logs = logs.filter(|_| slot.changed >= settled);
        let logs = logs.flat_map(|log| log.before.iter().chain(&log.gone));
        let of_slot = logs.filter(|(slot, _)| *slot == number).map(|(_, slice)| slice);
        let all = slot.rows.all().iter().chain(of_slot);
        for slice in all.filter(|slice| !slice.changed.is_since(settled)) {
            slices.put(slice.clone());
        }
        self.windows(slices)
    }

    /// The open windows that slices make of the last commit.
    fn windows(&self, mut slices: Slices<A>) -> Result<Seen<A>> {
        let (hops, from, mut seen) = (self.hops, self.opened, Vec::new());
        caught(|| {
            let show = |start, part| seen.push((start, part));
            slices.close(hops, from, |_| true, &self.merge, show, |_| ());
            Ok(())
        })?;
        Ok(seen)
    }
}

impl<K: Key, A: Data> State for SliceStore<K, A> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let SliceLog { touched, gone, .. } = &self.log;
        for some in touched.chunks(WARM) {
            warm(some.iter().map(|slot| self.slots[*slot].rows.glance_ends()));
            for slot in some {
                let slot = &self.slots[*slot];
                key.clear();
                put_prefix(self.keys, slot.key(), &mut key)?;
                let prefix = key.len();
                for slice in slot.rows.young(self.generation) {
                    key.truncate(prefix);
                    key.extend_from_slice(&slice.start.as_millis().to_be_bytes());
                    value.clear();
                    write_state(&(slice.number, slice.value.clone()), &mut value)?;
                    changes.put(slice.at, &key, Some(&value), &slice.headers)?;
                }
            }
        }
        for (slot, slice) in gone {
            key.clear();
            put_prefix(self.keys, self.slots[*slot].key(), &mut key)?;
            key.extend_from_slice(&slice.start.as_millis().to_be_bytes());
            changes.put(slice.at, &key, None, &Headers::NONE)?;
        }
        if self.opens != self.opened {
            let (at, start) = (self.time.now().max(Timestamp::ZERO), self.opens.as_millis());
            changes.put(at, &OPENS, Some(&start.to_be_bytes()), &Headers::NONE)?;
        }
        self.time.save(changes)
    }

    fn seal(&mut self) -> bool {
        self.seal_rows();
        self.time.seal();
        true
    }

    fn committed(&mut self) {
        self.commit_rows();
        self.due.commit();
        self.time.commit();
    }

    fn beside(&mut self) -> Result<Vec<Change>> {
        self.due.beside()
    }

    fn rollback(&mut self) {
        self.time.rollback();
        self.take_back();
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        if change.key == OPENS {
            let value = change.value.map(read_opens);
            self.opened = value.transpose()?.unwrap_or(Timestamp::ZERO);
            return Ok(());
        }
        match change.key.split_first() {
            Some((&prefix::TIME, _)) => self.time.restore(change.value),
            Some((&prefix::ROW, key)) => {
                let (key, start) = read_key(self.keys, key)?;
                let slice = change
                    .value
                    .map(|value| read_row((start, change.at), value, change.headers.clone()));
                self.load(key, start, slice.transpose()?);
                Ok(())
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) -> Result<()> {
        if let Some(lower) = &self.lower {
            lower.below.restore_time(&mut self.time)?;
            let opens = lower.below.read(&OPENS, |_, value| read_opens(value))?;
            self.opened = opens.map_or(self.opened, |(opens, _)| self.opened.max(opens));
        }
        self.loaded();
        Ok(())
    }

    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        let room = memory / Self::ROW_BYTES;
        let below = Beneath::new::<K, A>(below, memory, room);
        let safe = self.settled() - 1;
        self.lower = Some(Lower::new(below, safe));
        self.due.lean(self.hops.size);
        true
    }

    fn lower(&self, change: &Restored<'_>, out: &mut Vec<Change>) -> Result<()> {
        let key = change.key.to_vec().into();
        let value = change.value.map(|value| lowered(change.at, change.headers, value));
        out.push(Change { key, value });
        if let (Some((&prefix::ROW, key)), Some(_)) = (change.key.split_first(), change.value) {
            let (key, start) = read_key(self.keys, key)?;
            let look = self.hops.closing(self.hops.first(start));
            let key = entry_of(self.keys, look, &key)?.into();
            out.push(Change { key, value: Some(Bytes::new()) });
        }
        Ok(())
    }

    fn lowered(&mut self, _count: usize, last: bool) {
        self.lower.iter_mut().for_each(|lower| lower.lowered(last));
        self.due.lowered(last);
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.lower.as_ref()?.standing(self.log.changes))
    }

    fn weigh(&mut self, bytes: usize) {
        self.lower.iter_mut().for_each(|lower| lower.below.weigh(bytes));
    }

    fn rows(&self) -> usize {
        self.count
    }

    fn stream_time(&self) -> Option<Timestamp> {
        Some(self.time.now())
    }

    fn pass(&mut self, millis: i64) {
        self.time.pass(millis);
    }

    fn due_in(&self) -> Option<i64> {
        self.time.until(self.due.next())
    }

    fn form(&self) -> Option<Form> {
        let (size, advance) = (self.hops.size, self.hops.advance);
        let kind = format!("{KIND} of windows of {size} ms every {advance} ms");
        Some(form::<K, A>(kind, self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
