//! Bounded runs: they end where the sources ended at the first start, close all windows once,
//! and come to the same end whatever happens on the way.

#[path = "machine/mod.rs"]
#[allow(dead_code, reason = "other tests drive engines with it too")]
mod machine;

use machine::{Input, Machine, Manner, Output, create, write};
use std::time::Duration;
use suiro::{
    ExchangeKind, InWindow, JsonKey, Log, Plan, Record, Result, Sessions, TestDriver,
    TestOptions, Text, Topic, Topology, Tumbling,
};

const IN: Topic<String, String> = Topic::of("in", &JsonKey, &Text);
const OUT: Topic<String, String> = Topic::of("out", &JsonKey, &Text);
const TOTALS: Topic<String, String> = Topic::of("totals", &JsonKey, &Text);
const LATE: Topic<String, String> = Topic::of("late", &JsonKey, &Text);

fn shown(window: InWindow<String>) -> String {
    let InWindow { start, end, value } = window;
    format!("{value}@{}..{}", start.as_millis(), end.as_millis())
}

fn add(so_far: &mut String, value: String) {
    *so_far += &value;
}

/// Tumbling windows of ten milliseconds, with what is late.
fn tumbling() -> Result<Plan> {
    let topology = Topology::new("bounded");
    let windows = Tumbling::of(Duration::from_millis(10)).grace(Duration::from_millis(100));
    let table = topology.stream(&IN).window(windows).fold("windows", String::new, add);
    table.late().to(&LATE);
    table.on_close().map(shown).to(&OUT);
    topology.build()
}

/// The same for sessions.
fn sessions() -> Result<Plan> {
    let topology = Topology::new("bounded");
    let windows =
        Sessions::with_gap(Duration::from_millis(5)).grace(Duration::from_millis(100));
    let table = topology.stream(&IN).window(windows).fold("windows", String::new, add, add);
    table.late().to(&LATE);
    table.on_close().map(shown).to(&OUT);
    topology.build()
}

/// Windows on both sides of an exchange, and totals behind a second one.
fn deep() -> Result<Plan> {
    let topology = Topology::new("bounded");
    let gap = Sessions::with_gap(Duration::from_millis(5));
    let first = topology.stream(&IN).window(gap).fold("visits", String::new, add, add);
    let visits = first.on_close().map(shown).key_by(|visit| visit[..1].to_owned());
    let size = Tumbling::of(Duration::from_millis(50));
    let second = visits.window(size).fold("per-letter", String::new, add).on_close();
    second.clone().map(shown).to(&OUT);
    let totals = second.map(shown).key_by(|text| text.len().to_string());
    totals.fold("totals", String::new, add).to(&TOTALS);
    topology.build()
}

fn driver(plan: Plan, exchange: ExchangeKind) -> Result<TestDriver> {
    let options = TestOptions { exchange, run_at_send: false, ..TestOptions::default() };
    TestDriver::with_options(plan, options)
}

fn send(driver: &mut TestDriver, records: &[(&str, &str, i64)]) -> Result<()> {
    for (key, value, at) in records {
        driver.send(&IN, (*key).into(), (*value).into(), *at)?;
    }
    Ok(())
}

fn read(driver: &mut TestDriver, topic: &Topic<String, String>) -> Result<Vec<String>> {
    let line = |record: Record<String, String>| {
        format!("{}={} @{}", record.key, record.value, record.at.as_millis())
    };
    Ok(driver.read(topic)?.into_iter().map(line).collect())
}

const NOTHING: [&str; 0] = [];

#[test]
fn windows_close_in_order_at_the_end() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let mut driver = driver(tumbling()?, exchange)?;
        send(&mut driver, &[("b", "B", 1), ("a", "A", 25), ("a", "C", 3), ("b", "D", 21)])?;
        send(&mut driver, &[("a", "E", 2), ("c", "F", 11)])?;
        driver.finish()?;
        let all = ["a=CE@0..10 @3", "b=B@0..10 @1", "c=F@10..20 @11"];
        let rest = ["a=A@20..30 @25", "b=D@20..30 @21"];
        assert_eq!(read(&mut driver, &OUT)?, [&all[..], &rest[..]].concat());
    }
    Ok(())
}

#[test]
fn sessions_close_in_order_at_the_end() -> Result<()> {
    let mut driver = driver(sessions()?, ExchangeKind::Memory)?;
    send(&mut driver, &[("b", "B", 20), ("a", "A", 18), ("a", "C", 20), ("b", "D", 1)])?;
    send(&mut driver, &[("c", "E", 18), ("c", "F", 20)])?;
    driver.finish()?;
    // In order of end, then start, then key.
    let expected = ["b=D@1..1 @1", "a=AC@18..20 @20", "c=EF@18..20 @20", "b=B@20..20 @20"];
    assert_eq!(read(&mut driver, &OUT)?, expected);
    Ok(())
}

#[test]
fn a_second_run_writes_nothing() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        for plan in [tumbling, sessions, deep] {
            let mut driver = driver(plan()?, exchange)?;
            send(&mut driver, &[("a", "A", 1), ("b", "B", 30), ("a", "C", 61)])?;
            driver.finish()?;
            assert!(!read(&mut driver, &OUT)?.is_empty());
            for _ in 0..2 {
                driver.finish()?;
                assert_eq!(read(&mut driver, &OUT)?, NOTHING);
                driver.crash()?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_run_over_nothing_ends() -> Result<()> {
    for plan in [tumbling, sessions, deep] {
        let mut driver = driver(plan()?, ExchangeKind::Memory)?;
        driver.finish()?;
        driver.finish()?;
        assert_eq!(read(&mut driver, &OUT)?, NOTHING);
    }
    Ok(())
}

#[test]
fn what_has_closed_stays_closed_when_sources_grow() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let mut driver = driver(tumbling()?, exchange)?;
        send(&mut driver, &[("a", "A", 1), ("a", "B", 25)])?;
        driver.finish()?;
        assert_eq!(read(&mut driver, &OUT)?, ["a=A@0..10 @1", "a=B@20..30 @25"]);
        // The grace of both has not passed, but they were sent.
        send(&mut driver, &[("a", "C", 2), ("a", "D", 26), ("a", "E", 12), ("a", "F", 30)])?;
        driver.finish()?;
        assert_eq!(read(&mut driver, &OUT)?, ["a=E@10..20 @12", "a=F@30..40 @30"]);
        assert_eq!(read(&mut driver, &LATE)?, ["a=C @2", "a=D @26"]);
        driver.finish()?;
        assert_eq!(read(&mut driver, &OUT)?, NOTHING);
    }
    Ok(())
}

#[test]
fn sessions_that_have_closed_stay_closed_when_sources_grow() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let mut driver = driver(sessions()?, exchange)?;
        send(&mut driver, &[("a", "A", 10), ("a", "B", 30)])?;
        driver.finish()?;
        assert_eq!(read(&mut driver, &OUT)?, ["a=A@10..10 @10", "a=B@30..30 @30"]);
        send(&mut driver, &[("a", "C", 30), ("a", "D", 20), ("a", "E", 50)])?;
        driver.finish()?;
        // What is in a closed session comes back in no other.
        let out = read(&mut driver, &OUT)?;
        assert!(out.contains(&"a=D@20..20 @20".to_owned()), "{out:?}");
        assert!(out.contains(&"a=E@50..50 @50".to_owned()), "{out:?}");
        assert!(out.iter().all(|line| !line.contains('A') && !line.contains('B')), "{out:?}");
    }
    Ok(())
}

#[test]
fn the_end_moves_no_stream_time() -> Result<()> {
    let topology = Topology::new("bounded");
    let windows = Tumbling::of(Duration::from_millis(10)).grace(Duration::from_millis(5));
    let table = topology.stream(&IN).window(windows).fold("windows", String::new, add);
    table.late().to(&LATE);
    table.on_close().map(shown).to(&OUT);
    let mut driver = driver(topology.build()?, ExchangeKind::Memory)?;
    send(&mut driver, &[("a", "A", 21)])?;
    driver.finish()?;
    assert_eq!(read(&mut driver, &OUT)?, ["a=A@20..30 @21"]);
    // Stream time is 21 still: the window from 10 is open, and so is that of another key.
    send(&mut driver, &[("a", "B", 12), ("b", "C", 22), ("a", "D", 3)])?;
    driver.finish()?;
    assert_eq!(read(&mut driver, &OUT)?, ["a=B@10..20 @12", "b=C@20..30 @22"]);
    assert_eq!(read(&mut driver, &LATE)?, ["a=D @3"]);
    Ok(())
}

#[test]
fn a_program_that_ran_bounded_goes_on_live() -> Result<()> {
    let mut driver = driver(tumbling()?, ExchangeKind::Memory)?;
    send(&mut driver, &[("a", "A", 1)])?;
    driver.finish()?;
    send(&mut driver, &[("a", "B", 2), ("a", "C", 15), ("a", "D", 200)])?;
    driver.run()?;
    assert_eq!(read(&mut driver, &OUT)?, ["a=A@0..10 @1", "a=C@10..20 @15"]);
    assert_eq!(read(&mut driver, &LATE)?, ["a=B @2"]);
    Ok(())
}

/// Sixty records over two hundred milliseconds, somewhat out of order.
fn inputs(from: i64) -> Vec<Input> {
    let record = |number: i64| Input {
        topic: "in",
        key: Some(format!("k{}", number % 5)),
        value: Some(char::from(b'a' + (number * 7 % 26) as u8).to_string()),
        at: from + number * 3 + number * 5 % 7,
    };
    (0..60).map(record).collect()
}

fn bounded(exchange: ExchangeKind) -> Manner {
    Manner { exchange, batch_rows: 4, fetch_bytes: 100, bounded: true, lean: None }
}

fn outputs(machine: &Machine, partitions: u32) -> Result<Vec<Vec<Output>>> {
    let mut all = vec![machine.read("out")?];
    if let Ok(totals) = machine.read("totals") {
        all.push(last(totals));
    }
    if partitions > 1 {
        all.iter_mut().for_each(|records| records.sort());
    }
    Ok(all)
}

/// The last row of each key: a table says no more than that once per commit.
fn last(records: Vec<Output>) -> Vec<Output> {
    let rows: std::collections::BTreeMap<_, _> =
        records.into_iter().map(|record| (record.key.clone(), record)).collect();
    rows.into_values().collect()
}

fn machine(plan: Plan, partitions: u32, exchange: ExchangeKind) -> Result<Machine> {
    let log = Log::in_memory();
    create(&log, &["in"], partitions)?;
    write(&log, &inputs(0))?;
    Machine::open(plan, log, bounded(exchange))
}

#[test]
fn a_crash_after_any_round_changes_nothing() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        for plan in [tumbling, sessions, deep] {
            let mut undisturbed = machine(plan()?, 1, exchange)?;
            undisturbed.run()?;
            let expected = outputs(&undisturbed, 1)?;
            assert!(!expected[0].is_empty());
            for crash_at in 0..40 {
                for commits in [false, true] {
                    let mut machine = machine(plan()?, 1, exchange)?;
                    let mut rounds = 0;
                    machine.run_with(|machine| {
                        rounds += 1;
                        if commits {
                            machine.commit()?;
                        }
                        if rounds % 40 == crash_at { machine.crash() } else { Ok(()) }
                    })?;
                    let actual = outputs(&machine, 1)?;
                    assert_eq!(actual, expected, "{exchange:?}, crash at {crash_at}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_ends_are_those_of_the_first_start() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let mut undisturbed = machine(tumbling()?, 1, exchange)?;
        undisturbed.run()?;
        let expected = outputs(&undisturbed, 1)?;
        let mut machine = machine(tumbling()?, 1, exchange)?;
        for _ in 0..4 {
            machine.round()?;
        }
        assert!(machine.commit()?, "the ends are committed");
        write(&machine.log, &inputs(10_000))?;
        machine.crash()?;
        machine.run()?;
        assert_eq!(outputs(&machine, 1)?, expected, "{exchange:?}");
        // A further run takes the new ends.
        machine.crash()?;
        machine.run()?;
        let more = outputs(&machine, 1)?;
        assert_eq!(more[0].len(), 2 * expected[0].len(), "{exchange:?}");
    }
    Ok(())
}

#[test]
fn several_partitions_end_together() -> Result<()> {
    for plan in [tumbling, sessions] {
        let mut undisturbed = machine(plan()?, 1, ExchangeKind::Memory)?;
        undisturbed.run()?;
        let expected = outputs(&undisturbed, 3)?;
        for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
            let mut machine = machine(plan()?, 3, exchange)?;
            machine.run()?;
            let mut again = outputs(&machine, 3)?;
            again[0].sort();
            assert_eq!(again[0], expected[0]);
        }
    }
    Ok(())
}
