//! Listeners that know their clients, and errors that say what to do where one is not let in.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use suiro_core::broker::Broker;
use suiro_core::conformance::broker::{CHECKS, Subject};
use suiro_core::{Error, ErrorKind};
use suiro_kafka::{Kafka, Settings};
use suiro_kafka_harness::{Kafka as Cluster, Options};

/// One cluster for all tests. Log-ins hold for two seconds, so that each test outlives some.
fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let options = Options::new()
        .security()
        .set("connections.max.reauth.ms", "2000")
        .set("listener.name.sasl_ssl.sasl.enabled.mechanisms", "SCRAM-SHA-512");
    CLUSTER.get_or_init(|| Cluster::own(&options)).as_ref()
}

/// Settings of a client at `address`, which is a listener's name or an address.
fn settings(address: &str, pairs: &[(&str, &str)]) -> Settings {
    let cluster = cluster().unwrap();
    let mut settings = Settings::new(cluster.fact(address).unwrap_or(address));
    for (name, value) in pairs {
        // Listeners are named like their protocols.
        let fact = cluster.fact(value).filter(|_| *name != "security.protocol");
        settings.set(name, fact.unwrap_or(value)).unwrap();
    }
    settings
}

/// A client at a listener that wants users, as alice, by a mechanism.
fn alice(listener: &str, mechanism: &str, more: &[(&str, &str)]) -> Settings {
    let pairs = [
        ("security.protocol", listener),
        ("sasl.mechanism", mechanism),
        ("sasl.username", "user"),
        ("sasl.password", "password"),
    ];
    settings(listener, &[&pairs[..], more].concat())
}

/// Runs the checks of a name, or all of them.
fn check(settings: &Settings, only: Option<&str>) {
    let cluster = cluster().unwrap();
    let mut settings = settings.clone();
    settings.set("session.timeout.ms", "6000").unwrap();
    settings.set("heartbeat.interval.ms", "100").unwrap();
    for (name, check) in CHECKS.iter().filter(|(name, _)| only.is_none_or(|it| it == *name)) {
        let settings = settings.clone();
        let open = move || -> Arc<dyn Broker> { Arc::new(Kafka::new(settings.clone())) };
        check(Subject {
            prefix: cluster.unique(name) + "-",
            gapless: false,
            patience: Duration::from_secs(30),
            ..Subject::new(open)
        });
    }
}

/// Opens a session, which must fail, and soon, with this kind of error and a word in its text.
fn refused(settings: &Settings, kind: ErrorKind, part: &str) -> Error {
    let begun = Instant::now();
    let opened = Kafka::new(settings.clone()).session("refused").map(drop);
    let error = opened.expect_err(part);
    let report = error.report();
    println!("{:?} after {:?}: {report}", error.kind(), begun.elapsed());
    assert_eq!(error.kind(), kind, "{report}");
    assert!(report.contains(part), "{part}: {report}");
    assert!(!report.contains("secret"), "{report}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{part}: took {:?}", begun.elapsed());
    error
}

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

#[test]
fn users_log_in_by_every_mechanism() {
    if cluster().is_none() {
        return;
    }
    for mechanism in MECHANISMS {
        check(&alice("sasl_plaintext", mechanism, &[]), Some("commit_is_atomic"));
    }
}

/// With log-ins that end meanwhile. With TLS the same is done on it.
#[cfg(not(feature = "tls"))]
#[test]
fn a_cluster_that_knows_its_users_keeps_the_contract() {
    if cluster().is_some() {
        check(&alice("sasl_plaintext", "SCRAM-SHA-256", &[]), None);
    }
}

#[test]
fn who_does_not_know_the_password_is_refused_at_once() {
    if cluster().is_none() {
        return;
    }
    for mechanism in MECHANISMS {
        for wrong in [("sasl.password", "other_password"), ("sasl.username", "nobody")] {
            let settings = alice("sasl_plaintext", mechanism, &[wrong]);
            let error = refused(&settings, ErrorKind::Invalid, "user or the password");
            assert!(error.report().contains(&format!("sasl.mechanism=`{mechanism}`")));
        }
    }
}

#[test]
fn a_listener_of_another_protocol_is_told() {
    let Some(cluster) = cluster() else { return };
    let user = alice("sasl_plaintext", "PLAIN", &[("bootstrap.servers", cluster.bootstrap())]);
    refused(&user, ErrorKind::Invalid, "nobody logs in at this listener");
    // Why it hangs up a broker tells nobody, so there is hope for a while.
    let soon = ("default.api.timeout.ms", "2000");
    let nobody = settings("sasl_plaintext", &[soon]);
    refused(&nobody, ErrorKind::Unavailable, "set security.protocol to SASL_SSL or SASL_PLAIN");
    let plain = settings("ssl", &[]);
    refused(&plain, ErrorKind::Invalid, "listener wants tls; set security.protocol to SSL");
}

#[test]
fn a_wrong_address_is_told() {
    if cluster().is_none() {
        return;
    }
    let soon = ("default.api.timeout.ms", "2000");
    refused(&settings("localhost:1", &[soon]), ErrorKind::Unavailable, "localhost:1");
    let unknown = settings("nobody.invalid:9092", &[soon]);
    refused(&unknown, ErrorKind::Unavailable, "broker=`nobody.invalid:9092`");
    refused(&settings("localhost", &[]), ErrorKind::Invalid, "host:port");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 16]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    refused(&settings(&address, &[]), ErrorKind::Invalid, "no kafka broker");
    // One that is right is enough.
    let both = format!("{address},{}", cluster().unwrap().bootstrap());
    Kafka::new(settings(&both, &[])).session("found").map(drop).unwrap();
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_tls_nobody_believes_in_it() {
    if cluster().is_some() {
        let settings = settings("ssl", &[("security.protocol", "SSL")]);
        refused(&settings, ErrorKind::Invalid, "feature `tls`");
    }
}

#[cfg(feature = "tls")]
mod tls {
    use super::{Cluster, alice, check, cluster, refused, settings};
    use std::fs;
    use std::time::Duration;
    use suiro_core::batch::{BatchWriter, Compression, batches};
    use suiro_core::broker::{Broker, Cleanup, Event, Fetch, Outcome, Session, TopicSpec};
    use suiro_core::{ErrorKind, Headers, Timestamp, TopicPartition};
    use suiro_kafka::{Kafka, Settings};
    use suiro_kafka_harness::Options;

    const SSL: (&str, &str) = ("security.protocol", "ssl");
    const CA: (&str, &str) = ("ssl.truststore.location", "ca");

    fn ssl(more: &[(&str, &str)]) -> Settings {
        settings("ssl", &[&[SSL, CA][..], more].concat())
    }

    fn read(cluster: &Cluster, fact: &str) -> String {
        fs::read_to_string(cluster.fact(fact).unwrap()).unwrap()
    }

    #[test]
    fn a_session_opens_in_every_way() {
        let Some(cluster) = cluster() else { return };
        let authority = read(cluster, "ca");
        let own = tempfile::NamedTempFile::new().unwrap();
        let chain = read(cluster, "client_certificate");
        let key = read(cluster, "client_key");
        fs::write(own.path(), format!("{key}{chain}")).unwrap();
        for settings in [
            ssl(&[]),
            settings("ssl", &[SSL, ("ssl.ca.location", "ca")]),
            settings("ssl", &[SSL, ("ssl.truststore.certificates", &authority)]),
            ssl(&[("ssl.keystore.location", own.path().to_str().unwrap())]),
            ssl(&[("ssl.keystore.certificate.chain", &chain), ("ssl.keystore.key", &key)]),
        ] {
            check(&settings, Some("commit_is_atomic"));
        }
    }

    /// What `tools/kafka` writes for other clients is read here too.
    #[test]
    fn properties_of_other_clients_are_understood() {
        let Some(cluster) = cluster() else { return };
        for name in ["properties_ssl", "properties_sasl_plaintext", "properties_sasl_ssl"] {
            let settings = Settings::from_properties(&read(cluster, name)).unwrap();
            check(&settings, Some("commit_is_atomic"));
        }
    }

    #[test]
    fn a_cluster_behind_tls_keeps_the_contract() {
        if cluster().is_some() {
            check(&alice("sasl_ssl", "SCRAM-SHA-512", &[CA]), None);
        }
    }

    #[test]
    fn whom_the_client_does_not_trust_it_refuses() {
        let Some(cluster) = cluster() else { return };
        let authority = "name the certificate of its authority in ssl.truststore.location";
        let stranger = ssl(&[("ssl.truststore.location", "other_ca")]);
        refused(&stranger, ErrorKind::Invalid, authority);
        // Nor does the system know this authority.
        refused(&settings("ssl", &[SSL]), ErrorKind::Invalid, authority);

        // The same address by a name that no certificate has.
        let port = cluster.fact("ssl").unwrap().rsplit_once(':').unwrap().1;
        let elsewhere = format!("0x7f000001:{port}");
        let elsewhere = ("bootstrap.servers", elsewhere.as_str());
        refused(&ssl(&[elsewhere]), ErrorKind::Invalid, "certificate is for another host");
        let any = ("ssl.endpoint.identification.algorithm", "");
        check(&ssl(&[elsewhere, any]), Some("commit_is_atomic"));
        let stranger = ("ssl.truststore.location", "other_ca");
        refused(&ssl(&[elsewhere, any, stranger]), ErrorKind::Invalid, authority);
    }

    #[test]
    fn whom_the_broker_does_not_trust_it_refuses() {
        let Some(cluster) = cluster() else { return };
        let chain = read(cluster, "other_ca");
        let key = cluster.fact("other_ca").unwrap().replace(".pem", ".key");
        let key = fs::read_to_string(key).unwrap();
        let own =
            [("ssl.keystore.certificate.chain", chain.as_str()), ("ssl.keystore.key", &key)];
        refused(&ssl(&own), ErrorKind::Invalid, "wants a certificate of the client");

        let wrong = alice("sasl_ssl", "PLAIN", &[CA]);
        refused(&wrong, ErrorKind::Invalid, "has=`SCRAM-SHA-512`");
        let wrong = alice("sasl_ssl", "SCRAM-SHA-512", &[CA, ("sasl.username", "nobody")]);
        refused(&wrong, ErrorKind::Invalid, "user or the password");
    }

    #[test]
    fn a_broker_may_ask_for_a_certificate() {
        let options = Options::new().security().set("ssl.client.auth", "required");
        let Some(cluster) = Cluster::own(&options) else { return };
        let mut settings = Settings::new(cluster.fact("ssl").unwrap());
        for (name, value) in [SSL, ("ssl.truststore.location", cluster.fact("ca").unwrap())] {
            settings.set(name, value).unwrap();
        }
        refused(&settings, ErrorKind::Invalid, "wants a certificate of the client");
        for (name, fact) in [
            ("ssl.keystore.certificate.chain", "client_certificate"),
            ("ssl.keystore.key", "client_key"),
        ] {
            settings.set(name, &read(&cluster, fact)).unwrap();
        }
        Kafka::new(settings).session("known").map(drop).unwrap();
    }

    #[test]
    fn a_listener_without_tls_is_told() {
        let Some(cluster) = cluster() else { return };
        let plain = ssl(&[("bootstrap.servers", cluster.bootstrap())]);
        refused(&plain, ErrorKind::Invalid, "listener speaks plain text");
        let address = ("bootstrap.servers", "sasl_plaintext");
        let plain = alice("sasl_ssl", "SCRAM-SHA-512", &[CA, address]);
        refused(&plain, ErrorKind::Invalid, "listener speaks plain text");
        let soon = ("default.api.timeout.ms", "2000");
        let nobody = ssl(&[("bootstrap.servers", "sasl_ssl"), soon]);
        refused(&nobody, ErrorKind::Unavailable, "set security.protocol to SASL_SSL");
    }

    #[test]
    fn files_that_are_of_no_use_are_named() {
        let Some(cluster) = cluster() else { return };
        let key = cluster.fact("client_key").unwrap();
        let chain = read(cluster, "client_certificate");
        let other = cluster.fact("other_ca").unwrap().replace(".pem", ".key");
        let other = fs::read_to_string(other).unwrap();
        for (pairs, part) in [
            (&[("ssl.truststore.location", "/no/such.pem")][..], "file=`/no/such.pem`"),
            (&[("ssl.truststore.location", key)], "no certificate in the form PEM"),
            (&[("ssl.keystore.location", "client_certificate")], "no key in the form PEM"),
            (
                &[("ssl.keystore.certificate.chain", "x")],
                "name=`ssl.keystore.certificate.chain`",
            ),
            (
                &[("ssl.keystore.certificate.chain", &chain), ("ssl.keystore.key", &other)],
                "not that of its certificate",
            ),
        ] {
            refused(&ssl(pairs), ErrorKind::Invalid, part);
        }
    }

    fn until<T>(session: &mut dyn Session, mut take: impl FnMut(Event) -> Option<T>) -> T {
        let mut events = Vec::new();
        for _ in 0..1000 {
            session.poll(&mut events);
            if let Some(found) = events.drain(..).find_map(&mut take) {
                return found;
            }
            session.wait(Duration::from_millis(100));
        }
        panic!("no answer");
    }

    /// More than any buffer on the way holds, so that both ways have to wait for each other.
    #[test]
    fn many_bytes_come_back_as_they_went() {
        let Some(cluster) = cluster() else { return };
        let kafka = Kafka::new(ssl(&[]));
        let mut session = kafka.session(&cluster.unique("many")).unwrap();
        let place = TopicPartition::new(cluster.unique("many"), 0);
        let spec =
            TopicSpec { name: place.topic.clone(), partitions: 1, cleanup: Cleanup::Keep };
        session.create(vec![spec]);
        let created = until(&mut *session, |event| match event {
            Event::Created(_, created) => Some(created),
            _ => None,
        });
        created.unwrap();

        let values: Vec<Vec<u8>> = (0..40_u32)
            .map(|batch| {
                (0..200_000_u32).flat_map(|n| (n ^ batch << 20).to_le_bytes()).collect()
            })
            .collect();
        let commit = session.begin();
        for value in &values {
            let mut writer = BatchWriter::new(Compression::None);
            writer.push(Timestamp::from_millis(0), None, Some(value), &Headers::NONE);
            session.append(commit, &place, writer.finish().unwrap());
        }
        session.commit(commit, None, Vec::new());
        let outcome = until(&mut *session, |event| match event {
            Event::Resolved(_, outcome) => Some(outcome),
            _ => None,
        });
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");

        let (mut read, mut next) = (Vec::<Vec<u8>>::new(), 0);
        while read.len() < values.len() {
            session.fetch(Fetch { partition: place.clone(), offset: next, max_bytes: 8 << 20 });
            let fetched = until(&mut *session, |event| match event {
                Event::Fetched(_, fetched) => Some(fetched.unwrap()),
                _ => None,
            });
            for batch in batches(fetched.batches) {
                let records = batch.unwrap();
                let records = records.records().unwrap();
                read.extend(records.iter().map(|it| it.unwrap().value.unwrap().to_vec()));
            }
            next = fetched.next;
        }
        assert!(read == values, "bytes have changed on the way");
    }
}
