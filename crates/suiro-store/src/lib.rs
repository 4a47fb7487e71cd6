//! The stores of Suiro: where the committed rows of a task live.
//!
//! Every store passes [`suiro_core::conformance::store`].
//!
//! | room | what it holds |
//! |---|---|
//! | [`memory`] | rows in memory; the changelog is their durability |
//!
//! A store on disk and snapshots in an object store will be rooms of this crate.

pub mod memory;

pub use memory::{MemoryStore, MemoryStores};
