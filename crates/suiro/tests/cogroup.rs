//! Several streams in one fold: what comes out is what one fold of all records by turn gives.

use proptest::prelude::*;
use std::collections::BTreeMap;
use suiro::{ExchangeKind, Policy, Result, TestDriver, TestOptions, Topic, Topology};

const WORDS: Topic<u8, String> = Topic::json("words");
const NUMBERS: Topic<u8, u64> = Topic::json("numbers");
const SIGNS: Topic<u8, (u8, bool)> = Topic::json("signs");
const STORIES: Topic<u8, Option<String>> = Topic::json("stories");

#[derive(Clone, Debug)]
enum Told {
    Word(String),
    Number(u64),
    /// Moves to the key that it names.
    Sign(u8, bool),
}

fn topology() -> Topology {
    let topology = Topology::new("stories");
    topology.on_error(Policy::Skip);
    let numbers = topology.stream(&NUMBERS);
    let signs = topology.stream(&SIGNS).key_by(|(key, _)| *key);
    topology
        .stream(&WORDS)
        .cogroup("stories", String::new, |story, word| story.push_str(&word))
        .with(numbers, |story, number| {
            assert_ne!(number, 7, "seven");
            story.push_str(&number.to_string());
        })
        .with(signs, |story, (_, is_up)| story.push(if is_up { '^' } else { 'v' }))
        .table()
        .changes()
        .to(&STORIES);
    topology
}

/// The story of each key after each of its records, with its time.
fn stories(told: &[(u8, Told)]) -> BTreeMap<u8, Vec<(String, i64)>> {
    let mut all = BTreeMap::<u8, Vec<(String, i64)>>::new();
    for (at, (key, what)) in told.iter().enumerate() {
        let (key, more) = match what {
            Told::Word(word) => (*key, word.clone()),
            Told::Number(7) => continue,
            Told::Number(number) => (*key, number.to_string()),
            Told::Sign(key, is_up) => (*key, if *is_up { "^" } else { "v" }.to_owned()),
        };
        let of_key = all.entry(key).or_default();
        let so_far = of_key.last().map_or("", |(story, _)| story).to_owned();
        of_key.push((so_far + &more, at as i64));
    }
    all
}

fn hold(told: &[(u8, Told)], options: TestOptions) -> Result<()> {
    let mut driver = TestDriver::with_options(topology().build()?, options)?;
    for (at, (key, what)) in told.iter().enumerate() {
        let at = at as i64;
        match what {
            Told::Word(word) => driver.send(&WORDS, *key, word.clone(), at)?,
            Told::Number(number) => driver.send(&NUMBERS, *key, *number, at)?,
            Told::Sign(to, is_up) => driver.send(&SIGNS, *key, (*to, *is_up), at)?,
        }
        if at % 5 == 4 {
            driver.crash()?;
        }
    }
    driver.run()?;
    let mut all = BTreeMap::<u8, Vec<(String, i64)>>::new();
    for row in driver.read(&STORIES)? {
        let story = row.value.expect("no story is removed");
        all.entry(row.key).or_default().push((story, row.at.as_millis()));
    }
    assert_eq!(all, stories(told));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn several_streams_are_folded_by_turn(
        told in prop::collection::vec(
            (
                0..4_u8,
                prop_oneof![
                    "[a-c]".prop_map(Told::Word),
                    (0..10_u64).prop_map(Told::Number),
                    (0..4_u8, any::<bool>()).prop_map(|(to, is_up)| Told::Sign(to, is_up)),
                ],
            ),
            0..40,
        ),
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(8192)],
        exchange in prop_oneof![Just(ExchangeKind::Memory), Just(ExchangeKind::Topic)],
        partitions in 1..3_u32,
        lean in any::<bool>(),
    ) {
        let options =
            TestOptions { batch_rows, exchange, partitions, lean, ..TestOptions::default() };
        hold(&told, options)?;
    }
}

#[test]
fn keys_of_another_format_are_refused() {
    const PLAIN: Topic<u32, u64> = Topic::json("plain");
    const OTHERS: Topic<u32, u64> = Topic::of("others", &suiro::Integer, &suiro::Json);
    let topology = Topology::new("mixed");
    let others = topology.stream(&OTHERS);
    let sums = topology.stream(&PLAIN).cogroup("sums", || 0_u64, |sum, more| *sum += more);
    drop(sums.with(others, |sum, more| *sum += more).table());
    let error = topology.build().err().expect("equal keys may be in different partitions");
    assert!(error.report().contains("different formats"), "{}", error.report());
}
