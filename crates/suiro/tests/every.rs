//! What speaks by the clock shows the last update of each window and row in the end, and nothing
//! but updates (rule E1), whatever crashes.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    App, CountWindows, ExchangeKind, Headers, Hopping, InWindow, Log, Producer, Reader, Record,
    Result, Sessions, TestDriver, TestOptions, Topic, Topology,
};

const EVENTS: Topic<String, u64> = Topic::json("events");
const WINDOWS: Topic<String, InWindow<u64>> = Topic::json("windows");
const SESSIONS: Topic<String, InWindow<Option<u64>>> = Topic::json("sessions");
const COUNTS: Topic<String, InWindow<u64>> = Topic::json("counts");
const ROWS: Topic<String, Option<u64>> = Topic::json("rows");

/// How often the program speaks; with each update if it is `None`.
type Every = Option<Duration>;

fn plan(every: Every, crosses: bool) -> Result<suiro::Plan> {
    let topology = Topology::new("every");
    let events = topology.stream(&EVENTS);
    let millis = Duration::from_millis;
    let add = |sum: &mut u64, value: u64| *sum += value;
    let count = |sum: &mut u64, value: u64| *sum += MANY + value;
    let windows = Hopping::of(millis(10)).every(millis(5));
    let windows = events.clone().window(windows).fold("windows", || 0, add);
    let sessions = events.clone().window(Sessions::with_gap(millis(4)));
    let merge = |sum: &mut u64, later: u64| *sum += later;
    let sessions = match crosses {
        true => {
            let sessions = sessions.gap_of(|value| Duration::from_millis(*value % 5));
            sessions.fold("sessions", || 0, add, merge)
        }
        false => sessions.fold("sessions", || 0, add, merge),
    };
    let counts = events.clone().window(CountWindows::of(3)).fold("counts", || 0, count);
    let rows = match crosses {
        true => {
            let events = events.map_with_key(|key, value| (key.clone(), value));
            events.rekey(|pair| pair).fold("rows", || 0, add)
        }
        false => events.fold("rows", || 0, add),
    };
    // A row that is even after it was odd is gone.
    let rows = rows.ttl(millis(20)).filter(|sum| sum % 2 == 1);
    match every {
        None => {
            windows.on_update().to(&WINDOWS);
            sessions.on_update().to(&SESSIONS);
            counts.on_update().to(&COUNTS);
            rows.changes().to(&ROWS);
        }
        Some(every) => {
            windows.every(every).to(&WINDOWS);
            sessions.every(every).to(&SESSIONS);
            counts.every(every).to(&COUNTS);
            rows.every("rows-shown", every).to(&ROWS);
        }
    }
    topology.build()
}

/// What was shown of each key and window, in order.
type Shown = BTreeMap<(String, i64, i64), Vec<(Option<u64>, i64, Headers)>>;

fn shown(driver: &mut TestDriver) -> Result<[Shown; 3]> {
    let mut all = [Shown::new(), Shown::new(), Shown::new()];
    for Record { key, value, at, headers } in driver.read(&WINDOWS)? {
        let which = (key, value.start.as_millis(), value.end.as_millis());
        let update = (Some(value.value), at.as_millis(), headers);
        all[0].entry(which).or_default().push(update);
    }
    for Record { key, value, at, headers } in driver.read(&SESSIONS)? {
        let which = (key, value.start.as_millis(), value.end.as_millis());
        all[1].entry(which).or_default().push((value.value, at.as_millis(), headers));
    }
    for row in driver.read_changes(&ROWS)? {
        let update = (row.value.flatten(), row.at.as_millis(), row.headers);
        all[2].entry((row.key, 0, 0)).or_default().push(update);
    }
    Ok(all)
}

/// The count windows of each key: those that were full, in order of their bounds, and the others
/// in the order in which they were shown. Their values are folded with one more each, so that the
/// sums tell how many they hold.
type Filled = BTreeMap<String, [Vec<(i64, i64, u64)>; 2]>;

fn filled(driver: &mut TestDriver, size: u64) -> Result<Filled> {
    let mut all = Filled::new();
    for Record { key, value: InWindow { start, end, value }, .. } in driver.read(&COUNTS)? {
        let windows = &mut all.entry(key).or_default()[usize::from(value / MANY < size)];
        windows.push((start.as_millis(), end.as_millis(), value));
    }
    all.values_mut().for_each(|[full, _]| full.sort_unstable());
    Ok(all)
}

/// So much more than any sum.
const MANY: u64 = 1_000_000;

fn send(driver: &mut TestDriver, (key, value, at): (u8, u64, i64)) -> Result<()> {
    let headers: Headers = [("number", value.to_string())].into_iter().collect();
    let record = Record { headers, ..Record::new(format!("k{key}"), value, at) };
    driver.send_record(&EVENTS, record)
}

fn holds(
    every: u64,
    crosses: bool,
    steps: &[(u8, u64, i64, i64)],
    crashes: &[usize],
    options: TestOptions,
) -> Result<()> {
    let every = Duration::from_millis(every);
    let mut each = TestDriver::new(plan(None, crosses)?)?;
    let mut driver = TestDriver::with_options(plan(Some(every), crosses)?, options)?;
    let mut now = 0;
    for (number, (key, value, at, passed)) in steps.iter().enumerate() {
        send(&mut each, (*key, *value, *at))?;
        send(&mut driver, (*key, *value, *at))?;
        now += passed;
        driver.advance_to(now)?;
        if crashes.contains(&number) {
            driver.crash()?;
        }
    }
    driver.advance_to(now + 2 * every.as_millis() as i64)?;
    let (filled, shown_filled) = (filled(&mut each, 3)?, filled(&mut driver, 3)?);
    for (key, [full, filling]) in filled {
        let [shown_full, shown_filling] = &shown_filled[&key];
        assert_eq!(full, *shown_full, "windows of {key}");
        // What is filling at the end is shown as it is.
        let count = full.len() as u64 * 3;
        let records = steps.iter().filter(|step| format!("k{}", step.0) == key).count() as u64;
        let last = filling.last().filter(|_| records > count);
        assert!(last.is_none_or(|last| shown_filling.contains(last)), "{key} is filling");
    }
    for (all, shown) in shown(&mut each)?.into_iter().zip(shown(&mut driver)?) {
        assert_eq!(all.keys().collect::<Vec<_>>(), shown.keys().collect::<Vec<_>>());
        for (which, updates) in all {
            let shown = &shown[&which];
            assert_eq!(updates.last(), shown.last(), "the last update of {which:?}");
            let mut updates = updates.iter();
            let is_one = |update| updates.any(|other| other == update);
            assert!(shown.iter().all(is_one), "{which:?} was shown as it never was");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_last_update_of_each_is_shown_in_the_end(
        every in prop_oneof![Just(1_u64), Just(20), Just(500)],
        crosses in any::<bool>(),
        steps in prop::collection::vec((0..3_u8, 1..9_u64, -4..7_i64, 0..30_i64), 1..30),
        crashes in prop::collection::vec(0..30_usize, 0..4),
        batch_rows in prop_oneof![Just(1_usize), Just(8192)],
        in_memory in any::<bool>(),
        lean in any::<bool>(),
    ) {
        let mut at = 20_i64;
        let steps = steps.into_iter().map(|(key, value, leap, passed)| {
            at = (at + leap).max(0);
            (key, value, at, passed)
        });
        let steps: Vec<_> = steps.collect();
        let exchange = if in_memory { ExchangeKind::Memory } else { ExchangeKind::Topic };
        let options = TestOptions { exchange, batch_rows, lean, ..TestOptions::default() };
        holds(every, crosses, &steps, &crashes, options).expect("the program runs");
    }
}

/// Sums of each key, shown every second.
fn sums() -> Result<suiro::Plan> {
    let topology = Topology::new("sums");
    let sums = topology.stream(&EVENTS).fold("sums", || 0, |sum, value| *sum += value);
    sums.every("unshown", Duration::from_secs(1)).to(&ROWS);
    topology.build()
}

fn rows(driver: &mut TestDriver) -> Result<Vec<(String, Option<u64>, i64)>> {
    let rows = driver.read_changes(&ROWS)?.into_iter();
    Ok(rows.map(|row| (row.key, row.value.flatten(), row.at.as_millis())).collect())
}

#[test]
fn what_is_shown_together_goes_in_order_of_time_and_key() -> Result<()> {
    let mut driver = TestDriver::new(sums()?)?;
    for event in [(2, 1, 7), (1, 2, 9), (3, 4, 7), (2, 8, 8), (0, 16, 7)] {
        send(&mut driver, event)?;
    }
    assert_eq!(rows(&mut driver)?, []);
    driver.advance_to(1_000)?;
    let row = |key: &str, sum, at| (key.to_owned(), Some(sum), at);
    let expected = [row("k0", 16, 7), row("k3", 4, 7), row("k2", 9, 8), row("k1", 2, 9)];
    assert_eq!(rows(&mut driver)?, expected);
    driver.advance_to(5_000)?;
    assert_eq!(rows(&mut driver)?, []);
    Ok(())
}

#[test]
fn a_start_shows_what_is_left_over_and_the_end_of_a_bounded_run_does_too() -> Result<()> {
    let log = Log::in_memory();
    let mut driver = TestDriver::on_log(sums()?, TestOptions::default(), log.clone())?;
    send(&mut driver, (1, 1, 5))?;
    drop(driver);
    let mut driver = TestDriver::on_log(sums()?, TestOptions::default(), log)?;
    driver.run()?;
    assert_eq!(rows(&mut driver)?, [("k1".to_owned(), Some(1), 5)]);
    send(&mut driver, (1, 2, 6))?;
    driver.finish()?;
    assert_eq!(rows(&mut driver)?, [("k1".to_owned(), Some(3), 6)]);
    Ok(())
}

#[test]
fn a_time_that_is_none_is_refused() {
    let topology = Topology::new("sums");
    let sums = topology.stream(&EVENTS).count("sums");
    let _never = sums.every("unshown", Duration::ZERO);
    let refused = topology.build().map(|_| ()).expect_err("it speaks at once, for ever");
    assert!(refused.to_string().contains("`every` needs a millisecond at least"));
}

#[test]
fn an_app_speaks_by_its_clock() -> Result<()> {
    let topology = Topology::new("sums");
    let sums = topology.stream(&EVENTS).fold("sums", || 0, |sum, value| *sum += value);
    sums.every("unshown", Duration::from_millis(20)).to(&ROWS);
    let log = Log::in_memory();
    let running = App::new(topology.build()?, log.clone()).partitions(1).start()?;
    let mut events = Producer::open(&log, &EVENTS)?;
    let mut rows = Reader::open(&log, &ROWS)?;
    let (mut sent, mut seen) = (0, 0);
    while seen < 5 {
        events.send("a".into(), 1, 5)?;
        events.flush()?;
        sent += 1;
        for row in rows.follow(Duration::from_secs(10))? {
            seen = row.value.flatten().expect("nothing is removed");
            assert!(seen <= sent);
        }
    }
    running.shutdown()
}
