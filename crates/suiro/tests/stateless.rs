//! Steps without state against the plain loops that they are, one row after the other: any chain
//! of them, any records and batches.

use proptest::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};
use suiro::{Header, Policy, Record, Result, Stream, TestDriver, TestOptions, Topic, Topology};

const IN: Topic<String, u64> = Topic::json("in");
const OUT: Topic<String, u64> = Topic::json("out");

/// A step; the number says which values it means.
#[derive(Clone, Copy, Debug)]
enum Step {
    Filter(u64),
    FilterWithKey(u64),
    Map(u64),
    MapWithKey,
    MapWithTime,
    FlatMap(u64),
    KeyBy(u64),
    Rekey(u64),
    FlatRekey(u64),
    Records,
    WithHeaders,
    Inspect,
    Split(u64),
    /// Of three branches the first two go on.
    Branch,
    /// A stream merged with itself.
    Merge,
    TryFilter(u64),
    TryMap(u64),
    TryFlatMap(u64),
}

/// A row of the model: key, value, time, and what its headers are called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    key: String,
    value: u64,
    at: i64,
    headers: Vec<String>,
}

/// What steps of `inspect` were shown: which step, key and value.
type Shown = Vec<(usize, String, u64)>;

/// A step that may fail does so where the value leaves a one.
fn checked(value: u64, of: u64) -> Result<u64, String> {
    if value % of == 1 { Err(format!("{value} is not taken")) } else { Ok(value + 1) }
}

fn short(value: u64, of: u64) -> String {
    format!("k{}", value % of)
}

fn draw(
    stream: Stream<String, u64>,
    (number, step): (usize, Step),
    shown: &Arc<Mutex<Shown>>,
) -> Stream<String, u64> {
    match step {
        Step::Filter(of) => stream.filter(move |value| value % of == 0),
        Step::FilterWithKey(of) => stream
            .filter_with_key(move |key, value| (key.len() as u64 + value).is_multiple_of(of)),
        Step::Map(by) => stream.map(move |value| value + by),
        Step::MapWithKey => stream.map_with_key(|key, value| value + key.len() as u64),
        Step::MapWithTime => stream.map_with_time(|at, value| value + at.as_millis() as u64),
        Step::FlatMap(of) => {
            stream.flat_map(move |value| (0..value % of).map(move |n| value + n))
        }
        Step::KeyBy(of) => stream.key_by(move |value| short(*value, of)),
        Step::Rekey(of) => stream.rekey(move |value| (short(value, of), value + 1)),
        Step::FlatRekey(of) => stream.flat_rekey(move |value, emit| {
            (0..value % of).for_each(|n| emit.push(short(n, of), value + n));
        }),
        Step::Records => stream.records().map(|row| {
            row.value
                + row.key.len() as u64
                + row.at.as_millis() as u64
                + row.headers.iter().count() as u64
        }),
        Step::WithHeaders => stream.with_headers(|row| {
            let kept = row.headers.iter().map(|header| header.key.clone());
            kept.chain([row.value.to_string()]).map(|name| (name, "")).collect()
        }),
        Step::Inspect => {
            let shown = Arc::clone(shown);
            stream.inspect(move |key, value| {
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.push((number, key.clone(), *value));
            })
        }
        Step::Split(of) => {
            let (some, others) = stream.split(move |value| value % of == 0);
            others.merge(some.map(|value| value + 100))
        }
        Step::Branch => {
            let [some, more, _] = stream.branch(|value| (value % 3) as usize);
            more.merge(some.map(|value| value + 100))
        }
        Step::Merge => stream.clone().map(|value| value + 1).merge(stream),
        Step::TryFilter(of) => stream
            .try_filter(move |value| checked(*value, of).map(|value| value % 2 == 0))
            .on_error(Policy::Skip),
        Step::TryMap(of) => {
            stream.try_map(move |value| checked(value, of)).on_error(Policy::Skip)
        }
        Step::TryFlatMap(of) => stream
            .try_flat_map(move |value| checked(value, of).map(|value| [value, value + 1]))
            .on_error(Policy::Skip),
    }
}

/// What a step makes of a row, and how many rows it skips.
fn take(row: &Row, (number, step): (usize, Step), shown: &mut Shown) -> (Vec<Row>, u64) {
    let Row { key, value, at, headers } = row;
    let (value, length) = (*value, key.len() as u64);
    let with = |value: u64| Row { value, ..row.clone() };
    let keyed = |key: String, value: u64| Row { key, value, ..row.clone() };
    let kept = |keeps: bool| if keeps { vec![row.clone()] } else { Vec::new() };
    let rows = match step {
        Step::Filter(of) => kept(value % of == 0),
        Step::FilterWithKey(of) => kept((length + value).is_multiple_of(of)),
        Step::Map(by) => vec![with(value + by)],
        Step::MapWithKey => vec![with(value + length)],
        Step::MapWithTime => vec![with(value + *at as u64)],
        Step::FlatMap(of) => (0..value % of).map(|n| with(value + n)).collect(),
        Step::KeyBy(of) => vec![keyed(short(value, of), value)],
        Step::Rekey(of) => vec![keyed(short(value, of), value + 1)],
        Step::FlatRekey(of) => {
            (0..value % of).map(|n| keyed(short(n, of), value + n)).collect()
        }
        Step::Records => vec![with(value + length + *at as u64 + headers.len() as u64)],
        Step::WithHeaders => {
            let headers = headers.iter().cloned().chain([value.to_string()]).collect();
            vec![Row { headers, ..row.clone() }]
        }
        Step::Inspect => {
            shown.push((number, key.clone(), value));
            kept(true)
        }
        Step::Split(of) => vec![with(if value % of == 0 { value + 100 } else { value })],
        Step::Branch if value % 3 == 2 => Vec::new(),
        Step::Branch => vec![with(if value % 3 == 0 { value + 100 } else { value })],
        Step::Merge => vec![with(value + 1), with(value)],
        Step::TryFilter(of) | Step::TryMap(of) | Step::TryFlatMap(of) => {
            let Ok(value) = checked(value, of) else { return (Vec::new(), 1) };
            match step {
                Step::TryFilter(_) => kept(value % 2 == 0),
                Step::TryMap(_) => vec![with(value)],
                _ => vec![with(value), with(value + 1)],
            }
        }
    };
    (rows, 0)
}

fn step() -> impl Strategy<Value = Step> {
    let of = 2..5_u64;
    let plain = prop_oneof![
        Just(Step::MapWithKey),
        Just(Step::MapWithTime),
        Just(Step::Records),
        Just(Step::WithHeaders),
        Just(Step::Inspect),
        Just(Step::Branch),
        Just(Step::Merge),
    ];
    let with: [fn(u64) -> Step; 11] = [
        Step::Filter,
        Step::FilterWithKey,
        Step::Map,
        Step::FlatMap,
        Step::KeyBy,
        Step::Rekey,
        Step::FlatRekey,
        Step::Split,
        Step::TryFilter,
        Step::TryMap,
        Step::TryFlatMap,
    ];
    let with = (prop::sample::select(with.to_vec()), of).prop_map(|(step, of)| step(of));
    prop_oneof![1 => plain, 2 => with]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What comes out of a chain, what `inspect` is shown in it, and what is skipped.
    #[test]
    fn any_chain_of_steps_is_its_loop(
        steps in prop::collection::vec(step(), 1..7),
        values in prop::collection::vec((0..3_usize, 0..40_u64, 0..9_i64), 0..12),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
    ) {
        let (topology, shown) = (Topology::new("steps"), Arc::default());
        let mut stream = topology.stream(&IN);
        for (number, step) in steps.iter().enumerate() {
            stream = draw(stream, (number, *step), &shown);
        }
        stream.to(&OUT);
        let options = TestOptions { batch_rows, run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(topology.build()?, options)?;

        let (mut expected, mut seen, mut skipped) = (Vec::new(), Shown::new(), 0);
        for (key, value, at) in values {
            let key = ["a", "bb", "ccc"][key].to_owned();
            let headers = [("first", "")].into_iter().collect();
            let record = Record { headers, ..Record::new(key.clone(), value, at) };
            driver.send_record(&IN, record)?;
            let row = Row { key, value, at, headers: vec!["first".to_owned()] };
            // A row goes through the whole chain before the next one begins (rule D2).
            let mut under_way = vec![(row, 0)];
            while let Some((row, number)) = under_way.pop() {
                let Some(step) = steps.get(number) else {
                    expected.push(row);
                    continue;
                };
                let (rows, more) = take(&row, (number, *step), &mut seen);
                skipped += more;
                under_way.extend(rows.into_iter().rev().map(|row| (row, number + 1)));
            }
        }
        driver.run()?;
        let names = |header: &Header| header.key.clone();
        let out = driver.read(&OUT)?.into_iter().map(|row| Row {
            headers: row.headers.iter().map(names).collect(),
            key: row.key,
            value: row.value,
            at: row.at.as_millis(),
        });
        prop_assert_eq!(out.collect::<Vec<_>>(), expected);
        prop_assert_eq!(driver.metrics().skipped, skipped);
        // Steps that look on do not meet again: a batch goes by the one before it goes by the other.
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        shown.sort_by_key(|(number, ..)| *number);
        seen.sort_by_key(|(number, ..)| *number);
        prop_assert_eq!(shown, seen);
    }
}
