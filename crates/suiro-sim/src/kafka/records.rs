//! Deleting records.

use super::codes;
use super::serve::{Call, said};
use super::world::World;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

/// Deletes what is before an offset.
pub(crate) fn delete(
    world: &mut World,
    call: Call,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::new();
    for topic in request.topics {
        let mut results = Vec::new();
        for asked in topic.partitions {
            let led = world.cluster.led(call.node, &topic.name.0, asked.partition_index);
            let code = led.map_or_else(
                |code| code,
                |partition| {
                    partition.log.trim(asked.offset);
                    codes::NONE
                },
            );
            let code = said::<DeleteRecordsRequest>(world, &topic.name.0, code);
            let result = DeleteRecordsPartitionResult::default();
            let result = result.with_partition_index(asked.partition_index);
            results.push(result.with_low_watermark(asked.offset).with_error_code(code));
        }
        let topic = DeleteRecordsTopicResult::default().with_name(topic.name);
        topics.push(topic.with_partitions(results));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}
