//! A simulated Kafka: the real client's state machines against brokers in memory, with faults,
//! and an auditor that looks into the brokers.
//!
//! | room | what it holds |
//! |---|---|
//! | `case`, `fault` | everything that a seed decides, and what can go wrong |
//! | `world`, `wires` | time; connections that break, and whose frames come late |
//! | `serve`, `codes` | from frames to requests and back |
//! | `cluster`, `log` | brokers and leaders; batches, their producers, what became of them |
//! | `coordinators` | who coordinates what |
//! | `metadata`, `topics`, `configs`, `records` | what brokers say and do at once |
//! | `produce`, `fetch`, `fetch_session`, `list_offsets` | records in and out |
//! | `init`, `transaction`, `ending` | producers and their transactions |
//! | `group`, `join`, `sync`, `offsets` | groups, generations, positions |
//! | `worker`, `feeder`, `reader`, `foreign` | who reads and writes |
//! | `ledger`, `audit` | what was said of each commit, and what there is |
//! | `life`, `sweep`, `counts` | one seed, and many |

mod audit;
pub mod case;
mod cluster;
mod codes;
mod configs;
mod coordinators;
pub mod counts;
mod ending;
pub mod fault;
mod feeder;
mod fetch;
mod fetch_session;
mod foreign;
mod group;
mod init;
mod join;
mod ledger;
mod life;
mod list_offsets;
mod log;
mod metadata;
mod offsets;
mod plain_offsets;
mod produce;
mod reader;
mod records;
mod serve;
pub mod sweep;
mod sync;
mod topics;
mod transaction;
mod wires;
mod worker;
mod world;

pub use life::{Report, run};
