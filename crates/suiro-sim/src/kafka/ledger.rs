//! What was written, under which commit, and what was said of each.

use super::log::Fate;
use super::world::World;
use bytes::{Buf, BufMut, Bytes};
use std::collections::BTreeMap;
use suiro_core::batch::{BatchWriter, Compression, batches};
use suiro_core::broker::Outcome;
use suiro_core::{Headers, Offset, Timestamp, TopicPartition};

/// The topic that is read, the one that is written, and one for what is beside.
pub(crate) const TOPICS: [&str; 3] = ["input", "output", "beside"];

/// A record: of which commit it is, its number in that, and of which record it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) commit: u64,
    pub(crate) number: u32,
    pub(crate) origin: Option<(u32, Offset)>,
}

impl Record {
    /// What a record says, if it is one of those.
    pub(crate) fn read(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Self> {
        let mut value = value.filter(|value| value.len() == 12)?;
        let (commit, number) = (value.get_u64(), value.get_u32());
        let origin =
            key.filter(|key| key.len() == 12).map(|mut key| (key.get_u32(), key.get_i64()));
        Some(Self { commit, number, origin })
    }
}

/// Encodes records as a batch.
pub(crate) fn batch(at: Timestamp, records: &[Record]) -> Bytes {
    let mut writer = BatchWriter::new(Compression::None);
    for record in records {
        let key = record.origin.map(|(partition, offset)| {
            let mut key = Vec::new();
            key.put_u32(partition);
            key.put_i64(offset);
            key
        });
        let mut value = Vec::new();
        value.put_u64(record.commit);
        value.put_u32(record.number);
        writer.push(at, key.as_deref(), Some(&value), &Headers::NONE);
    }
    writer.finish().expect("batches are small")
}

/// What was said of a commit.
#[derive(Debug)]
enum Told {
    Committed(Vec<Offset>),
    Not,
    Unknown,
}

/// A commit: the records of each of its appends.
#[derive(Default)]
struct Made {
    at_least_once: bool,
    appends: Vec<(TopicPartition, u32)>,
    told: Option<Told>,
}

/// Where each record of each commit is found.
type Found = BTreeMap<(u64, u32), Vec<(String, u32, Offset)>>;

/// All commits.
#[derive(Default)]
pub(crate) struct Ledger {
    commits: Vec<Made>,
}

impl Ledger {
    /// A commit begins, perhaps one whose records may be there without it; gives its number.
    pub(crate) fn begin(&mut self, at_least_once: bool) -> u64 {
        self.commits.push(Made { at_least_once, ..Made::default() });
        self.commits.len() as u64 - 1
    }

    /// So many records are appended.
    pub(crate) fn appends(&mut self, commit: u64, to: &TopicPartition, count: usize) {
        self.commits[commit as usize].appends.push((to.clone(), count as u32));
    }

    /// What became of a commit is said.
    pub(crate) fn hears(&mut self, world: &mut World, commit: u64, outcome: &Outcome) {
        let (what, told) = match outcome {
            Outcome::Committed { offsets } => ("committed", Told::Committed(offsets.clone())),
            Outcome::Aborted(_) => ("aborted", Told::Not),
            Outcome::Fenced(_) => ("fenced", Told::Not),
            Outcome::Unknown(_) => ("unknown", Told::Unknown),
        };
        world.happened(what);
        world.note(|| format!("commit {commit}: {outcome:?}"));
        self.commits[commit as usize].told = Some(told);
    }

    /// Holds what was said against what there is. All is decided.
    pub(crate) fn audit(&self, world: &mut World) -> Result<(), String> {
        let mut found = Found::new();
        for (topic, partitions) in &world.cluster.topics {
            for (number, partition) in partitions.iter().enumerate() {
                for (offset, record) in committed(partition.log.entries.iter()) {
                    if let Some(record) = record {
                        let place = (topic.clone(), number as u32, offset);
                        found.entry((record.commit, record.number)).or_default().push(place);
                    }
                }
            }
        }
        for (number, made) in self.commits.iter().enumerate() {
            let how = self.audit_one(number as u64, made, &found)?;
            how.into_iter().for_each(|how| world.happened(how));
        }
        Ok(())
    }

    fn audit_one(
        &self,
        commit: u64,
        made: &Made,
        found: &Found,
    ) -> Result<Option<&'static str>, String> {
        let (mut number, mut there, mut all) = (0, 0, 0);
        let mut ends = BTreeMap::new();
        for (append, (to, count)) in made.appends.iter().enumerate() {
            for index in 0..*count {
                let places = found.get(&(commit, number)).map_or(&[][..], Vec::as_slice);
                if places.len() > 1 {
                    return Err(format!(
                        "record {number} of commit {commit} is doubled: {places:?}"
                    ));
                }
                for (topic, partition, offset) in places {
                    if *topic != *to.topic || *partition != to.partition {
                        return Err(format!("record {number} of commit {commit} is elsewhere"));
                    }
                    let before = ends.insert((topic, partition), offset);
                    if matches!(made.told, Some(Told::Committed(_)))
                        && before.is_some_and(|before| before > offset)
                    {
                        return Err(format!(
                            "record {number} of commit {commit} comes before the one before it"
                        ));
                    }
                    if let Some(Told::Committed(offsets)) = &made.told
                        && index == 0
                        && offsets.get(append) != Some(offset)
                    {
                        return Err(format!(
                            "append {append} of commit {commit} is at {offset}, and not where \
                             was said: {offsets:?}"
                        ));
                    }
                }
                (number, there, all) = (number + 1, there + places.len(), all + 1);
            }
        }
        let (is_all, is_none) = (there == all, there == 0);
        let told = &made.told;
        match told {
            Some(Told::Committed(_)) if is_all => Ok(None),
            Some(Told::Not) if is_none => Ok(None),
            Some(Told::Not) if made.at_least_once => Ok(Some("records without their commit")),
            Some(Told::Unknown) if is_all => Ok(Some("unknown, and had happened")),
            Some(Told::Unknown) if is_none => Ok(Some("unknown, and had not")),
            None if is_all || is_none => Ok(None),
            Some(Told::Unknown) | None if made.at_least_once => {
                Ok(Some("records without their commit"))
            }
            _ => Err(format!(
                "of commit {commit}, of which was said {told:?}, there are {there} of {all} records"
            )),
        }
    }
}

/// The committed records of a log, with those that say of which commit they are.
pub(crate) fn committed<'a>(
    entries: impl Iterator<Item = &'a super::log::Entry>,
) -> Vec<(Offset, Option<Record>)> {
    let mut all = Vec::new();
    for entry in entries.filter(|entry| entry.fate == Fate::Committed) {
        records(&entry.bytes, &mut all);
    }
    all
}

/// The records of batches.
pub(crate) fn records(bytes: &Bytes, all: &mut Vec<(Offset, Option<Record>)>) {
    for batch in batches(bytes.clone()) {
        let batch = batch.expect("batches are whole");
        let records = batch.records().expect("batches can be read");
        for record in records.iter() {
            let record = record.expect("records can be read");
            all.push((record.offset, Record::read(record.key, record.value)));
        }
    }
}
