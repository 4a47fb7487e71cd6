//! Which broker coordinates a group, and this session's transactions.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::state::State;
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::FindCoordinatorRequest;
use std::collections::BTreeMap;
use std::sync::Arc;
use suiro_core::{Error, Result};

/// Who is coordinated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Coordinated {
    /// A group, by its name.
    Group(Arc<str>),
    /// The transactions of a session, by its transactional id.
    Transactions(Arc<str>),
}

/// The coordinators that are known.
#[derive(Default)]
pub(crate) struct Coordinators {
    known: BTreeMap<Coordinated, Known>,
}

#[derive(Clone, Copy)]
enum Known {
    Asked,
    Node(i32),
}

/// The coordinator; where it is not known, it is asked for.
pub(crate) fn coordinator(state: &mut State, of: &Coordinated) -> Option<i32> {
    match state.coordinators.known.get(of) {
        Some(Known::Node(node)) => Some(*node),
        Some(Known::Asked) => None,
        None => {
            state.coordinators.known.insert(of.clone(), Known::Asked);
            state.ask(Box::new(Find { of: of.clone() }));
            None
        }
    }
}

impl Coordinators {
    /// It is somebody else now.
    pub(crate) fn forget(&mut self, of: &Coordinated) {
        if matches!(self.known.get(of), Some(Known::Node(_))) {
            self.known.remove(of);
        }
    }

    /// A broker is gone; what it coordinated may be elsewhere.
    pub(crate) fn forget_node(&mut self, node: i32) {
        self.known.retain(|_, known| !matches!(known, Known::Node(other) if *other == node));
    }
}

struct Find {
    of: Coordinated,
}

impl Ask for Find {
    fn api(&self, _: &State) -> Api {
        api::<FindCoordinatorRequest>(4, 5)
    }

    fn target(&self) -> Target {
        Target::Any
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let (key, kind) = match &self.of {
            Coordinated::Group(group) => (group, 0),
            Coordinated::Transactions(id) => (id, 1),
        };
        let request = FindCoordinatorRequest::default()
            .with_key_type(kind)
            .with_coordinator_keys(vec![words::text(key)]);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<FindCoordinatorRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let Some(found) = response.coordinators.first() else {
            return Next::Again(self, Error::unavailable("no coordinator was named"));
        };
        if found.error_code != 0 {
            let error = codes::error("coordinator cannot be found", found.error_code);
            if !codes::is_retriable(found.error_code) {
                self.fail(error, state);
                return Next::Done;
            }
            return Next::Again(self, error);
        }
        let port = u16::try_from(found.port).unwrap_or(0);
        let node = found.node_id.0;
        state.metadata.brokers.insert(node, (found.host.to_string(), port));
        state.coordinators.known.insert(self.of, Known::Node(node));
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.coordinators.known.remove(&self.of);
        state.refuse(&self.of, error);
    }
}
