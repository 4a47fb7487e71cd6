//! What older versions have written is read: `fixtures` holds a log directory of each version of
//! the formats on disk, and today's code goes on where it ends.
//!
//! A directory that is there is never written again. When a format changes, the ignored test at
//! the end writes one of the new version under a new name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};
use suiro::{
    App, Bytes, Cleanup, DeadLetters, ExchangeKind, Log, Plan, Policy, Producer, Raw, Reader,
    Record, Result, Sessions, SystemClock, TestDriver, TestOptions, Text, Topic, Topology,
    Tumbling,
};
use suiro_engine::{Alone, Scope, Settings};

const VERSION: &str = "log-v1";

const WORDS: Topic<String, String> = Topic::json("words");
const NAMES: Topic<String, String> = Topic::json("names");
const COUNTS: Topic<String, u64> = Topic::json("counts");
const NAMED: Topic<String, String> = Topic::json("named");
const WINDOWS: Topic<String, u64> = Topic::json("windows");
const VISITS: Topic<String, Vec<String>> = Topic::json("visits");
const COPIES: Topic<String, String> = Topic::json("copies");
const RAW_WORDS: Topic<Option<Bytes>, Option<Bytes>> = Topic::of("words", &Raw, &Raw);
const FORMS: Topic<String, Bytes> = Topic::of("app.forms", &Text, &Raw);
const DEAD: &str = "dead";

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version)
}

/// Every kind of row that a changelog or an internal topic can hold.
fn plan() -> Result<Plan> {
    let topology = Topology::new("app");
    topology.on_error(Policy::DeadLetter(DEAD));
    let names = topology.table(&NAMES);
    let words = topology.stream(&WORDS);
    words.clone().join(&names, |word, name| format!("{name}: {word}")).to(&NAMED);
    let windows = words.clone().window(Tumbling::of(Duration::from_millis(100)));
    windows.count("windows").on_close().map(|window| window.value).to(&WINDOWS);
    let visits = words.clone().window(Sessions::with_gap(Duration::from_millis(50)));
    let add = |visit: &mut Vec<String>, word| visit.push(word);
    let merge = |visit: &mut Vec<String>, later: Vec<String>| visit.extend(later);
    let visits = visits.fold("visits", Vec::new, add, merge).on_close();
    visits.map(|visit| visit.value).to(&VISITS);
    words.key_by(|word| word.clone()).count("counts").to(&COUNTS);
    topology.build()
}

/// A program that comes to an end, and notes it.
fn bounded() -> Result<Plan> {
    let topology = Topology::new("bounded");
    topology.stream(&NAMES).to(&COPIES);
    topology.build()
}

fn options() -> TestOptions {
    TestOptions { exchange: ExchangeKind::Topic, run_at_send: false, ..TestOptions::default() }
}

/// What must hold, or the reason why a user's log would be lost.
#[track_caller]
fn readable<T>(what: &str, result: Result<T>) -> T {
    result.unwrap_or_else(|error| {
        panic!(
            "{what} that {VERSION} wrote cannot be read any more; read the old version beside \
             the new one, so that nobody loses a log: {}",
            error.report()
        )
    })
}

#[test]
fn a_log_of_the_first_version_is_read_and_gone_on_with() -> Result<()> {
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    copy(&fixture(VERSION), dir.path()).expect("the fixture can be copied");

    // Another process reads it before a writer has opened it.
    let reader = readable("a log directory", Log::open_reader(dir.path()));
    let words = readable("a topic", Reader::open(&reader, &RAW_WORDS)?.read_to_end());
    assert_eq!(words.len(), 8);
    let trace = words[0].headers.get("trace").map(|value| &value[..]);
    assert_eq!((trace, words[0].at.as_millis()), (Some(&b"7f"[..]), 10));
    drop(reader);

    let log = readable("a log directory", Log::open(dir.path()));
    let forms = readable("forms of stores", Reader::open(&log, &FORMS)?.read_to_end());
    let forms: Vec<&str> = forms.iter().map(|form| &*form.key).collect();
    assert_eq!(forms, ["windows", "visits", "counts"]);
    let letters = readable("a dead letter", DeadLetters::open(&log, DEAD)?.list());
    assert_eq!(letters.len(), 1);
    let origin = letters[0].origin.as_ref().map(|it| (&*it.topic, it.partition, it.offset));
    assert_eq!(origin, Some(("words", 0, 3)));
    assert_eq!((&*letters[0].app, &*letters[0].step), ("app", "source words"));

    // Positions with notes: the bounded run is over, and stays so.
    let again = readable("a position", App::new(bounded()?, log.clone()).run_to_end());
    assert_eq!((again.records_in, again.records_out), (0, 0));

    // Stores, rows under way, positions: the program goes on where it was.
    let driver = TestDriver::on_log(plan()?, options(), log.clone());
    let mut driver = readable("a changelog", driver);
    let before = outputs(&log)?;
    readable("a row under way", driver.run());
    readable("a window", driver.finish());
    let after = outputs(&log)?;
    let news = |topic: &str| after[topic][before[topic].len()..].to_vec();
    assert_eq!(before["counts"].last().map(|it| &**it), Some("tea 2"));
    assert_eq!(news("counts"), ["tea 3", "milk 2"], "two words were under way");
    assert_eq!(news("named"), [""; 0]);
    assert_eq!(news("windows"), ["ann 1", "bob 1"], "one is open for each");
    assert_eq!(news("visits"), [r#"ann ["tea"]"#, r#"bob ["milk"]"#]);
    driver.send(&WORDS, "ann".into(), "tea".into(), 900)?;
    driver.run()?;
    let named = outputs(&log)?.remove("named").unwrap_or_default();
    assert_eq!(named.last().map(|it| &**it), Some("ann Anna: tea"));
    Ok(())
}

/// All outputs of the program, as text.
fn outputs(log: &Log) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let mut all = BTreeMap::new();
    for topic in ["counts", "named", "windows", "visits"] {
        let records = Reader::open(log, &Topic::text(topic))?.read_to_end()?.into_iter();
        let text = |value: Option<String>| value.unwrap_or_default();
        let line = |value: String| value.trim_matches('"').to_owned();
        let records = records.map(|it| format!("{} {}", it.key, line(text(it.value))));
        all.insert(topic, records.collect());
    }
    Ok(all)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Writes the fixture of today's version: run it once for each new version, and commit what it
/// writes.
#[test]
#[ignore = "writes a fixture, once for each version"]
fn write_the_fixture_of_this_version() -> Result<()> {
    let dir = fixture(VERSION);
    assert!(!dir.exists(), "{} is there, and is never written again", dir.display());
    // Small, so that there are a checkpoint, several segments and a journal behind it.
    let log = Log::options().journal_bytes(4096).segment_bytes(256).inline(true);
    let place = tempfile::tempdir().expect("there is a place for temporary files");
    let log = log.open(place.path())?;
    Producer::open(&log, &NAMES)?.create_with(1, Cleanup::Compact)?;
    let mut driver = TestDriver::on_log(plan()?, options(), log.clone())?;
    driver.send(&NAMES, "ann".into(), "Ann".into(), 0)?;
    driver.send(&NAMES, "ann".into(), "Anna".into(), 1)?;
    driver.send(&NAMES, "bob".into(), "Bob".into(), 2)?;
    driver.remove(&NAMES, "bob".into(), 3)?;
    driver.run()?;
    let mut first = Record::new("ann".to_owned(), "tea".to_owned(), 10);
    first.headers = [("trace", "7f")].into_iter().collect();
    driver.send_record(&WORDS, first)?;
    driver.run()?;
    driver.send(&WORDS, "bob".into(), "milk".into(), 20)?;
    driver.send(&WORDS, "ann".into(), "coffee".into(), 60)?;
    driver.run()?;
    // This one cannot be read.
    driver.send(&RAW_WORDS, Some("ann".into()), Some("{".into()), 65)?;
    driver.send(&WORDS, "cid".into(), "water".into(), 120)?;
    driver.run()?;
    driver.send(&WORDS, "ann".into(), "tea".into(), 300)?;
    driver.run()?;
    drop(driver);
    App::new(bounded()?, log.clone()).run_to_end()?;
    log.maintain()?;

    // The last two words are committed on their way through the exchange, and no further.
    let mut words = Producer::open(&log, &WORDS)?;
    words.send("ann".into(), "tea".into(), 500)?;
    words.send("bob".into(), "milk".into(), 510)?;
    words.flush()?;
    let settings = Settings { exchange: ExchangeKind::Topic, ..Settings::default() };
    let clock = Arc::new(SystemClock::default());
    let mut scope = Scope::open(plan()?, &log, settings, clock)?;
    while scope.metrics().records_in < 2 {
        scope.round(&mut Alone)?;
        scope.look_again();
    }
    drop(scope);
    // As a crash would leave it: to close the log would empty the journal.
    copy(place.path(), &dir).expect("the log can be copied");
    log.close()
}
