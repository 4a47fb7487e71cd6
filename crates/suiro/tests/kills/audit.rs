//! What a run has left in its log and in its stores, and the comparison with another run.

use crate::setting::{Setting, Store};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use suiro::{Broker, Bytes, Log, Offset, Reader, Received, Result, Start, Topic};

/// A topic that is compared.
#[derive(Clone, Copy)]
pub struct Output {
    pub name: &'static str,
    pub kind: Kind,
}

/// What must be equal, whatever happened to a program on the way.
#[derive(Clone, Copy)]
pub enum Kind {
    /// In each partition the same records in the same order.
    InOrder,
    /// In each partition the same records.
    AnyOrder,
    /// The last row of each key. On the way the measure of a row only grows, so that nothing is
    /// written twice.
    Table(fn(&[u8]) -> u64),
}

/// A record of a topic as bytes.
type Row = Received<Bytes, Bytes>;

/// The records of each topic that is compared.
pub struct Audit(Vec<(Output, Vec<Row>)>);

impl Audit {
    /// Reads the log in `dir`; nobody need close it first.
    pub fn read(setting: Setting, dir: &Path) -> Result<Self> {
        let log = Log::open_reader(dir)?;
        let read = |output: Output| Ok((output, records(&log, output.name)?));
        setting.topics().into_iter().map(read).collect::<Result<_>>().map(Self)
    }

    /// How many records there are of a topic.
    pub fn count(&self, name: &str) -> usize {
        let found = self.0.iter().find(|(output, _)| output.name == name);
        found.map_or(0, |(_, rows)| rows.len())
    }

    /// Compares it with that of an undisturbed run, and gives how many records were compared.
    pub fn assert_same(&self, undisturbed: &Self, place: &str) -> usize {
        let mut compared = 0;
        for ((output, found), (_, expected)) in self.0.iter().zip(&undisturbed.0) {
            let place = format!("{} of {place}", output.name);
            compared += found.len();
            match output.kind {
                Kind::InOrder => assert_rows(&in_order(found), &in_order(expected), &place),
                Kind::AnyOrder => assert_rows(&sorted(found), &sorted(expected), &place),
                Kind::Table(measure) => {
                    assert_grows(found, measure, &place);
                    let (found, expected) = (last(found), last(expected));
                    for (key, row) in &expected {
                        assert_eq!(found.get(key), Some(row), "{key:?}, {place}");
                    }
                    assert_eq!(found.len(), expected.len(), "keys, {place}");
                }
            }
        }
        compared
    }

    /// Whether all is written that will be.
    pub fn is_whole(&self, undisturbed: &Self) -> bool {
        let mut both = self.0.iter().zip(&undisturbed.0);
        both.all(|((output, found), (_, expected))| match output.kind {
            Kind::Table(_) => last(found) == last(expected),
            _ => found.len() == expected.len(),
        })
    }
}

type Plain = (u32, Bytes, Option<Bytes>, i64);

fn plain(row: &Row) -> Plain {
    (row.partition, row.key.clone(), row.value.clone(), row.at.as_millis())
}

/// Partition by partition.
fn in_order(rows: &[Row]) -> Vec<Plain> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (row.partition, row.offset));
    rows.into_iter().map(plain).collect()
}

fn sorted(rows: &[Row]) -> Vec<Plain> {
    let mut rows: Vec<_> = rows.iter().map(plain).collect();
    rows.sort_unstable();
    rows
}

fn last(rows: &[Row]) -> BTreeMap<Bytes, (Option<Bytes>, i64)> {
    let rows =
        rows.iter().map(|row| (row.key.clone(), (row.value.clone(), row.at.as_millis())));
    rows.collect()
}

/// Shows the first record that differs, not all of them.
fn assert_rows(found: &[Plain], expected: &[Plain], place: &str) {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "record {number}, {place}");
    }
    assert_eq!(found.len(), expected.len(), "number of records, {place}");
}

fn assert_grows(rows: &[Row], measure: fn(&[u8]) -> u64, place: &str) {
    let mut before: BTreeMap<&Bytes, u64> = BTreeMap::new();
    for row in rows {
        let value = row.value.as_deref().expect("no row of these tables is ever removed");
        let now = measure(value);
        let old = before.insert(&row.key, now);
        assert!(old < Some(now), "{:?} comes to {now} after {old:?}, {place}", row.key);
    }
}

/// A number in a row of JSON.
pub fn field(value: &[u8], name: &str) -> u64 {
    let row: serde_json::Value = serde_json::from_slice(value).expect("rows are JSON");
    row[name].as_u64().expect("the field is a number")
}

/// A row that is a number.
pub fn decimal(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).expect("a number is text");
    text.parse().expect("it is a decimal number")
}

fn records(log: &impl Broker, topic: &str) -> Result<Vec<Row>> {
    Reader::open(log, &Topic::bytes("").named(topic))?.read_to_end()
}

/// How far each partition of each topic is.
pub type Ends = BTreeMap<(String, u32), Offset>;

/// How far a log is; nothing where there is none yet.
pub fn ends(dir: &Path) -> Ends {
    let Ok(log) = Log::open_reader(dir) else { return BTreeMap::new() };
    let mut ends = BTreeMap::new();
    for topic in topics(dir) {
        let Ok(mut reader) =
            Reader::<Bytes, Bytes>::open(&log, &Topic::bytes("").named(&topic))
        else {
            continue;
        };
        if reader.seek(Start::Latest).is_ok() {
            ends.extend(reader.positions().map(|(number, end)| ((topic.clone(), number), end)));
        }
    }
    ends
}

fn topics(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("topics")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Holds the stores on the disk against their changelogs, after a run that came to its end, and
/// gives how many rows were compared.
pub fn assert_stores(setting: Setting, dir: &Path, place: &str) -> Result<usize> {
    match setting.store {
        Store::Memory => Ok(0),
        Store::Disk => compare_stores(dir, place),
    }
}

#[cfg(not(feature = "disk"))]
fn compare_stores(_: &Path, _: &str) -> Result<usize> {
    unreachable!("this build has no stores on a disk")
}

#[cfg(feature = "disk")]
fn compare_stores(dir: &Path, place: &str) -> Result<usize> {
    use std::ops::{Bound, ControlFlow};
    use suiro::store::StoreProvider;

    let log = Log::open_reader(dir)?;
    let stores = suiro::DiskStores::open_in(dir.join("state"), 1 << 20)?;
    let mut compared = 0;
    for topic in topics(dir).into_iter().filter(|topic| topic.ends_with(".changelog")) {
        let mut reader = Reader::<Bytes, Bytes>::open(&log, &Topic::bytes("").named(&topic))?;
        let mut rows: BTreeMap<u32, BTreeMap<Bytes, Bytes>> = BTreeMap::new();
        for row in reader.read_to_end()? {
            let of = rows.entry(row.partition).or_default();
            match row.value {
                Some(value) => {
                    of.insert(row.key, suiro_engine::lowered(row.at, &row.headers, &value))
                }
                None => of.remove(&row.key),
            };
        }
        for (partition, end) in reader.positions() {
            let place = format!("store {topic} {partition} of {place}");
            let store = stores.open(&topic, partition)?;
            // State that is held whole in memory has nothing here.
            let Some(position) = store.position() else { continue };
            assert_eq!(position, end, "position, {place}");
            let expected = rows.remove(&partition).unwrap_or_default();
            let mut found = 0;
            // Behind the rows is an index of them, which may have entries too many.
            store.range(Bound::Unbounded, Bound::Excluded(&[2]), &mut |key, value| {
                assert_eq!(expected.get(key).map(|value| &value[..]), Some(value), "{place}");
                found += 1;
                ControlFlow::Continue(())
            })?;
            assert_eq!(found, expected.len(), "rows, {place}");
            compared += found;
        }
    }
    assert!(compared > 0, "no rows are on the disk, {place}");
    Ok(compared)
}
