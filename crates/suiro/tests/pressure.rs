//! Uneven, large and many: hot keys, very large values, a million tiny keys, and a consumer that
//! is slow.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use suiro::{
    App, ExchangeKind, Log, Plan, Producer, Reader, Record, Result, Sessions, TestDriver,
    TestOptions, Topic, Topology, Tumbling,
};

const KINDS: [ExchangeKind; 2] = [ExchangeKind::Memory, ExchangeKind::Topic];

const CLICKS: Topic<u64, String> = Topic::json("clicks");
const COUNTS: Topic<String, u64> = Topic::json("counts");
const WINDOWS: Topic<String, u64> = Topic::json("windows");
const VISITS: Topic<String, u64> = Topic::json("visits");

/// All records of four partitions go to one key: a count, windows of a tenth of them, and one
/// session.
fn hot(records: u64) -> Result<Plan> {
    let topology = Topology::new("hot");
    let clicks = topology.stream(&CLICKS).key_by(|page| page.clone()).repartition("by-page");
    clicks.clone().count("counts").to(&COUNTS);
    let tenth = Duration::from_millis(records / 10);
    let windows = clicks.clone().window(Tumbling::of(tenth)).count("windows");
    windows.on_close().map(|window| window.value).to(&WINDOWS);
    let visits = clicks.window(Sessions::with_gap(tenth)).count("visits");
    visits.on_close().map(|visit| visit.value).to(&VISITS);
    topology.build()
}

#[test]
fn a_hot_key_is_counted_like_any_other() -> Result<()> {
    const RECORDS: u64 = 20_000;
    for kind in KINDS {
        let log = Log::in_memory();
        let mut clicks = Producer::open(&log, &CLICKS)?;
        clicks.create(4)?;
        for number in 0..RECORDS {
            clicks.send(number, "home".into(), number as i64)?;
        }
        clicks.flush()?;
        let app = App::new(hot(RECORDS)?, log.clone()).threads(2).exchange(kind);
        assert_eq!(app.run_to_end()?.late, 0);
        let values = |topic: &Topic<String, u64>| -> Result<Vec<u64>> {
            let records = Reader::open(&log, topic)?.read_to_end()?;
            Ok(records.into_iter().filter_map(|record| record.value).collect())
        };
        assert_eq!(values(&COUNTS)?.last(), Some(&RECORDS));
        assert_eq!(values(&WINDOWS)?, [RECORDS / 10; 10]);
        assert_eq!(values(&VISITS)?, [RECORDS]);
    }
    Ok(())
}

const PAGES: Topic<u64, String> = Topic::json("pages");
const KEPT: Topic<String, String> = Topic::json("kept");

const LARGE: usize = 10 << 20;

/// A text of ten mebibytes that no compression makes small and no other is equal to.
fn large(seed: u64) -> String {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut text = String::with_capacity(LARGE);
    while text.len() < LARGE {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push(char::from(b'a' + (state >> 33) as u8 % 26));
    }
    text
}

#[test]
fn a_value_of_ten_mebibytes_goes_everywhere_a_small_one_goes() -> Result<()> {
    let (first, second) = (large(1), large(2));
    for exchange in KINDS {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let log = Log::open(dir.path())?;
        let plan = || {
            let topology = Topology::new("large");
            let pages = topology.stream(&PAGES).key_by(|page| page[..1].to_owned());
            // Through the source, the exchange, the state, its changelog and the output.
            let keep = |kept: &mut String, page: String| *kept = page;
            pages.fold("kept", String::new, keep).to(&KEPT);
            topology.build()
        };
        let options = TestOptions { partitions: 2, exchange, ..TestOptions::default() };
        let mut driver = TestDriver::on_log(plan()?, options.clone(), log.clone())?;
        driver.send(&PAGES, 1, first.clone(), 0)?;
        driver.crash()?;
        assert_eq!(driver.metrics().restored, 1, "it is in the changelog");
        driver.send(&PAGES, 2, second.clone(), 1)?;
        let kept = driver.read(&KEPT)?;
        let kept: Vec<&str> = kept.iter().map(|record| &*record.value).collect();
        assert!(kept == [&*first, &*second], "equal to the last byte");
        drop((driver, log));

        // All of it is on the disk.
        let log = Log::open(dir.path())?;
        let kept = Reader::open(&log, &KEPT)?.read_to_end()?;
        assert!(kept.last().is_some_and(|it| it.value.as_deref() == Some(&*second)));
        let driver = TestDriver::on_log(plan()?, options, log)?;
        assert!(driver.metrics().restored >= 1);
    }
    Ok(())
}

const MORE: Topic<u64, u64> = Topic::json("more");
const TOTALS: Topic<u64, u64> = Topic::json("totals");

#[test]
fn a_million_tiny_keys_are_kept_and_restored() -> Result<()> {
    const KEYS: u64 = 1_000_000;
    let plan = || {
        let topology = Topology::new("tiny");
        let make = |_, number| (number < KEYS).then(|| Record::new(number, 1, number as i64));
        let ones = topology.generate("ones", 1, make).merge(topology.stream(&MORE));
        let totals = ones.fold("totals", || 0_u64, |sum, one: u64| *sum += one);
        totals.filter(|total| *total > 1).to(&TOTALS);
        topology.build()
    };
    let log = Log::in_memory();
    let first = App::new(plan()?, log.clone()).partitions(1).run_to_end()?;
    assert_eq!((first.records_in, first.records_out), (KEYS, 0));
    assert_eq!(first.tasks[0].rows, KEYS as usize);

    let mut more = Producer::open(&log, &MORE)?;
    for key in (0..KEYS).step_by(100) {
        more.send(key, 1, KEYS as i64)?;
    }
    more.flush()?;
    let again = App::new(plan()?, log.clone()).run_to_end()?;
    assert_eq!((again.restored, again.records_in), (KEYS, KEYS / 100));
    let totals = Reader::open(&log, &TOTALS)?.read_to_end()?;
    assert_eq!(totals.len() as u64, KEYS / 100);
    assert!(totals.iter().all(|total| total.key % 100 == 0 && total.value == Some(2)));
    Ok(())
}

const SLOW: Topic<u64, u64> = Topic::json("slow");
const QUICK: Topic<u64, u64> = Topic::json("quick");

/// Sinks are topics of the log, and a write to it waits for nobody; what can be slow is a
/// program. It holds up its own sources, which stay in the log, and no other program's.
#[test]
fn a_slow_program_pauses_its_own_source_only() -> Result<()> {
    const RECORDS: u64 = 5_000;
    let log = Log::in_memory();
    for topic in [SLOW, QUICK] {
        let mut producer = Producer::open(&log, &topic)?;
        producer.create(1)?;
        for number in 0..RECORDS {
            producer.send(number, number, number as i64)?;
        }
        producer.flush()?;
    }
    let (went_in, is_in) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Arc::new(Mutex::new(may_go_on));
    let topology = Topology::new("slow");
    let wait = move |number: u64| {
        if number == 7 {
            went_in.send(()).expect("the test waits for it");
            // The end of the test, or its word.
            let may_go_on = may_go_on.lock().expect("one thread waits");
            may_go_on.recv().ok();
        }
        number
    };
    topology.stream(&SLOW).map(wait).to(&SLOW.named("slow-out"));
    let slow = App::new(topology.build()?, log.clone()).start()?;
    is_in.recv().expect("the slow program comes to its seventh record");

    // It stands still; another one on the same log runs from beginning to end.
    let topology = Topology::new("quick");
    topology.stream(&QUICK).to(&QUICK.named("quick-out"));
    let quick = App::new(topology.build()?, log.clone()).run_to_end()?;
    assert_eq!(quick.records_out, RECORDS);
    let out = SLOW.named("slow-out");
    assert_eq!(Reader::open(&log, &out)?.read_to_end()?.len(), 0);
    assert_eq!(Reader::open(&log, &SLOW)?.read_to_end()?.len() as u64, RECORDS);

    go_on.send(()).expect("the slow program waits for it");
    while slow.metrics().records_out < RECORDS {
        std::thread::yield_now();
    }
    slow.shutdown()?;
    assert_eq!(Reader::open(&log, &out)?.read_to_end()?.len() as u64, RECORDS);
    Ok(())
}
