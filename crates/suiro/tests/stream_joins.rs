//! Joins of streams within a time: what the recorded cases do not cover.

#[path = "stream_joins/model.rs"]
mod model;

use model::{Came, Kind, Sent};
use proptest::prelude::*;
use std::time::Duration;
use suiro::{
    Bytes, DeadLetters, ExchangeKind, Log, Plan, Policy, Raw, Result, TestDriver, TestOptions,
    Text, Topic, Topology, Within,
};

const LEFT: Topic<String, String> = Topic::json("left");
const RIGHT: Topic<String, String> = Topic::json("right");
const OUT: Topic<String, String> = Topic::json("out");
const CHANGELOG: Topic<Bytes, Option<Bytes>> = Topic::of("join.pairs.changelog", &Raw, &Raw);
const DEAD: &str = "dead";

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

fn pair(left: Option<&String>, right: Option<&String>) -> String {
    let [left, right] = [left, right].map(|side| side.map_or("none", String::as_str));
    assert!(!left.contains("bad") && !right.contains("bad"), "a bad one");
    format!("{left}-{right}")
}

/// A join of the two topics, named `pairs`.
fn program(kind: Kind, within: Within, policy: &Policy) -> Result<Plan> {
    let topology = Topology::new("join");
    topology.on_error(*policy);
    let (left, right) = (topology.stream(&LEFT), topology.stream(&RIGHT));
    let joined = match kind {
        Kind::Inner => left
            .join_within("pairs", right, within, |left, right| pair(Some(left), Some(right))),
        Kind::Left => {
            left.left_join_within("pairs", right, within, |left, right| pair(Some(left), right))
        }
        Kind::Outer => left.outer_join_within("pairs", right, within, pair),
    };
    joined.to(&OUT);
    topology.build()
}

fn manners() -> impl Iterator<Item = TestOptions> {
    [1, 2, 8192].into_iter().flat_map(|batch_rows| {
        [false, true].into_iter().map(move |lean| TestOptions {
            batch_rows,
            lean,
            run_at_send: false,
            ..TestOptions::default()
        })
    })
}

fn out(driver: &mut TestDriver) -> Result<Vec<(String, i64)>> {
    let rows = driver.read(&OUT)?.into_iter();
    Ok(rows.map(|row| (row.value, row.at.as_millis())).collect())
}

fn values(driver: &mut TestDriver) -> Result<Vec<String>> {
    Ok(out(driver)?.into_iter().map(|(value, _)| value).collect())
}

#[test]
fn sides_with_new_keys_meet_behind_exchanges_with_names() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let topology = Topology::new("join");
        let key = |text: &String| text[..1].to_owned();
        let right = topology.stream(&RIGHT).key_by(key);
        let left = topology.stream(&LEFT).key_by(key);
        let within = Within::of(millis(10));
        left.left_join_within("pairs", right, within, |left, right| pair(Some(left), right))
            .to(&OUT);
        let plan = topology.build()?;
        let text = plan.describe();
        assert!(text.contains("pairs-left") && text.contains("pairs-right"), "{text}");
        let options = TestOptions { partitions: 3, exchange, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(plan, options)?;
        for (topic, key, value, at) in [
            (LEFT, "1", "a1", 0),
            (LEFT, "2", "b1", 2),
            (RIGHT, "3", "a2", 5),
            (RIGHT, "4", "b2", 30),
            (LEFT, "5", "b3", 31),
        ] {
            driver.send(&topic, key.into(), value.into(), at)?;
        }
        driver.finish()?;
        let mut all = out(&mut driver)?;
        all.sort();
        let expected = [("a1-a2", 5), ("b1-none", 2), ("b3-b2", 31)];
        assert_eq!(all, expected.map(|(value, at)| (value.to_owned(), at)));
    }
    Ok(())
}

#[test]
fn sides_with_keys_of_different_formats_are_refused() {
    let topology = Topology::new("join");
    let plain: Topic<u64, String> = Topic::of("plain", &suiro::Integer, &Text);
    let quoted: Topic<u64, String> = Topic::of("quoted", &suiro::Json, &Text);
    let (left, right) = (topology.stream(&plain), topology.stream(&quoted));
    let within = Within::of(millis(10));
    left.join_within("pairs", right, within, |left, right| format!("{left}{right}"))
        .to(&plain.named("out"));
    let error = topology.build().err().expect("equal keys may be in different partitions");
    assert!(error.report().contains("different formats"), "{}", error.report());
}

/// A stream that is joined with itself: each record comes by both sides, the left one first.
#[test]
fn both_sides_of_one_stream_take_each_record_in_its_turn() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("join");
        let all = topology.stream(&LEFT);
        let later = all.clone().filter(|value| value != "b").map(|value| value.to_uppercase());
        all.left_join_within("pairs", later, Within::of(millis(1)), |left, right| {
            pair(Some(left), right)
        })
        .to(&OUT);
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        for (value, at) in [("a", 0), ("b", 1), ("c", 2), ("d", 9), ("b", 20), ("e", 30)] {
            driver.send(&LEFT, "k".into(), value.into(), at)?;
        }
        driver.run()?;
        let expected = ["a-A", "b-A", "b-C", "c-C", "d-D", "b-none", "e-E"];
        assert_eq!(values(&mut driver)?, expected);
    }
    Ok(())
}

#[test]
fn the_end_sends_what_is_alone_and_keeps_what_may_still_pair() -> Result<()> {
    for options in manners() {
        let within = Within::of(millis(10)).before(millis(3));
        let plan = program(Kind::Outer, within, &Policy::Stop)?;
        let mut driver = TestDriver::with_options(plan, options)?;
        for (topic, key, value, at) in [
            (LEFT, "b", "l1", 100),
            (LEFT, "a", "l2", 100),
            (RIGHT, "c", "r1", 107),
            (RIGHT, "a", "r2", 102),
            (RIGHT, "d", "r3", 104),
            (RIGHT, "d", "r4", 104),
        ] {
            driver.send(&topic, key.into(), value.into(), at)?;
        }
        driver.finish()?;
        // In order of closing time, left before right: 108, 108 and 111.
        let expected = [("l2-r2", 102), ("none-r3", 104), ("none-r4", 104)];
        let rest = [("l1-none", 100), ("none-r1", 107)];
        let expected: Vec<_> = expected.into_iter().chain(rest).collect();
        let got = out(&mut driver)?;
        let mut sorted = got.clone();
        sorted.sort_by_key(|(value, _)| expected.iter().position(|(it, _)| it == value));
        let expected: Vec<_> =
            expected.into_iter().map(|(value, at)| (value.to_owned(), at)).collect();
        assert_eq!(sorted, expected);
        let alone: Vec<&str> = got.iter().map(|(value, _)| &**value).collect();
        assert_eq!(alone, ["l2-r2", "none-r3", "none-r4", "l1-none", "none-r1"]);
        // What was sent alone is gone, what was paired is there.
        driver.send(&LEFT, "d".into(), "l3".into(), 104)?;
        driver.send(&RIGHT, "a".into(), "r5".into(), 105)?;
        driver.finish()?;
        let got = values(&mut driver)?;
        assert_eq!(got, ["l2-r5", "l3-none"]);
    }
    Ok(())
}

#[test]
fn a_record_whose_pair_fails_makes_none_and_is_not_kept() -> Result<()> {
    for options in manners() {
        let within = Within::of(millis(5));
        let plan = program(Kind::Left, within, &Policy::Skip)?;
        let mut driver = TestDriver::with_options(plan, options)?;
        for (topic, value, at) in [
            (RIGHT, "r1", 0),
            (RIGHT, "bad", 1),
            (RIGHT, "r2", 2),
            // Pairs with r1, and then fails.
            (LEFT, "l1", 3),
            (LEFT, "l2", 7),
            // Closes nothing before its time; closes l2 after it.
            (RIGHT, "r3", 8),
            (LEFT, "bad", 20),
            // The second bad one fails alone, which is nothing to this one.
            (LEFT, "l3", 40),
            (RIGHT, "r4", 40),
        ] {
            driver.send(&topic, "k".into(), value.into(), at)?;
        }
        driver.run()?;
        assert_eq!(values(&mut driver)?, ["l2-r2", "l2-r3", "l3-r4"]);
        assert_eq!(driver.metrics().skipped, 2);
    }
    Ok(())
}

#[test]
fn a_letter_is_written_of_a_record_that_fails_alone() -> Result<()> {
    for options in manners() {
        let log = Log::in_memory();
        let policy = Policy::DeadLetter(DEAD);
        let plan = program(Kind::Outer, Within::of(millis(5)), &policy)?;
        let mut driver = TestDriver::on_log(plan, options, log.clone())?;
        for (topic, value, at) in
            [(LEFT, "bad", 0), (RIGHT, "r1", 20), (LEFT, "bad", 22), (LEFT, "bad", 40)]
        {
            driver.send(&topic, "k".into(), value.into(), at)?;
        }
        driver.finish()?;
        assert_eq!(values(&mut driver)?, ["none-r1"]);
        // The second one fails at a pair, and the others when they are closed.
        assert_eq!(DeadLetters::open(&log, DEAD)?.list()?.len(), 3);
    }
    Ok(())
}

#[test]
fn closed_records_go_and_each_is_one_row_of_the_changelog() -> Result<()> {
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let plan = program(Kind::Inner, Within::of(millis(10)), &Policy::Stop)?;
        let mut driver = TestDriver::with_options(plan, options)?;
        // One key, one record per commit: each is written once, and removed once.
        for at in 0..50 {
            let topic = if at % 2 == 0 { LEFT } else { RIGHT };
            driver.send(&topic, "k".into(), format!("{at}"), at)?;
            let kept = driver.metrics().tasks.iter().map(|task| task.rows).sum::<usize>();
            assert_eq!(kept as i64, (at + 1).min(11));
        }
        driver.send(&LEFT, "other".into(), "last".into(), 1_000)?;
        let kept = driver.metrics().tasks.iter().map(|task| task.rows).sum::<usize>();
        assert_eq!(kept, 1);
        let changes = driver.read_changes(&CHANGELOG)?;
        let rows = changes.iter().filter(|row| row.key.first() == Some(&1));
        let (put, removed): (Vec<_>, Vec<_>) =
            rows.partition(|row| row.value.as_ref().is_some_and(Option::is_some));
        assert_eq!((put.len(), removed.len()), (51, 50));
        assert_eq!(driver.metrics().late, 0);
        driver.send(&LEFT, "k".into(), "late".into(), 10)?;
        assert_eq!(driver.metrics().late, 1);
    }
    Ok(())
}

fn came() -> impl Strategy<Value = Came> {
    (0..2_usize, 0..3_u8, 0..12_i64).prop_map(|(side, key, step)| Came {
        side,
        key: key.to_string(),
        at: step,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// What is sent is what the rules say, whatever the batches, stores and crashes.
    #[test]
    fn joins_send_what_the_rules_say(
        kind in prop_oneof![Just(Kind::Inner), Just(Kind::Left), Just(Kind::Outer)],
        (before, after, grace) in (0..6_i64, 0..6_i64, 0..4_i64),
        groups in prop::collection::vec((prop::collection::vec(came(), 0..8), any::<bool>()), 1..8),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        lean in any::<bool>(),
    ) {
        let within = Within::of(millis(after)).before(millis(before)).grace(millis(grace));
        let plan = program(kind, within, &Policy::Stop)?;
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(plan, options)?;
        let mut order = Vec::new();
        for (number, (group, crashes)) in groups.into_iter().enumerate() {
            let base = number as i64 * 4;
            let mut sides = [Vec::new(), Vec::new()];
            for came in group {
                let came = Came { at: base + came.at, ..came };
                let topic = &[LEFT, RIGHT][came.side];
                let name = order.len() + sides[0].len() + sides[1].len();
                driver.send(topic, came.key.clone(), name.to_string(), came.at)?;
                sides[came.side].push((came, name.to_string()));
            }
            driver.run()?;
            order.extend(model::turns(sides));
            if crashes {
                driver.crash()?;
            }
        }
        driver.finish()?;
        let got: Vec<Sent> = driver
            .read(&OUT)?
            .into_iter()
            .map(|row| Sent { key: row.key, value: row.value, at: row.at.as_millis() })
            .collect();
        prop_assert_eq!(got, model::joined(kind, (before, after, grace), &order));
    }
}
