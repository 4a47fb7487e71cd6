//! How results are written, so that windows and removals can be told apart when read.

use super::case::Row;
use suiro::{Encoded, Error, Format, InWindow, Received, Result};

/// The format of output values: plain text, or text behind its window.
pub struct Shown;

/// A value as it is read back.
pub struct Seen {
    value: Option<String>,
    window: Option<(i64, i64)>,
}

// A value in a window begins with a character that no plain value of a case begins with.
const WINDOWED: u8 = 1;

impl Format<String> for Shown {
    fn name(&self) -> &'static str {
        "shown"
    }

    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(value.as_bytes());
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<String> {
        text(bytes)
    }
}

impl Format<Option<String>> for Shown {
    fn name(&self) -> &'static str {
        "shown"
    }

    fn encode(&self, value: &Option<String>, out: &mut Vec<u8>) -> Result<Encoded> {
        match value {
            Some(value) => self.encode(value, out),
            None => Ok(Encoded::Null),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<String>> {
        text(bytes).map(Some)
    }

    fn decode_null(&self) -> Option<Option<String>> {
        Some(None)
    }
}

impl Format<InWindow<Option<String>>> for Shown {
    fn name(&self) -> &'static str {
        "shown"
    }

    fn encode(&self, value: &InWindow<Option<String>>, out: &mut Vec<u8>) -> Result<Encoded> {
        let all = (value.start.as_millis(), value.end.as_millis(), &value.value);
        out.push(WINDOWED);
        serde_json::to_writer(out, &all)
            .map_err(|error| Error::invalid("cannot write").caused_by(error))?;
        Ok(Encoded::Bytes)
    }

    fn decode(&self, _: &[u8]) -> Result<InWindow<Option<String>>> {
        Err(Error::invalid("results are read as what was seen"))
    }
}

impl Format<Seen> for Shown {
    fn name(&self) -> &'static str {
        "shown"
    }

    fn encode(&self, _: &Seen, _: &mut Vec<u8>) -> Result<Encoded> {
        Err(Error::invalid("what was seen is not written"))
    }

    fn decode(&self, bytes: &[u8]) -> Result<Seen> {
        match bytes.split_first() {
            Some((&WINDOWED, rest)) => {
                let (start, end, value) = serde_json::from_slice(rest)
                    .map_err(|error| Error::invalid("cannot read").caused_by(error))?;
                Ok(Seen { value, window: Some((start, end)) })
            }
            _ => Ok(Seen { value: Some(text(bytes)?), window: None }),
        }
    }

    fn decode_null(&self) -> Option<Seen> {
        Some(Seen { value: None, window: None })
    }
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec())
        .map_err(|error| Error::invalid("not utf-8").caused_by(error))
}

/// A record that was read from `topic`, as cases write it.
pub fn row(topic: &str, received: Received<String, Seen>) -> Row {
    let Received { key, value, at, headers, .. } = received;
    let (value, window) = value.map_or((None, None), |seen| (seen.value, seen.window));
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let header = |header: &suiro::Header| {
        (header.key.clone(), header.value.as_deref().map_or_else(String::new, shown))
    };
    Row {
        topic: topic.to_owned(),
        key: Some(key),
        value,
        at: at.as_millis(),
        window,
        headers: headers.iter().map(header).collect(),
    }
}
