//! Positions that are written without a transaction.

use super::codes;
use super::coordinators::{Role, refuses};
use super::group::State;
use super::serve::{Call, said};
use super::world::World;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

/// Writes positions at once.
pub(crate) fn commit(
    world: &mut World,
    call: Call,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let code = write(world, call, &request);
    let generation = request.generation_id_or_member_epoch;
    let what = format!("{} in {generation}", request.member_id.as_str());
    let code = said::<OffsetCommitRequest>(world, &what, code);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn write(world: &mut World, call: Call, request: &OffsetCommitRequest) -> i16 {
    let name = request.group_id.0.as_str();
    if let Some(code) = refuses(world, call.node, Role::Group, name) {
        return code;
    }
    let group = world.group(name);
    let generation = request.generation_id_or_member_epoch;
    let code = match group.check(&request.member_id, generation) {
        // Members that have not joined yet may still say how far they have come; those that wait
        // for their assignment may not.
        codes::NONE if group.state == State::Completing => codes::REBALANCE_IN_PROGRESS,
        codes::REBALANCE_IN_PROGRESS => codes::NONE,
        code => code,
    };
    if code != codes::NONE {
        return code;
    }
    for topic in &request.topics {
        for it in &topic.partitions {
            let note = it.committed_metadata.as_ref().map_or("", |note| note.as_str());
            let place = (topic.name.0.to_string(), it.partition_index);
            group.positions.insert(place, (it.committed_offset, note.to_owned()));
        }
    }
    codes::NONE
}
