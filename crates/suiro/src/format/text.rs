//! Plain UTF-8.

use super::{Encoded, Format};
use suiro_core::{Error, Result};

/// Plain UTF-8, for `String` and every other type that is made of a `&str` and gives one:
/// `Box<str>`, `Arc<str>`, or a small-string type that keeps short words without a heap. Bytes
/// that are no UTF-8 are an error.
///
/// ```
/// use suiro::{Format, Text};
///
/// let word: Box<str> = Text.decode(b"tea")?;
/// assert_eq!(&*word, "tea");
/// assert!(Format::<String>::decode(&Text, b"\xff").is_err());
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

impl<T: AsRef<str> + for<'a> From<&'a str>> Format<T> for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(value.as_ref().as_bytes());
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        let text = std::str::from_utf8(bytes);
        text.map(T::from).map_err(|error| Error::invalid("not utf-8").caused_by(error))
    }
}
