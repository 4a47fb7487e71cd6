//! A changelog that is a list, an object store that fails, and a clock that is set by hand.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use suiro_core::batch::{BatchWriter, Compression, batches, set_base_offset};
use suiro_core::broker::{Fetched, Seek};
use suiro_core::objects::{ObjectInfo, Objects};
use suiro_core::{Clock, Error, Headers, Offset, Result, Timestamp, TopicPartition};
use suiro_store::MemoryObjects;
use suiro_store::snapshot::{
    Changelog, Manifest, Place, Snapshotter, Step, Taken, Tuning, find, open_file,
};

/// The rows of a store: value and time by key.
pub type Rows = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

/// A record: its offset, key, value and time.
pub type Logged = (Offset, Vec<u8>, Option<Vec<u8>>, i64);

/// A changelog: records with their offsets, some of which compaction took away.
#[derive(Clone, Default)]
pub struct List {
    pub records: Vec<Logged>,
    pub end: Offset,
}

impl List {
    pub fn append(&mut self, key: impl Into<Vec<u8>>, value: Option<&[u8]>, at: i64) {
        self.records.push((self.end, key.into(), value.map(<[u8]>::to_vec), at));
        self.end += 1;
    }

    /// Takes away what has a newer record, as compaction does.
    pub fn compact(&mut self) {
        let mut newest = BTreeMap::new();
        for (offset, key, ..) in &self.records {
            newest.insert(key.clone(), *offset);
        }
        self.records.retain(|(offset, key, ..)| newest[key] == *offset);
    }

    pub fn replay(&self, from: Offset, rows: &mut Rows) {
        for (offset, key, value, at) in &self.records {
            if *offset >= from {
                put(rows, key, value.as_deref(), *at);
            }
        }
    }
}

fn put(rows: &mut Rows, key: &[u8], value: Option<&[u8]>, at: i64) {
    match value {
        Some(value) => rows.insert(key.to_vec(), (value.to_vec(), at)),
        None => rows.remove(key),
    };
}

impl Changelog for List {
    fn offset(&mut self, _: &TopicPartition, seek: Seek) -> Result<Offset> {
        Ok(if seek == Seek::Latest { self.end } else { 0 })
    }

    /// Three records at a time; an asked-for offset may be amid a batch.
    fn read(&mut self, of: &TopicPartition, from: Offset, _: usize) -> Result<Fetched> {
        let first = self.records.partition_point(|(offset, ..)| *offset < from);
        let first = first.saturating_sub(1);
        let some: Vec<_> = self.records[first..].iter().take(3).collect();
        let mut bytes = Vec::new();
        for (offset, key, value, at) in &some {
            let mut writer = BatchWriter::new(Compression::None);
            let headers: Headers = [("k", key.clone())].into_iter().collect();
            writer.push(Timestamp::from_millis(*at), Some(key), value.as_deref(), &headers);
            let mut batch = writer.finish()?.to_vec();
            set_base_offset(&mut batch, *offset);
            bytes.extend(batch);
        }
        let last = some.last().map_or(self.end, |(offset, ..)| offset + 1);
        let next = if last <= from { self.end } else { last };
        let (partition, batches) = (of.clone(), Bytes::from(bytes));
        Ok(Fetched { partition, batches, next, end: self.end, start: 0 })
    }
}

/// A clock that is set by hand.
#[derive(Clone, Default)]
pub struct Hand(Arc<AtomicI64>);

impl Hand {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + self.0.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed) as u64)
    }
}

/// Objects in memory that fail after some writes: the last of them may have happened, whole.
#[derive(Clone)]
pub struct Failing {
    pub inner: MemoryObjects,
    /// How many writes go well; none fails while it is negative.
    pub left: Arc<AtomicI64>,
}

impl Failing {
    fn write<T>(&self, write: impl FnOnce() -> Result<T>) -> Result<T> {
        let left = self.left.load(Ordering::Relaxed);
        if left < 0 {
            return write();
        }
        if left > 1 {
            self.left.store(left - 1, Ordering::Relaxed);
            return write();
        }
        if left == 1 {
            self.left.store(0, Ordering::Relaxed);
            write()?;
        }
        Err(Error::unavailable("the process is dying"))
    }
}

impl Objects for Failing {
    fn get(&self, name: &str) -> Result<Option<Bytes>> {
        self.inner.get(name)
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.write(|| self.inner.put(name, bytes))
    }

    fn create(&self, name: &str, bytes: Bytes) -> Result<bool> {
        self.write(|| self.inner.create(name, bytes))
    }

    fn list(&self, under: &str) -> Result<Vec<ObjectInfo>> {
        self.inner.list(under)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.write(|| self.inner.delete(name))
    }
}

/// A changelog, its snapshots, and who takes them.
pub struct World {
    pub log: List,
    pub clock: Hand,
    pub objects: Failing,
    pub tuning: Tuning,
    pub of: TopicPartition,
    pub snapshotter: Snapshotter,
}

impl World {
    pub fn new(tuning: Tuning) -> Self {
        let clock = Hand::default();
        let inner = MemoryObjects::new(Arc::new(clock.clone()));
        let objects = Failing { inner, left: Arc::new(AtomicI64::new(-1)) };
        let of = TopicPartition::new("app.counts.changelog", 3);
        let place = place(&objects, &clock, &tuning);
        let snapshotter = Snapshotter::new(place, of.clone());
        Self { log: List::default(), clock, objects, tuning, of, snapshotter }
    }

    pub fn place(&self) -> Place {
        place(&self.objects, &self.clock, &self.tuning)
    }

    /// Somebody else who takes the snapshots, as after a restart.
    pub fn another(&self) -> Snapshotter {
        Snapshotter::new(self.place(), self.of.clone())
    }

    pub fn step(&mut self) -> Result<Step> {
        self.snapshotter.step(&mut self.log, &mut || true)
    }

    pub fn take(&mut self) -> Taken {
        match self.step() {
            Ok(Step::Taken(taken)) => taken,
            other => panic!("no snapshot was taken: {other:?}"),
        }
    }

    /// The snapshots that may be used, the newest first.
    pub fn usable(&mut self) -> Result<Vec<Manifest>> {
        Ok(find(&self.place(), &self.of, &mut self.log)?.usable)
    }

    /// What a store is that is restored: from the newest snapshot that is whole, and the
    /// changelog after it. Also where the changelog went on.
    pub fn restored(&mut self) -> (Rows, Offset) {
        for manifest in self.usable().expect("the snapshots are those of the log") {
            if let Ok(mut rows) = self.load(&manifest) {
                self.log.replay(manifest.offset, &mut rows);
                return (rows, manifest.offset);
            }
        }
        (self.full(), 0)
    }

    fn load(&self, manifest: &Manifest) -> Result<Rows> {
        let mut rows = Rows::new();
        for file in manifest.runs.iter().flat_map(|run| &run.files) {
            for batch in batches(open_file(&self.place(), &self.of, file)?) {
                for record in &batch?.records()? {
                    let record = record?;
                    let key = record.key.expect("a row has a key");
                    let headers = record.headers.to_headers()?;
                    assert_eq!(
                        headers.get("k").map(|it| &it[..]),
                        Some(key),
                        "a row keeps its headers"
                    );
                    put(&mut rows, key, record.value, record.at.as_millis());
                }
            }
        }
        Ok(rows)
    }

    /// What a store is that is restored from the changelog alone.
    pub fn full(&self) -> Rows {
        let mut rows = Rows::new();
        self.log.replay(0, &mut rows);
        rows
    }

    pub fn names(&self, kind: &str) -> Vec<String> {
        let under = format!("app/{}/{}/{kind}", self.of.topic, self.of.partition);
        let listed = self.objects.list(&under).expect("objects in memory can be listed");
        listed.into_iter().map(|info| info.name).collect()
    }
}

fn place(objects: &Failing, clock: &Hand, tuning: &Tuning) -> Place {
    Place::new(Arc::new(objects.clone()), "app", Arc::new(clock.clone()), tuning.clone())
}
