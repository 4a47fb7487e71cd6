//! Reading what was committed, seeking, trimming.

use super::Subject;
use super::party::Party;
use super::rows::{Row, batch, full_batch, rows_of_batches, texts, timed_batch};
use super::world::World;
use crate::broker::Seek;
use crate::record::Header;
use crate::{ErrorKind, Headers, Offset, Timestamp, TopicPartition};
use bytes::Bytes;

/// Keys, values, times and headers come back as they were written, absent and empty ones too.
pub fn records_come_back_unchanged(subject: Subject) {
    let mut world = World::new("records_come_back_unchanged", subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();
    let headers = Headers::from(vec![
        Header { key: "a".into(), value: Some(Bytes::from_static(b"\x00\xff")) },
        Header { key: "a".into(), value: None },
        Header { key: String::new(), value: Some(Bytes::new()) },
    ]);
    let bytes = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    let mut rows = [
        (0, bytes(b"key"), bytes(b"value"), Headers::NONE),
        (1_357_034_400_000, bytes(b""), bytes(b""), headers),
        (5, None, bytes(b"\xff\x00"), Headers::NONE),
        (4, bytes(b"removed"), None, Headers::NONE),
        (3, None, None, Headers::NONE),
    ]
    .map(|(at, key, value, headers)| Row {
        offset: 0,
        at: Timestamp::from_millis(at),
        key,
        value,
        headers,
    });
    party.write(&[(&place, full_batch(&rows))]);
    for (row, offset) in rows.iter_mut().zip(0..) {
        row.offset = offset;
    }
    assert_eq!(party.read(&place), rows, "records_come_back_unchanged");
}

/// However few bytes are asked for, whole batches come, at least one, the first with the
/// offset asked for in it.
pub fn fetch_returns_whole_batches(subject: Subject) {
    let check = "fetch_returns_whole_batches";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();
    for first in [0, 3, 6] {
        let values = [0, 1, 2].map(|n| (first + n).to_string());
        party.write(&[(&place, batch(&[&values[0], &values[1], &values[2]]))]);
    }
    let all = party.read(&place);
    assert_eq!(texts(&all).concat(), "012345678", "{check}: everything");
    let size = batch(&["0", "1", "2"]).len();
    for max_bytes in [0, 1, size - 1, size, size + 1, 1 << 20] {
        for wanted in &all {
            let fetched = party.fetch(&place, wanted.offset, max_bytes);
            let batches = rows_of_batches(check, fetched.batches);
            let at = format!("{check}: at {} with {max_bytes} bytes", wanted.offset);
            assert!(!batches.is_empty(), "{at}: nothing came");
            assert!(batches.iter().all(|rows| rows.len() == 3), "{at}: a batch is not whole");
            assert!(batches[0].contains(wanted), "{at}: the first batch is another");
        }
        let read = party.read_from(&place, 0, max_bytes);
        assert_eq!(read, all, "{check}: {max_bytes} bytes at a time");
    }
}

/// A fetch gives about as many bytes as were asked for, not everything there is.
pub fn fetch_is_bounded(subject: Subject) {
    let check = "fetch_is_bounded";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();
    let value = "x".repeat(1000);
    let one = batch(&[&value]);
    for _ in 0..10 {
        let appends: Vec<_> = (0..10).map(|_| (&place, one.clone())).collect();
        party.write(&appends);
    }
    for batches in [2, 7, 20] {
        let max_bytes = batches * one.len();
        let fetched = party.fetch(&place, 0, max_bytes).batches.len();
        assert!(
            fetched <= 2 * max_bytes,
            "{check}: {fetched} bytes came where {max_bytes} were asked for"
        );
    }
    assert_eq!(party.read(&place).len(), 100, "{check}: everything");
}

/// A fetch at the end is answered at once and empty; one beyond the end never gives records.
/// Start and end are those of the committed records.
pub fn fetch_at_the_end_is_empty(subject: Subject) {
    let check = "fetch_at_the_end_is_empty";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();
    let mut end = 0;
    for round in 0..3 {
        let fetched = party.fetch(&place, end, 1 << 20);
        assert!(fetched.batches.is_empty(), "{check}: round {round}: records at the end");
        let found = (fetched.start, fetched.next, fetched.end);
        assert_eq!(found, (0, end, end), "{check}: round {round}: start, next, end");
        match party.try_fetch(&place, end + 5, 1 << 20) {
            Ok(fetched) => {
                assert!(fetched.batches.is_empty(), "{check}: records beyond the end");
                assert_eq!(fetched.end, end, "{check}: end, seen from beyond it");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{check}: {error}"),
        }
        party.write(&[(&place, batch(&["a", "b"]))]);
        let fetched = party.fetch(&place, end, 1 << 20);
        assert_eq!(rows_of_batches(check, fetched.batches).concat().len(), 2, "{check}: new");
        end = fetched.end;
    }
}

/// Earliest is the first record, latest the end, and a time leads to the first record that is
/// not older.
pub fn seek_finds_offsets(subject: Subject) {
    let check = "seek_finds_offsets";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 2);
    let [place, empty] = [0, 1].map(|number| TopicPartition::new(topic.clone(), number));
    let mut party = world.party();
    let first = [(10, "a"), (20, "b"), (15, "c")];
    party.write(&[(&place, timed_batch(&first))]);
    party.write(&[(&place, timed_batch(&[(5, "d"), (30, "e")])), (&place, batch(&["f"]))]);
    let rows = party.read(&place);
    let end = party.fetch(&place, rows[5].offset + 1, 1).end;

    let mut seek = |place: &TopicPartition, at: Seek| {
        let offset = party.offset(place, at);
        offset.unwrap_or_else(|error| panic!("{check}: {at:?} of {place}: {error}"))
    };
    assert_eq!(seek(&place, Seek::Earliest), 0, "{check}: earliest");
    assert_eq!(seek(&place, Seek::Latest), end, "{check}: latest");
    for at in [0, 4, 5, 10, 11, 15, 16, 20, 21, 29, 30, 31, i64::MAX] {
        let at = Timestamp::from_millis(at);
        let expected = rows.iter().find(|row| row.at >= at).map_or(end, |row| row.offset);
        assert_eq!(seek(&place, Seek::Time(at)), expected, "{check}: time {at}");
    }
    for at in [Seek::Earliest, Seek::Latest, Seek::Time(Timestamp::ZERO)] {
        assert_eq!(seek(&empty, at), 0, "{check}: {at:?} of an empty partition");
    }
}

/// A trim may delete what lies before its offset, and nothing else; start, earliest and what is
/// read agree about it.
pub fn trim_deletes_only_what_is_older(subject: Subject) {
    let check = "trim_deletes_only_what_is_older";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 2);
    let [place, other] = [0, 1].map(|number| TopicPartition::new(topic.clone(), number));
    let mut party = world.party();
    for number in 0..10 {
        let value = number.to_string();
        let bytes = batch(&[&value, "rest"]);
        party.write(&[(&place, bytes.clone()), (&other, bytes)]);
    }
    let before = party.read(&place);
    let end = party.fetch(&place, 0, 1).end;

    for trim in [before[7].offset, 0, before[12].offset, end, end + 100] {
        party.session.trim(&place, trim);
        let fetched = party.fetch(&place, before[19].offset, 1);
        assert_eq!(fetched.end, end, "{check}: end after a trim to {trim}");
        let (start, rows) = read_what_is_left(&mut party, &place);
        let limit = trim.max(before[7].offset);
        assert!(start <= limit, "{check}: a trim to {trim} moved the start to {start}");
        let left: Vec<_> = before.iter().filter(|row| row.offset >= start).cloned().collect();
        assert_eq!(rows, left, "{check}: records left by a trim to {trim}");
    }
    party.write(&[(&place, batch(&["next"]))]);
    let (_, rows) = read_what_is_left(&mut party, &place);
    assert_eq!(rows.last().map(Row::text).as_deref(), Some("next"), "{check}: goes on");
    assert_eq!(party.read(&other).len(), 20, "{check}: the other partition");
}

/// The start of a partition, and the records from there on. The start may move between two
/// looks, as a trim is not answered.
fn read_what_is_left(party: &mut Party, place: &TopicPartition) -> (Offset, Vec<Row>) {
    loop {
        let earliest = party.offset(place, Seek::Earliest);
        let start = earliest.expect("trim_deletes_only_what_is_older: earliest");
        let rows = party.read_from(place, 0, 1 << 20);
        let rows: Vec<_> = rows.into_iter().filter(|row| row.offset >= start).collect();
        if party.fetch(place, start, 1).start == start {
            return (start, rows);
        }
    }
}
