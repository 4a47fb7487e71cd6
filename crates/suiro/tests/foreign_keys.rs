//! Joins on a foreign key: what the recorded cases do not cover (rules F1 to F3).

use proptest::prelude::*;
use std::collections::BTreeMap;
use suiro::{
    App, DeadLetters, ExchangeKind, JsonKey, Log, Plan, Policy, Producer, Result, Table,
    TestDriver, TestOptions, Text, Topic, Topology,
};

const LEFT: Topic<String, String> = Topic::of("left", &JsonKey, &Text);
const RIGHT: Topic<String, String> = Topic::of("right", &JsonKey, &Text);
const OUT: Topic<String, String> = Topic::of("out", &JsonKey, &Text);
const CHANGES: Topic<String, Option<String>> = Topic::json("changes");
const COUNTS: Topic<String, u64> = Topic::json("counts");

/// Left values are `key|rest`; no key is `-`.
fn key_of(row: &str) -> Option<String> {
    assert!(!row.contains("lost"), "no key to be told");
    row.split('|').next().filter(|key| *key != "-").map(str::to_owned)
}

fn pair(left: &str, right: Option<&str>) -> String {
    let right = right.unwrap_or("none");
    assert!(!left.contains("bad") || right != "picky", "a bad pair");
    format!("{left}/{right}")
}

fn joined(topology: &Topology, is_left: bool) -> Table<String, String> {
    let right = topology.table(&RIGHT);
    let left = topology.table(&LEFT);
    match is_left {
        true => left.left_join_on(
            "pairs",
            &right,
            |row| key_of(row),
            |left, right| pair(left, right.map(String::as_str)),
        ),
        false => left.join_on(
            "pairs",
            &right,
            |row| key_of(row),
            |left, right| pair(left, Some(right)),
        ),
    }
}

fn program(is_left: bool, policy: Policy) -> Result<Plan> {
    let topology = Topology::new("join");
    topology.on_error(policy);
    let pairs = joined(&topology, is_left);
    pairs.clone().changes().to(&CHANGES);
    pairs.clone().to(&OUT);
    let right_of = |pair: &String| pair.rsplit('/').next().unwrap_or_default().to_owned();
    pairs.group_by(right_of).count("counts").to(&COUNTS);
    topology.build()
}

/// A topic of so many partitions.
fn create(log: &Log, topic: &Topic<String, String>, partitions: u32) -> Result<()> {
    Producer::open(log, topic)?.create(partitions)
}

/// An update of one side; a removal has no value.
#[derive(Clone, Debug)]
struct Update {
    is_left: bool,
    key: String,
    value: Option<String>,
    at: i64,
}

fn update() -> impl Strategy<Value = Update> {
    let left = (0..6_u8, prop::option::weighted(0.8, 0..5_u8), 0..40_i64).prop_map(
        |(key, foreign, at)| {
            let name =
                |foreign: u8| if foreign == 4 { "-".to_owned() } else { foreign.to_string() };
            Update { is_left: true, key: format!("l{key}"), value: foreign.map(name), at }
        },
    );
    let right = (0..4_u8, any::<bool>(), 0..40_i64).prop_map(|(key, is_there, at)| Update {
        is_left: false,
        key: key.to_string(),
        value: is_there.then(String::new),
        at,
    });
    prop_oneof![3 => left, 2 => right]
}

/// The join, as the rule has it: for each left row the right one that it names.
fn relational(
    left: &BTreeMap<String, (String, i64)>,
    right: &BTreeMap<String, (String, i64)>,
    is_left: bool,
) -> BTreeMap<String, (String, i64)> {
    let mut pairs = BTreeMap::new();
    for (key, (row, at)) in left {
        let other = key_of(row).and_then(|foreign| right.get(&foreign));
        if other.is_some() || is_left {
            let value = pair(row, other.map(|(row, _)| row.as_str()));
            pairs.insert(key.clone(), (value, other.map_or(*at, |(_, right)| *at.max(right))));
        }
    }
    pairs
}

/// The number of a left row, which grows.
fn number_of(pair: &str) -> Option<usize> {
    pair.split('/').next()?.split('|').nth(1)?.parse().ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// At rest the table is the relational join, whatever came in which order; and on the way
    /// there no key shows an older left row after a newer one.
    #[test]
    fn at_rest_the_table_is_the_relational_join(
        is_left in any::<bool>(),
        partitions in (1..4_u32, 1..4_u32),
        exchange in prop_oneof![Just(ExchangeKind::Memory), Just(ExchangeKind::Topic)],
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(8192)],
        lean in any::<bool>(),
        parts in prop::collection::vec(
            (prop::collection::vec(update(), 0..20), any::<bool>()), 1..5,
        ),
    ) {
        let log = Log::in_memory();
        create(&log, &LEFT, partitions.0)?;
        create(&log, &RIGHT, partitions.1)?;
        let options =
            TestOptions { exchange, batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let plan = program(is_left, Policy::Stop)?;
        let mut driver = TestDriver::on_log(plan, options, log)?;
        let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
        let (mut number, mut newest) = (0, BTreeMap::new());
        let mut shown = BTreeMap::new();
        for (updates, crashes) in parts {
            for Update { is_left, key, value, at } in updates {
                number += 1;
                let (topic, rows) =
                    if is_left { (&LEFT, &mut left) } else { (&RIGHT, &mut right) };
                match value {
                    Some(value) => {
                        let value = format!("{value}|{number}");
                        driver.send(topic, key.clone(), value.clone(), at)?;
                        rows.insert(key, (value, at));
                    }
                    None => {
                        driver.remove(topic, key.clone(), at)?;
                        rows.remove(&key);
                    }
                }
            }
            driver.run()?;
            let expected = relational(&left, &right, is_left);
            for change in driver.read(&CHANGES)? {
                let Some(value) = change.value else {
                    shown.remove(&change.key);
                    continue;
                };
                let number = number_of(&value).expect("left rows are numbered");
                let before = newest.insert(change.key.clone(), number);
                prop_assert!(before <= Some(number), "{} after {before:?}", value);
                shown.insert(change.key, (value, change.at.as_millis()));
            }
            // A left row whose right one went is as new as that removal.
            let times = |rows: &BTreeMap<String, (String, i64)>| -> BTreeMap<_, _> {
                let time = |value: &str, at| if value.ends_with("/none") { 0 } else { at };
                let rows = rows.iter();
                rows.map(|(key, (value, at))| (key.clone(), (value.clone(), time(value, *at))))
                    .collect()
            };
            prop_assert_eq!(times(&shown), times(&expected));
            if crashes {
                driver.crash()?;
            }
        }
        let expected = relational(&left, &right, is_left);
        let rows: BTreeMap<_, _> = driver.read_last(&OUT)?.into_iter().collect();
        let values = expected.iter().map(|(key, (value, _))| (key.clone(), value.clone()));
        prop_assert_eq!(rows, values.collect::<BTreeMap<_, _>>());
        let mut counts = BTreeMap::new();
        for (value, _) in expected.values() {
            let right = value.rsplit('/').next().unwrap_or_default();
            *counts.entry(right.to_owned()).or_insert(0) += 1;
        }
        let counted: BTreeMap<_, _> = driver.read_last(&COUNTS)?.into_iter().collect();
        prop_assert_eq!(counted, counts);
    }
}

/// Many rows name one key: its update goes through them in order of the bytes of their keys.
#[test]
fn an_update_goes_through_its_left_rows_in_order_of_their_keys() -> Result<()> {
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(program(false, Policy::Stop)?, options)?;
        for number in (0..200).rev() {
            driver.send(&LEFT, number.to_string(), format!("1|{number}"), number)?;
        }
        assert!(driver.read(&CHANGES)?.is_empty());
        for at in [5, 500] {
            driver.send(&RIGHT, "1".into(), "r".into(), at)?;
            let changes = driver.read(&CHANGES)?;
            let mut expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
            expected.sort();
            let keys: Vec<&String> = changes.iter().map(|change| &change.key).collect();
            assert_eq!(keys, expected.iter().collect::<Vec<_>>());
            let is_right = |change: &suiro::Record<String, Option<String>>| {
                change.at.as_millis() == at.max(change.key.parse().unwrap_or_default())
            };
            assert!(changes.iter().all(is_right));
        }
        // Most of them go elsewhere, and are not heard of again.
        for number in 20..200 {
            driver.send(&LEFT, number.to_string(), format!("2|{number}"), 600)?;
        }
        assert_eq!(driver.read(&CHANGES)?.len(), 180);
        driver.send(&RIGHT, "1".into(), "r".into(), 700)?;
        assert_eq!(driver.read(&CHANGES)?.len(), 20);
    }
    Ok(())
}

#[test]
fn a_row_whose_pair_fails_has_none_until_it_can_be_made() -> Result<()> {
    for is_left in [false, true] {
        let mut driver = TestDriver::new(program(is_left, Policy::Skip)?)?;
        driver.send(&RIGHT, "1".into(), "picky".into(), 0)?;
        driver.send(&LEFT, "a".into(), "1|good".into(), 1)?;
        driver.send(&LEFT, "a".into(), "1|bad".into(), 2)?;
        driver.send(&LEFT, "b".into(), "1|good".into(), 3)?;
        assert_eq!(driver.metrics().skipped, 1);
        let rows = driver.read_last(&OUT)?;
        assert_eq!(rows.into_iter().collect::<Vec<_>>(), [("b".into(), "1|good/picky".into())]);
        driver.send(&RIGHT, "1".into(), "easy".into(), 4)?;
        assert_eq!(driver.read_last(&OUT)?["a"], "1|bad/easy");
        // One of two pairs fails; the other is made.
        driver.send(&RIGHT, "1".into(), "picky".into(), 5)?;
        let rows = driver.read_last(&OUT)?;
        assert_eq!(rows.into_iter().collect::<Vec<_>>(), [("b".into(), "1|good/picky".into())]);
        // The key of a row cannot be told: it has no pair, and the next one has.
        driver.send(&LEFT, "b".into(), "lost".into(), 6)?;
        assert!(driver.read_last(&OUT)?.is_empty());
        driver.send(&LEFT, "b".into(), "1|found".into(), 7)?;
        assert_eq!(driver.read_last(&OUT)?["b"], "1|found/picky");
    }
    Ok(())
}

#[test]
fn a_letter_is_written_of_what_fails() -> Result<()> {
    let log = Log::in_memory();
    let plan = program(false, Policy::DeadLetter("dead"))?;
    let mut driver = TestDriver::on_log(plan, TestOptions::default(), log.clone())?;
    driver.send(&LEFT, "a".into(), "1|bad".into(), 0)?;
    driver.send(&LEFT, "b".into(), "1|good".into(), 1)?;
    driver.send(&LEFT, "c".into(), "lost".into(), 2)?;
    driver.send(&RIGHT, "1".into(), "picky".into(), 3)?;
    let rows = driver.read_last(&OUT)?;
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), [("b".into(), "1|good/picky".into())]);
    let letters = DeadLetters::open(&log, "dead")?.list()?;
    let steps: Vec<&str> = letters.iter().map(|letter| letter.step.as_str()).collect();
    assert_eq!(steps, ["join_on pairs: refer", "join_on pairs"]);
    Ok(())
}

#[test]
fn a_program_that_would_feed_itself_is_refused() -> Result<()> {
    let topology = Topology::new("join");
    let left = topology.table(&LEFT);
    let right = left.clone().map(|row| row.to_uppercase());
    left.join_on("pairs", &right, |row| key_of(row), |left, right| pair(left, Some(right)))
        .to(&OUT);
    let error = topology.build().err().map(|error| error.report()).unwrap_or_default();
    assert!(error.contains("a table that is made of it"), "{error}");
    assert!(error.contains("join=`pairs`"), "{error}");

    // Tables that were joined by their keys share their tasks.
    let topology = Topology::new("join");
    let (left, right) = (topology.table(&LEFT), topology.table(&RIGHT));
    left.clone().join(&right, |left, right| pair(left, Some(right))).to(&OUT);
    left.join_on("pairs", &right, |row| key_of(row), |left, right| pair(left, Some(right)))
        .to(&OUT);
    let error = topology.build().err().map(|error| error.report()).unwrap_or_default();
    assert!(error.contains("feeds itself"), "{error}");
    Ok(())
}

/// Each row names the key of another table, whose rows name those of a third.
#[test]
fn joins_follow_each_other() -> Result<()> {
    const THIRD: Topic<String, String> = Topic::of("third", &JsonKey, &Text);
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let topology = Topology::new("join");
        let (right, third) = (topology.table(&RIGHT), topology.table(&THIRD));
        let last = |row: &String| row.rsplit('/').next().and_then(key_of);
        topology
            .table(&LEFT)
            .join_on("first", &right, |row| key_of(row), |left, right| pair(left, Some(right)))
            .left_join_on("second", &third, last, |left, right| {
                pair(left, right.map(String::as_str))
            })
            .to(&OUT);
        let options = TestOptions { partitions: 3, exchange, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        driver.send(&LEFT, "a".into(), "1|x".into(), 0)?;
        driver.send(&RIGHT, "1".into(), "7|y".into(), 1)?;
        assert_eq!(driver.read_last(&OUT)?["a"], "1|x/7|y/none");
        driver.send(&THIRD, "7".into(), "z".into(), 2)?;
        driver.send(&THIRD, "8".into(), "w".into(), 3)?;
        assert_eq!(driver.read_last(&OUT)?["a"], "1|x/7|y/z");
        driver.send(&RIGHT, "1".into(), "8|y".into(), 4)?;
        assert_eq!(driver.read_last(&OUT)?["a"], "1|x/8|y/w");
        driver.remove(&RIGHT, "1".into(), 5)?;
        driver.finish()?;
        assert!(driver.read_last(&OUT)?.is_empty());
    }
    Ok(())
}

/// The other table may be one that was folded, and the rows may be asked for by name.
#[test]
fn pairs_are_found_by_the_name_of_the_join() -> Result<()> {
    let topology = Topology::new("join");
    let right = topology.stream(&RIGHT).fold("sums", String::new, |sum, row| *sum += &row);
    let _pairs = topology.table(&LEFT).left_join_on(
        "pairs",
        &right,
        |row| key_of(row),
        |left, right| pair(left, right.map(String::as_str)),
    );
    let log = Log::in_memory();
    let running = App::new(topology.build()?, log.clone()).partitions(2).start()?;
    let (mut left, mut right) = (Producer::open(&log, &LEFT)?, Producer::open(&log, &RIGHT)?);
    left.send("a".into(), "1|x".into(), 0)?;
    left.send("b".into(), "-|y".into(), 0)?;
    left.flush()?;
    for value in ["r", "s"] {
        right.send("1".into(), value.into(), 1)?;
    }
    right.flush()?;
    let pairs = running.query::<String, String>("pairs")?;
    while pairs.get(&"a".into())?.as_deref() != Some("1|x/rs")
        || pairs.get(&"b".into())?.is_none()
    {
        std::thread::yield_now();
    }
    assert_eq!(pairs.get(&"c".into())?, None);
    assert_eq!(pairs.all()?.len(), 2);
    running.shutdown()
}
