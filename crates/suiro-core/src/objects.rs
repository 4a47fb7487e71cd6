//! The contract with an object store: whole byte strings under names.

use crate::{Result, Timestamp};
use bytes::Bytes;

/// Objects under names: a directory, a bucket, a map in memory.
///
/// A name is made of parts with a `/` between them; a part has letters, digits, `.`, `_` and `-`.
///
/// # What every object store promises
///
/// * An object is there whole or not at all, whenever its writer dies. (A disk that loses power
///   may break this promise; readers check what they read.)
/// * After [`Objects::put`] or [`Objects::create`] has returned, everybody who reads or lists
///   sees the object.
/// * Of all who call [`Objects::create`] with one name, at most one is told that it did so.
pub trait Objects: Send + Sync {
    /// The bytes of an object; `None` if there is none of that name.
    fn get(&self, name: &str) -> Result<Option<Bytes>>;

    /// Writes an object; one of that name that was there is replaced, and counts as new.
    fn put(&self, name: &str, bytes: Bytes) -> Result<()>;

    /// Writes an object if there is none of that name, and gives whether it did. This is the
    /// compare-and-swap on which everything that changes is built.
    fn create(&self, name: &str, bytes: Bytes) -> Result<bool>;

    /// All objects whose names begin with `under` and a `/`, in order of their names.
    fn list(&self, under: &str) -> Result<Vec<ObjectInfo>>;

    /// Deletes an object. One that is not there is no error.
    fn delete(&self, name: &str) -> Result<()>;
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it was written last, by the clock of the object store.
    pub written: Timestamp,
}
