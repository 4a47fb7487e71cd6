//! One request: where it goes, how it is written, and what its answer means.

use super::state::State;
use crate::codes;
use crate::settings::Settings;
use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::{Error, Result, TopicPartition};

/// Who must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Any broker.
    Any,
    /// One broker, by its number.
    Node(i32),
    /// The leader of a partition.
    Leader(TopicPartition),
    /// The coordinator of a group.
    Group(Arc<str>),
    /// The coordinator of this session's transactions.
    Transactions,
    /// The coordinator of the transactions of another session, by its transactional id.
    TransactionsOf(Arc<str>),
}

/// A broker answers the requests of one connection one after another, so that one which waits
/// for something would hold up all behind it. Each lane is a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// What is answered at once.
    Control,
    /// Records on their way out.
    Produce,
    /// Reading what is there.
    Fetch,
    /// Waiting for what will come.
    Await,
    /// Joining a group, which waits for its members.
    Group,
}

/// A kind of request, and the versions of it that are spoken here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) min: i16,
    pub(crate) max: i16,
}

/// A kind of request in some versions.
pub(crate) const fn api<R: Request>(min: i16, max: i16) -> Api {
    Api { key: R::KEY, min, max }
}

/// What a broker said, and in which version.
pub(crate) struct Answer {
    pub(crate) version: i16,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// The answer to a request of type `R`.
    pub(crate) fn decode<R: Request>(mut self) -> Result<R::Response> {
        let header = R::Response::header_version(self.version);
        let skipped = kafka_protocol::messages::ResponseHeader::decode(&mut self.bytes, header);
        let decoded = skipped.and_then(|_| R::Response::decode(&mut self.bytes, self.version));
        decoded.map_err(|error| {
            let text = "answer of the broker cannot be read; is it a version we know?";
            let error = Error::corrupt(text).caused_by(error.into_boxed_dyn_error());
            error.with("api", R::KEY).with("version", self.version)
        })
    }
}

/// What comes after an answer.
pub(crate) enum Next {
    /// Nothing.
    Done,
    /// The same again, after a pause, because of this.
    Again(Box<dyn Ask>, Error),
    /// The same again, as soon as brokers may have told each other what they must.
    Soon(Box<dyn Ask>, Error),
}

impl Next {
    /// The same again, because a broker has answered with this code. The end of the transaction
    /// before takes milliseconds, and is waited for only so long.
    pub(crate) fn because_of(code: i16, ask: Box<dyn Ask>, error: Error) -> Self {
        match code {
            codes::CONCURRENT_TRANSACTIONS => Self::Soon(ask, error),
            _ => Self::Again(ask, error),
        }
    }
}

/// One request, as often as it must be sent.
pub(crate) trait Ask: Send {
    fn api(&self, state: &State) -> Api;

    fn target(&self) -> Target;

    fn lane(&self) -> Lane {
        Lane::Control
    }

    /// How long the answer may take.
    fn patience(&self, settings: &Settings) -> Duration {
        settings.request_timeout
    }

    /// Whether it is tried for ever.
    fn is_lasting(&self) -> bool {
        false
    }

    /// Appends the body of the request.
    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()>;

    /// Takes the answer, or that there will be none.
    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next;

    /// It could not be done in time, or at all.
    fn fail(self: Box<Self>, error: Error, state: &mut State);
}

/// Appends a request to what is sent.
pub(crate) fn encode<R: Request>(request: &R, version: i16, out: &mut BytesMut) -> Result<()> {
    request.encode(out, version).map_err(|error| {
        let error =
            Error::invalid("request cannot be written").caused_by(error.into_boxed_dyn_error());
        error.with("api", R::KEY).with("version", version)
    })
}
