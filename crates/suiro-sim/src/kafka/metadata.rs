//! What brokers say of themselves: what they speak, who they are, who leads what.

use super::codes;
use super::fault::Fault;
use super::serve::{Call, said};
use super::wires::address;
use super::world::World;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

/// The newest version of each request that is spoken here.
const SPOKEN: &[(i16, i16)] = &[
    (0, 12),
    (1, 12),
    (2, 7),
    (3, 12),
    (8, 9),
    (9, 9),
    (10, 5),
    (11, 9),
    (12, 4),
    (13, 5),
    (14, 5),
    (18, 3),
    (19, 7),
    (21, 2),
    (22, 5),
    (24, 3),
    (25, 3),
    (26, 5),
    (28, 5),
    (32, 4),
];

/// Says what is spoken.
pub(crate) fn versions(
    world: &mut World,
    _: Call,
    _: ApiVersionsRequest,
) -> ApiVersionsResponse {
    let spoken = SPOKEN.iter().map(|(key, max)| {
        ApiVersion::default().with_api_key(*key).with_min_version(0).with_max_version(*max)
    });
    let response = ApiVersionsResponse::default().with_api_keys(spoken.collect());
    let feature = FinalizedFeatureKey::default()
        .with_name(StrBytes::from_static_str("transaction.version"))
        .with_max_version_level(if world.case.v2 { 2 } else { 1 })
        .with_min_version_level(0);
    response.with_finalized_features(vec![feature])
}

/// Says who there is, and who leads what.
pub(crate) fn describe(
    world: &mut World,
    _: Call,
    request: MetadataRequest,
) -> MetadataResponse {
    let brokers = (0..world.cluster.brokers()).filter(|node| world.cluster.is_up(*node));
    let brokers = brokers.map(|node| {
        let (host, port) = address(node);
        MetadataResponseBroker::default()
            .with_node_id(node.into())
            .with_host(StrBytes::from_string(host))
            .with_port(i32::from(port))
    });
    let brokers = brokers.collect();
    let names: Vec<String> = match request.topics {
        None => world.cluster.topics.keys().cloned().collect(),
        Some(topics) => topics
            .into_iter()
            .filter_map(|topic| topic.name.map(|name| name.0.to_string()))
            .collect(),
    };
    let rate = world.case.rate;
    let is_old = world.strikes(Fault::OldMetadata, rate);
    let topics = names.into_iter().map(|name| topic(world, name, is_old)).collect();
    MetadataResponse::default().with_brokers(brokers).with_topics(topics)
}

fn topic(world: &mut World, name: String, is_old: bool) -> MetadataResponseTopic {
    let mut all = Vec::new();
    let mut code = codes::UNKNOWN_TOPIC_OR_PARTITION;
    if let Some(partitions) = world.cluster.topics.get(&name) {
        code = codes::NONE;
        for (index, partition) in partitions.iter().enumerate() {
            let now = (partition.leader, partition.epoch);
            let (leader, epoch) = if is_old { partition.before } else { now };
            let code = if leader < 0 { codes::LEADER_NOT_AVAILABLE } else { codes::NONE };
            let told = MetadataResponsePartition::default().with_error_code(code);
            let told = told.with_partition_index(index as i32);
            all.push(told.with_leader_id(leader.into()).with_leader_epoch(epoch));
        }
    }
    let code = said::<MetadataRequest>(world, &name, code);
    let topic = MetadataResponseTopic::default().with_error_code(code).with_partitions(all);
    topic.with_name(Some(TopicName(StrBytes::from_string(name))))
}
