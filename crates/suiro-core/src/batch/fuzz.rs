//! Reads anything: what the fuzz target and the test of its corpus call.
//!
//! It panics if the reader breaks a promise: order, bounds, and that what was read can be
//! written and read again.

use super::header::{HEADER_LEN, set_crc};
use super::{Batch, BatchHeader, BatchWriter, Compression, Producer, Records, batches};
use crate::{Header, Headers, Result, Timestamp};
use bytes::Bytes;

/// The most bytes that are decompressed when no batch is around them.
const LIMIT: usize = 16 << 20;

/// Reads `data` in every way there is: as batches, as a batch with a checksum that fits, as
/// compressed bytes and as records.
pub fn read_anything(data: &[u8]) {
    read_batches(Bytes::copy_from_slice(data));
    read_with_crc(data);
    let Some((&first, rest)) = data.split_first() else { return };
    for id in 0..5 {
        let compression = Compression::from_id(id).expect("the numbers to 4 are known");
        if let Ok(payload) = compression.decompress_within(rest, LIMIT) {
            assert!(payload.len() <= LIMIT);
        }
    }
    read_as_records(usize::from(first), rest);
}

fn read_batches(bytes: Bytes) {
    let whole = bytes.len();
    let mut taken = 0;
    for batch in batches(bytes) {
        let Ok(batch) = batch else { return };
        assert!(batch.bytes().len() == batch.header().length);
        taken += batch.header().length;
        read_batch(&batch);
    }
    assert_eq!(taken, whole);
}

fn read_with_crc(data: &[u8]) {
    let Ok(Some(header)) = BatchHeader::parse(data) else { return };
    let mut batch = data[..header.length].to_vec();
    set_crc(&mut batch);
    let read = batches(batch.into()).next().expect("there are bytes");
    read_batch(&read.expect("the header was read and the checksum fits"));
}

fn read_as_records(count: usize, records: &[u8]) {
    let mut batch = vec![0; HEADER_LEN];
    batch.extend_from_slice(records);
    let header = BatchHeader {
        base_offset: 0,
        length: batch.len(),
        leader_epoch: -1,
        crc: 0,
        compression: Compression::None,
        transactional: false,
        control: count % 2 == 1,
        append_time: false,
        last_offset_delta: i32::MAX,
        base_at: Timestamp::from_millis(1),
        max_at: Timestamp::MAX,
        producer: Producer::NONE,
        count,
    };
    header.seal(&mut batch).expect("a fuzzer's input is small");
    read_batches(batch.into());
}

fn read_batch(batch: &Batch) {
    let header = batch.header();
    assert!(header.next_offset() > header.base_offset);
    if let (Err(_), false) = (batch.marker(), header.control) {
        panic!("only control batches have markers");
    }
    let Ok(records) = batch.records() else { return };
    let mut next = header.base_offset;
    let mut whole = true;
    for record in &records {
        let Ok(record) = record else {
            whole = false;
            break;
        };
        assert!(record.offset >= next && record.offset < header.next_offset());
        next = record.offset + 1;
        for bytes in [record.key, record.value].into_iter().flatten() {
            assert_eq!(records.payload().slice_ref(bytes), bytes);
        }
        whole &= record.headers.to_headers().is_ok();
    }
    if whole {
        read_again(&records).expect("what was read can be written and read again");
    }
}

/// What must survive: everything but the offsets, which the writer counts from 0.
type Owned = (Timestamp, Option<Vec<u8>>, Option<Vec<u8>>, Vec<Header>);

fn owned(records: &Records) -> Result<Vec<Owned>> {
    let mut all = Vec::new();
    for record in records {
        let record = record?;
        let headers = record.headers.to_headers()?.iter().cloned().collect();
        let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        all.push((record.at, key, value, headers));
    }
    Ok(all)
}

fn read_again(records: &Records) -> Result<()> {
    let before = owned(records)?;
    assert_eq!(before.len(), records.count());
    let mut writer = BatchWriter::new(Compression::None);
    for (at, key, value, headers) in &before {
        let headers = Headers::from(headers.clone());
        writer.push(*at, key.as_deref(), value.as_deref(), &headers);
    }
    for batch in batches(writer.finish()?) {
        assert_eq!(owned(&batch?.records()?)?, before);
    }
    Ok(())
}
