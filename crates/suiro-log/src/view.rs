//! What is committed: topics, partitions, positions and generations, as readers see them.

use crate::catalog::Catalog;
use crate::disk::Disk;
use crate::frame::{Append, Entry, Place, Progress};
use crate::partition::Partition;
use crate::recent::{Recent, Source};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use suiro_core::batch::batches;
use suiro_core::broker::{Fetch, Fetched, Position, Seek, TopicSpec};
use suiro_core::{Error, Offset, Result, Timestamp, TopicPartition};

/// The committed state of a log. Whole commits become visible, never a part of one.
pub(crate) struct View {
    pub disk: Arc<dyn Disk>,
    pub root: PathBuf,
    state: RwLock<ViewState>,
}

/// What a [`View`] shows.
#[derive(Default)]
pub(crate) struct ViewState {
    pub catalog: Catalog,
    pub positions: BTreeMap<Arc<str>, BTreeMap<Place, Progress>>,
    pub generations: BTreeMap<Arc<str>, u64>,
}

impl View {
    /// The view of a log without topics.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Self { disk, root, state: RwLock::default() }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, ViewState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, ViewState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a commit visible; `source` says where the bytes of an append are, `appended`
    /// learns of each.
    pub fn apply(
        &self,
        entry: &Entry,
        mut source: impl FnMut(&Append, u64) -> Vec<Recent>,
        mut appended: impl FnMut(&Arc<Partition>, u64),
    ) {
        let mut state = self.write();
        for topic in &entry.topics {
            state.catalog.add(&self.root, topic.clone());
        }
        let mut position = 0;
        for append in &entry.appends {
            if let Some(partition) = state.catalog.at(append.place) {
                for recent in source(append, position) {
                    partition.publish(recent);
                }
                appended(partition, append.bytes);
            }
            position += append.bytes;
        }
        if let Some((group, positions)) = &entry.positions {
            let of_group = state.positions.entry(Arc::clone(group)).or_default();
            for progress in positions {
                of_group.insert(progress.place, progress.clone());
            }
        }
        if let Some((group, generation)) = &entry.generation {
            state.generations.insert(Arc::clone(group), *generation);
        }
        for (place, offset) in &entry.trims {
            if let Some(partition) = state.catalog.at(*place) {
                partition.trim(*offset);
            }
        }
        if let Some(group) = &entry.forgotten {
            state.positions.remove(group);
        }
        for topic in &entry.removed {
            state.catalog.remove(*topic);
        }
        let is_gone = |(topic, _): &Place| entry.removed.contains(topic);
        if !entry.removed.is_empty() {
            state.positions.values_mut().for_each(|of| of.retain(|place, _| !is_gone(place)));
        }
    }

    /// The topics of these names that exist; all if none is named.
    pub fn describe(&self, topics: &[Arc<str>]) -> Vec<TopicSpec> {
        let state = self.read();
        if topics.is_empty() {
            let all = state.catalog.topics().iter().filter(|topic| !topic.is_gone());
            return all.map(|topic| topic.spec.clone()).collect();
        }
        let found = topics.iter().filter_map(|name| state.catalog.topic(name));
        found.map(|topic| topic.spec.clone()).collect()
    }

    /// The committed positions of a group.
    pub fn positions(&self, group: &str, of: &[TopicPartition]) -> Vec<Position> {
        let state = self.read();
        let Some(positions) = state.positions.get(group) else { return Vec::new() };
        let position = |name: &TopicPartition| {
            let place = state.catalog.partition(name).ok()?.place;
            let Progress { next, note, .. } = positions.get(&place)?.clone();
            Some(Position { partition: name.clone(), next, note })
        };
        of.iter().filter_map(position).collect()
    }

    fn partition(&self, name: &TopicPartition) -> Result<Arc<Partition>> {
        self.read().catalog.partition(name).cloned()
    }

    /// The offset at which to start reading.
    pub fn offset(&self, name: &TopicPartition, seek: Seek) -> Result<Offset> {
        let partition = self.partition(name)?;
        let (start, end) = partition.range();
        match seek {
            Seek::Earliest => Ok(start),
            Seek::Latest | Seek::Settled => Ok(end),
            Seek::Time(at) => self.offset_at(&partition, at, start, end),
        }
    }

    fn offset_at(
        &self,
        partition: &Partition,
        at: Timestamp,
        start: Offset,
        end: Offset,
    ) -> Result<Offset> {
        let found = partition.search_time(&*self.disk, at, |bytes| {
            for batch in batches(bytes) {
                let batch = batch?;
                if batch.header().max_at < at || batch.header().next_offset() <= start {
                    continue;
                }
                for record in batch.records()?.iter() {
                    let record = record?;
                    if record.at >= at && record.offset >= start {
                        return Ok(Some(record.offset));
                    }
                }
            }
            Ok(None)
        })?;
        Ok(found.unwrap_or(end))
    }

    /// Reads committed batches.
    pub fn fetch(&self, fetch: &Fetch) -> Result<Fetched> {
        if fetch.offset < 0 {
            return Err(Error::invalid("offset is negative").with("offset", fetch.offset));
        }
        let partition = self.partition(&fetch.partition)?;
        partition.fetch(&*self.disk, fetch.offset, fetch.max_bytes)
    }
}

/// One append whose bytes are in memory.
pub(crate) fn in_memory(append: &Append, at: Timestamp, bytes: bytes::Bytes) -> Vec<Recent> {
    let source = Source::Memory(bytes);
    vec![Recent { base: append.base, next: append.next, at, source }]
}
