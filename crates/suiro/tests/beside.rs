//! What goes on beside a running program: queries, other programs on the same log, headers that
//! come out at a commit.

use std::time::Duration;
use suiro::{
    App, Header, Headers, InWindow, Log, Policy, Producer, Reader, Record, Result, Running,
    Sessions, TestDriver, Topic, Topology, Tumbling,
};

const CLICKS: Topic<String, String> = Topic::json("clicks");
const COUNTS: Topic<String, u64> = Topic::json("counts");
const DOUBLES: Topic<String, u64> = Topic::json("doubles");

fn send(log: &Log, clicks: &[(&str, i64)]) -> Result<()> {
    let mut producer = Producer::open(log, &CLICKS)?;
    for (user, at) in clicks {
        producer.send((*user).to_owned(), "home".to_owned(), *at)?;
    }
    producer.flush()
}

/// Asks until the program has read what was sent.
fn wait_for<T>(running: &Running, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        assert!(!running.is_ended(), "the program runs until it has read everything");
        std::thread::yield_now();
    }
}

#[test]
fn open_windows_are_seen_with_their_bounds() -> Result<()> {
    let topology = Topology::new("windows");
    let clicks = topology.stream(&CLICKS);
    let minute = clicks.clone().window(Tumbling::of(Duration::from_mins(1)));
    minute.count("minutes").on_close().map(|window| window.value).to(&COUNTS);
    let visits = clicks.window(Sessions::with_gap(Duration::from_secs(5)));
    visits.count("visits").on_close().map(|visit| visit.value).to(&DOUBLES);

    let log = Log::in_memory();
    let running = App::new(topology.build()?, log.clone()).partitions(1).start()?;
    send(&log, &[("ann", 61_000), ("ann", 63_000)])?;
    let ann = "ann".to_owned();
    let minutes = running.query::<String, u64>("minutes")?;
    let open = wait_for(&running, || {
        let open = minutes.windows(&ann)?;
        Ok((open.first().map(|window| window.value) == Some(2)).then_some(open))
    })?;
    assert_eq!(open, [InWindow { start: 60_000.into(), end: 120_000.into(), value: 2 }]);
    let visits = running.query::<String, u64>("visits")?.windows(&ann)?;
    assert_eq!(visits, [InWindow { start: 61_000.into(), end: 63_000.into(), value: 2 }]);
    running.shutdown()
}

#[test]
fn two_programs_share_one_open_log() -> Result<()> {
    let counting = Topology::new("counting");
    counting.stream(&CLICKS).count("counts").to(&COUNTS);
    let doubling = Topology::new("doubling");
    doubling.stream(&COUNTS).map(|count| count * 2).to(&DOUBLES);

    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let log = Log::open(dir.path())?;
    let first = App::new(counting.build()?, log.clone()).partitions(2).start()?;
    let second = App::new(doubling.build()?, log.clone()).start()?;
    send(&log, &[("ann", 1), ("bob", 2), ("ann", 3)])?;

    let mut doubles = Reader::open(&log, &DOUBLES)?;
    let mut last = std::collections::BTreeMap::new();
    while last.get("ann") != Some(&4) || last.get("bob") != Some(&2) {
        assert!(!first.is_ended() && !second.is_ended(), "both programs go on");
        for record in doubles.follow(Duration::from_millis(100))? {
            last.extend(record.value.map(|value| (record.key, value)));
        }
    }
    second.shutdown()?;
    first.shutdown()
}

/// Rule H1: a stateful result carries the headers of the record that caused it, also where it
/// is written once per commit.
#[test]
fn a_table_writes_the_headers_of_its_last_change() -> Result<()> {
    let topology = Topology::new("headers");
    topology.on_error(Policy::Skip);
    topology.stream(&CLICKS).count("counts").to(&COUNTS);
    let mut driver = TestDriver::new(topology.build()?)?;
    let trace = |value: &str| -> Headers {
        vec![Header { key: "trace".into(), value: Some(value.to_owned().into()) }].into()
    };
    for (headers, at) in [(trace("7f"), 1), (Headers::NONE, 2)] {
        let (key, value) = ("ann".to_owned(), "home".to_owned());
        driver.send_record(&CLICKS, Record { key, value, at: i64::into(at), headers })?;
    }
    let written = driver.read(&COUNTS)?;
    let headers: Vec<_> = written.iter().map(|row| row.headers.clone()).collect();
    assert_eq!(headers, [trace("7f"), Headers::NONE]);
    Ok(())
}
