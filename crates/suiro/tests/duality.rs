//! From a table to the stream of its changes and back again: both tables are the same.

use proptest::prelude::*;
use suiro::{Result, TestDriver, TestOptions, Topic, Topology};

const ROWS: Topic<u8, u64> = Topic::json("rows");
const THERE: Topic<u8, Option<u64>> = Topic::json("there");
const BACK: Topic<u8, Option<u64>> = Topic::json("back");
const LAST: Topic<u8, u64> = Topic::json("last");

fn there_and_back(changes: &[(u8, Option<u64>, i64)], options: TestOptions) -> Result<()> {
    let topology = Topology::new("duality");
    let rows = topology.table(&ROWS);
    rows.clone().changes().to(&THERE);
    let back = rows.changes().to_table::<u64>("back");
    back.clone().changes().to(&BACK);
    back.to(&LAST);
    let mut driver = TestDriver::with_options(topology.build()?, options)?;
    for (key, value, at) in changes {
        match value {
            Some(value) => driver.send(&ROWS, *key, *value, *at)?,
            None => driver.remove(&ROWS, *key, *at)?,
        }
    }
    driver.run()?;
    let (there, back) = (driver.read_changes(&THERE)?, driver.read_changes(&BACK)?);
    let seen = |all: Vec<suiro::Received<u8, Option<u64>>>| -> Vec<_> {
        all.into_iter().map(|row| (row.key, row.value.flatten(), row.at)).collect()
    };
    let (there, back) = (seen(there), seen(back));
    assert_eq!(there, back);
    let mut rows = std::collections::BTreeMap::new();
    for (key, value, _) in there {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
    assert_eq!(driver.read_last(&LAST)?, rows);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_is_the_table_of_its_changes(
        changes in prop::collection::vec(
            (0..5_u8, prop_oneof![3 => (0..9_u64).prop_map(Some), 1 => Just(None)], 0..50_i64),
            0..40,
        ),
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(8192)],
        run_at_send in any::<bool>(),
        lean in any::<bool>(),
    ) {
        let options =
            TestOptions { batch_rows, run_at_send, lean, ..TestOptions::default() };
        there_and_back(&changes, options).expect("the program runs");
    }
}
