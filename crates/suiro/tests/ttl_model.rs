//! Tables with a `ttl` against rule A5 by plain loops, for any records, batches and crashes.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{ExchangeKind, Result, TestDriver, TestOptions, Topic, Topology};

const ROWS: Topic<String, u64> = Topic::json("rows");
const EVENTS: Topic<String, u64> = Topic::json("events");
const MOVES: Topic<String, Option<u64>> = Topic::json("moves");
const CHANGES: Topic<String, Option<u64>> = Topic::json("changes");
const LAST: Topic<String, u64> = Topic::json("last");

/// A record: its key, its value and its time. Only a table takes a removal.
type Input = (u8, Option<u64>, i64);

/// A change: its key, the new row and its time.
type Output = (String, Option<u64>, i64);

/// Which table it is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A topic.
    Source,
    /// Sums of the values of a topic, by its keys.
    Fold,
    /// The same behind an exchange.
    Exchanged,
    /// The last values of a stream, some of which remove.
    OfStream,
    /// The same behind an exchange.
    OfExchanged,
}

/// What the rule says: a row goes when the time has come to its own + ttl, in order of time and
/// key, before the record that moved the time; a record that old is late.
#[derive(Default)]
struct Model {
    rows: BTreeMap<String, (u64, i64)>,
    now: Option<i64>,
    out: Vec<Output>,
    late: u64,
}

impl Model {
    fn take(&mut self, kind: Kind, ttl: i64, key: String, value: Option<u64>, at: i64) {
        let now = self.now.map_or(at, |now| now.max(at));
        self.now = Some(now);
        let mut gone: Vec<(i64, String)> = Vec::new();
        for (key, (_, row_at)) in &self.rows {
            if now >= row_at + ttl {
                gone.push((*row_at, key.clone()));
            }
        }
        gone.sort();
        for (row_at, key) in gone {
            self.rows.remove(&key);
            self.out.push((key, None, row_at + ttl));
        }
        if now >= at + ttl {
            self.late += 1;
            return;
        }
        let known = self.rows.get(&key).copied();
        let row = match (kind, value, known) {
            (_, None, None) => return,
            (_, None, Some(_)) => None,
            (_, Some(value), None) => Some((value, at)),
            (Kind::Fold | Kind::Exchanged, Some(value), Some((sum, row_at))) => {
                Some((sum + value, at.max(row_at)))
            }
            (_, Some(value), Some(_)) => Some((value, at)),
        };
        match row {
            Some(row) => self.rows.insert(key.clone(), row),
            None => self.rows.remove(&key),
        };
        self.out.push((key, row.map(|row| row.0), row.map_or(at, |row| row.1)));
    }
}

fn program(kind: Kind, ttl: i64) -> Result<suiro::Plan> {
    let topology = Topology::new("app");
    let ttl = Duration::from_millis(ttl as u64);
    let events = || topology.stream(&EVENTS);
    let moves = || topology.stream(&MOVES);
    let table = match kind {
        Kind::Source => topology.table(&ROWS),
        Kind::OfStream => moves().to_table("last"),
        Kind::OfExchanged => {
            let moves = moves().map_with_key(|key, value| (key.clone(), value));
            moves.rekey(|(key, value)| (key, value)).to_table("last")
        }
        Kind::Fold => events().fold("sums", || 0, |sum, value| *sum += value),
        Kind::Exchanged => events()
            .map_with_key(|key, value| (key.clone(), value))
            .key_by(|(key, _)| key.clone())
            .fold("sums", || 0, |sum, (_, value)| *sum += value),
    };
    let table = table.ttl(ttl);
    table.clone().changes().to(&CHANGES);
    table.to(&LAST);
    topology.build()
}

fn holds(
    kind: Kind,
    ttl: i64,
    records: &[Input],
    crashes: &[usize],
    options: TestOptions,
) -> Result<()> {
    let (mut model, mut late, mut out) = (Model::default(), 0, Vec::new());
    let mut driver = TestDriver::with_options(program(kind, ttl)?, options)?;
    for (number, (key, value, at)) in records.iter().enumerate() {
        let key = format!("k{key}");
        match (kind, value) {
            (Kind::Source, Some(value)) => driver.send(&ROWS, key.clone(), *value, *at)?,
            (Kind::Source, None) => driver.remove(&ROWS, key.clone(), *at)?,
            (Kind::OfStream | Kind::OfExchanged, value) => {
                driver.send(&MOVES, key.clone(), *value, *at)?;
            }
            (_, Some(value)) => driver.send(&EVENTS, key.clone(), *value, *at)?,
            (_, None) => continue,
        }
        model.take(kind, ttl, key, *value, *at);
        if crashes.contains(&number) {
            driver.run()?;
            late += driver.metrics().late;
            driver.crash()?;
        }
    }
    driver.run()?;
    late += driver.metrics().late;
    for row in driver.read_changes(&CHANGES)? {
        out.push((row.key, row.value.flatten(), row.at.as_millis()));
    }
    assert_eq!(out, model.out);
    assert_eq!(late, model.late);
    let mut last = BTreeMap::new();
    for row in driver.read_changes(&LAST)? {
        match row.value {
            Some(value) => last.insert(row.key, (value, row.at.as_millis())),
            None => last.remove(&row.key),
        };
    }
    assert_eq!(last, model.rows);
    Ok(())
}

/// Times that mostly rise, with steps back and leaps.
fn times() -> impl Strategy<Value = Vec<Input>> {
    let step = prop_oneof![6 => -3..6_i64, 2 => -25..5_i64, 1 => 10..200_i64];
    let value = prop_oneof![4 => (1..100_u64).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((0..6_u8, value, step), 1..60).prop_map(|steps| {
        let mut at = 30_i64;
        let record = |(key, value, step): (u8, Option<u64>, i64)| {
            at = (at + step).max(0);
            (key, value, at)
        };
        steps.into_iter().map(record).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_table_with_a_ttl_is_what_the_rule_says(
        kind in prop_oneof![
            Just(Kind::Source),
            Just(Kind::Fold),
            Just(Kind::Exchanged),
            Just(Kind::OfStream),
            Just(Kind::OfExchanged),
        ],
        ttl in prop_oneof![1..30_i64, 100..300_i64],
        records in times(),
        crashes in prop::collection::vec(0..60_usize, 0..4),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(7), Just(8192)],
        in_memory in any::<bool>(),
        run_at_send in any::<bool>(),
    ) {
        let exchange = if in_memory { ExchangeKind::Memory } else { ExchangeKind::Topic };
        let options =
            TestOptions { exchange, batch_rows, run_at_send, ..TestOptions::default() };
        holds(kind, ttl, &records, &crashes, options).expect("the program runs");
    }
}
