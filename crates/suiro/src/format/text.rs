//! Plain UTF-8.

use super::{Encoded, Format};
use suiro_core::{Error, Result};

/// Plain UTF-8, for strings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

impl Format<String> for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(value.as_bytes());
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<String> {
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(|error| Error::invalid("not utf-8").caused_by(error))
    }
}
