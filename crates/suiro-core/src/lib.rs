//! The ground floor of Suiro: the words that every other crate speaks, the contracts between
//! the engine and the world, and the codec for Kafka v2 record batches.
//!
//! Nothing here does I/O, starts a thread or knows a runtime.
//!
//! | room | what it holds |
//! |---|---|
//! | [`error`] | [`Error`] and [`ErrorKind`]: what went wrong, and what to do about it |
//! | [`time`] | [`Timestamp`] and [`Clock`]: the only way to know the time |
//! | [`random`] | [`Seed`]: the only way to be random |
//! | [`record`] | [`Headers`], [`TopicPartition`], [`Offset`] |
//! | [`partition`] | which partition a key belongs to |
//! | [`batch`] | reading and writing v2 record batches |
//! | [`broker`] | the contract with a log: submit and poll |
//! | [`store`] | the contract with a key-value store that knows its position |
//! | [`objects`] | the contract with an object store, where snapshots lie |
//! | [`conformance`] | the suites that every broker, store and object store passes |

pub mod batch;
pub mod broker;
pub mod conformance;
pub mod error;
pub mod objects;
pub mod partition;
pub mod random;
pub mod record;
pub mod store;
pub mod time;

pub use error::{Error, ErrorKind, Result};
pub use random::Seed;
pub use record::{Header, Headers, Offset, TopicPartition};
pub use time::{Clock, SystemClock, Timestamp};
