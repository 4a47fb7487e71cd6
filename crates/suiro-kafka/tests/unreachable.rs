//! Addresses at which there is no broker: told in the time that the settings give.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use suiro_core::ErrorKind;
use suiro_core::broker::Broker;
use suiro_kafka::{Kafka, Settings};

/// Why no session opens at `address`.
fn refused(address: &str, kind: ErrorKind, parts: &[&str]) {
    let mut settings = Settings::new(address);
    settings.set("default.api.timeout.ms", "700").unwrap();
    let opened = Kafka::new(settings).session("nobody").map(drop);
    let error = opened.expect_err(address);
    let report = error.report();
    assert_eq!(error.kind(), kind, "{report}");
    for part in parts.iter().chain(&[address]) {
        assert!(report.contains(part), "{part}: {report}");
    }
}

const AWAY: &str = "no broker answers; check that they run and can be reached";

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    refused(&format!("127.0.0.1:{port}"), ErrorKind::Unavailable, &[AWAY, "refused"]);
}

#[test]
fn no_host_has_the_name() {
    refused("nobody.invalid:9092", ErrorKind::Unavailable, &[AWAY]);
}

#[test]
fn who_listens_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    refused(&address, ErrorKind::Unavailable, &[AWAY]);
    // Of several, the one that is spoken of is the one that refuses.
    refused(&format!("{address},127.0.0.1:1"), ErrorKind::Unavailable, &[AWAY]);
}

#[test]
fn who_listens_is_no_broker() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 16]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    refused(&address, ErrorKind::Invalid, &["no kafka broker"]);
}
