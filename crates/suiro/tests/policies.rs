//! Policies: what becomes of records that cannot be read, and of steps that fail or panic.

use std::time::Duration;
use suiro::{
    Bytes, ErrorKind, ExchangeKind, Log, Plan, Policy, Raw, Reader, Result, Sessions,
    TestDriver, TestOptions, Topic, Topology, Tumbling,
};

const IN: Topic<String, i64> = Topic::json("in");
const RAW_IN: Topic<Option<Bytes>, Option<Bytes>> = Topic::of("in", &Raw, &Raw);
const OUT: Topic<String, i64> = Topic::json("out");
const FLAGS: Topic<String, i64> = Topic::json("flags");
const RAW_FLAGS: Topic<Option<Bytes>, Option<Bytes>> = Topic::of("flags", &Raw, &Raw);

/// The value that steps of these tests cannot take.
const BAD: i64 = 13;

/// Both kinds of exchange, and batches that hold one record, few and all.
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

/// A driver whose source holds `values`, with their place as time, under two keys in turn.
fn driver(plan: Plan, options: TestOptions, values: &[i64]) -> Result<TestDriver> {
    let mut driver = TestDriver::with_options(plan, options)?;
    for (at, value) in values.iter().enumerate() {
        let key = if at % 2 == 0 { "even" } else { "odd" };
        driver.send(&IN, key.into(), *value, at as i64)?;
    }
    Ok(driver)
}

fn values(log: &Log) -> Result<Vec<i64>> {
    let records = Reader::open(log, &OUT)?.read_to_end()?;
    Ok(records.into_iter().filter_map(|record| record.value).collect())
}

fn out(driver: &mut TestDriver) -> Result<Vec<i64>> {
    Ok(driver.read(&OUT)?.into_iter().map(|record| record.value).collect())
}

/// The steps that can fail, each in a program of its own that writes to `OUT`.
type Program = (&'static str, fn(&Topology));

fn no_thirteen(value: i64) -> Result<i64, String> {
    if value == BAD { Err("thirteen is unlucky".to_owned()) } else { Ok(value) }
}

fn panics_at_thirteen(value: i64) -> i64 {
    assert!(value != BAD, "thirteen is unlucky");
    value
}

const STATELESS: &[Program] = &[
    ("try_map", |it| it.stream(&IN).try_map(no_thirteen).to(&OUT)),
    ("try_filter", |it| {
        it.stream(&IN).try_filter(|value| no_thirteen(*value).map(|_| true)).to(&OUT);
    }),
    ("try_flat_map", |it| {
        it.stream(&IN).try_flat_map(|value| no_thirteen(value).map(|value| [value])).to(&OUT);
    }),
    ("map", |it| it.stream(&IN).map(panics_at_thirteen).to(&OUT)),
    ("filter", |it| {
        it.stream(&IN).filter(|value| panics_at_thirteen(*value) >= 0).to(&OUT);
    }),
    ("flat_rekey", |it| {
        // What was pushed before the panic is taken back.
        it.stream(&IN)
            .flat_rekey(|value, out| {
                out.push(String::new(), value);
                panics_at_thirteen(value);
            })
            .to(&OUT);
    }),
    ("flat_map", |it| it.stream(&IN).flat_map(|value| [panics_at_thirteen(value)]).to(&OUT)),
    ("key_by", |it| {
        it.stream(&IN).key_by(|value| panics_at_thirteen(*value).to_string()).to(&OUT);
    }),
    ("inspect", |it| {
        let look = |_: &String, value: &i64| {
            panics_at_thirteen(*value);
        };
        it.stream(&IN).inspect(look).to(&OUT);
    }),
    ("left_join", |it| {
        let flags = it.table(&FLAGS);
        it.stream(&IN).left_join(&flags, |value, _| panics_at_thirteen(value)).to(&OUT);
    }),
];

#[test]
fn a_stateless_step_skips_the_record_and_no_other() -> Result<()> {
    for (name, program) in STATELESS {
        for options in manners() {
            let topology = Topology::new("skip");
            topology.on_error(Policy::Skip);
            program(&topology);
            let mut driver = driver(topology.build()?, options, &[1, 2, BAD, 4, BAD, 6])?;
            driver.run()?;
            assert_eq!(out(&mut driver)?, [1, 2, 4, 6], "{name}");
            assert_eq!(driver.metrics().skipped, 2, "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_stateless_step_stops_behind_all_that_came_before() -> Result<()> {
    for (name, program) in STATELESS {
        for options in manners() {
            let topology = Topology::new("stop");
            program(&topology);
            let mut driver = driver(topology.build()?, options, &[1, 2, BAD, 4])?;
            let error = driver.run().expect_err("the third record cannot be taken");
            let report = error.report();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let step = format!("step=`{name}`");
            for part in [&step, "topic=`in`", "partition=`0`", "offset=`2`", "unlucky"] {
                assert!(report.contains(part), "{name}: `{part}` is not in: {report}");
            }
            assert_eq!(out(&mut driver)?, [1, 2], "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_stopped_program_stops_at_the_same_record_again() -> Result<()> {
    let log = Log::in_memory();
    let plan = || {
        let topology = Topology::new("stop");
        topology.stream(&IN).fold("sum", || 0, |sum, n| *sum += panics_at_thirteen(n)).to(&OUT);
        topology.build()
    };
    let options = TestOptions { run_at_send: false, ..TestOptions::default() };
    let mut driver = TestDriver::on_log(plan()?, options.clone(), log.clone())?;
    for (at, value) in [1, 2, BAD, 4].into_iter().enumerate() {
        driver.send(&IN, "key".into(), value, at as i64)?;
    }
    driver.run().expect_err("the third record cannot be taken");
    let before = values(&log)?;
    assert_eq!(before.last(), Some(&3));
    driver.crash()?;
    let report = driver.run().expect_err("it still cannot be taken").report();
    assert!(report.contains("offset=`2`"), "{report}");
    assert_eq!(values(&log)?, before, "nothing is written twice");

    // A program that skips goes on from there.
    drop(driver);
    let topology = Topology::new("stop");
    topology.on_error(Policy::Skip);
    topology.stream(&IN).fold("sum", || 0, |sum, n| *sum += panics_at_thirteen(n)).to(&OUT);
    let mut driver = TestDriver::on_log(topology.build()?, options, log.clone())?;
    driver.run()?;
    assert_eq!(values(&log)?.last(), Some(&7));
    Ok(())
}

/// A closure that has already changed the row when it panics.
fn spoils(sum: &mut i64, value: i64) {
    *sum += value;
    assert!(value != BAD, "thirteen is unlucky");
}

const DAY: Duration = Duration::from_secs(86_400);

const STATEFUL: &[Program] = &[
    ("fold sum", |it| it.stream(&IN).fold("sum", || 0, spoils).changes().to_values()),
    ("fold sum", |it| {
        it.stream(&IN)
            .key_by(|_| "all".to_owned())
            .fold("sum", || 0, spoils)
            .changes()
            .to_values();
    }),
    ("tumbling fold sum", |it| {
        let sums = it.stream(&IN).window(Tumbling::of(DAY)).fold("sum", || 0, spoils);
        sums.on_update().map(|window| window.value).to(&OUT);
    }),
    ("session fold sum", |it| {
        let windows = Sessions::with_gap(DAY);
        let sums = it.stream(&IN).window(windows).fold("sum", || 0, spoils, |sum, n| *sum += n);
        sums.on_update().flat_map(|window| window.value).to(&OUT);
    }),
];

trait ToValues {
    fn to_values(self);
}

impl ToValues for suiro::Stream<String, Option<i64>> {
    fn to_values(self) {
        self.flat_map(|row| row).to(&OUT);
    }
}

/// The sums of a program, added one at a time: by key, or of all.
fn sums(values: &[i64], by_key: bool) -> Vec<i64> {
    let mut sums = [0, 0];
    let mut all = Vec::new();
    for (at, value) in values.iter().enumerate().filter(|(_, value)| **value != BAD) {
        let sum = &mut sums[if by_key { at % 2 } else { 0 }];
        *sum += value;
        all.push(*sum);
    }
    all
}

#[test]
fn a_fold_that_panics_leaves_its_row_as_it_was() -> Result<()> {
    for (number, (name, program)) in STATEFUL.iter().enumerate() {
        for options in manners() {
            let topology = Topology::new("skip");
            topology.on_error(Policy::Skip);
            program(&topology);
            let input = [1, 2, BAD, 4, BAD, 6, 7, BAD];
            let mut driver = driver(topology.build()?, options, &input)?;
            driver.run()?;
            let by_key = number != 1;
            assert_eq!(out(&mut driver)?, sums(&input, by_key), "{number} {name}");
            assert_eq!(driver.metrics().skipped, 3, "{number} {name}");

            // The rows are right in the changelog too.
            driver.crash()?;
            driver.send(&IN, "even".into(), 100, 8)?;
            driver.run()?;
            let grown = sums(&[&input[..], &[100]].concat(), by_key);
            assert_eq!(out(&mut driver)?, grown[grown.len() - 1..], "{number} {name}");
        }
    }
    Ok(())
}

#[test]
fn a_fold_stops_behind_all_that_came_before() -> Result<()> {
    for (number, (name, program)) in STATEFUL.iter().enumerate() {
        for options in manners() {
            let topology = Topology::new("stop");
            program(&topology);
            let by_topic = options.exchange == ExchangeKind::Topic;
            let mut driver = driver(topology.build()?, options, &[1, 2, 3, BAD, 5])?;
            let report = driver.run().expect_err("the fourth record stops it").report();
            let step = format!("step=`{name}`");
            assert!(report.contains(&step) && report.contains("unlucky"), "{report}");
            assert!(report.contains("partition=`0`"), "{report}");
            let is_behind_exchange = number == 1;
            if !is_behind_exchange {
                assert!(report.contains("topic=`in`"), "{report}");
                assert!(report.contains("offset=`3`"), "{report}");
            } else if by_topic {
                assert!(report.contains("topic=`stop.sum.repartition`"), "{report}");
                assert!(report.contains("offset=`"), "{report}");
            }
            let expected = sums(&[1, 2, 3], !is_behind_exchange);
            assert_eq!(out(&mut driver)?, expected, "{number} {name}");
        }
    }
    Ok(())
}

#[test]
fn a_merge_of_sessions_that_panics_leaves_both_as_they_were() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("merge");
        topology.on_error(Policy::Skip);
        let windows = Sessions::with_gap(Duration::from_millis(5));
        let merge = |sum: &mut i64, later: i64| {
            *sum += later;
            assert!(*sum < 10, "too much");
        };
        let sums = topology.stream(&IN).window(windows.grace(DAY)).fold(
            "sums",
            || 0,
            |sum, n| *sum += n,
            merge,
        );
        sums.on_close().map(|window| window.value).to(&OUT);
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        // The third would join the first two.
        for (value, at) in [(6, 0), (7, 10), (1, 5), (2, 12)] {
            driver.send(&IN, "key".into(), value, at)?;
        }
        driver.run()?;
        driver.finish()?;
        assert_eq!(out(&mut driver)?, [6, 9]);
        assert_eq!(driver.metrics().late, 0);
    }
    Ok(())
}

#[test]
fn a_table_step_that_panics_skips_the_change() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("tables");
        topology.on_error(Policy::Skip);
        topology.table(&IN).map(|row| panics_at_thirteen(*row)).changes().to_values();
        let mut driver = driver(topology.build()?, options, &[1, BAD, 3])?;
        driver.run()?;
        assert_eq!(out(&mut driver)?, [1, 3]);
    }
    Ok(())
}

fn raw(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

/// One good record, one that is no number, one more that is good.
fn undecodable(topology: Topology, options: TestOptions) -> Result<TestDriver> {
    topology.stream(&IN).map(|value| value * 10).to(&OUT);
    let mut driver = TestDriver::with_options(topology.build()?, options)?;
    for (at, value) in ["1", "one", "2", "{", "3"].into_iter().enumerate() {
        driver.send(&RAW_IN, raw("key"), raw(value), at as i64)?;
    }
    Ok(driver)
}

#[test]
fn undecodable_input_stops_unless_told_otherwise() -> Result<()> {
    for options in manners() {
        let mut driver = undecodable(Topology::new("stop"), options)?;
        let error = driver.run().expect_err("`one` is no number");
        let report = error.report();
        for part in ["topic=`in`", "partition=`0`", "offset=`1`"] {
            assert!(report.contains(part), "{report}");
        }
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(out(&mut driver)?, [10]);
        driver.crash()?;
        driver.run().expect_err("it is still there");
        assert_eq!(out(&mut driver)?, [0_i64; 0]);
    }
    Ok(())
}

#[test]
fn undecodable_input_is_skipped_and_counted() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("skip");
        topology.on_error(Policy::Skip);
        let mut driver = undecodable(topology, options)?;
        driver.run()?;
        assert_eq!(out(&mut driver)?, [10, 20, 30]);
        assert_eq!(driver.metrics().skipped, 2);
    }
    Ok(())
}

/// What a policy skipped when it was read is skipped again when the table is restored from it.
#[test]
fn a_table_is_restored_past_records_that_were_skipped() -> Result<()> {
    for options in manners() {
        for lean in [false, true] {
            let options = TestOptions { lean, ..options.clone() };
            let topology = Topology::new("skip");
            topology.on_error(Policy::Skip);
            let flags = topology.table(&FLAGS);
            topology.stream(&IN).join(&flags, |value, flag| value + flag).to(&OUT);
            let mut driver = TestDriver::with_options(topology.build()?, options)?;
            driver.send(&RAW_FLAGS, raw("even"), raw("10"), 0)?;
            driver.send(&RAW_FLAGS, raw("odd"), raw("ten"), 1)?;
            driver.send(&RAW_FLAGS, raw("odd"), raw("30"), -1)?;
            driver.send(&RAW_FLAGS, raw("odd"), raw("20"), 2)?;
            driver.run()?;
            driver.crash()?;
            for (at, key) in ["even", "odd"].into_iter().enumerate() {
                driver.send(&IN, key.into(), 1, 10 + at as i64)?;
            }
            driver.run()?;
            assert_eq!(out(&mut driver)?, [11, 21]);
        }
    }
    Ok(())
}

#[test]
fn invalid_input_moves_no_time() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("time");
        topology.on_error(Policy::Skip);
        let windows = Tumbling::of(Duration::from_millis(10));
        let counts = topology.stream(&IN).window(windows).fold("sum", || 0, |sum, n| *sum += n);
        counts.on_close().map(|window| window.value).to(&OUT);
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        driver.send(&RAW_IN, raw("key"), raw("1"), 1)?;
        driver.send(&RAW_IN, raw("key"), raw("x"), 1_000)?;
        driver.send(&RAW_IN, raw("key"), None, 2_000)?;
        driver.send(&RAW_IN, None, raw("1"), 3_000)?;
        driver.send(&RAW_IN, raw("key"), raw("1"), -1)?;
        driver.send(&RAW_IN, raw("key"), raw("2"), 2)?;
        driver.run()?;
        assert_eq!(out(&mut driver)?, [0_i64; 0]);
        assert_eq!((driver.metrics().skipped, driver.metrics().late), (4, 0));
        driver.send(&IN, "key".into(), 5, 10)?;
        driver.run()?;
        assert_eq!(out(&mut driver)?, [3]);
    }
    Ok(())
}

#[test]
fn nulls_are_skipped_by_default_and_stop_if_asked() -> Result<()> {
    let bad = [(raw("key"), None, "value"), (None, raw("2"), "key")];
    for (key, value, what) in bad {
        for policy in [None, Some(Policy::Stop)] {
            let topology = Topology::new("nulls");
            if let Some(policy) = policy {
                topology.on_error(policy);
            }
            topology.stream(&IN).to(&OUT);
            let mut driver = TestDriver::new(topology.build()?)?;
            driver.send(&IN, "key".into(), 1, 0)?;
            let sent = driver.send(&RAW_IN, key.clone(), value.clone(), 1);
            match policy {
                None => {
                    sent?;
                    driver.send(&IN, "key".into(), 3, 2)?;
                    assert_eq!(out(&mut driver)?, [1, 3], "null {what}");
                    assert_eq!(driver.metrics().skipped, 1, "null {what}");
                }
                Some(_) => {
                    let report = sent.expect_err("a null is no event").report();
                    assert!(report.contains("offset=`1`") && report.contains(what), "{report}");
                    assert_eq!(out(&mut driver)?, [1], "null {what}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_step_has_a_policy_of_its_own() -> Result<()> {
    let topology = Topology::new("own");
    topology.on_error(Policy::Skip);
    let strict = topology.stream(&IN).on_error(Policy::Stop);
    strict.try_map(no_thirteen).to(&OUT);
    let mut driver = TestDriver::new(topology.build()?)?;
    driver.send(&IN, "key".into(), BAD, 0)?;
    driver.send(&IN, "key".into(), 1, 1)?;
    assert_eq!(driver.metrics().skipped, 1);
    driver.send(&RAW_IN, raw("key"), raw("x"), 2).expect_err("the source is strict");
    assert_eq!(out(&mut driver)?, [1]);
    Ok(())
}
