//! A store below that was away while removals were forgotten is built anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use suiro::{
    Cleanup, Clock, Log, MemoryStores, Metrics, Plan, Producer, Result, Timestamp, Topic,
    Topology,
};
use suiro_engine::{Alone, Scope, Settings, Shelf};

const USERS: Topic<u64, String> = Topic::json("users");
const NAMES: Topic<u64, String> = Topic::json("names");

/// A time of day that stands still until it is moved.
#[derive(Clone, Default)]
struct Dial(Arc<AtomicI64>);

impl Clock for Dial {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

fn plan() -> Result<Plan> {
    let topology = Topology::new("users");
    topology.table(&USERS).to(&NAMES);
    topology.build()
}

struct World {
    log: Log,
    clock: Dial,
}

impl World {
    fn new(cleanup: Cleanup) -> Result<Self> {
        let clock = Dial::default();
        let disk = Arc::new(suiro_log::MemoryDisk::new());
        let options = Log::options().disk(disk).inline(true).clock(Arc::new(clock.clone()));
        let options = options.segment_bytes(300).tombstone_retention(Duration::from_hours(1));
        let world = Self { log: options.open("log")?, clock };
        Producer::open(&world.log, &USERS)?.create_with(1, cleanup)?;
        Ok(world)
    }

    fn send(&self, key: u64, name: Option<&str>) -> Result<()> {
        let mut users = Producer::open(&self.log, &USERS)?;
        match name {
            Some(name) => users.send(key, name.to_owned(), 0)?,
            None => users.remove(key, 0)?,
        }
        users.flush()
    }

    fn sleep(&self, time: Duration) {
        self.clock.0.fetch_add(time.as_millis() as i64, Ordering::SeqCst);
    }

    /// Runs the program above these stores until it has taken all there is; gives what was
    /// counted, and the rows.
    fn run(&self, stores: &MemoryStores) -> Result<(Metrics, Vec<(u64, String)>)> {
        let provider = Arc::new(stores.clone());
        let shelf = Shelf::Below { provider, memory: 0, under_way: 1 << 20 };
        let settings = Settings { shelf, ..Settings::default() };
        let clock = Arc::new(self.clock.clone());
        let mut scope = Scope::open(plan()?, &self.log, settings, clock)?;
        for _ in 0..20 {
            scope.round(&mut Alone)?;
            scope.look_again();
        }
        scope.commit_now(&mut Alone)?;
        let (metrics, mut rows) = (scope.metrics(), Vec::new());
        for (_, stores) in scope.stores() {
            let all = suiro::inspect::rows::<u64, String>(stores, 0).expect("it is a table")?;
            rows.extend(all.into_iter().map(|(key, name, _)| (key, name)));
        }
        rows.sort();
        scope.close(&mut Alone)?;
        Ok((metrics, rows))
    }
}

fn all(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
    rows.iter().map(|(key, name)| (*key, (*name).to_owned())).collect()
}

/// Both where the table has a changelog of its own, and where the topic is it; and where the
/// clock says afterwards that the store is of a time to come.
#[test]
fn a_store_that_was_away_for_too_long_is_built_anew() -> Result<()> {
    let kinds = [Cleanup::Keep, Cleanup::Compact];
    for (cleanup, back) in kinds.into_iter().flat_map(|kind| [false, true].map(|it| (kind, it)))
    {
        let world = World::new(cleanup)?;
        world.sleep(Duration::from_hours(1));
        let (away, here) = (MemoryStores::default(), MemoryStores::default());
        world.send(1, Some("ann"))?;
        world.send(2, Some("bob"))?;
        world.run(&away)?;

        world.send(1, None)?;
        let more = 20;
        for key in 0..more {
            world.send(100 + key % 3, Some("carla"))?;
            world.run(&here)?;
        }
        world.sleep(Duration::from_hours(2));
        for key in 0..more {
            world.send(100 + key % 3, Some("dora"))?;
            world.run(&here)?;
        }
        world.log.maintain()?;
        if back {
            world.clock.0.store(0, Ordering::SeqCst);
        }
        let expected = [(2, "bob"), (100, "dora"), (101, "dora"), (102, "dora")];
        assert_eq!(world.run(&here)?.1, all(&expected));
        // The removal of the first row is nowhere any more.
        assert_eq!(world.run(&away)?.1, all(&expected), "{cleanup:?}, back: {back}");
        let (again, rows) = world.run(&away)?;
        assert_eq!((again.restored, rows), (0, all(&expected)));
    }
    Ok(())
}

#[test]
fn a_store_that_was_away_for_a_while_goes_on() -> Result<()> {
    let world = World::new(Cleanup::Keep)?;
    let (away, here) = (MemoryStores::default(), MemoryStores::default());
    world.send(1, Some("ann"))?;
    world.send(2, Some("bob"))?;
    world.run(&away)?;
    // A start that finds nothing to do counts, too.
    for _ in 0..5 {
        world.sleep(Duration::from_mins(50));
        world.run(&away)?;
    }
    world.sleep(Duration::from_mins(50));
    world.send(1, None)?;
    world.run(&here)?;
    let (metrics, rows) = world.run(&away)?;
    assert_eq!((metrics.restored, rows), (1, all(&[(2, "bob")])));
    Ok(())
}
