//! Suiro (水路, "waterway"): stateful, event-driven microservices as a library.
//!
//! Streams, tables, windows and joins inside your own service, exactly once, on an embedded
//! durable log. A program is written down on a [`Topology`], becomes a [`Plan`], and runs as an
//! [`App`] or, in a test, in a [`TestDriver`]:
//!
//! ```
//! use suiro::{TestDriver, Topic, Topology};
//!
//! const LINES: Topic<u64, String> = Topic::json("lines");
//! const COUNTS: Topic<String, u64> = Topic::json("word-counts");
//!
//! let topology = Topology::new("word-count");
//! topology
//!     .stream(&LINES)
//!     .flat_map(|line| line.split_whitespace().map(String::from).collect::<Vec<_>>())
//!     .key_by(|word| word.clone())
//!     .count("counts")
//!     .to(&COUNTS);
//!
//! let mut driver = TestDriver::new(topology.build()?)?;
//! driver.send(&LINES, 1, "to be or not to be".into(), 0)?;
//! let last = driver.read_last(&COUNTS)?;
//! assert_eq!(last["to"], 2);
//! # Ok::<(), suiro::Error>(())
//! ```
//!
//! | you want to | use |
//! |---|---|
//! | name a topic and its types | [`Topic`], [`Format`] |
//! | write a program | [`Topology`], [`Stream`], [`Table`] |
//! | close windows when nothing comes | [`Topology::idle_after`] |
//! | group by time | [`Tumbling`], [`Hopping`], [`Sliding`], [`Sessions`], [`CountWindows`], [`InWindow`] |
//! | join streams by time | [`Stream::join_within`], [`Within`] |
//! | find what follows, or does not | [`Stream::pattern`], [`Match`], [`Found`] |
//! | look up what was valid at a time | [`Topology::versioned_table`], [`Stream::join_as_of`] |
//! | count different values or ask for quantiles, nearly | `Stream::approximate_distinct`, `Stream::approximate_quantiles` (feature `sketches`) |
//! | write what no operator does | [`Stream::process`], [`Processor`] |
//! | run it | [`App`], [`Running`], [`Log`] |
//! | test it | [`TestDriver`] |
//! | write and read beside it | [`Producer`], [`Transaction`], [`Reader`] |
//! | look at live state | [`Running::query`] |
//! | let an app begin anew | [`App::reset`], [`Reset`] |
//! | start fast with much state | [`Snapshots`] |
//! | look at what failed, and send it again | [`Policy::DeadLetter`], [`DeadLetters`] |

mod app;
#[cfg(feature = "disk")]
mod budget;
mod calls;
mod data;
mod draft;
mod ended;
mod expire;
mod format;
mod found;
mod gap;
mod generate;
#[doc(hidden)]
pub mod inspect;
mod key_order;
mod late;
mod letters;
mod operators;
mod policy;
mod process;
mod producer;
mod query;
mod reader;
mod reset;
mod row;
mod running;
mod show;
#[cfg(feature = "sketches")]
pub mod sketches;
mod snapshots;
mod source;
mod state;
mod step;
mod stream;
mod table;
mod testing;
#[cfg(feature = "tokio")]
mod tokio_executor;
mod topic;
mod topology;
mod transaction;
mod ttl;
mod window;

pub use app::App;
pub use calls::Calls;
pub use data::{Data, IntoRow, Key, NoKey, SameKey};
pub use ended::Ended;
pub use format::{Encoded, Format, Integer, Json, JsonKey, Raw, Text, Unkeyed};
pub use found::{Found, Match};
pub use letters::{DeadLetter, DeadLetters, LetterOrigin};
pub use policy::Policy;
pub use process::{Outcome, OutputOf, Process, Processor, StoreOf, TableOf, Turn};
pub use producer::Producer;
pub use query::Query;
pub use reader::{Reader, Received, ToEnd};
pub use reset::Reset;
pub use row::Record;
pub use running::{AppState, Running};
#[cfg(feature = "sketches")]
pub use sketches::Quantiles;
pub use snapshots::Snapshots;
pub use stream::{Cogroup, Emit, Pattern, Stream, TimedPattern};
pub use table::{GlobalTable, GroupedTable, Table, VersionedTable};
pub use testing::{TestDriver, TestOptions};
#[cfg(feature = "tokio")]
pub use tokio_executor::TokioExecutor;
pub use topic::Topic;
pub use topology::{Start, Topology};
pub use transaction::Transaction;
pub use window::{
    CountTable, CountWindows, DynamicSessions, Hopping, InWindow, SessionTable, Sessions,
    Sliding, Tumbling, WindowTable, Windowed, WindowedCogroup, Within,
};

pub use suiro_core::broker::{Broker, Cleanup, Guarantee, Role, TaskId, TopicSpec};
pub use suiro_core::objects::{ObjectInfo, Objects};
pub use suiro_core::store;
pub use suiro_core::{
    Clock, Error, ErrorKind, Header, Headers, Offset, Result, Seed, SystemClock, Timestamp,
    TopicPartition,
};
pub use suiro_engine::{
    CopyMetrics, ExchangeKind, Executor, Metrics, Plan, PlanDiff, Restoring, SnapshotReport,
    TaskMetrics, Traffic, Work,
};
#[cfg(feature = "kafka")]
pub use suiro_kafka::{
    Kafka, PeerListener as KafkaPeerListener, Protocol as KafkaProtocol,
    SaslMechanism as KafkaSaslMechanism, Secret as KafkaSecret, Security as KafkaSecurity,
    Settings as KafkaSettings,
};
pub use suiro_log::{Durability, Log, LogOptions};
#[cfg(feature = "disk")]
pub use suiro_store::DiskStores;
pub use suiro_store::{MemoryObjects, MemoryStores};

pub use bytes::Bytes;
