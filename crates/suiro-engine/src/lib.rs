//! The engine of Suiro: it runs a plan exactly once and knows no user types.
//!
//! A [`Plan`] is cut into sub-topologies; a [`Task`] is a sub-topology times a partition, a
//! pure state machine. A [`Scope`] holds all tasks that commit together and moves them in
//! rounds; a [`Worker`] gives it threads. Everything outside is behind the contracts of
//! `suiro-core`.
//!
//! | room | what it holds |
//! |---|---|
//! | `graph`, `plan`, `describe`, `diff` | a program as data, and how it is cut |
//! | `rows`, `operator`, `source`, `stores`, `outbox` | what the library implements and uses |
//! | `input`, `task`, `exchange` | taking turns, and passing rows on |
//! | `silence`, `speech` | time that goes on while nothing comes, and steps that speak by the clock |
//! | `alone`, `letters` | finding the record that fails, and writing its letter |
//! | `scope`, `pacing`, `commit`, `recover`, `restore`, `ends`, `forms`, `reset` | rounds, the one commit, and the way back |
//! | `below` | stores below the working sets |
//! | `snapshots`, `load` | copies of stores, taken beside the run, and loaded at a start |
//! | `crew`, `worker`, `snapshot_thread` | jobs, and the only files with threads |
//! | `link`, `layout`, `internal`, `settings`, `metrics`, `progress` | the broker, the partition counts, the own topics, the knobs, the dials |

mod alone;
mod below;
mod cadence;
mod commit;
mod copies;
mod crew;
mod describe;
mod diff;
mod ends;
mod exchange;
mod flight;
mod forms;
mod globals;
mod graph;
mod input;
mod internal;
mod layout;
mod letters;
mod link;
mod load;
mod lowered;
mod metrics;
mod operator;
mod outbox;
mod outside;
mod pacing;
mod plan;
mod progress;
mod recover;
mod replay;
mod reset;
mod restore;
mod rows;
mod scope;
mod settings;
mod silence;
mod snapshot_thread;
mod snapshots;
mod source;
mod speech;
mod stores;
mod task;
mod worker;

pub use below::{Lowering, Porter, Shelf};
pub use copies::CopyMetrics;
pub use crew::{Alone, Crew, Job};
pub use diff::PlanDiff;
pub use exchange::{ExchangeCodec, ExchangeKind, Mark, Sends};
pub use forms::{Form, Migration, Turn};
pub use globals::{Global, GlobalSpec, Globals, MakeGlobal};
pub use graph::{
    Edge, ExchangeSpec, GeneratorSpec, Graph, MakeGenerator, MakeOperator, MakeState, Node,
    NodeKind, SourceSpec, StoreSpec, TaskInfo,
};
pub use letters::{Letter, RawRecord, Refused, Show, Shown, letter_header};
pub use lowered::{lifted, lowered};
pub use metrics::{Metrics, TaskMetrics, Traffic};
pub use operator::{Context, Counters, Emitted, Failure, Gate, Operator};
pub use outbox::{Outbox, Outgoing, TopicName};
pub use outside::{Asks, Executor, ExecutorHandle, Outside, Work};
pub use plan::Plan;
pub use progress::Restoring;
pub use reset::Reset;
pub use rows::{BoxRows, CloneRows, RowQueue, Rows};
pub use scope::{Round, Scope};
pub use settings::Settings;
pub use snapshots::{SnapshotReport, SnapshotSettings, Snapshots};
pub use source::{Decode, Decoded, Generate};
pub use stores::{Changes, Loader, Restored, Standing, State, Stores};
pub use suiro_store::snapshot::Tuning;
pub use task::Task;
pub use worker::{Running, Worker, crew_of};
