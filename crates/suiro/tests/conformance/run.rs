//! Runs a case in one of its variants (rule D1).

use super::build;
use super::case::{Case, Row, Step};
use super::compare::{Collected, difference};
use super::output::{self, Seen, Shown};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use suiro::{
    Bytes, ExchangeKind, Headers, Raw, Record, TestDriver, TestOptions, Text, Timestamp, Topic,
};

/// One way to run a case. The result must not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    pub feed: Feed,
    pub exchange: ExchangeKind,
    pub batch_rows: usize,
    /// Tables hold as few rows as they can.
    pub lean: bool,
    pub threads: usize,
}

/// How the inputs come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// One at a time, with a commit after each.
    Steps,
    /// One at a time, and the program crashes after each.
    Crashes,
    /// All inputs are there when the program starts, and it commits once, at the end.
    AtOnce,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { feed, exchange, batch_rows, lean, threads } = self;
        let stores = if *lean { "stores below" } else { "stores in memory" };
        write!(
            f,
            "{feed:?}, exchange {exchange:?}, batches of {batch_rows}, {stores}, {threads} threads"
        )
    }
}

/// The variants of a case.
pub fn variants(case: &Case) -> Vec<Variant> {
    let mut feeds = Vec::new();
    if !case.is_by_time() {
        feeds.extend([Feed::Steps, Feed::Crashes]);
    }
    if case.is_by_time() || case.batchable {
        feeds.push(Feed::AtOnce);
    }
    let mut variants = Vec::new();
    for feed in feeds {
        for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
            for batch_rows in [1, 2, 7, 8192] {
                variants.push(Variant { feed, exchange, batch_rows, lean: false, threads: 1 });
            }
            for (lean, threads) in [(true, 1), (false, 3)] {
                variants.push(Variant { feed, exchange, batch_rows: 7, lean, threads });
            }
        }
    }
    variants
}

/// Runs a variant; gives what is wrong, if something is.
pub fn run(case: &Case, variant: Variant) -> Result<(), String> {
    let run = AssertUnwindSafe(|| run_variant(case, variant));
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

fn run_variant(case: &Case, variant: Variant) -> Result<(), String> {
    let plan = build::plan(case)?;
    let at_once = variant.feed == Feed::AtOnce;
    let options = TestOptions {
        partitions: 1,
        exchange: variant.exchange,
        batch_rows: variant.batch_rows,
        run_at_send: !at_once,
        lean: variant.lean,
        threads: variant.threads,
        ..TestOptions::default()
    };
    let words = |error: suiro::Error| error.report();
    let mut running =
        Running { driver: TestDriver::with_options(plan, options).map_err(words)?, wall: 0 };
    let topics: BTreeSet<&str> = sinks(case).collect();
    let mut out = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        let failed = |error| format!("step {number}: {}", words(error));
        running.feed(step).map_err(failed)?;
        if at_once {
            continue;
        }
        out.push(running.read(&topics).map_err(failed)?);
        if variant.feed == Feed::Crashes {
            running.driver.crash().map_err(failed)?;
        }
    }
    if at_once {
        running.driver.run().map_err(words)?;
        out.push(running.read(&topics).map_err(words)?);
    }
    let collected = if at_once { Collected::AsOne } else { Collected::ByStep };
    difference(case, &out, collected).map_or(Ok(()), Err)
}

fn sinks(case: &Case) -> impl Iterator<Item = &str> {
    let sinks = case.topology.nodes.iter().filter(|node| node.op == "to");
    sinks.filter_map(|node| node.topic.as_deref())
}

struct Running {
    driver: TestDriver,
    wall: i64,
}

const RAW: Topic<Option<Bytes>, Option<Bytes>> = Topic::of("", &Raw, &Raw);
const SEEN: Topic<String, Seen> = Topic::of("", &Text, &Shown);

impl Running {
    fn feed(&mut self, step: &Step) -> suiro::Result<()> {
        let row = match step {
            Step::In(row) => row,
            Step::Idle(wall) => {
                self.wall += wall;
                return self.driver.advance_to(self.wall);
            }
        };
        let bytes = |text: &Option<String>| text.clone().map(Bytes::from);
        let headers = row.headers.iter().map(|(key, value)| (key.clone(), value.clone()));
        let record = Record {
            key: bytes(&row.key),
            value: bytes(&row.value),
            at: Timestamp::from_millis(row.at),
            headers: headers.collect::<Headers>(),
        };
        self.driver.send_record(&RAW.named(&row.topic), record)
    }

    fn read(&mut self, topics: &BTreeSet<&str>) -> suiro::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for topic in topics {
            let received = self.driver.read_changes(&SEEN.named(*topic))?;
            rows.extend(received.into_iter().map(|received| output::row(topic, received)));
        }
        Ok(rows)
    }
}
