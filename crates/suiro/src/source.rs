//! Sources: records become rows, and what is no valid input meets the policy.

use crate::format::Format;
use crate::policy::Rule;
use crate::row::queued;
use crate::step::{Step, caught};
use crate::{Record, Topic};
use std::sync::{Arc, OnceLock};
use suiro_core::batch::{RecordView, Records};
use suiro_core::{Error, Offset, Result, Timestamp, TopicPartition};
use suiro_engine::{Decode, Decoded, Letter, RawRecord, Refused};

/// Decodes the records of a topic into rows with keys `K` and values `W`.
pub(crate) struct Decoder<K: 'static, W: 'static> {
    keys: &'static dyn Format<K>,
    value: ReadValue<W>,
    /// Tells the event time of a value, if it is not that of the record.
    time: TimeOf<W>,
    step: Step,
    letters: bool,
}

/// What tells the event time of a value; set once, while the program is written down.
pub(crate) type TimeOf<W> = Arc<OnceLock<Box<dyn Fn(&W) -> Timestamp + Send + Sync>>>;

type ReadValue<W> = Box<dyn Fn(Option<&[u8]>) -> Result<Option<W>> + Send + Sync>;

impl<K: 'static, V: 'static> Decoder<K, V> {
    /// A null value is no event, unless the type has one (rule N1).
    pub(crate) fn of_stream(topic: &Topic<K, V>, time: TimeOf<V>, step: Step) -> Self {
        let values = topic.values;
        let value = move |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => values.decode(bytes).map(Some),
            None => Ok(values.decode_null()),
        };
        Self { keys: topic.keys, value: Box::new(value), time, step, letters: true }
    }
}

impl<K: 'static, V: 'static> Decoder<K, Option<V>> {
    /// A null value removes a row (rule A1).
    pub(crate) fn of_table(topic: &Topic<K, V>, step: Step) -> Self {
        let values = topic.values;
        let value = move |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => values.decode(bytes).map(|value| Some(Some(value))),
            None => Ok(Some(None)),
        };
        let time = TimeOf::default();
        Self { keys: topic.keys, value: Box::new(value), time, step, letters: true }
    }
}

impl<K: 'static, W: 'static> Decoder<K, W> {
    /// Skips where the policy is to write letters.
    pub(crate) fn without_letters(self) -> Self {
        Self { letters: false, ..self }
    }
}

/// What is wrong with a record.
struct Wrong {
    cause: Error,
    /// What happens if no policy was set.
    default: Rule,
}

impl<K: Send + 'static, W: Send + 'static> Decoder<K, W> {
    fn row(&self, record: &RecordView<'_>) -> Result<Record<K, W>, Wrong> {
        let skip = |text: &str| Wrong { cause: Error::invalid(text), default: Rule::Skip };
        let stop = |cause| Wrong { cause, default: Rule::Stop };
        if self.time.get().is_none() && !record.at.is_valid() {
            return Err(skip("record has a negative time"));
        }
        let key = match record.key {
            Some(key) => self.keys.decode(key).map_err(stop)?,
            None => self.keys.decode_null().ok_or_else(|| skip("record has no key"))?,
        };
        let value = (self.value)(record.value).map_err(stop)?;
        let value = value.ok_or_else(|| skip("record has no value"))?;
        let headers = record.headers.to_headers().map_err(stop)?;
        let at = match self.time.get() {
            None => record.at,
            Some(time) => caught(|| Ok(time(&value))).map_err(stop)?,
        };
        if !at.is_valid() {
            return Err(skip("record has a negative time"));
        }
        Ok(Record { key, value, at, headers })
    }
}

impl<K: Send + 'static, W: Send + 'static> Decode for Decoder<K, W> {
    fn decode(
        &self,
        records: &Records,
        from: Offset,
        origin: &TopicPartition,
    ) -> Result<Decoded> {
        let mut rows = Vec::with_capacity(records.count());
        let mut offsets = Vec::with_capacity(records.count());
        let (mut refused, mut poison) = (Vec::new(), None);
        for record in records.iter() {
            let record = record?;
            if record.offset < from {
                continue;
            }
            match self.row(&record) {
                Ok(row) => {
                    rows.push(row);
                    offsets.push(record.offset);
                }
                Err(Wrong { cause, default }) => {
                    let rule = self.step.policy.get().unwrap_or(default);
                    let offset = record.offset;
                    if self.letters
                        && let Rule::Letter(topic) = rule
                    {
                        let step = self.step.label.clone();
                        let record = RawRecord::keep(records, &record);
                        tracing::warn!(step, topic = %origin.topic, offset, "record put aside");
                        let letter = Some(Letter { topic, step, cause, record });
                        refused.push(Refused { offset, letter });
                        continue;
                    }
                    let error = Error::invalid(
                        "cannot read record; mend it, or set a policy to skip it",
                    )
                    .with("topic", &origin.topic)
                    .with("partition", origin.partition)
                    .with("offset", offset)
                    .caused_by(cause);
                    if rule == Rule::Stop {
                        poison = Some(error);
                        break;
                    }
                    refused.push(Refused { offset, letter: None });
                    tracing::warn!(error = %error.report(), "record skipped");
                }
            }
        }
        Ok(Decoded { rows: queued(rows), offsets, refused, poison })
    }
}
