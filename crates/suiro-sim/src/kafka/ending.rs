//! The ends of transactions: decided by their coordinator, by whoever fences their holder, or by
//! their time-out, and told to their parts one after another.

use super::codes;
use super::coordinators::{Role, refuses};
use super::fault::Fault;
use super::serve::{Call, said};
use super::transaction::{Part, State};
use super::world::World;
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};
use std::time::Duration;

/// Ends a transaction.
pub(crate) fn end(world: &mut World, call: Call, request: EndTxnRequest) -> EndTxnResponse {
    let name = request.transactional_id.0.to_string();
    let producer = (request.producer_id.0, request.producer_epoch);
    let mut code = match refuses(world, call.node, Role::Transactions, &name) {
        Some(code) => code,
        None => world.decide(&name, producer, request.committed),
    };
    if code == codes::NONE {
        let rate = world.case.rate;
        if world.strikes(Fault::MovesWhileEnding, rate * 2) {
            world.move_seat(Role::Transactions, &name);
            code = codes::NOT_COORDINATOR;
        } else if world.strikes(Fault::EndUnsure, rate * 2) {
            code = codes::COORDINATOR_NOT_AVAILABLE;
        }
    }
    let what = format!("{name} {producer:?} committed: {}", request.committed);
    let code = said::<EndTxnRequest>(world, &what, code);
    let response = EndTxnResponse::default().with_error_code(code);
    let transaction = world.cluster.transactions.get(&name).filter(|_| code == codes::NONE);
    match transaction {
        Some(transaction) if call.version >= 5 => response
            .with_producer_id(transaction.producer.into())
            .with_producer_epoch(transaction.epoch),
        _ => response.with_producer_id((-1).into()).with_producer_epoch(-1),
    }
}

impl World {
    /// Decides a transaction as its holder asks for, unless something is against it.
    fn decide(&mut self, name: &str, (producer, epoch): (i64, i16), committed: bool) -> i16 {
        let v2 = self.case.v2;
        let Some(transaction) = self.cluster.transactions.get(name) else {
            return codes::INVALID_PRODUCER_ID_MAPPING;
        };
        if transaction.producer != producer {
            return codes::INVALID_PRODUCER_ID_MAPPING;
        }
        // With the second version each end gives a new epoch: who asks again has the one before.
        let again = v2 && transaction.epoch == epoch + 1;
        let is_its = match transaction.state {
            State::Empty | State::Ongoing => transaction.epoch == epoch,
            State::Prepared(_) if v2 => again,
            State::Prepared(_) => transaction.epoch == epoch,
            State::Complete(_) => again || transaction.epoch == epoch,
        };
        if !is_its {
            return codes::PRODUCER_FENCED;
        }
        match transaction.state {
            State::Ongoing => {}
            State::Prepared(how) if how == committed => return codes::CONCURRENT_TRANSACTIONS,
            State::Complete(how) if how == committed && (again || !v2) => return codes::NONE,
            // Who takes back what never began gets a new epoch all the same.
            State::Complete(_) | State::Empty if v2 && !committed && !again => {}
            _ => return codes::INVALID_TXN_STATE,
        }
        self.prepare(name, committed);
        codes::NONE
    }

    /// Takes the name from its holder, and ends what that had begun.
    pub(crate) fn fence(&mut self, name: &str) {
        let transaction = self.cluster.transactions.get_mut(name);
        let transaction = transaction.expect("whoever is fenced is known");
        transaction.epoch += 1;
        transaction.last_epoch = -1;
        self.prepare(name, false);
    }

    /// A transaction is open for too long.
    pub(crate) fn time_out(&mut self, name: &str, round: u64) {
        let transaction = self.cluster.transactions.get(name);
        let transaction = transaction.expect("what times out was begun");
        if transaction.state == State::Ongoing && transaction.round == round {
            self.happened("transaction that took too long");
            self.note(|| format!("transaction of {name} takes too long"));
            self.fence(name);
        }
    }

    /// A transaction is decided; its parts hear of it.
    fn prepare(&mut self, name: &str, committed: bool) {
        let v2 = self.case.v2;
        let transaction = self.cluster.transactions.get_mut(name);
        let transaction = transaction.expect("what is decided was begun");
        if v2 {
            transaction.last_epoch = transaction.epoch;
            transaction.epoch += 1;
        }
        transaction.state = State::Prepared(committed);
        let parts: Vec<Part> = transaction.parts.iter().cloned().collect();
        for part in parts {
            let rate = self.case.rate;
            let pause = match self.strikes(Fault::SlowMarker, rate) {
                true => self.between(50, 2000),
                false => self.between(1, 20),
            };
            self.mark_later(name, part, pause);
        }
        self.complete(name);
    }

    fn mark_later(&mut self, name: &str, part: Part, pause: Duration) {
        let name = name.to_owned();
        self.after(pause, move |world| world.mark(&name, part));
    }

    /// A part of a transaction hears how it ended.
    fn mark(&mut self, name: &str, part: Part) {
        let transaction = &self.cluster.transactions[name];
        let State::Prepared(committed) = transaction.state else { return };
        let producer = (transaction.producer, transaction.epoch);
        match &part {
            Part::Partition(topic, partition) => {
                let is_led = |node: i32| node >= 0 && self.cluster.is_up(node);
                let leader = self.cluster.partition(topic, *partition).map(|it| it.leader);
                if !leader.is_some_and(is_led) {
                    return self.mark_later(name, part, Duration::from_millis(20));
                }
                let (topic, partition) = (topic.clone(), *partition);
                if let Some(it) = self.cluster.partition_mut(&topic, partition) {
                    it.log.end(producer, committed, it.epoch);
                }
                self.wake(&topic, partition);
            }
            Part::Group(group) => {
                if let Some(group) = self.cluster.groups.get_mut(group) {
                    group.end(producer, committed);
                }
            }
        }
        let transaction = self.cluster.transactions.get_mut(name).expect("it was there");
        transaction.parts.remove(&part);
        self.note(|| format!("{name} committed: {committed}, hears {part:?}"));
        self.complete(name);
    }

    fn complete(&mut self, name: &str) {
        let transaction = self.cluster.transactions.get_mut(name).expect("it was there");
        if let (State::Prepared(committed), true) =
            (transaction.state, transaction.parts.is_empty())
        {
            transaction.state = State::Complete(committed);
        }
    }
}
