//! Windows over several streams in one fold: what the rules say of all their records, by turn.

#[path = "hopping/model.rs"]
mod model;
#[path = "support/windows.rs"]
#[allow(dead_code, reason = "other tests send to one stream with it")]
mod support;

use model::{Model, Spec};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;
use suiro::{
    Hopping, InWindow, Plan, Policy, Record, Result, Sessions, Stream, TestDriver, TestOptions,
    Topic, Topology, Tumbling, WindowTable,
};
use support::{Came, OUT, Outcome, Sent, Then, came, manners};

/// Three streams whose values are of three types: each tells the number of its record.
const PLAIN: Topic<String, u64> = Topic::json("plain");
const TEXTS: Topic<String, String> = Topic::json("texts");
const PAIRS: Topic<String, (u64, bool)> = Topic::json("pairs");
const LATE: Topic<String, ()> = Topic::json("late");

type All = Vec<usize>;

/// No window takes a text that is no number.
const NO_NUMBER: &str = "none";

fn put(all: &mut All, number: usize) {
    let place = all.partition_point(|other| *other < number);
    all.insert(place, number);
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn merge(all: &mut All, more: All) {
    more.into_iter().for_each(|number| put(all, number));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// On close, a state for each window.
    Windows,
    /// On close, in slices.
    Slices,
    /// At each update.
    Updates,
    Sessions,
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

/// The three streams in one windowed fold; or, which is the same by another way, made alike, merged
/// and then folded.
fn plan(kind: Kind, spec: Spec, merged: bool) -> Result<Plan> {
    let topology = Topology::new("near");
    topology.on_error(Policy::Skip);
    let plain = topology.stream(&PLAIN);
    let (texts, pairs) = (topology.stream(&TEXTS), topology.stream(&PAIRS));
    let Spec { size, advance, grace } = spec;
    let hopping = Hopping::of(millis(size)).every(millis(advance)).grace(millis(grace));
    let tumbling = Tumbling::of(millis(size)).grace(millis(grace));
    let sessions = Sessions::with_gap(millis(size)).grace(millis(grace));
    // Windows side by side are the other kind where that is the same.
    let tumbles = advance == size && kind != Kind::Slices;
    fn told<V: suiro::Data>(
        kind: Kind,
        table: WindowTable<String, V, All>,
    ) -> (Stream<String, V>, Stream<String, InWindow<All>>) {
        let table = if kind == Kind::Slices { table.combining(merge) } else { table };
        let late = table.late();
        (late, if kind == Kind::Updates { table.on_update() } else { table.on_close() })
    }
    let results = if merged {
        let texts = texts.map(|text| text).merge(pairs.map(|(number, _)| number.to_string()));
        let all = plain.map(|number| number.to_string()).merge(texts);
        let add = |all: &mut All, text: String| put(all, number(&text));
        let (late, results) = match kind {
            Kind::Sessions => {
                let table = all.window(sessions).fold("windows", Vec::new, add, merge);
                (table.late(), table.on_close())
            }
            _ if tumbles => told(kind, all.window(tumbling).fold("windows", Vec::new, add)),
            _ => told(kind, all.window(hopping).fold("windows", Vec::new, add)),
        };
        late.map(|_| ()).to(&LATE);
        results
    } else {
        let all = plain
            .cogroup("windows", Vec::new, |all, number| put(all, number as usize))
            .with(texts, |all, text: String| put(all, number(&text)))
            .with(pairs, |all, (number, _)| put(all, number as usize));
        let (late, results) = match kind {
            Kind::Sessions => {
                let table = all.window(sessions).table(merge);
                (table.late(), table.on_close())
            }
            _ if tumbles => told(kind, all.window(tumbling).table()),
            _ => told(kind, all.window(hopping).table()),
        };
        late.to(&LATE);
        results
    };
    results.to(&OUT);
    topology.build()
}

/// A record of one of the streams, or a text that nobody can take.
#[derive(Clone, Debug)]
struct Of {
    stream: usize,
    fails: bool,
    came: Came,
}

fn send(driver: &mut TestDriver, of: &Of, number: usize) -> Result<()> {
    let headers = [("number", number.to_string())].into_iter().collect();
    let Came { key, at } = of.came.clone();
    let record = Record { headers, ..Record::new(key, number as u64, at) };
    match of.stream {
        0 => driver.send_record(&PLAIN, record),
        1 => {
            let text = if of.fails { NO_NUMBER.to_owned() } else { number.to_string() };
            driver.send_record(&TEXTS, record.with_value(text))
        }
        _ => driver.send_record(&PAIRS, record.with_value((number as u64, true))),
    }
}

/// The order in which a group of records is taken (rule T2): of the first in each stream the one
/// with the smallest time, and of those the one that was declared first.
fn turns(all: &[Of], from: usize, to: usize) -> Vec<usize> {
    let mut heads = [VecDeque::new(), VecDeque::new(), VecDeque::new()];
    (from..to).for_each(|number| heads[all[number].stream].push_back(number));
    let mut order = Vec::new();
    while let Some(stream) = (0..heads.len())
        .filter(|stream| !heads[*stream].is_empty())
        .min_by_key(|stream| all[heads[*stream][0]].came.at)
    {
        order.extend(heads[stream].pop_front());
    }
    order
}

type Steps = Vec<(Vec<(usize, bool, Came)>, Then, i64)>;

/// Records in groups, what happens after each group, and how far the time goes on then.
fn steps() -> impl Strategy<Value = Steps> {
    let then = prop_oneof![
        6 => Just(Then::Nothing), 2 => Just(Then::Crash), 1 => Just(Then::End)
    ];
    let fails = prop_oneof![9 => Just(false), 1 => Just(true)];
    let group = prop::collection::vec((0..3_usize, fails, came()), 0..12);
    prop::collection::vec((group, then, prop_oneof![4 => 0..14_i64, 1 => 14..60_i64]), 1..8)
}

fn all(steps: &Steps) -> Vec<Of> {
    let mut base = 0;
    let mut all = Vec::new();
    for (group, _, on) in steps {
        all.extend(group.iter().map(|(stream, fails, came)| Of {
            stream: *stream,
            fails: *fails && *stream == 1,
            came: Came { at: base + came.at, ..came.clone() },
        }));
        base += on;
    }
    all
}

/// The number of the record whose headers a result has.
fn cause(headers: &suiro::Headers) -> usize {
    let number = headers.get("number").expect("headers come along");
    std::str::from_utf8(number).expect("a number is text").parse().expect("a number was sent")
}

fn run(plan: Plan, steps: &Steps, options: TestOptions) -> Result<Outcome> {
    let mut driver = TestDriver::with_options(plan, options)?;
    let all = all(steps);
    let mut number = 0;
    for (group, then, _) in steps {
        for _ in group {
            send(&mut driver, &all[number], number)?;
            number += 1;
        }
        driver.run()?;
        match then {
            Then::Nothing => {}
            Then::Crash => driver.crash()?,
            Then::End => driver.finish()?,
        }
    }
    driver.finish()?;
    let sent = driver.read(&OUT)?.into_iter().map(|row| Sent {
        headers: cause(&row.headers),
        key: row.key,
        start: row.value.start.as_millis(),
        end: row.value.end.as_millis(),
        value: row.value.value,
        at: row.at.as_millis(),
    });
    let sent = sent.collect();
    let late = driver.read(&LATE)?.into_iter().map(|row| cause(&row.headers)).collect();
    Ok(Outcome { sent, late })
}

fn spec() -> impl Strategy<Value = Spec> {
    let sizes = (1..14_i64).prop_flat_map(|size| (Just(size), 1..=size, any::<bool>()));
    let sizes =
        sizes.prop_map(|(size, advance, alone)| (size, if alone { size } else { advance }));
    (sizes, prop_oneof![Just(0_i64), 0..9_i64]).prop_map(|((size, advance), grace)| Spec {
        size,
        advance,
        grace,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Windows that close, tumbling and hopping, in slices or not, are what the rules say.
    #[test]
    fn windows_of_several_streams_are_what_the_rules_say(
        spec in spec(),
        slices in any::<bool>(),
        steps in steps(),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        lean in any::<bool>(),
    ) {
        // A record that fails has moved the time and may be late, but is in no window: of that the
        // model knows nothing.
        let whole = |(stream, _, came): &(usize, bool, Came)| (*stream, false, came.clone());
        let steps: Steps = steps
            .iter()
            .map(|(group, then, on)| (group.iter().map(whole).collect(), *then, *on))
            .collect();
        let all = all(&steps);
        let records: Vec<Came> = all.iter().map(|of| of.came.clone()).collect();
        let (mut model, mut from) = (Model::new(spec, &records), 0);
        for (group, then, _) in &steps {
            let to = from + group.len();
            turns(&all, from, to).into_iter().for_each(|number| model.take(number));
            if let Then::End = then {
                model.end();
            }
            from = to;
        }
        model.end();
        let kind = if slices { Kind::Slices } else { Kind::Windows };
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        prop_assert_eq!(run(plan(kind, spec, false)?, &steps, options)?, model.outcome);
    }

    /// Whatever the windows, the streams in one fold give what they give when they were made
    /// alike and merged before; also where records fail.
    #[test]
    fn several_streams_are_as_one_that_was_merged(
        kind in prop_oneof![
            Just(Kind::Windows), Just(Kind::Slices), Just(Kind::Updates), Just(Kind::Sessions),
        ],
        spec in spec(),
        steps in steps(),
        manner in 0..6_usize,
    ) {
        let options = manners().nth(manner).expect("there are six manners");
        let merged = run(plan(kind, spec, true)?, &steps, options)?;
        let options = manners().nth(manner).expect("there are six manners");
        prop_assert_eq!(run(plan(kind, spec, false)?, &steps, options)?, merged);
    }
}

/// Two streams that move meet behind exchanges of their own.
#[test]
fn streams_that_move_are_folded_where_their_keys_belong() -> Result<()> {
    const COUNTS: Topic<u64, u64> = Topic::json("counts");
    let topology = Topology::new("near");
    let texts = topology.stream(&TEXTS).key_by(|text| text.len() as u64);
    topology
        .stream(&PLAIN)
        .key_by(|number| *number)
        .cogroup("counts", || 0, |count, _| *count += 1)
        .with(texts, |count, _| *count += 10)
        .window(Tumbling::of(millis(10)))
        .table()
        .on_close()
        .map(|window| window.value)
        .to(&COUNTS);
    let plan = topology.build()?;
    let told = plan.describe();
    assert!(told.contains("near.counts-1.repartition"), "{told}");
    assert!(told.contains("near.counts-2.repartition"), "{told}");
    let mut driver = TestDriver::new(plan)?;
    for at in 0..3 {
        driver.send(&PLAIN, "a".into(), 4, at)?;
        driver.send(&TEXTS, "b".into(), "four".into(), at)?;
    }
    driver.finish()?;
    assert_eq!(driver.read(&COUNTS)?[0].value, 33);
    Ok(())
}

#[test]
fn windows_without_size_are_refused() {
    let topology = Topology::new("near");
    let all =
        topology.stream(&PLAIN).cogroup("windows", || 0_u64, |sum, number| *sum += number);
    let _none = all.window(Tumbling::of(Duration::ZERO)).table().on_close();
    let error = topology.build().err().expect("windows have a size");
    let text = "a window needs a size of a millisecond at least fold=`windows`";
    assert_eq!(error.to_string(), text);
}
