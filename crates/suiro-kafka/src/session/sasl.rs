//! Logging in: what is said on a connection after the greeting and before anything else.

use super::ask::{Answer, Api, api, encode};
use super::nonce::nonce;
use crate::scram::{Scram, Verifier};
use crate::settings::{SaslMechanism, Security};
use crate::words;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use std::time::Duration;
use suiro_core::{Error, Result};

/// A log-in, and what it waits for.
pub(crate) struct Sasl {
    mechanism: SaslMechanism,
    user: String,
    step: Step,
}

enum Step {
    /// The broker is asked whether it knows the mechanism.
    Handshake { password: String },
    /// The password was sent as it is.
    Plain,
    /// The first message was sent.
    First(Scram),
    /// The proof was sent.
    Proof(Verifier),
}

/// What comes after an answer.
pub(crate) enum Said {
    /// The next message.
    Message(Bytes),
    /// The user is logged in, for so long.
    Done(Option<Duration>),
}

const HANDSHAKE: Api = api::<SaslHandshakeRequest>(1, 1);
const AUTHENTICATE: Api = api::<SaslAuthenticateRequest>(2, 2);

const UNSUPPORTED_MECHANISM: i16 = 33;
const ILLEGAL_STATE: i16 = 34;
const REFUSED: i16 = 58;

impl Sasl {
    /// The log-in that the settings ask for, if they do.
    pub(crate) fn new(security: &Security) -> Option<Self> {
        let mechanism = security.sasl_mechanism.filter(|_| security.protocol.has_sasl())?;
        let user = security.sasl_username.clone();
        let password = security.sasl_password.reveal().to_owned();
        Some(Self { mechanism, user, step: Step::Handshake { password } })
    }

    /// The kind of request that comes next.
    pub(crate) fn api(&self) -> Api {
        match self.step {
            Step::Handshake { .. } => HANDSHAKE,
            _ => AUTHENTICATE,
        }
    }

    /// The body of the first request.
    pub(crate) fn handshake(&self, out: &mut BytesMut) -> Result<()> {
        let request = SaslHandshakeRequest::default();
        let request = request.with_mechanism(words::text(self.mechanism.name()));
        encode(&request, HANDSHAKE.max, out)
    }

    /// Takes an answer.
    pub(crate) fn read(&mut self, frame: Bytes) -> Result<Said> {
        let step = std::mem::replace(&mut self.step, Step::Plain);
        let result = match step {
            Step::Handshake { password } => self.shaken(frame, &password),
            Step::Plain => answer(frame).map(|(_, lifetime)| Said::Done(lifetime)),
            Step::First(scram) => answer(frame).and_then(|(bytes, _)| {
                let (message, verifier) = scram.answer(&bytes)?;
                self.step = Step::Proof(verifier);
                Ok(Said::Message(message.into()))
            }),
            Step::Proof(verifier) => answer(frame).and_then(|(bytes, lifetime)| {
                verifier.verify(&bytes)?;
                Ok(Said::Done(lifetime))
            }),
        };
        result.map_err(|error| {
            error.with("sasl.mechanism", self.mechanism.name()).with("user", &self.user)
        })
    }

    /// The broker knows the mechanism, or not.
    fn shaken(&mut self, frame: Bytes, password: &str) -> Result<Said> {
        let answer = Answer { version: HANDSHAKE.max, bytes: frame };
        let response = answer.decode::<SaslHandshakeRequest>()?;
        match response.error_code {
            0 => {}
            UNSUPPORTED_MECHANISM => {
                let known: Vec<_> = response.mechanisms.iter().map(|it| it.as_str()).collect();
                let text = "broker does not let users log in this way; set sasl.mechanism to one \
                            that it has";
                return Err(Error::invalid(text).with("has", known.join(",")));
            }
            ILLEGAL_STATE => {
                let text = "nobody logs in at this listener; name the address of another one, \
                            or set security.protocol to PLAINTEXT or SSL";
                return Err(Error::invalid(text));
            }
            code => return Err(crate::codes::error("log-in", code)),
        }
        let message = match self.mechanism {
            SaslMechanism::Plain => {
                self.step = Step::Plain;
                format!("\0{}\0{password}", self.user).into_bytes()
            }
            SaslMechanism::Scram(mechanism) => {
                let scram = Scram::new(mechanism, &self.user, password, &nonce()?);
                let message = scram.first_message();
                self.step = Step::First(scram);
                message
            }
        };
        Ok(Said::Message(message.into()))
    }
}

/// The body of a request that carries a message.
pub(crate) fn authenticate(message: Bytes, out: &mut BytesMut) -> Result<()> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message);
    encode(&request, AUTHENTICATE.max, out)
}

/// What a broker says to a message, and how long the log-in holds.
fn answer(frame: Bytes) -> Result<(Bytes, Option<Duration>)> {
    let answer = Answer { version: AUTHENTICATE.max, bytes: frame };
    let response = answer.decode::<SaslAuthenticateRequest>()?;
    match response.error_code {
        0 => {}
        REFUSED => {
            let says = response.error_message.map_or_else(String::new, |it| it.to_string());
            let text = "broker refuses the user or the password; check both";
            return Err(Error::invalid(text).with("broker_says", says));
        }
        code => return Err(crate::codes::error("log-in", code)),
    }
    let lifetime = u64::try_from(response.session_lifetime_ms).unwrap_or(0);
    let lifetime = (lifetime > 0).then(|| Duration::from_millis(lifetime));
    Ok((response.auth_bytes, lifetime))
}
