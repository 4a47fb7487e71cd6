//! Taking records.

use super::codes;
use super::fault::Fault;
use super::log::Appended;
use super::serve::{Call, said};
use super::transaction::Part;
use super::world::World;
use bytes::Bytes;
use kafka_protocol::messages::produce_response::{
    PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use suiro_core::Offset;
use suiro_core::batch::{BatchHeader, check_crc};

/// Takes a batch of each partition.
pub(crate) fn produce(
    world: &mut World,
    call: Call,
    request: ProduceRequest,
) -> ProduceResponse {
    let name = request.transactional_id.as_ref().map_or("", |name| name.0.as_str()).to_owned();
    let mut topics = Vec::new();
    for topic in request.topic_data {
        let mut answers = Vec::new();
        for data in topic.partition_data {
            let batch = data.records.unwrap_or_default();
            let taken = take(world, call, &name, (&topic.name.0, data.index), &batch);
            let (code, base) = match taken {
                Ok(base) => (codes::NONE, base),
                Err(code) => (code, -1),
            };
            let header = BatchHeader::parse(&batch).ok().flatten();
            let producer = header.map(|header| (header.producer, header.count));
            let what =
                format!("{}-{} {producer:?} at {base}", topic.name.0.as_str(), data.index);
            let code = said::<ProduceRequest>(world, &what, code);
            let answer = PartitionProduceResponse::default().with_index(data.index);
            answers.push(answer.with_error_code(code).with_base_offset(base));
        }
        let topic = TopicProduceResponse::default().with_name(topic.name);
        topics.push(topic.with_partition_responses(answers));
    }
    ProduceResponse::default().with_responses(topics)
}

fn take(
    world: &mut World,
    call: Call,
    name: &str,
    (topic, index): (&str, i32),
    batch: &Bytes,
) -> Result<Offset, i16> {
    let (rate, v2) = (world.case.rate, world.case.v2);
    if world.strikes(Fault::LeaderMoves, rate * 6) {
        world.elect(topic, index as usize, std::time::Duration::ZERO);
    }
    world.cluster.led(call.node, topic, index)?;
    if world.strikes(Fault::ProduceRefused, rate * 2) {
        return Err(codes::NOT_ENOUGH_REPLICAS);
    }
    let header = BatchHeader::parse(batch).ok().flatten().expect("whole batches are sent");
    assert!(check_crc(batch) && header.length == batch.len(), "a batch is whole and alone");
    let producer = (header.producer.id, header.producer.epoch);
    let partition = world.cluster.led(call.node, topic, index)?;
    let is_new = !partition.log.has_open(producer.0, producer.1);
    if !header.producer.transactional {
        world.happened("batch without a transaction");
    } else if is_new {
        let part = Part::Partition(topic.to_owned(), index);
        world.enter(name, producer, part).map_err(|code| match code {
            codes::CONCURRENT_TRANSACTIONS if !v2 => codes::NOT_ENOUGH_REPLICAS,
            code => code,
        })?;
    }
    let partition = world.cluster.led(call.node, topic, index)?;
    let epoch = partition.epoch;
    let base = match partition.log.append(batch, epoch, v2)? {
        Appended::New(base) => base,
        Appended::Known(base) => {
            world.happened("batch that is there already");
            base
        }
    };
    if world.strikes(Fault::ProduceUnsure, rate * 2) {
        return Err(codes::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    }
    Ok(base)
}
