//! Formats: how keys and values become bytes, and back.

mod binary;
mod integer;
mod json;
mod json_key;
mod raw;
mod schema;
mod state;
mod text;
mod unkeyed;

pub use integer::Integer;
pub use json::Json;
pub use json_key::JsonKey;
pub use raw::Raw;
pub use text::Text;
pub use unkeyed::Unkeyed;

pub(crate) use binary::Binary;
pub(crate) use schema::schema;
pub(crate) use state::{read_state, write_state};

use suiro_core::Result;

/// Turns values of one type into bytes, and back.
///
/// A topic names two of them, one for keys and one for values. Write your own for a format
/// that is not here, and give it to [`Topic::of`](crate::Topic::of).
///
/// ```
/// use suiro::{Format, Json};
///
/// let mut bytes = Vec::new();
/// Json.encode(&vec![1, 2], &mut bytes)?;
/// assert_eq!(bytes, b"[1,2]");
/// let back: Vec<u8> = Json.decode(&bytes)?;
/// assert_eq!(back, [1, 2]);
/// # Ok::<(), suiro::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no format of `{T}`",
    label = "this cannot write and read `{T}`",
    note = "`Json` takes whatever is `Data`, `Text` what is made of text, `Integer` whole numbers, \
            `Raw` bytes; for another format implement `Format<{T}>`"
)]
pub trait Format<T>: Send + Sync {
    /// What `describe` and errors call it. Two formats of one name must write equal bytes for
    /// equal keys.
    fn name(&self) -> &'static str;

    /// Appends the bytes of `value` to `out`. [`Encoded::Null`] says that the value has none: in
    /// a topic it is a null, which removes the key from a table.
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<Encoded>;

    /// The value of `bytes`. The error says what is wrong; topic, partition and offset are
    /// added by the caller.
    fn decode(&self, bytes: &[u8]) -> Result<T>;

    /// The value of a null, if the type has one (as `Option` has).
    ///
    /// ```
    /// use suiro::{Format, Json};
    ///
    /// assert_eq!(Format::<Option<u64>>::decode_null(&Json), Some(None));
    /// assert_eq!(Format::<u64>::decode_null(&Json), None);
    /// ```
    fn decode_null(&self) -> Option<T> {
        None
    }
}

/// Whether a value has bytes.
///
/// ```
/// use suiro::{Encoded, Format, Json};
///
/// let mut bytes = Vec::new();
/// assert_eq!(Json.encode(&None::<u64>, &mut bytes)?, Encoded::Null);
/// assert!(bytes.is_empty());
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// Its bytes were appended.
    Bytes,
    /// It is a null.
    Null,
}
