//! The position of an input against a model: what it passes, and what not.

use super::*;
use crate::rows::Rows;
use crate::source::Decoded;
use bytes::Bytes;
use proptest::prelude::*;
use std::any::Any;
use suiro_core::Headers;
use suiro_core::batch::{BatchWriter, Compression, Records, set_base_offset};

/// Rows that are the times of their records.
struct Times(VecDeque<Timestamp>);

impl Rows for Times {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn first_at(&self) -> Timestamp {
        self.0[0]
    }

    fn into_queue(self: Box<Self>) -> Box<dyn RowQueue> {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl RowQueue for Times {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, index: usize) -> Timestamp {
        self.0[index]
    }

    fn take(&mut self, count: usize) -> BoxRows {
        Box::new(Self(self.0.drain(..count).collect()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What cannot read the record at an offset, if there is one.
struct But(Option<Offset>);

impl Decode for But {
    fn decode(&self, records: &Records, from: Offset, _: &TopicPartition) -> Result<Decoded> {
        let (mut times, mut offsets, mut poison) = (VecDeque::new(), Vec::new(), None);
        for record in records {
            let record = record?;
            if self.0 == Some(record.offset) {
                poison = Some(Error::invalid("this is no time"));
                break;
            }
            if record.offset >= from {
                times.push_back(record.at);
                offsets.push(record.offset);
            }
        }
        let (rows, refused) = (Box::new(Times(times)), Vec::new());
        Ok(Decoded { rows, offsets, refused, poison })
    }
}

fn input() -> Input {
    Input::new(0, InputKind::Topic, TopicPartition::new("topic", 0), 0)
}

/// Records from an offset on, and what is none behind them.
fn fetched(from: Offset, records: i64, gap: i64) -> Fetched {
    let mut batch = BatchWriter::new(Compression::None);
    for number in 0..records {
        let at = Timestamp::from_millis(number);
        batch.push(at, None, Some(b"value"), &Headers::NONE);
    }
    let mut bytes = Vec::new();
    if records > 0 {
        batch.finish_into(&mut bytes).unwrap();
        set_base_offset(&mut bytes, from);
    }
    let next = from + records + gap;
    let partition = TopicPartition::new("topic", 0);
    Fetched { partition, batches: Bytes::from(bytes), next, end: next, start: 0 }
}

proptest! {
    /// It is behind all rows that were taken and before all that wait; where none waits it is
    /// behind all that was decoded.
    #[test]
    fn the_position_passes_no_row_and_each_gap_at_the_end(
        steps in prop::collection::vec((0..3_i64, 0..3_i64, 0..4_usize, any::<bool>()), 1..30),
    ) {
        let mut input = input();
        let (mut waiting, mut next, mut decoded, mut taken) = (VecDeque::new(), 0, 0, 0);
        for (records, gap, count, absorbs) in steps {
            input.accept(fetched(next, records, gap));
            waiting.extend(next..next + records);
            next += records + gap;
            if absorbs {
                input.absorb(&But(None), false, false).unwrap();
                decoded = next;
            }
            for _ in 0..count {
                let Some(queue) = input.front() else { break };
                let count = count.min(queue.len());
                input.take(count);
                input.settle();
                taken = waiting.drain(..count).next_back().map_or(taken, |last| last + 1);
            }
            let first = waiting.front().copied().filter(|first| *first < decoded);
            match first {
                Some(first) => prop_assert!((taken..=first).contains(&input.position)),
                None => prop_assert_eq!(input.position, decoded),
            }
        }
    }
}

#[test]
fn a_gap_is_something_to_commit() {
    let mut input = input();
    input.accept(fetched(0, 0, 5));
    input.absorb(&But(None), false, false).unwrap();
    assert_eq!((input.position, input.leaps(), input.leaps()), (5, true, false));
    input.accept(fetched(5, 0, 0));
    input.absorb(&But(None), false, false).unwrap();
    assert!(!input.leaps());
}

#[test]
fn what_cannot_be_read_is_not_passed() {
    let mut input = input();
    input.accept(fetched(0, 4, 1));
    input.absorb(&But(Some(2)), false, false).unwrap();
    input.take(2);
    input.settle();
    assert!(input.is_poisoned());
    assert_eq!((input.position, input.leaps()), (2, false));
}

#[test]
fn a_bounded_run_does_not_pass_its_end() {
    let mut input = input();
    input.stop_at = Some(3);
    input.accept(fetched(0, 2, 4));
    input.absorb(&But(None), false, false).unwrap();
    assert!(!input.is_ended());
    input.take(2);
    input.settle();
    assert_eq!((input.position, input.is_ended()), (3, true));
}
