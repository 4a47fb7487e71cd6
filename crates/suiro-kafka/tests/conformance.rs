//! A real cluster keeps the contract of every broker.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::Broker;
use suiro_core::conformance::broker::{CHECKS, Subject};
use suiro_kafka::{Kafka, Settings};
use suiro_kafka_harness::{Kafka as Cluster, Options};

/// Runs all checks on a cluster, each with names of its own.
fn check(cluster: &Cluster) {
    let mut settings = Settings::new(cluster.bootstrap());
    settings.set("session.timeout.ms", "6000").unwrap();
    settings.set("heartbeat.interval.ms", "100").unwrap();
    for (name, check) in CHECKS {
        println!("{name}");
        let settings = settings.clone();
        let open = move || -> Arc<dyn Broker> { Arc::new(Kafka::new(settings.clone())) };
        check(Subject {
            prefix: cluster.unique(name) + "-",
            // Markers take offsets, too.
            gapless: false,
            patience: Duration::from_secs(30),
            ..Subject::new(open)
        });
    }
}

#[test]
fn a_cluster_keeps_the_contract() {
    if let Some(cluster) = Cluster::shared() {
        check(cluster);
    }
}

/// Partitions and groups are taken into a transaction by requests of their own there.
#[test]
fn so_it_does_with_transactions_of_the_first_version() {
    let options = Options::new().feature("transaction.version", 1);
    if let Some(cluster) = Cluster::own(&options) {
        check(&cluster);
    }
}

#[test]
fn so_does_the_oldest_that_is_supported() {
    if let Some(cluster) = Cluster::own(&Options::new().version("3.9.2")) {
        check(&cluster);
    }
}
