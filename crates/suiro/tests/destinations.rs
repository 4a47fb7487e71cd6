//! Records come where they say, or where their keys belong: all, once, and those of a key from one
//! partition in order.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use suiro::{ExchangeKind, Plan, Result, TestDriver, TestOptions, Topic, Topology};

const IN: Topic<String, u64> = Topic::json("in");
const PLAIN: Topic<String, u64> = Topic::json("plain");
const CHOSEN: Topic<String, u64> = Topic::json("chosen");
const MOVED: Topic<String, Vec<u64>> = Topic::json("moved");
const SPREAD: Topic<String, Vec<u64>> = Topic::json("spread");

fn of(value: u64) -> Topic<String, u64> {
    PLAIN.named(format!("of-{}", value % 3))
}

fn short(value: u64) -> String {
    (value % 4).to_string()
}

fn plan(parts: u32) -> Result<Plan> {
    let topology = Topology::new("destinations");
    let all = topology.stream(&IN);
    all.clone().to(&PLAIN);
    all.clone().to_partition(&CHOSEN, |row, count| (row.value % u64::from(count)) as u32);
    all.clone().to_topic_of(|row| of(row.value));
    let keyed = all.key_by(|value| short(*value));
    let add = |list: &mut Vec<u64>, value| list.push(value);
    keyed.clone().repartition("moved").fold("all-moved", Vec::new, add).to(&MOVED);
    let spread = keyed.repartition_into("spread", parts);
    spread.fold("all-spread", Vec::new, add).to(&SPREAD);
    topology.build()
}

/// What comes out: partition, key and value.
type Rows = Vec<(u32, String, u64)>;

fn rows(driver: &mut TestDriver, topic: &Topic<String, u64>) -> Result<Rows> {
    let rows = driver.read_changes(topic)?.into_iter();
    Ok(rows
        .map(|row| (row.partition, row.key, row.value.expect("no row is removed")))
        .collect())
}

/// Values were sent in ascending order: those of each key and partition are still so.
fn assert_in_order(rows: &Rows) {
    let mut last = BTreeMap::new();
    for (partition, key, value) in rows {
        let before = last.insert((partition, key), value);
        assert!(before.is_none_or(|before| before < value), "{value} after {before:?}");
    }
}

fn values(rows: &Rows) -> Vec<u64> {
    let mut values: Vec<u64> = rows.iter().map(|(_, _, value)| *value).collect();
    values.sort_unstable();
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the partitions, batches, exchanges and crashes.
    #[test]
    fn each_record_comes_where_it_says(
        keys in prop::collection::vec((0..6_u8, 0..9_u8), 0..40),
        partitions in 1..4_u32,
        parts in 1..5_u32,
        memory in any::<bool>(),
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(8192)],
    ) {
        let exchange = if memory { ExchangeKind::Memory } else { ExchangeKind::Topic };
        let options = TestOptions {
            partitions, exchange, batch_rows, run_at_send: false, ..TestOptions::default()
        };
        let mut driver = TestDriver::with_options(plan(parts)?, options)?;
        for (number, (key, then)) in (0..).zip(&keys) {
            driver.send(&IN, key.to_string(), number, number as i64)?;
            match then {
                0 => driver.crash()?,
                1..3 => driver.run()?,
                _ => {}
            }
        }
        driver.run()?;
        let sent: Vec<u64> = (0..keys.len() as u64).collect();

        let plain = rows(&mut driver, &PLAIN)?;
        prop_assert_eq!(values(&plain), &sent[..]);
        assert_in_order(&plain);
        // The partition of each key is the same in all topics of so many partitions.
        let home: BTreeSet<_> = plain.iter().map(|(partition, key, _)| (key, *partition)).collect();
        let keys: BTreeSet<_> = plain.iter().map(|(_, key, _)| key).collect();
        prop_assert_eq!(home.len(), keys.len());

        let chosen = rows(&mut driver, &CHOSEN)?;
        prop_assert_eq!(values(&chosen), &sent[..]);
        assert_in_order(&chosen);
        for (partition, _, value) in &chosen {
            prop_assert_eq!(u64::from(*partition), value % u64::from(partitions));
        }

        for rest in 0..3 {
            let mine: Vec<u64> = sent.iter().copied().filter(|value| value % 3 == rest).collect();
            let named = if mine.is_empty() { Rows::new() } else { rows(&mut driver, &of(rest))? };
            prop_assert_eq!(values(&named), mine);
            assert_in_order(&named);
            for (partition, key, _) in &named {
                prop_assert!(home.contains(&(key, *partition)), "{} is not at home", key);
            }
        }

        let came_from: BTreeMap<u64, &String> =
            plain.iter().map(|(_, key, value)| (*value, key)).collect();
        for topic in [&MOVED, &SPREAD] {
            let lists = driver.read_last(topic)?;
            for (key, list) in &lists {
                let of_source = |source: &String| -> Vec<u64> {
                    list.iter().copied().filter(|value| came_from[value] == source).collect()
                };
                for source in &keys {
                    prop_assert!(of_source(source).is_sorted(), "{:?}", list);
                }
                prop_assert!(list.iter().all(|value| short(*value) == *key));
            }
            let mut all: Vec<u64> = lists.into_values().flatten().collect();
            all.sort_unstable();
            prop_assert_eq!(all, &sent[..]);
        }
    }
}
