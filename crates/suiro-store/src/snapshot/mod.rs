//! Snapshots: compacted copies of changelog partitions in an object store.
//!
//! A snapshot is made beside the engine, from what is committed in a changelog and nothing else.
//! So no task waits for one, and nothing uncommitted can get into one. It is a list of **runs**;
//! a run holds the last record of each key in a stretch of the changelog, in order of the keys,
//! as v2 record batches in files that never change and are named by their content. A **manifest**
//! says which runs make up the snapshot and up to which offset it goes. Manifests are numbered,
//! and the next number is taken by creating it: that is the compare-and-swap, and it works in a
//! directory and in a bucket alike. An object that no manifest names does not exist.
//!
//! ```text
//! <app>/<changelog>/<partition>/manifest/<number>
//! <app>/<changelog>/<partition>/run/<hash of the content>
//! ```
//!
//! A further snapshot adds a run of what has changed since the last. Runs are merged in tiers,
//! so that their sizes stay a geometric series; a tombstone goes when there is nothing below it.
//!
//! | room | what it holds |
//! |---|---|
//! | `changelog` | [`Changelog`]: what a snapshot needs of a log |
//! | `place` | [`Place`], [`Tuning`]: where the snapshots of an app lie, and how they are made |
//! | `manifest` | [`Manifest`], [`Run`], [`RunFile`] |
//! | `run` | writing and reading runs |
//! | `merge` | many runs to one |
//! | `tail` | what has changed since the last snapshot, by key |
//! | `snapshotter` | [`Snapshotter`]: the one step that makes a snapshot |
//! | `sweep` | what is not needed any more goes |
//! | `find` | [`find`]: the snapshots that a store may be restored from |

mod changelog;
mod find;
mod manifest;
mod merge;
mod place;
mod run;
mod snapshotter;
mod sweep;
mod tail;

pub use changelog::Changelog;
pub use find::{Found, find};
pub use manifest::{Manifest, Run, RunFile};
pub use place::{Place, Tuning};
pub use run::open_file;
pub use snapshotter::{Pause, Snapshotter, Step, Taken};
