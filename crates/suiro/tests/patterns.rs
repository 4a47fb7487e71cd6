//! Patterns against their rules, worked out from the list of all that came.

#[path = "patterns/model.rs"]
mod model;

use model::{Came, Count, Model, Part, Sent, Spec};
use proptest::prelude::*;
use std::time::Duration;
use suiro::{
    Bytes, DeadLetters, ExchangeKind, Found, Headers, Log, Match, Pattern, Plan, Policy, Raw,
    Record, Result, Stream, TestDriver, TestOptions, Topic, Topology,
};

const IN: Topic<String, (u32, u64)> = Topic::json("in");
const OUT: Topic<String, Found<(u32, u64)>> = Topic::json("out");
const WHOLE: Topic<String, Match<(u32, u64)>> = Topic::json("whole");
const CHANGELOG: Topic<Bytes, Option<Bytes>> = Topic::of("cep.seen.changelog", &Raw, &Raw);
const DEAD: &str = "dead";

/// A kind at which the tests panic.
const BAD: u32 = 9;

/// How long a silence is before time goes on.
const PATIENCE: i64 = 1_000;

/// A test that holds for some kinds.
fn is(kinds: u32) -> impl Fn(&(u32, u64)) -> bool + Send + Sync + 'static {
    move |(kind, _)| {
        assert_ne!(*kind, BAD, "a bad one");
        kinds >> kind & 1 == 1
    }
}

fn counted<V: suiro::Data>(pattern: Pattern<String, V>, count: Count) -> Pattern<String, V> {
    match count {
        Count::One => pattern,
        Count::Times(count) => pattern.times(count),
        Count::AtLeast(count) => pattern.at_least(count),
    }
}

/// A pattern named `seen`.
fn found(spec: &Spec, stream: Stream<String, (u32, u64)>) {
    let mut pattern = None;
    let mut stream = Some(stream);
    for part in &spec.parts {
        let before: Option<Pattern<_, _>> = pattern.take();
        pattern = Some(match (*part, before) {
            (Part::Stage { kinds, count, .. }, None) => {
                let stream = stream.take().expect("a pattern begins once");
                counted(stream.pattern("seen", is(kinds)), count)
            }
            (Part::Stage { kinds, count, direct: false }, Some(before)) => {
                counted(before.then(is(kinds)), count)
            }
            (Part::Stage { kinds, count, direct: true }, Some(before)) => {
                counted(before.next(is(kinds)), count)
            }
            (Part::Not { kinds }, before) => {
                before.expect("a pattern begins with a stage").not(is(kinds))
            }
        });
    }
    let pattern = pattern.expect("a pattern has a stage");
    let mut pattern = pattern.within(Duration::from_millis(spec.within as u64));
    if spec.overlapping {
        pattern = pattern.overlapping();
    }
    if spec.time_outs {
        pattern.with_time_outs().to(&OUT);
    } else {
        pattern.matches().to(&WHOLE);
    }
}

fn program(spec: &Spec, policy: Policy) -> Result<Plan> {
    let topology = Topology::new("cep");
    topology.on_error(policy);
    topology.idle_after(Duration::from_millis(PATIENCE as u64));
    found(spec, topology.stream(&IN));
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

fn send(driver: &mut TestDriver, came: &Came, number: usize) -> Result<()> {
    let headers: Headers = [("number", number.to_string())].into_iter().collect();
    let record = Record::new(came.key.clone(), (came.kind, number as u64), came.at);
    driver.send_record(&IN, Record { headers, ..record })
}

fn sent(is_match: bool, record: Record<String, ()>, found: &Match<(u32, u64)>) -> Sent {
    let numbers =
        |stage: &[(u32, u64)]| stage.iter().map(|(_, number)| *number as usize).collect();
    let stages = (0..found.stages()).map(|stage| numbers(found.stage(stage)));
    let number = record.headers.get("number").expect("headers come along");
    let number = std::str::from_utf8(number).expect("a number is text");
    Sent {
        is_match,
        key: record.key,
        stages: stages.collect(),
        start: found.start.as_millis(),
        end: found.end.as_millis(),
        at: record.at.as_millis(),
        headers: number.parse().expect("a number was sent"),
    }
}

fn outcome(spec: &Spec, driver: &mut TestDriver) -> Result<Vec<Sent>> {
    if !spec.time_outs {
        let whole = driver.read(&WHOLE)?.into_iter();
        return Ok(whole
            .map(|row| sent(true, row.clone().with_value(()), &row.value))
            .collect());
    }
    let all = driver.read(&OUT)?.into_iter().map(|row| match &row.value {
        Found::Match(whole) => sent(true, row.clone().with_value(()), whole),
        Found::TimeOut(part) => sent(false, row.clone().with_value(()), part),
    });
    Ok(all.collect())
}

fn came() -> impl Strategy<Value = Came> {
    (0..2_u8, 0..5_u32, 0..12_i64).prop_map(|(key, kind, at)| Came {
        key: key.to_string(),
        kind,
        at,
    })
}

/// Kinds that are not too rare.
fn kinds() -> impl Strategy<Value = u32> {
    prop_oneof![3 => (0..5_u32).prop_map(|kind| 1 << kind), 2 => 1..32_u32]
}

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![
        4 => Just(Count::One),
        2 => (1..4_u32).prop_map(Count::Times),
        2 => (1..3_u32).prop_map(Count::AtLeast),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let part = prop_oneof![
        3 => (kinds(), any::<bool>(), count())
            .prop_map(|(kinds, direct, count)| Part::Stage { kinds, direct, count }),
        1 => kinds().prop_map(|kinds| Part::Not { kinds }),
    ];
    let parts = (kinds(), count(), prop::collection::vec(part, 0..4));
    (parts, 0..14_i64, any::<bool>(), any::<bool>()).prop_map(
        |((kinds, count, rest), within, overlapping, time_outs)| {
            let mut parts = vec![Part::Stage { kinds, direct: false, count }];
            parts.extend(rest);
            if let Some(Part::Stage { count, .. }) = parts.last_mut()
                && let Count::AtLeast(least) = *count
            {
                *count = Count::Times(least);
            }
            Spec { parts, within, overlapping, time_outs }
        },
    )
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Crash,
    Silence(i64),
    End,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// What is found is what the rules say, whatever the batches, stores, crashes, silences and
    /// ends.
    #[test]
    fn what_is_found_is_what_the_rules_say(
        spec in spec(),
        steps in prop::collection::vec(
            (
                prop::collection::vec(came(), 0..14),
                prop_oneof![
                    6 => Just(Then::Nothing),
                    2 => Just(Then::Crash),
                    2 => (1..12_i64).prop_map(Then::Silence),
                    1 => Just(Then::End),
                ],
                0..12_i64,
            ),
            1..8,
        ),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        lean in any::<bool>(),
    ) {
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(program(&spec, Policy::Stop)?, options)?;
        let (mut model, mut number, mut base, mut clock) = (Model::new(spec.clone()), 0, 0, 0);
        let (mut silent, mut late) = (0, 0);
        for (group, then, on) in steps {
            for came in &group {
                let came = Came { at: base + came.at, ..came.clone() };
                send(&mut driver, &came, number)?;
                model.take(came);
                number += 1;
            }
            base += on;
            if !group.is_empty() {
                silent = 0;
            }
            driver.run()?;
            match then {
                Then::Nothing => {}
                Then::Crash => {
                    late += driver.metrics().late;
                    driver.crash()?;
                }
                Then::Silence(millis) => {
                    let more = if silent == 0 { PATIENCE } else { 0 } + millis;
                    (silent, clock) = (silent + more, clock + more);
                    driver.advance_to(clock)?;
                    model.pass(millis);
                }
                Then::End => {
                    late += driver.metrics().late;
                    driver.finish()?;
                    model.end();
                }
            }
        }
        late += driver.metrics().late;
        driver.finish()?;
        model.end();
        prop_assert_eq!(outcome(&spec, &mut driver)?, model.sent);
        prop_assert_eq!(late, model.late);
        let left = driver.metrics().tasks.iter().map(|task| task.rows).sum::<usize>();
        prop_assert!(lean || left == 0, "{} rows are left", left);
    }
}

/// An order that is not followed by a payment within 10 ms.
fn unpaid() -> Spec {
    let order = Part::Stage { kinds: 1, direct: false, count: Count::One };
    let parts = vec![order, Part::Not { kinds: 2 }];
    Spec { parts, within: 10, overlapping: false, time_outs: false }
}

#[test]
fn what_does_not_come_is_found_at_the_record_that_says_so() -> Result<()> {
    for options in manners() {
        let mut driver = TestDriver::with_options(program(&unpaid(), Policy::Stop)?, options)?;
        let mut send = |key: &str, kind, at| driver.send(&IN, key.into(), (kind, 0), at);
        send("paid", 0, 100)?;
        send("unpaid", 0, 100)?;
        send("paid at last", 0, 101)?;
        send("paid", 1, 110)?;
        driver.run()?;
        assert!(driver.read(&WHOLE)?.is_empty());
        // The payment comes at the time itself, and the other one too late.
        driver.send(&IN, "paid at last".into(), (1, 0), 111)?;
        driver.run()?;
        let found = driver.read(&WHOLE)?;
        let found: Vec<_> = found.iter().map(|row| (row.key.as_str(), row.at)).collect();
        assert_eq!(found, [("unpaid", 100.into())]);
        // Nobody says that time is over for what comes last, but for the end of the run.
        driver.send(&IN, "last".into(), (0, 0), 120)?;
        driver.finish()?;
        assert_eq!(driver.read(&WHOLE)?[0].key, "last");
    }
    Ok(())
}

#[test]
fn no_match_sees_a_record_that_fails() -> Result<()> {
    let is = |kinds| Part::Stage { kinds, direct: true, count: Count::One };
    let parts = vec![is(1), is(2), is(4)];
    let spec = Spec { parts, within: 100, overlapping: false, time_outs: false };
    for options in manners() {
        let mut driver = TestDriver::with_options(program(&spec, Policy::Skip)?, options)?;
        for (number, kind) in [0, BAD, 1, BAD, 2, BAD].into_iter().enumerate() {
            driver.send(&IN, "k".into(), (kind, number as u64), number as i64)?;
        }
        driver.run()?;
        let found = driver.read(&WHOLE)?;
        assert_eq!(found[0].value.values(), [(0, 0), (1, 2), (2, 4)]);
        assert_eq!(driver.metrics().skipped, 3);
    }
    Ok(())
}

#[test]
fn a_letter_is_written_of_a_record_that_fails_and_it_moves_the_time() -> Result<()> {
    for options in manners() {
        let log = Log::in_memory();
        let plan = program(&unpaid(), Policy::DeadLetter(DEAD))?;
        let mut driver = TestDriver::on_log(plan, options, log.clone())?;
        for (key, kind, at) in [("a", 0, 100), ("b", BAD, 111), ("c", 0, 111)] {
            driver.send(&IN, key.into(), (kind, 0), at)?;
        }
        driver.run()?;
        let found = driver.read(&WHOLE)?;
        assert_eq!((found.len(), found[0].key.as_str()), (1, "a"));
        assert_eq!(DeadLetters::open(&log, DEAD)?.list()?.len(), 1);
    }
    Ok(())
}

#[test]
fn what_is_over_is_let_go_of_and_what_does_not_matter_is_not_written() -> Result<()> {
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(program(&unpaid(), Policy::Stop)?, options)?;
        for number in 0..100 {
            // Many pay, and many come that are neither.
            for kind in [0, 3, 3, 1] {
                driver.send(&IN, format!("{number}"), (kind, 0), number)?;
            }
            driver.send(&IN, format!("{number} is unpaid"), (0, 0), number)?;
        }
        driver.send(&IN, "other".into(), (3, 0), 1_000)?;
        assert_eq!(driver.read(&WHOLE)?.len(), 100);
        if !lean {
            assert_eq!(driver.metrics().tasks.iter().map(|task| task.rows).sum::<usize>(), 0);
        }
        let changes = driver.read_changes(&CHANGELOG)?;
        let rows = changes.iter().filter(|row| row.key.first() == Some(&1));
        let (put, removed): (Vec<_>, Vec<_>) =
            rows.partition(|row| row.value.as_ref().is_some_and(Option::is_some));
        assert_eq!((put.len(), removed.len()), (200, 200));
    }
    Ok(())
}

#[test]
fn another_pattern_is_refused_and_another_time_is_not() -> Result<()> {
    let longer = Spec { within: 20, ..unpaid() };
    let mut other = unpaid();
    other.parts.insert(1, Part::Stage { kinds: 8, direct: true, count: Count::AtLeast(2) });
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let log = Log::in_memory();
        let plan = program(&unpaid(), Policy::Stop)?;
        let mut driver = TestDriver::on_log(plan, options.clone(), log.clone())?;
        driver.send(&IN, "k".into(), (0, 7), 100)?;
        drop(driver);
        let plan = program(&other, Policy::Stop)?;
        let refused = TestDriver::on_log(plan, options.clone(), log.clone()).err();
        let report = refused.expect("it is another pattern").report();
        assert!(report.contains("pattern of 1, next 2 or more, and not"), "{report}");
        let plan = program(&longer, Policy::Stop)?;
        let mut driver = TestDriver::on_log(plan, options, log)?;
        driver.send(&IN, "other".into(), (3, 0), 120)?;
        assert!(driver.read(&WHOLE)?.is_empty());
        driver.send(&IN, "other".into(), (3, 0), 121)?;
        assert_eq!(driver.read(&WHOLE)?[0].value.stage(0), [(0, 7)]);
    }
    Ok(())
}

#[test]
fn values_of_another_type_are_refused_or_turned() -> Result<()> {
    let topic: Topic<String, String> = Topic::json("words");
    let out: Topic<String, Vec<String>> = Topic::json("words-out");
    let plan = |migrates: bool| {
        let topology = Topology::new("cep");
        let words = topology.stream(&topic).pattern("seen", |word| word.starts_with('a'));
        let words = words.not(|word| word.starts_with('b')).within(Duration::from_millis(10));
        words.matches().map(|found| found.into_values()).to(&out);
        if migrates {
            topology.migrate("seen", |(kind, number): (u32, u64)| format!("{kind} {number}"));
        }
        topology.build()
    };
    for lean in [false, true] {
        let options = TestOptions { lean, ..TestOptions::default() };
        let log = Log::in_memory();
        let old = program(&unpaid(), Policy::Stop)?;
        let mut driver = TestDriver::on_log(old, options.clone(), log.clone())?;
        driver.send(&IN, "k".into(), (0, 7), 100)?;
        drop(driver);
        let refused = TestDriver::on_log(plan(false)?, options.clone(), log.clone()).err();
        let report = refused.expect("numbers are no words").report();
        assert!(report.contains("seen"), "{report}");
        let mut driver = TestDriver::on_log(plan(true)?, options, log)?;
        driver.send(&topic, "other".into(), "c".into(), 111)?;
        assert_eq!(driver.read(&out)?[0].value, ["0 7"]);
    }
    Ok(())
}

/// Uneven partitions, read again behind an exchange: nothing is lost because another lane ran
/// ahead, and both kinds of exchange find the same (rule T6).
#[test]
fn behind_an_exchange_time_waits_for_the_slowest_lane() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        for batch_rows in [1, 3, 8192] {
            let options = TestOptions {
                exchange,
                batch_rows,
                partitions: 3,
                run_at_send: false,
                ..TestOptions::default()
            };
            let topology = Topology::new("cep");
            let keyed = topology.stream(&IN).key_by(|(_, number)| number.to_string());
            found(&Spec { time_outs: true, ..unpaid() }, keyed);
            let mut driver = TestDriver::with_options(topology.build()?, options)?;
            // One partition comes much further in time than the others.
            for at in 0..60 {
                let key = if at % 3 == 0 { "a" } else { "b" };
                let far = if key == "a" { 50 * at } else { at };
                driver.send(&IN, key.into(), (0, at as u64), far)?;
                if at % 2 == 0 {
                    driver.send(&IN, key.into(), (1, at as u64), far + 5)?;
                }
            }
            driver.run()?;
            driver.finish()?;
            let mut found: Vec<u64> = driver
                .read(&OUT)?
                .into_iter()
                .map(|row| match row.value {
                    Found::Match(found) => found.values()[0].1,
                    Found::TimeOut(part) => panic!("a time-out: {part:?}"),
                })
                .collect();
            found.sort_unstable();
            let expected: Vec<u64> = (0..60).filter(|number| number % 2 == 1).collect();
            assert_eq!(found, expected);
            assert_eq!(driver.metrics().late, 0);
        }
    }
    Ok(())
}
