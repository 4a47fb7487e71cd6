//! What the versions of a table are in the changelog.
//!
//! The key is the length and the bytes of the row's key and the time of the version; so the
//! versions of a key lie together, in order. A removal is a version too, and has an empty value;
//! what is out of history goes by a tombstone.

use super::form::form;
use super::join_rows::put_prefix;
use super::prefix;
use super::version_store::{Deed, VersionStore};
use crate::format::{Format, read_state, write_state};
use crate::{Data, Key};
use std::any::Any;
use std::collections::BTreeMap;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Restored, State};

/// What the kind of the store is called; migrations know it by that.
pub(super) const KIND: &str = "versions";

fn put_key<K>(
    keys: &dyn Format<K>,
    (key, at): (&K, Timestamp),
    out: &mut Vec<u8>,
) -> Result<()> {
    put_prefix(keys, key, out)?;
    out.extend_from_slice(&at.as_millis().to_be_bytes());
    Ok(())
}

/// Reads the key of a version behind its first byte.
fn read_key<K>(keys: &dyn Format<K>, bytes: &[u8]) -> Result<(K, Timestamp)> {
    let split = || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (key, at) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        Some((key, Timestamp::from_millis(i64::from_be_bytes(at.try_into().ok()?))))
    };
    let (key, at) = split().ok_or_else(|| Error::corrupt("the key of a version is cut off"))?;
    Ok((keys.decode(key)?, at))
}

fn write_row<V: Data>(row: Option<&V>, out: &mut Vec<u8>) -> Result<()> {
    match row {
        Some(row) => write_state(row, out),
        None => Ok(()),
    }
}

fn read_row<V: Data>(bytes: &[u8]) -> Result<Option<V>> {
    match bytes.is_empty() {
        true => Ok(None),
        false => read_state(bytes).map(Some),
    }
}

impl<K: Key, V: Data> VersionStore<K, V> {
    /// Takes a record of the source topic. It lies before the committed position: what is no
    /// valid input was skipped when it was read, and is skipped here.
    fn restore_from_source(&mut self, change: &Restored<'_>) {
        let Ok(key) = self.keys.decode(change.key) else { return };
        let Ok(row) = change.value.map(|value| self.values.decode(value)).transpose() else {
            return;
        };
        if change.at.is_valid() {
            self.load(&key, change.at, Some(row));
        }
    }

    /// Writes all versions, and removals of those that the changelog has and the table has not.
    fn save_all(&self, stale: &[(K, Timestamp)], changes: &mut Changes) -> Result<()> {
        let mut all = BTreeMap::new();
        for (key, at) in stale {
            let mut bytes = Vec::new();
            put_key(self.keys, (key, *at), &mut bytes)?;
            all.insert(bytes, (*at, None));
        }
        for (key, version) in self.iter() {
            let (mut bytes, mut value) = (Vec::new(), Vec::new());
            put_key(self.keys, (key, version.at), &mut bytes)?;
            write_row(version.row.as_ref(), &mut value)?;
            all.insert(bytes, (version.at, Some(value)));
        }
        for (key, (at, value)) in &all {
            changes.put(*at, key, value.as_deref(), &Headers::NONE)?;
        }
        Ok(())
    }
}

impl<K: Key, V: Data> State for VersionStore<K, V> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        self.time.save(changes)?;
        if let Some(stale) = &self.renewed {
            return self.save_all(stale, changes);
        }
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for deed in self.log.iter() {
            let (slot, at, came) = match deed {
                Deed::Came(slot, at) => (*slot, *at, true),
                Deed::Replaced(slot, old) | Deed::Went(slot, old) => (*slot, old.at, false),
            };
            let slot = &self.slots[slot];
            let version = slot.rows.get(at);
            // What came and went leaves no trace.
            if came && version.is_none() {
                continue;
            }
            key.clear();
            put_key(self.keys, (slot.key(), at), &mut key)?;
            value.clear();
            let value = match version {
                Some(version) => {
                    write_row(version.row.as_ref(), &mut value)?;
                    Some(&*value)
                }
                None => None,
            };
            changes.put(at, &key, value, &Headers::NONE)?;
        }
        Ok(())
    }

    fn seal(&mut self) -> bool {
        self.log.seal();
        self.time.seal();
        self.renewed.is_none()
    }

    fn committed(&mut self) {
        self.commit_versions();
        self.time.commit();
        self.renewed = None;
    }

    fn rollback(&mut self) {
        self.time.rollback();
        self.take_back();
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        if change.from_source {
            self.restore_from_source(&change);
            return Ok(());
        }
        match change.key.split_first() {
            Some((&prefix::TIME, _)) => self.time.restore(change.value),
            Some((&prefix::ROW, key)) => {
                let (key, at) = read_key(self.keys, key)?;
                let version = change.value.map(read_row).transpose()?;
                self.load(&key, at, version);
                Ok(())
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }

    fn restored(&mut self) -> Result<()> {
        // The changelog says what time it is, but for what a topic gave that was its own changelog.
        if let Some(newest) = self.iter().map(|(_, version)| version.at).max() {
            self.time.have_seen(newest);
        }
        self.settle();
        Ok(())
    }

    fn renew(&mut self) {
        self.forget_all();
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

    fn form(&self) -> Option<Form> {
        Some(form::<K, V>(KIND.to_owned(), self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
