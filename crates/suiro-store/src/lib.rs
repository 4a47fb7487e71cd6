//! The stores of Suiro: where the committed rows of a task live.
//!
//! Every store passes [`suiro_core::conformance::store`].
//!
//! | room | what it holds |
//! |---|---|
//! | [`memory`] | rows in memory; the changelog is their durability |
//! | `disk` (feature `disk`) | rows on a disk, with caches of a stated size |
//! | [`snapshot`] | compacted copies of changelogs in an object store |
//! | `memory_objects` | an object store in memory |
//! | `object_storage` | directories and buckets, through the crate `object_store` |

#[cfg(feature = "disk")]
pub mod disk;
pub mod memory;
mod memory_objects;
#[cfg(feature = "directory")]
mod object_storage;
pub mod snapshot;

#[cfg(feature = "disk")]
pub use disk::DiskStores;
pub use memory::{MemoryStore, MemoryStores};
pub use memory_objects::MemoryObjects;
#[cfg(feature = "directory")]
pub use object_storage::ObjectStorage;
