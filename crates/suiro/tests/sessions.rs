//! Folds over sessions whose gaps are in their records.

#[path = "sessions/model.rs"]
mod model;
#[path = "support/windows.rs"]
mod support;

use model::{Came, Model, Spec};
use proptest::prelude::*;
use std::time::Duration;
use suiro::{
    App, DeadLetters, InWindow, Log, Plan, Policy, Producer, Result, Sessions, Stream,
    TestDriver, TestOptions, Topic, Topology,
};
use support::{CHANGELOG, DEAD, IN, LATE, OUT, Outcome, Then, manners, outcome};

/// A value that no session takes.
const BAD: u64 = 666;

const fn millis(count: i64) -> Duration {
    Duration::from_millis(count as u64)
}

/// Whose gaps a session goes by.
#[derive(Clone)]
enum Gaps {
    /// Those of the records, by their numbers.
    Own(Vec<i64>),
    /// The longest, for all.
    Longest,
}

fn own(came: &[Came]) -> Gaps {
    Gaps::Own(came.iter().map(|came| came.gap).collect())
}

fn add(all: &mut Vec<usize>, value: u64) {
    all.push(value as usize);
    assert_ne!(value, BAD, "a bad one");
}

/// A fold named `windows`: the values of each session; one that is gone has none.
fn program(spec: Spec, gaps: Gaps, policy: Policy) -> Result<Plan> {
    let topology = Topology::new("near");
    topology.on_error(policy);
    let sessions = Sessions::with_gap(millis(spec.longest)).grace(millis(spec.grace));
    let sessions = topology.stream(&IN).window(sessions);
    let table = match gaps {
        Gaps::Own(gaps) => {
            let sessions = sessions.gap_of(move |number| millis(gaps[*number as usize]));
            sessions.fold("windows", Vec::new, add, Vec::extend)
        }
        Gaps::Longest => sessions.fold("windows", Vec::new, add, Vec::extend),
    };
    table.late().to(&LATE);
    if spec.on_close {
        table.on_close().to(&OUT);
    } else {
        shown(table.on_update()).to(&OUT);
    }
    topology.build()
}

fn shown(
    updates: Stream<String, InWindow<Option<Vec<usize>>>>,
) -> Stream<String, InWindow<Vec<usize>>> {
    updates.map(|InWindow { start, end, value }| {
        let value = value.unwrap_or_default();
        InWindow { start, end, value }
    })
}

fn send(driver: &mut TestDriver, Came { key, at, .. }: &Came, number: usize) -> Result<()> {
    let came = support::Came { key: key.clone(), at: *at };
    support::send(driver, &came, number)
}

type Steps = Vec<(Vec<Came>, Then, i64)>;

fn came(longest: i64) -> impl Strategy<Value = Came> {
    let gap = prop_oneof![2 => 0..4_i64, 4 => 0..=longest, 1 => longest..longest + 3];
    (support::came(), gap).prop_map(|(came, gap)| Came { key: came.key, at: came.at, gap })
}

/// Records in groups, what happens after each group, and how far the time goes on then.
fn steps(longest: i64) -> impl Strategy<Value = Steps> {
    let then = prop_oneof![
        6 => Just(Then::Nothing), 2 => Just(Then::Crash), 1 => Just(Then::End)
    ];
    let group = prop::collection::vec(came(longest), 0..9);
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

/// The longest gap of what the tests draw.
const LONGEST: i64 = 12;

fn spec() -> impl Strategy<Value = Spec> {
    (prop_oneof![Just(0_i64), 0..9_i64], any::<bool>()).prop_map(|(grace, on_close)| Spec {
        longest: LONGEST,
        grace,
        on_close,
    })
}

/// Sends the records, and does what is to happen between them.
fn run(
    plan: Plan,
    steps: &Steps,
    options: TestOptions,
    mut seen: impl FnMut(usize),
    mut ended: impl FnMut(),
) -> Result<Outcome> {
    let (all, mut number) = (all(steps), 0);
    let options = TestOptions { run_at_send: false, ..options };
    let mut driver = TestDriver::with_options(plan, options)?;
    for (group, then, _) in steps {
        for _ in group {
            send(&mut driver, &all[number], number)?;
            seen(number);
            number += 1;
        }
        driver.run()?;
        match then {
            Then::Nothing => {}
            Then::Crash => driver.crash()?,
            Then::End => {
                driver.finish()?;
                ended();
            }
        }
    }
    driver.finish()?;
    ended();
    outcome(&mut driver)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// What is sent is what the rules say, whatever the batches, stores, crashes and ends. A gap
    /// that is too long is no record.
    #[test]
    fn sessions_are_what_the_rules_say(
        spec in spec(),
        steps in steps(LONGEST),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        lean in any::<bool>(),
    ) {
        let all = all(&steps);
        let model = std::cell::RefCell::new(Model::new(spec, &all));
        let plan = program(spec, own(&all), Policy::Skip)?;
        let options = TestOptions { batch_rows, lean, ..TestOptions::default() };
        let take = |number| model.borrow_mut().take(number);
        let outcome = run(plan, &steps, options, take, || model.borrow_mut().end())?;
        prop_assert_eq!(&outcome, &model.borrow().outcome);
    }

    /// Where all records have one gap, it does not matter who says so.
    #[test]
    fn one_gap_for_all_is_the_same_in_the_records(
        spec in spec(),
        longest in 0..9_i64,
        steps in steps(0),
        batch_rows in prop_oneof![Just(1_usize), Just(8192)],
        lean in any::<bool>(),
    ) {
        let spec = Spec { longest, ..spec };
        let run = |gaps| {
            let plan = program(spec, gaps, Policy::Stop)?;
            let options = TestOptions { batch_rows, lean, ..TestOptions::default() };
            run(plan, &steps, options, |_| {}, || {})
        };
        let same = Gaps::Own(vec![longest; all(&steps).len()]);
        prop_assert_eq!(run(same)?, run(Gaps::Longest)?);
    }
}

/// Records of the key `k`, with their gaps and times.
fn records(all: &[(i64, i64)]) -> Vec<Came> {
    all.iter().map(|(gap, at)| Came { key: "k".into(), at: *at, gap: *gap }).collect()
}

const ON_CLOSE: Spec = Spec { longest: 10, grace: 0, on_close: true };

fn sent(driver: &mut TestDriver) -> Result<Vec<Vec<usize>>> {
    Ok(driver.read(&OUT)?.into_iter().map(|row| row.value.value).collect())
}

#[test]
fn a_gap_that_is_too_long_is_invalid_and_leaves_all_as_it_was() -> Result<()> {
    let all = records(&[(3, 100), (11, 101), (0, 103), (0, 104), (11, 107)]);
    for options in manners() {
        let plan = program(ON_CLOSE, own(&all), Policy::Skip)?;
        let mut driver = TestDriver::with_options(plan, options.clone())?;
        for (number, came) in all.iter().enumerate() {
            send(&mut driver, came, number)?;
        }
        driver.run()?;
        // The last one moves the time all the same.
        assert_eq!(sent(&mut driver)?, [vec![0, 2], vec![3]]);
        assert_eq!(driver.metrics().skipped, 2);

        let log = Log::in_memory();
        let plan = program(ON_CLOSE, own(&all), Policy::DeadLetter(DEAD))?;
        let mut driver = TestDriver::on_log(plan, options.clone(), log.clone())?;
        for (number, came) in all.iter().enumerate() {
            send(&mut driver, came, number)?;
        }
        driver.run()?;
        assert_eq!(sent(&mut driver)?, [vec![0, 2], vec![3]]);
        let letters = DeadLetters::open(&log, DEAD)?.list()?;
        assert_eq!(letters.len(), 2);

        let plan = program(ON_CLOSE, own(&all), Policy::Stop)?;
        let mut driver = TestDriver::with_options(plan, options)?;
        for (number, came) in all.iter().enumerate() {
            send(&mut driver, came, number)?;
        }
        let report = driver.run().expect_err("the gap is too long").report();
        let named = "gap=`11 ms` longest=`10 ms` key=`k` time=`101`";
        assert!(report.contains(named) && report.contains("with_gap"), "{report}");
        assert!(report.contains("step=`session fold windows`"), "{report}");
    }
    Ok(())
}

/// What the record before has done is not taken back with the one whose gap panics.
#[test]
fn a_gap_that_panics_leaves_all_as_it_was() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("near");
        topology.on_error(Policy::Skip);
        // A bad one comes in one batch with each good one, behind it.
        let both = topology.stream(&IN).flat_map(|value| [value, BAD]);
        let sessions = both.window(Sessions::with_gap(millis(10))).gap_of(|value| {
            assert_ne!(*value, BAD, "a bad one");
            millis(5)
        });
        let add = |all: &mut Vec<usize>, value: u64| all.push(value as usize);
        let updates = sessions.fold("windows", Vec::new, add, Vec::extend).on_update();
        shown(updates).to(&OUT);
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        for (value, at) in [(1, 100), (2, 102)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        driver.run()?;
        assert_eq!(sent(&mut driver)?, [vec![1], vec![], vec![1, 2]]);
        driver.crash()?;
        driver.send(&IN, "k".into(), 3, 104)?;
        driver.run()?;
        assert_eq!(sent(&mut driver)?, [vec![], vec![1, 2, 3]]);
    }
    Ok(())
}

#[test]
fn a_record_is_late_if_its_session_is_closed_and_not_if_it_reaches_an_open_one() -> Result<()> {
    // The second closes nothing. To the third, 110 has come: what it reaches alone is closed;
    // with a gap to 105 it reaches the session that begins there.
    let all = records(&[(10, 105), (0, 110), (3, 101), (4, 101), (0, 90)]);
    for options in manners() {
        let mut driver =
            TestDriver::with_options(program(ON_CLOSE, own(&all), Policy::Stop)?, options)?;
        for (number, came) in all.iter().enumerate() {
            send(&mut driver, came, number)?;
        }
        driver.finish()?;
        let Outcome { sent, late } = outcome(&mut driver)?;
        assert_eq!(late, [2, 4]);
        let bounds: Vec<_> = sent.iter().map(|sent| (sent.start, sent.end)).collect();
        assert_eq!(bounds, [(101, 110)]);
    }
    Ok(())
}

#[test]
fn a_gap_may_have_no_end() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("near");
        let sessions = topology.stream(&IN).window(Sessions::with_gap(Duration::MAX));
        let sessions = sessions.gap_of(|value| match value {
            0 => Duration::MAX,
            _ => Duration::ZERO,
        });
        let add = |all: &mut Vec<usize>, value: u64| all.push(value as usize);
        sessions.fold("windows", Vec::new, add, Vec::extend).on_close().to(&OUT);
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        for (value, at) in [(1, 50), (0, 100), (2, 1_000_000_000), (3, 60)] {
            driver.send(&IN, "k".into(), value, at)?;
        }
        driver.run()?;
        driver.crash()?;
        driver.run()?;
        assert_eq!(sent(&mut driver)?, [[1]]);
        driver.finish()?;
        assert_eq!(sent(&mut driver)?, [[0, 2]]);
    }
    Ok(())
}

#[test]
fn open_sessions_can_be_looked_up() -> Result<()> {
    let all = records(&[(10, 100), (0, 105), (2, 103), (0, 111)]);
    let log = Log::in_memory();
    let spec = Spec { grace: 5, ..ON_CLOSE };
    let plan = program(spec, own(&all), Policy::Stop)?;
    let running = App::new(plan, log.clone()).partitions(1).start()?;
    let mut producer = Producer::open(&log, &IN)?;
    for (number, Came { key, at, .. }) in all.iter().enumerate() {
        producer.send(key.clone(), number as u64, *at)?;
    }
    producer.flush()?;
    let query = running.query::<String, Vec<usize>>("windows")?;
    let seen = || -> Result<Vec<_>> {
        let open = query.windows(&"k".into())?.into_iter();
        let open = open.map(|open| (open.start.as_millis(), open.end.as_millis(), open.value));
        Ok(open.collect())
    };
    let expected = [(100, 105, vec![0, 1, 2]), (111, 111, vec![3])];
    while seen()? != expected {
        std::thread::yield_now();
    }
    assert!(query.windows(&"nobody".into())?.is_empty());
    assert!(running.query::<String, u64>("windows")?.windows(&"k".into()).is_err());
    running.shutdown()?;
    Ok(())
}

#[test]
fn one_gap_and_those_of_records_are_not_taken_for_each_other() -> Result<()> {
    let all = records(&[(10, 100)]);
    for options in manners() {
        for (old, new) in [(own(&all), Gaps::Longest), (Gaps::Longest, own(&all))] {
            let log = Log::in_memory();
            let start = |gaps: &Gaps| {
                let plan = program(ON_CLOSE, gaps.clone(), Policy::Stop)?;
                TestDriver::on_log(plan, options.clone(), log.clone())
            };
            let mut driver = start(&old)?;
            send(&mut driver, &all[0], 0)?;
            driver.run()?;
            drop(driver);
            let report = start(&new).expect_err("the rows are of another kind").report();
            for part in ["a gap of 10 ms", "gaps from their records", "new name"] {
                assert!(report.contains(part), "{part}: {report}");
            }
            let mut driver = start(&old)?;
            driver.finish()?;
            assert_eq!(sent(&mut driver)?, [[0]]);
        }
    }
    Ok(())
}

/// What a session keeps is what its records said: with a shorter one than before it stays as it is.
#[test]
fn the_longest_gap_may_change() -> Result<()> {
    let all = records(&[(10, 100), (3, 108), (4, 111), (4, 116)]);
    for options in manners() {
        let log = Log::in_memory();
        let start = |longest| {
            let plan = program(Spec { longest, ..ON_CLOSE }, own(&all), Policy::Stop)?;
            TestDriver::on_log(plan, options.clone(), log.clone())
        };
        for (longest, numbers, closed) in
            [(10, 0..1, None), (4, 1..3, None), (4_000_000, 3..4, Some(vec![0, 1, 2]))]
        {
            let mut driver = start(longest)?;
            for number in numbers {
                send(&mut driver, &all[number], number)?;
            }
            driver.run()?;
            assert_eq!(sent(&mut driver)?, Vec::from_iter(closed));
        }
    }
    Ok(())
}

#[test]
fn states_of_another_type_are_turned() -> Result<()> {
    const LISTS: Topic<String, Vec<usize>> = Topic::json("lists");
    let sessions = |it: &Topology| {
        let sessions = it.stream(&IN).window(Sessions::with_gap(millis(10)));
        sessions.gap_of(|gap| millis(*gap as i64))
    };
    for options in manners() {
        let log = Log::in_memory();
        let topology = Topology::new("near");
        drop(sessions(&topology).count("windows").on_close());
        let mut driver = TestDriver::on_log(topology.build()?, options.clone(), log.clone())?;
        driver.send(&IN, "k".into(), 9, 100)?;
        driver.run()?;
        drop(driver);
        let topology = Topology::new("near");
        let add = |all: &mut Vec<usize>, value: u64| all.push(value as usize);
        let table = sessions(&topology).fold("windows", Vec::new, add, Vec::extend);
        table.on_close().map(|session| session.value).to(&LISTS);
        topology.migrate("windows", |count: u64| vec![count as usize + 40]);
        let mut driver = TestDriver::on_log(topology.build()?, options, log)?;
        for (gap, at) in [(0, 109), (0, 110)] {
            driver.send(&IN, "k".into(), gap, at)?;
        }
        driver.finish()?;
        let sent: Vec<_> = driver.read(&LISTS)?.into_iter().map(|row| row.value).collect();
        assert_eq!(sent, [vec![41, 0], vec![0]]);
    }
    Ok(())
}

/// A session of one gap is written as it always was: how far it reaches is not in it.
#[test]
fn a_session_of_one_gap_keeps_nothing_more() -> Result<()> {
    let all = records(&[(10, 100)]);
    let written = |gaps| -> Result<usize> {
        let mut driver = TestDriver::new(program(ON_CLOSE, gaps, Policy::Stop)?)?;
        send(&mut driver, &all[0], 0)?;
        let changes = driver.read_changes(&CHANGELOG)?.into_iter();
        let mut rows = changes.filter(|row| row.key.first() == Some(&1));
        let row = rows.next().and_then(|row| row.value.flatten()).expect("a row was written");
        Ok(row.len())
    };
    // A version, a list of one, and in it a list of four: both times in one byte each, a list of
    // one number, and one header with its value.
    let headers = 1 + 1 + (1 + "number".len()) + (1 + 1);
    assert_eq!(written(Gaps::Longest)?, 1 + 1 + 1 + 1 + 1 + (1 + 1) + headers);
    assert_eq!(written(own(&all))?, written(Gaps::Longest)? + 1);
    Ok(())
}
