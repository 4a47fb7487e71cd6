//! Global tables: topics of which every process holds all rows, beside its tasks (rule A4).
//!
//! They are no part of the commit, and nothing of them is kept but the topic itself: what there is
//! of it is read before the first round of a process. What comes later is taken between two rounds,
//! as it arrives, so that all tasks see one table in a round.

use crate::input::unreadable;
use crate::rows::BoxRows;
use crate::scope::Scope;
use crate::source::Decode;
use std::any::Any;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::{Fetch, Fetched, Seek, Ticket};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// A table of which a process holds all rows.
pub trait Global: Any + Send + Sync {
    /// Takes rows of its topic, those of one partition in order.
    fn take(&mut self, rows: BoxRows);

    /// How many rows there are.
    fn rows(&self) -> usize;

    /// The typed table, for a downcast.
    fn as_any(&self) -> &dyn Any;
}

/// Makes an empty global table.
pub type MakeGlobal = Arc<dyn Fn() -> Box<dyn Global> + Send + Sync>;

/// A global table, as the program writes it down.
pub struct GlobalSpec {
    /// The topic.
    pub topic: Arc<str>,
    /// How its records become rows.
    pub decode: Arc<dyn Decode>,
    /// Makes an empty table.
    pub make: MakeGlobal,
}

/// The global tables of a process, by number, for its operators to look at.
#[derive(Clone, Default)]
pub struct Globals(Arc<[RwLock<Box<dyn Global>>]>);

impl Globals {
    /// Looks at a table. It stays as it is for the rest of the round. `None` if it has another
    /// type.
    pub fn look<G: Any, T>(&self, number: usize, look: impl FnOnce(&G) -> T) -> Option<T> {
        let global = self.0[number].read().unwrap_or_else(PoisonError::into_inner);
        global.as_any().downcast_ref().map(look)
    }

    fn take(&self, number: usize, rows: BoxRows) {
        self.0[number].write().unwrap_or_else(PoisonError::into_inner).take(rows);
    }

    /// How many rows there are in all of them.
    pub(crate) fn rows(&self) -> usize {
        let read = |global: &RwLock<Box<dyn Global>>| {
            global.read().unwrap_or_else(PoisonError::into_inner).rows()
        };
        self.0.iter().map(read).sum()
    }
}

/// The tables of a scope, and how far they have been read.
#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) globals: Globals,
    parts: Vec<Part>,
}

/// A partition of a topic that is followed.
struct Part {
    global: usize,
    partition: TopicPartition,
    /// The offset of the next record.
    next: Offset,
    end: Offset,
    fetching: Option<Ticket>,
}

impl Part {
    fn fetch(&self, max_bytes: usize) -> Fetch {
        Fetch { partition: self.partition.clone(), offset: self.next, max_bytes }
    }
}

impl Followed {
    /// Whether answers are under way.
    pub(crate) fn is_asking(&self) -> bool {
        self.parts.iter().any(|part| part.fetching.is_some())
    }

    /// What was asked will not be answered.
    pub(crate) fn forget(&mut self) {
        self.parts.iter_mut().for_each(|part| part.fetching = None);
    }
}

impl Scope {
    /// Makes the tables, empty, and finds out where their partitions begin and end.
    pub(crate) fn open_globals(&mut self) -> Result<()> {
        let specs = &self.plan.graph.globals;
        let made = specs.iter().map(|spec| RwLock::new((spec.make)()));
        self.followed.globals = Globals(made.collect());
        for (global, spec) in specs.iter().enumerate() {
            for partition in 0..self.layout.of_global(&spec.topic) {
                let partition = TopicPartition { topic: Arc::clone(&spec.topic), partition };
                let next = self.link.offset(&partition, Seek::Earliest)?;
                let end = self.link.offset(&partition, Seek::Latest)?;
                self.followed.parts.push(Part { global, partition, next, end, fetching: None });
            }
        }
        Ok(())
    }

    /// How many records are between where the tables are and their ends.
    pub(crate) fn unread_globals(&self) -> u64 {
        let left = |part: &Part| u64::try_from(part.end - part.next).unwrap_or(0);
        self.followed.parts.iter().map(left).sum()
    }

    /// Reads each table to the end that it had at the start; the first time only.
    pub(crate) fn read_globals(&mut self, begun: Duration) -> Result<()> {
        for number in 0..self.followed.parts.len() {
            while self.followed.parts[number].next < self.followed.parts[number].end {
                if self.progress.cuts() {
                    return Err(crate::restore::stopped());
                }
                let part = &self.followed.parts[number];
                let (before, end) = (part.next, part.end);
                let ticket = self.link.session.fetch(part.fetch(self.settings.fetch_bytes));
                let fetched = self.link.fetched(ticket)?;
                let bytes = fetched.batches.len() as u64;
                self.take_global(number, fetched)?;
                let next = self.followed.parts[number].next;
                if next <= before {
                    break;
                }
                let passed = u64::try_from(next.min(end) - before).unwrap_or(0);
                self.progress.add(passed, bytes, self.clock.elapsed().saturating_sub(begun));
            }
        }
        Ok(())
    }

    /// Asks for what has come since; of those that were at their ends only if `look`.
    pub(crate) fn follow_globals(&mut self, look: bool) {
        for part in &mut self.followed.parts {
            if part.fetching.is_none() && (look || part.next < part.end) {
                let fetch = part.fetch(self.settings.fetch_bytes);
                part.fetching = Some(self.link.session.fetch(fetch));
            }
        }
    }

    /// Takes the answer to a fetch, if it is one of those.
    pub(crate) fn follow_global(
        &mut self,
        ticket: Ticket,
        fetched: Result<Fetched>,
    ) -> Result<()> {
        let mut parts = self.followed.parts.iter();
        let Some(number) = parts.position(|part| part.fetching == Some(ticket)) else {
            return Ok(());
        };
        self.followed.parts[number].fetching = None;
        self.take_global(number, fetched?)
    }

    fn take_global(&mut self, number: usize, fetched: Fetched) -> Result<()> {
        let part = &mut self.followed.parts[number];
        if fetched.start > part.next {
            return Err(deleted(&part.partition, part.next, fetched.start));
        }
        let decode = &self.plan.graph.globals[part.global].decode;
        for batch in batches(fetched.batches) {
            let records = batch.and_then(|batch| batch.records());
            let records = records.map_err(|error| unreadable(&part.partition, error))?;
            let decoded = decode.decode(&records, part.next, &part.partition)?;
            if let Some(error) = decoded.poison {
                return Err(error);
            }
            self.totals.skipped += decoded.refused.len() as u64;
            let mut rows = decoded.rows;
            let count = rows.len();
            if count > 0 {
                self.followed.globals.take(part.global, rows.take(count));
            }
        }
        part.next = part.next.max(fetched.next);
        part.end = part.end.max(fetched.end);
        Ok(())
    }
}

/// The error of records that went before they were read.
pub(crate) fn deleted(partition: &TopicPartition, next: Offset, start: Offset) -> Error {
    let text = "records were deleted before they were read; \
                reset the app, or keep records longer";
    Error::invalid(text)
        .with("partition", partition)
        .with("position", next)
        .with("start", start)
}
