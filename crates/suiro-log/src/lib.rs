//! The embedded durable log: topics with partitions in one directory, one journal, atomic
//! commits over many partitions, and a coordinator for the groups of one process.
//!
//! ```text
//! LOCK  CHECKPOINT  COMMITTED  journal/<number>.journal
//! topics/<topic>/<partition>/<base offset>.log  .index
//! ```
//!
//! A commit is one frame in the journal; one sync makes it durable. The same bytes then go to the
//! segments of their partitions, which are made durable before a checkpoint drops their part of the
//! journal.
//!
//! | room | what it holds |
//! |---|---|
//! | `log`, `options` | [`Log`]: open, shared, closed; [`LogOptions`] |
//! | `session`, `sessions`, `mailbox` | the conversation with one party; who was fenced |
//! | `core`, `commit`, `ledger` | the way of a commit: checked, recorded, made visible |
//! | `frame`, `journal`, `mark` | one commit as bytes; the file of all commits; how far it goes |
//! | `view`, `catalog`, `partition`, `segment`, `index` | what is committed, and where it lies |
//! | `recent`, `pread` | reading it from memory and from the segments |
//! | `checkpoint`, `recovery` | from the files to the last committed state |
//! | `keeper`, `retention`, `compaction`, `filter` | what moves the journal forward and deletes |
//! | `reader`, `follow` | reading a log that another process has open; [`LogReader`] |
//! | `group`, `assign` | members, generations, who runs which task |
//! | `writer` | the only threads |
//! | `disk` | [`Disk`]: real, in memory, faulty |
//! | `wire`, `walk` | numbers as bytes; batches by their headers |

mod assign;
mod catalog;
mod checkpoint;
mod commit;
mod compaction;
mod core;
mod disk;
mod filter;
mod follow;
mod frame;
mod group;
mod index;
mod journal;
mod keeper;
mod ledger;
mod log;
mod mailbox;
mod mark;
mod newest;
mod options;
mod partition;
mod pread;
mod reader;
mod recent;
mod recovery;
mod retention;
mod segment;
mod session;
mod sessions;
mod view;
mod walk;
mod wire;
mod writer;

pub use disk::{Disk, DiskFile, FaultyDisk, Locking, MemoryDisk, Mode, RealDisk};
pub use log::Log;
pub use options::{Durability, LogOptions};
pub use reader::LogReader;
