//! Compressing a batch that is written already.

use super::Compression;
use super::header::{BatchHeader, HEADER_LEN};
use crate::Result;

/// `batch`, with its records compressed; nothing if it is compressed already or would not become
/// smaller. Its offsets, times and producer stay as they are.
///
/// An error is of kind `Corrupt` if it is no batch, and `Invalid` if the compression is not built
/// in.
///
/// ```
/// use suiro_core::batch::{BatchHeader, BatchWriter, Compression, compressed};
/// use suiro_core::{Headers, Timestamp};
///
/// let mut writer = BatchWriter::new(Compression::None);
/// for _ in 0..100 {
///     writer.push(Timestamp::ZERO, None, Some(b"the same again"), &Headers::NONE);
/// }
/// let batch = writer.finish()?;
/// let smaller = compressed(&batch, Compression::Lz4)?.expect("it repeats itself");
/// assert!(smaller.len() < batch.len() / 2);
/// let header = BatchHeader::parse(&smaller)?.expect("it is whole");
/// assert_eq!((header.compression, header.count), (Compression::Lz4, 100));
/// # Ok::<(), suiro_core::Error>(())
/// ```
pub fn compressed(batch: &[u8], compression: Compression) -> Result<Option<Vec<u8>>> {
    let header = BatchHeader::parse(batch)?.filter(|it| it.compression == Compression::None);
    let Some(header) = header.filter(|_| compression != Compression::None) else {
        return Ok(None);
    };
    let mut out = Vec::with_capacity(batch.len() / 2);
    out.extend_from_slice(&[0; HEADER_LEN]);
    compression.compress(&batch[HEADER_LEN..header.length], &mut out)?;
    if out.len() >= header.length {
        return Ok(None);
    }
    BatchHeader { compression, ..header }.seal(&mut out)?;
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::compression::BUILT_IN;
    use crate::batch::{BatchWriter, Producer, batches};
    use crate::{Headers, Timestamp};
    use bytes::Bytes;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is in a batch is in it still, under the same header but for the compression.
        #[test]
        fn nothing_but_the_size_changes(
            rows in prop::collection::vec((0..5_i64, "[ab]{0,40}", any::<bool>()), 1..60),
            kind in prop::sample::select(BUILT_IN),
            epoch in 0..9_i16,
        ) {
            let producer = Producer { id: 7, epoch, sequence: 3, transactional: epoch % 2 == 0 };
            let mut writer = BatchWriter::new(Compression::None).with_producer(producer);
            for (at, key, is_removal) in &rows {
                let value = (!is_removal).then_some(&b"value"[..]);
                let at = Timestamp::from_millis(*at);
                writer.push(at, Some(key.as_bytes()), value, &Headers::NONE);
            }
            let plain = writer.finish().unwrap();
            let Some(small) = compressed(&plain, kind).unwrap() else { return Ok(()) };
            prop_assert!(small.len() < plain.len());
            prop_assert!(compressed(&small, kind).unwrap().is_none());
            let small = Bytes::from(small);
            let read = |bytes: &Bytes| {
                let batch = batches(bytes.clone()).next().unwrap().unwrap();
                let records = batch.records().unwrap();
                let rows: Vec<_> = records.iter().map(|it| format!("{:?}", it.unwrap())).collect();
                let header = batch.header();
                let same = (header.count, header.producer, header.base_at, header.max_at);
                (same, header.transactional, header.last_offset_delta, rows)
            };
            prop_assert_eq!(read(&small), read(&plain));
            let header = BatchHeader::parse(&small).unwrap().unwrap();
            prop_assert_eq!(header.compression, kind);
        }
    }
}
