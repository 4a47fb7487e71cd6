//! One input of a task: rows that wait for their turn, and what is known of those to come.

use crate::exchange::{Mark, read_mark};
use crate::letters::{Kept, Refused};
use crate::rows::{BoxRows, RowQueue};
use crate::source::Decode;
use std::collections::VecDeque;
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::{Fetched, Generation, Ticket};
use suiro_core::{Error, Offset, Result, Timestamp, TopicPartition};

/// Rows that came together.
pub(crate) struct Chunk {
    pub(crate) rows: Option<Box<dyn RowQueue>>,
    pub(crate) offsets: Offsets,
    /// How many rows were taken before.
    pub(crate) taken: usize,
    /// The lane they came by, and its mark, which counts once the rows are taken.
    pub(crate) lane: Option<(u32, Mark)>,
    /// The record behind the rows cannot be read.
    pub(crate) poison: Option<Error>,
    /// The position once all of it is taken; `None` if it is in no topic.
    pub(crate) next: Option<Offset>,
    /// The encoded records, where letters may be written.
    pub(crate) kept: Option<Kept>,
}

/// Where the rows of a chunk are in their topic.
pub(crate) enum Offsets {
    /// Nowhere: they crossed in memory.
    Memory,
    /// Each at its own.
    Each(Vec<Offset>),
    /// One after another.
    From(Offset),
}

impl Chunk {
    fn len(&self) -> usize {
        self.rows.as_ref().map_or(0, |rows| rows.len())
    }

    /// The offsets of the first and the last of the next `count` rows.
    pub(crate) fn offsets_of(&self, count: usize) -> Option<(Offset, Offset)> {
        let last = self.taken + count - 1;
        match &self.offsets {
            Offsets::Memory => None,
            Offsets::Each(offsets) => Some((offsets[self.taken], offsets[last])),
            Offsets::From(base) => Some((base + self.taken as Offset, base + last as Offset)),
        }
    }

    /// The offset of the first row that waits.
    pub(crate) fn position(&self) -> Option<Offset> {
        if self.len() == 0 {
            return self.next.or(match &self.offsets {
                Offsets::Each(offsets) => offsets.last().map(|last| last + 1),
                Offsets::Memory | Offsets::From(_) => None,
            });
        }
        match &self.offsets {
            Offsets::Memory => None,
            Offsets::Each(offsets) => Some(offsets[self.taken]),
            Offsets::From(base) => Some(base + self.taken as Offset),
        }
    }
}

/// An input of a task.
pub(crate) struct Input {
    /// The node of the graph whose readers get the rows.
    pub(crate) node: usize,
    /// The partition that is read.
    pub(crate) origin: TopicPartition,
    pub(crate) kind: InputKind,
    /// The exchange whose rows do not wait for this input.
    pub(crate) beside: Option<usize>,
    pub(crate) chunks: VecDeque<Chunk>,
    /// What was fetched and is not yet decoded.
    pub(crate) raw: VecDeque<Fetched>,
    /// How many rows wait.
    pub(crate) waiting: usize,
    /// The offset of the next record to take.
    pub(crate) position: Offset,
    /// The offset of the next record to fetch.
    pub(crate) fetch_from: Offset,
    /// The offset of the next record to decode.
    pub(crate) decoded: Offset,
    /// The committed end as last seen; `None` while it is unknown.
    pub(crate) end: Option<Offset>,
    /// Where a bounded run ends.
    pub(crate) stop_at: Option<Offset>,
    pub(crate) fetching: Option<Ticket>,
    /// When that was asked, and when the last fetch was asked that was answered; `None` if what
    /// the program itself has sent may not be seen there.
    pub(crate) asked: Option<Duration>,
    pub(crate) looked: Option<Duration>,
    /// The largest time of a row that was taken.
    pub(crate) max_at: Timestamp,
    /// The generation in which the task was opened.
    pub(crate) generation: Generation,
    /// The lanes of an exchange, by number of the sending task.
    pub(crate) lanes: Vec<Mark>,
    /// What they were at the last commit, and at the one that was asked for last.
    settled: Vec<Mark>,
    sealed: Vec<Mark>,
    /// The lane whose rows are on their way through the operators, and their largest time: the
    /// lane has come so far only when they are through.
    rising: Option<(u32, Timestamp)>,
    /// Records that became no rows, and that the position has not passed.
    pub(crate) refused: VecDeque<Refused>,
    /// How many rows at the front the operators were told of.
    pub(crate) foreseen: usize,
    /// Whether the position has passed what is no record, which is to be committed, too.
    has_leapt: bool,
    /// When it was first seen empty and caught up.
    idle_since: Option<Duration>,
}

/// What feeds an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum InputKind {
    Topic,
    Generator,
    Exchange(usize),
}

impl Input {
    pub(crate) fn new(
        node: usize,
        kind: InputKind,
        origin: TopicPartition,
        lanes: usize,
    ) -> Self {
        Self {
            node,
            origin,
            kind,
            beside: None,
            chunks: VecDeque::new(),
            raw: VecDeque::new(),
            waiting: 0,
            position: 0,
            fetch_from: 0,
            decoded: 0,
            end: None,
            stop_at: None,
            fetching: None,
            asked: None,
            looked: None,
            max_at: Timestamp::MIN,
            generation: Generation(0),
            lanes: vec![Mark::UNKNOWN; lanes],
            settled: vec![Mark::UNKNOWN; lanes],
            sealed: vec![Mark::UNKNOWN; lanes],
            rising: None,
            refused: VecDeque::new(),
            foreseen: 0,
            has_leapt: false,
            idle_since: None,
        }
    }

    /// Goes to `position`, and forgets all that waits.
    pub(crate) fn seek(&mut self, position: Offset) {
        self.chunks.clear();
        self.raw.clear();
        self.refused.clear();
        self.waiting = 0;
        (self.position, self.fetch_from, self.decoded) = (position, position, position);
        (self.end, self.fetching, self.looked) = (None, None, None);
        self.has_leapt = false;
        self.lanes.fill(Mark::UNKNOWN);
        // A lane must not claim the time of rows that it is going to send again.
        (self.max_at, self.rising) = (Timestamp::MIN, None);
    }

    /// A new generation begins, and nothing waits. Its senders have not said yet whether they are
    /// caught up.
    pub(crate) fn begin(&mut self, generation: Generation) {
        self.generation = generation;
        for lane in self.lanes.iter_mut().chain(&mut self.settled) {
            *lane = Mark { at: lane.at, ..Mark::UNKNOWN };
        }
    }

    /// All that was taken is in the commit that is asked for.
    pub(crate) fn seal_lanes(&mut self) {
        self.sealed.clone_from(&self.lanes);
    }

    /// That commit has happened.
    pub(crate) fn keep_lanes(&mut self) {
        self.settled.clone_from(&self.sealed);
    }

    /// Puts the lanes back to the last commit. Their marks lie in the topic before the position,
    /// and a sender in another process that was not rolled back does not write them again.
    pub(crate) fn restore_lanes(&mut self) {
        if !cfg!(suiro_mutant = "lanes_lost_in_roll_back") {
            self.lanes.clone_from(&self.settled);
        }
    }

    /// Takes up a chunk. Gives whether its mark moved a lane at once.
    pub(crate) fn push(&mut self, mut chunk: Chunk) -> bool {
        // A chunk may be there only for its mark, or for a record that cannot be read.
        chunk.rows = chunk.rows.filter(|rows| !rows.is_empty());
        self.waiting += chunk.len();
        if chunk.len() > 0 {
            self.idle_since = None;
        }
        self.chunks.push_back(chunk);
        self.let_go()
    }

    /// Takes what was fetched. A bounded run leaves out what came after its end.
    pub(crate) fn accept(&mut self, fetched: Fetched) {
        self.end = Some(fetched.end);
        self.looked = self.asked;
        self.fetch_from = fetched.next.max(self.fetch_from);
        self.raw.push_back(fetched);
    }

    /// Decodes what was fetched, batch by batch, into chunks. Gives whether a mark moved a lane.
    pub(crate) fn absorb(
        &mut self,
        decode: &dyn Decode,
        of_exchange: bool,
        keep: bool,
    ) -> Result<bool> {
        let mut moved = false;
        while let Some(fetched) = self.raw.pop_front() {
            let end = fetched.next;
            for batch in batches(fetched.batches) {
                let batch = batch.map_err(|error| self.at(error))?;
                let records = batch.records().map_err(|error| self.at(error))?;
                let header = batch.header();
                let next = header.next_offset();
                if self.stop_at.is_some_and(|stop| header.base_offset >= stop) {
                    break;
                }
                let (mut from, mut lane) = (self.decoded, None);
                if of_exchange {
                    lane = Some(
                        read_mark(&records, self.generation).map_err(|error| self.at(error))?,
                    );
                    from = from.max(header.base_offset + 1);
                }
                if next <= from && lane.is_none() {
                    continue;
                }
                let decoded = decode.decode(&records, from, &self.origin)?;
                self.decoded = next;
                self.refused.extend(decoded.refused);
                let stop = decoded.poison.is_some();
                moved |= self.push(Chunk {
                    rows: Some(decoded.rows),
                    offsets: Offsets::Each(decoded.offsets),
                    taken: 0,
                    lane,
                    poison: decoded.poison,
                    next: (!stop).then_some(next),
                    kept: keep.then_some(Kept::Batch(records)),
                });
            }
            self.decoded = self.decoded.max(end);
            self.pass_gap();
        }
        Ok(moved)
    }

    /// Behind the last record there may be what is none, such as the mark of a transaction. The
    /// position passes it: else the task would not be caught up, and who looks at the group from
    /// outside would see a lag.
    fn pass_gap(&mut self) {
        let end = self.stop_at.map_or(self.decoded, |stop| self.decoded.min(stop));
        if self.chunks.is_empty() && self.position < end {
            self.position = end;
            // Nobody outside looks at exchanges, where each commit leaves marks for the next.
            self.has_leapt |= self.kind == InputKind::Topic;
        }
    }

    /// Whether the position has passed what is no record since this was last asked.
    pub(crate) fn leaps(&mut self) -> bool {
        std::mem::take(&mut self.has_leapt)
    }

    fn at(&self, error: Error) -> Error {
        unreadable(&self.origin, error)
    }

    /// The event time of the row at the front.
    pub(crate) fn head(&self) -> Option<Timestamp> {
        self.chunks.front()?.rows.as_ref().map(|rows| rows.at(0))
    }

    /// The rows of the front chunk.
    pub(crate) fn front(&self) -> Option<&dyn RowQueue> {
        self.chunks.front()?.rows.as_deref()
    }

    /// How many rows at the front come before a record of which a letter is to be written.
    pub(crate) fn before_letter(&self) -> usize {
        let letter = self.refused.iter().find(|refused| refused.letter.is_some());
        let (Some(letter), Some(chunk)) = (letter, self.chunks.front()) else {
            return usize::MAX;
        };
        let Offsets::Each(offsets) = &chunk.offsets else { return usize::MAX };
        offsets[chunk.taken..].partition_point(|offset| *offset < letter.offset).max(1)
    }

    /// The lane of the row at the front.
    pub(crate) fn front_lane(&self) -> Option<u32> {
        self.chunks.front()?.lane.map(|(lane, _)| lane)
    }

    /// The error at the front, if what stands there cannot be read.
    pub(crate) fn poisoned(&mut self) -> Option<Error> {
        let chunk = self.chunks.front_mut()?;
        if chunk.len() == 0 { chunk.poison.take() } else { None }
    }

    /// Whether a poisoned record is at the front.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.chunks.front().is_some_and(|chunk| chunk.len() == 0 && chunk.poison.is_some())
    }

    /// Takes `count` rows from the front chunk.
    pub(crate) fn take(&mut self, count: usize) -> BoxRows {
        let chunk = self.chunks.front_mut().expect("rows are taken where a head was seen");
        let queue = chunk.rows.as_mut().expect("rows are taken where a head was seen");
        let max_at = queue.max_at(count);
        let rows = queue.take(count);
        chunk.taken += count;
        self.waiting -= count;
        self.max_at = self.max_at.max(max_at);
        self.rising = chunk.lane.map(|(lane, _)| (lane, max_at));
        if queue.is_empty() {
            chunk.rows = None;
        }
        if let Some(position) = chunk.position() {
            self.position = position;
        }
        rows
    }

    /// Called when the rows that were taken are through. Gives whether a mark moved a lane.
    pub(crate) fn settle(&mut self) -> bool {
        let moved = self.let_go();
        self.pass_gap();
        moved
    }

    /// Drops chunks that are used up and lets their marks count. Gives whether a mark moved a lane.
    fn let_go(&mut self) -> bool {
        let mut moved = false;
        if let Some((lane, at)) = self.rising.take() {
            let lane = &mut self.lanes[lane as usize];
            lane.at = lane.at.max(at);
        }
        while let Some(chunk) = self.chunks.front() {
            if chunk.len() > 0 || chunk.poison.is_some() {
                break;
            }
            if let Some((lane, mark)) = chunk.lane {
                let known = &mut self.lanes[lane as usize];
                let now = Mark { at: known.at.max(mark.at), ..mark };
                moved |= *known != now;
                *known = now;
            }
            self.position = chunk.next.unwrap_or(self.position).max(self.position);
            self.chunks.pop_front();
        }
        moved
    }

    /// Whether all there is has been taken (rule T3).
    pub(crate) fn is_caught_up(&self) -> bool {
        if !self.chunks.is_empty() || !self.raw.is_empty() {
            return false;
        }
        match self.kind {
            InputKind::Topic | InputKind::Generator => {
                self.end.is_some_and(|end| self.position >= end) || self.is_ended()
            }
            InputKind::Exchange(_) => {
                self.end.is_some_and(|end| self.fetch_from >= end)
                    && self.lanes.iter().all(|lane| lane.caught_up)
            }
        }
    }

    /// Whether a task with rows elsewhere waits for this input, which is empty (rule T3).
    pub(crate) fn is_awaited(&mut self, now: Duration, max_idle: Duration) -> bool {
        if !self.is_caught_up() {
            self.idle_since = None;
            return true;
        }
        if max_idle.is_zero() || self.is_ended() {
            return false;
        }
        now.saturating_sub(*self.idle_since.get_or_insert(now)) < max_idle
    }

    /// Whether a bounded run is at its end here.
    pub(crate) fn is_ended(&self) -> bool {
        self.chunks.is_empty()
            && self.raw.is_empty()
            && match self.kind {
                InputKind::Topic | InputKind::Generator => {
                    self.stop_at.is_some_and(|stop| self.position >= stop)
                }
                InputKind::Exchange(_) => {
                    self.end.is_some_and(|end| self.fetch_from >= end)
                        && self.lanes.iter().all(|lane| lane.ended)
                }
            }
    }

    /// The smallest time of the lanes that are not caught up, but for lane `except`.
    pub(crate) fn hold(&self, except: Option<u32>) -> Timestamp {
        let lanes = self.lanes.iter().enumerate();
        let held = lanes.filter(|(lane, mark)| Some(*lane as u32) != except && !mark.caught_up);
        held.map(|(_, mark)| mark.at).min().unwrap_or(Timestamp::MAX)
    }

    /// The stream time of the input.
    pub(crate) fn time(&self) -> Timestamp {
        self.max_at.min(self.hold(None))
    }

    /// How many records are still to be taken, if it is known.
    pub(crate) fn lag(&self) -> Option<u64> {
        let lag = self.end?.saturating_sub(self.position).max(self.waiting as Offset);
        Some(u64::try_from(lag).unwrap_or(0))
    }
}

/// The error of a batch that is damaged.
pub(crate) fn unreadable(partition: &TopicPartition, error: Error) -> Error {
    Error::corrupt("cannot read a batch").with("partition", partition).caused_by(error)
}

#[cfg(test)]
mod tests;
