//! SCRAM as a client of Kafka speaks it (RFC 5802, RFC 7677): bytes in, bytes out.
//!
//! Two round trips prove to the broker that the client knows the password, and to the client that the
//! broker does; the password itself is never sent. There is no I/O here and no chance: the caller carries
//! the messages, in `SaslAuthenticate`, and gives the nonce.
//!
//! ```
//! use suiro_kafka::scram::{Mechanism, Scram};
//!
//! # fn ask(_: &[u8]) -> Vec<u8> {
//! #     let nonce = "cm9zZXMgYXJlIHJlZCwgdmlvbGV0cyAuLi4=";
//! #     format!("r={nonce}fromTheBroker,s=c2FsdA==,i=4096").into_bytes()
//! # }
//! # fn main() -> suiro_core::Result<()> {
//! let nonce = b"roses are red, violets ...";
//! let scram = Scram::new(Mechanism::Sha256, "alice", "secret", nonce);
//! let answer = ask(&scram.first_message());
//! let (message, verifier) = scram.answer(&answer)?;
//! assert!(message.starts_with(b"c=biws,r="));
//! // Whatever the broker says to that, it must prove that it knows the password too.
//! assert!(verifier.verify(b"v=c29tZXRoaW5n").is_err());
//! # Ok(())
//! # }
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest, Sha256, Sha512};
use suiro_core::{Error, Result};

/// No channel binding, no other identity: the header of the first message, and its base64.
const HEADER: &str = "n,,";
const HEADER_BASE64: &str = "biws";

/// Fewer rounds than RFC 7677 allows would make a stolen exchange cheap to crack.
const MIN_ITERATIONS: u32 = 4_096;
/// Kafka stores no more than 16,384; a broker that asks for billions wants to keep us busy.
const MAX_ITERATIONS: u32 = 1_000_000;

/// The hash that client and broker use.
///
/// ```
/// use suiro_kafka::scram::Mechanism;
///
/// assert_eq!(Mechanism::from_name("SCRAM-SHA-512"), Some(Mechanism::Sha512));
/// assert_eq!(Mechanism::Sha256.name(), "SCRAM-SHA-256");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// `SCRAM-SHA-256`.
    Sha256,
    /// `SCRAM-SHA-512`.
    Sha512,
}

impl Mechanism {
    /// The name in `SaslHandshake` and in the setting `sasl.mechanism`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// An exchange of which nothing has been answered yet.
pub struct Scram {
    mechanism: Mechanism,
    password: String,
    nonce: String,
    /// The first message without its header.
    first: String,
}

impl Scram {
    /// Begins an exchange. The nonce is at least 18 random bytes, never used before. User and password
    /// are taken as they are, since Kafka prepares neither (RFC 4013 would); Kafka knows only users in
    /// ASCII by SCRAM, and passwords in any letters.
    pub fn new(mechanism: Mechanism, user: &str, password: &str, nonce: &[u8]) -> Self {
        let nonce = STANDARD.encode(nonce);
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first = format!("n={user},r={nonce}");
        Self { mechanism, password: password.to_owned(), nonce, first }
    }

    /// The first message of the client.
    pub fn first_message(&self) -> Vec<u8> {
        format!("{HEADER}{}", self.first).into_bytes()
    }

    /// Takes the broker's answer to the first message; gives the last message of the client, and what
    /// the broker's answer to that is held against.
    ///
    /// # Errors
    ///
    /// [`Invalid`](suiro_core::ErrorKind::Invalid) if the answer is none of SCRAM, is not to this
    /// exchange, or asks for too few rounds of hashing or far too many.
    pub fn answer(self, answer: &[u8]) -> Result<(Vec<u8>, Verifier)> {
        let answer = text(answer)?;
        let mut attributes = answer.split(',');
        let nonce = attribute(attributes.next(), "r=")?;
        let salt = attribute(attributes.next(), "s=")?;
        let iterations = attribute(attributes.next(), "i=")?;

        // Without a part of the broker's own, the exchange could be an old one played again.
        if nonce.strip_prefix(&self.nonce).is_none_or(str::is_empty) {
            return Err(Error::invalid(
                "broker answers another exchange; it may be an impostor",
            ));
        }
        let salt = STANDARD.decode(salt).map_err(|e| malformed("salt").caused_by(e))?;
        let digits = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = iterations.parse().ok().filter(|_| digits);
        let iterations: u32 = iterations.ok_or_else(|| malformed("iterations"))?;
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            let message = "broker hashes this password too few times, or too many; set it anew";
            return Err(Error::invalid(message)
                .with("iterations", iterations)
                .with("least", MIN_ITERATIONS)
                .with("most", MAX_ITERATIONS));
        }

        let last = format!("c={HEADER_BASE64},r={nonce}");
        let exchange = format!("{},{answer},{last}", self.first);
        let prove = match self.mechanism {
            Mechanism::Sha256 => prove::<Sha256>,
            Mechanism::Sha512 => prove::<Sha512>,
        };
        let (proof, signature) =
            prove(self.password.as_bytes(), &salt, iterations, exchange.as_bytes());
        let message = format!("{last},p={}", STANDARD.encode(proof)).into_bytes();
        Ok((message, Verifier { signature }))
    }
}

/// What the broker must answer in the end, if it knows the password.
pub struct Verifier {
    signature: Vec<u8>,
}

impl Verifier {
    /// Takes the broker's last message. An exchange is over, and good, only when this says so.
    ///
    /// # Errors
    ///
    /// [`Invalid`](suiro_core::ErrorKind::Invalid) if the broker refuses user or password, or does not
    /// prove that it knows the password.
    pub fn verify(self, answer: &[u8]) -> Result<()> {
        let answer = text(answer)?;
        let first = answer.split(',').next();
        if let Ok(reason) = attribute(first, "e=") {
            let message = "broker refuses the user or the password; check both";
            return Err(Error::invalid(message).with("reason", reason));
        }
        let signature = STANDARD.decode(attribute(first, "v=")?);
        let signature = signature.map_err(|e| malformed("signature").caused_by(e))?;
        // The signature is for this exchange alone, so how long this takes gives nothing away.
        if signature == self.signature {
            Ok(())
        } else {
            Err(Error::invalid("broker does not know the password; it may be an impostor"))
        }
    }
}

/// The client's proof and the broker's signature of an exchange.
fn prove<H: Digest + EagerHash>(
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    exchange: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let mut salted = vec![0; <H as Digest>::output_size()];
    pbkdf2_hmac::<H>(password, salt, iterations, &mut salted);
    let mut proof = mac::<H>(&salted, b"Client Key");
    let signature = mac::<H>(&H::digest(&proof), exchange);
    proof.iter_mut().zip(signature).for_each(|(key, byte)| *key ^= byte);
    let server_key = mac::<H>(&salted, b"Server Key");
    (proof, mac::<H>(&server_key, exchange))
}

fn mac<H: EagerHash>(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<H>::new_from_slice(key).expect("a key of HMAC has any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn text(message: &[u8]) -> Result<&str> {
    std::str::from_utf8(message).map_err(|e| malformed("message").caused_by(e))
}

/// The value of an attribute that stands where it must.
fn attribute<'a>(attribute: Option<&'a str>, name: &str) -> Result<&'a str> {
    let value = attribute.and_then(|it| it.strip_prefix(name));
    value.ok_or_else(|| malformed(name.trim_end_matches('=')))
}

fn malformed(part: &str) -> Error {
    let message = "answer is not one of scram; check that the address is that of a broker";
    Error::invalid(message).with("part", part)
}
