//! A checkpoint: all that is committed up to the start of a journal, but for the records, which
//! are in the segments.

use crate::disk::{Disk, failed, read_file, replace_file};
use crate::frame::{Progress, put_positions, put_topic, take_progress, take_topic};
use crate::partition::Partition;
use crate::segment::SegmentMeta;
use crate::view::View;
use crate::wire::{Put, Take};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro_core::broker::TopicSpec;
use suiro_core::{Error, Offset, Result};

const MAGIC: &[u8] = b"SUICP\x01";

/// What a checkpoint file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Checkpoint {
    /// The journal that follows.
    pub journal: u64,
    /// The number of the last commit before it.
    pub number: u64,
    /// Topics with their partitions, by number; one that was removed has none.
    pub topics: Vec<(TopicSpec, Vec<PartitionMeta>)>,
    /// Positions by group.
    pub positions: Vec<(Arc<str>, Vec<Progress>)>,
    /// Generations by group.
    pub generations: Vec<(Arc<str>, u64)>,
}

/// What a checkpoint says of a partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PartitionMeta {
    pub start: Offset,
    pub end: Offset,
    pub segments: Vec<SegmentMeta>,
}

/// The file of the checkpoint.
pub(crate) fn checkpoint_path(root: &Path) -> PathBuf {
    root.join("CHECKPOINT")
}

impl Checkpoint {
    /// The checkpoint of the log in `root`; `None` if there is none.
    pub fn load(disk: &dyn Disk, root: &Path) -> Result<Option<Self>> {
        let path = checkpoint_path(root);
        let content = read_file(disk, &path);
        let content = content.map_err(|error| failed("read the checkpoint", &path, error))?;
        content
            .map(|content| {
                Self::decode(&content).ok_or_else(|| {
                    Error::corrupt("checkpoint is damaged: restore this file from a copy")
                        .with("file", path.display())
                        .with("position", 0)
                })
            })
            .transpose()
    }

    /// Puts this checkpoint in the place of the one before it, durably.
    pub fn store(&self, disk: &dyn Disk, root: &Path) -> Result<()> {
        let path = checkpoint_path(root);
        replace_file(disk, &path, &self.encode())
            .map_err(|error| failed("write the checkpoint", &path, error))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.put_u64(self.journal);
        out.put_u64(self.number);
        out.put_len(self.topics.len());
        for (spec, partitions) in &self.topics {
            put_topic(&mut out, spec);
            out.put_len(partitions.len());
            for partition in partitions {
                out.put_i64(partition.start);
                out.put_i64(partition.end);
                out.put_len(partition.segments.len());
                partition.segments.iter().for_each(|segment| segment.put(&mut out));
            }
        }
        out.put_len(self.positions.len());
        for (group, positions) in &self.positions {
            out.put_str(group);
            put_positions(&mut out, positions.len(), positions.iter());
        }
        out.put_len(self.generations.len());
        for (group, generation) in &self.generations {
            out.put_str(group);
            out.put_u64(*generation);
        }
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out
    }

    fn decode(content: &[u8]) -> Option<Self> {
        let (body, crc) = content.split_last_chunk::<4>()?;
        (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(())?;
        let mut from = Take(body);
        (from.bytes(MAGIC.len())? == MAGIC).then_some(())?;
        let partition = |from: &mut Take| {
            let (start, end) = (from.i64()?, from.i64()?);
            Some(PartitionMeta { start, end, segments: from.list(SegmentMeta::take)? })
        };
        let checkpoint = Self {
            journal: from.u64()?,
            number: from.u64()?,
            topics: from.list(|from| Some((take_topic(from)?, from.list(partition)?)))?,
            positions: from.list(|from| Some((from.str()?, from.list(take_progress)?)))?,
            generations: from.list(|from| Some((from.str()?, from.u64()?)))?,
        };
        from.is_empty().then_some(checkpoint)
    }

    /// Makes `view` show the topics and records that the checkpoint names.
    pub fn restore_records(&self, view: &View) {
        let mut state = view.write();
        for (number, (spec, partitions)) in (0..).zip(&self.topics) {
            let topic = state.catalog.restore(&view.root, number, spec.clone());
            let Some(topic) = topic else { continue };
            for (partition, meta) in topic.partitions.iter().zip(partitions) {
                partition.restore(meta.start, meta.end, meta.segments.clone());
            }
        }
    }

    /// Makes `view` show the positions and generations that the checkpoint names, and no others.
    pub fn restore_groups(&self, view: &View) {
        let mut state = view.write();
        state.positions.clear();
        for (group, positions) in &self.positions {
            let of_group = state.positions.entry(Arc::clone(group)).or_default();
            of_group
                .extend(positions.iter().map(|progress| (progress.place, progress.clone())));
        }
        state.generations.extend(self.generations.iter().cloned());
    }
}

/// A checkpoint to be, taken between two commits, and what must be durable before it holds.
pub(crate) struct Capture {
    pub checkpoint: Checkpoint,
    unsynced: Vec<(Arc<Partition>, SegmentMeta)>,
}

impl Capture {
    /// What `view` shows. `journal` is the number of the journal that follows.
    pub fn take(view: &View, journal: u64, number: u64) -> Result<Self> {
        let state = view.read();
        let mut unsynced = Vec::new();
        let mut topics = Vec::new();
        for topic in state.catalog.topics() {
            let mut partitions = Vec::new();
            for partition in &topic.partitions {
                let state = partition.state();
                let segments: Vec<SegmentMeta> =
                    state.segments.iter().map(|segment| segment.meta.clone()).collect();
                for segment in &state.segments {
                    if segment.synced < segment.meta.bytes {
                        unsynced.push((Arc::clone(partition), segment.meta.clone()));
                    }
                }
                partitions.push(PartitionMeta { start: state.start, end: state.end, segments });
            }
            topics.push((topic.spec.clone(), partitions));
        }
        let positions = state.positions.iter();
        let checkpoint = Checkpoint {
            journal,
            number,
            topics,
            positions: positions
                .map(|(group, of)| (Arc::clone(group), of.values().cloned().collect()))
                .collect(),
            generations: state.generations.iter().map(|(g, n)| (Arc::clone(g), *n)).collect(),
        };
        Ok(Self { checkpoint, unsynced })
    }

    /// Makes the segments durable that the checkpoint names.
    pub fn sync(&self, view: &View) -> Result<()> {
        let disk = &*view.disk;
        let mut dirs = BTreeSet::new();
        for (partition, meta) in &self.unsynced {
            let (file, path, is_new) = {
                let mut state = partition.state();
                let found = state.segment(meta.base, meta.version);
                let Some(segment) = found else { continue };
                // An index that cannot be written is made anew from the segment.
                let _ = segment.save_index(disk, &partition.dir);
                let file = segment.writable(disk, &partition.dir)?;
                (file, segment.path(&partition.dir), segment.synced == 0)
            };
            file.sync_data().map_err(|error| failed("make durable", &path, error))?;
            if is_new {
                let above = partition.dir.ancestors().take_while(|dir| *dir != view.root);
                dirs.extend(above.map(Path::to_path_buf));
                dirs.insert(view.root.clone());
            }
        }
        for dir in &dirs {
            let error = |error| failed("make the names durable", dir, error);
            disk.sync_dir(dir).map_err(error)?;
        }
        for (partition, meta) in &self.unsynced {
            let mut state = partition.state();
            let last = state.active().meta.base;
            if let Some(segment) = state.segment(meta.base, meta.version) {
                segment.synced = segment.synced.max(meta.bytes);
                if meta.base < last && segment.synced == segment.meta.bytes {
                    segment.close();
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;
    use suiro_core::broker::Cleanup;

    #[test]
    fn what_is_stored_is_loaded() {
        let disk = MemoryDisk::new();
        let root = Path::new("log");
        disk.create_dir(root).unwrap();
        assert_eq!(Checkpoint::load(&disk, root).unwrap(), None);
        let spec = TopicSpec {
            name: "a".into(),
            partitions: 1,
            cleanup: Cleanup::Delete { after: None, bytes: Some(7) },
        };
        let segments = vec![SegmentMeta { compacted: true, ..SegmentMeta::new(3) }];
        let checkpoint = Checkpoint {
            journal: 4,
            number: 9,
            topics: vec![(spec, vec![PartitionMeta { start: 3, end: 5, segments }])],
            positions: vec![(
                "g".into(),
                vec![Progress { place: (0, 0), next: 4, note: "n".into() }],
            )],
            generations: vec![("g".into(), 8)],
        };
        checkpoint.store(&disk, root).unwrap();
        assert_eq!(Checkpoint::load(&disk, root).unwrap(), Some(checkpoint.clone()));
        let mut damaged = checkpoint.encode();
        damaged[20] ^= 1;
        replace_file(&disk, &checkpoint_path(root), &damaged).unwrap();
        let error = Checkpoint::load(&disk, root).unwrap_err();
        assert!(error.to_string().contains("CHECKPOINT"), "{error}");
    }
}
