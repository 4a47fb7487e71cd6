//! Positions of a commit without a transaction: they are written when all records are.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::ending::{Offsets, number, pass};
use super::state::State;
use super::writer::{Failure, fail, fail_as};
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use std::sync::Arc;
use suiro_core::broker::Position;
use suiro_core::{Error, ErrorKind, Result};

/// Writes the positions. As with a transaction, the coordinator of the group fences who is no
/// member of its newest generation; but what such a one has written stays.
pub(super) struct AfterRecords(pub(super) Offsets);

impl Ask for AfterRecords {
    fn api(&self, _: &State) -> Api {
        api::<OffsetCommitRequest>(7, 9)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.0.fence.group))
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        state.writer.must_be_front(self.0.commit)?;
        let Offsets { fence, positions, member, .. } = &self.0;
        let positions = positions.iter().map(|Position { partition, next, note }| {
            let position = OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition as i32)
                .with_committed_offset(*next)
                .with_committed_metadata(Some(words::text(note)));
            (&*partition.topic, position)
        });
        let topics = words::by_topic(positions, |topic, positions| {
            OffsetCommitRequestTopic::default().with_name(topic).with_partitions(positions)
        });
        let member = fence.generation.map(|_| member.clone()).unwrap_or_default();
        let request = OffsetCommitRequest::default()
            .with_group_id(words::group(&fence.group))
            .with_generation_id_or_member_epoch(number(fence))
            .with_member_id(member)
            .with_topics(topics);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<OffsetCommitRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let against = response.topics.iter().find_map(|topic| {
            let code = topic.partitions.iter().map(|it| it.error_code).find(|it| *it != 0)?;
            let error = codes::error("positions cannot be committed", code);
            Some((code, error.with("topic", topic.name.0.as_str())))
        });
        // A member that has not heard yet of its newest assignment is told to wait.
        if let Some((codes::REBALANCE_IN_PROGRESS, error)) = against {
            return Next::Again(self, error);
        }
        match pass(state, self.0.commit, &self.0.fence, against) {
            Some((code, error)) => Next::because_of(code, self, error),
            None => Next::Done,
        }
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        match error.kind() {
            // The records are there, and the positions may be.
            ErrorKind::Unavailable => fail_as(state, self.0.commit, Failure::Unknown(error)),
            _ => fail(state, self.0.commit, error),
        }
    }
}
