//! One party that talks to a log and waits for each answer.
#![allow(dead_code, clippy::unwrap_used)]

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use suiro_core::batch::{BatchWriter, Compression, batches};
use suiro_core::broker::{
    Broker, Cleanup, CommitId, Event, Fence, Fetch, Fetched, Generation, Outcome, Position,
    Role, Seek, Session, TaskId, TopicSpec,
};
use suiro_core::{Clock, Headers, Offset, Result, Timestamp, TopicPartition};

pub struct Party {
    pub session: Box<dyn Session>,
    events: Vec<Event>,
}

/// A clock that stands still until it is told to go on.
#[derive(Clone, Default)]
pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// A record: offset, key, value.
pub type Row = (Offset, Option<String>, Option<String>);

pub fn place(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

pub fn batch_at(at: i64, rows: &[(Option<&str>, Option<&str>)]) -> Bytes {
    let mut writer = BatchWriter::new(Compression::None);
    for (key, value) in rows {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        writer.push(Timestamp::from_millis(at), key, value, &Headers::NONE);
    }
    writer.finish().unwrap()
}

pub fn batch(values: &[&str]) -> Bytes {
    let rows: Vec<_> = values.iter().map(|value| (None, Some(*value))).collect();
    batch_at(0, &rows)
}

pub fn fence(group: &str, generation: Option<u64>) -> Option<Fence> {
    Some(Fence { group: group.into(), generation: generation.map(Generation) })
}

pub fn rows(bytes: Bytes) -> Vec<Row> {
    let text =
        |bytes: Option<&[u8]>| bytes.map(|text| String::from_utf8_lossy(text).into_owned());
    let mut rows = Vec::new();
    for batch in batches(bytes) {
        for record in batch.unwrap().records().unwrap().iter() {
            let record = record.unwrap();
            rows.push((record.offset, text(record.key), text(record.value)));
        }
    }
    rows
}

impl Party {
    pub fn new(log: &dyn Broker, name: &str) -> Self {
        Self { session: log.session(name).unwrap(), events: Vec::new() }
    }

    /// The first event that `pick` takes; others are left for later.
    pub fn until<T>(
        &mut self,
        mut pick: impl FnMut(Event) -> std::result::Result<T, Event>,
    ) -> T {
        loop {
            self.session.poll(&mut self.events);
            let mut found = None;
            for event in std::mem::take(&mut self.events) {
                match found {
                    None => match pick(event) {
                        Ok(answer) => found = Some(answer),
                        Err(event) => self.events.push(event),
                    },
                    Some(_) => self.events.push(event),
                }
            }
            match found {
                Some(found) => return found,
                None => self.session.wait(Duration::from_secs(10)),
            }
        }
    }

    pub fn create(&mut self, name: &str, partitions: u32, cleanup: Cleanup) -> Result<()> {
        let spec = TopicSpec { name: name.into(), partitions, cleanup };
        let asked = self.session.create(vec![spec]);
        self.until(|event| match event {
            Event::Created(ticket, answer) if ticket == asked => Ok(answer),
            other => Err(other),
        })
    }

    pub fn resolved(&mut self, commit: CommitId) -> Outcome {
        self.until(|event| match event {
            Event::Resolved(id, outcome) if id == commit => Ok(outcome),
            other => Err(other),
        })
    }

    pub fn commit(
        &mut self,
        appends: &[(TopicPartition, Bytes)],
        fence: Option<Fence>,
        positions: Vec<Position>,
    ) -> Outcome {
        let commit = self.session.begin();
        for (to, batches) in appends {
            self.session.append(commit, to, batches.clone());
        }
        self.session.commit(commit, fence, positions);
        self.resolved(commit)
    }

    /// Writes in one commit, which must succeed.
    pub fn write(&mut self, appends: &[(TopicPartition, Bytes)]) -> Vec<Offset> {
        match self.commit(appends, None, Vec::new()) {
            Outcome::Committed { offsets } => offsets,
            other => panic!("not committed: {other:?}"),
        }
    }

    pub fn fetch(
        &mut self,
        partition: &TopicPartition,
        offset: Offset,
        max_bytes: usize,
    ) -> Result<Fetched> {
        let asked =
            self.session.fetch(Fetch { partition: partition.clone(), offset, max_bytes });
        self.until(|event| match event {
            Event::Fetched(ticket, answer) if ticket == asked => Ok(answer),
            other => Err(other),
        })
    }

    /// All records of a partition from its start, read with fetches of about `max_bytes`.
    pub fn read_by(
        &mut self,
        partition: &TopicPartition,
        max_bytes: usize,
    ) -> Result<Vec<Row>> {
        let (mut all, mut offset) = (Vec::new(), 0);
        loop {
            let fetched = self.fetch(partition, offset, max_bytes)?;
            assert!(fetched.next >= offset.max(fetched.start), "{fetched:?}");
            let from = offset.max(fetched.start);
            all.extend(rows(fetched.batches).into_iter().filter(|row| row.0 >= from));
            if fetched.next >= fetched.end {
                assert_eq!(fetched.next, fetched.end);
                return Ok(all);
            }
            assert!(fetched.next > offset, "a fetch before the end makes progress");
            offset = fetched.next;
        }
    }

    pub fn read(&mut self, partition: &TopicPartition) -> Vec<Row> {
        self.read_by(partition, 1 << 20).unwrap()
    }

    pub fn values(&mut self, partition: &TopicPartition) -> Vec<String> {
        self.read(partition).into_iter().filter_map(|(_, _, value)| value).collect()
    }

    pub fn seek(&mut self, partition: &TopicPartition, seek: Seek) -> Result<Offset> {
        let asked = self.session.offset(partition, seek);
        self.until(|event| match event {
            Event::Offset(ticket, answer) if ticket == asked => Ok(answer),
            other => Err(other),
        })
    }

    pub fn positions(&mut self, group: &str, of: &[TopicPartition]) -> Vec<Position> {
        let asked = self.session.positions(group, of);
        self.until(|event| match event {
            Event::Positions(ticket, answer) if ticket == asked => Ok(answer.unwrap()),
            other => Err(other),
        })
    }

    pub fn topics(&mut self) -> Vec<TopicSpec> {
        let asked = self.session.describe(&[]);
        self.until(|event| match event {
            Event::Topics(ticket, answer) if ticket == asked => Ok(answer.unwrap()),
            other => Err(other),
        })
    }

    pub fn assigned(&mut self) -> (u64, Vec<TaskId>) {
        self.until(|event| match event {
            Event::Assigned(Generation(generation), tasks) => {
                assert!(tasks.iter().all(|(_, role)| *role == Role::Active));
                Ok((generation, tasks.into_iter().map(|(task, _)| task).collect()))
            }
            other => Err(other),
        })
    }
}
