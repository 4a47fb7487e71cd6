//! What a coordinator knows of a transactional id, and what belongs to its transaction.

use super::codes;
use super::coordinators::{Role, refuses};
use super::serve::{Call, said};
use super::world::World;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// What belongs to a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Partition(String, i32),
    /// The positions of a group.
    Group(String),
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    Ongoing,
    /// It is decided, and its parts are about to hear of it: whether it is committed.
    Prepared(bool),
    Complete(bool),
}

/// A transactional id.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    /// The epoch before, as long as whoever had it may ask for a new one once more.
    pub(crate) last_epoch: i16,
    pub(crate) state: State,
    pub(crate) parts: BTreeSet<Part>,
    pub(crate) timeout: Duration,
    /// Counts the transactions, so that a time-out knows its own.
    pub(crate) round: u64,
}

impl Transaction {
    /// Whether a producer is the one that has it, or what is against that.
    fn is_of(&self, (producer, epoch): (i64, i16)) -> Result<(), i16> {
        if self.producer != producer {
            return Err(codes::INVALID_PRODUCER_ID_MAPPING);
        }
        if self.epoch == epoch { Ok(()) } else { Err(codes::PRODUCER_FENCED) }
    }
}

impl World {
    /// Takes parts into the transaction of a producer, or gives why not.
    pub(crate) fn add(
        &mut self,
        name: &str,
        producer: (i64, i16),
        parts: impl IntoIterator<Item = Part>,
    ) -> Result<(), i16> {
        let transaction = self.cluster.transactions.get_mut(name);
        let transaction = transaction.ok_or(codes::INVALID_PRODUCER_ID_MAPPING)?;
        transaction.is_of(producer)?;
        if matches!(transaction.state, State::Prepared(_)) {
            return Err(codes::CONCURRENT_TRANSACTIONS);
        }
        if transaction.state != State::Ongoing {
            transaction.state = State::Ongoing;
            transaction.round += 1;
            let (round, timeout) = (transaction.round, transaction.timeout);
            let name = name.to_owned();
            self.after(timeout, move |world| world.time_out(&name, round));
        }
        let transaction = self.cluster.transactions.get_mut(name);
        transaction.expect("it was there").parts.extend(parts);
        Ok(())
    }

    /// Whether something belongs to the transaction that a producer has open.
    pub(crate) fn verify(
        &self,
        name: &str,
        producer: (i64, i16),
        part: &Part,
    ) -> Result<(), i16> {
        let transaction = self.cluster.transactions.get(name);
        let transaction = transaction.ok_or(codes::INVALID_PRODUCER_ID_MAPPING)?;
        transaction.is_of(producer)?;
        match transaction.state {
            State::Prepared(_) => Err(codes::CONCURRENT_TRANSACTIONS),
            State::Ongoing if transaction.parts.contains(part) => Ok(()),
            _ => Err(codes::INVALID_TXN_STATE),
        }
    }

    /// The broker of a part makes sure that it belongs to the transaction of who writes: with
    /// the second version it is taken in, with the first it must be in.
    pub(crate) fn enter(
        &mut self,
        name: &str,
        producer: (i64, i16),
        part: Part,
    ) -> Result<(), i16> {
        let entered = match self.case.v2 {
            true => self.add(name, producer, [part]),
            false => self.verify(name, producer, &part),
        };
        entered.map_err(|code| match code {
            codes::PRODUCER_FENCED => codes::INVALID_PRODUCER_EPOCH,
            code => code,
        })
    }
}

/// Takes partitions into a transaction.
pub(crate) fn add_partitions(
    world: &mut World,
    call: Call,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let name = request.v3_and_below_transactional_id.0.to_string();
    let producer = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
    let topics = request.v3_and_below_topics;
    let all = topics.iter().flat_map(|topic| {
        let name = topic.name.0.to_string();
        topic.partitions.iter().map(move |it| Part::Partition(name.clone(), *it))
    });
    let all: Vec<Part> = all.collect();
    let is_unknown = |part: &Part| match part {
        Part::Partition(topic, partition) => {
            world.cluster.partition(topic, *partition).is_none()
        }
        Part::Group(_) => false,
    };
    let unknown: Vec<bool> = all.iter().map(is_unknown).collect();
    let refused = refuses(world, call.node, Role::Transactions, &name);
    let code = match refused {
        Some(code) => code,
        None if unknown.contains(&true) => codes::UNKNOWN_TOPIC_OR_PARTITION,
        None => world.add(&name, producer, all).err().unwrap_or(codes::NONE),
    };
    let code = said::<AddPartitionsToTxnRequest>(world, &name, code);
    let mut unknown = unknown.into_iter();
    let results = topics.into_iter().map(|topic| {
        let results = topic.partitions.into_iter().map(|partition| {
            // Where one does not exist, the others are not tried.
            let is_unknown = unknown.next().unwrap_or(false);
            let code = match code {
                codes::UNKNOWN_TOPIC_OR_PARTITION if !is_unknown => {
                    codes::OPERATION_NOT_ATTEMPTED
                }
                code => code,
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(partition)
                .with_partition_error_code(code)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_results_by_partition(results.collect())
            .with_name(topic.name)
    });
    let results = results.collect();
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results)
}

/// Takes the positions of a group into a transaction.
pub(crate) fn add_offsets(
    world: &mut World,
    call: Call,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let name = request.transactional_id.0.to_string();
    let producer = (request.producer_id.0, request.producer_epoch);
    let part = Part::Group(request.group_id.0.to_string());
    let code = match refuses(world, call.node, Role::Transactions, &name) {
        Some(code) => code,
        None => world.add(&name, producer, [part]).err().unwrap_or(codes::NONE),
    };
    let code = said::<AddOffsetsToTxnRequest>(world, &name, code);
    AddOffsetsToTxnResponse::default().with_error_code(code)
}
