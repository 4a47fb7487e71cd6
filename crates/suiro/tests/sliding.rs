//! Folds over sliding windows: what the recorded cases do not cover.

#[path = "sliding/model.rs"]
mod model;
#[path = "support/windows.rs"]
mod support;

use model::{Model, Spec};
use proptest::prelude::*;
use std::time::Duration;
use suiro::{
    App, DeadLetters, Log, Plan, Policy, Producer, Result, Sliding, TestDriver, TestOptions,
    Topic, Topology,
};
use support::{CHANGELOG, Came, DEAD, IN, LATE, OUT, Then, came, manners, outcome, send};

/// A value that no window takes.
const BAD: u64 = 666;

fn windows(Spec { span, grace, .. }: Spec) -> Sliding {
    let millis = |millis: i64| Duration::from_millis(millis as u64);
    Sliding::of(millis(span)).grace(millis(grace))
}

/// A fold named `windows`: the values of each window in order of arrival.
fn program(spec: Spec, policy: Policy) -> Result<Plan> {
    let topology = Topology::new("near");
    topology.on_error(policy);
    let add = |all: &mut Vec<usize>, value: u64| {
        all.push(value as usize);
        assert_ne!(value, BAD, "a bad one");
    };
    let table = topology.stream(&IN).window(windows(spec)).fold("windows", Vec::new, add);
    table.late().to(&LATE);
    let results = if spec.on_close { table.on_close() } else { table.on_update() };
    results.to(&OUT);
    topology.build()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// What is sent is what the rules say, whatever the batches, stores, crashes and ends.
    #[test]
    fn windows_are_what_the_rules_say(
        (span, grace) in (0..9_i64, prop_oneof![Just(0_i64), 0..9_i64]),
        on_close in any::<bool>(),
        steps in prop::collection::vec(
            (
                prop::collection::vec(came(), 0..9),
                prop_oneof![
                    6 => Just(Then::Nothing), 2 => Just(Then::Crash), 1 => Just(Then::End)
                ],
                0..14_i64,
            ),
            1..8,
        ),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        lean in any::<bool>(),
    ) {
        let spec = Spec { span, grace, on_close };
        let mut base = 0;
        let mut all = Vec::new();
        for (group, _, on) in &steps {
            all.extend(group.iter().map(|came| Came { at: base + came.at, ..came.clone() }));
            base += on;
        }
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(program(spec, Policy::Stop)?, options)?;
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
}

#[test]
fn a_record_that_fails_is_in_no_window() -> Result<()> {
    for options in manners() {
        let spec = Spec { span: 10, grace: 5, on_close: false };
        let plan = program(spec, Policy::Skip)?;
        let mut driver = TestDriver::with_options(plan, options)?;
        for (value, at) in [(1, 100), (2, 104), (BAD, 106), (3, 102), (BAD, 103), (4, 107)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        driver.run()?;
        let sent = driver.read(&OUT)?.into_iter();
        let sent: Vec<_> =
            sent.map(|row| (row.value.start.as_millis(), row.value.value)).collect();
        let expected = [
            (90, vec![1]),
            (94, vec![1, 2]),
            (101, vec![2]),
            (92, vec![1, 3]),
            (94, vec![1, 2, 3]),
            (101, vec![2, 3]),
            (103, vec![2]),
            (97, vec![1, 2, 3, 4]),
            (101, vec![2, 3, 4]),
            (103, vec![2, 4]),
            (105, vec![4]),
        ];
        assert_eq!(sent, expected);
        assert_eq!(driver.metrics().skipped, 2);
    }
    Ok(())
}

#[test]
fn a_letter_is_written_of_a_record_that_fails() -> Result<()> {
    for options in manners() {
        let log = Log::in_memory();
        let spec = Spec { span: 10, grace: 0, on_close: true };
        let plan = program(spec, Policy::DeadLetter(DEAD))?;
        let mut driver = TestDriver::on_log(plan, options, log.clone())?;
        // The bad one closes the first window all the same.
        for (value, at) in [(1, 100), (BAD, 101), (2, 102)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        driver.run()?;
        assert_eq!(driver.read(&OUT)?[0].value.value, [1]);
        driver.finish()?;
        let sent = driver.read(&OUT)?.into_iter();
        let sent: Vec<_> = sent.map(|row| row.value.value).collect();
        assert_eq!(sent, [vec![1, 2], vec![2]]);
        assert_eq!(DeadLetters::open(&log, DEAD)?.list()?.len(), 1);
    }
    Ok(())
}

#[test]
fn records_go_when_no_window_can_need_them_and_windows_are_not_written() -> Result<()> {
    for (lean, on_close) in [(false, false), (false, true), (true, false), (true, true)] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let spec = Spec { span: 10, grace: 3, on_close };
        let mut driver = TestDriver::with_options(program(spec, Policy::Stop)?, options)?;
        for at in 0..100 {
            driver.send(&IN, "k".into(), at as u64, at)?;
            let kept = driver.metrics().tasks.iter().map(|task| task.rows).sum::<usize>();
            assert!(kept <= 16, "{kept} at {at}");
        }
        // Another key moves the time.
        driver.send(&IN, "other".into(), 0, 1_000)?;
        let kept = driver.metrics().tasks.iter().map(|task| task.rows).sum::<usize>();
        assert_eq!(kept, 1);
        let changes = driver.read_changes(&CHANGELOG)?;
        let rows = changes.iter().filter(|row| row.key.first() == Some(&1));
        let (put, removed): (Vec<_>, Vec<_>) =
            rows.partition(|row| row.value.as_ref().is_some_and(Option::is_some));
        assert_eq!((put.len(), removed.len()), (101, 100));
    }
    Ok(())
}

#[test]
fn open_windows_can_be_looked_up() -> Result<()> {
    let spec = Spec { span: 10, grace: 0, on_close: true };
    let log = Log::in_memory();
    let app = App::new(program(spec, Policy::Stop)?, log.clone());
    let running = app.partitions(1).start()?;
    let mut records = Producer::open(&log, &IN)?;
    for (number, at) in [(0, 100), (1, 104), (2, 112), (3, 113)] {
        records.send("k".into(), number, at)?;
    }
    records.flush()?;
    let query = running.query::<String, Vec<usize>>("windows")?;
    let seen = || -> Result<Vec<_>> {
        let open = query.windows(&"k".into())?.into_iter();
        Ok(open.map(|open| (open.start.as_millis(), open.value)).collect())
    };
    let expected = [(103, vec![1, 2, 3]), (105, vec![2, 3]), (113, vec![3])];
    while seen()? != expected {
        std::thread::yield_now();
    }
    assert!(query.windows(&"nobody".into())?.is_empty());
    assert!(running.query::<String, u64>("windows")?.windows(&"k".into()).is_err());
    running.shutdown()?;
    Ok(())
}

#[test]
fn values_of_another_type_are_refused_or_turned() -> Result<()> {
    let topic: Topic<String, String> = Topic::json("words");
    let out: Topic<String, Vec<String>> = Topic::json("words-out");
    let plan = |migrates: bool| {
        let topology = Topology::new("near");
        let add = |all: &mut Vec<String>, word: String| all.push(word);
        let spec = Spec { span: 10, grace: 5, on_close: false };
        let stream = topology.stream(&topic).window(windows(spec));
        let table = stream.fold("windows", Vec::new, add);
        table.on_update().map(|window| window.value).to(&out);
        if migrates {
            topology.migrate("windows", |value: u64| format!("was {value}"));
        }
        topology.build()
    };
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let log = Log::in_memory();
        let spec = Spec { span: 10, grace: 5, on_close: false };
        let old = program(spec, Policy::Stop)?;
        let mut driver = TestDriver::on_log(old, options.clone(), log.clone())?;
        driver.send(&IN, "k".into(), 1, 100)?;
        drop(driver);
        let refused = TestDriver::on_log(plan(false)?, options.clone(), log.clone()).err();
        let report = refused.expect("numbers are no words").report();
        assert!(report.contains("windows"), "{report}");
        let mut driver = TestDriver::on_log(plan(true)?, options, log.clone())?;
        driver.send(&topic, "k".into(), "new".into(), 103)?;
        let sent: Vec<_> = driver.read(&out)?.into_iter().map(|row| row.value).collect();
        assert_eq!(sent, [vec!["was 1", "new"], vec!["new"]]);
    }
    Ok(())
}
