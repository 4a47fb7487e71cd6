//! Behind an exchange, no record is late because another partition ran ahead (rule T6).

#[path = "machine/mod.rs"]
#[allow(dead_code, reason = "other tests drive engines with it too")]
mod machine;

use machine::{Input, Machine, Manner, Output, create, write};
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    ExchangeKind, JsonKey, Log, Plan, Policy, Result, Seed, Text, Topic, Topology, Tumbling,
};
use suiro_core::partition::partition_of;

const IN: Topic<String, String> = Topic::of("in", &JsonKey, &Text);
const OUT: Topic<String, String> = Topic::of("out", &JsonKey, &Text);
const LATE: Topic<String, String> = Topic::of("late", &JsonKey, &Text);

const HOUR: i64 = 3_600_000;
const HOURS: i64 = 72;

/// Values are `kind/number`; windows count the records of a kind.
fn kind(value: &str) -> String {
    value.split('/').next().unwrap_or_default().to_owned()
}

/// Hourly counts by kind, without grace: whatever is late shows.
fn hourly(topology: &Topology, keep: fn(&str) -> bool) {
    let windows = Tumbling::of(Duration::from_millis(HOUR as u64));
    let kinds =
        topology.stream(&IN).filter(move |value| keep(value)).key_by(|value| kind(value));
    let counts = kinds.window(windows).fold(
        "hourly",
        || 0_u64,
        |count, value| {
            assert!(!value.ends_with("/bad"), "a bad value");
            *count += 1;
        },
    );
    counts.late().to(&LATE);
    let line = |window: suiro::InWindow<u64>| {
        format!("{}@{}", window.value, window.start.as_millis() / HOUR)
    };
    counts.on_close().map(line).to(&OUT);
}

fn plan(keep: fn(&str) -> bool) -> Result<Plan> {
    let topology = Topology::new("lanes");
    topology.on_error(Policy::Skip);
    hourly(&topology, keep);
    topology.build()
}

fn all(_: &str) -> bool {
    true
}

/// A key that goes to a partition, of two.
fn key_of(partition: u32) -> String {
    let mut keys = (0..).map(|number: u32| format!("key-{number}"));
    let is_there = |key: &String| partition_of(key.as_bytes(), 2) == partition;
    keys.find(is_there).expect("keys go everywhere")
}

/// Three days in two partitions, each in order of time: `counts` records an hour.
fn days(counts: [i64; 2]) -> Vec<Input> {
    let mut records = Vec::new();
    for (partition, count) in counts.into_iter().enumerate() {
        let key = key_of(partition as u32);
        for number in 0..HOURS * count {
            let value = format!("{}/{partition}", ["red", "blue", "grey"][number as usize % 3]);
            let at = number * HOUR / count + partition as i64;
            records.push(Input { topic: "in", key: Some(key.clone()), value: Some(value), at });
        }
    }
    records
}

/// The counts by plain loops: kind and hour, and the time of the last record.
fn expected(records: &[Input], keep: fn(&str) -> bool) -> Vec<Output> {
    let mut counts: BTreeMap<(String, i64), (u64, i64)> = BTreeMap::new();
    for Input { value, at, .. } in records {
        let value = value.clone().unwrap_or_default();
        if keep(&value) && !value.ends_with("/bad") {
            let entry = counts.entry((kind(&value), at / HOUR)).or_default();
            *entry = (entry.0 + 1, entry.1.max(*at));
        }
    }
    let output = |((kind, hour), (count, at))| Output {
        key: kind,
        value: Some(format!("{count}@{hour}")),
        at,
    };
    let mut all: Vec<_> = counts.into_iter().map(output).collect();
    all.sort();
    all
}

fn sorted(machine: &Machine) -> Result<Vec<Output>> {
    let mut all = machine.read("out")?;
    all.sort();
    Ok(all)
}

fn manners() -> impl Iterator<Item = Manner> {
    [ExchangeKind::Memory, ExchangeKind::Topic].into_iter().flat_map(|exchange| {
        [(1, 1 << 20), (7, 500), (100, 1 << 20), (8192, 1 << 20)].into_iter().map(
            move |(batch_rows, fetch_bytes)| Manner {
                exchange,
                batch_rows,
                fetch_bytes,
                bounded: true,
                lean: None,
            },
        )
    })
}

fn machine(records: &[Input], plan: Plan, manner: Manner) -> Result<Machine> {
    let log = Log::in_memory();
    create(&log, &["in"], 2)?;
    // In batches, so that fetches bring some of a partition and not all.
    for records in records.chunks(20) {
        write(&log, records)?;
    }
    Machine::open(plan, log, manner)
}

#[test]
fn reading_uneven_partitions_again_makes_nothing_late() -> Result<()> {
    for counts in [[1, 9], [9, 1], [4, 4]] {
        let records = days(counts);
        for manner in manners() {
            let mut machine = machine(&records, plan(all)?, manner)?;
            machine.run()?;
            assert_eq!(machine.read("late")?, [], "{counts:?} {manner:?}");
            assert_eq!(sorted(&machine)?, expected(&records, all), "{counts:?} {manner:?}");
        }
    }
    Ok(())
}

#[test]
fn crashes_make_nothing_late() -> Result<()> {
    let records = days([1, 9]);
    for manner in manners().filter(|manner| manner.batch_rows > 1) {
        for seed in 0..4 {
            let mut machine = machine(&records, plan(all)?, manner)?;
            machine.run_wildly(&mut Seed::new(seed), 5, 2)?;
            assert_eq!(machine.read("late")?, [], "seed {seed} {manner:?}");
            assert_eq!(sorted(&machine)?, expected(&records, all), "seed {seed} {manner:?}");
        }
    }
    Ok(())
}

#[test]
fn going_back_over_a_bad_record_makes_nothing_late() -> Result<()> {
    for bad_at in [5, 200, 300] {
        let mut records = days([9, 1]);
        records[bad_at].value = Some("red/bad".to_owned());
        for manner in manners() {
            let mut machine = machine(&records, plan(all)?, manner)?;
            machine.run()?;
            assert_eq!(machine.read("late")?, [], "{bad_at} {manner:?}");
            assert_eq!(sorted(&machine)?, expected(&records, all), "{bad_at} {manner:?}");
        }
    }
    Ok(())
}

#[test]
fn reading_live_gives_the_same_windows() -> Result<()> {
    let mut records = days([2, 3]);
    records.sort_by_key(|record| record.at);
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let manner = Manner { exchange, ..Manner::default() };
        let log = Log::in_memory();
        create(&log, &["in"], 2)?;
        let mut live = Machine::open(plan(all)?, log, manner)?;
        for record in &records {
            write(&live.log, std::slice::from_ref(record))?;
            live.run()?;
        }
        live.change(Manner { bounded: true, ..manner })?;
        live.run()?;
        assert_eq!(live.read("late")?, []);
        assert_eq!(sorted(&live)?, expected(&records, all));
    }
    Ok(())
}

/// Of the second partition, only the last day passes.
fn last_day_of_the_second(value: &str) -> bool {
    !value.ends_with("/1")
}

#[test]
fn a_lane_that_sends_nothing_says_how_far_it_is() -> Result<()> {
    for manner in manners() {
        let mut records = days([1, 9]);
        // Its last records pass: they are in the past of the other lane, and not late.
        for record in records.iter_mut().filter(|record| record.at >= 60 * HOUR) {
            let passes = record.value.as_deref().unwrap_or_default().replace("/1", "/2");
            record.value = Some(passes);
        }
        let mut machine = machine(&records, plan(last_day_of_the_second)?, manner)?;
        machine.run()?;
        assert_eq!(machine.read("late")?, [], "{manner:?}");
        assert_eq!(sorted(&machine)?, expected(&records, last_day_of_the_second));
    }
    Ok(())
}

#[test]
fn a_lane_that_is_caught_up_holds_nobody_back() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let manner = Manner { exchange, ..Manner::default() };
        // The second partition holds one early record, and then no more.
        let mut records = days([1, 0]);
        let early = Input { key: Some(key_of(1)), at: 5, ..records[0].clone() };
        records.push(early);
        let mut machine = machine(&records, plan(all)?, manner)?;
        machine.run()?;
        let closed = machine.read("out")?.len() as i64;
        assert_eq!(closed, HOURS - 1, "all windows but the last, {exchange:?}");
        // A lane that sends nothing at all holds nobody back either.
        machine.crash()?;
        let last = Input { at: HOURS * HOUR, ..records[0].clone() };
        write(&machine.log, &[last])?;
        machine.run()?;
        assert_eq!(machine.read("out")?.len() as i64, HOURS, "{exchange:?}");
        assert_eq!(machine.read("late")?, []);
    }
    Ok(())
}
