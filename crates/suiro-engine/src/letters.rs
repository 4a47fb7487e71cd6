//! Dead letters: records that were put aside for a person to look at, in the commit that passes
//! them.
//!
//! The first failure of a step whose policy is to write letters rolls the commit back. The work
//! is then done again with each record alone, so that the one that fails is known.

use crate::outbox::{Outbox, Outgoing};
use crate::rows::Rows;
use bytes::Bytes;
use std::fmt::Write;
use std::sync::Arc;
use suiro_core::batch::{RecordView, Records};
use suiro_core::{Error, Header, Headers, Offset, Result, Timestamp, TopicPartition};

/// The names of the headers that a letter has beside those of its record.
pub mod letter_header {
    /// All of them begin so.
    pub const PREFIX: &str = "suiro.letter.";
    /// The program that wrote the letter.
    pub const APP: &str = "suiro.letter.app";
    /// The step that could not take the record, as `describe` names it.
    pub const STEP: &str = "suiro.letter.step";
    /// Why not: the report of the error, or what the panic said.
    pub const CAUSE: &str = "suiro.letter.cause";
    /// The topic of the record.
    pub const TOPIC: &str = "suiro.letter.topic";
    /// The partition of the record.
    pub const PARTITION: &str = "suiro.letter.partition";
    /// The offset of the record.
    pub const OFFSET: &str = "suiro.letter.offset";
    /// In place of topic, partition and offset, where the row is no record of a source: what
    /// the bytes are.
    pub const ROW: &str = "suiro.letter.row";
    /// Beside it: the newest records that had been read, from one of which the row may come.
    pub const NEWEST: &str = "suiro.letter.newest";
}

/// A record as it lies in its topic.
#[derive(Clone, Debug)]
pub struct RawRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its time.
    pub at: Timestamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers; none if they cannot be read.
    pub headers: Headers,
}

impl RawRecord {
    /// Keeps a record of `records`, without a copy of its key and value.
    pub fn keep(records: &Records, record: &RecordView<'_>) -> Self {
        let keep = |bytes: Option<&[u8]>| bytes.map(|bytes| records.payload().slice_ref(bytes));
        Self {
            offset: record.offset,
            at: record.at,
            key: keep(record.key),
            value: keep(record.value),
            headers: record.headers.to_headers().unwrap_or_default(),
        }
    }
}

/// A record that a source did not turn into a row.
#[derive(Debug)]
pub struct Refused {
    /// Its offset.
    pub offset: Offset,
    /// What is to be written of it, if the policy says so.
    pub letter: Option<Letter>,
}

/// What is to be written of a record that was put aside.
#[derive(Debug)]
pub struct Letter {
    /// The number of the topic that takes it.
    pub topic: usize,
    /// The step that could not take the record.
    pub step: String,
    /// Why not.
    pub cause: Error,
    /// The record.
    pub record: RawRecord,
}

/// What a letter shows of a row that is no record of a source: key, value and time, as far as
/// the step knows how to write them.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The time of the row.
    pub at: Timestamp,
    /// The headers of the row.
    pub headers: Headers,
}

/// Shows the first row of a batch that is about to go into a step.
pub type Show = Arc<dyn Fn(&dyn Rows) -> Shown + Send + Sync>;

/// The encoded records behind the rows of a chunk, kept where letters may be written.
pub(crate) enum Kept {
    Batch(Records),
    /// By offset, once one of them was asked for.
    Listed(Vec<RawRecord>),
}

impl Kept {
    /// The record at `offset`.
    pub(crate) fn find(&mut self, offset: Offset) -> Option<RawRecord> {
        if let Self::Batch(records) = self {
            let all = records.iter().flatten();
            *self = Self::Listed(all.map(|it| RawRecord::keep(records, &it)).collect());
        }
        let Self::Listed(list) = self else { return None };
        let place = list.binary_search_by_key(&offset, |record| record.offset).ok()?;
        Some(list[place].clone())
    }
}

/// Where a row comes from, as far as it is known.
pub(crate) enum Origin {
    /// It is a record of a source, or was made of this one alone.
    Record(TopicPartition, RawRecord),
    /// It is not: what its bytes are, and the newest records read.
    Row { shown: Shown, what: String, newest: Arc<str> },
}

/// More of a cause than this is cut off.
const CAUSE_BYTES: usize = 4096;

/// Writes a letter: the bytes of the record, and its story in headers.
pub(crate) fn write(
    outbox: &mut Outbox,
    topic: usize,
    app: &str,
    (step, cause): (&str, &Error),
    origin: &Origin,
) -> Result<()> {
    let mut report = cause.report();
    if report.len() > CAUSE_BYTES {
        report.truncate(report.floor_char_boundary(CAUSE_BYTES));
        write!(report, " ..").expect("writing to a string does not fail");
    }
    let mut story = vec![
        (letter_header::APP, app.to_owned()),
        (letter_header::STEP, step.to_owned()),
        (letter_header::CAUSE, report),
    ];
    let (key, value, at, own) = match origin {
        Origin::Record(from, record) => {
            story.push((letter_header::TOPIC, from.topic.to_string()));
            story.push((letter_header::PARTITION, from.partition.to_string()));
            story.push((letter_header::OFFSET, record.offset.to_string()));
            (record.key.as_deref(), record.value.as_deref(), record.at, &record.headers)
        }
        Origin::Row { shown, what, newest } => {
            story.push((letter_header::ROW, what.clone()));
            story.push((letter_header::NEWEST, newest.to_string()));
            (shown.key.as_deref(), shown.value.as_deref(), shown.at, &shown.headers)
        }
    };
    let story = story
        .into_iter()
        .map(|(name, text)| Header { key: name.to_owned(), value: Some(Bytes::from(text)) });
    let headers = own.iter().cloned().chain(story).collect::<Vec<_>>().into();
    outbox.write(topic, 0, Outgoing { key, value, at, headers: &headers })
}
