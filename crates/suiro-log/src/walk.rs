//! Walking over encoded batches by their headers, without a look at the records.

use bytes::Bytes;
use suiro_core::Offset;
use suiro_core::batch::{BatchHeader, HEADER_LEN, check_crc, set_base_offset};

/// What is at the front of some bytes.
pub(crate) enum Front {
    /// A whole batch.
    Whole(BatchHeader),
    /// The start of a batch of this many bytes.
    Part(usize),
    /// No batch.
    Damaged,
}

/// Looks at the batch at the front of `bytes`.
pub(crate) fn peek(bytes: &[u8]) -> Front {
    match BatchHeader::parse(bytes) {
        Ok(Some(batch)) => Front::Whole(batch),
        Ok(None) if bytes.len() < HEADER_LEN => Front::Part(HEADER_LEN),
        Ok(None) => {
            let length = bytes[8..12].try_into().expect("four bytes are four bytes");
            // The header was read as far as it goes, so the length is not negative.
            Front::Part(12 + i32::from_be_bytes(length).max(0) as usize)
        }
        Err(_) => Front::Damaged,
    }
}

/// One whole batch among others.
pub(crate) struct Whole<'a> {
    pub bytes: &'a [u8],
    /// How many offsets it takes.
    pub offsets: i64,
}

/// The batches in bytes that were checked.
pub(crate) fn whole_batches(mut bytes: &[u8]) -> impl Iterator<Item = Whole<'_>> {
    std::iter::from_fn(move || {
        let Front::Whole(batch) = peek(bytes) else { return None };
        let (front, rest) = bytes.split_at(batch.length);
        bytes = rest;
        Some(Whole { bytes: front, offsets: offsets(&batch) })
    })
}

/// Where a batch has the epoch of a leader, which an embedded log has not.
const SEAL: std::ops::Range<usize> = 12..16;

/// The checksum of the base offset of a batch: its own checksum leaves it out, since Kafka sets
/// the offset last.
fn seal(batch: &[u8]) -> [u8; 4] {
    crc32c::crc32c(&batch[..8]).to_be_bytes()
}

/// Whether the whole batch at the front of `bytes` is as it was written: in its place, and with
/// its content.
pub(crate) fn is_sound(batch: &[u8]) -> bool {
    batch[SEAL] == seal(batch) && check_crc(batch)
}

/// Gives a batch its place.
pub(crate) fn set_place(batch: &mut [u8], base: Offset) {
    set_base_offset(batch, base);
    let seal = seal(batch);
    batch[SEAL].copy_from_slice(&seal);
}

/// How many offsets a batch takes.
fn offsets(batch: &BatchHeader) -> i64 {
    i64::from(batch.last_offset_delta) + 1
}

/// How many offsets the batches in `bytes` take, or what is wrong with them.
pub(crate) fn check(mut bytes: &[u8]) -> Result<i64, &'static str> {
    let mut sum = 0;
    while !bytes.is_empty() {
        let Front::Whole(batch) = peek(bytes) else {
            return Err("bytes are not whole batches");
        };
        if batch.control {
            return Err("control batches are written by the log alone");
        }
        if !check_crc(&bytes[..batch.length]) {
            return Err("batch does not match its checksum");
        }
        sum += offsets(&batch);
        bytes = &bytes[batch.length..];
    }
    Ok(sum)
}

/// The batches in some bytes that a fetch wants.
pub(crate) enum Cut {
    /// These, and where to go on.
    Found { batches: Bytes, next: Offset },
    /// None: from `at` on, `needs` bytes are needed to go on.
    More { at: usize, needs: usize },
    /// What is at `at` is no batch, or one that does not match its checksum.
    Damaged { at: usize },
}

/// Cuts from `bytes` the batches from `offset` on, about `max_bytes` of them. `trusted` bytes
/// never left our memory.
pub(crate) fn cut(bytes: &Bytes, offset: Offset, max_bytes: usize, trusted: bool) -> Cut {
    let (mut at, mut first, mut next) = (0, None, offset);
    loop {
        let rest = &bytes[at..];
        let (batch, needs) = match peek(rest) {
            _ if rest.is_empty() => (None, HEADER_LEN),
            Front::Whole(batch) => (Some(batch), 0),
            Front::Part(needs) => (None, needs),
            Front::Damaged => match first {
                Some(first) => return found(bytes, first, at, next),
                None => return Cut::Damaged { at },
            },
        };
        // What is passed over must be sound too: damage could make it seem to end earlier.
        if let Some(batch) = &batch
            && !trusted
            && !is_sound(&rest[..batch.length])
        {
            match first {
                Some(first) => return found(bytes, first, at, next),
                None => return Cut::Damaged { at },
            }
        }
        let full = first.is_some_and(|first| match &batch {
            Some(batch) => at + batch.length - first > max_bytes,
            None => true,
        });
        match (batch, first) {
            (_, Some(first)) if full => return found(bytes, first, at, next),
            (None, _) => return Cut::More { at, needs },
            (Some(batch), _) => {
                if batch.next_offset() > offset {
                    first.get_or_insert(at);
                    next = batch.next_offset();
                }
                at += batch.length;
            }
        }
    }
}

fn found(bytes: &Bytes, from: usize, to: usize, next: Offset) -> Cut {
    Cut::Found { batches: bytes.slice(from..to), next }
}
