//! One transaction per commit: what is written, in which order, and what became of it.
//!
//! Commits are resolved in the order in which their end was asked for, and only the first of
//! them is on its way to the brokers: a session has one transaction at a time, and which is next
//! is not known before. Whatever goes wrong before its end
//! was asked for ends in a new epoch of the producer, which takes back what was written and
//! lets nothing of it come late.

use super::coordinators::Coordinated;
use super::settle::{self, Settling};
use super::state::State;
use super::{copy, ending, init, produce};
use crate::codes;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::batch::BatchHeader;
use suiro_core::broker::{CommitId, Event, Fence, Generation, Guarantee, Outcome, Position};
use suiro_core::{Error, ErrorKind, Offset, Result, TopicPartition};

/// Who writes, and what is being written.
#[derive(Default)]
pub(crate) struct Writer {
    pub(super) id: i64,
    pub(super) epoch: i16,
    phase: Phase,
    /// Whether this epoch's transactions are of the second version.
    pub(super) v2: bool,
    /// Whether a commit is a transaction.
    guarantee: Guarantee,
    /// A coordinator's answer was lost under this epoch: what it was asked for may come late.
    pub(super) may_come_late: bool,
    /// The last transaction, as long as it may not have ended everywhere.
    pub(super) settling: Option<Settling>,
    /// The sequence number of the next record, by partition.
    pub(super) sequences: BTreeMap<TopicPartition, i32>,
    /// Commits that are being filled.
    open: BTreeMap<CommitId, Commit>,
    /// Commits whose end was asked for, in that order.
    pub(super) commits: VecDeque<Commit>,
    begun: u64,
    pub(super) pieces: u64,
    /// How many requests are under way to each broker.
    pub(super) flights: BTreeMap<i32, usize>,
    /// The generation that the last commit named, if it was fenced.
    fenced_under: Option<Generation>,
    /// The session has joined its group while it was being found out whether it may write.
    revives: bool,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Closed,
    Opening,
    Ready,
    /// Nothing is written until the session joins its group again.
    Fenced(Error),
    /// Nothing is written any more.
    Refused(Error),
}

/// What became of a commit before its end.
pub(super) enum Failure {
    Aborted(Error),
    Fenced(Error),
    Unknown(Error),
}

pub(super) struct Commit {
    pub(super) id: CommitId,
    pub(super) parts: BTreeMap<TopicPartition, Part>,
    /// The offset of the first record of each append.
    pub(super) offsets: Vec<Offset>,
    pub(super) fence: Option<Fence>,
    pub(super) positions: Vec<Position>,
    /// Since when its end is asked for.
    pub(super) since: Duration,
    /// Whether brokers may know of it.
    pub(super) touched: bool,
    /// Partitions that the coordinator knows of, where it must be told.
    pub(super) registered: BTreeSet<TopicPartition>,
    pub(super) registering: bool,
    pub(super) ending: bool,
    pub(super) failure: Option<Failure>,
    /// How many batches are not written yet, by the number of barriers before them.
    pub(super) unwritten: Vec<usize>,
}

impl Commit {
    fn new(id: CommitId) -> Self {
        Self {
            id,
            parts: BTreeMap::new(),
            offsets: Vec::new(),
            fence: None,
            positions: Vec::new(),
            since: Duration::ZERO,
            touched: false,
            registered: BTreeSet::new(),
            registering: false,
            ending: false,
            failure: None,
            unwritten: vec![0],
        }
    }

    /// What is behind more barriers waits.
    pub(super) fn stage_to_write(&self) -> u32 {
        self.unwritten.iter().position(|count| *count > 0).unwrap_or_default() as u32
    }
}

/// What a commit writes to one partition.
#[derive(Default)]
pub(super) struct Part {
    pub(super) unsent: VecDeque<Piece>,
    /// How many batches are under way, and to whom.
    pub(super) flight: usize,
    pub(super) node: i32,
    /// Batches that must be sent again, as soon as none is under way.
    pub(super) back: Vec<Piece>,
    pub(super) not_before: Duration,
    pub(super) tries: u32,
    /// The offset after what was written.
    pub(super) end: Offset,
}

/// One batch.
pub(super) struct Piece {
    pub(super) number: u64,
    /// The append that it begins.
    pub(super) begins: Option<usize>,
    pub(super) bytes: Bytes,
    pub(super) count: usize,
    /// How many barriers are before it.
    pub(super) stage: u32,
    /// Whether it has its sequence number.
    pub(super) sealed: bool,
}

impl Writer {
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening)
    }

    /// Whether a commit is a transaction. Without one records are there as soon as they are
    /// written, and positions follow.
    pub(super) fn is_transactional(&self) -> bool {
        self.guarantee == Guarantee::ExactlyOnce
    }

    /// Whether the end of a commit was asked for, and it is not resolved.
    pub(crate) fn is_committing(&self) -> bool {
        !self.commits.is_empty()
    }

    /// Why nothing can be written, ever.
    pub(crate) fn refused(&self) -> Option<Error> {
        match &self.phase {
            Phase::Refused(error) => Some(copy(error)),
            _ => None,
        }
    }

    /// The generation that the last commit named that was fenced.
    pub(crate) fn fenced_under(&self) -> Option<Generation> {
        self.fenced_under
    }

    /// It has an epoch in which nothing was written.
    pub(super) fn is_renewed(&mut self) {
        self.sequences.clear();
        (self.may_come_late, self.settling) = (false, None);
        (self.phase, self.revives) = (Phase::Ready, false);
    }

    pub(crate) fn begin(&mut self) -> CommitId {
        self.begun += 1;
        let id = CommitId(self.begun);
        self.open.insert(id, Commit::new(id));
        id
    }

    /// Adds batches to a commit.
    pub(crate) fn append(&mut self, id: CommitId, to: &TopicPartition, batches: Bytes) {
        let Some(commit) = self.open.get_mut(&id) else { return };
        let append = commit.offsets.len();
        commit.offsets.push(0);
        let part = commit.parts.entry(to.clone()).or_default();
        let (mut rest, mut begins) = (batches, Some(append));
        while !rest.is_empty() {
            let (length, count) = match BatchHeader::parse(&rest) {
                Ok(Some(header)) => (header.length, header.count),
                _ => {
                    let error = Error::invalid("what is appended is no batch").with("to", to);
                    commit.failure = Some(Failure::Aborted(error));
                    return;
                }
            };
            let (bytes, begins) = (rest.split_to(length), begins.take());
            self.pieces += 1;
            let (number, stage) = (self.pieces, commit.unwritten.len() - 1);
            commit.unwritten[stage] += 1;
            let (stage, sealed) = (stage as u32, false);
            part.unsent.push_back(Piece { number, begins, bytes, count, stage, sealed });
        }
    }

    /// What is appended from now on is written when all before is there. A transaction is there
    /// as a whole.
    pub(crate) fn barrier(&mut self, id: CommitId) {
        let is_needed = !self.is_transactional();
        if let Some(commit) = self.open.get_mut(&id).filter(|_| is_needed) {
            commit.unwritten.push(0);
        }
    }

    /// The commit that is on its way, if it is this one and nothing has gone wrong with it.
    pub(super) fn front(&mut self, id: CommitId) -> Option<&mut Commit> {
        let front = self.commits.front_mut();
        front.filter(|commit| commit.id == id && commit.failure.is_none())
    }

    /// What is asked for a commit must not be asked for any more when that has ended: it would be
    /// part of another transaction, in the epoch that follows.
    pub(super) fn must_be_front(&mut self, id: CommitId) -> Result<()> {
        match self.front(id) {
            Some(_) => Ok(()),
            None => Err(Error::unavailable("the commit has ended meanwhile")),
        }
    }

    /// When a batch is to be sent again, or a commit given up.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        let front = self.commits.front()?;
        let parts = front.parts.values().filter(|part| !part.unsent.is_empty());
        parts.map(|part| part.not_before).filter(|due| *due > now).min()
    }
}

/// Makes this session the one that writes under its name.
pub(crate) fn open(state: &mut State) {
    state.writer.phase = Phase::Opening;
    // Under a name that nobody had there is nothing to end.
    let by_name = state.writer.is_transactional() || !state.is_anonymous;
    init::ask(state, None, by_name);
}

/// Says what commits promise from now on.
pub(crate) fn guarantee(state: &mut State, guarantee: Guarantee) {
    let before = std::mem::replace(&mut state.writer.guarantee, guarantee);
    if before != guarantee && matches!(state.writer.phase, Phase::Ready) {
        state.writer.phase = Phase::Opening;
        init::ask(state, None, guarantee == Guarantee::ExactlyOnce);
    }
}

/// Whoever writes for the first time needs to be known as a producer; so does who could not be,
/// because nobody answered, and who was fenced though nobody else has its name.
pub(crate) fn wake(state: &mut State) {
    match &state.writer.phase {
        Phase::Closed => open(state),
        Phase::Fenced(_) if state.is_anonymous => open(state),
        Phase::Refused(error) if error.kind() == ErrorKind::Unavailable => open(state),
        _ => {}
    }
}

/// Who was fenced, or is about to hear of it, may write again, now that it joins its group.
pub(crate) fn revive(state: &mut State) {
    match state.writer.phase {
        Phase::Fenced(_) => open(state),
        Phase::Opening => state.writer.revives = true,
        _ => {}
    }
}

/// Nothing is written any more.
pub(super) fn refuse(state: &mut State, error: Error) {
    state.writer.phase = Phase::Refused(error);
}

/// Nothing is written until the session joins its group again, if it has not just done so.
pub(super) fn fence(state: &mut State, error: Error) {
    match std::mem::take(&mut state.writer.revives) {
        true => open(state),
        false => state.writer.phase = Phase::Fenced(error),
    }
}

/// Takes back what was written of the transaction that is open.
pub(crate) fn close(state: &mut State) {
    let is_touched = state.writer.commits.iter().any(|commit| commit.touched);
    state.writer.commits.clear();
    state.writer.open.clear();
    if is_touched {
        renew(state);
    }
}

/// The open transaction is taken back, and the next one has a new epoch. Without a transaction
/// there is nothing to take back: who writes counts its epochs itself.
fn renew(state: &mut State) {
    if !matches!(state.writer.phase, Phase::Ready) {
        return;
    }
    state.writer.phase = Phase::Opening;
    if state.writer.is_transactional() {
        return ending::take_back(state);
    }
    match state.writer.epoch.checked_add(1) {
        Some(epoch) => taken_back(state, Some((state.writer.id, epoch))),
        None => open(state),
    }
}

/// The transaction is taken back, as far as there was one: a new epoch keeps away what of it may
/// come late.
pub(super) fn taken_back(state: &mut State, new: Option<(i64, i16)>) {
    let same = (state.writer.id, state.writer.epoch);
    match new.or(cfg!(suiro_mutant = "epoch_not_bumped").then_some(same)) {
        Some((id, epoch)) => {
            (state.writer.id, state.writer.epoch) = (id, epoch);
            state.writer.is_renewed();
        }
        None => {
            let renewed = Some((state.writer.id, state.writer.epoch));
            init::ask(state, renewed, true);
        }
    }
}

/// The transaction cannot be taken back.
pub(super) fn not_taken_back(state: &mut State, error: Error) {
    fence(state, error);
}

/// Ends a commit.
pub(crate) fn commit(
    state: &mut State,
    id: CommitId,
    fence: Option<Fence>,
    positions: Vec<Position>,
) {
    let Some(mut commit) = state.writer.open.remove(&id) else { return };
    if fence.is_none() && !positions.is_empty() && commit.failure.is_none() {
        let text = "positions are those of a group; name it";
        commit.failure = Some(Failure::Aborted(Error::invalid(text)));
    }
    (commit.fence, commit.positions, commit.since) = (fence, positions, state.now);
    state.writer.commits.push_back(commit);
}

/// Ends a commit without a trace: nothing of it was sent.
pub(crate) fn abort(state: &mut State, id: CommitId) {
    state.writer.open.remove(&id);
}

/// Something went wrong with the commit that is on its way.
pub(super) fn fail(state: &mut State, id: CommitId, error: Error) {
    let failure = match error.kind() {
        ErrorKind::Fenced => Failure::Fenced(error),
        _ => Failure::Aborted(error),
    };
    fail_as(state, id, failure);
}

pub(super) fn fail_as(state: &mut State, id: CommitId, failure: Failure) {
    let Some(commit) = state.writer.front(id) else { return };
    commit.failure = Some(failure);
    commit.parts.clear();
    if commit.touched {
        renew(state);
    }
}

/// Lets the first commit go on.
pub(crate) fn tick(state: &mut State) {
    while let Some(front) = state.writer.commits.front_mut() {
        let id = front.id;
        if front.failure.is_some() {
            resolve_failed(state);
            continue;
        }
        match &state.writer.phase {
            Phase::Ready => {}
            Phase::Fenced(error) => {
                let failure = Failure::Fenced(copy(error));
                fail_as(state, id, failure);
                continue;
            }
            Phase::Refused(error) => {
                let failure = Failure::Aborted(copy(error));
                fail_as(state, id, failure);
                continue;
            }
            Phase::Opening | Phase::Closed => {
                if is_late(front, state.now, state.settings.api_timeout) {
                    let text = "the coordinator of transactions does not answer";
                    fail(state, id, Error::unavailable(text));
                    continue;
                }
                return;
            }
        }
        if !settle::is_settled(state) {
            return;
        }
        produce::send(state);
        let Some(front) = state.writer.front(id) else { continue };
        let written = front
            .parts
            .values()
            .all(|part| part.unsent.is_empty() && part.flight == 0 && part.back.is_empty());
        if !written {
            if is_late(front, state.now, state.settings.api_timeout) {
                let text = "records could not be written in time";
                fail(state, id, Error::unavailable(text));
                continue;
            }
            return;
        }
        if front.ending {
            return;
        }
        front.ending = true;
        ending::start(state, id);
    }
}

fn is_late(commit: &Commit, now: Duration, patience: Duration) -> bool {
    now >= commit.since + patience
}

fn resolve_failed(state: &mut State) {
    let commit = state.writer.commits.pop_front();
    let Some(Commit { id, fence, failure: Some(failure), .. }) = commit else { return };
    let fenced = fence.filter(|_| matches!(failure, Failure::Fenced(_)));
    state.writer.fenced_under = fenced.and_then(|fence| fence.generation);
    let outcome = match failure {
        Failure::Aborted(error) => Outcome::Aborted(error),
        Failure::Fenced(error) => Outcome::Fenced(error),
        Failure::Unknown(error) => Outcome::Unknown(error),
    };
    state.events.push(Event::Resolved(id, outcome));
}

/// The first commit has happened.
pub(super) fn resolve(state: &mut State, id: CommitId) {
    if state.writer.front(id).is_none() {
        return;
    }
    if let Some(Commit { offsets, parts, .. }) = state.writer.commits.pop_front() {
        for (partition, part) in parts {
            state.visible.committed(&partition, part.end);
        }
        state.events.push(Event::Resolved(id, Outcome::Committed { offsets }));
    }
    // With the first version the next transaction has the same epoch: what comes late of this one
    // would count as its own, such as an end.
    if state.writer.may_come_late && !state.writer.v2 {
        state.writer.phase = Phase::Opening;
        taken_back(state, None);
    }
}

/// Whoever coordinates the transactions may be another broker now.
pub(super) fn forget_coordinator(state: &mut State, code: i16) {
    if codes::moves_coordinator(code) {
        let name = Arc::clone(&state.name);
        state.coordinators.forget(&Coordinated::Transactions(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use suiro_core::batch::{BatchWriter, Compression};
    use suiro_core::{Headers, Timestamp};

    /// Brokers that were away for long must not end a session that lives on.
    #[test]
    fn who_was_refused_for_want_of_an_answer_asks_again() {
        let settings = crate::settings::Settings::new("one:1");
        let mut state = State::new(settings.into(), Default::default(), "name", None);
        for (error, asks_again) in
            [(Error::unavailable("away"), true), (Error::invalid("no right"), false)]
        {
            open(&mut state);
            let init = state.queue.remove(0).ask;
            init.fail(error, &mut state);
            assert!(state.writer.refused().is_some());
            wake(&mut state);
            assert_eq!(state.writer.is_opening(), asks_again);
            state.queue.clear();
        }
    }

    /// Who has a name that others may take is fenced until it joins again; nobody else has the
    /// name of one that has none.
    #[test]
    fn who_has_no_name_goes_on_when_it_was_fenced() {
        for is_anonymous in [true, false] {
            let settings = crate::settings::Settings::new("one:1");
            let mut state = State::new(settings.into(), Default::default(), "name", None);
            state.is_anonymous = is_anonymous;
            fence(&mut state, Error::unavailable("the transaction took too long"));
            wake(&mut state);
            assert_eq!(state.writer.is_opening(), is_anonymous);
        }
    }

    /// Behind a barrier nothing is written before all is that is before it, unless it is there as
    /// a whole anyway.
    #[test]
    fn what_is_behind_a_barrier_waits() {
        for (guarantee, waits) in
            [(Guarantee::AtLeastOnce, true), (Guarantee::ExactlyOnce, false)]
        {
            let mut writer = Writer { guarantee, ..Writer::default() };
            let mut batch = BatchWriter::new(Compression::None);
            batch.push(Timestamp::ZERO, None, Some(b"value"), &Headers::NONE);
            let batch = batch.finish().unwrap();
            let id = writer.begin();
            let [output, changelog] =
                ["output", "changelog"].map(|it| TopicPartition::new(it, 0));
            writer.append(id, &output, batch.clone());
            writer.barrier(id);
            writer.append(id, &changelog, batch);
            let commit = writer.open.get_mut(&id).unwrap();
            let stages = [&output, &changelog].map(|it| commit.parts[it].unsent[0].stage);
            assert_eq!(stages, [0, u32::from(waits)]);
            assert_eq!(commit.stage_to_write(), 0);
            commit.unwritten[0] = 0;
            assert_eq!(commit.stage_to_write(), u32::from(waits));
        }
    }
}
