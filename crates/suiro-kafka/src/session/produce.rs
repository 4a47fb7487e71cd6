//! Records on their way out: idempotent, in order, up to five requests to a broker at a time.
//!
//! A batch whose answer is lost is sent again with the sequence number that it had: the broker
//! knows it then. Where one fails, those behind it fail, too; they are sent again in order when
//! all have come back.

use super::ask::{Answer, Api, Ask, Lane, Next, Target, api, encode};
use super::state::State;
use super::too_large;
use super::writer::{Commit, Part, Piece, fail, forget_coordinator};
use crate::{codes, words};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, ProduceRequest};
use std::collections::BTreeMap;
use std::time::Duration;
use suiro_core::batch::{Compression, Producer, compressed, set_base_offset, set_producer};
use suiro_core::broker::CommitId;
use suiro_core::{Error, Offset, Result, TopicPartition};

/// How many requests may be under way to a broker: it remembers as many batches.
const FLIGHTS: usize = 5;

/// Sends what can be sent of the first commit.
pub(super) fn send(state: &mut State) {
    let Some(commit) = state.writer.commits.front_mut() else { return };
    let (id, now) = (commit.id, state.now);
    let pauses = [state.settings.retry_backoff, state.settings.retry_backoff_max];
    for part in commit.parts.values_mut() {
        part.come_back(now, pauses);
    }
    if !state.writer.v2 && state.writer.is_transactional() {
        register(state, id);
    }
    while let Some((node, parts)) = load(state, id) {
        *state.writer.flights.entry(node).or_default() += 1;
        state.ask(Box::new(Produce { node, commit: id, parts }));
    }
}

impl Part {
    /// Puts what must be sent again before what was never sent, in order.
    fn come_back(&mut self, now: Duration, [first, most]: [Duration; 2]) {
        if self.flight > 0 || self.back.is_empty() {
            return;
        }
        let mut back = std::mem::take(&mut self.back);
        back.sort_by_key(|piece| std::cmp::Reverse(piece.number));
        back.into_iter().for_each(|piece| self.unsent.push_front(piece));
        self.not_before = now + first.saturating_mul(1 << self.tries.min(16)).min(most);
        self.tries += 1;
    }

    /// Whether a batch may be sent that is not behind a barrier.
    fn may_send(&self, now: Duration, stage: u32) -> bool {
        let next = self.unsent.front().is_some_and(|piece| piece.stage <= stage);
        self.back.is_empty() && self.not_before <= now && next
    }
}

/// The next request: a batch of each partition that some broker leads.
fn load(state: &mut State, id: CommitId) -> Option<(i32, Vec<(TopicPartition, Piece)>)> {
    let (writer, now) = (&mut state.writer, state.now);
    let transactional = writer.is_transactional();
    let producer = Producer { id: writer.id, epoch: writer.epoch, sequence: 0, transactional };
    let commit = writer.commits.front_mut().filter(|commit| commit.id == id)?;
    let (mut to, mut loaded, mut bytes, mut missing) = (None, Vec::new(), 0, None);
    let stage = commit.stage_to_write();
    for (partition, part) in &mut commit.parts {
        if !part.may_send(now, stage) {
            continue;
        }
        let Some(leader) = state.metadata.leader(partition) else {
            let looked = now.saturating_sub(commit.since);
            missing = missing.or_else(|| state.metadata.missing(partition, looked));
            continue;
        };
        let known = writer.v2 || !transactional || commit.registered.contains(partition);
        let elsewhere = part.flight > 0 && part.node != leader.node;
        let full = writer.flights.get(&leader.node).is_some_and(|count| *count >= FLIGHTS);
        if !known || elsewhere || full || to.is_some_and(|node| node != leader.node) {
            continue;
        }
        let size = part.unsent.front().map_or(0, |piece| piece.bytes.len());
        if !loaded.is_empty() && bytes + size > state.settings.max_request_size {
            continue;
        }
        let Some(mut piece) = part.unsent.pop_front() else { continue };
        if !piece.sealed {
            let next = writer.sequences.entry(partition.clone()).or_default();
            piece.seal(Producer { sequence: *next, ..producer }, state.settings.compression);
            *next = ((*next as usize + piece.count) % (1 << 31)) as i32;
        }
        (to, part.node, bytes) = (Some(leader.node), leader.node, bytes + size);
        part.flight += 1;
        commit.touched = true;
        loaded.push((partition.clone(), piece));
    }
    if let Some(error) = missing {
        fail(state, id, error);
        return None;
    }
    to.map(|node| (node, loaded))
}

impl Piece {
    /// Says who writes it, and where it is in the sequence; and compresses it, if it can.
    fn seal(&mut self, producer: Producer, compression: Compression) {
        let bytes = match compressed(&self.bytes, compression) {
            Ok(Some(smaller)) => smaller.into(),
            _ => std::mem::replace(&mut self.bytes, Bytes::new()),
        };
        let mut bytes =
            bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        set_base_offset(&mut bytes, 0);
        set_producer(&mut bytes, producer);
        self.bytes = bytes.freeze();
        self.sealed = true;
    }
}

struct Produce {
    node: i32,
    commit: CommitId,
    parts: Vec<(TopicPartition, Piece)>,
}

impl Ask for Produce {
    fn api(&self, state: &State) -> Api {
        // Version 12 takes partitions into the transaction by itself; 13 has numbers in place
        // of topics' names.
        match state.writer.v2 {
            true => api::<ProduceRequest>(12, 12),
            false => api::<ProduceRequest>(8, 11),
        }
    }

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn lane(&self) -> Lane {
        Lane::Produce
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        state.writer.must_be_front(self.commit)?;
        let parts = self.parts.iter().map(|(partition, piece)| {
            let data = PartitionProduceData::default()
                .with_index(partition.partition as i32)
                .with_records(Some(piece.bytes.clone()));
            (&*partition.topic, data)
        });
        let topics = words::by_topic(parts, |topic, data| {
            TopicProduceData::default().with_name(topic).with_partition_data(data)
        });
        let transactional = state.writer.is_transactional();
        let request = ProduceRequest::default()
            .with_transactional_id(transactional.then(|| words::transactional(&state.name)))
            .with_acks(-1)
            .with_timeout_ms(state.settings.request_timeout.as_millis() as i32)
            .with_topic_data(topics);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        land(state, self.node);
        let mut said = BTreeMap::new();
        match answer.and_then(Answer::decode::<ProduceRequest>) {
            Ok(response) => {
                for topic in response.responses {
                    for part in topic.partition_responses {
                        let place = (topic.name.0.clone(), part.index);
                        let text = part.error_message.map(|text| text.to_string());
                        said.insert(place, (part.error_code, part.base_offset, text));
                    }
                }
            }
            Err(error) => tracing::debug!(error = %error.report(), "records are sent again"),
        }
        for (partition, piece) in self.parts {
            let place = (words::text(&partition.topic), partition.partition as i32);
            let answer = said.remove(&place);
            take(state, self.commit, &partition, piece, answer);
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        land(state, self.node);
        if error.kind() == suiro_core::ErrorKind::Unavailable {
            for (partition, piece) in self.parts {
                take(state, self.commit, &partition, piece, None);
            }
        } else {
            fail(state, self.commit, error);
        }
    }
}

fn land(state: &mut State, node: i32) {
    if let Some(count) = state.writer.flights.get_mut(&node) {
        *count = count.saturating_sub(1);
    }
}

/// Takes what was said of one batch; nothing if the answer was lost.
fn take(
    state: &mut State,
    id: CommitId,
    partition: &TopicPartition,
    piece: Piece,
    answer: Option<(i16, Offset, Option<String>)>,
) {
    let Some(commit) = state.writer.front(id) else { return };
    let Some(part) = commit.parts.get_mut(partition) else { return };
    part.flight = part.flight.saturating_sub(1);
    let Some((code, offset, text)) = answer else {
        #[cfg(suiro_mutant = "sequence_reused")]
        let piece = Piece { sealed: false, ..piece };
        return send_again(commit, partition, piece);
    };
    let behind = code == codes::OUT_OF_ORDER_SEQUENCE_NUMBER && !part.back.is_empty();
    if code == 0 {
        (part.tries, part.end) = (0, part.end.max(offset + piece.count as Offset));
        commit.unwritten[piece.stage as usize] -= 1;
        if let Some(append) = piece.begins {
            commit.offsets[append] = offset;
        }
    } else if behind || codes::is_retriable(code) {
        send_again(commit, partition, piece);
        state.metadata.doubt();
    } else {
        let mut error = codes::error("records cannot be written", code)
            .with("partition", partition)
            .with("bytes", piece.bytes.len());
        if let Some(text) = text {
            error = error.with("because", text);
        }
        if code == codes::MESSAGE_TOO_LARGE {
            // It counts as under way until the limit is known, so that nobody ends the commit.
            part.flight += 1;
            return too_large::explain(state, id, partition, error);
        }
        fail(state, id, error);
    }
}

fn send_again(commit: &mut Commit, partition: &TopicPartition, piece: Piece) {
    if let Some(part) = commit.parts.get_mut(partition) {
        part.back.push(piece);
    }
}

/// Tells the coordinator of partitions that are new in the transaction.
fn register(state: &mut State, id: CommitId) {
    let metadata = &mut state.metadata;
    let Some(commit) = state.writer.front(id).filter(|commit| !commit.registering) else {
        return;
    };
    let new = commit
        .parts
        .keys()
        .filter(|it| !commit.registered.contains(*it) && metadata.leader(it).is_some());
    let new: Vec<_> = new.cloned().collect();
    if !new.is_empty() {
        (commit.registering, commit.touched) = (true, true);
        state.ask(Box::new(Register { commit: id, new }));
    }
}

struct Register {
    commit: CommitId,
    new: Vec<TopicPartition>,
}

impl Ask for Register {
    fn api(&self, _: &State) -> Api {
        api::<AddPartitionsToTxnRequest>(3, 3)
    }

    fn target(&self) -> Target {
        Target::Transactions
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        state.writer.must_be_front(self.commit)?;
        let new = self.new.iter().map(|it| (&*it.topic, it.partition as i32));
        let topics = words::by_topic(new, |topic, partitions| {
            AddPartitionsToTxnTopic::default().with_name(topic).with_partitions(partitions)
        });
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(words::transactional(&state.name))
            .with_v3_and_below_producer_id(state.writer.id.into())
            .with_v3_and_below_producer_epoch(state.writer.epoch)
            .with_v3_and_below_topics(topics);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<AddPartitionsToTxnRequest>) {
            Ok(response) => response,
            Err(error) => {
                state.writer.may_come_late = true;
                return Next::Again(self, error);
            }
        };
        let topics = response.results_by_topic_v3_and_below;
        let each = topics.iter().flat_map(|topic| &topic.results_by_partition);
        let codes: Vec<_> = each.map(|result| result.partition_error_code).collect();
        // Where one partition is refused, the others are not even tried.
        const NOT_TRIED: i16 = 55;
        let wrong = codes.iter().copied().find(|code| *code != 0 && *code != NOT_TRIED);
        if let Some(code) = wrong {
            let error = codes::error("transaction takes no partitions", code);
            if codes::is_retriable(code) {
                forget_coordinator(state, code);
                state.metadata.doubt();
                return Next::because_of(code, self, error);
            }
            self.fail(error, state);
            return Next::Done;
        }
        if let Some(commit) = state.writer.front(self.commit) {
            commit.registering = false;
            commit.registered.extend(self.new);
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        fail(state, self.commit, error);
    }
}
