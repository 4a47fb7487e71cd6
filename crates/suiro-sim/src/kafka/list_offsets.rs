//! Where a partition begins and ends, and where a time is in it.

use super::codes;
use super::log::{Fate, Log};
use super::serve::{Call, said};
use super::world::World;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use suiro_core::Offset;
use suiro_core::batch::batches;

/// Looks for offsets.
pub(crate) fn list(
    world: &mut World,
    call: Call,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let sees_all = request.isolation_level == 0;
    let mut topics = Vec::new();
    for topic in request.topics {
        let mut answers = Vec::new();
        for asked in topic.partitions {
            let led = world.cluster.led(call.node, &topic.name.0, asked.partition_index);
            let found = led.map(|it| look(&it.log, asked.timestamp, sees_all));
            let (code, offset) = found.map_or_else(|code| (code, -1), |it| (codes::NONE, it));
            let what = format!(
                "{}-{} {}: {offset}",
                topic.name.0.as_str(),
                asked.partition_index,
                asked.timestamp
            );
            let code = said::<ListOffsetsRequest>(world, &what, code);
            let answer = ListOffsetsPartitionResponse::default();
            let answer = answer.with_partition_index(asked.partition_index);
            answers.push(answer.with_error_code(code).with_offset(offset));
        }
        let topic = ListOffsetsTopicResponse::default().with_name(topic.name);
        topics.push(topic.with_partitions(answers));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

fn look(log: &Log, at: i64, sees_all: bool) -> Offset {
    let end = if sees_all { log.next } else { log.stable() };
    match at {
        -2 => log.start,
        -1 => end,
        at => {
            let data = log.entries.iter().filter(|entry| entry.fate != Fate::Marker);
            let records = data.flat_map(|entry| {
                let batch = batches(entry.bytes.clone()).next()?.ok()?;
                let records = batch.records().ok()?;
                let times = records.iter().filter_map(|record| {
                    let record = record.ok()?;
                    Some((record.offset, record.at.as_millis()))
                });
                Some(times.collect::<Vec<_>>())
            });
            let mut records = records.flatten();
            let found = records.find(|(offset, time)| *offset >= log.start && *time >= at);
            found.filter(|(offset, _)| *offset < end).map_or(-1, |(offset, _)| offset)
        }
    }
}
