//! A reader goes through what is committed, in pieces of any size, and leaves nothing out.

use proptest::prelude::*;
use std::time::Duration;
use suiro::{ErrorKind, Log, Producer, Reader, Received, Result, Start, Topic, Transaction};

const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
const TEXTS: Topic<u64, String> = Topic::json("numbers");

#[derive(Clone, Debug)]
enum Step {
    /// A commit of so many records.
    Commit(u16),
    /// So many records, and then the iterator is dropped.
    Some(u16),
    Follow,
    ToEnd,
    /// Another reader goes on where this one stands.
    HandOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..400_u16).prop_map(Step::Commit),
        (0..60_u16).prop_map(Step::Some),
        Just(Step::Follow),
        Just(Step::ToEnd),
        Just(Step::HandOver),
    ]
}

/// Numbers that were read, by partition.
type Read = Vec<Vec<i64>>;

fn take(read: &mut Read, record: Received<u64, i64>) {
    let of_partition = &mut read[record.partition as usize];
    assert_eq!(record.offset, of_partition.len() as i64);
    of_partition.extend(record.value);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_left_out(steps in prop::collection::vec(step(), 1..30), partitions in 1..4_u32) {
        let log = Log::in_memory();
        Producer::open(&log, &NUMBERS)?.create(partitions)?;
        let mut transaction = Transaction::open(&log)?;
        let mut reader = Reader::open(&log, &NUMBERS)?;
        let (mut written, mut read) = (0, vec![Vec::new(); partitions as usize]);
        for step in steps {
            match step {
                Step::Commit(count) => {
                    for _ in 0..count {
                        transaction.write(&NUMBERS, &(written as u64 % 7), Some(&written), 0)?;
                        written += 1;
                    }
                    transaction.commit()?;
                }
                Step::Some(count) => {
                    for record in reader.iter_to_end()?.take(count.into()) {
                        take(&mut read, record?);
                    }
                }
                Step::Follow => {
                    let came = reader.follow(Duration::ZERO)?;
                    came.into_iter().for_each(|record| take(&mut read, record));
                }
                Step::ToEnd => {
                    let rest = reader.read_to_end()?;
                    rest.into_iter().for_each(|record| take(&mut read, record));
                    prop_assert_eq!(read.iter().map(Vec::len).sum::<usize>(), written as usize);
                }
                Step::HandOver => {
                    let mut other = Reader::open(&log, &NUMBERS)?;
                    reader.positions().for_each(|(partition, next)| other.seek_to(partition, next));
                    reader = other;
                }
            }
        }
        reader.read_to_end()?.into_iter().for_each(|record| take(&mut read, record));
        for (partition, numbers) in read.iter().enumerate() {
            let mut alone = Reader::open(&log, &NUMBERS)?.only(partition as u32)?;
            let alone: Result<Vec<_>> = alone.iter_to_end()?.collect();
            prop_assert_eq!(&alone?.into_iter().filter_map(|row| row.value).collect::<Vec<_>>(), numbers);
            prop_assert!(numbers.is_sorted());
        }
        let mut all = read.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..written).collect::<Vec<_>>());
    }
}

#[test]
fn the_ends_are_those_of_the_start() -> Result<()> {
    let log = Log::in_memory();
    let mut numbers = Producer::open(&log, &NUMBERS)?;
    numbers.create(1)?;
    let mut reader = Reader::open(&log, &NUMBERS)?;
    numbers.send(1, 1, 0)?;
    numbers.flush()?;
    let mut rest = reader.iter_to_end()?;
    numbers.send(1, 2, 0)?;
    numbers.flush()?;
    assert_eq!(rest.next().transpose()?.and_then(|record| record.value), Some(1));
    assert!(rest.next().is_none());
    assert_eq!(reader.read_to_end()?[0].value, Some(2));
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named_again_and_again_until_it_is_passed() -> Result<()> {
    let log = Log::in_memory();
    let mut texts = Producer::open(&log, &TEXTS)?;
    texts.create(1)?;
    let mut numbers = Producer::open(&log, &NUMBERS)?;
    numbers.send(1, 1, 0)?;
    numbers.flush()?;
    texts.send(1, "two".into(), 0)?;
    texts.flush()?;
    numbers.send(1, 3, 0)?;
    numbers.flush()?;

    let place = |error: suiro::Error| {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.report().contains("topic=`numbers` partition=`0` offset=`1`"), "{error}");
    };
    let mut reader = Reader::open(&log, &NUMBERS)?;
    for _ in 0..2 {
        // All or nothing: the reader stands where it stood.
        place(reader.read_to_end().expect_err("a text is no number"));
    }
    let mut rest = reader.iter_to_end()?;
    assert_eq!(rest.next().transpose()?.and_then(|record| record.value), Some(1));
    place(rest.next().expect("there is an error").expect_err("a text is no number"));
    assert!(rest.next().is_none());
    assert_eq!(reader.positions().collect::<Vec<_>>(), [(0, 1)]);
    place(reader.follow(Duration::ZERO).expect_err("a text is no number"));
    reader.seek_to(0, 2);
    assert_eq!(reader.read_to_end()?[0].value, Some(3));

    reader.seek(Start::Earliest)?;
    assert_eq!(reader.follow(Duration::ZERO)?[0].value, Some(1));
    place(reader.follow(Duration::ZERO).expect_err("a text is no number"));
    Ok(())
}
