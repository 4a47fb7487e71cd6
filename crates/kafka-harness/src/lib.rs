//! Apache Kafka for tests: one broker or three on this machine, ended with the test.
//!
//! It is `tools/kafka` as a type. A machine without Java leaves the tests on Kafka out, and says so
//! on stderr; the variable `SUIRO_KAFKA` says otherwise:
//!
//! | value | what tests on Kafka do |
//! |---|---|
//! | not set | run if Kafka can be started here, and are left out if not |
//! | `required` | run, and fail if Kafka cannot be started here |
//! | `off` | are left out |
//! | `HOST:PORT[,..]` | those on [`Kafka::shared`] run against that cluster |
//!
//! ```
//! use suiro_kafka_harness::Kafka;
//!
//! let Some(kafka) = Kafka::shared() else { return };
//! let lines = kafka.unique("lines");
//! kafka.tool("kafka-topics", &["--create", "--topic", &lines], "").expect("a topic is made");
//! assert!(kafka.bootstrap().contains(':'));
//! ```

mod available;
mod kafka;
mod options;
mod scratch;
mod script;

pub use available::available;
pub use kafka::Kafka;
pub use options::Options;
