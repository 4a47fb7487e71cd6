//! Stores below that fail: the app ends with their kind of error, and the next start goes on.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use suiro::store::{Change, Store, StoreProvider, Visit};
use suiro::{
    App, Bytes, Error, ErrorKind, Hopping, Log, MemoryStores, Offset, Plan, Policy, Producer,
    Reader, Result, Topic, Topology,
};

const SALES: Topic<u64, u64> = Topic::json("sales");
const PRICES: Topic<u64, u64> = Topic::json("prices");
const REVENUE: Topic<u64, u64> = Topic::json("revenue");

/// A fold, a source table, and a join of both.
fn plan(policy: Policy) -> Result<Plan> {
    let topology = Topology::new("shop");
    topology.on_error(policy);
    let prices = topology.table(&PRICES);
    let sold = topology.stream(&SALES).fold("sold", || 0, |sum: &mut u64, count| *sum += count);
    sold.join(&prices, |sold, price| sold * price).to(&REVENUE);
    topology.build()
}

/// How often each was sold in the last windows.
fn sliced(policy: Policy) -> Result<Plan> {
    let topology = Topology::new("windows");
    topology.on_error(policy);
    let seconds = Hopping::of(Duration::from_secs(2)).every(Duration::from_secs(1));
    let sold = topology.stream(&SALES).window(seconds).count("sold").on_close();
    sold.map(|window| window.value).to(&REVENUE);
    topology.build()
}

const KEYS: u64 = 4_000;

fn load(log: &Log) -> Result<()> {
    let (mut prices, mut sales) = (Producer::open(log, &PRICES)?, Producer::open(log, &SALES)?);
    prices.create(2)?;
    sales.create(2)?;
    for key in 0..KEYS {
        prices.send(key, key + 1, 0)?;
    }
    for number in 0..3 * KEYS {
        sales.send(number % KEYS, 1, number as i64)?;
    }
    prices.flush()?;
    sales.flush()
}

fn revenue(log: &Log) -> Result<BTreeMap<u64, Option<u64>>> {
    let records = Reader::open(log, &REVENUE)?.read_to_end()?;
    Ok(records.into_iter().map(|record| (record.key, record.value)).collect())
}

/// Which call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Open,
    Get,
    Range,
    Apply,
}

/// Stores of which one call fails, and all later ones.
#[derive(Clone)]
struct Failing {
    stores: MemoryStores,
    call: Call,
    kind: ErrorKind,
    /// How many calls still go well.
    left: Arc<AtomicUsize>,
    /// Each store has one.
    _held: Arc<()>,
}

impl Failing {
    fn check(&self, call: Call) -> Result<()> {
        let takes = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if call == self.call && self.left.fetch_update(order, order, takes).is_err() {
            return Err(Error::new(self.kind, "the disk has gone"));
        }
        Ok(())
    }
}

impl StoreProvider for Failing {
    fn open(&self, name: &str, partition: u32) -> Result<Box<dyn Store>> {
        self.check(Call::Open)?;
        Ok(Box::new(FailingStore(self.clone(), self.stores.open(name, partition)?)))
    }

    fn forget(&self, name: &str, partition: u32) -> Result<()> {
        self.stores.forget(name, partition)
    }
}

struct FailingStore(Failing, Box<dyn Store>);

impl Store for FailingStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.0.check(Call::Get)?;
        self.1.get(key)
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        self.0.check(Call::Range)?;
        self.1.range(from, to, visit)
    }

    fn apply(&mut self, changes: &[Change], position: Offset) -> Result<()> {
        self.0.check(Call::Apply)?;
        self.1.apply(changes, position)
    }

    fn position(&self) -> Option<Offset> {
        self.1.position()
    }

    fn snapshot(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(Self(self.0.clone(), self.1.snapshot()?)))
    }
}

/// Has each of some calls fail after so many that went well, with so much memory for rows.
fn hold(
    plan: fn(Policy) -> Result<Plan>,
    memory: usize,
    calls: &[(Call, [usize; 3])],
) -> Result<()> {
    let undisturbed = Log::in_memory();
    load(&undisturbed)?;
    App::new(plan(Policy::Stop)?, undisturbed.clone()).run_to_end()?;
    let undisturbed = revenue(&undisturbed)?;
    assert_eq!(undisturbed.len() as u64, KEYS);

    let policies = [Policy::Stop, Policy::Skip, Policy::DeadLetter("letters")];
    for &(call, counts) in calls {
        for kind in [ErrorKind::Unavailable, ErrorKind::Corrupt] {
            for (left, policy) in counts.into_iter().zip(policies) {
                let log = Log::in_memory();
                load(&log)?;
                let stores = MemoryStores::default();
                let held = Arc::new(());
                let failing = Failing {
                    stores: stores.clone(),
                    call,
                    kind,
                    left: Arc::new(AtomicUsize::new(left)),
                    _held: Arc::clone(&held),
                };
                let app = App::new(plan(policy)?, log.clone()).stores(failing, memory);
                let ended = app.run_to_end();
                let place = format!("{call:?} {kind:?} {left} {policy:?}");
                let error = ended.expect_err(&place);
                assert_eq!(error.kind(), kind, "{place}: {}", error.report());
                assert!(error.report().contains("the disk has gone"), "{}", error.report());
                assert_eq!(Arc::strong_count(&held), 1, "{place}: a store is still held");

                let app = App::new(plan(policy)?, log.clone()).stores(stores, memory);
                assert_eq!(app.run_to_end()?.skipped, 0, "{place}");
                assert_eq!(revenue(&log)?, undisturbed, "{place}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_kind_of_a_store_ends_the_app_and_a_new_start_goes_on() -> Result<()> {
    hold(plan, 0, &[(Call::Open, [0, 1, 7]), (Call::Get, [0, 7, 60]), (Call::Apply, [0, 1, 3])])
}

/// When all keys have been looked for, and are held, it is to close windows that the store is read.
#[test]
fn so_it_is_where_windows_are_put_together() -> Result<()> {
    let keys = KEYS as usize;
    hold(sliced, 64 << 20, &[(Call::Range, [0, keys + 20, keys + 40])])
}
