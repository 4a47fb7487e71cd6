//! Processors where their model does not look: letters, silences, threads, and mistakes.

use std::time::Duration;
use suiro::{
    App, DeadLetters, Error, Log, Outcome, OutputOf, Plan, Policy, Processor, Producer, Reader,
    Record, Result, StoreOf, TestDriver, TestOptions, Topic, Topology, Turn,
};

const IN: Topic<String, i64> = Topic::json("in");
const OUT: Topic<String, String> = Topic::json("out");
const DEAD: &str = "dead";

/// A processor that is made of two functions.
#[derive(Clone, Copy)]
struct Of {
    sum: StoreOf<i64>,
    out: OutputOf<String>,
    on_record: fn(&Of, &mut Turn<'_, Of>, i64) -> Outcome,
    on_timer: fn(&Of, &mut Turn<'_, Of>, String) -> Outcome,
}

impl Processor for Of {
    type Key = String;
    type In = i64;
    type Timer = String;

    fn on_record(&self, turn: &mut Turn<'_, Self>, value: i64) -> Outcome {
        (self.on_record)(self, turn, value)
    }

    fn on_timer(&self, turn: &mut Turn<'_, Self>, timer: String) -> Outcome {
        (self.on_timer)(self, turn, timer)
    }
}

fn plan(
    set: impl Fn(&Topology),
    on_record: fn(&Of, &mut Turn<'_, Of>, i64) -> Outcome,
    on_timer: fn(&Of, &mut Turn<'_, Of>, String) -> Outcome,
) -> Result<Plan> {
    let topology = Topology::new("app");
    set(&topology);
    let mut process = topology.stream(&IN).process("sums");
    let sum = process.store("sum");
    let (out, texts) = process.output();
    process.with(Of { sum, out, on_record, on_timer });
    texts.to(&OUT);
    topology.build()
}

/// Adds to the sum, and sets a timer `of` ten milliseconds after the record.
fn adds(of: &Of, turn: &mut Turn<'_, Of>, value: i64) -> Outcome {
    turn.update(of.sum, |sum| *sum = Some(sum.unwrap_or(0) + value));
    turn.set_timer("ten".to_owned(), turn.at() + Duration::from_millis(10));
    Ok(())
}

fn says(of: &Of, turn: &mut Turn<'_, Of>, timer: String) -> Outcome {
    let text = format!("{timer}: {:?}", turn.get(of.sum));
    turn.send(of.out, text);
    Ok(())
}

/// Key, value and time of what came out.
fn out(driver: &mut TestDriver) -> Result<Vec<(String, String, i64)>> {
    let records = driver.read(&OUT)?.into_iter();
    Ok(records.map(|row| (row.key, row.value, row.at.as_millis())).collect())
}

fn line(key: &str, value: &str, at: i64) -> (String, String, i64) {
    (key.to_owned(), value.to_owned(), at)
}

#[test]
fn timers_fire_in_a_silence() -> Result<()> {
    let idle = |topology: &Topology| topology.idle_after(Duration::from_millis(100));
    let mut driver = TestDriver::new(plan(idle, adds, says)?)?;
    driver.send(&IN, "a".into(), 1, 0)?;
    driver.send(&IN, "b".into(), 2, 3)?;
    driver.advance_to(106)?;
    assert!(out(&mut driver)?.is_empty());
    driver.advance_to(107)?;
    assert_eq!(out(&mut driver)?, [line("a", "ten: Some(1)", 10)]);
    driver.crash()?;
    // Time stays risen: what is set for a time that has come fires at once.
    driver.send(&IN, "a".into(), 1, 0)?;
    assert_eq!(out(&mut driver)?, [line("a", "ten: Some(2)", 10)]);
    Ok(())
}

#[test]
fn results_have_the_headers_of_their_record_and_timers_have_none() -> Result<()> {
    let tells = |of: &Of, turn: &mut Turn<'_, Of>, value: i64| {
        turn.send(of.out, "record".to_owned());
        assert_eq!(turn.headers().iter().count(), 1);
        adds(of, turn, value)
    };
    let says = |of: &Of, turn: &mut Turn<'_, Of>, timer: String| {
        assert!(turn.headers().is_empty());
        says(of, turn, timer)
    };
    let mut driver = TestDriver::new(plan(|_| {}, tells, says)?)?;
    let headers: suiro::Headers = [("trace", "7f")].into_iter().collect();
    for at in [0, 20] {
        let record = Record::new("a".to_owned(), 1, at);
        driver.send_record(&IN, Record { headers: headers.clone(), ..record })?;
    }
    let all: Vec<_> = driver.read(&OUT)?.into_iter().map(|row| row.headers).collect();
    let none = suiro::Headers::NONE;
    assert_eq!(all, [headers.clone(), none, headers]);
    Ok(())
}

#[test]
fn a_timer_that_sets_itself_for_long_ago_comes_to_an_end() -> Result<()> {
    let begins = |_: &Of, turn: &mut Turn<'_, Of>, _| {
        turn.set_timer("event".to_owned(), 0);
        turn.set_wall_timer("wall".to_owned(), 0);
        Ok(())
    };
    let again = |of: &Of, turn: &mut Turn<'_, Of>, timer: String| {
        turn.send(of.out, timer.clone());
        match &*timer {
            "event" => turn.set_timer(timer, 0),
            _ => turn.set_wall_timer(timer, 0),
        }
        Ok(())
    };
    let mut driver = TestDriver::new(plan(|_| {}, begins, again)?)?;
    driver.send(&IN, "a".into(), 1, 2)?;
    let event = |at| line("a", "event", at);
    // The clock stands at zero; what goes by it has the stream time.
    let wall = |at| line("a", "wall", at);
    assert_eq!(out(&mut driver)?, [event(0), event(1), event(2), wall(2)]);
    driver.advance_to(2)?;
    assert_eq!(out(&mut driver)?, [wall(2), wall(2)]);
    Ok(())
}

#[test]
fn a_timer_that_fails_leaves_a_letter_and_no_record_is_to_blame() -> Result<()> {
    let fails = |of: &Of, turn: &mut Turn<'_, Of>, timer: String| {
        turn.put(of.sum, 1_000);
        turn.set_timer("never".to_owned(), 50);
        turn.send(of.out, "never".to_owned());
        match turn.key().as_str() {
            "bad" => Err(format!("{timer} is unlucky").into()),
            _ => Ok(()),
        }
    };
    let letters = |topology: &Topology| topology.on_error(Policy::DeadLetter(DEAD));
    for clock in ["event", "wall"] {
        let adds: fn(&Of, &mut Turn<'_, Of>, i64) -> Outcome = match clock {
            "event" => |of, turn, value| {
                turn.send(of.out, format!("{:?}", turn.get(of.sum)));
                adds(of, turn, value)
            },
            _ => |of, turn, value| {
                turn.send(of.out, format!("{:?}", turn.get(of.sum)));
                turn.put(of.sum, value);
                turn.set_wall_timer("ten".to_owned(), 10 * value);
                Ok(())
            },
        };
        let mut driver = TestDriver::new(plan(letters, adds, fails)?)?;
        driver.send(&IN, "bad".into(), 1, 0)?;
        driver.advance_to(10)?;
        driver.send(&IN, "bad".into(), 2, 40)?;
        let expected = [line("bad", "None", 0), line("bad", "Some(1)", 40)];
        assert_eq!(out(&mut driver)?, expected, "{clock}");
        driver.run()?;
        let letters = DeadLetters::open(driver.log(), DEAD)?.list()?;
        let [letter] = &letters[..] else { panic!("{clock}: {} letters", letters.len()) };
        assert_eq!(&*letter.step, "process sums");
        assert!(letter.cause.contains("ten is unlucky"), "{}", letter.cause);
        assert_eq!(letter.origin, None);
        assert_eq!(letter.key.as_deref(), Some(&b"bad"[..]));
        assert_eq!(driver.metrics().letters, 1);
    }
    Ok(())
}

#[test]
fn a_record_that_fails_leaves_its_own_letter_and_changes_nothing() -> Result<()> {
    let fails = |of: &Of, turn: &mut Turn<'_, Of>, value: i64| {
        adds(of, turn, value)?;
        turn.send(of.out, "added".to_owned());
        assert!(value != 13, "thirteen is unlucky");
        Ok(())
    };
    let letters = |topology: &Topology| topology.on_error(Policy::DeadLetter(DEAD));
    let mut driver = TestDriver::new(plan(letters, fails, says)?)?;
    driver.send(&IN, "a".into(), 1, 0)?;
    // It moves the time, and so the timer of before fires.
    driver.send(&IN, "a".into(), 13, 11)?;
    driver.send(&IN, "a".into(), 1, 30)?;
    let expected =
        [line("a", "added", 0), line("a", "ten: Some(1)", 10), line("a", "added", 30)];
    assert_eq!(out(&mut driver)?, expected);
    let letters = DeadLetters::open(driver.log(), DEAD)?.list()?;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(&b"13"[..]));
    let origin = letters[0].origin.as_ref().expect("the letter names the record");
    assert_eq!((&*origin.topic, origin.offset), ("in", 1));
    Ok(())
}

#[test]
fn a_timer_that_fails_stops_the_program_and_all_before_it_is_committed() -> Result<()> {
    let fails =
        |_: &Of, _: &mut Turn<'_, Of>, timer: String| Err(format!("{timer} fails").into());
    for options in [1, 8192] {
        let options = TestOptions { batch_rows: options, ..Default::default() };
        let mut driver = TestDriver::with_options(plan(|_| {}, adds, fails)?, options)?;
        driver.send(&IN, "a".into(), 1, 0)?;
        let error = driver.send(&IN, "b".into(), 1, 10).expect_err("the timer fails").report();
        assert!(error.contains("process sums") && error.contains("ten fails"), "{error}");
    }
    let mut driver = TestDriver::new(plan(
        |_| {},
        |_, turn, _| {
            turn.set_wall_timer("wall".to_owned(), 5);
            Ok(())
        },
        fails,
    )?)?;
    driver.send(&IN, "a".into(), 1, 0)?;
    let error = driver.advance_to(5).expect_err("the timer fails").report();
    assert!(error.contains("process sums") && error.contains("wall fails"), "{error}");
    Ok(())
}

/// It sets timers, and forgets to say what they do.
struct Forgetful;

impl Processor for Forgetful {
    type Key = String;
    type In = i64;
    type Timer = ();

    fn on_record(&self, turn: &mut Turn<'_, Self>, _: i64) -> Outcome {
        turn.set_timer((), turn.at());
        Ok(())
    }
}

#[test]
fn a_timer_that_nobody_takes_is_an_error() -> Result<()> {
    let topology = Topology::new("app");
    topology.stream(&IN).process("forgetful").with(Forgetful);
    let mut driver = TestDriver::new(topology.build()?)?;
    let error = driver.send(&IN, "a".into(), 1, 0).expect_err("there is no `on_timer`");
    assert!(error.report().contains("on_timer"), "{}", error.report());
    Ok(())
}

#[test]
fn a_handle_of_another_processor_is_an_error() -> Result<()> {
    let topology = Topology::new("app");
    let stream = topology.stream(&IN);
    let mut other = stream.clone().process("other");
    let theirs = other.store("sum");
    let (out, texts) = other.output();
    let mine = Of { sum: theirs, out, on_record: adds, on_timer: says };
    other.with(mine);
    texts.to(&OUT);
    stream.process("mine").with(mine);
    let mut driver = TestDriver::new(topology.build()?)?;
    let error = driver.send(&IN, "a".into(), 1, 0).expect_err("the store is of another");
    let text = "`StoreOf` of a processor is used in another one; give each its own \
                made_by=`other` used_by=`mine`";
    assert!(error.report().contains(text), "{}", error.report());
    Ok(())
}

#[test]
fn what_is_not_complete_is_refused() {
    let refused = |write: &dyn Fn(&Topology)| -> Error {
        let topology = Topology::new("app");
        write(&topology);
        topology.build().err().expect("the mistake is refused")
    };
    let error = refused(&|topology| drop(topology.stream(&IN).process("sums")));
    let text = "a step was begun and has no processor; give it one by `with` process=`sums`";
    assert_eq!(error.to_string(), text);
    let error = refused(&|topology| {
        let mut process = topology.stream(&IN).process("sums");
        let _one: StoreOf<i64> = process.store("sum");
        let _two: StoreOf<String> = process.store("sum");
        process.with(Forgetful);
    });
    assert!(error.to_string().contains("store=`sums.sum`"), "{error}");
    let error = refused(&|topology| {
        let table = Topology::new("other").table(&IN.named("rows"));
        let mut process = topology.stream(&IN).process("sums");
        let _rows = process.table(&table);
        process.with(Forgetful);
    });
    assert!(error.to_string().contains("two topologies meet"), "{error}");
}

#[test]
fn timers_go_by_the_clock_of_the_machine() -> Result<()> {
    let waits = |of: &Of, turn: &mut Turn<'_, Of>, value: i64| {
        turn.put(of.sum, value);
        turn.set_wall_timer("soon".to_owned(), turn.wall_time() + Duration::from_millis(20));
        Ok(())
    };
    let log = Log::in_memory();
    let running = App::new(plan(|_| {}, waits, says)?, log.clone()).partitions(2).start()?;
    let mut producer = Producer::open(&log, &IN)?;
    for key in ["a", "b", "c"] {
        producer.send(key.into(), 1, 7)?;
    }
    producer.flush()?;
    let mut reader = Reader::open(&log, &OUT)?;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(reader.read_to_end()?.into_iter().map(|row| (row.key, row.value, row.at)));
        std::thread::yield_now();
    }
    seen.sort();
    let expected =
        ["a", "b", "c"].map(|key| (key.to_owned(), Some("soon: Some(1)".to_owned()), 7.into()));
    assert_eq!(seen, expected);
    assert_eq!(running.query::<String, i64>("sums.sum")?.get(&"a".into())?, Some(1));
    running.shutdown()
}

/// A version of a processor whose rows and timers are of the type `N`.
struct Versioned<N> {
    last: StoreOf<N>,
    out: OutputOf<String>,
}

impl<N> Processor for Versioned<N>
where
    N: suiro::Data + PartialEq + std::fmt::Debug + From<u16>,
{
    type Key = String;
    type In = i64;
    type Timer = N;

    fn on_record(&self, turn: &mut Turn<'_, Self>, value: i64) -> Outcome {
        turn.put(self.last, N::from(u16::try_from(value)?));
        turn.set_timer(N::from(7), turn.at() + Duration::from_millis(10));
        Ok(())
    }

    fn on_timer(&self, turn: &mut Turn<'_, Self>, timer: N) -> Outcome {
        let text = format!("{timer:?}: {:?}", turn.get(self.last));
        turn.send(self.out, text);
        Ok(())
    }
}

fn version<N>(migrates: impl Fn(&Topology)) -> Result<Plan>
where
    N: suiro::Data + PartialEq + std::fmt::Debug + From<u16>,
{
    let topology = Topology::new("app");
    migrates(&topology);
    let mut process = topology.stream(&IN).process("last");
    let last = process.store::<N>("last");
    let (out, texts) = process.output();
    process.with(Versioned { last, out });
    texts.to(&OUT);
    topology.build()
}

#[test]
fn rows_and_timers_of_other_types_are_refused_or_migrated() -> Result<()> {
    let log = Log::in_memory();
    let start = |plan| TestDriver::on_log(plan, TestOptions::default(), log.clone());
    start(version::<u16>(|_| {})?)?.send(&IN, "a".into(), 3, 0)?;
    let one: fn(&Topology) = |it| it.migrate("last.last", |old: u16| i64::from(old) * 100);
    let none: fn(&Topology) = |_| {};
    for (store, migrates) in [("last.last", none), ("last.timers", one)] {
        let error = start(version::<i64>(migrates)?).expect_err("it is of another type");
        assert!(error.report().contains(store), "{}", error.report());
    }
    let both = |it: &Topology| {
        one(it);
        it.migrate("last.timers", |old: u16| i64::from(old) + 1);
    };
    let mut driver = start(version::<i64>(both)?)?;
    driver.crash()?;
    driver.send(&IN, "b".into(), 3, 9)?;
    driver.send(&IN, "b".into(), 3, 10)?;
    assert_eq!(out(&mut driver)?, [line("a", "8: Some(300)", 10)]);
    Ok(())
}
