//! An exchange moves rows to the tasks that own their keys (rule T6).
//!
//! Every sending task is a lane of its own. What a lane delivers ends with a [`Mark`]: how far
//! the sender's time has come, and whether it is caught up. In memory a delivery is a batch of
//! typed rows; in the internal topic it is a record batch whose first record is the mark.

use crate::rows::{BoxRows, RowQueue};
use crate::source::Decode;
use suiro_core::batch::{BatchWriter, Compression, Records};
use suiro_core::broker::Generation;
use suiro_core::{Error, Headers, Result, Timestamp};

/// How rows cross from one task to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ExchangeKind {
    /// In memory; a commit writes to the internal topic only what could not take its turn.
    #[default]
    Memory,
    /// Through the internal topic, always.
    Topic,
}

/// Turns the rows of an exchange into records, and back.
pub trait ExchangeCodec: Decode {
    /// Writes all rows that wait in `rows`, in order.
    fn encode(&self, rows: &dyn RowQueue, writer: &mut BatchWriter) -> Result<()>;
}

/// How far a lane has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The sender's time: what it sends from now on is not older, but for what is out of order
    /// in its own input.
    pub at: Timestamp,
    /// Whether the sender has taken all there is to take.
    pub caught_up: bool,
    /// Whether the sender has come to the end of a bounded run.
    pub ended: bool,
}

impl Mark {
    /// The mark of a lane of which nothing is known.
    pub const UNKNOWN: Self = Self { at: Timestamp::MIN, caught_up: false, ended: false };
}

/// What one lane delivers to one task: rows, and then a mark.
pub(crate) struct Delivery {
    pub(crate) exchange: usize,
    pub(crate) lane: u32,
    pub(crate) to: u32,
    pub(crate) rows: Option<BoxRows>,
    pub(crate) mark: Mark,
}

/// What one task has sent since it was last collected.
#[derive(Default)]
pub struct Sends {
    exchanges: Vec<Option<Sending>>,
}

struct Sending {
    partitions: Vec<Option<BoxRows>>,
    saw: Timestamp,
    delay: i64,
    last: Option<Mark>,
}

impl Sends {
    pub(crate) fn open(&mut self, exchange: usize, partitions: u32, delay: i64) {
        if self.exchanges.len() <= exchange {
            self.exchanges.resize_with(exchange + 1, || None);
        }
        let partitions = (0..partitions).map(|_| None).collect();
        let sending = Sending { partitions, saw: Timestamp::MIN, delay, last: None };
        self.exchanges[exchange] = Some(sending);
    }

    /// What waits to be sent on exchange number `exchange`, by receiving partition. The
    /// operator adds its rows there, and says in `at` the largest time among them.
    pub fn partitions(&mut self, exchange: usize, at: Timestamp) -> &mut [Option<BoxRows>] {
        let sending = self.exchanges[exchange].as_mut();
        let sending = sending.expect("a task opens the exchanges it sends on");
        sending.saw = sending.saw.max(at);
        &mut sending.partitions
    }

    /// How many rows wait to be sent.
    pub(crate) fn rows(&self) -> usize {
        let partitions = self.exchanges.iter().flatten().flat_map(|to| &to.partitions);
        partitions.flatten().map(|rows| rows.len()).sum()
    }

    /// Collects what was sent, with a mark behind it. `at` is the stream time of the task.
    pub(crate) fn collect(
        &mut self,
        lane: u32,
        at: Timestamp,
        caught_up: bool,
        ended: bool,
        deliver: &mut Vec<Delivery>,
    ) {
        for (exchange, sending) in self.exchanges.iter_mut().enumerate() {
            let Some(sending) = sending else { continue };
            let behind = if at == Timestamp::MIN { at } else { at.plus_millis(-sending.delay) };
            let mark = Mark { at: sending.saw.max(behind), caught_up, ended };
            let moved = sending.last != Some(mark);
            for (to, rows) in sending.partitions.iter_mut().enumerate() {
                let rows = rows.take();
                if rows.is_some() || moved && !cfg!(suiro_mutant = "lane_mark_lost") {
                    deliver.push(Delivery { exchange, lane, to: to as u32, rows, mark });
                }
            }
            sending.last = Some(mark);
        }
    }

    /// Forgets what was sent and not collected, and what was told to the receivers.
    pub(crate) fn clear(&mut self) {
        for sending in self.exchanges.iter_mut().flatten() {
            sending.partitions.iter_mut().for_each(|rows| *rows = None);
            (sending.saw, sending.last) = (Timestamp::MIN, None);
        }
    }
}

/// Version of the layout of a mark in an internal topic.
const MARK_VERSION: u8 = 2;
/// The version, the lane, the time, the generation of the sender, and flags.
const MARK_BYTES: usize = 22;

/// Encodes a delivery as one record batch: the mark, then the rows.
pub(crate) fn encode(
    codec: &dyn ExchangeCodec,
    (lane, generation): (u32, Generation),
    mark: Mark,
    rows: Option<&dyn RowQueue>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut writer = BatchWriter::new(Compression::None);
    let mut value = [0; MARK_BYTES];
    value[0] = MARK_VERSION;
    value[1..5].copy_from_slice(&lane.to_be_bytes());
    value[5..13].copy_from_slice(&mark.at.as_millis().to_be_bytes());
    value[13..21].copy_from_slice(&generation.0.to_be_bytes());
    value[21] = u8::from(mark.caught_up) | (u8::from(mark.ended) << 1);
    let at = if mark.at.is_valid() { mark.at } else { Timestamp::ZERO };
    writer.push(at, None, Some(&value), &Headers::NONE);
    if let Some(rows) = rows {
        codec.encode(rows, &mut writer)?;
    }
    writer.finish_into(out)
}

/// Reads the mark at the front of a batch: the lane, and how far it has come. A sender that was
/// there before this generation said nothing of what it would find at its next start: it is not
/// caught up and has not ended until it says so again.
pub(crate) fn read_mark(records: &Records, generation: Generation) -> Result<(u32, Mark)> {
    let bad = || Error::corrupt("batch in a repartition topic does not begin with a mark");
    let first = records.iter().next().ok_or_else(bad)??;
    let value: &[u8; MARK_BYTES] =
        first.value.and_then(|value| value.try_into().ok()).ok_or_else(bad)?;
    if first.key.is_some() || value[0] != MARK_VERSION {
        return Err(bad().with("version", value[0]));
    }
    let [_, rest @ .., flags] = value;
    let (lane, rest) = rest.split_at(4);
    let (at, of) = rest.split_at(8);
    let lane = u32::from_be_bytes(lane.try_into().expect("four bytes were split off"));
    let at = i64::from_be_bytes(at.try_into().expect("eight bytes were split off"));
    let of = u64::from_be_bytes(of.try_into().expect("eight bytes are left"));
    let is_stale = of != generation.0 && !cfg!(suiro_mutant = "stale_mark_believed");
    let flags = if is_stale { 0 } else { *flags };
    let mark = Mark {
        at: Timestamp::from_millis(at),
        caught_up: flags & 1 != 0,
        ended: flags & 2 != 0,
    };
    Ok((lane, mark))
}
