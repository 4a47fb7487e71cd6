//! How benches write the row of a window: three integers of fixed width.

use crate::digest::Digest;
use crate::place::Place;
use suiro::{Encoded, Error, Format, InWindow, Result, Timestamp, Topic};

/// Start, end and sum, big end first.
pub struct Windows;

impl Format<InWindow<u64>> for Windows {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn encode(&self, window: &InWindow<u64>, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(&window.start.as_millis().to_be_bytes());
        out.extend_from_slice(&window.end.as_millis().to_be_bytes());
        out.extend_from_slice(&window.value.to_be_bytes());
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<InWindow<u64>> {
        let wrong = || Error::invalid("window has another width").with("bytes", bytes.len());
        let (start, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
        let (end, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
        let value = rest.try_into().map_err(|_| wrong())?;
        Ok(InWindow {
            start: Timestamp::from_millis(i64::from_be_bytes(*start)),
            end: Timestamp::from_millis(i64::from_be_bytes(*end)),
            value: u64::from_be_bytes(value),
        })
    }
}

/// The digest of all windows in a topic.
pub fn digest(place: &Place, topic: &Topic<u64, InWindow<u64>>) -> Result<Digest> {
    let mut digest = Digest::default();
    place.each(topic, |record| {
        if let Some(InWindow { start, end, value }) = record.value {
            let (start, end) = (start.as_millis() as u64, end.as_millis() as u64);
            digest.add(&[record.key, start, end, value]);
        }
    })?;
    Ok(digest)
}
