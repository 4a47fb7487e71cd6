//! Restarts from snapshots: the same state as from the changelog, and less to replay.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use suiro::{
    App, AppState, Bytes, Cleanup, Error, ErrorKind, ExchangeKind, Log, MemoryObjects, Metrics,
    ObjectInfo, Objects, Plan, Producer, Reader, Result, Running, Sessions, Snapshots, Topic,
    Topology, Tumbling,
};

const CLICKS: Topic<String, u64> = Topic::json("clicks");
const USERS: Topic<String, String> = Topic::json("users");
const COUNTS: Topic<String, u64> = Topic::json("counts");
const NAMED: Topic<String, String> = Topic::json("named");
const MINUTES: Topic<String, u64> = Topic::json("minutes");
const VISITS: Topic<String, u64> = Topic::json("visits");

/// The rows of the source table, which are read from its topic at each start.
const USER_COUNT: u64 = 97;

/// Stores of every kind: a fold, windows, sessions, a source table.
fn plan() -> Result<Plan> {
    let topology = Topology::new("shop");
    let clicks = topology.stream(&CLICKS);
    let users = topology.table(&USERS);
    clicks.clone().count("counts").to(&COUNTS);
    let window = Tumbling::of(Duration::from_mins(1));
    clicks.clone().window(window).count("minutes").on_close().map(|w| w.value).to(&MINUTES);
    let visits = clicks.clone().window(Sessions::with_gap(Duration::from_secs(20)));
    visits.count("visits").on_close().map(|visit| visit.value).to(&VISITS);
    clicks.join(&users, |click, user| format!("{user} {click}")).to(&NAMED);
    topology.build()
}

/// Snapshots that are taken when they are asked for.
fn in_directory(dir: &Path) -> Snapshots {
    Snapshots::in_directory(Duration::from_hours(9), dir)
}

fn app(log: &Log, snapshots: Option<Snapshots>) -> Result<App> {
    let app = App::new(plan()?, log.clone()).partitions(2).threads(2);
    Ok(match snapshots {
        Some(snapshots) => app.snapshots(snapshots),
        None => app,
    })
}

/// Sends clicks of some users from a second on, and waits until they are processed.
fn work(log: &Log, running: &Running, from: i64, count: i64) -> Result<()> {
    let before = running.metrics().records_in;
    let mut clicks = Producer::open(log, &CLICKS)?;
    for number in from..from + count {
        clicks.send(format!("user-{}", number % 97), 1, number * 1_000)?;
    }
    clicks.flush()?;
    while running.metrics().records_in < before + count as u64 {
        assert!(!running.is_ended(), "the program goes on");
        std::thread::yield_now();
    }
    Ok(())
}

fn ready(running: &Running) -> Metrics {
    while matches!(running.state(), AppState::Restoring(_)) {
        std::thread::yield_now();
    }
    running.metrics()
}

/// What the stores of a program hold of each user: the count, the windows, the sessions.
type Held = BTreeMap<String, [Vec<u64>; 3]>;

fn state(running: &Running) -> Result<Held> {
    let mut state = Held::new();
    for row in running.query::<String, u64>("counts")?.all()? {
        let values = |store| -> Result<Vec<u64>> {
            let windows = running.query::<String, u64>(store)?.windows(&row.key)?;
            Ok(windows.into_iter().map(|window| window.value).collect())
        };
        state.insert(row.key.clone(), [vec![row.value], values("minutes")?, values("visits")?]);
    }
    Ok(state)
}

fn outputs(log: &Log) -> Result<Vec<(String, Option<u64>, i64)>> {
    let mut all = Vec::new();
    for topic in [&COUNTS, &MINUTES, &VISITS] {
        for record in Reader::open(log, topic)?.read_to_end()? {
            all.push((
                format!("{topic:?} {}", record.key),
                record.value,
                record.at.as_millis(),
            ));
        }
    }
    all.sort();
    Ok(all)
}

fn users(log: &Log) -> Result<()> {
    let mut users = Producer::open(log, &USERS)?;
    users.create_with(2, Cleanup::Compact)?;
    for number in 0..USER_COUNT {
        users.send(format!("user-{number}"), format!("name {number}"), 0)?;
    }
    users.flush()
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// All files of a kind below a directory: manifests or runs.
fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, kind));
        } else if path.parent().is_some_and(|parent| parent.ends_with(kind)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Two histories, one of which restarts from snapshots all the time, are the same history.
#[test]
fn restarts_from_snapshots_change_nothing() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let (plain, snapped) = (Log::in_memory(), Log::in_memory());
        let objects = MemoryObjects::default();
        let (mut ends, mut restored) = (Vec::new(), Vec::new());
        for (log, with) in [(&plain, false), (&snapped, true)] {
            users(log)?;
            for round in 0..4 {
                let every = Duration::from_hours(9);
                let snapshots = Snapshots::in_objects(every, objects.clone());
                let app = app(log, with.then_some(snapshots))?.exchange(exchange);
                let running = app.start()?;
                restored.push(ready(&running));
                work(log, &running, round * 200, 150)?;
                if with {
                    let report = running.snapshot()?;
                    assert!(report.taken >= 6, "{report:?}");
                }
                work(log, &running, round * 200 + 150, 50)?;
                ends.push(state(&running)?);
                running.shutdown()?;
            }
        }
        assert_eq!(ends[..4], ends[4..]);
        assert_eq!(outputs(&plain)?, outputs(&snapped)?);
        let (plain, snapped) = restored.split_at(4);
        assert!(plain.iter().all(|metrics| metrics.loaded == 0));
        assert!(snapped[1..].iter().all(|metrics| metrics.loaded > 0));
        let replayed = |metrics: &Metrics| metrics.restored - USER_COUNT;
        assert!(replayed(&snapped[3]) * 4 < replayed(&plain[3]));
    }
    Ok(())
}

/// Only what was committed after the snapshot is replayed, and it is counted.
#[test]
fn only_the_tail_is_replayed() -> Result<()> {
    let dir = temporary();
    let log = Log::open(dir.path())?;
    let topology = Topology::new("tail");
    let _counts = topology.stream(&CLICKS).count("counts");
    let plan = topology.build()?;
    let app = || {
        let app = App::new(plan.clone(), log.clone()).partitions(2);
        app.snapshots(Snapshots::every(Duration::from_hours(9)))
    };
    let running = app().start()?;
    work(&log, &running, 0, 970)?;
    let report = running.snapshot()?;
    assert_eq!((report.taken, report.rows), (2, 97));
    let again = running.snapshot()?;
    assert_eq!((again.taken, again.unchanged, again.added), (0, 2, 0));
    work(&log, &running, 0, 30)?;
    running.shutdown()?;
    assert!(dir.path().join("snapshots/tail").is_dir(), "they are beside the log");

    let running = app().start()?;
    let metrics = ready(&running);
    assert_eq!(metrics.loaded, 97);
    assert!((30..60).contains(&metrics.restored), "{metrics:?}");
    let rows = running.query::<String, u64>("counts")?.all()?;
    assert_eq!(rows.iter().map(|row| row.value).sum::<u64>(), 1_000);
    running.shutdown()
}

/// Snapshots are taken by themselves, one after another.
#[test]
fn snapshots_are_taken_now_and_then() -> Result<()> {
    let (dir, log) = (temporary(), Log::in_memory());
    let often = Snapshots::in_directory(Duration::from_millis(5), dir.path());
    users(&log)?;
    let running = app(&log, Some(often))?.start()?;
    let mut round = 0;
    while files(dir.path(), "manifest").len() < 12 {
        work(&log, &running, round * 100, 100)?;
        round += 1;
    }
    running.shutdown()?;
    let running = app(&log, Some(in_directory(dir.path())))?.start()?;
    assert!(ready(&running).loaded > 0);
    running.shutdown()
}

/// Whatever happens to the files, the state is right; what is damaged is not used.
#[test]
fn damaged_and_deleted_files_cost_time_and_nothing_else() -> Result<()> {
    let log = Log::in_memory();
    let dir = temporary();
    users(&log)?;
    let running = app(&log, Some(in_directory(dir.path())))?.start()?;
    work(&log, &running, 0, 300)?;
    running.snapshot()?;
    work(&log, &running, 300, 300)?;
    running.snapshot()?;
    let expected = state(&running)?;
    running.shutdown()?;

    let restart = |expect: &dyn Fn(Metrics)| -> Result<()> {
        let running = app(&log, Some(in_directory(dir.path())))?.start()?;
        expect(ready(&running));
        assert_eq!(state(&running)?, expected);
        running.shutdown()
    };
    restart(&|metrics| {
        assert!(metrics.loaded > 0 && metrics.restored == USER_COUNT, "{metrics:?}")
    })?;
    let newest = files(dir.path(), "manifest").into_iter().skip(1).step_by(2);
    for path in newest {
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
    }
    restart(&|metrics| {
        assert!(metrics.loaded > 0 && metrics.restored > USER_COUNT, "{metrics:?}")
    })?;
    for path in files(dir.path(), "run") {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    restart(&|metrics| {
        assert!(metrics.loaded == 0 && metrics.restored > USER_COUNT, "{metrics:?}")
    })?;
    let running = app(&log, Some(in_directory(dir.path())))?.start()?;
    work(&log, &running, 600, 1)?;
    running.snapshot()?;
    running.shutdown()?;
    fs::remove_dir_all(dir.path()).unwrap();
    let running = app(&log, Some(in_directory(dir.path())))?.start()?;
    let metrics = ready(&running);
    assert!(metrics.loaded == 0 && metrics.restored > USER_COUNT, "{metrics:?}");
    running.shutdown()
}

/// An object store that is away.
struct Away;

impl Objects for Away {
    fn get(&self, name: &str) -> Result<Option<Bytes>> {
        Err(Error::unavailable("the object store is away").with("name", name))
    }

    fn put(&self, name: &str, _: Bytes) -> Result<()> {
        self.get(name).map(|_| ())
    }

    fn create(&self, name: &str, _: Bytes) -> Result<bool> {
        self.get(name).map(|_| false)
    }

    fn list(&self, under: &str) -> Result<Vec<ObjectInfo>> {
        self.get(under).map(|_| Vec::new())
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.get(name).map(|_| ())
    }
}

/// Nothing but a snapshot needs the object store: an app starts and goes on without.
#[test]
fn an_object_store_that_is_away_stops_nobody() -> Result<()> {
    let log = Log::in_memory();
    users(&log)?;
    let away = || Some(Snapshots::in_objects(Duration::from_millis(1), Away));
    for round in 0..2 {
        let running = app(&log, away())?.start()?;
        assert_eq!(ready(&running).loaded, 0);
        work(&log, &running, round * 100, 100)?;
        let error = running.snapshot().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.report().contains("the object store is away"), "{}", error.report());
        assert_eq!(
            state(&running)?.values().map(|held| held[0][0]).sum::<u64>(),
            100 * (round as u64 + 1)
        );
        running.shutdown()?;
    }
    Ok(())
}

/// A log that is younger than its snapshots was lost: nothing is guessed.
#[test]
fn snapshots_of_a_lost_log_are_refused() -> Result<()> {
    let dir = temporary();
    let log = Log::in_memory();
    users(&log)?;
    let running = app(&log, Some(in_directory(dir.path())))?.start()?;
    work(&log, &running, 0, 300)?;
    running.snapshot()?;
    running.shutdown()?;

    let lost = Log::in_memory();
    users(&lost)?;
    let error = app(&lost, Some(in_directory(dir.path())))?.start()?.wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for part in ["newer than the changelog", "changelog=`shop.", "snapshots=`shop/"] {
        assert!(error.report().contains(part), "{}", error.report());
    }
    fs::remove_dir_all(dir.path().join("shop")).unwrap();
    app(&lost, Some(in_directory(dir.path())))?.start()?.shutdown()
}

/// Rows of another shape are refused, as those of a changelog are.
#[test]
fn rows_of_another_shape_are_refused() -> Result<()> {
    let dir = temporary();
    let log = Log::in_memory();
    let start = |plan: Plan| {
        App::new(plan, log.clone()).partitions(1).snapshots(in_directory(dir.path())).start()
    };
    let numbers = Topology::new("shape");
    let _counts = numbers.stream(&CLICKS).count("counts");
    let running = start(numbers.build()?)?;
    work(&log, &running, 0, 10)?;
    running.snapshot()?;
    running.shutdown()?;

    let texts = |migrates: bool| {
        let texts = Topology::new("shape");
        if migrates {
            texts.migrate("counts", |count: u64| count.to_string());
        }
        let fold = |text: &mut String, click: u64| *text = click.to_string();
        let _counts = texts.stream(&CLICKS).fold("counts", String::new, fold);
        texts.build()
    };
    let error = start(texts(false)?).expect_err("numbers are no texts");
    for part in ["store=`counts`", "values u64", "values text"] {
        assert!(error.report().contains(part), "{}", error.report());
    }
    // A migration takes what the snapshot holds, and writes all of it again.
    let running = start(texts(true)?)?;
    while running.metrics().commits == 0 {
        std::thread::yield_now();
    }
    running.shutdown()?;
    start(texts(false)?)?.shutdown()
}

/// The time of a table whose rows go by time comes with its rows.
#[test]
fn rows_of_a_snapshot_go_by_time() -> Result<()> {
    let dir = temporary();
    let log = Log::in_memory();
    let start = || {
        let topology = Topology::new("aging");
        let ttl = Duration::from_secs(10);
        let _counts = topology.stream(&CLICKS).count("counts").ttl(ttl);
        let app = App::new(topology.build()?, log.clone()).partitions(1);
        app.snapshots(in_directory(dir.path())).start()
    };
    let running = start()?;
    work(&log, &running, 0, 15)?;
    running.snapshot()?;
    running.shutdown()?;

    let running = start()?;
    let metrics = ready(&running);
    assert_eq!((metrics.loaded, metrics.restored), (11, 0), "ten rows and the time");
    work(&log, &running, 4, 1)?;
    work(&log, &running, 16, 1)?;
    while running.metrics().late == 0 {
        std::thread::yield_now();
    }
    running.shutdown()?;

    let running = start()?;
    ready(&running);
    let mut rows: Vec<_> = running.query::<String, u64>("counts")?.all()?;
    rows.sort_by_key(|row| row.at);
    let times: Vec<_> = rows.iter().map(|row| row.at.as_millis() / 1_000).collect();
    assert_eq!(times, [7, 8, 9, 10, 11, 12, 13, 14, 16]);
    running.shutdown()
}

/// Without a place there are no snapshots, and who asks for one is told so.
#[test]
fn snapshots_need_a_place() -> Result<()> {
    let log = Log::in_memory();
    users(&log)?;
    let running = app(&log, None)?.start()?;
    assert_eq!(running.snapshot().unwrap_err().kind(), ErrorKind::Invalid);
    running.shutdown()?;
    let beside = Snapshots::every(Duration::from_secs(1));
    let error = app(&log, Some(beside))?.start().unwrap_err();
    assert!(error.report().contains("not in a directory"), "{}", error.report());
    Ok(())
}
