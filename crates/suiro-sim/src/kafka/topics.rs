//! Creating topics.

use super::codes;
use super::serve::{Call, said};
use super::world::World;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

/// Makes topics.
pub(crate) fn create(
    world: &mut World,
    _: Call,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut results = Vec::new();
    for topic in request.topics {
        let is_new = world.make_topic(&topic.name.0, topic.num_partitions as u32);
        let code = if is_new { codes::NONE } else { codes::TOPIC_ALREADY_EXISTS };
        let code = said::<CreateTopicsRequest>(world, &topic.name.0, code);
        let result = CreatableTopicResult::default().with_name(topic.name);
        results.push(result.with_error_code(code));
    }
    CreateTopicsResponse::default().with_topics(results)
}
