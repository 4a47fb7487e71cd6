//! `distinct` and `top_n` against plain loops, for any records, batches and crashes.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{ExchangeKind, Result, TestDriver, TestOptions, Topic, Topology};

const EVENTS: Topic<String, u64> = Topic::json("events");
const ONCE: Topic<String, u64> = Topic::json("once");
const BEST: Topic<String, Vec<(u64, i64)>> = Topic::json("best");

type Event = (u8, u64, i64);

fn holds(
    events: &[Event],
    (within, n, crosses): (i64, usize, bool),
    crashes: &[usize],
    options: TestOptions,
) -> Result<()> {
    let topology = Topology::new("app");
    let mut stream = topology.stream(&EVENTS);
    if crosses {
        stream = stream.map_with_key(|key, value| (key.clone(), value)).rekey(|pair| pair);
    }
    let best = stream.clone().map_with_time(|at, value| (value, at.as_millis()));
    stream.distinct("once", Duration::from_millis(within as u64)).to(&ONCE);
    best.top_n("best", n, |(value, _)| *value).to(&BEST);
    let mut driver = TestDriver::with_options(topology.build()?, options)?;
    let (mut now, mut passed) = (i64::MIN, BTreeMap::<String, i64>::new());
    let (mut once, mut late, mut counted) = (Vec::new(), 0, 0);
    let mut all = BTreeMap::<String, Vec<(u64, i64)>>::new();
    for (number, (key, value, at)) in events.iter().enumerate() {
        let key = format!("k{key}");
        driver.send(&EVENTS, key.clone(), *value, *at)?;
        all.entry(key.clone()).or_default().push((*value, *at));
        now = now.max(*at);
        if at + within <= now {
            late += 1;
        } else if passed.get(&key).is_none_or(|first| first + within <= now) {
            passed.insert(key.clone(), *at);
            once.push((key, *value, *at));
        }
        if crashes.contains(&number) {
            driver.run()?;
            counted += driver.metrics().late;
            driver.crash()?;
        }
    }
    driver.run()?;
    counted += driver.metrics().late;
    let seen = driver.read(&ONCE)?.into_iter();
    let seen: Vec<_> = seen.map(|row| (row.key, row.value, row.at.as_millis())).collect();
    assert_eq!(seen, once);
    assert_eq!(counted, late);
    for best in all.values_mut() {
        // A stable sort: what came first stays first.
        best.sort_by_key(|(value, _)| std::cmp::Reverse(*value));
        best.truncate(n);
    }
    assert_eq!(driver.read_last(&BEST)?, all);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn each_key_passes_once_and_the_best_stay(
        events in prop::collection::vec((0..5_u8, 0..9_u64, -6..9_i64), 1..50),
        within in prop_oneof![1..6_i64, 5..60_i64],
        n in 0..4_usize,
        crosses in any::<bool>(),
        crashes in prop::collection::vec(0..50_usize, 0..4),
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(8192)],
        in_memory in any::<bool>(),
        run_at_send in any::<bool>(),
        lean in any::<bool>(),
    ) {
        let mut at = 30_i64;
        let events = events.into_iter().map(|(key, value, leap)| {
            at = (at + leap).max(0);
            (key, value, at)
        });
        let events: Vec<_> = events.collect();
        let exchange = if in_memory { ExchangeKind::Memory } else { ExchangeKind::Topic };
        let options =
            TestOptions { exchange, batch_rows, run_at_send, lean, ..TestOptions::default() };
        let program = (within, n, crosses);
        holds(&events, program, &crashes, options).expect("the program runs");
    }
}

#[test]
fn no_time_at_all_is_refused() {
    let topology = Topology::new("app");
    topology.stream(&EVENTS).distinct("once", Duration::ZERO).to(&ONCE);
    assert!(topology.build().is_err());
}

#[test]
fn a_silence_lets_keys_pass_again() -> Result<()> {
    let topology = Topology::new("app");
    topology.idle_after(Duration::from_millis(10));
    topology.stream(&EVENTS).distinct("once", Duration::from_millis(5)).to(&ONCE);
    let mut driver = TestDriver::new(topology.build()?)?;
    driver.send(&EVENTS, "a".into(), 1, 7)?;
    driver.advance_to(14)?;
    driver.send(&EVENTS, "a".into(), 2, 11)?;
    driver.advance_to(25)?;
    driver.send(&EVENTS, "a".into(), 3, 13)?;
    let once: Vec<_> = driver.read(&ONCE)?.into_iter().map(|row| row.value).collect();
    assert_eq!(once, [1, 3]);
    Ok(())
}
