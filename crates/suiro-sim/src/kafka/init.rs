//! Giving out numbers and epochs of producers, which ends what their holders had begun.

use super::codes;
use super::coordinators::{Role, refuses};
use super::serve::{Call, said};
use super::transaction::{State, Transaction};
use super::world::World;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use std::collections::BTreeSet;
use std::time::Duration;

/// Gives out a number and an epoch.
pub(crate) fn init(
    world: &mut World,
    call: Call,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let name = request.transactional_id.as_ref().map_or("", |name| name.0.as_str()).to_owned();
    let given = match request.transactional_id {
        // Who has no name is somebody new each time, and any broker says so.
        None => Ok((world.new_producer(), 0)),
        Some(_) => match refuses(world, call.node, Role::Transactions, &name) {
            Some(code) => Err(code),
            None => give(world, &name, &request),
        },
    };
    let (code, (producer, epoch)) = match given {
        Ok(given) => (codes::NONE, given),
        Err(code) => (code, (-1, -1)),
    };
    let what =
        format!("{name} ({}, {}) gets {epoch}", request.producer_id.0, request.producer_epoch);
    let code = said::<InitProducerIdRequest>(world, &what, code);
    InitProducerIdResponse::default()
        .with_error_code(code)
        .with_producer_id(producer.into())
        .with_producer_epoch(epoch)
}

fn give(
    world: &mut World,
    name: &str,
    request: &InitProducerIdRequest,
) -> Result<(i64, i16), i16> {
    let timeout =
        Duration::from_millis(u64::from(request.transaction_timeout_ms.unsigned_abs()));
    let expected =
        (request.producer_id.0 >= 0).then_some((request.producer_id.0, request.producer_epoch));
    if !world.cluster.transactions.contains_key(name) {
        let new = Transaction {
            producer: world.new_producer(),
            epoch: -1,
            last_epoch: -1,
            state: State::Empty,
            parts: BTreeSet::new(),
            timeout,
            round: 0,
        };
        world.cluster.transactions.insert(name.to_owned(), new);
    }
    let transaction = world.cluster.transactions.get_mut(name).expect("it was just made");
    let is_new = transaction.epoch < 0;
    if expected.is_some_and(|(id, _)| !is_new && id != transaction.producer) {
        return Err(codes::PRODUCER_FENCED);
    }
    match transaction.state {
        State::Prepared(_) => Err(codes::CONCURRENT_TRANSACTIONS),
        State::Ongoing => {
            // What is open is ended first; whoever asks has to ask again.
            world.fence(name);
            Err(codes::CONCURRENT_TRANSACTIONS)
        }
        State::Empty | State::Complete(_) => {
            let last = match expected {
                None => -1,
                Some((_, epoch)) if is_new || epoch == transaction.epoch => transaction.epoch,
                // It has been renewed, and the answer was lost.
                Some((_, epoch)) if epoch == transaction.last_epoch => {
                    return Ok((transaction.producer, transaction.epoch));
                }
                Some(_) => return Err(codes::PRODUCER_FENCED),
            };
            transaction.last_epoch = last;
            transaction.epoch += 1;
            (transaction.state, transaction.timeout) = (State::Empty, timeout);
            Ok((transaction.producer, transaction.epoch))
        }
    }
}

impl World {
    /// The number of somebody who has none.
    fn new_producer(&mut self) -> i64 {
        self.cluster.producers += 1;
        1000 + self.cluster.producers
    }
}
