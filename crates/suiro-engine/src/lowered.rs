//! Rows as they are in a store below.

use bytes::Bytes;
use suiro_core::{Header, Headers, Timestamp};

/// The value of a row as it is in a store below: its time, its headers, and then its bytes.
///
/// ```
/// use suiro_core::{Headers, Timestamp};
/// use suiro_engine::{lifted, lowered};
///
/// let value = lowered(Timestamp::from_millis(7), &Headers::NONE, b"ann");
/// assert_eq!(lifted(&value), Some((Timestamp::from_millis(7), Headers::NONE, &b"ann"[..])));
/// ```
pub fn lowered(at: Timestamp, headers: &Headers, value: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(9 + value.len());
    bytes.extend_from_slice(&at.as_millis().to_be_bytes());
    // Most rows have no headers, and a row has no room to waste.
    match u8::try_from(headers.len()) {
        Ok(count) if count < MANY => bytes.push(count),
        _ => {
            bytes.push(MANY);
            put_length(headers.len(), &mut bytes);
        }
    }
    for header in headers.iter() {
        put(Some(header.key.as_bytes()), &mut bytes);
        put(header.value.as_deref(), &mut bytes);
    }
    bytes.extend_from_slice(value);
    bytes.into()
}

/// The time, the headers and the bytes of a row in a store below; see [`lowered`].
pub fn lifted(bytes: &[u8]) -> Option<(Timestamp, Headers, &[u8])> {
    let (at, mut rest) = bytes.split_first_chunk()?;
    let at = Timestamp::from_millis(i64::from_be_bytes(*at));
    let count = match take_byte(&mut rest)? {
        0 => return Some((at, Headers::NONE, rest)),
        MANY => take_length(&mut rest)?,
        count => usize::from(count),
    };
    let mut headers = Vec::new();
    for _ in 0..count {
        let key = String::from_utf8(take(&mut rest)??.to_vec()).ok()?;
        let value = take(&mut rest)?.map(Bytes::copy_from_slice);
        headers.push(Header { key, value });
    }
    Some((at, headers.into(), rest))
}

/// Stands for a number of headers that is written in full behind it.
const MANY: u8 = u8::MAX;

/// Stands for a header without a value, where a length would be.
const NULL: u32 = u32::MAX;

fn put(part: Option<&[u8]>, out: &mut Vec<u8>) {
    match part {
        Some(part) => {
            put_length(part.len(), out);
            out.extend_from_slice(part);
        }
        None => out.extend_from_slice(&NULL.to_be_bytes()),
    }
}

/// A record is far smaller than what does not fit.
fn put_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u32).to_be_bytes());
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

#[expect(clippy::option_option, reason = "what cannot be read, and a header without a value")]
fn take<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_length(bytes)?;
    if length == NULL as usize {
        return Some(None);
    }
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written(
            at in any::<i64>(),
            headers in prop::collection::vec((".{0,4}", prop::option::of(".{0,4}")), 0..4),
            copies in prop_oneof![8 => Just(1_usize), 1 => Just(100)],
            value in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let many = headers.len() * copies;
            let headers = headers.into_iter().cycle().take(many).map(|(key, value)| {
                Header { key, value: value.map(|value| Bytes::from(value.into_bytes())) }
            });
            let headers: Headers = headers.collect::<Vec<_>>().into();
            let at = Timestamp::from_millis(at);
            let bytes = lowered(at, &headers, &value);
            prop_assert_eq!(lifted(&bytes), Some((at, headers, &value[..])));
        }

        #[test]
        fn what_is_no_row_is_told(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            drop(lifted(&bytes));
        }
    }
}
