//! What the broker has acknowledged: the truth that every later look is held against.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro::{Broker, Cleanup, Error, Headers, Offset, Result, TopicPartition};
use suiro_core::batch::batches;
use suiro_core::broker::{Event, Fetch, Position, Seek, Session, TopicSpec};

/// How long the log keeps tombstones.
pub(crate) const TOMBSTONES: Duration = Duration::from_secs(2);

/// A record as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) offset: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) at: i64,
    pub(crate) headers: Headers,
    /// The time of day when its commit was asked for; what is read does not say.
    pub(crate) appended: i64,
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        let of = |raw: &Self| (raw.offset, raw.at);
        of(self) == of(other)
            && (&self.key, &self.value) == (&other.key, &other.value)
            && self.headers == other.headers
    }
}

impl Raw {
    /// Whether it is a tombstone that compaction at that time of day may have taken.
    fn may_be_gone(&self, maintained: i64) -> bool {
        self.value.is_none() && self.appended + TOMBSTONES.as_millis() as i64 <= maintained
    }
}

/// A commit that was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    pub(crate) appends: Vec<(TopicPartition, Bytes)>,
    pub(crate) group: Option<Arc<str>>,
    pub(crate) positions: Vec<Position>,
    /// The time of day when it was asked for.
    pub(crate) asked: i64,
}

/// One partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) records: Vec<Raw>,
    pub(crate) end: i64,
    /// Records before this may be gone.
    pub(crate) trimmed: i64,
}

/// All that was acknowledged.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) partitions: BTreeMap<TopicPartition, Kept>,
    pub(crate) positions: BTreeMap<TopicPartition, Position>,
    /// Whether old records were deleted since the log was last looked at, which takes time.
    is_maintaining: bool,
    /// The latest time of day at which old records may have been deleted.
    maintained: i64,
    /// A commit whose outcome is said to be unknown; nothing was taken after it.
    pub(crate) unknown: Option<Pending>,
    /// A commit that was asked for, and not answered.
    pub(crate) doubt: Option<Pending>,
}

/// What became of a commit that may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    NoDoubt,
    Survived,
    Vanished,
}

impl Ledger {
    /// Old records are going to be deleted, from `now` on.
    pub(crate) fn maintain(&mut self, now: i64) {
        self.is_maintaining = true;
        self.maintained = self.maintained.max(now);
    }

    /// The log is going to be held against this; `now` is the time of day.
    pub(crate) fn look_at(&mut self, now: i64) {
        if std::mem::take(&mut self.is_maintaining) {
            self.maintained = self.maintained.max(now);
        }
    }

    /// A commit has happened.
    pub(crate) fn apply(&mut self, pending: Pending) -> Result<()> {
        for (to, bytes) in pending.appends {
            let kept = self.partitions.entry(to).or_default();
            for batch in batches(bytes) {
                let batch = batch?;
                let (base, next) = (batch.header().base_offset, batch.header().next_offset());
                let records = batch.records()?;
                for record in records.iter() {
                    let record = record?;
                    kept.records.push(Raw {
                        offset: kept.end + record.offset - base,
                        key: record.key.map(Bytes::copy_from_slice),
                        value: record.value.map(Bytes::copy_from_slice),
                        at: record.at.as_millis(),
                        headers: record.headers.to_headers()?,
                        appended: pending.asked,
                    });
                }
                kept.end += next - base;
            }
        }
        if pending.group.is_some() {
            for position in pending.positions {
                self.positions.insert(position.partition.clone(), position);
            }
        }
        Ok(())
    }

    /// Holds a log that was opened again against what was acknowledged. A commit that was in the
    /// air has happened as a whole, or not at all; afterwards it is known which.
    pub(crate) fn hold(
        &mut self,
        broker: &dyn Broker,
        group: &str,
    ) -> std::result::Result<Settled, String> {
        let seen = Seen::read(broker, group).map_err(|error| error.report())?;
        let Err(differs) = seen.is_as(self) else {
            let doubts = [self.unknown.take(), self.doubt.take()];
            let was_in_doubt = doubts.iter().any(Option::is_some);
            return Ok(if was_in_doubt { Settled::Vanished } else { Settled::NoDoubt });
        };
        let Some(happened) = self.possible(&seen) else { return Err(differs) };
        *self = happened;
        Ok(Settled::Survived)
    }

    /// What was acknowledged together with commits that may have happened, if that is what is
    /// seen: each as a whole.
    fn possible(&self, seen: &Seen) -> Option<Self> {
        let doubts = [&self.unknown, &self.doubt].into_iter().flatten();
        for doubt in doubts {
            let mut happened = Self { unknown: None, doubt: None, ..self.clone() };
            happened.apply(doubt.clone()).ok()?;
            if seen.is_as(&happened).is_ok() {
                return Some(happened);
            }
        }
        None
    }

    /// Holds what a reader saw of a partition against what was acknowledged: all of it, or, for a
    /// reader in another process, none of the rest.
    pub(crate) fn hold_read(
        &self,
        name: &TopicPartition,
        (seen, end): &(Vec<Raw>, i64),
        whole: bool,
    ) -> std::result::Result<(), String> {
        let empty = Kept::default();
        let kept = self.partitions.get(name).unwrap_or(&empty);
        if *end > kept.end || whole && *end < kept.end {
            return Err(format!("a reader sees {name} end at {end} and not at {}", kept.end));
        }
        let mut rest = kept.records.iter();
        match seen.iter().find(|record| !rest.any(|other| other == *record)) {
            Some(Raw { offset, .. }) => Err(format!(
                "a reader sees a record of {name} at {offset} that is not committed"
            )),
            None => Ok(()),
        }
    }

    /// Up to where the program has read a partition.
    pub(crate) fn next(&self, topic: &str, partition: u32) -> Offset {
        let name = TopicPartition::new(topic, partition);
        self.positions.get(&name).map_or(0, |position| position.next)
    }

    /// How many records there are. Each process writes the forms of its stores in the first
    /// commit that it has a reason for.
    pub(crate) fn written(&self) -> usize {
        let said = self.partitions.iter().filter(|(name, _)| &*name.topic != "program.forms");
        said.map(|(_, kept)| kept.records.len()).sum()
    }

    /// The records of a topic, partition by partition.
    pub(crate) fn topic<'a>(
        &'a self,
        topic: &'a str,
    ) -> impl Iterator<Item = (u32, &'a [Raw])> + 'a {
        let of = self.partitions.iter().filter(move |(name, _)| &*name.topic == topic);
        of.map(|(name, kept)| (name.partition, &kept.records[..]))
    }
}

/// What a reader sees of a whole log.
pub(crate) struct Seen {
    partitions: BTreeMap<TopicPartition, (Vec<Raw>, i64, bool)>,
    positions: BTreeMap<TopicPartition, Position>,
}

impl Seen {
    /// Reads everything.
    pub(crate) fn read(broker: &dyn Broker, group: &str) -> Result<Self> {
        let mut session = broker.session("auditor")?;
        let topics = topics(&mut *session)?;
        let mut partitions = BTreeMap::new();
        for spec in topics {
            for number in 0..spec.partitions {
                let name = TopicPartition::new(Arc::clone(&spec.name), number);
                let (records, end) = read(&mut *session, &name)?;
                let compact = spec.cleanup == Cleanup::Compact;
                partitions.insert(name, (records, end, compact));
            }
        }
        let names: Vec<_> = partitions.keys().cloned().collect();
        let asked = session.positions(group, &names);
        let positions = answer(&mut *session, |event| match event {
            Event::Positions(ticket, answer) if ticket == asked => Some(answer),
            _ => None,
        })?;
        let positions =
            positions.into_iter().map(|position| (position.partition.clone(), position));
        Ok(Self { partitions, positions: positions.collect() })
    }

    /// Whether this is what was acknowledged, or what was and a commit that was in the air.
    pub(crate) fn is_right(&self, ledger: &Ledger) -> std::result::Result<(), String> {
        let Err(differs) = self.is_as(ledger) else { return Ok(()) };
        ledger.possible(self).map(drop).ok_or(differs)
    }

    /// Whether this is what was acknowledged, but for what may have been deleted.
    fn is_as(&self, ledger: &Ledger) -> std::result::Result<(), String> {
        for (name, kept) in &ledger.partitions {
            if !self.partitions.contains_key(name) && kept.end > 0 {
                return Err(format!("{name} is gone"));
            }
        }
        let empty = Kept::default();
        for (name, (records, end, compact)) in &self.partitions {
            let kept = ledger.partitions.get(name).unwrap_or(&empty);
            if *end != kept.end {
                return Err(format!("{name} ends at {end} and not at {}", kept.end));
            }
            if *compact {
                is_compacted(records, &kept.records, ledger.maintained)
                    .map_err(|error| format!("{name}, compacted: {error}"))?;
                continue;
            }
            let first = kept.records.iter().position(|it| it.offset >= kept.trimmed);
            let needed = &kept.records[first.unwrap_or(kept.records.len())..];
            let from = kept.records.len().checked_sub(records.len());
            let same = from.is_some_and(|from| kept.records[from..] == records[..]);
            if !same || records.len() < needed.len() {
                return Err(format!(
                    "{name}: {} records are there that are not the {} acknowledged",
                    records.len(),
                    kept.records.len()
                ));
            }
        }
        if self.positions != ledger.positions {
            let differs = |name: &&TopicPartition| {
                self.positions.get(*name) != ledger.positions.get(*name)
            };
            let names = self.positions.keys().chain(ledger.positions.keys()).find(differs);
            let of = |all: &BTreeMap<TopicPartition, Position>| {
                let found = names.and_then(|name| all.get(name));
                found.map(|position| (position.next, position.note.clone()))
            };
            return Err(format!(
                "position of {names:?} is {:?} and not {:?}",
                of(&self.positions),
                of(&ledger.positions)
            ));
        }
        Ok(())
    }
}

/// Whether `seen` is `kept` compacted: of each key the last record is there, unless it is a
/// tombstone, and no older one shows where a newer one is gone.
fn is_compacted(
    seen: &[Raw],
    kept: &[Raw],
    maintained: i64,
) -> std::result::Result<(), String> {
    let mut rest = kept.iter();
    for record in seen {
        if !rest.any(|other| other == record) {
            return Err(format!("record at {} was never acknowledged", record.offset));
        }
    }
    let last_of = |records: &[Raw]| -> BTreeMap<Option<Bytes>, Raw> {
        records.iter().map(|record| (record.key.clone(), record.clone())).collect()
    };
    let (last, shown) = (last_of(kept), last_of(seen));
    for (key, record) in last {
        match shown.get(&key) {
            Some(found) if *found == record => {}
            None if record.may_be_gone(maintained) => {}
            found => {
                return Err(format!(
                    "the last record of key {key:?} is at {}, and {:?} is shown",
                    record.offset,
                    found.map(|found| found.offset)
                ));
            }
        }
    }
    Ok(())
}

/// Whether there is such a topic.
pub(crate) fn is_there(session: &mut dyn Session, topic: &str) -> Result<bool> {
    Ok(topics(session)?.iter().any(|spec| &*spec.name == topic))
}

fn topics(session: &mut dyn Session) -> Result<Vec<TopicSpec>> {
    let asked = session.describe(&[]);
    answer(session, |event| match event {
        Event::Topics(ticket, answer) if ticket == asked => Some(answer),
        _ => None,
    })
}

/// All records of a partition, and its end.
pub(crate) fn read(
    session: &mut dyn Session,
    name: &TopicPartition,
) -> Result<(Vec<Raw>, i64)> {
    let asked = session.offset(name, Seek::Earliest);
    let mut next = answer(session, |event| match event {
        Event::Offset(ticket, answer) if ticket == asked => Some(answer),
        _ => None,
    })?;
    let mut records = Vec::new();
    loop {
        let fetch = Fetch { partition: name.clone(), offset: next, max_bytes: 1 << 20 };
        let asked = session.fetch(fetch);
        let fetched = answer(session, |event| match event {
            Event::Fetched(ticket, answer) if ticket == asked => Some(answer),
            _ => None,
        })?;
        for batch in batches(fetched.batches) {
            for record in batch?.records()?.iter() {
                let record = record?;
                if record.offset >= next.max(fetched.start) {
                    records.push(Raw {
                        offset: record.offset,
                        key: record.key.map(Bytes::copy_from_slice),
                        value: record.value.map(Bytes::copy_from_slice),
                        at: record.at.as_millis(),
                        headers: record.headers.to_headers()?,
                        appended: 0,
                    });
                }
            }
        }
        if fetched.next >= fetched.end {
            return Ok((records, fetched.end));
        }
        if fetched.next <= next {
            let error = Error::corrupt("a fetch before the end gives nothing");
            return Err(error.with("partition", name).with("offset", next));
        }
        next = fetched.next;
    }
}

/// The answer that has come in; an inline log gives it at once.
pub(crate) fn answer<T>(
    session: &mut dyn Session,
    mut pick: impl FnMut(Event) -> Option<Result<T>>,
) -> Result<T> {
    let mut events = Vec::new();
    session.poll(&mut events);
    let found = events.drain(..).find_map(&mut pick);
    found.unwrap_or_else(|| Err(Error::corrupt("an inline log does not answer at once")))
}
