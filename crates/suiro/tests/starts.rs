//! A source begins where it says, and goes on where it was: what it takes is what is there from
//! then on, once.

use proptest::prelude::*;
use std::collections::BTreeMap;
use suiro::{Log, Producer, Result, Start, TestDriver, TestOptions, Topic, Topology};

const IN: Topic<String, u64> = Topic::json("in");
const OUT: Topic<String, u64> = Topic::json("out");

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        1 => Just(Start::Earliest),
        1 => Just(Start::Latest),
        3 => (0..24_i64).prop_map(|at| Start::Time(at.into())),
    ]
}

/// Commits of records: the key and the time of each.
fn commits() -> impl Strategy<Value = Vec<Vec<(u8, i64)>>> {
    prop::collection::vec(prop::collection::vec((0..5_u8, 0..20_i64), 1..6), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_source_takes_what_comes_from_its_start_on(
        start in start(),
        before in commits(),
        behind in commits(),
        partitions in 1..4_u32,
        batch_rows in prop_oneof![Just(1_usize), Just(8192)],
    ) {
        let log = Log::in_memory();
        let mut producer = Producer::open(&log, &IN)?;
        producer.create(partitions)?;
        let mut number = 0;
        let mut write = |commits: &Vec<Vec<(u8, i64)>>| -> Result<u64> {
            for commit in commits {
                for (key, at) in commit {
                    producer.send(key.to_string(), number, *at)?;
                    number += 1;
                }
                producer.flush()?;
            }
            Ok(number)
        };
        let old = write(&before)?;
        let topology = Topology::new("starts");
        topology.stream_from(&IN, start).to(&OUT);
        let options = TestOptions { batch_rows, ..TestOptions::default() };
        let mut driver = TestDriver::on_log(topology.build()?, options, log.clone())?;
        driver.run()?;
        write(&behind)?;
        driver.run()?;
        driver.crash()?;
        driver.run()?;

        let mut begun = BTreeMap::new();
        let mut expected = Vec::new();
        for row in driver.read_changes(&IN)? {
            let value = row.value.expect("no row is removed");
            let begins = match start {
                Start::Earliest => true,
                Start::Latest => value >= old,
                // What is older than that and comes behind it is taken, too.
                Start::Time(time) => row.at >= time || value >= old,
            };
            let begun = begun.entry(row.partition).or_insert(false);
            *begun |= begins;
            if *begun {
                expected.push(value);
            }
        }
        expected.sort_unstable();
        let mut taken: Vec<u64> = driver.read(&OUT)?.into_iter().map(|row| row.value).collect();
        taken.sort_unstable();
        prop_assert_eq!(taken, expected);
    }
}
