//! Counts of more keys than memory holds: the state is on the disk, and memory is a cache of a
//! stated size. Beside it the disk store alone, asked and written to record by record.

use super::count_log::{COUNTS, EVENTS, load, plain};
use super::{Outcome, app};
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Emit, Options, Setup};
use crate::place::Place;
use crate::report::Report;
use std::ops::{Bound, ControlFlow};
use suiro::store::{Change, StoreProvider};
use suiro::{DiskStores, Durability, Topology};

pub fn run(options: &Options, budget: u64) -> Outcome<()> {
    let setup = options.setup(20_000_000, 20_000_000, Durability::Fsync, 1_000);
    let mut report = Report::new("count-log", setup);
    let budget_mb = [("budget_mb", (budget >> 20) as f64)];
    report.subject("loop", None, plain(&setup))?;
    report.subject_with("disk-store", None, alone(&setup, budget)?, &budget_mb)?;
    let place = load(&setup)?;
    let (answer, pause) = suiro(&setup, &place, budget)?;
    let figures = [budget_mb[0], ("longest_pause_ms", pause)];
    report.subject_with("suiro", Some(Emit::PerCommit), answer, &figures)
}

/// The disk store without a cache of rows before it.
fn alone(setup: &Setup, budget: u64) -> Outcome<(Digest, Cost)> {
    let dir = tempfile::Builder::new().prefix("suiro-bench-").tempdir()?;
    let stores = DiskStores::open_in(dir.path(), budget)?;
    let mut store = stores.open("counts", 0)?;
    let input = Input::new(setup);
    let (done, cost) = measure(|| {
        let numbers = (0..input.records())
            .flat_map(|number| input.partitions().map(move |partition| (partition, number)));
        for (position, (partition, number)) in numbers.enumerate() {
            let Some((key, _)) = input.at(partition, number) else { continue };
            let key = key.to_be_bytes();
            let count = store.get(&key)?.map_or(0, |bytes| read(&bytes)) + 1;
            let value = Some(count.to_be_bytes().to_vec().into());
            let change = Change { key: key.to_vec().into(), value };
            store.apply(&[change], position as i64)?;
        }
        Ok::<_, suiro::Error>(())
    });
    done?;
    let mut digest = Digest::default();
    store.range(Bound::Unbounded, Bound::Unbounded, &mut |key, count| {
        digest.add(&[read(key), read(count)]);
        ControlFlow::Continue(())
    })?;
    Ok((digest, cost))
}

fn read(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn suiro(setup: &Setup, place: &Place, budget: u64) -> Outcome<((Digest, Cost), f64)> {
    let dir = tempfile::Builder::new().prefix("suiro-bench-").tempdir()?;
    let topology = Topology::new("count-disk");
    topology.stream(&EVENTS).count("counts").to(&COUNTS);
    let app = app(topology, &place.log, setup)?.state_on_disk(dir.path(), budget as usize)?;
    let (done, cost) = measure(|| app.run_to_end());
    let pause = done?.longest_pause.as_secs_f64() * 1e3;
    let digest = place.table(&COUNTS, |key, count| [*key, *count])?;
    Ok(((digest, cost), pause))
}
