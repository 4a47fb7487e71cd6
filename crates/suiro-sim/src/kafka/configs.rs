//! What topics are set to.

use super::codes;
use super::serve::{Call, said};
use super::world::World;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

/// Nothing is deleted from any topic.
const SETTINGS: &[(&str, &str)] =
    &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

/// Says what topics are set to.
pub(crate) fn describe(
    world: &mut World,
    _: Call,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let mut results = Vec::new();
    for resource in request.resources {
        let exists = world.cluster.topics.contains_key(resource.resource_name.as_str());
        let code = if exists { codes::NONE } else { codes::UNKNOWN_TOPIC_OR_PARTITION };
        let code = said::<DescribeConfigsRequest>(world, &resource.resource_name, code);
        let configs = SETTINGS.iter().map(|(name, value)| {
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        let result = DescribeConfigsResult::default().with_error_code(code);
        let result = result.with_resource_type(resource.resource_type);
        let result = result.with_resource_name(resource.resource_name);
        results.push(result.with_configs(configs.collect()));
    }
    DescribeConfigsResponse::default().with_results(results)
}
