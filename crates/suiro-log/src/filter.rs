//! Taking records out of a batch while the others keep their offsets.

use suiro_core::batch::{Batch, HEADER_LEN, RecordView};
use suiro_core::{Error, Result, Timestamp};

/// What is left of a batch.
pub(crate) enum Left {
    /// All of it.
    All,
    /// Nothing.
    Nothing,
    /// A smaller batch of the same offsets, not compressed.
    Some(Vec<u8>),
}

/// Takes out of `batch` the records that are not to be kept.
pub(crate) fn filter(batch: &Batch, mut keep: impl FnMut(&RecordView) -> bool) -> Result<Left> {
    let records = batch.records()?;
    let mut rest = &records.payload()[..];
    let mut kept = batch.bytes()[..HEADER_LEN].to_vec();
    let (mut count, mut max_at) = (0u32, Timestamp::MIN);
    for record in records.iter() {
        let record = record?;
        let length = record_length(rest).filter(|length| *length <= rest.len());
        let length = length.ok_or_else(|| Error::corrupt("record is longer than its batch"))?;
        let (raw, after) = rest.split_at(length);
        rest = after;
        if keep(&record) {
            kept.extend_from_slice(raw);
            count += 1;
            max_at = max_at.max(record.at);
        }
    }
    if count as usize == records.count() {
        return Ok(Left::All);
    }
    if count == 0 {
        return Ok(Left::Nothing);
    }
    let length = u32::try_from(kept.len() - 12).expect("a part is not longer than the whole");
    kept[8..12].copy_from_slice(&length.to_be_bytes());
    // The lowest bits of the attributes name the compression.
    kept[22] &= !0b111;
    kept[35..43].copy_from_slice(&max_at.as_millis().to_be_bytes());
    kept[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&kept[21..]);
    kept[17..21].copy_from_slice(&crc.to_be_bytes());
    Ok(Left::Some(kept))
}

/// The bytes of the record at the front of `bytes`: a zigzag varint, and as many as it says.
fn record_length(bytes: &[u8]) -> Option<usize> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let length = (value >> 1) as i64 ^ -((value & 1) as i64);
            return usize::try_from(length).ok().map(|length| at + 1 + length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use suiro_core::Headers;
    use suiro_core::batch::{BatchWriter, Compression, batches, set_base_offset};

    proptest! {
        #[test]
        fn the_others_stay_as_they_are(
            rows in prop::collection::vec((0i64..9, ".{0,300}", any::<bool>()), 1..20),
            base in 0i64..1000,
            compressed: bool,
        ) {
            let compression = if compressed { Compression::Lz4 } else { Compression::None };
            let mut writer = BatchWriter::new(compression);
            let headers: Headers = [("h", "v")].into_iter().collect();
            for (at, text, _) in &rows {
                let at = Timestamp::from_millis(*at);
                writer.push(at, Some(text.as_bytes()), Some(b"v"), &headers);
            }
            let mut bytes = writer.finish().unwrap().to_vec();
            set_base_offset(&mut bytes, base);
            let batch = batches(bytes.into()).next().unwrap().unwrap();
            let keep = |offset: i64| rows[(offset - base) as usize].2;
            let expected: Vec<_> = (base..).zip(&rows).filter(|(_, row)| row.2).collect();
            match filter(&batch, |record| keep(record.offset)).unwrap() {
                Left::All => prop_assert_eq!(expected.len(), rows.len()),
                Left::Nothing => prop_assert!(expected.is_empty()),
                Left::Some(left) => {
                    let left = batches(left.into()).next().unwrap().unwrap();
                    prop_assert_eq!(left.header().next_offset(), batch.header().next_offset());
                    let max_at = expected.iter().map(|(_, row)| row.0).max();
                    prop_assert_eq!(Some(left.header().max_at.as_millis()), max_at);
                    let records = left.records().unwrap();
                    prop_assert_eq!(records.count(), expected.len());
                    for (record, (offset, row)) in records.iter().zip(expected) {
                        let record = record.unwrap();
                        prop_assert_eq!(record.offset, offset);
                        prop_assert_eq!(record.at.as_millis(), row.0);
                        prop_assert_eq!(record.key.unwrap(), row.1.as_bytes());
                        prop_assert_eq!(record.headers.len(), 1);
                    }
                }
            }
        }
    }
}
