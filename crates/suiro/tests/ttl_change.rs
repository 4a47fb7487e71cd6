//! A table that gets, loses or changes its `ttl` from one version of a program to the next.

use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    Bytes, Log, Plan, Producer, Raw, Reader, Result, TestDriver, TestOptions, Text, Topic,
    Topology,
};

const ROOMS: Topic<String, String> = Topic::json("rooms");
const CLICKS: Topic<String, u64> = Topic::json("clicks");
const CHANGES: Topic<String, Option<String>> = Topic::json("changes");
const JOINED: Topic<String, String> = Topic::json("joined");
const RAW: Topic<Bytes, Option<Bytes>> = Topic::of("", &Raw, &Raw);

/// A version of a program with a table that clicks are joined with, and a fold of the clicks.
fn version(table: Option<u64>, fold: Option<u64>) -> Result<Plan> {
    let topology = Topology::new("app");
    let mut rooms = topology.table(&ROOMS);
    if let Some(ttl) = table {
        rooms = rooms.ttl(Duration::from_millis(ttl));
    }
    rooms.clone().changes().to(&CHANGES);
    let clicks = topology.stream(&CLICKS);
    let text = |click: u64, room: Option<&String>| {
        format!("{click} {}", room.map_or("-", String::as_str))
    };
    clicks.clone().left_join(&rooms, text).to(&JOINED);
    let mut sums = clicks.fold("sums", || 0, |sum, click| *sum += click);
    if let Some(ttl) = fold {
        sums = sums.ttl(Duration::from_millis(ttl));
    }
    sums.to(&Topic::json("sums"));
    topology.build()
}

fn start(log: &Log, plan: Plan) -> Result<TestDriver> {
    TestDriver::on_log(plan, TestOptions::default(), log.clone())
}

fn room(driver: &mut TestDriver, key: &str, room: &str, at: i64) -> Result<()> {
    driver.send(&ROOMS, key.into(), room.into(), at)
}

/// What a click finds in the table.
fn found(driver: &mut TestDriver, key: &str, at: i64) -> Result<String> {
    driver.read(&JOINED)?;
    driver.send(&CLICKS, key.into(), 1, at)?;
    let joined = driver.read(&JOINED)?.pop().expect("every click is joined");
    Ok(joined.value.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// The rows that the changelog of the table comes to.
fn logged(driver: &TestDriver) -> Result<BTreeMap<Bytes, Bytes>> {
    let mut rows = BTreeMap::new();
    let log = Reader::open(driver.log(), &RAW.named("app.rooms.changelog"))?.read_to_end()?;
    for record in log.into_iter().filter(|record| record.key[0] == 1) {
        match record.value.flatten() {
            Some(value) => rows.insert(record.key, value),
            None => rows.remove(&record.key),
        };
    }
    Ok(rows)
}

#[test]
fn a_table_that_gets_a_ttl_takes_its_rows_over_from_its_topic() -> Result<()> {
    let log = Log::in_memory();
    let mut driver = start(&log, version(None, None)?)?;
    room(&mut driver, "ann", "kitchen", 0)?;
    room(&mut driver, "bob", "garden", 8)?;
    room(&mut driver, "cid", "attic", 9)?;
    driver.remove(&ROOMS, "cid".into(), 9)?;
    drop(driver);

    let mut driver = start(&log, version(Some(10), None)?)?;
    assert_eq!(found(&mut driver, "ann", 9)?, "kitchen", "the time has not moved yet");
    assert_eq!(logged(&driver)?.len(), 2, "the first commit has written all rows");
    driver.crash()?;
    assert_eq!(found(&mut driver, "bob", 9)?, "garden");
    assert_eq!(found(&mut driver, "cid", 9)?, "-");
    driver.read(&CHANGES)?;
    room(&mut driver, "dan", "hall", 11)?;
    let changes = driver.read_changes(&CHANGES)?.into_iter();
    let changes: Vec<_> =
        changes.map(|row| (row.key, row.value.flatten(), row.at.as_millis())).collect();
    assert_eq!(changes, [("ann".into(), None, 10), ("dan".into(), Some("hall".into()), 11)]);
    assert_eq!(found(&mut driver, "ann", 11)?, "-");
    Ok(())
}

#[test]
fn what_was_seen_before_the_ttl_came_counts() -> Result<()> {
    let log = Log::in_memory();
    let mut driver = start(&log, version(None, None)?)?;
    room(&mut driver, "ann", "kitchen", 0)?;
    room(&mut driver, "bob", "garden", 50)?;
    drop(driver);
    let mut driver = start(&log, version(Some(10), None)?)?;
    room(&mut driver, "cid", "attic", 40)?;
    assert_eq!(driver.metrics().late, 1);
    assert_eq!(found(&mut driver, "ann", 50)?, "-");
    assert_eq!(found(&mut driver, "bob", 50)?, "garden");
    Ok(())
}

#[test]
fn a_ttl_that_goes_and_comes_again_finds_what_the_topic_has_and_nothing_older() -> Result<()> {
    let log = Log::in_memory();
    let mut driver = start(&log, version(Some(10), None)?)?;
    room(&mut driver, "ann", "kitchen", 0)?;
    room(&mut driver, "bob", "garden", 9)?;
    room(&mut driver, "bob", "hall", 12)?;
    room(&mut driver, "eve", "porch", 13)?;
    assert_eq!(found(&mut driver, "ann", 13)?, "-");
    drop(driver);

    // Without it the topic is the table again, and what had gone is there.
    let mut driver = start(&log, version(None, None)?)?;
    assert_eq!(found(&mut driver, "ann", 13)?, "kitchen");
    driver.remove(&ROOMS, "bob".into(), 14)?;
    room(&mut driver, "eve", "cellar", 15)?;
    drop(driver);

    // What the changelog had is older than that.
    for _ in 0..2 {
        let mut driver = start(&log, version(Some(10), None)?)?;
        assert_eq!(found(&mut driver, "bob", 15)?, "-");
        assert_eq!(found(&mut driver, "eve", 15)?, "cellar");
        let keys: Vec<_> = logged(&driver)?.into_keys().collect();
        assert_eq!(keys, [&b"\x01ann"[..], b"\x01eve"]);
    }
    let mut driver = start(&log, version(Some(10), None)?)?;
    room(&mut driver, "fay", "shed", 16)?;
    assert_eq!(found(&mut driver, "ann", 16)?, "-");
    Ok(())
}

#[test]
fn nothing_is_lost_if_the_version_that_takes_it_over_ends_at_once_or_goes_back() -> Result<()> {
    let log = Log::in_memory();
    let mut driver = start(&log, version(None, None)?)?;
    room(&mut driver, "ann", "kitchen", 5)?;
    drop(driver);
    drop(start(&log, version(Some(10), None)?)?);
    let mut driver = start(&log, version(None, None)?)?;
    room(&mut driver, "ann", "garden", 6)?;
    drop(driver);
    let mut driver = start(&log, version(Some(10), None)?)?;
    assert_eq!(found(&mut driver, "ann", 6)?, "garden");
    Ok(())
}

#[test]
fn rows_that_are_taken_over_survive_work_that_is_done_again() -> Result<()> {
    const WORDS: Topic<String, String> = Topic::of("words", &suiro::JsonKey, &Text);
    let plan = |ttl: bool| {
        let topology = Topology::new("app");
        topology.on_error(suiro::Policy::Skip);
        let mut rooms = topology.table(&ROOMS);
        if ttl {
            rooms = rooms.ttl(Duration::from_millis(10));
        }
        let add = |count: &mut u64, word: String| {
            assert!(word != "bad", "bad");
            *count += 1;
        };
        let counts = topology.stream(&WORDS).fold("counts", || 0_u64, add);
        let join = |room: &String, count: &u64| format!("{room} {count}");
        rooms.join(&counts, join).changes().to(&CHANGES);
        topology.build()
    };
    let log = Log::in_memory();
    let mut driver = start(&log, plan(false)?)?;
    room(&mut driver, "ann", "kitchen", 5)?;
    drop(driver);
    let mut driver = start(&log, plan(true)?)?;
    // The first commit is rolled back: user code panics.
    driver.send(&WORDS, "ann".into(), "bad".into(), 6)?;
    assert_eq!(driver.metrics().skipped, 1);
    driver.send(&WORDS, "ann".into(), "good".into(), 7)?;
    assert_eq!(driver.read(&CHANGES)?[0].value.as_deref(), Some("kitchen 1"));
    driver.crash()?;
    driver.send(&WORDS, "ann".into(), "good".into(), 8)?;
    assert_eq!(driver.read(&CHANGES)?[0].value.as_deref(), Some("kitchen 2"));
    Ok(())
}

#[test]
fn another_ttl_counts_from_the_next_record_on() -> Result<()> {
    const SUMS: Topic<String, u64> = Topic::json("sums");
    let log = Log::in_memory();
    let mut driver = start(&log, version(Some(100), Some(100))?)?;
    room(&mut driver, "ann", "kitchen", 0)?;
    room(&mut driver, "bob", "garden", 20)?;
    driver.send(&CLICKS, "ann".into(), 5, 0)?;
    driver.send(&CLICKS, "bob".into(), 7, 20)?;
    drop(driver);
    // Shorter: what is too old goes.
    let mut driver = start(&log, version(Some(10), Some(10))?)?;
    driver.read_changes(&SUMS)?;
    driver.send(&CLICKS, "bob".into(), 1, 20)?;
    let sums: Vec<_> = driver.read_changes(&SUMS)?;
    let sums: Vec<_> =
        sums.into_iter().map(|row| (row.key, row.value, row.at.as_millis())).collect();
    assert_eq!(sums, [("ann".into(), None, 10), ("bob".into(), Some(8), 20)]);
    room(&mut driver, "bob", "hall", 20)?;
    assert_eq!(found(&mut driver, "ann", 20)?, "-");
    drop(driver);
    // None, longer, and one again: the time is where it was.
    let driver = start(&log, version(Some(10), None)?)?;
    drop(driver);
    let mut driver = start(&log, version(Some(30), Some(30))?)?;
    driver.read_changes(&SUMS)?;
    driver.send(&CLICKS, "bob".into(), 1, 49)?;
    driver.send(&CLICKS, "bob".into(), 1, 19)?;
    assert_eq!(driver.metrics().late, 1);
    let sums: Vec<_> = driver.read_changes(&SUMS)?;
    assert_eq!(sums.last().map(|row| (&*row.key, row.value)), Some(("bob", Some(9))));
    Ok(())
}

#[test]
fn a_topic_that_is_not_compacted_has_its_changelog_before_and_after() -> Result<()> {
    let log = Log::in_memory();
    Producer::open(&log, &ROOMS)?.create(1)?;
    let mut driver = start(&log, version(None, None)?)?;
    room(&mut driver, "ann", "kitchen", 0)?;
    drop(driver);
    let mut driver = start(&log, version(Some(10), None)?)?;
    assert_eq!(found(&mut driver, "ann", 1)?, "kitchen");
    room(&mut driver, "bob", "garden", 10)?;
    assert_eq!(found(&mut driver, "ann", 10)?, "-");
    drop(driver);
    let mut driver = start(&log, version(None, None)?)?;
    assert_eq!(found(&mut driver, "ann", 10)?, "-", "its removal was written");
    assert_eq!(found(&mut driver, "bob", 10)?, "garden");
    Ok(())
}

#[test]
fn rows_below_on_a_disk_are_held_while_there_is_a_ttl() -> Result<()> {
    let options = TestOptions { lean: true, ..TestOptions::default() };
    let log = Log::in_memory();
    for (ttl, at) in [(None, 0), (Some(10), 1), (None, 20)] {
        let plan = version(ttl, ttl)?;
        let mut driver = TestDriver::on_log(plan, options.clone(), log.clone())?;
        let sums = driver.read_changes(&Topic::<String, u64>::json("sums"))?;
        room(&mut driver, "ann", "kitchen", at)?;
        assert_eq!(found(&mut driver, "ann", at)?, "kitchen");
        drop(sums);
        driver.crash()?;
        assert_eq!(found(&mut driver, "ann", at)?, "kitchen");
    }
    let mut driver = TestDriver::on_log(version(None, None)?, options, log.clone())?;
    assert_eq!(driver.read_last(&Topic::<String, u64>::json("sums"))?["ann"], 6);
    Ok(())
}
