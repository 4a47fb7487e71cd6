//! Rule T6: no record is late because another partition ran ahead.

use suiro::{App, ExchangeKind, Log, Producer, Result, Topic, Topology, Tumbling};

const READINGS: Topic<u64, u64> = Topic::json("readings");
const COUNTS: Topic<String, u64> = Topic::json("counts");

const SECONDS: i64 = 500;

/// Every partition holds its readings in order of time; each is behind the others as a whole.
fn late(partitions: u32, kind: ExchangeKind) -> Result<u64> {
    let log = Log::in_memory();
    let mut readings = Producer::open(&log, &READINGS)?;
    readings.create(partitions)?;
    for second in 0..SECONDS {
        for sensor in 0..16 {
            readings.send(sensor, sensor, second * 1_000)?;
        }
    }
    readings.flush()?;
    let topology = Topology::new("lanes");
    topology
        .stream(&READINGS)
        .key_by(|_| "all".to_owned())
        .window(Tumbling::of(std::time::Duration::from_secs(1)))
        .count("counts")
        .on_close()
        .map(|window| window.value)
        .to(&COUNTS);
    let metrics = App::new(topology.build()?, log.clone()).exchange(kind).run_to_end()?;
    let counts = suiro::Reader::open(&log, &COUNTS)?.read_to_end()?;
    assert_eq!(counts.len() as i64, SECONDS);
    assert!(counts.iter().all(|count| count.value == Some(16)), "a window was torn");
    Ok(metrics.late)
}

#[test]
fn partitions_that_are_in_order_have_no_late_records() -> Result<()> {
    for kind in [ExchangeKind::Memory, ExchangeKind::Topic] {
        for partitions in [1, 2, 4] {
            assert_eq!(late(partitions, kind)?, 0, "{partitions} partitions, {kind:?}");
        }
    }
    Ok(())
}
