//! The stores of Suiro: where the committed rows of a task live.
//!
//! Every store passes [`suiro_core::conformance::store`].
//!
//! | room | what it holds |
//! |---|---|
//! | [`memory`] | rows in memory; the changelog is their durability |
//! | `disk` (feature `disk`) | rows on a disk, with caches of a stated size |

#[cfg(feature = "disk")]
pub mod disk;
pub mod memory;

#[cfg(feature = "disk")]
pub use disk::DiskStores;
pub use memory::{MemoryStore, MemoryStores};
