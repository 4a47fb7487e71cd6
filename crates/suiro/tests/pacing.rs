//! What waits at an exchange has a bound, however unevenly the partitions are filled.

use std::sync::Arc;
use std::time::Duration;
use suiro::{Log, Plan, Producer, Result, SystemClock, Topic, Topology, Tumbling};
use suiro_core::partition::partition_of;
use suiro_engine::{Alone, Round, Scope, Settings};

const NUMBERS: Topic<u64, u64> = Topic::json("numbers");
const OTHERS: Topic<u64, u64> = Topic::json("others");
const COUNTS: Topic<u64, u64> = Topic::json("counts");
const ROUND: usize = 16;

/// Numbers, and how many there were in each stretch of time: these come late, for they wait for
/// the slowest partition.
fn plan() -> Result<Plan> {
    let topology = Topology::new("numbers");
    let numbers = topology.stream(&NUMBERS);
    let stretches = numbers
        .clone()
        .key_by(|number| number % 5)
        .window(Tumbling::of(Duration::from_millis(10)))
        .count("stretches")
        .on_close()
        .key_by(|stretch| stretch.start.as_millis().unsigned_abs() / 10)
        .map(|stretch| stretch.value)
        .repartition("counted");
    let numbers = numbers.key_by(|number| *number).repartition("spread");
    numbers.merge(stretches).count("counts").to(&COUNTS);
    topology.build()
}

/// Two tables, and the first with the rows of the second whose keys its rows name.
fn joined() -> Result<Plan> {
    let topology = Topology::new("numbers");
    let others = topology.table(&OTHERS);
    let numbers = topology.table(&NUMBERS);
    numbers
        .join_on("pairs", &others, |number| Some(number % 5), |number, other| number + other)
        .to(&COUNTS);
    topology.build()
}

/// A key that goes to a partition, of two.
fn key_of(partition: u32) -> u64 {
    let is_there = |key: &u64| partition_of(key.to_string().as_bytes(), 2) == partition;
    (0..).find(is_there).expect("keys go everywhere")
}

/// The most rows that waited at one input of an exchange, with so many records in the fuller one
/// of two partitions and a quarter of that in the other.
fn most_waiting(records: i64) -> Result<u64> {
    let log = Log::in_memory();
    let mut numbers = Producer::open(&log, &NUMBERS)?;
    numbers.create(2)?;
    for number in 0..records {
        numbers.send(key_of(0), number as u64, number)?;
        if number % 4 == 0 {
            numbers.send(key_of(1), number as u64, number)?;
        }
    }
    numbers.flush()?;
    most_at(plan()?, &log, "")
}

/// The most rows that waited at one input of an exchange whose topic ends so.
fn most_at(plan: Plan, log: &Log, end: &str) -> Result<u64> {
    let settings = Settings { batch_rows: ROUND, bounded: true, ..Settings::default() };
    let clock = Arc::new(SystemClock::default());
    let mut scope = Scope::open(plan, log, settings, clock)?;
    let mut most = 0;
    while scope.round(&mut Alone)? != Round::Ended {
        for task in scope.metrics().tasks.iter().filter(|task| task.task.subtopology > 0) {
            let inputs = task.lag.iter().filter(|(input, _)| input.topic.ends_with(end));
            most = most.max(inputs.filter_map(|(_, lag)| *lag).max().unwrap_or(0));
        }
    }
    Ok(most)
}

#[test]
fn what_waits_does_not_grow_with_the_input() -> Result<()> {
    let most = most_waiting(5_000)?;
    assert!(most > 8 * ROUND as u64, "much waits at some time: {most}");
    let bound = 32 * ROUND as u64;
    assert!(most < bound, "what waits has a bound: {most}");
    assert!(most_waiting(20_000)? < bound);
    Ok(())
}

/// Rows that are only updated send nothing directly: what is answered does not wait for that.
#[test]
fn answers_of_a_join_do_not_wait_until_all_is_read() -> Result<()> {
    let log = Log::in_memory();
    let mut numbers = Producer::open(&log, &NUMBERS)?;
    let mut others = Producer::open(&log, &OTHERS)?;
    numbers.create(2)?;
    others.create(2)?;
    for number in 0..10_000_u64 {
        let at = number as i64;
        numbers.send(number % 10, number, at)?;
        if number % 10 == 0 {
            others.send(number / 10 % 5, number, at)?;
        }
    }
    numbers.flush()?;
    others.flush()?;
    let most = most_at(joined()?, &log, "joined.repartition")?;
    assert!(most < 8 * ROUND as u64, "what waits has a bound: {most}");
    Ok(())
}
