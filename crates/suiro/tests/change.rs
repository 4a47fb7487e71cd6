//! Change over time: a program that is started again in another version on the same log.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    ErrorKind, ExchangeKind, JsonKey, Log, Plan, Producer, Reader, Result, Sessions,
    TestDriver, TestOptions, Text, Topic, Topology, Tumbling,
};

const WORDS: Topic<String, String> = Topic::json("words");
const COUNTS: Topic<String, u64> = Topic::json("counts");
const OUT: Topic<String, String> = Topic::of("out", &JsonKey, &Text);

fn build(program: impl Fn(&Topology)) -> Result<Plan> {
    let topology = Topology::new("app");
    program(&topology);
    topology.build()
}

/// Starts a version of the program, and sends it some words.
fn run(log: &Log, plan: Plan, words: &[(&str, i64)]) -> Result<TestDriver> {
    run_with(log, plan, words, TestOptions::default())
}

fn run_with(
    log: &Log,
    plan: Plan,
    words: &[(&str, i64)],
    options: TestOptions,
) -> Result<TestDriver> {
    let mut driver = TestDriver::on_log(plan, options, log.clone())?;
    for (word, at) in words {
        driver.send(&WORDS, (*word).to_owned(), (*word).to_owned(), *at)?;
    }
    Ok(driver)
}

/// Why a version is refused.
fn refused(log: &Log, plan: Plan) -> String {
    let error = run(log, plan, &[]).expect_err("the version does not fit what was written");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.report()
}

#[test]
fn stateless_steps_come_and_go() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let log = Log::in_memory();
        let versions: [fn(&Topology); 3] = [
            |it| {
                let words = it.stream(&WORDS).key_by(|word| word.clone());
                words.repartition("by-word").count("counts").to(&COUNTS);
            },
            |it| {
                let words = it.stream(&WORDS).filter(|word| word != "a");
                let words = words.map(|word| word + "!").inspect(|_, _| {});
                let words = words.key_by(|word| word.trim_end_matches('!').to_owned());
                words.repartition("by-word").count("counts").filter(|n| *n > 0).to(&COUNTS);
            },
            |it| {
                let words = it.stream(&WORDS).key_by(|word| word.clone());
                words.repartition("by-word").count("counts").to(&COUNTS);
            },
        ];
        for (number, version) in (1..).zip(versions) {
            let options = TestOptions { partitions: 2, exchange, ..TestOptions::default() };
            let words = [("tea", 0), ("milk", 1)];
            let mut driver = run_with(&log, build(version)?, &words, options)?;
            assert_eq!(driver.read_last(&COUNTS)?["tea"], number, "the count goes on");
        }
    }
    Ok(())
}

#[test]
fn a_store_that_is_added_begins_where_the_program_is() -> Result<()> {
    let log = Log::in_memory();
    let one = |it: &Topology| it.stream(&WORDS).count("counts").to(&COUNTS);
    run(&log, build(one)?, &[("tea", 0), ("tea", 1)])?;
    let two = |it: &Topology| {
        let words = it.stream(&WORDS);
        words.clone().count("counts").to(&COUNTS);
        words.count("new-counts").map(|count| count.to_string()).to(&OUT);
    };
    let mut driver = run(&log, build(two)?, &[("tea", 2)])?;
    assert_eq!(driver.read_last(&COUNTS)?["tea"], 3);
    assert_eq!(driver.read_last(&OUT)?["tea"], "1");
    drop(driver);
    // What is taken away stays in its changelog, and is there when it comes back.
    run(&log, build(one)?, &[("tea", 3)])?;
    let mut driver = run(&log, build(two)?, &[("tea", 4)])?;
    assert_eq!(driver.read_last(&COUNTS)?["tea"], 5);
    assert_eq!(driver.read_last(&OUT)?["tea"], "2");
    Ok(())
}

#[test]
fn another_size_of_windows_is_refused() -> Result<()> {
    let sized = |size: u64, grace: u64| {
        build(move |it| {
            let windows = Tumbling::of(Duration::from_millis(size));
            let windows = windows.grace(Duration::from_millis(grace));
            let counts = it.stream(&WORDS).window(windows).count("windows").on_update();
            counts.map(|window| window.value.to_string()).to(&OUT);
        })
    };
    let log = Log::in_memory();
    run(&log, sized(1_000, 0)?, &[("tea", 5)])?;
    let report = refused(&log, sized(2_000, 0)?);
    for part in ["store=`windows`", "windows of 1000 ms", "windows of 2000 ms", "new name"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    // Grace may change, and the old size is still welcome.
    let mut driver = run(&log, sized(1_000, 500)?, &[("tea", 6)])?;
    assert_eq!(driver.read_last(&OUT)?["tea"], "2");
    Ok(())
}

#[test]
fn another_gap_of_sessions_is_refused() -> Result<()> {
    let with_gap = |gap: u64| {
        build(move |it| {
            let sessions = Sessions::with_gap(Duration::from_millis(gap));
            let counts = it.stream(&WORDS).window(sessions).count("visits").on_close();
            counts.map(|visit| visit.value.to_string()).to(&OUT);
        })
    };
    let log = Log::in_memory();
    run(&log, with_gap(10)?, &[("tea", 5)])?;
    let report = refused(&log, with_gap(20)?);
    assert!(report.contains("gap of 10 ms") && report.contains("gap of 20 ms"), "{report}");
    Ok(())
}

#[test]
fn other_keys_are_refused() -> Result<()> {
    const NUMBERS: Topic<u64, u64> = Topic::json("numbers");
    let log = Log::in_memory();
    let by_text = |it: &Topology| {
        let _ = it.stream(&WORDS).key_by(|word| word.clone()).count("counts");
    };
    run(&log, build(by_text)?, &[("7", 0)])?;
    let by_number = |it: &Topology| {
        let _ = it.stream(&NUMBERS).key_by(|number| *number).count("counts");
    };
    let report = refused(&log, build(by_number)?);
    assert!(report.contains("json-key text") && report.contains("json-key u64"), "{report}");
    Ok(())
}

/// A value with other fields than before, which the old bytes would still be read as.
mod v1 {
    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub struct Seen {
        pub count: u64,
        pub last: String,
    }
}

mod v2 {
    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub struct Seen {
        pub count: u64,
        #[serde(default)]
        pub longest: String,
    }
}

type Program = (&'static str, fn(&Topology), fn(&Topology));

fn add_v1(seen: &mut v1::Seen, word: String) {
    (seen.count, seen.last) = (seen.count + 1, word);
}

fn add_v2(seen: &mut v2::Seen, word: String) {
    seen.count += 1;
    if word.len() > seen.longest.len() {
        seen.longest = word;
    }
}

fn show_v1(seen: &v1::Seen) -> String {
    format!("{} {}", seen.count, seen.last)
}

fn show_v2(seen: &v2::Seen) -> String {
    format!("{} {}", seen.count, seen.longest)
}

const DAY: Duration = Duration::from_secs(86_400);

/// The same store in two versions, of each kind.
const PROGRAMS: &[Program] = &[
    (
        "table",
        |it| {
            let seen = it.stream(&WORDS).fold("seen", v1::Seen::default, add_v1);
            seen.map(show_v1).to(&OUT);
        },
        |it| {
            let seen = it.stream(&WORDS).fold("seen", v2::Seen::default, add_v2);
            seen.map(show_v2).to(&OUT);
        },
    ),
    (
        "windows",
        |it| {
            let days = it.stream(&WORDS).window(Tumbling::of(DAY));
            let seen = days.fold("seen", v1::Seen::default, add_v1).on_update();
            seen.map(|window| show_v1(&window.value)).to(&OUT);
        },
        |it| {
            let days = it.stream(&WORDS).window(Tumbling::of(DAY));
            let seen = days.fold("seen", v2::Seen::default, add_v2).on_update();
            seen.map(|window| show_v2(&window.value)).to(&OUT);
        },
    ),
    (
        "sessions",
        |it| {
            let days = it.stream(&WORDS).window(Sessions::with_gap(DAY));
            let seen = days.fold("seen", v1::Seen::default, add_v1, |_, _| {}).on_update();
            seen.flat_map(|visit| visit.value.as_ref().map(show_v1)).to(&OUT);
        },
        |it| {
            let days = it.stream(&WORDS).window(Sessions::with_gap(DAY));
            let seen = days.fold("seen", v2::Seen::default, add_v2, |_, _| {}).on_update();
            seen.flat_map(|visit| visit.value.as_ref().map(show_v2)).to(&OUT);
        },
    ),
];

fn migrates(it: &Topology) {
    let turn = |v1::Seen { count, last }| v2::Seen { count, longest: last };
    it.migrate("seen", turn);
}

#[test]
fn other_values_are_refused_or_migrated() -> Result<()> {
    for (name, old, new) in PROGRAMS {
        for crashes in [false, true] {
            let log = Log::in_memory();
            let words = [("tea", 0), ("milk", 1), ("tea", 2)];
            run(&log, build(old)?, &words)?;
            let report = refused(&log, build(new)?);
            for part in ["store=`seen`", "last:text", "longest:text", "Topology::migrate"] {
                assert!(report.contains(part), "{name}, {part}: {report}");
            }
            let migrating = || {
                build(|it| {
                    migrates(it);
                    new(it);
                })
            };
            if crashes {
                // It dies after it has read and before it has written.
                let options = TestOptions { run_at_send: false, ..TestOptions::default() };
                TestDriver::on_log(migrating()?, options, log.clone())?;
            }
            let mut driver = run(&log, migrating()?, &[("tea", 3)])?;
            assert_eq!(driver.read_last(&OUT)?["tea"], "3 tea", "{name}");
            drop(driver);
            // All rows were written anew, also those that nothing touched.
            let mut driver = run(&log, build(new)?, &[("milk", 4)])?;
            let last = driver.read_last(&OUT)?;
            let expected: BTreeMap<String, String> = [("milk", "2 milk"), ("tea", "3 tea")]
                .map(|(k, v)| (k.into(), v.into()))
                .into();
            assert_eq!(last, expected, "{name}");
            drop(driver);
            // The migration may stay; and there is no way back without one.
            run(&log, migrating()?, &[])?;
            refused(&log, build(old)?);
        }
    }
    Ok(())
}

/// What was written in the old form is still in the changelog, and cannot be read any more.
#[test]
fn after_a_migration_to_another_kind_of_type_the_rows_are_read_again_and_again() -> Result<()> {
    let sums: Topic<String, String> = Topic::json("sums");
    let numbers: Topic<String, u64> = Topic::json("numbers");
    let old = build(|it| {
        let _ = it.stream(&numbers).fold("sums", || 0_u64, |sum, number| *sum += number);
    })?;
    let new = |turns: bool| {
        build(|it| {
            if turns {
                it.migrate("sums", |old: u64| old.to_string());
            }
            let add = |text: &mut String, number: u64| *text += &format!("+{number}");
            it.stream(&numbers).fold("sums", String::new, add).to(&sums);
        })
    };
    for lean in [false, true] {
        let (log, options) = (Log::in_memory(), TestOptions { lean, ..TestOptions::default() });
        let start = |plan| TestDriver::on_log(plan, options.clone(), log.clone());
        let mut driver = start(old.clone())?;
        for (key, number) in [("a", 1), ("a", 2), ("b", 3)] {
            driver.send(&numbers, key.into(), number, 0)?;
        }
        drop(driver);
        start(new(true)?)?.run()?;
        for (turns, expected) in [(true, "3+4"), (false, "3+4+4")] {
            let mut driver = start(new(turns)?)?;
            driver.send(&numbers, "a".into(), 4, 1)?;
            assert_eq!(driver.read_last(&sums)?["a"], expected);
            driver.crash()?;
            driver.send(&numbers, "b".into(), 5, 1)?;
        }
        let mut driver = start(new(false)?)?;
        assert_eq!(driver.read_last(&sums)?["b"], "3+5+5");
    }
    Ok(())
}

/// What lies below is told when to look at a row, also where the row is of a form that nobody reads
/// any more.
#[test]
fn after_a_migration_sessions_below_memory_are_looked_at_in_time() -> Result<()> {
    let plan = |turns: bool| {
        build(move |it| {
            let sessions = it.stream(&WORDS).window(Sessions::with_gap(DAY));
            if turns {
                let add = |all: &mut Vec<String>, word| all.push(word);
                let words = sessions.fold("visits", Vec::new, add, Vec::extend).on_close();
                words.map(|visit| visit.value.join(" ")).to(&OUT);
                it.migrate("visits", |count: u64| vec![format!("{count} before")]);
            } else {
                drop(sessions.count("visits").on_close());
            }
        })
    };
    for lean in [false, true] {
        let log = Log::in_memory();
        let options = TestOptions { lean, ..TestOptions::default() };
        run_with(&log, plan(false)?, &[("tea", 0)], options.clone())?;
        for _ in 0..2 {
            let mut driver = run_with(&log, plan(true)?, &[("milk", 1)], options.clone())?;
            driver.crash()?;
            driver.run()?;
        }
        let mut driver = TestDriver::on_log(plan(true)?, options, log.clone())?;
        driver.finish()?;
        let last = driver.read_last(&OUT)?;
        assert_eq!((&*last["tea"], &*last["milk"]), ("1 before", "milk milk"));
    }
    Ok(())
}

#[test]
fn a_migration_must_fit_the_program() {
    let plan = build(|it| {
        it.migrate("seen", |count: u64| count.to_string());
        let _ = it.stream(&WORDS).count("seen");
    });
    let report = plan.err().expect("the store holds no text").report();
    assert!(report.contains("gives=`text`") && report.contains("holds=`u64`"), "{report}");
    let plan = build(|it| {
        it.migrate("other", |count: u64| count);
        let _ = it.stream(&WORDS).count("seen");
    });
    let report = plan.err().expect("there is no such store").report();
    assert!(report.contains("store=`other`"), "{report}");
}

#[test]
fn another_number_of_partitions_is_refused_with_the_way_out() -> Result<()> {
    let log = Log::in_memory();
    for (topic, partitions) in [("words", 2), ("more-words", 3)] {
        Producer::open(&log, &WORDS.named(topic))?.create(partitions)?;
    }
    let reading = |topic: &'static str| {
        move |it: &Topology| {
            let words = it.stream(&WORDS.named(topic));
            words.clone().count("counts").to(&COUNTS);
            let _ = words.key_by(|word| word.clone()).repartition("by-word").count("spread");
        }
    };
    run(&log, build(reading("words"))?, &[("tea", 0)])?;
    let report = refused(&log, build(reading("more-words"))?);
    for part in ["topic=`app.", "partitions=`2`", "needed=`3`", "new name"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let mut driver = run(&log, build(reading("words"))?, &[("tea", 1)])?;
    assert_eq!(driver.read_last(&COUNTS)?["tea"], 2);
    Ok(())
}

#[test]
fn forms_are_written_with_the_first_rows_and_not_before() -> Result<()> {
    const FORMS: Topic<String, suiro::Bytes> = Topic::of("app.forms", &Text, &suiro::Raw);
    let log = Log::in_memory();
    let text = |it: &Topology| {
        let _ =
            it.stream(&WORDS).fold("seen", String::new, |seen, word: String| *seen += &word);
    };
    let number = |it: &Topology| {
        let _ = it.stream(&WORDS).count("seen");
    };
    // A program that has never run may change at will.
    run(&log, build(text)?, &[])?;
    run(&log, build(number)?, &[])?;
    assert_eq!(Reader::open(&log, &FORMS)?.read_to_end()?.len(), 0);
    run(&log, build(number)?, &[("tea", 0), ("tea", 1)])?;
    let forms = Reader::open(&log, &FORMS)?.read_to_end()?;
    assert_eq!((forms.len(), &*forms[0].key), (1, "seen"));
    refused(&log, build(text)?);
    Ok(())
}
