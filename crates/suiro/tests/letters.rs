//! Dead letters: one for each record that fails, exactly once, with the bytes it came with.

use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    Bytes, DeadLetter, DeadLetters, ErrorKind, ExchangeKind, Headers, LetterOrigin, Log, Plan,
    Policy, Producer, Raw, Reader, Record, Result, Sessions, TestDriver, TestOptions, Topic,
    Topology, Tumbling,
};

const IN: Topic<String, i64> = Topic::json("in");
const RAW_IN: Topic<Option<Bytes>, Option<Bytes>> = Topic::of("in", &Raw, &Raw);
const OUT: Topic<String, i64> = Topic::json("out");
const DEAD: &str = "dead";

/// The value that steps of these tests cannot take.
const BAD: i64 = 13;

/// Both kinds of exchange, and batches that hold one record, few and all.
fn manners() -> impl Iterator<Item = TestOptions> {
    [ExchangeKind::Memory, ExchangeKind::Topic].into_iter().flat_map(|exchange| {
        [1, 2, 8192].into_iter().map(move |batch_rows| TestOptions {
            exchange,
            batch_rows,
            partitions: 2,
            run_at_send: false,
            ..TestOptions::default()
        })
    })
}

fn taken(value: i64) -> i64 {
    assert!(value != BAD, "thirteen is unlucky");
    value
}

type Program = (&'static str, fn(&Topology));

/// Programs of one step that fails at a record of the source.
const DIRECT: &[Program] = &[
    ("map", |it| it.stream(&IN).map(taken).to(&OUT)),
    ("try_map", |it| {
        it.stream(&IN).try_map(|n| if n == BAD { Err("unlucky") } else { Ok(n) }).to(&OUT);
    }),
    ("flat_rekey", |it| {
        it.stream(&IN)
            .flat_rekey(|value, out| {
                out.push("all".to_owned(), value);
                taken(value);
            })
            .to(&OUT);
    }),
    ("inspect", |it| {
        // Not the first step, and behind one that drops and doubles.
        let twice = it.stream(&IN).filter(|n| *n != 4).flat_map(|n| [n]);
        twice.inspect(|_, n| assert!(*n != BAD, "unlucky")).to(&OUT);
    }),
    ("split", |it| {
        let (even, odd) = it.stream(&IN).split(|n| taken(*n) % 2 == 0);
        even.to(&OUT);
        odd.to(&OUT);
    }),
    ("fold sum", |it| it.stream(&IN).fold("sum", || 0, |sum, n| *sum += taken(n)).to(&OUT)),
    ("tumbling fold sum", |it| {
        let windows = it.stream(&IN).window(Tumbling::of(Duration::from_millis(3)));
        let sums = windows.fold("sum", || 0, |sum, n| *sum += taken(n));
        sums.on_close().map(|window| window.value).to(&OUT);
    }),
    ("session fold sum", |it| {
        let windows = it.stream(&IN).window(Sessions::with_gap(Duration::from_millis(2)));
        let sums = windows.fold("sum", || 0, |sum, n| *sum += taken(n), |sum, n| *sum += n);
        sums.on_close().map(|visit| visit.value).to(&OUT);
    }),
    ("left_join", |it| {
        let flags = it.table(&Topic::<String, i64>::json("flags"));
        it.stream(&IN).left_join(&flags, |n, _| taken(n)).to(&OUT);
    }),
];

fn raw(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn letters(driver: &TestDriver) -> Result<Vec<DeadLetter>> {
    DeadLetters::open(driver.log(), DEAD)?.list()
}

fn send_all(driver: &mut TestDriver, values: &[i64]) -> Result<()> {
    for (at, value) in values.iter().enumerate() {
        let key = format!("key-{}", at % 3);
        let mut record = Record::new(key, *value, at as i64);
        record.headers = [("trace", at.to_string())].into_iter().collect();
        driver.send_record(&IN, record)?;
    }
    Ok(())
}

/// The bad records among what was sent: key, time, trace.
fn bad(values: &[i64]) -> Vec<(String, i64, String)> {
    let bad = values.iter().enumerate().filter(|(_, value)| **value == BAD);
    bad.map(|(at, _)| (format!("key-{}", at % 3), at as i64, at.to_string())).collect()
}

/// Where each record of the source is, by its trace.
fn places(driver: &TestDriver) -> Result<BTreeMap<String, LetterOrigin>> {
    let records = Reader::open(driver.log(), &RAW_IN)?.read_to_end()?.into_iter();
    let place = |record: suiro::Received<Option<Bytes>, Option<Bytes>>| {
        let topic = "in".to_owned();
        let origin = LetterOrigin { topic, partition: record.partition, offset: record.offset };
        (trace(&record.headers), origin)
    };
    Ok(records.map(place).collect())
}

fn trace(headers: &Headers) -> String {
    let value = headers.get("trace").map(|value| value.to_vec()).unwrap_or_default();
    String::from_utf8(value).expect("traces are text")
}

fn check(driver: &TestDriver, step: &str, values: &[i64]) -> Result<()> {
    let places = places(driver)?;
    let mut found = Vec::new();
    for letter in letters(driver)? {
        assert_eq!((&*letter.app, &*letter.step), ("letters", step));
        assert!(letter.cause.contains("unlucky"), "{letter:?}");
        assert_eq!(letter.value, raw("13"), "the bytes as they came");
        assert_eq!(letter.origin.as_ref(), places.get(&trace(&letter.headers)), "{step}");
        assert_eq!(letter.headers.len(), 1);
        assert_eq!((letter.row, letter.newest, letter.replayed), (None, None, false));
        let key = letter.key.map(|key| key.to_vec()).unwrap_or_default();
        let key = String::from_utf8(key).expect("keys are text");
        found.push((key, letter.at.as_millis(), trace(&letter.headers)));
    }
    found.sort_by_key(|(_, at, _)| *at);
    assert_eq!(found, bad(values), "{step}");
    Ok(())
}

fn plan(policy: Policy, program: fn(&Topology)) -> Result<Plan> {
    let topology = Topology::new("letters");
    topology.on_error(policy);
    program(&topology);
    topology.build()
}

#[test]
fn a_letter_carries_the_record_and_its_story() -> Result<()> {
    let values = [1, 2, BAD, 4, BAD, BAD, 7, 8, 9, BAD];
    for (name, program) in DIRECT {
        let mut skipped = None;
        for options in manners() {
            let mut driver =
                TestDriver::with_options(plan(Policy::Skip, *program)?, options.clone())?;
            send_all(&mut driver, &values)?;
            driver.run()?;
            let expected = driver.read(&OUT)?;
            let expected: BTreeMap<_, Vec<_>> = by_key(expected);
            assert_eq!(*skipped.get_or_insert_with(|| expected.clone()), expected, "{name}");

            let mut driver =
                TestDriver::with_options(plan(Policy::DeadLetter(DEAD), *program)?, options)?;
            send_all(&mut driver, &values[..6])?;
            driver.run()?;
            driver.crash()?;
            send_rest(&mut driver, &values, 6)?;
            driver.run()?;
            check(&driver, name, &values)?;
            assert_eq!(driver.metrics().letters, 1, "{name}: since the crash");
            if *name != "fold sum" {
                assert_eq!(by_key(driver.read(&OUT)?), expected, "{name}: letters are skips");
            }
        }
    }
    Ok(())
}

fn send_rest(driver: &mut TestDriver, values: &[i64], from: usize) -> Result<()> {
    for (at, value) in values.iter().enumerate().skip(from) {
        let mut record = Record::new(format!("key-{}", at % 3), *value, at as i64);
        record.headers = [("trace", at.to_string())].into_iter().collect();
        driver.send_record(&IN, record)?;
    }
    Ok(())
}

fn by_key(records: Vec<Record<String, i64>>) -> BTreeMap<String, Vec<i64>> {
    let mut all: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for record in records {
        all.entry(record.key).or_default().push(record.value);
    }
    // What comes of several partitions is in no order.
    all.values_mut().for_each(|values| values.sort_unstable());
    all
}

#[test]
fn input_that_cannot_be_read_becomes_a_letter() -> Result<()> {
    for options in manners() {
        let mut driver = TestDriver::with_options(
            plan(Policy::DeadLetter(DEAD), |it| it.stream(&IN).map(taken).to(&OUT))?,
            TestOptions { partitions: 1, ..options },
        )?;
        let inputs = [
            (raw("key"), raw("{"), 0),
            (raw("key"), raw("1"), 1),
            (raw("key"), None, 2),
            (raw("key"), raw("13"), 3),
            (None, raw("2"), 4),
            (raw("key"), raw("3"), -1),
            (raw("key"), raw("5"), 6),
            (raw("key"), raw("x"), 7),
        ];
        for (key, value, at) in inputs.clone() {
            driver.send(&RAW_IN, key, value, at)?;
        }
        driver.run()?;
        let values: Vec<_> = driver.read(&OUT)?.into_iter().map(|it| it.value).collect();
        assert_eq!(values, [1, 5]);
        let letters = letters(&driver)?;
        let found: Vec<_> = letters
            .iter()
            .map(|letter| {
                let offset = letter.origin.as_ref().map(|origin| origin.offset);
                (offset, letter.key.clone(), letter.value.clone(), letter.at.as_millis())
            })
            .collect();
        let expected: Vec<_> = [0, 2, 3, 4, 5, 7]
            .map(|offset| {
                let (key, value, at) = inputs[offset as usize].clone();
                (Some(offset), key, value, at)
            })
            .into();
        assert_eq!(found, expected, "in order of the source, whatever failed");
        let steps: Vec<_> = letters.iter().map(|letter| &*letter.step).collect();
        let source = "source in";
        assert_eq!(steps, [source, source, "map", source, source, source]);
        assert_eq!((driver.metrics().skipped, driver.metrics().letters), (6, 6));
        driver.crash()?;
        driver.run()?;
        assert_eq!(driver.metrics().letters, 0, "what was committed is not written again");
    }
    Ok(())
}

#[test]
fn input_that_is_skipped_is_counted_once_whatever_is_rolled_back() -> Result<()> {
    for options in manners() {
        let topology = Topology::new("skips");
        topology.on_error(Policy::Skip);
        topology.stream(&IN).fold("sum", || 0, |sum, n| *sum += taken(n)).to(&OUT);
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        for (at, value) in ["1", "x", "13", "y", "2", "z"].into_iter().enumerate() {
            driver.send(&RAW_IN, raw("key"), raw(value), at as i64)?;
        }
        driver.run()?;
        assert_eq!(driver.metrics().skipped, 4);
    }
    Ok(())
}

#[test]
fn a_step_has_a_letter_topic_of_its_own() -> Result<()> {
    let topology = Topology::new("letters");
    topology.on_error(Policy::DeadLetter(DEAD));
    let first = topology.stream(&IN).try_map(|n| if n == 1 { Err("one") } else { Ok(n) });
    let first = first.on_error(Policy::DeadLetter("dead-ones"));
    first.map(taken).to(&OUT);
    let plan = topology.build()?;
    assert!(plan.describe().contains("dead letters to dead-ones"), "{}", plan.describe());
    let mut driver = TestDriver::new(plan)?;
    send_all(&mut driver, &[1, BAD, 2])?;
    let of = |topic: &str| -> Result<Vec<String>> {
        let letters = DeadLetters::open(driver.log(), topic)?.list()?;
        Ok(letters.into_iter().map(|letter| letter.step).collect())
    };
    assert_eq!((of(DEAD)?, of("dead-ones")?), (vec!["map".into()], vec!["try_map".into()]));
    Ok(())
}

#[test]
fn a_row_behind_an_exchange_shows_what_crossed() -> Result<()> {
    for options in manners() {
        let is_topic = options.exchange == ExchangeKind::Topic;
        let plan = plan(Policy::DeadLetter(DEAD), |it| {
            let by_value = it.stream(&IN).key_by(|n| format!("of-{n}"));
            by_value.fold("sum", || 0, |sum, n| *sum += taken(n)).to(&OUT);
        })?;
        let mut driver = TestDriver::with_options(plan, options)?;
        send_all(&mut driver, &[1, BAD, 3, BAD])?;
        driver.run()?;
        driver.crash()?;
        driver.run()?;
        let letters = letters(&driver)?;
        assert_eq!(letters.len(), 2, "{letters:?}");
        for letter in &letters {
            assert_eq!((&*letter.step, &letter.origin), ("fold sum", &None));
            assert_eq!(letter.key, raw("of-13"));
            // A version, and the number as MessagePack.
            assert_eq!(letter.value.as_deref(), Some(&[1, 13][..]));
            assert_eq!(letter.row.as_deref(), Some("as it crossed `letters.sum.repartition`"));
            if !is_topic {
                let newest = letter.newest.as_deref().unwrap_or_default();
                let origin = &places(&driver)?[&trace(&letter.headers)];
                let named = format!("in/{} at {}", origin.partition, origin.offset);
                assert!(newest.contains(&named), "{newest} names {named}");
            }
        }
        let error = DeadLetters::open(driver.log(), DEAD)?.replay(&letters).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.report().contains("no record of a source"), "{}", error.report());
        assert_eq!(driver.read(&OUT)?.len(), 2);
    }
    Ok(())
}

#[test]
fn a_row_out_of_a_window_shows_its_key() -> Result<()> {
    for options in manners() {
        let plan = plan(Policy::DeadLetter(DEAD), |it| {
            let windows = it.stream(&IN).window(Tumbling::of(Duration::from_millis(10)));
            let sums = windows.fold("sum", || 0, |sum, n| *sum += n).on_close();
            sums.map(|window| taken(window.value)).to(&OUT);
        })?;
        let mut driver = TestDriver::with_options(plan, options)?;
        for (key, value, at) in [("ann", 6, 0), ("ann", 7, 1), ("ann", 5, 10), ("ann", BAD, 20)]
        {
            driver.send(&IN, key.into(), value, at)?;
        }
        driver.run()?;
        driver.finish()?;
        let letters = letters(&driver)?;
        let seen: Vec<_> = letters
            .iter()
            .map(|it| (it.key.clone(), it.value.clone(), it.at.as_millis(), &*it.step))
            .collect();
        // One closed by a record, one by the end of the run.
        assert_eq!(seen, [(raw("ann"), None, 1, "map"), (raw("ann"), None, 20, "map")]);
        assert_eq!(letters[0].origin, None);
        let row = letters[0].row.as_deref();
        assert_eq!(row, Some("as the step saw it; made of earlier records"));
        let values: Vec<_> = driver.read(&OUT)?.into_iter().map(|it| it.value).collect();
        assert_eq!(values, [5]);
    }
    Ok(())
}

#[test]
fn a_program_must_not_read_its_own_letters() {
    let topology = Topology::new("letters");
    topology.on_error(Policy::DeadLetter("in"));
    topology.stream(&IN).to(&OUT);
    let error = topology.build().err().expect("it would fail at them again");
    assert!(error.report().contains("its own dead letters"), "{}", error.report());
}

#[test]
fn a_replay_sends_the_bytes_once() -> Result<()> {
    let log = Log::in_memory();
    let mut input = Producer::open(&log, &IN)?;
    input.create(3)?;
    for at in 0..30 {
        let mut record =
            Record::new(format!("key-{at}"), if at % 3 == 0 { BAD } else { at + 100 }, at);
        record.headers = [("trace", at.to_string())].into_iter().collect();
        input.send_record(&record)?;
    }
    input.flush()?;
    let failing = plan(Policy::DeadLetter(DEAD), |it| {
        // Two steps fail at each bad record.
        let input = it.stream(&IN);
        input.clone().map(taken).to(&OUT);
        input.filter(|n| taken(*n) < 0).to(&OUT);
    })?;
    let options = TestOptions { run_at_send: false, ..TestOptions::default() };
    let mut driver = TestDriver::on_log(failing, options.clone(), log.clone())?;
    driver.run()?;
    drop(driver);

    let letters = DeadLetters::open(&log, DEAD)?;
    let all = letters.list()?;
    assert_eq!(all.len(), 20);
    let before = Reader::open(&log, &RAW_IN)?.read_to_end()?.len();
    assert_eq!(letters.replay(&all[..2])?, 1, "both letters are about one record");
    assert_eq!(letters.replay(&all)?, 9);
    assert_eq!(letters.replay(&letters.list()?)?, 0);
    assert!(letters.list()?.iter().all(|letter| letter.replayed));

    let records = Reader::open(&log, &RAW_IN)?.read_to_end()?;
    let mut seen: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for it in &records {
        let bytes = (it.partition, it.key.clone(), it.value.clone(), it.at, it.headers.clone());
        seen.entry(trace(&it.headers)).or_default().push(bytes);
    }
    assert_eq!(records.len(), before + 10);
    for (trace, copies) in seen {
        let at: i64 = trace.parse().expect("traces are numbers");
        assert_eq!(copies.len(), if at % 3 == 0 { 2 } else { 1 }, "{trace}");
        assert!(copies.iter().all(|copy| *copy == copies[0]), "equal to the last byte");
    }
    Ok(())
}
