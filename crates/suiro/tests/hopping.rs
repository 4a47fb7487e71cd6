//! Folds over hopping windows, a state for each and in slices: what the recorded cases do not
//! cover.

#[path = "hopping/model.rs"]
mod model;
#[path = "support/windows.rs"]
mod support;

use model::{Model, Spec};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use suiro::{
    App, DeadLetters, Hopping, InWindow, Log, Plan, Policy, Producer, Result, TestDriver,
    TestOptions, Topic, Topology, Tumbling,
};
use support::{CHANGELOG, Came, DEAD, IN, LATE, OUT, Then, came, manners, outcome, send};

/// A value that no window takes, and one that cannot be merged.
const BAD: u64 = 666;
const ALONE: usize = 777;

fn windows(Spec { size, advance, grace }: Spec) -> Hopping {
    let millis = |millis: i64| Duration::from_millis(millis as u64);
    Hopping::of(millis(size)).every(millis(advance)).grace(millis(grace))
}

fn put(all: &mut Vec<usize>, number: usize) {
    let place = all.partition_point(|other| *other < number);
    all.insert(place, number);
}

/// A fold named `windows`: the values of each window, the smallest first.
fn program(spec: Spec, slices: bool, policy: Policy) -> Result<Plan> {
    let topology = Topology::new("near");
    topology.on_error(policy);
    let add = |all: &mut Vec<usize>, value: u64| {
        put(all, value as usize);
        assert_ne!(value, BAD, "a bad one");
    };
    let mut table = topology.stream(&IN).window(windows(spec)).fold("windows", Vec::new, add);
    if slices {
        table = table.combining(|all, more| {
            assert!(!all.contains(&ALONE) && !more.contains(&ALONE), "this one stays alone");
            more.into_iter().for_each(|number| put(all, number));
        });
    }
    table.late().to(&LATE);
    table.on_close().to(&OUT);
    topology.build()
}

fn spec() -> impl Strategy<Value = Spec> {
    let sizes = (1..14_i64).prop_flat_map(|size| (Just(size), 1..=size));
    (sizes, prop_oneof![Just(0_i64), 0..9_i64]).prop_map(|((size, advance), grace)| Spec {
        size,
        advance,
        grace,
    })
}

type Steps = Vec<(Vec<Came>, Then, i64)>;

/// Records in groups, what happens after each group, and how far the time goes on then.
fn steps() -> impl Strategy<Value = Steps> {
    let then = prop_oneof![
        6 => Just(Then::Nothing), 2 => Just(Then::Crash), 1 => Just(Then::End)
    ];
    let group = prop::collection::vec(came(), 0..9);
    prop::collection::vec((group, then, prop_oneof![4 => 0..14_i64, 1 => 14..60_i64]), 1..8)
}

fn all(steps: &Steps) -> Vec<Came> {
    let mut base = 0;
    let mut all = Vec::new();
    for (group, _, on) in steps {
        all.extend(group.iter().map(|came| Came { at: base + came.at, ..came.clone() }));
        base += on;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// What is sent is what the rules say, in slices or not, whatever the batches, stores, crashes
    /// and ends.
    #[test]
    fn windows_are_what_the_rules_say(
        spec in spec(),
        slices in prop_oneof![3 => Just(true), 1 => Just(false)],
        steps in steps(),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        lean in any::<bool>(),
    ) {
        let all = all(&steps);
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let mut driver =
            TestDriver::with_options(program(spec, slices, Policy::Stop)?, options)?;
        let (mut model, mut number) = (Model::new(spec, &all), 0);
        for (group, then, _) in &steps {
            for _ in group {
                send(&mut driver, &all[number], number)?;
                model.take(number);
                number += 1;
            }
            driver.run()?;
            match then {
                Then::Nothing => {}
                Then::Crash => driver.crash()?,
                Then::End => {
                    driver.finish()?;
                    model.end();
                }
            }
        }
        driver.finish()?;
        model.end();
        prop_assert_eq!(outcome(&mut driver)?, model.outcome);
    }

    /// What is merged with what depends on nothing but the records: not on crashes and batches.
    #[test]
    fn windows_are_put_together_in_one_way(
        spec in spec(), steps in steps(), lean in any::<bool>()
    ) {
        const MERGED: Topic<String, String> = Topic::json("merged");
        let run = |batch_rows: usize, crashes: bool| -> Result<Vec<String>> {
            let topology = Topology::new("near");
            let add = |all: &mut String, value: u64| *all += &format!(" {value}");
            let merge = |all: &mut String, more: String| *all = format!("({all} |{more})");
            let windows = topology.stream(&IN).window(windows(spec));
            let table = windows.fold("windows", String::new, add).combining(merge);
            table.on_close().map(|window| window.value).to(&MERGED);
            let options =
                TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
            let mut driver = TestDriver::with_options(topology.build()?, options)?;
            let mut all = all(&steps).into_iter();
            let mut number = 0;
            for (group, then, _) in &steps {
                for came in all.by_ref().take(group.len()) {
                    send(&mut driver, &came, number)?;
                    number += 1;
                }
                driver.run()?;
                if crashes && !matches!(then, Then::Nothing) {
                    driver.crash()?;
                }
            }
            driver.finish()?;
            Ok(driver.read(&MERGED)?.into_iter().map(|row| row.value).collect())
        };
        prop_assert_eq!(run(1, true)?, run(8192, false)?);
    }
}

#[test]
fn a_window_costs_few_merges_and_a_record_one_row() -> Result<()> {
    for (advance, disorder) in [(1, 0), (1, 3), (7, 0)] {
        let merges = Arc::new(AtomicU64::new(0));
        let topology = Topology::new("near");
        let size = Duration::from_millis(60);
        let windows = Hopping::of(size).every(Duration::from_millis(advance as u64));
        let table = topology.stream(&IN).window(windows);
        let table = table.fold("windows", || 0, |count: &mut u64, _| *count += 1);
        let counts = {
            let merges = Arc::clone(&merges);
            table.combining(move |count, more| {
                merges.fetch_add(1, Ordering::Relaxed);
                *count += more;
            })
        };
        let out: Topic<String, InWindow<u64>> = Topic::json("counts");
        counts.on_close().to(&out);
        let options = TestOptions { run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        let records = 700;
        for number in 0..records {
            let back = if number % 5 == 0 { disorder } else { 0 };
            driver.send(&IN, "k".into(), 1, (number - back).max(0))?;
        }
        driver.run()?;
        let windows = driver.read(&out)?.len() as u64;
        assert!(windows as i64 >= (records - 60) / advance);
        let merges = merges.load(Ordering::Relaxed);
        assert!(merges <= windows * (6 + disorder as u64), "{merges} for {windows}");
        let changes = driver.read_changes(&CHANGELOG)?.into_iter();
        let puts = changes.filter(|row| {
            row.key.first() == Some(&1) && row.value.as_ref().is_some_and(Option::is_some)
        });
        assert!(puts.count() as i64 <= records);
    }
    Ok(())
}

#[test]
fn a_record_that_fails_is_in_no_window() -> Result<()> {
    for options in manners() {
        let spec = Spec { size: 10, advance: 5, grace: 0 };
        let mut driver = TestDriver::with_options(program(spec, true, Policy::Skip)?, options)?;
        for (value, at) in [(1, 100), (BAD, 101), (2, 102), (BAD, 106), (3, 107), (BAD, 111)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        driver.run()?;
        // The last one closes windows all the same.
        let sent = |driver: &mut TestDriver| -> Result<Vec<_>> {
            let sent = driver.read(&OUT)?.into_iter();
            Ok(sent.map(|row| (row.value.start.as_millis(), row.value.value)).collect())
        };
        let closed = [(95, vec![1, 2]), (100, vec![1, 2, 3])];
        assert_eq!(sent(&mut driver)?, closed);
        assert_eq!(driver.metrics().skipped, 3);
        driver.finish()?;
        assert_eq!(sent(&mut driver)?, [(105, vec![3])]);
    }
    Ok(())
}

#[test]
fn a_letter_is_written_of_a_record_that_fails() -> Result<()> {
    for options in manners() {
        let log = Log::in_memory();
        let spec = Spec { size: 10, advance: 5, grace: 0 };
        let plan = program(spec, true, Policy::DeadLetter(DEAD))?;
        let mut driver = TestDriver::on_log(plan, options, log.clone())?;
        for (value, at) in [(1, 100), (BAD, 106), (2, 107)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        driver.finish()?;
        let sent: Vec<_> = driver.read(&OUT)?.into_iter().map(|row| row.value.value).collect();
        assert_eq!(sent, [vec![1], vec![1, 2], vec![2]]);
        assert_eq!(DeadLetters::open(&log, DEAD)?.list()?.len(), 1);
    }
    Ok(())
}

#[test]
fn states_that_cannot_be_merged_stop_the_app() -> Result<()> {
    for options in manners() {
        let spec = Spec { size: 10, advance: 5, grace: 0 };
        let mut driver = TestDriver::with_options(program(spec, true, Policy::Skip)?, options)?;
        for (value, at) in [(ALONE as u64, 100), (1, 106)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        driver.run()?;
        driver.send(&IN, "k".into(), 2, 110)?;
        let report = driver.run().expect_err("the window is in two slices").report();
        assert!(report.contains("could not be put together"), "{report}");
        assert!(report.contains("stays alone"), "{report}");
    }
    Ok(())
}

#[test]
fn open_windows_can_be_looked_up() -> Result<()> {
    let spec = Spec { size: 10, advance: 4, grace: 0 };
    let log = Log::in_memory();
    let running =
        App::new(program(spec, true, Policy::Stop)?, log.clone()).partitions(1).start()?;
    let mut records = Producer::open(&log, &IN)?;
    for (number, at) in [(0, 101), (1, 104), (2, 112), (3, 113)] {
        records.send("k".into(), number, at)?;
    }
    records.flush()?;
    let query = running.query::<String, Vec<usize>>("windows")?;
    let seen = || -> Result<Vec<_>> {
        let open = query.windows(&"k".into())?.into_iter();
        Ok(open.map(|open| (open.start.as_millis(), open.value)).collect())
    };
    let expected = [(104, vec![1, 2, 3]), (108, vec![2, 3]), (112, vec![2, 3])];
    while seen()? != expected {
        std::thread::yield_now();
    }
    assert!(query.windows(&"nobody".into())?.is_empty());
    assert!(running.query::<String, u64>("windows")?.windows(&"k".into()).is_err());
    running.shutdown()?;
    Ok(())
}

#[test]
fn windows_and_slices_are_not_taken_for_each_other() -> Result<()> {
    let spec = Spec { size: 10, advance: 5, grace: 0 };
    for slices in [false, true] {
        let log = Log::in_memory();
        let plan = |slices| program(spec, slices, Policy::Stop);
        let options = TestOptions::default();
        let mut driver = TestDriver::on_log(plan(slices)?, options.clone(), log.clone())?;
        driver.send(&IN, "k".into(), 1, 100)?;
        drop(driver);
        let refused = TestDriver::on_log(plan(!slices)?, options.clone(), log.clone()).err();
        let report = refused.expect("the rows are of another kind").report();
        assert!(report.contains("slices of windows of 10 ms every 5 ms"), "{report}");
        let mut driver = TestDriver::on_log(plan(slices)?, options, log)?;
        driver.finish()?;
        assert_eq!(driver.read(&OUT)?.len(), 2);
    }
    Ok(())
}

#[test]
fn states_of_another_type_are_turned() -> Result<()> {
    const LISTS: Topic<String, Vec<usize>> = Topic::json("lists");
    let spec = Spec { size: 10, advance: 5, grace: 0 };
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let log = Log::in_memory();
        let old = {
            let topology = Topology::new("near");
            let table = topology.stream(&IN).window(windows(spec)).count("windows");
            drop(table.on_close());
            topology.build()?
        };
        let mut driver = TestDriver::on_log(old, options.clone(), log.clone())?;
        driver.send(&IN, "k".into(), 1, 100)?;
        drop(driver);
        let topology = Topology::new("near");
        let add = |all: &mut Vec<usize>, value: u64| all.push(value as usize);
        let table = topology.stream(&IN).window(windows(spec)).fold("windows", Vec::new, add);
        let table = table.combining(|all, more| all.extend(more));
        table.on_close().map(|window| window.value).to(&LISTS);
        topology.migrate("windows", |count: u64| vec![count as usize + 40]);
        let mut driver = TestDriver::on_log(topology.build()?, options, log)?;
        driver.send(&IN, "k".into(), 2, 107)?;
        driver.finish()?;
        let sent: Vec<_> = driver.read(&LISTS)?.into_iter().map(|row| row.value).collect();
        assert_eq!(sent, [vec![41], vec![41, 2], vec![2]]);
    }
    Ok(())
}

#[test]
fn other_windows_are_not_put_together() -> Result<()> {
    let topology = Topology::new("near");
    let windows = topology.stream(&IN).window(Tumbling::of(Duration::from_secs(1)));
    let table = windows.fold("windows", || 0, |sum, value| *sum += value);
    drop(table.combining(|sum, more| *sum += more).on_close());
    let report = topology.build().err().expect("these do not hop").report();
    assert!(report.contains("leave `combining` out"), "{report}");
    Ok(())
}

#[test]
fn a_window_that_was_closed_stays_closed_with_a_longer_grace() -> Result<()> {
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let log = Log::in_memory();
        let plan = |grace| program(Spec { size: 10, advance: 5, grace }, true, Policy::Stop);
        let mut driver = TestDriver::on_log(plan(0)?, options.clone(), log.clone())?;
        for (value, at) in [(1, 100), (2, 106), (3, 111)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        drop(driver);
        let mut driver = TestDriver::on_log(plan(100)?, options, log)?;
        for (value, at) in [(4, 104), (5, 105)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        driver.finish()?;
        let sent: Vec<_> = driver.read(&OUT)?.into_iter().map(|row| row.value.value).collect();
        let expected = [vec![1], vec![1, 2], vec![2, 3, 5], vec![3]];
        assert_eq!(sent, expected);
        let late: Vec<_> = driver.read(&LATE)?.into_iter().map(|row| row.value).collect();
        assert_eq!(late, [4]);
    }
    Ok(())
}
