//! The end of a transaction: positions with (group, generation, member), and then the end
//! itself.

use super::after_records::AfterRecords;
use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::member;
use super::settle::Settling;
use super::state::State;
use super::writer::{
    Failure, fail, fail_as, forget_coordinator, not_taken_back, resolve, taken_back,
};
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, EndTxnRequest, HeartbeatRequest, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use suiro_core::broker::{CommitId, Fence, Position};
use suiro_core::{Error, ErrorKind, Result};

/// All records of a commit are written: ends it.
pub(super) fn start(state: &mut State, id: CommitId) {
    let (v2, member) = (state.writer.v2, member_id(state));
    let Some(commit) = state.writer.front(id) else { return };
    let touched = commit.touched;
    let Some(fence) = commit.fence.clone() else {
        return if touched { end(state, id) } else { resolve(state, id) };
    };
    let positions = commit.positions.clone();
    if !positions.is_empty() {
        commit.touched = true;
        let step = Offsets { commit: id, fence, positions, member };
        match v2 {
            _ if !state.writer.is_transactional() => state.ask(Box::new(AfterRecords(step))),
            true => state.ask(Box::new(step)),
            false => state.ask(Box::new(AddOffsets(step))),
        }
    } else if touched && fence.generation.is_some() {
        state.ask(Box::new(Check { commit: id, fence, member }));
    } else if touched {
        end(state, id);
    } else {
        resolve(state, id);
    }
}

/// Ends the transaction; without one all has happened.
fn end(state: &mut State, id: CommitId) {
    match state.writer.is_transactional() {
        true => state.ask(Box::new(End { commit: id, lost: false })),
        false => resolve(state, id),
    }
}

fn member_id(state: &State) -> StrBytes {
    state.member.as_ref().map_or_else(StrBytes::new, |member| member.id())
}

/// Who commits without being a member names this.
const NO_GENERATION: i32 = -1;

/// The number of a generation as the brokers count.
pub(super) fn number(fence: &Fence) -> i32 {
    fence.generation.map_or(NO_GENERATION, |it| i32::try_from(it.0).unwrap_or(i32::MAX))
}

/// The coordinator of the group has said whether the commit may go on, or what is against it.
/// Gives why it must be asked again, and the code of that.
pub(super) fn pass(
    state: &mut State,
    commit: CommitId,
    fence: &Fence,
    against: Option<(i16, Error)>,
) -> Option<(i16, Error)> {
    let Some((code, error)) = against else {
        end(state, commit);
        return None;
    };
    let error = error.with("group", &fence.group);
    if codes::is_retriable(code) {
        member::forget_coordinator(state, &fence.group, code);
        return Some((code, error));
    }
    member::doubt(state, fence, code);
    fail(state, commit, error);
    None
}

/// Takes the group into the transaction, where that must be said.
struct AddOffsets(Offsets);

impl Ask for AddOffsets {
    fn api(&self, _: &State) -> Api {
        api::<AddOffsetsToTxnRequest>(2, 3)
    }

    fn target(&self) -> Target {
        Target::Transactions
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        state.writer.must_be_front(self.0.commit)?;
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(words::transactional(&state.name))
            .with_producer_id(state.writer.id.into())
            .with_producer_epoch(state.writer.epoch)
            .with_group_id(words::group(&self.0.fence.group));
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<AddOffsetsToTxnRequest>) {
            Ok(response) => response,
            Err(error) => {
                state.writer.may_come_late = true;
                return Next::Again(self, error);
            }
        };
        let code = response.error_code;
        if code != 0 {
            let error = codes::error("transaction takes no positions", code);
            if codes::is_retriable(code) {
                forget_coordinator(state, code);
                return Next::because_of(code, self, error);
            }
            self.fail(error, state);
            return Next::Done;
        }
        state.ask(Box::new(self.0));
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        fail(state, self.0.commit, error);
    }
}

/// Writes the positions into the transaction. Their coordinator fences who is no member of the
/// newest generation.
pub(super) struct Offsets {
    pub(super) commit: CommitId,
    pub(super) fence: Fence,
    pub(super) positions: Vec<Position>,
    pub(super) member: StrBytes,
}

impl Ask for Offsets {
    fn api(&self, state: &State) -> Api {
        match state.writer.v2 {
            true => api::<TxnOffsetCommitRequest>(5, 5),
            false => api::<TxnOffsetCommitRequest>(3, 4),
        }
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.fence.group))
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        state.writer.must_be_front(self.commit)?;
        let positions = self.positions.iter().map(|Position { partition, next, note }| {
            let position = TxnOffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition as i32)
                .with_committed_offset(*next)
                .with_committed_metadata(Some(words::text(note)));
            (&*partition.topic, position)
        });
        let topics = words::by_topic(positions, |topic, positions| {
            TxnOffsetCommitRequestTopic::default().with_name(topic).with_partitions(positions)
        });
        let names_one = self.fence.generation.is_some();
        let (generation, member) =
            match names_one && !cfg!(suiro_mutant = "revoked_position_committed") {
                true => (number(&self.fence), self.member.clone()),
                false => (NO_GENERATION, StrBytes::new()),
            };
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(words::transactional(&state.name))
            .with_group_id(words::group(&self.fence.group))
            .with_producer_id(state.writer.id.into())
            .with_producer_epoch(state.writer.epoch)
            .with_generation_id(generation)
            .with_member_id(member)
            .with_topics(topics);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<TxnOffsetCommitRequest>) {
            Ok(response) => response,
            Err(error) => {
                state.writer.may_come_late = true;
                return Next::Again(self, error);
            }
        };
        let against = response.topics.iter().find_map(|topic| {
            let code = topic.partitions.iter().map(|it| it.error_code).find(|it| *it != 0)?;
            let error = codes::error("positions cannot be committed", code);
            Some((code, error.with("topic", topic.name.0.as_str())))
        });
        match pass(state, self.commit, &self.fence, against) {
            Some((code, error)) => Next::because_of(code, self, error),
            None => Next::Done,
        }
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        fail(state, self.commit, error);
    }
}

/// Without positions nothing in the transaction names the generation: whether it is the newest
/// is asked.
struct Check {
    commit: CommitId,
    fence: Fence,
    member: StrBytes,
}

impl Ask for Check {
    fn api(&self, _: &State) -> Api {
        api::<HeartbeatRequest>(3, 4)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.fence.group))
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let request = HeartbeatRequest::default()
            .with_group_id(words::group(&self.fence.group))
            .with_generation_id(number(&self.fence))
            .with_member_id(self.member.clone());
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<HeartbeatRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        // While the others join again, the generation is still the newest.
        let against = match response.error_code {
            0 | codes::REBALANCE_IN_PROGRESS => None,
            code => Some((code, codes::error("generation cannot be checked", code))),
        };
        match pass(state, self.commit, &self.fence, against) {
            Some((code, error)) => Next::because_of(code, self, error),
            None => Next::Done,
        }
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        fail(state, self.commit, error);
    }
}

/// Takes back what was written, or finds that there is nothing to take back.
pub(super) fn take_back(state: &mut State) {
    state.ask(Box::new(TakeBack));
}

struct TakeBack;

/// The transaction is in no state to be ended so: it has ended, or has not begun.
const INVALID_STATE: i16 = 48;

impl Ask for TakeBack {
    fn api(&self, state: &State) -> Api {
        end_api(state)
    }

    fn target(&self) -> Target {
        Target::Transactions
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        encode(&end_request(state, false), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<EndTxnRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        match response.error_code {
            0 if state.writer.is_transactional()
                && state.writer.v2
                && response.producer_epoch >= 0 =>
            {
                let new = (response.producer_id.0, response.producer_epoch);
                taken_back(state, Some(new));
            }
            0 | INVALID_STATE => taken_back(state, None),
            code if codes::is_retriable(code) => {
                forget_coordinator(state, code);
                let error = codes::error("commit cannot be taken back", code);
                return Next::because_of(code, self, error);
            }
            code => self.fail(codes::error("commit cannot be taken back", code), state),
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        not_taken_back(state, error);
    }
}

pub(super) fn end_api(state: &State) -> Api {
    match state.writer.v2 {
        true => api::<EndTxnRequest>(5, 5),
        false => api::<EndTxnRequest>(2, 4),
    }
}

pub(super) fn end_request(state: &State, committed: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(words::transactional(&state.name))
        .with_producer_id(state.writer.id.into())
        .with_producer_epoch(state.writer.epoch)
        .with_committed(committed)
}

/// Ends the transaction. Asked again after an answer was lost, the coordinator says what became
/// of it.
struct End {
    commit: CommitId,
    /// An answer was lost: it may have happened.
    lost: bool,
}

impl Ask for End {
    fn api(&self, state: &State) -> Api {
        end_api(state)
    }

    fn target(&self) -> Target {
        Target::Transactions
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        state.writer.must_be_front(self.commit)?;
        encode(&end_request(state, true), version, out)
    }

    fn read(mut self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<EndTxnRequest>) {
            Ok(response) => response,
            Err(error) => {
                (self.lost, state.writer.may_come_late) = (true, true);
                return Next::Again(self, error);
            }
        };
        let code = response.error_code;
        if code != 0 {
            let error = codes::error("commit cannot be ended", code);
            if codes::is_retriable(code) {
                // A coordinator that is about to move may have done it all the same.
                self.lost |= !codes::says_not_done(code);
                forget_coordinator(state, code);
                return Next::because_of(code, self, error);
            }
            self.fail(error, state);
            return Next::Done;
        }
        if state.writer.v2 && response.producer_epoch >= 0 {
            // Each transaction has an epoch of its own, so that nothing of it comes late.
            let new = (response.producer_id.0, response.producer_epoch);
            let producer = (state.writer.id, state.writer.epoch);
            state.writer.settling = Some(Settling { producer, since: state.now, asked: false });
            (state.writer.id, state.writer.epoch) = new;
            state.writer.sequences.clear();
        }
        resolve(state, self.commit);
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        if self.lost || error.kind() == ErrorKind::Unavailable {
            fail_as(state, self.commit, Failure::Unknown(error));
        } else {
            fail(state, self.commit, error);
        }
    }
}
