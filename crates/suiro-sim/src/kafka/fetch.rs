//! Reading records: up to where everything is decided, with who was aborted.

use super::cluster::Partition;
use super::codes;
use super::fault::Fault;
use super::serve::{Call, answer, said};
use super::world::World;
use bytes::BytesMut;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use std::time::Duration;
use suiro_core::Offset;

/// Reads, now or when there is something.
pub(crate) fn fetch(world: &mut World, call: Call, request: FetchRequest) {
    let rate = world.case.rate;
    for topic in &request.topics {
        for partition in &topic.partitions {
            if world.strikes(Fault::LeaderMoves, rate * 10) {
                let index = partition.partition as usize;
                world.elect(&topic.topic.0, index, Duration::ZERO);
            }
        }
    }
    let request = match world.all_asked(call, request) {
        Ok(request) => request,
        Err(code) => {
            let response = FetchResponse::default().with_error_code(code);
            return answer::<FetchRequest>(world, call, &response);
        }
    };
    let wait = Duration::from_millis(u64::from(request.max_wait_ms.max(0).unsigned_abs()));
    if wait.is_zero() || is_ready(world, call, &request) {
        return respond(world, call, &request);
    }
    world.cluster.parkings += 1;
    let parking = world.cluster.parkings;
    world.cluster.parked.insert(parking, (call, request));
    world.after(wait, move |world| leave(world, parking));
}

fn is_ready(world: &World, call: Call, request: &FetchRequest) -> bool {
    request.topics.iter().any(|topic| {
        topic.partitions.iter().any(|asked| {
            let partition = world.cluster.partition(&topic.topic.0, asked.partition);
            partition.is_none_or(|it| {
                let end = end(it, request.isolation_level == 0);
                check(it, call, asked, end) != codes::NONE || asked.fetch_offset < end
            })
        })
    })
}

/// A fetch that waited is answered.
fn leave(world: &mut World, parking: u64) {
    if let Some((call, request)) = world.cluster.parked.remove(&parking) {
        respond(world, call, &request);
    }
}

impl World {
    /// Something has happened to a partition: who waits for that need not wait any more.
    pub(crate) fn wake(&mut self, topic: &str, partition: i32) {
        let waits = |request: &FetchRequest| {
            let own = request.topics.iter().filter(|it| it.topic.0.as_str() == topic);
            own.flat_map(|it| &it.partitions).any(|it| it.partition == partition)
        };
        let all = self.cluster.parked.iter();
        let ready =
            all.filter(|(_, (call, request))| waits(request) && is_ready(self, *call, request));
        let ready: Vec<u64> = ready.map(|(parking, _)| *parking).collect();
        for parking in ready {
            let pause = self.between(0, 2);
            self.after(pause, move |world| leave(world, parking));
        }
    }
}

fn end(partition: &Partition, sees_all: bool) -> Offset {
    if sees_all { partition.log.next } else { partition.log.stable() }
}

fn check(partition: &Partition, call: Call, asked: &FetchPartition, end: Offset) -> i16 {
    if partition.leader != call.node {
        codes::NOT_LEADER_OR_FOLLOWER
    } else if asked.current_leader_epoch > partition.epoch {
        codes::UNKNOWN_LEADER_EPOCH
    } else if (0..partition.epoch).contains(&asked.current_leader_epoch) {
        codes::FENCED_LEADER_EPOCH
    } else if asked.fetch_offset < partition.log.start
        || asked.fetch_offset > partition.log.next.max(end)
    {
        codes::OFFSET_OUT_OF_RANGE
    } else {
        codes::NONE
    }
}

fn respond(world: &mut World, call: Call, request: &FetchRequest) {
    if request.session_epoch > 0 && world.strikes(Fault::Throttled, world.case.rate * 10) {
        let response = FetchResponse::default().with_session_id(request.session_id);
        return answer::<FetchRequest>(world, call, &response.with_throttle_time_ms(1));
    }
    let mut topics = Vec::new();
    for topic in &request.topics {
        let mut answers = Vec::new();
        for asked in &topic.partitions {
            let sees_all = request.isolation_level == 0;
            let data = read(world, call, &topic.topic.0, asked, sees_all);
            if world.is_news(request, &topic.topic.0, &data) {
                answers.push(data);
            }
        }
        if answers.is_empty() {
            continue;
        }
        let response = FetchableTopicResponse::default().with_topic(topic.topic.clone());
        topics.push(response.with_partitions(answers));
    }
    let response = FetchResponse::default().with_responses(topics);
    let response = response.with_session_id(request.session_id);
    answer::<FetchRequest>(world, call, &response);
}

fn read(
    world: &mut World,
    call: Call,
    topic: &str,
    asked: &FetchPartition,
    sees_all: bool,
) -> PartitionData {
    let answer = PartitionData::default()
        .with_partition_index(asked.partition)
        .with_diverging_epoch(EpochEndOffset::default().with_epoch(-1).with_end_offset(-1));
    let Some(partition) = world.cluster.partition(topic, asked.partition) else {
        let code = codes::UNKNOWN_TOPIC_OR_PARTITION;
        return answer.with_error_code(said::<FetchRequest>(world, topic, code));
    };
    let (log, end) = (&partition.log, end(partition, sees_all));
    let code = check(partition, call, asked, end);
    if code != codes::NONE {
        let what = format!("{topic}-{} from {}", asked.partition, asked.fetch_offset);
        let answer = answer.with_high_watermark(-1).with_last_stable_offset(-1);
        return answer.with_error_code(said::<FetchRequest>(world, &what, code));
    }
    let first = log.entries.partition_point(|entry| entry.next <= asked.fetch_offset);
    let there = log.entries[first..].iter().take_while(|entry| entry.base < end);
    let (mut records, mut upper) = (BytesMut::new(), asked.fetch_offset);
    for entry in there {
        let room = (asked.partition_max_bytes.max(0) as usize).saturating_sub(records.len());
        if !records.is_empty() && entry.bytes.len() > room {
            // The last batch is cut off where there is no room for all of it.
            records.extend_from_slice(&entry.bytes[..room]);
            break;
        }
        records.extend_from_slice(&entry.bytes);
        upper = entry.next;
    }
    let aborted = log.aborted.iter();
    let aborted = aborted.filter(|it| it.marker >= asked.fetch_offset && it.first < upper);
    let aborted = aborted.map(|it| {
        AbortedTransaction::default()
            .with_producer_id(it.producer.into())
            .with_first_offset(it.first)
    });
    let aborted: Vec<_> = aborted.collect();
    let answer = answer
        .with_high_watermark(log.next)
        .with_last_stable_offset(log.stable())
        .with_log_start_offset(log.start);
    if !aborted.is_empty() {
        world.happened("aborted batch in what was fetched");
    }
    let what = format!("{topic}-{} from {} to {upper}", asked.partition, asked.fetch_offset);
    said::<FetchRequest>(world, &what, codes::NONE);
    let aborted = (!sees_all).then_some(aborted);
    answer.with_aborted_transactions(aborted).with_records(Some(records.freeze()))
}
