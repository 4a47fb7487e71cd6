//! Tables whose rows go by time (rule A5).

use std::time::Duration;
use suiro::{
    Bytes, DeadLetters, ExchangeKind, Log, Policy, Producer, Raw, Reader, Record, Result,
    Table, TestDriver, TestOptions, Topic, Topology,
};

const IN: Topic<String, String> = Topic::json("in");
const CLICKS: Topic<String, String> = Topic::json("clicks");
const OUT: Topic<String, Option<String>> = Topic::json("out");
const JOINED: Topic<String, String> = Topic::json("joined");
const RAW: Topic<Bytes, Option<Bytes>> = Topic::of("", &Raw, &Raw);

const TEN: Duration = Duration::from_millis(10);

/// Key, value and time; a removal has no value.
type Row = (String, Option<String>, i64);

fn row(key: &str, value: Option<&str>, at: i64) -> Row {
    (key.to_owned(), value.map(str::to_owned), at)
}

fn start(options: TestOptions, program: impl FnOnce(&Topology)) -> Result<TestDriver> {
    let topology = Topology::new("app");
    program(&topology);
    TestDriver::with_options(topology.build()?, options)
}

/// What a topic got since it was last read.
fn read(driver: &mut TestDriver, topic: &str) -> Result<Vec<Row>> {
    let rows = driver.read_changes(&JOINED.named(topic))?.into_iter();
    Ok(rows.map(|row| (row.key, row.value, row.at.as_millis())).collect())
}

fn send(driver: &mut TestDriver, rows: &[(&str, &str, i64)]) -> Result<()> {
    for (key, value, at) in rows {
        driver.send(&IN, (*key).into(), (*value).into(), *at)?;
    }
    Ok(())
}

/// Batches that hold one row, few and all, and both kinds of exchange.
fn manners() -> impl Iterator<Item = TestOptions> {
    [ExchangeKind::Memory, ExchangeKind::Topic].into_iter().flat_map(|exchange| {
        [1, 2, 8192].into_iter().map(move |batch_rows| TestOptions {
            exchange,
            batch_rows,
            run_at_send: false,
            ..TestOptions::default()
        })
    })
}

#[test]
fn rows_go_in_order_of_time_and_then_of_key_bytes() -> Result<()> {
    for options in manners() {
        let mut driver = start(options, |it| it.table(&IN).ttl(TEN).changes().to(&OUT))?;
        send(&mut driver, &[("b", "1", 5), ("a", "2", 5), ("c", "3", 4), ("d", "4", 30)])?;
        driver.run()?;
        let expected = [
            row("b", Some("1"), 5),
            row("a", Some("2"), 5),
            row("c", Some("3"), 4),
            row("c", None, 14),
            row("a", None, 15),
            row("b", None, 15),
            row("d", Some("4"), 30),
        ];
        assert_eq!(read(&mut driver, "out")?, expected);
    }
    Ok(())
}

#[test]
fn an_update_counts_from_its_own_time_even_if_that_is_earlier() -> Result<()> {
    let mut driver =
        start(TestOptions::default(), |it| it.table(&IN).ttl(TEN).changes().to(&OUT))?;
    send(&mut driver, &[("a", "1", 8), ("a", "2", 5), ("b", "3", 15), ("b", "4", 18)])?;
    let expected = [
        row("a", Some("1"), 8),
        row("a", Some("2"), 5),
        row("a", None, 15),
        row("b", Some("3"), 15),
        row("b", Some("4"), 18),
    ];
    assert_eq!(read(&mut driver, "out")?, expected);
    Ok(())
}

#[test]
fn late_updates_are_counted_and_not_taken_and_removals_leave_nothing_to_go() -> Result<()> {
    let mut driver =
        start(TestOptions::default(), |it| it.table(&IN).ttl(TEN).changes().to(&OUT))?;
    send(&mut driver, &[("a", "1", 20)])?;
    driver.remove(&IN, "a".into(), 10)?;
    send(&mut driver, &[("b", "2", 10)])?;
    assert_eq!(driver.metrics().late, 2, "ten is over at twenty");
    driver.remove(&IN, "a".into(), 11)?;
    driver.remove(&IN, "a".into(), 12)?;
    send(&mut driver, &[("c", "3", 99)])?;
    let expected = [row("a", Some("1"), 20), row("a", None, 11), row("c", Some("3"), 99)];
    assert_eq!(read(&mut driver, "out")?, expected);
    assert_eq!(driver.metrics().late, 2);
    Ok(())
}

#[test]
fn folds_begin_anew_and_are_as_old_as_their_newest_record() -> Result<()> {
    for options in manners() {
        let mut driver = start(options, |it| {
            let glue = |so_far: &mut String, value: String| *so_far += &value;
            let glued = it.stream(&IN).fold("glued", String::new, glue).ttl(TEN);
            glued.changes().to(&OUT);
        })?;
        let rows =
            [("a", "x", 8), ("a", "y", 3), ("b", "z", 17), ("a", "u", 18), ("b", "v", 2)];
        send(&mut driver, &rows)?;
        driver.run()?;
        let expected = [
            row("a", Some("x"), 8),
            row("a", Some("xy"), 8),
            row("b", Some("z"), 17),
            row("a", None, 18),
            row("a", Some("u"), 18),
        ];
        assert_eq!(read(&mut driver, "out")?, expected);
        assert_eq!(driver.metrics().late, 1);
    }
    Ok(())
}

#[test]
fn count_and_reduce_have_it_too_and_a_written_table_shows_removals() -> Result<()> {
    let mut driver = start(TestOptions::default(), |it| {
        let values = it.stream(&IN);
        let counts = values.clone().count("counts").ttl(TEN);
        counts.to(&Topic::json("counted"));
        values.reduce("largest", |a: String, b| a.max(b)).ttl(TEN).to(&JOINED);
    })?;
    send(&mut driver, &[("a", "x", 1), ("a", "y", 2), ("b", "z", 12)])?;
    let largest = [
        row("a", Some("x"), 1),
        row("a", Some("y"), 2),
        row("a", None, 12),
        row("b", Some("z"), 12),
    ];
    assert_eq!(read(&mut driver, "joined")?, largest);
    const COUNTED: Topic<String, u64> = Topic::json("counted");
    let counted = driver.read_changes(&COUNTED)?.into_iter();
    let counted: Vec<_> = counted.map(|row| (row.key, row.value, row.at.as_millis())).collect();
    let a = |count, at| ("a".to_owned(), count, at);
    assert_eq!(counted[..3], [a(Some(1), 1), a(Some(2), 2), a(None, 12)]);
    assert_eq!(counted[3..], [("b".to_owned(), Some(1), 12)]);
    Ok(())
}

#[test]
fn a_stream_that_looks_up_does_not_move_the_table_and_finds_nothing_that_has_gone() -> Result<()>
{
    for options in manners() {
        let mut driver = start(options, |it| {
            let rooms = it.table(&IN).ttl(TEN);
            let clicks = it.stream(&CLICKS);
            clicks
                .left_join(&rooms, |click, room| {
                    format!("{click} {}", room.map_or("-", |r| r.as_str()))
                })
                .to(&JOINED);
        })?;
        let clicks = [("a", "one", 5), ("a", "two", 40), ("a", "three", 60)];
        send(&mut driver, &[("a", "kitchen", 0), ("b", "garden", 50)])?;
        for (key, value, at) in clicks {
            driver.send(&CLICKS, key.into(), value.into(), at)?;
        }
        driver.run()?;
        let expected = [
            row("a", Some("one kitchen"), 5),
            row("a", Some("two kitchen"), 40),
            row("a", Some("three -"), 60),
        ];
        assert_eq!(read(&mut driver, "joined")?, expected);
    }
    Ok(())
}

#[test]
fn filters_maps_and_joined_tables_hear_of_it() -> Result<()> {
    for options in manners() {
        let mut driver = start(options, |it| {
            let rooms = it.table(&IN).ttl(TEN);
            let names = it.table(&CLICKS);
            let cold = rooms.clone().filter(|room| room != "kitchen");
            cold.map(|room| room.to_uppercase()).changes().to(&OUT);
            let join = |room: &String, name: &String| format!("{name} in {room}");
            rooms.join(&names, join).changes().to(&OUT.named("joined"));
        })?;
        driver.send(&CLICKS, "a".into(), "ann".into(), 3)?;
        let rows = [("a", "kitchen", 0), ("b", "garden", 1), ("c", "attic", 11)];
        send(&mut driver, &rows)?;
        driver.run()?;
        let expected =
            [row("b", Some("GARDEN"), 1), row("b", None, 11), row("c", Some("ATTIC"), 11)];
        assert_eq!(read(&mut driver, "out")?, expected);
        let expected = [row("a", Some("ann in kitchen"), 3), row("a", None, 10)];
        assert_eq!(read(&mut driver, "joined")?, expected);
    }
    Ok(())
}

/// Changes of a table that look it up again.
fn looks_at_itself(rooms: Table<String, String>) {
    let changes = rooms.clone().changes();
    changes
        .left_join(&rooms, |change, now| {
            let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
            format!("{}/{}", text(change.as_deref()), text(now.map(String::as_str)))
        })
        .to(&JOINED);
}

#[test]
fn what_follows_a_removal_sees_neither_rows_that_went_nor_the_update_that_comes() -> Result<()>
{
    for options in manners() {
        for folded in [false, true] {
            let mut driver = start(options.clone(), |it| {
                looks_at_itself(if folded {
                    it.stream(&IN).reduce("last", |_, value| value).ttl(TEN)
                } else {
                    it.table(&IN).ttl(TEN)
                });
            })?;
            send(&mut driver, &[("a", "x", 0), ("b", "y", 1), ("a", "z", 11), ("a", "u", 12)])?;
            driver.run()?;
            let expected = [
                row("a", Some("x/x"), 0),
                row("b", Some("y/y"), 1),
                row("a", Some("-/-"), 10),
                row("b", Some("-/-"), 11),
                row("a", Some("z/z"), 11),
                row("a", Some("u/u"), 12),
            ];
            assert_eq!(read(&mut driver, "joined")?, expected, "folded: {folded}");
        }
    }
    Ok(())
}

#[test]
fn a_record_that_is_skipped_moves_the_time_all_the_same() -> Result<()> {
    for policy in [Policy::Skip, Policy::DeadLetter("dead")] {
        for options in manners() {
            let mut driver = start(options, |it| {
                it.on_error(policy);
                let glue = |so_far: &mut String, value: String| {
                    assert!(value != "bad", "bad");
                    *so_far += &value;
                };
                let glued = it.stream(&IN).fold("glued", String::new, glue).ttl(TEN);
                glued.changes().to(&OUT);
            })?;
            let rows = [("a", "x", 0), ("a", "bad", 12), ("b", "y", 2), ("a", "z", 13)];
            send(&mut driver, &rows)?;
            driver.run()?;
            let expected =
                [row("a", Some("x"), 0), row("a", None, 10), row("a", Some("z"), 13)];
            assert_eq!(read(&mut driver, "out")?, expected, "{policy:?}");
            assert_eq!((driver.metrics().skipped, driver.metrics().late), (1, 1));
        }
    }
    Ok(())
}

#[test]
fn the_letter_of_a_removal_that_a_step_cannot_take_is_not_that_of_the_record_at_hand()
-> Result<()> {
    let mut driver = start(TestOptions::default(), |it| {
        it.on_error(Policy::DeadLetter("dead"));
        let changes = it.table(&IN).ttl(TEN).changes();
        changes.map(|row| row.expect("a row")).to(&JOINED);
    })?;
    send(&mut driver, &[("a", "x", 0), ("b", "y", 15)])?;
    let letters = DeadLetters::open(driver.log(), "dead")?.list()?;
    let keys: Vec<_> = letters.iter().map(|it| it.key.as_deref()).collect();
    assert_eq!(keys, [Some(&b"a"[..])]);
    assert!(letters[0].origin.is_none(), "it is no record of a source");
    let expected = [row("a", Some("x"), 0), row("b", Some("y"), 15)];
    assert_eq!(read(&mut driver, "joined")?, expected);
    Ok(())
}

#[test]
fn removals_have_no_headers() -> Result<()> {
    let mut driver = start(TestOptions::default(), |it| it.table(&IN).ttl(TEN).to(&JOINED))?;
    for (key, at) in [("a", 0), ("b", 20)] {
        let mut record = Record::new(key.to_owned(), "x".to_owned(), at);
        record.headers = [("trace", "7")].into_iter().collect();
        driver.send_record(&IN, record)?;
    }
    let rows = driver.read_changes(&JOINED)?.into_iter();
    let rows: Vec<_> =
        rows.map(|row| (row.key, row.value.is_some(), row.headers.is_empty())).collect();
    let expected =
        [("a".into(), true, false), ("a".into(), false, true), ("b".into(), true, false)];
    assert_eq!(rows, expected);
    Ok(())
}

#[test]
fn marks_of_an_exchange_move_the_time_and_lanes_hold_it_back() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let options = TestOptions { partitions: 2, exchange, ..TestOptions::default() };
        let mut driver = start(options, |it| {
            let by_value = it.stream(&IN).key_by(|value| value.clone());
            by_value.count("counts").ttl(TEN).map(u64::to_string).changes().to(&OUT);
        })?;
        // The keys are in both partitions of the input, and all lanes are caught up at rest.
        let rows = [("k0", "a", 0), ("k1", "a", 8), ("k2", "b", 3), ("k3", "a", 18)];
        send(&mut driver, &rows)?;
        let mut changes = read(&mut driver, "out")?;
        changes.retain(|(key, ..)| key == "a");
        let expected = [row("a", Some("1"), 0), row("a", Some("2"), 8), row("a", None, 18)];
        assert_eq!(changes[..3], expected);
        assert_eq!(changes[3..], [row("a", Some("1"), 18)]);
    }
    Ok(())
}

#[test]
fn the_end_of_a_bounded_run_moves_no_time() -> Result<()> {
    let mut driver =
        start(TestOptions::default(), |it| it.table(&IN).ttl(TEN).changes().to(&OUT))?;
    send(&mut driver, &[("a", "1", 5), ("b", "2", 14)])?;
    driver.finish()?;
    assert_eq!(read(&mut driver, "out")?.len(), 2);
    send(&mut driver, &[("c", "3", 15)])?;
    driver.finish()?;
    assert_eq!(read(&mut driver, "out")?, [row("a", None, 15), row("c", Some("3"), 15)]);
    Ok(())
}

#[test]
fn time_and_rows_are_restored_from_a_changelog_and_the_topic_is_left_alone() -> Result<()> {
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let mut driver = start(options, |it| it.table(&IN).ttl(TEN).changes().to(&OUT))?;
        send(&mut driver, &[("a", "1", 0), ("b", "2", 3), ("b", "3", 11)])?;
        driver.crash()?;
        send(&mut driver, &[("c", "4", 1), ("c", "5", 21)])?;
        let expected = [
            row("a", Some("1"), 0),
            row("b", Some("2"), 3),
            row("a", None, 10),
            row("b", Some("3"), 11),
            row("b", None, 21),
            row("c", Some("5"), 21),
        ];
        assert_eq!(read(&mut driver, "out")?, expected);
        assert_eq!(driver.metrics().late, 1, "the time was kept");
        let source = Reader::open(driver.log(), &RAW.named("in"))?.read_to_end()?;
        assert_eq!(source.len(), 5, "nobody but the test has written to it");
        let log = Reader::open(driver.log(), &RAW.named("app.in.changelog"))?.read_to_end()?;
        let gone = log.iter().filter(|record| record.value.clone().flatten().is_none());
        let gone: Vec<_> = gone.map(|it| (&it.key[..], it.at.as_millis())).collect();
        assert_eq!(gone, [(&b"\x01a"[..], 10), (&b"\x01b"[..], 21)]);
    }
    Ok(())
}

#[test]
fn a_topic_that_is_not_compacted_makes_no_difference() -> Result<()> {
    let log = Log::in_memory();
    Producer::open(&log, &IN)?.create(1)?;
    let topology = Topology::new("app");
    topology.table(&IN).ttl(TEN).changes().to(&OUT);
    let mut driver = TestDriver::on_log(topology.build()?, TestOptions::default(), log)?;
    send(&mut driver, &[("a", "1", 0)])?;
    driver.crash()?;
    send(&mut driver, &[("b", "2", 10)])?;
    let expected = [row("a", Some("1"), 0), row("a", None, 10), row("b", Some("2"), 10)];
    assert_eq!(read(&mut driver, "out")?, expected);
    Ok(())
}
