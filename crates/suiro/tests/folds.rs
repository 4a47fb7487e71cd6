//! Folds of all values of a key, and of so many of them, against plain loops over rules A6, W7, W8
//! and H1: any records, batches, stores and crashes.

use proptest::prelude::*;
use std::collections::BTreeMap;
use suiro::{
    CountWindows, Headers, InWindow, Plan, Record, Result, TestDriver, TestOptions, Topic,
    Topology,
};

const IN: Topic<String, u64> = Topic::json("in");
const LISTS: Topic<String, Option<Vec<u64>>> = Topic::json("lists");
const COUNTS: Topic<String, Option<u64>> = Topic::json("counts");
const SUMS: Topic<String, Option<u64>> = Topic::json("sums");
const FILLING: Topic<String, InWindow<Vec<u64>>> = Topic::json("filling");
const FULL: Topic<String, InWindow<Vec<u64>>> = Topic::json("full");

fn plan(size: u64) -> Result<Plan> {
    let topology = Topology::new("folds");
    let all = topology.stream(&IN);
    all.clone().fold("lists", Vec::new, |list, value| list.push(value)).changes().to(&LISTS);
    all.clone().count("counts").changes().to(&COUNTS);
    all.clone().reduce("sums", |sum, value| sum + value).changes().to(&SUMS);
    let windows = |name| {
        let windows = all.clone().window(CountWindows::of(size));
        windows.fold(name, Vec::new, |list: &mut Vec<u64>, value| list.push(value))
    };
    windows("filling").on_update().to(&FILLING);
    windows("full").on_close().to(&FULL);
    topology.build()
}

/// A result: of which key, what, when, and the number of the record whose headers it has.
type Said<V> = Vec<(String, V, i64, u64)>;

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    lists: Said<Option<Vec<u64>>>,
    counts: Said<Option<u64>>,
    sums: Said<Option<u64>>,
    /// With the smallest and the largest time in it.
    filling: Said<(i64, i64, Vec<u64>)>,
    full: Said<(i64, i64, Vec<u64>)>,
}

/// What the rules say of values and times, each record being one more of its key.
fn expected(records: &[(String, u64, i64)], size: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut keys = BTreeMap::<&str, Vec<(u64, i64)>>::new();
    for (number, (key, value, at)) in (0..).zip(records) {
        let of_key = keys.entry(key).or_default();
        of_key.push((*value, *at));
        let values = |some: &[(u64, i64)]| some.iter().map(|(value, _)| *value).collect();
        let times = |some: &[(u64, i64)]| {
            let times = some.iter().map(|(_, at)| *at);
            let least = times.clone().min().expect("there is one");
            (least, times.max().expect("there is one"))
        };
        let (list, (_, at)): (Vec<u64>, _) = (values(of_key), times(of_key));
        outcome.counts.push((key.clone(), Some(list.len() as u64), at, number));
        outcome.sums.push((key.clone(), Some(list.iter().sum()), at, number));
        outcome.lists.push((key.clone(), Some(list), at, number));
        let window = &of_key[(of_key.len() - 1) / size * size..];
        let (start, end) = times(window);
        let row = (key.clone(), (start, end, values(window)), end, number);
        if window.len() == size {
            outcome.full.push(row.clone());
        }
        outcome.filling.push(row);
    }
    outcome
}

fn said<V: suiro::Data>(driver: &mut TestDriver, topic: &Topic<String, V>) -> Result<Said<V>> {
    let rows = driver.read(topic)?.into_iter().map(|row| {
        let number = row.headers.get("number").expect("headers come along");
        let number = std::str::from_utf8(number).expect("a number is text");
        let number = number.parse().expect("a number was sent");
        (row.key, row.value, row.at.as_millis(), number)
    });
    Ok(rows.collect())
}

fn windows(
    driver: &mut TestDriver,
    topic: &Topic<String, InWindow<Vec<u64>>>,
) -> Result<Said<(i64, i64, Vec<u64>)>> {
    let rows = said(driver, topic)?.into_iter().map(|(key, window, at, number)| {
        let bounds = (window.start.as_millis(), window.end.as_millis(), window.value);
        (key, bounds, at, number)
    });
    Ok(rows.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every result in order, with its time and its headers.
    #[test]
    fn folds_are_what_the_rules_say(
        records in prop::collection::vec((0..3_u8, 0..9_u64, 0..20_i64), 0..30),
        size in 1..5_usize,
        steps in prop::collection::vec((1..9_usize, any::<bool>()), 1..6),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        lean in any::<bool>(),
    ) {
        let records: Vec<_> = records
            .into_iter()
            .map(|(key, value, at)| (key.to_string(), value, at))
            .collect();
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(plan(size as u64)?, options)?;
        let mut steps = steps.iter().cycle();
        let mut numbered = records.iter().enumerate().peekable();
        while let (Some(_), Some((count, crashes))) = (numbered.peek(), steps.next()) {
            for (number, (key, value, at)) in numbered.by_ref().take(*count) {
                let headers: Headers = [("number", number.to_string())].into_iter().collect();
                let record = Record::new(key.clone(), *value, *at);
                driver.send_record(&IN, Record { headers, ..record })?;
            }
            driver.run()?;
            if *crashes {
                driver.crash()?;
            }
        }
        // Count windows that are not full stay so at the end.
        driver.finish()?;
        let outcome = Outcome {
            lists: said(&mut driver, &LISTS)?,
            counts: said(&mut driver, &COUNTS)?,
            sums: said(&mut driver, &SUMS)?,
            filling: windows(&mut driver, &FILLING)?,
            full: windows(&mut driver, &FULL)?,
        };
        prop_assert_eq!(outcome, expected(&records, size));
    }
}
