//! How a producer comes to its number and epoch.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::state::State;
use super::writer::{fence, forget_coordinator, refuse, taken_back};
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::InitProducerIdRequest;
use suiro_core::{Error, ErrorKind, Result};

/// The number and epoch of a producer that nobody is to renew.
pub(super) const NOBODY: (i64, i16) = (-1, -1);

/// The request for a number and an epoch under a name, which ends what its holder had begun.
pub(super) fn begin(
    state: &State,
    name: &str,
    (id, epoch): (i64, i16),
) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(words::transactional(name)))
        .with_transaction_timeout_ms(state.settings.transaction_timeout.as_millis() as i32)
        .with_producer_id(id.into())
        .with_producer_epoch(epoch)
}

/// Asks for a number and an epoch, which ends what the holder of the name had begun before. What
/// is to be `renewed` must be the newest; without it whoever has the name is fenced. Who is not
/// asking `by_name` writes without transactions.
pub(super) fn ask(state: &mut State, renewed: Option<(i64, i16)>, by_name: bool) {
    state.ask(Box::new(Init { renewed, by_name }));
}

struct Init {
    renewed: Option<(i64, i16)>,
    /// Whether it is for transactions, which go by the name.
    by_name: bool,
}

impl Init {
    fn explain(&self, error: Error, state: &State) -> Error {
        if self.by_name { error.with("transactional.id", &state.name) } else { error }
    }
}

impl Ask for Init {
    fn api(&self, _: &State) -> Api {
        api::<InitProducerIdRequest>(4, 5)
    }

    fn target(&self) -> Target {
        if self.by_name { Target::Transactions } else { Target::Any }
    }

    fn is_lasting(&self) -> bool {
        self.renewed.is_some()
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        let request = begin(state, &state.name, self.renewed.unwrap_or(NOBODY));
        let name = request.transactional_id.clone().filter(|_| self.by_name);
        encode(&request.with_transactional_id(name), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<InitProducerIdRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let code = response.error_code;
        if code != 0 {
            let error = codes::error("no producer can be had", code);
            if codes::is_retriable(code) {
                forget_coordinator(state, code);
                let error = self.explain(error, state);
                return Next::because_of(code, self, error);
            }
            self.fail(error, state);
            return Next::Done;
        }
        state.writer.v2 = state.transactions_v2;
        let by_name = state.writer.is_transactional();
        if by_name == self.by_name {
            let new = (response.producer_id.0, response.producer_epoch);
            taken_back(state, Some(new));
        } else {
            // What the holder of the name had begun has ended by now, and nobody waits for it.
            ask(state, None, by_name);
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        let error = self.explain(error, state);
        match error.kind() {
            ErrorKind::Fenced => fence(state, error),
            // Of an epoch that ended by itself, such as by its time-out, brokers say so, too.
            ErrorKind::Unavailable if self.renewed.is_some() => fence(state, error),
            _ => refuse(state, error),
        }
    }
}
