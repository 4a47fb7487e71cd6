//! `top_n` of keys and of all kinds of windows: the best of what a fold into a list has, of two that
//! are alike the one that came first.

use proptest::prelude::*;
use std::cmp::Reverse;
use std::time::Duration;
use suiro::{
    CountWindows, Hopping, InWindow, Plan, Result, Sessions, Sliding, TestDriver, TestOptions,
    Topic, Topology, Tumbling,
};

/// A score, and a number that tells values apart.
type Value = (u64, u64);

const IN: Topic<String, Value> = Topic::json("in");
const ROWS: Topic<String, Option<Vec<Value>>> = Topic::json("rows");
const WINDOWS: Topic<String, InWindow<Vec<Value>>> = Topic::json("windows");

const KINDS: [&str; 6] = ["tumbling", "hopping", "sliding", "sessions", "gaps", "counts"];

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn push(list: &mut Vec<Value>, value: Value) {
    list.push(value);
}

/// Windows of all kinds, each folded into a list and into its best.
fn plan(size: u64, n: usize) -> Result<Plan> {
    let topology = Topology::new("best");
    let all = topology.stream(&IN);
    all.clone().fold("list", Vec::new, push).changes().to(&ROWS.named("list"));
    all.clone().top_n("best", n, |value| value.0).changes().to(&ROWS.named("best"));
    // What the kinds have in common is no type: each has methods of its own.
    macro_rules! both {
        ($kind:literal, $windows:expr $(, $merge:expr)?) => {
            let topic = |what| WINDOWS.named(format!("{}-{what}", $kind));
            let name = |what: &str| format!("{}-{what}", $kind);
            let list = $windows.fold(&name("list"), Vec::new, push $(, $merge)?);
            list.on_close().to(&topic("list"));
            let best = $windows.top_n(&name("best"), n, |value| value.0);
            best.on_close().to(&topic("best"));
        };
    }
    let windows = || all.clone();
    let (span, grace) = (millis(size), millis(3));
    let append = |list: &mut Vec<Value>, more: Vec<Value>| list.extend(more);
    both!("tumbling", windows().window(Tumbling::of(span).grace(grace)));
    both!("hopping", windows().window(Hopping::of(span).every(millis(2)).grace(grace)));
    both!("sliding", windows().window(Sliding::of(span).grace(grace)));
    let sessions = || Sessions::with_gap(span).grace(grace);
    both!("sessions", windows().window(sessions()), append);
    let gap = |value: &Value| millis(value.1 % 3);
    both!("gaps", windows().window(sessions()).gap_of(gap), append);
    both!("counts", windows().window(CountWindows::of(size)));
    topology.build()
}

/// The best of a list, which is in the order in which the values came.
fn best(mut list: Vec<Value>, n: usize) -> Vec<Value> {
    list.sort_by_key(|(score, _)| Reverse(*score));
    list.truncate(n);
    list
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_best_are_those_of_all_values(
        records in prop::collection::vec((0..2_u8, 0..4_u64, 0..20_i64), 0..25),
        crashes in prop::collection::vec(0..25_usize, 0..3),
        size in 2..7_u64,
        n in 0..4_usize,
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(8192)],
        lean in any::<bool>(),
    ) {
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(plan(size, n)?, options)?;
        for (number, (key, score, at)) in records.iter().enumerate() {
            driver.send(&IN, key.to_string(), (*score, number as u64), *at)?;
            if crashes.contains(&number) {
                driver.run()?;
                driver.crash()?;
            }
        }
        driver.finish()?;

        let mut rows = |name| -> Result<Vec<_>> {
            let rows = driver.read(&ROWS.named(name))?.into_iter();
            Ok(rows.map(|row| (row.key, row.value, row.at)).collect())
        };
        let lists = rows("list")?.into_iter();
        let expected: Vec<_> =
            lists.map(|(key, list, at)| (key, list.map(|list| best(list, n)), at)).collect();
        prop_assert_eq!(expected.len(), records.len());
        prop_assert_eq!(rows("best")?, expected);
        for kind in KINDS {
            let mut windows = |what| -> Result<Vec<_>> {
                let topic = WINDOWS.named(format!("{kind}-{what}"));
                let rows = driver.read(&topic)?.into_iter();
                let rows = rows.map(|row| {
                    let InWindow { start, end, value } = row.value;
                    (row.key, start, end, value, row.at)
                });
                Ok(rows.collect())
            };
            let lists = windows("list")?.into_iter();
            let expected: Vec<_> = lists
                .map(|(key, start, end, list, at)| (key, start, end, best(list, n), at))
                .collect();
            prop_assert_eq!(windows("best")?, expected, "{}", kind);
        }
    }
}
