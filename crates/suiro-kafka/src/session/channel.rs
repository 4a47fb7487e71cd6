//! One connection to a broker, and what is under way on it.

use super::ask::{Answer, Api, Ask};
use super::sasl::{Said, Sasl, authenticate};
use crate::net::ConnId;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, RequestHeader};
use kafka_protocol::protocol::Encodable;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use suiro_core::{Error, Result};

/// A connection, and what is under way on it.
pub(crate) struct Channel {
    pub(crate) conn: ConnId,
    pub(crate) stage: Stage,
    /// When it was opened, or the greeting sent.
    pub(crate) since: Duration,
    /// The log-in, until it is done.
    sasl: Option<Sasl>,
    /// Whether it is opened only to see if plain text is spoken where TLS is not.
    pub(crate) is_probe: bool,
    /// When the log-in ends.
    pub(crate) until: Option<Duration>,
    /// What the broker speaks: the versions of each kind of request.
    apis: BTreeMap<i16, (i16, i16)>,
    pub(crate) sent: VecDeque<Sent>,
    correlation: i32,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Opening,
    Greeting,
    Authenticating,
    Ready,
}

/// A request whose answer has not come yet.
pub(crate) struct Sent {
    correlation: i32,
    pub(crate) version: i16,
    pub(crate) ask: Box<dyn Ask>,
    pub(crate) at: Duration,
    pub(crate) since: Duration,
    pub(crate) tries: u32,
}

/// The version of the greeting that every broker since 2.4 answers.
const GREETING: Api = super::ask::api::<ApiVersionsRequest>(3, 3);

impl Channel {
    pub(crate) fn new(conn: ConnId, since: Duration, sasl: Option<Sasl>) -> Self {
        let (apis, sent) = (BTreeMap::new(), VecDeque::new());
        let (stage, is_probe, until) = (Stage::Opening, false, None);
        Self { conn, stage, since, sasl, is_probe, until, apis, sent, correlation: 0 }
    }

    /// The frame that asks a broker what it speaks.
    pub(crate) fn greeting(&mut self, client: &str) -> Result<Bytes> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(crate::words::text("suiro"))
            .with_client_software_version(crate::words::text(env!("CARGO_PKG_VERSION")));
        self.stage = Stage::Greeting;
        self.frame(GREETING.key, GREETING.max, client, |out| {
            super::ask::encode(&request, GREETING.max, out)
        })
    }

    /// Takes the answer to the greeting; gives the version of transactions, and the frame that
    /// begins to log in, if somebody does.
    pub(crate) fn greeted(
        &mut self,
        frame: Bytes,
        client: &str,
    ) -> Result<(i16, Option<Bytes>)> {
        let answer = Answer { version: GREETING.max, bytes: frame };
        let response = answer.decode::<ApiVersionsRequest>();
        let response = response.map_err(|error| {
            let text = "what answers is no kafka broker, or one that is too old";
            Error::invalid(text).caused_by(error)
        })?;
        crate::codes::check("greeting", response.error_code)?;
        for api in &response.api_keys {
            self.apis.insert(api.api_key, (api.min_version, api.max_version));
        }
        let features = &response.finalized_features;
        let transactions = features.iter().find(|it| it.name.as_str() == "transaction.version");
        let version = transactions.map_or(0, |feature| feature.max_version_level);
        let Some(sasl) = self.sasl.take() else {
            self.stage = Stage::Ready;
            return Ok((version, None));
        };
        self.stage = Stage::Authenticating;
        let api = sasl.api();
        let next = self.frame(api.key, api.max, client, |out| sasl.handshake(out))?;
        self.sasl = Some(sasl);
        Ok((version, Some(next)))
    }

    /// Takes an answer of the log-in; gives the frame that goes on with it, if it is not done.
    pub(crate) fn authenticated(
        &mut self,
        frame: Bytes,
        client: &str,
        now: Duration,
    ) -> Result<Option<Bytes>> {
        let Some(mut sasl) = self.sasl.take() else { return Ok(None) };
        match sasl.read(frame)? {
            Said::Message(message) => {
                let api = sasl.api();
                let next = self
                    .frame(api.key, api.max, client, |out| authenticate(message, out))
                    .map(Some);
                self.sasl = Some(sasl);
                next
            }
            Said::Done(lifetime) => {
                self.stage = Stage::Ready;
                // The broker closes a connection that is used later.
                self.until = lifetime.map(|lifetime| now + lifetime * 9 / 10);
                Ok(None)
            }
        }
    }

    /// The newest version that both sides speak.
    pub(crate) fn version(&self, api: Api) -> Result<i16> {
        let (min, max) = self.apis.get(&api.key).copied().unwrap_or((0, -1));
        let (low, high) = (min.max(api.min), max.min(api.max));
        if low > high {
            let text = "the broker does not speak this; 3.9 is the oldest that is supported";
            return Err(Error::invalid(text).with("api", api.key).with("up_to", max));
        }
        Ok(high)
    }

    /// A frame with a request.
    pub(crate) fn frame(
        &mut self,
        key: i16,
        version: i16,
        client: &str,
        body: impl FnOnce(&mut BytesMut) -> Result<()>,
    ) -> Result<Bytes> {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(crate::words::text(client)));
        let mut out = BytesMut::with_capacity(256);
        out.put_u32(0);
        let header_version =
            ApiKey::try_from(key).map_or(2, |it| it.request_header_version(version));
        header.encode(&mut out, header_version).map_err(|error| {
            Error::invalid("header cannot be written").caused_by(error.into_boxed_dyn_error())
        })?;
        body(&mut out)?;
        let length = u32::try_from(out.len() - 4)
            .map_err(|_| Error::invalid("request is too large").with("bytes", out.len()))?;
        out[..4].copy_from_slice(&length.to_be_bytes());
        Ok(out.freeze())
    }

    /// The request of the last frame is under way.
    pub(crate) fn sends(&mut self, mut sent: Sent) {
        sent.correlation = self.correlation;
        self.sent.push_back(sent);
    }

    /// The request that a frame answers.
    pub(crate) fn answered(&mut self, frame: &Bytes) -> Result<Sent> {
        let number = (frame.len() >= 4).then(|| frame.slice(..4).get_i32());
        let expected = self.sent.front().map(|sent| sent.correlation);
        let first = if number == expected { self.sent.pop_front() } else { None };
        first.ok_or_else(|| Error::unavailable("the broker answers what was not asked"))
    }
}

impl Sent {
    pub(crate) fn new(
        ask: Box<dyn Ask>,
        version: i16,
        at: Duration,
        (since, tries): (Duration, u32),
    ) -> Self {
        Self { correlation: 0, version, ask, at, since, tries }
    }
}
