//! What the left rows of a foreign-key join are in the changelog and in a store below.
//!
//! The key is the length and the bytes of the key that a row refers to, and the bytes of its own;
//! so the rows that refer to one key lie together, in order. The value is that of the left table,
//! and behind it the lane and the version.

use super::beneath::Beneath;
use super::form::form;
use super::prefix;
use super::referrer_list::KeyBytes;
use super::referrers::{Before, Referrer, ReferrerStore};
use super::slots::Lower;
use super::table_store::encode_key;
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use std::any::Any;
use std::ops::ControlFlow;
use suiro_core::store::Store;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, Standing, State};

/// What the rows begin with that refer to `key`.
fn put_prefix<F>(foreign: &dyn Format<F>, key: &F, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&[prefix::ROW, 0, 0, 0, 0]);
    let from = out.len();
    encode_key(foreign, key, out)?;
    // A key is far smaller than what does not fit.
    let length = (out.len() - from) as u32;
    out[from - 4..from].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Splits the key of a row, behind its first byte.
fn split_key(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let split = || {
        let (length, rest) = bytes.split_first_chunk()?;
        rest.split_at_checked(u32::from_be_bytes(*length) as usize)
    };
    split().ok_or_else(|| Error::corrupt("the key of a left row is cut off"))
}

fn read_row<K, V: Data>(
    keys: &dyn Format<K>,
    bytes: &[u8],
    at: Timestamp,
    value: &[u8],
) -> Result<(KeyBytes, Referrer<K, V>)> {
    let split = || {
        let (value, version) = value.split_last_chunk()?;
        let (value, lane) = value.split_last_chunk()?;
        Some((value, u32::from_be_bytes(*lane), u64::from_be_bytes(*version)))
    };
    let cut_off = || Error::corrupt("a left row in a changelog is cut off");
    let (value, lane, version) = split().ok_or_else(cut_off)?;
    let (key, value) = (keys.decode(bytes)?, read_state(value)?);
    Ok((bytes.into(), Referrer { key, value, at, lane, version, changed: 0, place: 0 }))
}

/// Shows the rows that refer to `key` and are below, in order.
pub(super) fn read_rows<F, K, V: Data>(
    below: &Beneath,
    (foreign, keys): (&dyn Format<F>, &dyn Format<K>),
    key: &F,
    show: &mut dyn FnMut(KeyBytes, Referrer<K, V>),
) -> Result<()> {
    let mut bytes = Vec::new();
    put_prefix(foreign, key, &mut bytes)?;
    below.visit(&bytes, &mut |bytes, at, _, value| {
        let (_, own) = split_key(&bytes[1..])?;
        let (bytes, row) = read_row(keys, own, at, value)?;
        show(bytes, row);
        Ok(ControlFlow::Continue(()))
    })
}

impl<F: Key, K: Key, V: Data> State for ReferrerStore<F, K, V> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (place, Before { slot, bytes, row: before }) in self.log.iter().enumerate() {
            let slot = &self.slots[*slot];
            let row = slot.rows.get(bytes);
            // What came and went leaves no trace; a row that went and came is saved once.
            if row.map_or(before.is_none(), |row| row.place as usize != place) {
                continue;
            }
            key.clear();
            put_prefix(self.foreign, slot.key(), &mut key)?;
            key.extend_from_slice(bytes);
            match row {
                Some(row) => {
                    value.clear();
                    write_state(&row.value, &mut value)?;
                    value.extend_from_slice(&row.lane.to_be_bytes());
                    value.extend_from_slice(&row.version.to_be_bytes());
                    changes.put(row.at, &key, Some(&value), &Headers::NONE)?;
                }
                None => {
                    let at = before.as_ref().map_or(Timestamp::ZERO, |row| row.at);
                    changes.put(at, &key, None, &Headers::NONE)?;
                }
            }
        }
        Ok(())
    }

    fn seal(&mut self) -> bool {
        self.log.seal();
        true
    }

    fn committed(&mut self) {
        self.commit_rows();
    }

    fn rollback(&mut self) {
        self.take_back();
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        let Some((&prefix::ROW, key)) = change.key.split_first() else {
            return Err(Error::corrupt("unknown kind of row in a changelog"));
        };
        let (foreign, own) = split_key(key)?;
        let foreign = self.foreign.decode(foreign)?;
        match change.value {
            Some(value) => {
                let (bytes, row) = read_row(self.keys, own, change.at, value)?;
                self.load(foreign, bytes, Some(row));
            }
            None => self.load(foreign, own.into(), None),
        }
        Ok(())
    }

    fn restored(&mut self) -> Result<()> {
        self.let_idle_go();
        Ok(())
    }

    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        let room = memory / Self::ROW_BYTES;
        let below = Beneath::new::<(F, K), V>(below, memory, room);
        let safe = self.log.last_committed();
        self.lower = Some(Lower::new(below, safe));
        true
    }

    fn lowered(&mut self, _count: usize, last: bool) {
        self.lower.iter_mut().for_each(|lower| lower.lowered(last));
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

    fn form(&self) -> Option<Form> {
        let kind = format!("left rows of a foreign-key join, keyed by {}", self.keys.name());
        Some(form::<F, (K, V)>(kind, self.foreign))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
