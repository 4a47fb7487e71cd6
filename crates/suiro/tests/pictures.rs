//! Small pictures of what happens when, for `docs/time.md`. Each is drawn from a run of the
//! program that it shows, and its text is held against `docs/pictures`; `SUIRO_DRAW=1` draws them
//! anew.

#[path = "pictures/draw.rs"]
mod draw;
#[path = "pictures/scene.rs"]
mod scene;

use draw::Span;
use scene::{Scene, heard};
use std::time::Duration;
use suiro::{Found, InWindow, Result, Sessions, Topic, Topology, Tumbling, Within};

const IN: Topic<String, String> = Topic::json("records");
const LEFT: Topic<String, String> = Topic::json("left");
const RIGHT: Topic<String, String> = Topic::json("right");
const ROWS: Topic<String, String> = Topic::json("table");
const OUT: Topic<String, String> = Topic::json("results");
const LATE: Topic<String, String> = Topic::json("late");

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn append(text: &mut String, more: String) {
    text.push_str(&more);
}

/// The value of a window with its bounds.
fn shown(window: InWindow<String>) -> String {
    let [start, end] = [window.start, window.end].map(|time| time.as_millis());
    format!("{} of {start}..{end}", window.value)
}

/// An update of a session with its bounds.
fn session(InWindow { start, end, value }: InWindow<Option<String>>) -> String {
    match value {
        Some(value) => shown(InWindow { start, end, value }),
        None => format!("{}..{} is gone", start.as_millis(), end.as_millis()),
    }
}

/// A window speaks once, when stream time has come to its end and the grace; what comes then is
/// late (W4, W5).
#[test]
fn late() -> Result<()> {
    let topology = Topology::new("late");
    let windows = topology.stream(&IN).window(Tumbling::of(millis(10)).grace(millis(5))).fold(
        "texts",
        String::new,
        append,
    );
    windows.late().to(&LATE);
    windows.on_close().map(shown).to(&OUT);
    let mut scene = Scene::new("late", topology, &[&IN], &[&OUT, &LATE])?;
    for (at, value) in [(2, "a"), (8, "b"), (12, "c"), (6, "d"), (15, "e"), (4, "f")] {
        scene.send(&IN, "k", Some(value), at)?;
    }
    let said = [heard(5, "results", 8, "abd of 0..10"), heard(6, "late", 4, "f")];
    let spans = [Span::new(0, 10, "window"), Span::new(10, 15, "grace")];
    scene.check(&said, &spans)
}

/// Windows that close together speak in order of end, start and key, before anything that follows
/// (W5).
#[test]
fn closing() -> Result<()> {
    let topology = Topology::new("closing");
    topology
        .stream(&IN)
        .window(Tumbling::of(millis(10)))
        .fold("texts", String::new, append)
        .on_close()
        .map_with_key(|key, window| format!("{key}: {}", shown(window)))
        .to(&OUT);
    let mut scene = Scene::new("closing", topology, &[&IN], &[&OUT])?;
    for (at, key, value) in [(3, "y", "a"), (6, "x", "b"), (9, "y", "c"), (21, "x", "d")] {
        scene.send(&IN, key, Some(value), at)?;
    }
    let said =
        [heard(4, "results", 6, "x: b of 0..10"), heard(4, "results", 9, "y: ac of 0..10")];
    scene.check(&said, &[Span::new(0, 10, "window"), Span::new(10, 20, "nobody here")])
}

/// A record that comes between two sessions makes one of them; it is sent as of its end (W3, W8).
#[test]
fn sessions() -> Result<()> {
    let topology = Topology::new("sessions");
    topology
        .stream(&IN)
        .window(Sessions::with_gap(millis(4)).grace(millis(8)))
        .fold("texts", String::new, append, append)
        .on_update()
        .map(session)
        .to(&OUT);
    let mut scene = Scene::new("sessions", topology, &[&IN], &[&OUT])?;
    for (at, value) in [(2, "a"), (9, "b"), (6, "c")] {
        scene.send(&IN, "k", Some(value), at)?;
    }
    let said = [
        heard(1, "results", 2, "a of 2..2"),
        heard(2, "results", 9, "b of 9..9"),
        heard(3, "results", 2, "2..2 is gone"),
        heard(3, "results", 9, "9..9 is gone"),
        heard(3, "results", 9, "abc of 2..9"),
    ];
    scene.check(&said, &[Span::new(2, 6, "gap"), Span::new(9, 13, "gap")])
}

/// The number in a record.
fn number(text: &str) -> u64 {
    let digits = text.split(' ').next_back().expect("a split has a last part");
    digits.parse().expect("a number is in it")
}

/// A record that covers what others cover is in one session with them, whichever came first; what
/// no gap reaches begins a new one (W3, W6).
#[test]
fn own_gaps() -> Result<()> {
    let topology = Topology::new("own-gaps");
    topology
        .stream(&IN)
        .window(Sessions::with_gap(millis(10)).grace(millis(8)))
        .gap_of(|text| millis(number(text)))
        .fold("texts", String::new, |all, text| all.push_str(&text[..1]), append)
        .on_update()
        .map(session)
        .to(&OUT);
    let mut scene = Scene::new("own-gaps", topology, &[&IN], &[&OUT])?;
    for (at, value) in [(2, "a 2"), (8, "b 2"), (3, "c 6"), (11, "d 3")] {
        scene.send(&IN, "k", Some(value), at)?;
    }
    let said = [
        heard(1, "results", 2, "a of 2..2"),
        heard(2, "results", 8, "b of 8..8"),
        heard(3, "results", 2, "2..2 is gone"),
        heard(3, "results", 8, "8..8 is gone"),
        heard(3, "results", 8, "abc of 2..8"),
        heard(4, "results", 11, "d of 11..11"),
    ];
    let spans = [("a", 2, 4), ("c", 3, 9), ("b", 8, 10), ("d", 11, 14)];
    scene.check(&said, &spans.map(|(name, from, to)| Span::new(from, to, name)))
}

/// Of two records of one time, that of the input that was declared first comes first (T2): a
/// stream sees the row that its table has since then (K1).
#[test]
fn ties() -> Result<()> {
    let topology = Topology::new("ties");
    let table = topology.table(&ROWS);
    topology
        .stream(&IN)
        .left_join(&table, |value, row| match row {
            Some(row) => format!("{value} sees {row}"),
            None => format!("{value} sees nothing"),
        })
        .to(&OUT);
    let mut scene = Scene::new("ties", topology, &[&IN, &ROWS], &[&OUT])?;
    // All are there at the start, so that time alone decides.
    scene.put(&IN, "k", Some("a"), 3)?;
    scene.put(&IN, "k", Some("b"), 6)?;
    scene.put(&ROWS, "k", Some("x"), 6)?;
    scene.put(&ROWS, "k", Some("y"), 9)?;
    scene.put(&IN, "k", Some("c"), 12)?;
    scene.run()?;
    let said = [
        heard(0, "results", 3, "a sees nothing"),
        heard(0, "results", 6, "b sees x"),
        heard(0, "results", 12, "c sees y"),
    ];
    scene.check(&said, &[])
}

/// A null removes a row (A1); to remove what is not there is no change (A6); in a stream it is no
/// record (N1).
#[test]
fn nulls() -> Result<()> {
    let topology = Topology::new("nulls");
    let table = topology.table(&ROWS);
    topology
        .stream(&IN)
        .left_join(&table, |value, row| match row {
            Some(row) => format!("{value} sees {row}"),
            None => format!("{value} sees nothing"),
        })
        .to(&OUT);
    table
        .changes()
        .map(|row| row.map_or("row is gone".into(), |row| format!("row is {row}")))
        .to(&LATE.named("changes"));
    let changes = LATE.named("changes");
    let mut scene = Scene::new("nulls", topology, &[&ROWS, &IN], &[&changes, &OUT])?;
    scene.send(&ROWS, "k", Some("x"), 2)?;
    scene.send(&IN, "k", Some("a"), 4)?;
    scene.send(&ROWS, "k", None, 6)?;
    scene.send(&ROWS, "k", None, 8)?;
    scene.send(&IN, "k", Some("b"), 10)?;
    scene.send(&IN, "k", None, 12)?;
    let said = [
        heard(1, "changes", 2, "row is x"),
        heard(2, "results", 4, "a sees x"),
        heard(3, "changes", 6, "row is gone"),
        heard(5, "results", 10, "b sees nothing"),
    ];
    scene.check(&said, &[])
}

/// A record is sent alone when nobody can come any more, never before, and before the pairs of the
/// record that closed it (J3, J5).
#[test]
fn lone_records() -> Result<()> {
    let topology = Topology::new("lone-records");
    let right = topology.stream(&RIGHT);
    topology
        .stream(&LEFT)
        .left_join_within("pairs", right, Within::of(millis(4)), |left, right| match right {
            Some(right) => format!("{left} and {right}"),
            None => format!("{left} alone"),
        })
        .to(&OUT);
    let mut scene = Scene::new("lone-records", topology, &[&LEFT, &RIGHT], &[&OUT])?;
    scene.send(&LEFT, "k", Some("a"), 2)?;
    scene.send(&LEFT, "k", Some("b"), 6)?;
    scene.send(&RIGHT, "k", Some("x"), 8)?;
    let said = [heard(3, "results", 2, "a alone"), heard(3, "results", 8, "b and x")];
    scene.check(&said, &[Span::new(2, 6, "in reach of a"), Span::new(6, 10, "in reach of b")])
}

/// A pattern that is not whole in time is said to be over at the record that moves the time, before
/// that one is looked at (P7); what comes too late for any match is seen by none (P8).
#[test]
fn time_outs() -> Result<()> {
    let topology = Topology::new("time-outs");
    topology
        .stream(&IN)
        .pattern("orders", |text| text.ends_with("orders"))
        .then(|text| text.ends_with("pays"))
        .within(millis(6))
        .with_time_outs()
        .map(|found| match found {
            Found::Match(whole) => whole.values().join(", "),
            Found::TimeOut(part) => format!("{}, and no more", part.values().join(", ")),
        })
        .to(&OUT);
    let mut scene = Scene::new("time-outs", topology, &[&IN], &[&OUT])?;
    for (at, key, value) in
        [(2, "x", "x orders"), (5, "y", "y orders"), (11, "y", "y pays"), (4, "x", "x pays")]
    {
        scene.send(&IN, key, Some(value), at)?;
    }
    let said = [
        heard(3, "results", 2, "x orders, and no more"),
        heard(3, "results", 11, "y orders, y pays"),
    ];
    scene.check(&said, &[Span::new(2, 8, "in time for x"), Span::new(5, 11, "in time for y")])
}

/// What was heard is what the guide says that it shows: every picture is in it.
#[test]
fn every_picture_is_in_the_guide() {
    let docs = draw::docs();
    let guide = std::fs::read_to_string(docs.join("time.md")).expect("the guide is there");
    let pictures = std::fs::read_dir(docs.join("pictures")).expect("the pictures are there");
    for picture in pictures {
        let name = picture.expect("a directory can be read").file_name();
        let name = name.to_str().expect("names are text").to_owned();
        assert!(guide.contains(&format!("](pictures/{name})")), "{name} is not in time.md");
    }
}
