//! Joins with what was valid at a time, and versioned tables: what the recorded cases do not
//! cover.

#[path = "as_of/model.rs"]
mod model;

use model::{Came, Sent};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    App, Bytes, DeadLetters, ExchangeKind, Log, Plan, Policy, Producer, Raw, Reader, Result,
    TestDriver, TestOptions, Topic, Topology, VersionedTable,
};

const ORDERS: Topic<String, String> = Topic::json("orders");
const RATES: Topic<String, String> = Topic::json("rates");
const OUT: Topic<String, String> = Topic::json("out");
const CHANGES: Topic<String, Option<String>> = Topic::json("changes");
const RAW: Topic<Bytes, Option<Bytes>> = Topic::of("", &Raw, &Raw);
const DEAD: &str = "dead";

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

fn pair(order: String, rate: Option<&String>) -> String {
    assert!(!order.contains("bad"), "a bad one");
    format!("{order}-{}", rate.map_or("none", String::as_str))
}

/// Orders that are joined with rates, in the store `priced`, and the changes of the newest rates.
fn program(
    (is_left, history, grace): (bool, i64, i64),
    (table_first, speaks): (bool, bool),
    policy: Policy,
) -> Result<Plan> {
    let topology = Topology::new("app");
    topology.on_error(policy);
    let table = || topology.versioned_table(&RATES, millis(history));
    let (orders, rates) = if table_first {
        let rates = table();
        (topology.stream(&ORDERS), rates)
    } else {
        (topology.stream(&ORDERS), table())
    };
    if speaks {
        rates.newest().changes().to(&CHANGES);
    }
    let joined = if is_left {
        orders.left_join_as_of("priced", &rates, millis(grace), pair)
    } else {
        orders
            .join_as_of("priced", &rates, millis(grace), |order, rate| pair(order, Some(rate)))
    };
    joined.to(&OUT);
    topology.build()
}

fn left(history: i64, grace: i64) -> Result<Plan> {
    program((true, history, grace), (false, true), Policy::Stop)
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

fn values(driver: &mut TestDriver) -> Result<Vec<String>> {
    Ok(driver.read(&OUT)?.into_iter().map(|row| row.value).collect())
}

/// What the changelog `name` holds, without the stream time.
fn logged(driver: &TestDriver, name: &str) -> Result<BTreeMap<Bytes, Bytes>> {
    let mut rows = BTreeMap::new();
    let topic = RAW.named(format!("app.{name}.changelog"));
    let log = Reader::open(driver.log(), &topic)?.read_to_end()?;
    for record in log.into_iter().filter(|record| record.key[0] == 1) {
        match record.value.flatten() {
            Some(value) => rows.insert(record.key, value),
            None => rows.remove(&record.key),
        };
    }
    Ok(rows)
}

#[test]
fn a_grace_that_is_longer_than_the_history_is_refused() {
    let error = left(10, 11).err().expect("what is waited for may be forgotten");
    let report = error.report();
    assert!(report.contains("grace_ms=`11`") && report.contains("history_ms=`10`"), "{report}");
    assert!(left(10, 10).is_ok() && left(0, 0).is_ok());
}

#[test]
fn sides_with_keys_of_different_formats_are_refused() {
    let topology = Topology::new("join");
    let quoted: Topic<u64, String> = Topic::of("quoted", &suiro::Json, &suiro::Text);
    let plain: Topic<u64, String> = Topic::of("plain", &suiro::Integer, &suiro::Text);
    let rates = topology.versioned_table(&quoted, millis(10));
    topology.stream(&plain).left_join_as_of("all", &rates, millis(0), pair).to(&plain);
    let error = topology.build().err().expect("equal keys may be in different partitions");
    assert!(error.report().contains("different formats"), "{}", error.report());
}

#[test]
fn a_stream_with_new_keys_comes_through_an_exchange_with_the_name_of_the_join() -> Result<()> {
    for (exchange, grace) in [ExchangeKind::Memory, ExchangeKind::Topic]
        .into_iter()
        .flat_map(|exchange| [0, 5].map(|grace| (exchange, grace)))
    {
        let topology = Topology::new("app");
        let rates = topology.versioned_table(&RATES, millis(100));
        let orders = topology.stream(&ORDERS).key_by(|order| order[..1].to_owned());
        orders.left_join_as_of("priced", &rates, millis(grace), pair).to(&OUT);
        let plan = topology.build()?;
        assert!(plan.describe().contains("receive priced"), "{}", plan.describe());
        let options = TestOptions { partitions: 3, exchange, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(plan, options)?;
        for (key, at) in [("a", 0), ("b", 5), ("a", 10)] {
            driver.send(&RATES, key.into(), format!("{key}{at}"), at)?;
        }
        for (key, order, at) in [("1", "a1", 9), ("2", "b2", 4), ("3", "a3", 12)] {
            driver.send(&ORDERS, key.into(), order.into(), at)?;
        }
        driver.finish()?;
        let mut all = values(&mut driver)?;
        all.sort();
        assert_eq!(all, ["a1-a0", "a3-a10", "b2-none"]);
    }
    Ok(())
}

#[test]
fn the_end_lets_all_go_that_waits() -> Result<()> {
    for options in manners() {
        let mut driver = TestDriver::with_options(left(100, 50)?, options)?;
        driver.send(&RATES, "a".into(), "x".into(), 10)?;
        for (order, at) in [("late", 20), ("soon", 12), ("last", 20)] {
            driver.send(&ORDERS, "a".into(), order.into(), at)?;
        }
        driver.run()?;
        assert_eq!(values(&mut driver)?, [""; 0]);
        driver.finish()?;
        assert_eq!(values(&mut driver)?, ["soon-x", "late-x", "last-x"]);
        // Time did not move by that.
        driver.send(&ORDERS, "a".into(), "more".into(), 21)?;
        driver.run()?;
        assert_eq!(values(&mut driver)?, [""; 0]);
    }
    Ok(())
}

#[test]
fn a_record_that_fails_when_it_has_waited_is_the_one_that_is_skipped() -> Result<()> {
    for (options, grace) in manners().flat_map(|options| [0, 5].map(|it| (options.clone(), it)))
    {
        let log = Log::in_memory();
        let plan = program((true, 100, grace), (false, true), Policy::DeadLetter(DEAD))?;
        let mut driver = TestDriver::on_log(plan, options, log.clone())?;
        driver.send(&RATES, "a".into(), "x".into(), 0)?;
        for (order, at) in [("one", 1), ("bad", 2), ("two", 3), ("three", 20)] {
            driver.send(&ORDERS, "a".into(), order.into(), at)?;
        }
        driver.send(&RATES, "a".into(), "y".into(), 30)?;
        driver.run()?;
        assert_eq!(values(&mut driver)?, ["one-x", "two-x", "three-x"]);
        assert_eq!(DeadLetters::open(&log, DEAD)?.list()?.len(), 1);
        assert_eq!(driver.metrics().skipped, 1);
        let changes = driver.read(&CHANGES)?.into_iter().map(|row| row.value);
        assert_eq!(changes.collect::<Vec<_>>(), [Some("x".into()), Some("y".into())]);
    }
    Ok(())
}

#[test]
fn versions_leave_the_changelog_when_they_are_out_of_history() -> Result<()> {
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(left(10, 0)?, options)?;
        for at in 0..40 {
            driver.send(&RATES, "a".into(), format!("{at}"), at)?;
            // Of the versions that are not after the bound, the newest stays.
            assert_eq!(logged(&driver, "rates")?.len() as i64, (at + 1).min(11));
        }
        driver.send(&RATES, "b".into(), "other".into(), 1_000)?;
        assert_eq!(logged(&driver, "rates")?.len(), 2, "what is valid stays");
        driver.crash()?;
        driver.send(&ORDERS, "a".into(), "old".into(), 38)?;
        driver.send(&ORDERS, "a".into(), "new".into(), 39)?;
        assert_eq!(values(&mut driver)?, ["old-none", "new-39"]);
        // A removal that is out of history says no more than that there is nothing.
        driver.remove(&RATES, "a".into(), 1_000)?;
        assert_eq!(logged(&driver, "rates")?.len(), 3);
        driver.send(&RATES, "b".into(), "other".into(), 1_010)?;
        assert_eq!(logged(&driver, "rates")?.len(), 2);
        assert_eq!(driver.metrics().late, 0);
        driver.send(&RATES, "a".into(), "late".into(), 999)?;
        assert_eq!(driver.metrics().late, 1);
    }
    Ok(())
}

#[test]
fn a_record_that_waits_is_one_row_of_the_changelog_until_it_goes() -> Result<()> {
    let mut driver = TestDriver::with_options(left(100, 10)?, TestOptions::default())?;
    for at in 0..30 {
        driver.send(&ORDERS, "a".into(), format!("{at}"), at)?;
        assert_eq!(logged(&driver, "priced")?.len() as i64, (at + 1).min(10));
        if at % 7 == 0 {
            driver.crash()?;
        }
    }
    driver.finish()?;
    assert_eq!(logged(&driver, "priced")?.len(), 0);
    assert_eq!(values(&mut driver)?.len(), 30);
    Ok(())
}

/// A stream of the newest rows looks into the table that they come from.
#[test]
fn what_comes_of_a_change_sees_the_table_as_of_that_change() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("app");
        let rates = topology.versioned_table(&RATES, millis(10));
        let changes = rates.newest().changes().map(|row| row.unwrap_or("gone".into()));
        let now = changes.clone().left_join_as_of("now", &rates, millis(0), pair);
        let soon = changes.left_join_as_of("soon", &rates, millis(2), pair);
        now.merge(soon.map(|pair| format!("soon {pair}"))).to(&OUT);
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        for (rate, at) in [("a", 0), ("b", 1), ("c", 4), ("late", 3), ("d", 4), ("e", 20)] {
            driver.send(&RATES, "k".into(), rate.into(), at)?;
        }
        driver.run()?;
        let expected =
            ["a-a", "b-b", "soon a-a", "soon b-b", "c-c", "d-d", "soon c-d", "soon d-d", "e-e"];
        assert_eq!(values(&mut driver)?, expected);
    }
    Ok(())
}

#[test]
fn the_newest_rows_are_a_table_like_any_other() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("app");
        let rates = topology.versioned_table(&RATES, millis(10));
        topology.stream(&ORDERS).left_join(&rates.newest(), pair).to(&OUT);
        let last: Topic<String, String> = Topic::json("last");
        rates.newest().filter(|rate| rate != "hidden").to(&last);
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        for (rate, at) in [("b", 5), ("a", 3)] {
            driver.send(&RATES, "k".into(), rate.into(), at)?;
        }
        driver.send(&ORDERS, "k".into(), "one".into(), 4)?;
        driver.send(&RATES, "l".into(), "hidden".into(), 6)?;
        driver.run()?;
        driver.send(&ORDERS, "k".into(), "two".into(), 7)?;
        driver.run()?;
        assert_eq!(values(&mut driver)?, ["one-none", "two-b"]);
        let last: Vec<_> = driver.read_last(&last)?.into_iter().collect();
        assert_eq!(last, [("k".to_owned(), "b".to_owned())]);
    }
    Ok(())
}

#[test]
fn a_query_gives_the_newest_rows() -> Result<()> {
    let log = Log::in_memory();
    let topology = Topology::new("app");
    let _rates: VersionedTable<_, _> = topology.versioned_table(&RATES, millis(10));
    let running = App::new(topology.build()?, log.clone()).partitions(1).start()?;
    let mut rates = Producer::open(&log, &RATES)?;
    for (key, rate, at) in [("a", "new", 9), ("a", "old", 5), ("b", "other", 9)] {
        rates.send(key.into(), rate.into(), at)?;
    }
    rates.flush()?;
    let query = running.query::<String, String>("rates")?;
    while query.get(&"b".into())?.is_none() {
        std::thread::yield_now();
    }
    assert_eq!(query.get(&"a".into())?, Some("new".into()));
    assert_eq!(query.get(&"c".into())?, None);
    assert_eq!(query.all()?.len(), 2);
    running.shutdown()
}

#[test]
fn a_plain_table_on_a_compacted_topic_becomes_versioned_and_plain_again() -> Result<()> {
    let log = Log::in_memory();
    let plain = || {
        let topology = Topology::new("app");
        let rates = topology.table(&RATES);
        topology.stream(&ORDERS).left_join(&rates, pair).to(&OUT);
        topology.build()
    };
    let start = |plan| TestDriver::on_log(plan, TestOptions::default(), log.clone());
    let found = |driver: &mut TestDriver, at| {
        values(driver)?;
        driver.send(&ORDERS, "a".into(), "it".into(), at)?;
        values(driver)
    };
    let mut driver = start(plain()?)?;
    driver.send(&RATES, "a".into(), "x".into(), 10)?;
    driver.send(&RATES, "b".into(), "z".into(), 50)?;
    drop(driver);

    let mut driver = start(left(20, 0)?)?;
    assert_eq!(found(&mut driver, 30)?, ["it-x"]);
    assert_eq!(logged(&driver, "rates")?.len(), 2, "the first commit has written all versions");
    driver.crash()?;
    driver.send(&RATES, "a".into(), "y".into(), 40)?;
    assert_eq!(found(&mut driver, 30)?, ["it-x"]);
    assert_eq!(found(&mut driver, 29)?, ["it-none"]);
    driver.crash()?;
    assert_eq!(found(&mut driver, 30)?, ["it-x"]);
    assert_eq!(found(&mut driver, 40)?, ["it-y"]);
    drop(driver);

    let mut driver = start(plain()?)?;
    assert_eq!(found(&mut driver, 30)?, ["it-y"]);
    driver.remove(&RATES, "a".into(), 60)?;
    drop(driver);
    let mut driver = start(left(20, 0)?)?;
    assert_eq!(found(&mut driver, 60)?, ["it-none"]);
    assert_eq!(found(&mut driver, 70)?, ["it-none"]);
    Ok(())
}

#[test]
fn versions_and_records_that_wait_are_migrated() -> Result<()> {
    let log = Log::in_memory();
    let rates: Topic<String, u64> = Topic::json("numbers");
    let orders: Topic<String, u64> = Topic::json("amounts");
    let topology = Topology::new("app");
    let table = topology.versioned_table(&rates, millis(100));
    let stream = topology.stream(&orders);
    stream.left_join_as_of("priced", &table, millis(50), |_, _| String::new()).to(&OUT);
    let options = TestOptions::default();
    let mut driver = TestDriver::on_log(topology.build()?, options.clone(), log.clone())?;
    driver.send(&rates, "a".into(), 1, 10)?;
    driver.remove(&rates, "a".into(), 20)?;
    driver.send(&rates, "a".into(), 3, 30)?;
    for at in [15, 25, 35] {
        driver.send(&orders, "a".into(), at as u64, at)?;
    }
    drop(driver);

    let topology = Topology::new("app");
    topology.migrate("numbers", |old: u64| format!("rate {old}"));
    topology.migrate("priced", |old: u64| format!("order {old}"));
    let text = |old: &'static str| Topic::<String, String>::json(old);
    let table = topology.versioned_table(&text("numbers"), millis(100));
    let stream = topology.stream(&text("amounts"));
    stream.left_join_as_of("priced", &table, millis(50), pair).to(&OUT);
    let mut driver = TestDriver::on_log(topology.build()?, options, log)?;
    driver.run()?;
    driver.finish()?;
    let expected = ["order 15-rate 1", "order 25-none", "order 35-rate 3"];
    assert_eq!(values(&mut driver)?, expected);
    Ok(())
}

fn came() -> impl Strategy<Value = Came> {
    (any::<bool>(), 0..3_u8, 0..24_i64, 0..5_u8).prop_map(|(to_table, key, at, what)| Came {
        to_table,
        key: key.to_string(),
        value: (!to_table || what > 0).then(String::new),
        at,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// What is sent is what the rules say, whatever the batches, stores and crashes.
    #[test]
    fn what_was_valid_is_what_the_rules_say(
        is_left in any::<bool>(),
        (history, grace) in (0..20_i64).prop_flat_map(|history| (Just(history), 0..=history)),
        groups in prop::collection::vec((prop::collection::vec(came(), 0..9), any::<bool>()), 1..9),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        (lean, speaks) in any::<(bool, bool)>(),
    ) {
        let plan = program((is_left, history, grace), (false, speaks), Policy::Stop)?;
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(plan, options)?;
        let (mut order, mut name) = (Vec::new(), 0);
        for (number, (mut group, crashes)) in groups.into_iter().enumerate() {
            for came in &mut group {
                came.at += number as i64 * 5;
                name += 1;
                if let Some(value) = &mut came.value {
                    *value = name.to_string();
                }
                match (&came.value, came.to_table) {
                    (Some(value), false) => {
                        driver.send(&ORDERS, came.key.clone(), value.clone(), came.at)?;
                    }
                    (Some(value), true) => {
                        driver.send(&RATES, came.key.clone(), value.clone(), came.at)?;
                    }
                    (None, _) => driver.remove(&RATES, came.key.clone(), came.at)?,
                }
            }
            driver.run()?;
            order.extend(model::turns(group));
            if crashes {
                driver.crash()?;
            }
        }
        driver.finish()?;
        let (sent, changes) = model::joined(&order, (is_left, history, grace));
        let got: Vec<Sent> = driver
            .read(&OUT)?
            .into_iter()
            .map(|row| Sent { key: row.key, value: Some(row.value), at: row.at.as_millis() })
            .collect();
        prop_assert_eq!(got, sent);
        if speaks {
            let got: Vec<Sent> = driver
                .read_changes(&CHANGES)?
                .into_iter()
                .map(|row| {
                    let value = row.value.flatten();
                    Sent { key: row.key, value, at: row.at.as_millis() }
                })
                .collect();
            prop_assert_eq!(got, changes);
        }
    }
}
