//! The store of a table: one row per key.

use super::beneath::Beneath;
use super::form::form;
use super::{Cells, Expired, Expiry, Places, StreamTime, prefix};
use crate::format::{Encoded, Format, read_state, write_state};
use crate::key_order::KeyOrder;
use crate::{Data, Key};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::any::Any;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use suiro_core::store::{Change, Store};
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Form, Loader, Restored, Standing, State, lowered};

/// One row per key.
pub(crate) struct TableStore<K: 'static, A: 'static> {
    pub(crate) cells: Cells<K, A>,
    /// The headers of the records that changed rows since the last commit, where they had some
    /// (rule H1).
    pub(crate) headers: HashMap<K, Headers, FixedState>,
    /// When rows go by time, if they do.
    pub(crate) expiry: Option<Expiry<K>>,
    keys: &'static dyn Format<K>,
    /// How the source topic of the table writes its values, if it has one.
    values: Option<&'static dyn Format<A>>,
    buffers: (Vec<u8>, Vec<u8>),
    /// The next commit writes all rows, in place of those that the changelog has for these keys.
    renewed: Option<Vec<K>>,
    form: fn(&dyn Format<K>) -> Form,
    /// The store that has all rows, where `cells` holds only some.
    below: Option<Beneath>,
    /// All rows are held, also where there could be a store below.
    whole: bool,
}

impl<K: Key, A: Data> TableStore<K, A> {
    /// An empty table, whose rows go after `ttl` milliseconds, if there is one.
    pub(crate) fn new(
        keys: &'static dyn Format<K>,
        values: Option<&'static dyn Format<A>>,
        ttl: Option<i64>,
    ) -> Self {
        Self::with_form(keys, values, ttl, |keys| form::<K, A>("table".to_owned(), keys))
    }

    /// A store of another form than its rows have.
    pub(super) fn with_form(
        keys: &'static dyn Format<K>,
        values: Option<&'static dyn Format<A>>,
        ttl: Option<i64>,
        form: fn(&dyn Format<K>) -> Form,
    ) -> Self {
        let (cells, headers) = (Cells::new(), HashMap::with_hasher(FixedState::default()));
        let (expiry, buffers) = (ttl.map(Expiry::new), Default::default());
        let (renewed, below, whole) = (None, None, false);
        Self { cells, headers, expiry, keys, values, buffers, renewed, form, below, whole }
    }

    pub(super) fn held_whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// A table of a few rows, which never go to a store below.
    pub(crate) fn small(keys: &'static dyn Format<K>) -> Self {
        Self::new(keys, None, None).held_whole()
    }
}

impl<K: Key, A: Data> TableStore<K, A> {
    /// Takes a record of the source topic. It lies before the committed position: what is no
    /// valid input was skipped when it was read, and is skipped here.
    fn restore_from_source(&mut self, change: &Restored<'_>) {
        let values = self.values.expect("only a source table is restored from a topic");
        let Ok(key) = self.keys.decode(change.key) else { return };
        let row = match change.value.map(|value| values.decode(value)) {
            _ if !change.at.is_valid() => return,
            Some(Err(_)) => return,
            Some(Ok(row)) => Some(row),
            None => None,
        };
        match row {
            None => self.cells.unload(&key),
            Some(row) => self.cells.load(key, row, change.at),
        }
    }

    /// Takes out the rows that are over at `now`, in order of their time and of the bytes of
    /// their keys (rule A5).
    #[inline]
    pub(crate) fn expire(&mut self, now: Timestamp) -> Result<Vec<Expired<K, A>>> {
        let Some(expiry) = &mut self.expiry else { return Ok(Vec::new()) };
        let mut gone = expiry.take_due(now, &mut self.cells);
        if gone.len() > 1 {
            let order = KeyOrder::of(self.keys, gone.iter().map(|gone| &gone.key))?;
            order.sort_by(&mut gone, |gone| gone.at);
        }
        // Time takes them, and no record.
        for Expired { key, .. } in &gone {
            keep_headers(&mut self.headers, key, &Headers::NONE);
        }
        Ok(gone)
    }

    /// Writes all rows, and removals of those that the changelog has and the table has not.
    fn save_all(&self, stale: &[K], changes: &mut Changes) -> Result<()> {
        let mut all = BTreeMap::new();
        for key in stale {
            let mut bytes = vec![prefix::ROW];
            encode_key(self.keys, key, &mut bytes)?;
            all.insert(bytes, (None, Timestamp::ZERO));
        }
        for (key, slot) in self.cells.iter() {
            let Some(row) = slot.get() else { continue };
            let (mut bytes, mut value) = (vec![prefix::ROW], Vec::new());
            encode_key(self.keys, key, &mut bytes)?;
            write_state(row, &mut value)?;
            all.insert(bytes, (Some(value), slot.at()));
        }
        for (key, (value, at)) in &all {
            changes.put(*at, key, value.as_deref(), &Headers::NONE)?;
        }
        Ok(())
    }

    /// Takes over the time of the table, or leaves it, if its rows do not go by time any more.
    fn restore_time(&mut self, time: StreamTime) {
        if let Some(expiry) = &mut self.expiry {
            *expiry.time_mut() = time;
        }
    }

    /// Looks for the rows of keys, brings up those that are below, and gives their places.
    pub(crate) fn find<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a K> + Clone,
        places: &mut Places,
    ) -> Result<()>
    where
        K: 'a,
    {
        if let Some(below) = &self.below {
            below.bring_up(&mut self.cells, keys.clone(), |key| read(below, self.keys, key))?;
        }
        self.cells.find(keys, places);
        Ok(())
    }

    /// Shows the row of `key` as it is now; what is below stays there.
    pub(crate) fn look(&self, key: &K, show: &mut dyn FnMut(&A, Timestamp)) -> Result<()> {
        match &self.below {
            Some(below) if !self.cells.holds(key) => {
                if let Some((row, at)) = read(below, self.keys, key)? {
                    show(&row, at);
                }
            }
            _ => {
                let slot = self.cells.get(key);
                if let Some((slot, row)) = slot.and_then(|slot| Some((slot, slot.get()?))) {
                    show(row, slot.at());
                }
            }
        }
        Ok(())
    }

    /// The row of `key` as of the last commit.
    pub(crate) fn committed(&self, key: &K) -> Result<Option<A>> {
        match &self.below {
            Some(below) if !self.cells.holds(key) => {
                Ok(read(below, self.keys, key)?.map(|(row, _)| row))
            }
            _ => Ok(self.cells.committed(key).map(|(row, _)| row.clone())),
        }
    }

    /// All rows as of the last commit, in no order.
    pub(crate) fn all_committed(&self) -> Result<Vec<(K, A, Timestamp)>> {
        let held = self.cells.all_committed();
        let mut all: Vec<_> =
            held.map(|(key, row, at)| (key.clone(), row.clone(), at)).collect();
        if let Some(below) = &self.below {
            below.visit(&[prefix::ROW], &mut |key, at, _, row| {
                let key = self.keys.decode(&key[1..])?;
                if !self.cells.holds(&key) {
                    all.push((key, read_state(row)?, at));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(all)
    }
}

fn read<K, A: Data>(
    below: &Beneath,
    keys: &dyn Format<K>,
    key: &K,
) -> Result<Option<(A, Timestamp)>> {
    let mut bytes = vec![prefix::ROW];
    encode_key(keys, key, &mut bytes)?;
    below.read(&bytes, |_, row| read_state(row))
}

/// Keeps the headers of the record that changed `key`; no headers replace some.
#[inline]
pub(crate) fn keep_headers<K: Key>(
    kept: &mut HashMap<K, Headers, FixedState>,
    key: &K,
    headers: &Headers,
) {
    if !headers.is_empty() {
        kept.insert(key.clone(), headers.clone());
    } else if !kept.is_empty() {
        kept.remove(key);
    }
}

impl<K: Key, A: Data> State for TableStore<K, A> {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        if let Some(expiry) = &self.expiry {
            expiry.time().save(changes)?;
        }
        if let Some(stale) = &self.renewed {
            return self.save_all(stale, changes);
        }
        let (key, value) = &mut self.buffers;
        for (touched, slot) in self.cells.touched() {
            if touched.before.is_none() && slot.get().is_none() {
                continue;
            }
            key.clear();
            key.push(prefix::ROW);
            self.keys.encode(&touched.key, key)?;
            match slot.get() {
                None if cfg!(suiro_mutant = "tombstone_not_logged") => {}
                None => changes.put(slot.at(), key, None, &Headers::NONE)?,
                Some(row) => {
                    value.clear();
                    write_state(row, value)?;
                    changes.put(slot.at(), key, Some(value), &Headers::NONE)?;
                }
            }
        }
        Ok(())
    }

    fn seal(&mut self) -> bool {
        self.cells.seal();
        self.headers.clear();
        if let Some(expiry) = &mut self.expiry {
            expiry.time_mut().seal();
        }
        self.renewed.is_none()
    }

    fn committed(&mut self) {
        if !self.cells.is_sealed() {
            self.seal();
        }
        self.cells.commit();
        self.renewed = None;
        if let Some(expiry) = &mut self.expiry {
            expiry.time_mut().commit();
        }
    }

    fn rollback(&mut self) {
        self.cells.rollback();
        self.headers.clear();
        if let Some(expiry) = &mut self.expiry {
            expiry.time_mut().rollback();
            expiry.note_all(&self.cells);
        }
    }

    fn reserve(&mut self, rows: usize) {
        self.cells.reserve(rows);
    }

    fn loader(&self) -> Option<Box<dyn Loader>> {
        let (keys, rows) = (self.keys, Vec::new());
        Some(Box::new(TableLoader::<K, A> { keys, rows, time: None }))
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        if change.from_source {
            self.restore_from_source(&change);
            return Ok(());
        }
        match Logged::decode(self.keys, &change)? {
            Logged::Time(time) => self.restore_time(time),
            Logged::Row(key, None) => self.cells.unload(&key),
            Logged::Row(key, Some(row)) => self.cells.load(key, row, change.at),
        }
        Ok(())
    }

    fn restored(&mut self) -> Result<()> {
        if let Some(expiry) = &mut self.expiry {
            expiry.restored(&self.cells);
        }
        Ok(())
    }

    fn renew(&mut self) {
        self.renewed = Some(self.cells.iter().map(|(key, _)| key.clone()).collect());
        self.cells = Cells::new();
    }

    fn attach(&mut self, below: Box<dyn Store>, memory: usize) -> bool {
        // What is due must be found by time, and only what is held can be.
        if self.whole || self.expiry.is_some() {
            return false;
        }
        let slots = Cells::<K, A>::room(memory);
        self.below = Some(Beneath::new::<K, A>(below, memory, slots));
        self.cells.lean(false);
        true
    }

    fn lower(&self, change: &Restored<'_>, out: &mut Vec<Change>) -> Result<()> {
        let (mut key, mut row) = (Vec::new(), Vec::new());
        if !change.from_source {
            key.extend_from_slice(change.key);
            row.extend_from_slice(change.value.unwrap_or_default());
        } else {
            key.push(prefix::ROW);
            encode_key(self.keys, &self.keys.decode(change.key)?, &mut key)?;
            if let (Some(value), Some(format)) = (change.value, self.values) {
                write_state(&format.decode(value)?, &mut row)?;
            }
        }
        let value = change.value.map(|_| lowered(change.at, &Headers::NONE, &row));
        out.push(Change { key: key.into(), value });
        Ok(())
    }

    fn lowered(&mut self, count: usize, last: bool) {
        self.cells.lowered(count, last);
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.below.as_ref()?.standing(self.cells.pinned(), self.cells.changed()))
    }

    fn weigh(&mut self, bytes: usize) {
        self.below.iter_mut().for_each(|below| below.weigh(bytes));
    }

    fn rows(&self) -> usize {
        self.cells.len()
    }

    fn stream_time(&self) -> Option<Timestamp> {
        self.expiry.as_ref().map(|expiry| expiry.time().now())
    }

    fn pass(&mut self, millis: i64) {
        if let Some(expiry) = &mut self.expiry {
            expiry.time_mut().pass(millis);
        }
    }

    fn due_in(&self) -> Option<i64> {
        self.expiry.as_ref().and_then(Expiry::due_in)
    }

    fn form(&self) -> Option<Form> {
        Some((self.form)(self.keys))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// A record of the changelog.
enum Logged<K, A> {
    /// A key and its row; no row for a removal.
    Row(K, Option<A>),
    /// The stream time of a table whose rows go by time, or did so when it was written.
    Time(StreamTime),
}

impl<K, A: Data> Logged<K, A> {
    fn decode(keys: &dyn Format<K>, change: &Restored<'_>) -> Result<Self> {
        match change.key.split_first() {
            Some((&prefix::ROW, key)) => {
                let row = change.value.map(read_state).transpose()?;
                Ok(Self::Row(keys.decode(key)?, row))
            }
            Some((&prefix::TIME, _)) => {
                let mut time = StreamTime::NONE;
                time.restore(change.value)?;
                Ok(Self::Time(time))
            }
            _ => Err(Error::corrupt("unknown kind of row in a changelog")),
        }
    }
}

/// Rows on their way into a table.
struct TableLoader<K: 'static, A> {
    keys: &'static dyn Format<K>,
    rows: Vec<(K, Option<A>, Timestamp)>,
    time: Option<StreamTime>,
}

impl<K: Key, A: Data> Loader for TableLoader<K, A> {
    fn decode(&mut self, change: Restored<'_>) -> Result<()> {
        match Logged::decode(self.keys, &change)? {
            Logged::Time(time) => self.time = Some(time),
            Logged::Row(key, row) => self.rows.push((key, row, change.at)),
        }
        Ok(())
    }

    fn load(&mut self, into: &mut dyn State) {
        let store = into.as_any_mut().downcast_mut::<TableStore<K, A>>();
        let store = store.expect("a loader is given the store that made it");
        for (key, row, at) in self.rows.drain(..) {
            match row {
                None => store.cells.unload(&key),
                Some(row) => store.cells.load(key, row, at),
            }
        }
        if let Some(time) = self.time.take() {
            store.restore_time(time);
        }
    }
}

/// Appends the bytes of a key; a key is never null.
pub(crate) fn encode_key<K>(keys: &dyn Format<K>, key: &K, out: &mut Vec<u8>) -> Result<()> {
    match keys.encode(key, out)? {
        Encoded::Bytes => Ok(()),
        Encoded::Null => {
            Err(Error::invalid("a key was written as null").with("format", keys.name()))
        }
    }
}
