//! Positions of groups: written in transactions, and read when they are decided.

use super::codes;
use super::coordinators::{Role, refuses};
use super::serve::{Call, said};
use super::transaction::Part;
use super::world::World;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    OffsetFetchRequest, OffsetFetchResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;

/// Writes positions into a transaction.
pub(crate) fn commit(
    world: &mut World,
    call: Call,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let code = write(world, call, &request);
    let what = format!(
        "{} {} of {} in {}",
        request.transactional_id.0.as_str(),
        request.producer_epoch,
        request.member_id.as_str(),
        request.generation_id
    );
    let code = said::<TxnOffsetCommitRequest>(world, &what, code);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

fn write(world: &mut World, call: Call, request: &TxnOffsetCommitRequest) -> i16 {
    let name = request.group_id.0.as_str();
    if let Some(code) = refuses(world, call.node, Role::Group, name) {
        return code;
    }
    let producer = (request.producer_id.0, request.producer_epoch);
    let part = Part::Group(name.to_owned());
    if let Err(code) = world.enter(&request.transactional_id.0, producer, part) {
        return code;
    }
    let group = world.cluster.groups.entry(name.to_owned()).or_default();
    let (member, generation) = (request.member_id.as_str(), request.generation_id);
    if generation >= 0 || !member.is_empty() {
        if !group.members.contains_key(member) {
            return codes::UNKNOWN_MEMBER_ID;
        }
        if generation != group.generation {
            return codes::ILLEGAL_GENERATION;
        }
    }
    let all = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|it| {
            let note = it.committed_metadata.as_ref().map_or("", |note| note.as_str());
            let place = (topic.name.0.to_string(), it.partition_index);
            (place, (it.committed_offset, note.to_owned()))
        })
    });
    match group.write(producer, all.collect()) {
        true => codes::NONE,
        false => codes::INVALID_PRODUCER_EPOCH,
    }
}

/// Reads positions.
pub(crate) fn fetch(
    world: &mut World,
    call: Call,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let mut groups = Vec::new();
    for asked in request.groups {
        let name = asked.group_id.0.to_string();
        let refused = refuses(world, call.node, Role::Group, &name);
        let code = said::<OffsetFetchRequest>(world, &name, refused.unwrap_or(codes::NONE));
        let mut topics = Vec::new();
        let wanted = if refused.is_none() { asked.topics } else { None };
        for topic in wanted.unwrap_or_default() {
            let mut partitions = Vec::new();
            for partition in &topic.partition_indexes {
                let place = (topic.name.0.to_string(), *partition);
                let group = world.cluster.groups.get(&name);
                let is_pending = group.is_some_and(|group| group.is_pending(&place));
                let unstable = is_pending && request.require_stable;
                let found = group.and_then(|group| group.positions.get(&place)).cloned();
                let (offset, note) = found.unwrap_or((-1, String::new()));
                let code = if unstable { codes::UNSTABLE_OFFSET_COMMIT } else { codes::NONE };
                let what = format!("{name} {place:?} {offset}");
                let code = said::<OffsetFetchRequest>(world, &what, code);
                let found = OffsetFetchResponsePartitions::default()
                    .with_partition_index(*partition)
                    .with_error_code(code)
                    .with_committed_offset(if unstable { -1 } else { offset })
                    .with_metadata(Some(StrBytes::from_string(note)));
                partitions.push(found);
            }
            let topic = OffsetFetchResponseTopics::default().with_name(topic.name);
            topics.push(topic.with_partitions(partitions));
        }
        let group = OffsetFetchResponseGroup::default().with_group_id(asked.group_id);
        groups.push(group.with_error_code(code).with_topics(topics));
    }
    OffsetFetchResponse::default().with_groups(groups)
}
