//! What we write, the `kafka-protocol` crate reads; what it writes, we read.

use crate::{Row, compression, moderate_times, producer, read, rows, write};
use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{self, Record, RecordBatchDecoder, RecordBatchEncoder};
use proptest::prelude::*;
use suiro_core::batch::{
    BatchHeader, Compression, Marker, Producer, batches, set_base_offset, write_marker,
};
use suiro_core::{Header, Headers, Timestamp};

fn theirs(compression: Compression) -> records::Compression {
    match compression {
        Compression::None => records::Compression::None,
        Compression::Gzip => records::Compression::Gzip,
        Compression::Snappy => records::Compression::Snappy,
        Compression::Lz4 => records::Compression::Lz4,
        Compression::Zstd => records::Compression::Zstd,
    }
}

/// Their codec for this kind is C code that takes long to build; see `corpus` for zstd.
fn both_know(compression: &Compression) -> bool {
    *compression != Compression::Zstd
}

fn row(record: &Record) -> Row {
    let headers = record
        .headers
        .iter()
        .map(|(key, value)| Header { key: key.to_string(), value: value.clone() });
    Row {
        at: record.timestamp,
        key: record.key.as_deref().map(<[u8]>::to_vec),
        value: record.value.as_deref().map(<[u8]>::to_vec),
        headers: Headers::from(headers.collect::<Vec<_>>()),
    }
}

fn record(row: &Row, at: usize, base: i64, leader_epoch: i32, producer: Producer) -> Record {
    let headers = row.headers.iter();
    Record {
        transactional: producer.transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: leader_epoch,
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        timestamp_type: records::TimestampType::Creation,
        offset: base + at as i64,
        sequence: producer.sequence.wrapping_add(at as i32),
        timestamp: row.at,
        key: row.key.clone().map(Bytes::from),
        value: row.value.clone().map(Bytes::from),
        headers: headers
            .map(|header| (StrBytes::from_string(header.key.clone()), header.value.clone()))
            .collect(),
    }
}

proptest! {
    #[test]
    fn they_read_what_we_write(
        rows in rows(moderate_times()),
        compression in compression().prop_filter("both know it", both_know),
        producer in producer(),
        base in 0..1_000_000_000_000_i64,
    ) {
        let mut batch = write(&rows, compression, producer).to_vec();
        set_base_offset(&mut batch, base);
        let sets = RecordBatchDecoder::decode_all(&mut Bytes::from(batch)).unwrap();
        prop_assert_eq!(sets.len(), 1);
        prop_assert_eq!(sets[0].compression, theirs(compression));
        prop_assert_eq!(sets[0].records.len(), rows.len());
        for (at, (read, written)) in sets[0].records.iter().zip(&rows).enumerate() {
            prop_assert_eq!(&row(read), written);
            let expected = record(written, at, base, -1, producer);
            prop_assert_eq!(read, &expected);
        }
    }

    #[test]
    fn we_read_what_they_write(
        rows in rows(moderate_times()),
        compression in compression().prop_filter("both know it", both_know),
        producer in producer(),
        base in 0..1_000_000_000_000_i64,
        leader_epoch in -1..100_i32,
    ) {
        let all: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(at, row)| record(row, at, base, leader_epoch, producer))
            .collect();
        let mut bytes = BytesMut::new();
        let options =
            records::RecordEncodeOptions { version: 2, compression: theirs(compression) };
        RecordBatchEncoder::encode(&mut bytes, &all, &options).unwrap();
        let bytes = bytes.freeze();

        let times = rows.iter().map(|row| Timestamp::from_millis(row.at));
        let header = BatchHeader::parse(&bytes).unwrap().unwrap();
        prop_assert_eq!(header, BatchHeader {
            base_offset: base,
            length: bytes.len(),
            leader_epoch,
            crc: header.crc,
            compression,
            transactional: producer.transactional,
            control: false,
            append_time: false,
            last_offset_delta: rows.len() as i32 - 1,
            base_at: times.clone().min().unwrap(),
            max_at: times.max().unwrap(),
            producer,
            count: rows.len(),
        });
        let expected: Vec<_> =
            rows.into_iter().enumerate().map(|(at, row)| (base + at as i64, row)).collect();
        prop_assert_eq!(read(bytes).unwrap(), expected);
    }
}

#[test]
fn they_read_our_markers() {
    let producer = Producer { id: 9, epoch: 3, sequence: 5, transactional: false };
    for (marker, key) in [(Marker::Abort, [0, 0, 0, 0]), (Marker::Commit, [0, 0, 0, 1])] {
        let mut bytes = Vec::new();
        write_marker(&mut bytes, producer, Timestamp::from_millis(77), marker, 6);
        let set = RecordBatchDecoder::decode(&mut Bytes::from(bytes)).unwrap();
        let [record] = &set.records[..] else { panic!("one record: {set:?}") };
        assert!(record.control && record.transactional);
        assert_eq!((record.producer_id, record.producer_epoch, record.sequence), (9, 3, -1));
        assert_eq!(record.timestamp, 77);
        assert_eq!(record.key.as_deref(), Some(&key[..]));
        assert_eq!(record.value.as_deref(), Some(&[0, 0, 0, 0, 0, 6][..]));
    }
}

#[test]
fn we_read_their_markers_and_compacted_batches() {
    let rows = [Row::new(5, "a", "1"), Row::new(3, "b", "2")];
    let mut all: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| record(row, at * 10, 40, 1, Producer::NONE))
        .collect();
    let mut bytes = BytesMut::new();
    let options =
        records::RecordEncodeOptions { version: 2, compression: records::Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &all, &options).unwrap();
    let read = read(bytes.split().freeze()).unwrap();
    assert_eq!(read, [(40, rows[0].clone()), (50, rows[1].clone())]);

    all.truncate(1);
    all[0].control = true;
    for (key, marker) in [
        (&[0, 0, 0, 0][..], Some(Marker::Abort)),
        (&[0, 0, 0, 1], Some(Marker::Commit)),
        (&[0, 1, 0, 1, 9], Some(Marker::Commit)),
        (&[0, 0, 0, 2], None),
        (&[0, 0, 1, 1], None),
    ] {
        all[0].key = Some(Bytes::from(key));
        RecordBatchEncoder::encode(&mut bytes, &all, &options).unwrap();
        let batch = batches(bytes.split().freeze()).next().unwrap().unwrap();
        assert!(batch.header().control);
        assert_eq!(batch.marker().unwrap(), marker);
    }
    all[0].key = Some(Bytes::from_static(&[0xff, 0, 0, 1]));
    RecordBatchEncoder::encode(&mut bytes, &all, &options).unwrap();
    let batch = batches(bytes.split().freeze()).next().unwrap().unwrap();
    assert!(batch.marker().is_err());
}
