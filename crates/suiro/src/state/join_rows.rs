//! What the records of a join are in the changelog and in a store below.
//!
//! The key is the length and the bytes of the record's key, its side, time and number; so the
//! records of a key lie together, in order. The value ends with a byte that says whether the
//! record was paired.

use super::beneath::Beneath;
use super::due::entry_of;
use super::form::form;
use super::join_store::{Deed, Id, JoinStore};
use super::kept::{Either, Kept, LEFT};
use super::prefix;
use super::slots::Lower;
use super::table_store::encode_key;
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use bytes::Bytes;
use std::any::Any;
use std::ops::ControlFlow;
use suiro_core::store::{Change, Store};
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, Standing, State, lowered};

/// What the rows of a key begin with.
pub(super) fn put_prefix<K>(keys: &dyn Format<K>, key: &K, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&[prefix::ROW, 0, 0, 0, 0]);
    let from = out.len();
    encode_key(keys, key, out)?;
    // A key is far smaller than what does not fit.
    let length = (out.len() - from) as u32;
    out[from - 4..from].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn put_id(id: Id, out: &mut Vec<u8>) {
    out.push(id.side as u8);
    out.extend_from_slice(&id.at.as_millis().to_be_bytes());
    out.extend_from_slice(&id.number.to_be_bytes());
}

/// Reads the key of a row behind its first byte: key, side, time and number.
fn read_key<K>(keys: &dyn Format<K>, bytes: &[u8]) -> Result<(K, usize, Timestamp, u32)> {
    let split = || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let (side, rest) = rest.split_first()?;
        let (at, rest) = rest.split_first_chunk()?;
        let number = u32::from_be_bytes(rest.try_into().ok()?);
        let at = Timestamp::from_millis(i64::from_be_bytes(*at));
        (*side < 2).then_some((key, usize::from(*side), at, number))
    };
    let cut_off = || Error::corrupt("the key of a kept record is cut off");
    let (key, side, at, number) = split().ok_or_else(cut_off)?;
    Ok((keys.decode(key)?, side, at, number))
}

fn write_value<V: Data, T: Data>(row: &Kept<Either<V, T>>, out: &mut Vec<u8>) -> Result<()> {
    match &row.value {
        Either::Left(value) => write_state(value, out)?,
        Either::Right(value) => write_state(value, out)?,
    }
    out.push(row.matched.into());
    Ok(())
}

fn read_row<V: Data, T: Data>(
    (side, at, number): (usize, Timestamp, u32),
    value: &[u8],
    headers: Headers,
) -> Result<Kept<Either<V, T>>> {
    let split = value.split_last();
    let (matched, value) =
        split.ok_or_else(|| Error::corrupt("a kept record in a changelog is empty"))?;
    let value = match side {
        LEFT => Either::Left(read_state(value)?),
        _ => Either::Right(read_state(value)?),
    };
    Ok(Kept { at, number, matched: *matched != 0, born: 0, value, headers })
}

/// Shows the records of `key` that are below, with their sides.
pub(super) fn read_rows<K, V: Data, T: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    key: &K,
    show: &mut dyn FnMut(usize, Kept<Either<V, T>>),
) -> Result<()> {
    let mut bytes = Vec::new();
    put_prefix(keys, key, &mut bytes)?;
    visit(below, keys, &bytes, &mut |_, side, row| show(side, row))
}

/// Shows all records that are below, with their keys and sides; those of a key together.
pub(super) fn rows_of<K, V: Data, T: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    show: &mut dyn FnMut(K, usize, Kept<Either<V, T>>),
) -> Result<()> {
    visit(below, keys, &[prefix::ROW], show)
}

fn visit<K, V: Data, T: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    prefix: &[u8],
    show: &mut dyn FnMut(K, usize, Kept<Either<V, T>>),
) -> Result<()> {
    below.visit(prefix, &mut |bytes, _, headers, value| {
        let (key, side, at, number) = read_key(keys, &bytes[1..])?;
        show(key, side, read_row((side, at, number), value, headers)?);
        Ok(ControlFlow::Continue(()))
    })
}

impl<K: Key, V: Data, T: Data> State for JoinStore<K, V, T> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for deed in self.log.iter() {
            let (Deed::Came(id) | Deed::Paired(id) | Deed::Went(id, _)) = deed;
            let row = self.side(id.slot, id.side).get(id.at, id.number);
            let went = match (deed, row) {
                (Deed::Went(..), None) => true,
                (Deed::Came(_) | Deed::Paired(_), Some(_)) => false,
                // What came and went leaves no trace; another entry speaks of what is there now.
                _ => continue,
            };
            key.clear();
            put_prefix(self.keys, self.slots[id.slot].key(), &mut key)?;
            put_id(*id, &mut key);
            match row {
                Some(row) if !went => {
                    value.clear();
                    write_value(row, &mut value)?;
                    changes.put(id.at, &key, Some(&value), &row.headers)?;
                }
                _ => changes.put(id.at, &key, None, &Headers::NONE)?,
            }
        }
        self.time.save(changes)
    }

    fn seal(&mut self) -> bool {
        self.log.seal();
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
        match change.key.split_first() {
            Some((&prefix::TIME, _)) => self.time.restore(change.value),
            Some((&prefix::ROW, key)) => {
                let (key, side, at, number) = read_key(self.keys, key)?;
                let row = change
                    .value
                    .map(|value| read_row((side, at, number), value, change.headers.clone()));
                self.load(key, (side, at, number), row.transpose()?);
                Ok(())
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) -> Result<()> {
        if let Some(lower) = &self.lower {
            lower.below.restore_time(&mut self.time)?;
        }
        self.loaded();
        Ok(())
    }

    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        let room = memory / Self::ROW_BYTES;
        let below = Beneath::new::<K, (V, T)>(below, memory, room);
        let safe = self.log.last_committed();
        self.lower = Some(Lower::new(below, safe));
        self.due.lean(self.linger[0].max(self.linger[1]));
        true
    }

    fn lower(&self, change: &Restored<'_>, out: &mut Vec<Change>) -> Result<()> {
        let key = change.key.to_vec().into();
        let value = change.value.map(|value| lowered(change.at, change.headers, value));
        out.push(Change { key, value });
        if let (Some((&prefix::ROW, key)), Some(_)) = (change.key.split_first(), change.value) {
            let (key, side, at, _) = read_key(self.keys, key)?;
            let at = at.plus_millis(self.linger[side]);
            let (key, value) = (entry_of(self.keys, at, &key)?.into(), Some(Bytes::new()));
            out.push(Change { key, value });
        }
        Ok(())
    }

    fn lowered(&mut self, _count: usize, last: bool) {
        self.lower.iter_mut().for_each(|lower| lower.lowered(last));
        self.due.lowered(last);
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.lower.as_ref()?.standing(self.log.len()))
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
        Some(form::<K, (V, T)>(format!("records of a join, {}", self.kind), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
