//! Global tables: every process holds all rows, before it takes its first record (rule A4).

use proptest::prelude::*;
use std::collections::BTreeMap;
use suiro::{
    App, Error, GlobalTable, Log, Plan, Policy, Producer, Reader, Result, TestDriver,
    TestOptions, Topic, Topology,
};

const NAMES: Topic<u32, String> = Topic::json("names");
const SALES: Topic<u32, u32> = Topic::json("sales");
const NAMED: Topic<u32, String> = Topic::json("named-sales");

fn plan(
    set: impl FnOnce(&Topology, GlobalTable<u32, String>) -> GlobalTable<u32, String>,
) -> Plan {
    let topology = Topology::new("shop");
    let names = set(&topology, topology.global_table(&NAMES));
    let sales = topology.stream(&SALES);
    let named = sales.left_join_global(
        &names,
        |_, item| Some(*item),
        |item, name| name.map_or_else(|| format!("{item}?"), String::clone),
    );
    named.to(&NAMED);
    topology.build().expect("the program is right")
}

fn write(log: &Log, names: &[(u32, Option<String>)], partitions: u32) -> Result<()> {
    let mut producer = Producer::open(log, &NAMES)?;
    producer.create(partitions)?;
    for (at, (key, name)) in names.iter().enumerate() {
        match name {
            Some(name) => producer.send(*key, name.clone(), at as i64)?,
            None => producer.remove(*key, at as i64)?,
        }
    }
    producer.flush()
}

fn last(names: &[(u32, Option<String>)]) -> BTreeMap<u32, String> {
    let mut rows = BTreeMap::new();
    for (key, name) in names {
        match name {
            Some(name) => rows.insert(*key, name.clone()),
            None => rows.remove(key),
        };
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_is_whole_before_the_first_record_and_follows_its_topic(
        names in prop::collection::vec((0..9_u32, prop::option::of("[a-z]{1,3}")), 0..40),
        later in prop::collection::vec((0..9_u32, prop::option::of("[a-z]{1,3}")), 0..9),
        partitions in 1..4_u32,
        threads in 1..4_usize,
    ) {
        let log = Log::in_memory();
        write(&log, &names, partitions)?;
        let mut sales = Producer::open(&log, &SALES)?;
        sales.create(3)?;
        for item in 0..9 {
            sales.send(item + 100, item, 0)?;
        }
        sales.flush()?;
        let options = TestOptions { threads, ..TestOptions::default() };
        let same = |_: &Topology, names| names;
        let mut driver = TestDriver::on_log(plan(same), options.clone(), log.clone())?;
        driver.run()?;
        let hold = |driver: &mut TestDriver, names: &[(u32, Option<String>)]| -> Result<()> {
            let rows = last(names);
            let found = driver.read_last(&NAMED)?;
            for item in 0..9 {
                let name = rows.get(&item).cloned().unwrap_or_else(|| format!("{item}?"));
                assert_eq!(found[&(item + 100)], name);
            }
            assert_eq!(driver.metrics().global_rows, rows.len());
            Ok(())
        };
        hold(&mut driver, &names)?;

        write(&log, &later, partitions)?;
        driver.run()?;
        for item in 0..9 {
            driver.send(&SALES, item + 100, item, 1)?;
        }
        let all = [names, later].concat();
        hold(&mut driver, &all)?;
        drop(driver);

        // Nothing of it is kept but the topic.
        let mut driver = TestDriver::on_log(plan(same), options, log)?;
        for item in 0..9 {
            driver.send(&SALES, item + 100, item, 2)?;
        }
        hold(&mut driver, &all)?;
    }
}

#[test]
fn it_is_read_whole_however_large_it_is() -> Result<()> {
    let log = Log::in_memory();
    let large = "x".repeat(1_000);
    let names: Vec<_> = (0..5_000).map(|key| (key, Some(format!("{key} {large}")))).collect();
    write(&log, &names, 2)?;
    let mut sales = Producer::open(&log, &SALES)?;
    sales.create(1)?;
    for item in 0..5_000 {
        sales.send(item, item, 0)?;
    }
    sales.flush()?;
    App::new(plan(|_, names| names), log.clone()).run_to_end()?;
    let named = Reader::open(&log, &NAMED)?.read_to_end()?;
    assert_eq!(named.len(), 5_000);
    assert!(named.iter().all(|sale| sale.value == Some(format!("{} {large}", sale.key))));
    Ok(())
}

#[test]
fn a_running_program_shows_its_rows() -> Result<()> {
    let log = Log::in_memory();
    write(&log, &[(1, Some("tea".into()))], 2)?;
    let running = App::new(plan(|_, names| names), log.clone()).partitions(1).start()?;
    let names = running.query::<u32, String>("names")?;
    assert_eq!(names.get(&1)?, Some("tea".into()));
    write(&log, &[(2, Some("milk".into()))], 2)?;
    while names.get(&2)?.is_none() {
        std::thread::yield_now();
    }
    let mut all: Vec<_> = names.all()?.into_iter().map(|row| (row.key, row.value)).collect();
    all.sort();
    assert_eq!(all, [(1, "tea".into()), (2, "milk".into())]);
    let error = running.query::<u32, u32>("names")?.get(&1).unwrap_err();
    assert!(error.report().contains("other types"), "{}", error.report());
    running.shutdown()
}

#[test]
fn what_cannot_be_read_meets_the_policy() -> Result<()> {
    let bad = Topic::<u32, u32>::json("names");
    let on = |policy: Option<Policy>| -> Result<TestDriver> {
        let plan = plan(|topology, names| match policy {
            Some(policy @ Policy::DeadLetter(_)) => {
                topology.on_error(policy);
                names
            }
            Some(policy) => names.on_error(policy),
            None => names,
        });
        let mut driver = TestDriver::new(plan)?;
        driver.send(&NAMES, 1, "tea".into(), 0)?;
        Ok(driver)
    };
    let error: Error = on(None)?.send(&bad, 1, 7, 0).unwrap_err();
    for part in ["topic=`names`", "partition=`0`", "offset=`1`"] {
        assert!(error.report().contains(part), "{}", error.report());
    }
    // Letters would be written again by every process at every start.
    for policy in [Policy::Skip, Policy::DeadLetter("dead")] {
        let mut driver = on(Some(policy))?;
        driver.send(&bad, 1, 7, 0)?;
        driver.send(&SALES, 9, 1, 1)?;
        assert_eq!(driver.read(&NAMED)?[0].value, "tea");
        let metrics = driver.metrics();
        assert_eq!((metrics.skipped, metrics.letters), (1, 0));
    }
    Ok(())
}

#[test]
fn a_topic_that_is_not_there_is_refused_or_made() -> Result<()> {
    let log = Log::in_memory();
    Producer::open(&log, &SALES)?.create(1)?;
    let error = App::new(plan(|_, names| names), log.clone()).run_to_end().unwrap_err();
    assert!(error.report().contains("topic=`names`"), "{}", error.report());
    App::new(plan(|_, names| names), log.clone()).partitions(2).run_to_end()?;
    assert_eq!(Reader::open(&log, &NAMES)?.read_to_end()?.len(), 0);
    Ok(())
}

#[test]
fn two_of_one_topic_are_refused() {
    let topology = Topology::new("twice");
    drop((topology.global_table(&NAMES), topology.global_table(&NAMES)));
    let error = topology.build().err().expect("one topic is read twice");
    assert!(error.report().contains("clone the handle"), "{}", error.report());
}
