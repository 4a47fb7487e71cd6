//! What we write, we read.

use crate::{COMPRESSIONS, Row, compression, producer, read, rows, write};
use bytes::Bytes;
use proptest::prelude::*;
use suiro_core::batch::{
    BatchHeader, BatchWriter, Compression, HEADER_LEN, Producer, batches, check_crc,
    set_base_offset,
};
use suiro_core::{ErrorKind, Header, Headers, Timestamp};

/// Any times, so that their differences wrap around.
fn wild_times() -> impl Strategy<Value = i64> {
    let ends = prop::sample::select(vec![i64::MIN, i64::MAX, 0, -1]);
    prop_oneof![any::<i64>(), ends, -100..100_i64]
}

proptest! {
    #[test]
    fn batches_come_back(
        groups in prop::collection::vec((rows(wild_times()), compression(), producer()), 1..5),
        base in 0..i64::MAX / 2,
    ) {
        let mut log = Vec::new();
        let mut expected = Vec::new();
        let mut next = base;
        for (rows, compression, producer) in &groups {
            let start = log.len();
            log.extend_from_slice(&write(rows, *compression, *producer));
            set_base_offset(&mut log[start..], next);
            prop_assert!(check_crc(&log[start..]));
            for row in rows {
                expected.push((next, row.clone()));
                next += 1;
            }
        }
        let log = Bytes::from(log);
        for (batch, (rows, compression, producer)) in batches(log.clone()).zip(&groups) {
            let batch = batch.unwrap();
            let times = rows.iter().map(|row| Timestamp::from_millis(row.at));
            prop_assert_eq!(batch.header(), &BatchHeader {
                base_offset: batch.header().base_offset,
                length: batch.bytes().len(),
                leader_epoch: -1,
                crc: batch.header().crc,
                compression: *compression,
                transactional: producer.transactional,
                control: false,
                append_time: false,
                last_offset_delta: rows.len() as i32 - 1,
                base_at: Timestamp::from_millis(rows[0].at),
                max_at: times.max().unwrap(),
                producer: *producer,
                count: rows.len(),
            });
            prop_assert_eq!(batch.records().unwrap().count(), rows.len());
            prop_assert_eq!(batch.marker().unwrap(), None);
        }
        prop_assert_eq!(read(log).unwrap(), expected);
    }

    #[test]
    fn the_size_is_known_before_the_end(rows in rows(wild_times())) {
        let mut writer = BatchWriter::new(Compression::None);
        prop_assert_eq!(writer.size(), HEADER_LEN);
        for (at, row) in rows.iter().enumerate() {
            prop_assert_eq!(writer.len(), at);
            row.push_to(&mut writer);
        }
        let size = writer.size();
        prop_assert_eq!(writer.finish().unwrap().len(), size);
        prop_assert!(writer.is_empty());
        prop_assert_eq!(writer.size(), HEADER_LEN);
    }
}

#[test]
fn large_values_and_strange_headers_come_back() {
    let header = |key: &str, value: Option<&'static str>| Header {
        key: key.into(),
        value: value.map(Bytes::from),
    };
    let headers = Headers::from(vec![
        header("twice", Some("1")),
        header("twice", None),
        header("", Some("")),
        header("水路", Some("water")),
    ]);
    let pattern = |length: usize| Some((0..length).map(|at| ((at * at) >> 7) as u8).collect());
    let rows = [
        Row { at: 9, key: Some(vec![]), value: pattern(1 << 20), headers: Headers::NONE },
        Row { at: -9, key: None, value: Some(vec![]), headers: headers.clone() },
        Row { at: i64::MAX, key: pattern(3 << 20), value: None, headers: headers.clone() },
        Row { at: i64::MIN, key: None, value: pattern(10 << 20), headers },
    ];
    for &compression in COMPRESSIONS {
        let back = read(write(&rows, compression, Producer::NONE)).unwrap();
        assert_eq!(back.len(), rows.len());
        for ((at, written), (offset, read)) in rows.iter().enumerate().zip(&back) {
            assert_eq!(*offset, at as i64);
            assert!(read == written, "{compression:?} {at}");
        }
    }
}

#[test]
fn a_writer_is_used_again() {
    let own = Producer { id: 1, epoch: 0, sequence: 10, transactional: true };
    let mut writer = BatchWriter::new(Compression::None).with_producer(own);
    let mut log = b"before".to_vec();
    writer.finish_into(&mut log).unwrap();
    assert_eq!(log, b"before");
    assert!(writer.finish().unwrap().is_empty());

    log.clear();
    let rows = [Row::new(1_000, "a", "1"), Row::new(5, "b", "2"), Row::new(7, "c", "3")];
    for rows in [&rows[..2], &rows[2..]] {
        for row in rows {
            row.push_to(&mut writer);
        }
        writer.finish_into(&mut log).unwrap();
    }
    let read: Vec<_> = batches(log.into()).map(|batch| *batch.unwrap().header()).collect();
    let [first, second] = &read[..] else { panic!("two batches: {read:?}") };
    assert_eq!((first.producer, first.count), (own, 2));
    assert_eq!((first.base_at.as_millis(), first.max_at.as_millis()), (1_000, 1_000));
    assert_eq!(second.producer, Producer { sequence: 12, ..own });
    assert_eq!((second.base_at.as_millis(), second.max_at.as_millis()), (7, 7));
}

#[test]
fn append_time_is_the_time_of_all_records() {
    let rows = [Row::new(5, "a", "1"), Row::new(90, "b", "2")];
    let mut batch = write(&rows, Compression::None, Producer::NONE).to_vec();
    batch[22] |= 1 << 3;
    crate::hostile::fix_crc(&mut batch);
    let header = BatchHeader::parse(&batch).unwrap().unwrap();
    assert!(header.append_time);
    let times: Vec<_> =
        read(batch.into()).unwrap().into_iter().map(|(_, row)| row.at).collect();
    assert_eq!(times, [90, 90]);
}

#[test]
fn a_compressed_batch_without_records_is_read() {
    let mut batch = write(&[Row::new(5, "a", "1")], Compression::None, Producer::NONE).to_vec();
    batch.truncate(HEADER_LEN);
    batch[8..12].copy_from_slice(&49_i32.to_be_bytes());
    batch[57..61].copy_from_slice(&0_i32.to_be_bytes());
    for compression in 0..5 {
        batch[22] = compression;
        crate::hostile::fix_crc(&mut batch);
        assert_eq!(read(batch.clone().into()).unwrap(), []);
    }
}

#[test]
fn a_compression_that_is_not_built_in_says_what_to_enable() {
    for compression in
        [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        if COMPRESSIONS.contains(&compression) {
            continue;
        }
        let mut writer = BatchWriter::new(compression);
        Row::new(1, "a", "b").push_to(&mut writer);
        let mut log = b"before".to_vec();
        let error = writer.finish_into(&mut log).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("cargo feature"), "{error}");
        assert_eq!((log, writer.len()), (b"before".to_vec(), 1));
    }
}
