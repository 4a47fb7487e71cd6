//! SCRAM against a real broker, over the two requests that carry it, written by hand.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use suiro_kafka::scram::{Mechanism, Scram};
use suiro_kafka_harness::{Kafka, Options};

const NONCE: &[u8] = b"a test may know its nonce";

/// A connection on which somebody makes himself known.
struct Wire(TcpStream);

impl Wire {
    /// Sends a request with the header that version 1 of both has, and gives the body of the response.
    fn ask(&mut self, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        let header = [&api.to_be_bytes()[..], &version.to_be_bytes(), &[0; 4], &[0xff; 2]];
        let request = [&header.concat(), body].concat();
        let length = u32::try_from(request.len())?.to_be_bytes();
        self.0.write_all(&[&length[..], &request].concat())?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut response = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut response)?;
        Ok(response.split_off(4))
    }

    /// SaslAuthenticate: the broker's bytes, or its error.
    fn authenticate(&mut self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        let length = u32::try_from(message.len())?.to_be_bytes();
        let body = self.ask(36, 0, &[&length[..], message].concat())?;
        let (code, rest) = body.split_at(2);
        let (length, rest) = rest.split_at(2);
        // A length of -1 stands for no text.
        let length = i16::from_be_bytes(length.try_into()?).max(0);
        let (text, bytes) = rest.split_at(usize::try_from(length)?);
        match code {
            [0, 0] => Ok(bytes[4..].to_vec()),
            _ => Err(format!("{code:?} {}", String::from_utf8_lossy(text)).into()),
        }
    }
}

fn log_in(
    address: &str,
    mechanism: Mechanism,
    user: &str,
    password: &str,
) -> Result<(), Box<dyn Error>> {
    let mut wire = Wire(TcpStream::connect(address)?);
    let name = mechanism.name();
    let length = u16::try_from(name.len())?.to_be_bytes();
    let handshake = wire.ask(17, 1, &[&length[..], name.as_bytes()].concat())?;
    assert_eq!(handshake[..2], [0, 0], "the broker does not have {name}");
    let scram = Scram::new(mechanism, user, password, NONCE);
    let answer = wire.authenticate(&scram.first_message())?;
    let (message, verifier) = scram.answer(&answer)?;
    Ok(verifier.verify(&wire.authenticate(&message)?)?)
}

#[test]
fn a_real_broker_lets_in_who_knows_the_password() -> Result<(), Box<dyn Error>> {
    let Some(kafka) = Kafka::own(&Options::new().security()) else { return Ok(()) };
    let address = kafka.fact("sasl_plaintext").expect("an address");
    let secrets =
        ["SCRAM-SHA-256=[iterations=8192,password=pä=ss]", "SCRAM-SHA-512=[password=pä=ss]"];
    let change = ["--alter", "--entity-type", "users", "--entity-name", "a=b,c"];
    for secret in secrets {
        kafka.tool("kafka-configs", &[&change[..], &["--add-config", secret]].concat(), "")?;
    }
    for mechanism in [Mechanism::Sha256, Mechanism::Sha512] {
        log_in(address, mechanism, "alice", "alice-secret")?;
        // The broker hears of a new user a moment after the tool does; it answers a refusal slowly.
        let entered = (0..50).any(|_| log_in(address, mechanism, "a=b,c", "pä=ss").is_ok());
        assert!(entered, "a user with a strange name is not let in");
        for (user, password) in [("alice", "bob-secret"), ("nobody", "alice-secret")] {
            let refused = log_in(address, mechanism, user, password);
            let refused = refused.expect_err("who does not know the password is let in");
            assert!(refused.to_string().contains("Authentication failed"), "{refused}");
        }
    }
    Ok(())
}
