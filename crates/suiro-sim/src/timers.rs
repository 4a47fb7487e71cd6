//! What processors hold, and what has become of their timers of wall time.

use crate::audit::Rows;
use crate::ledger::Ledger;
use crate::model::Model;
use crate::program::Program;
use std::collections::BTreeSet;
use suiro::{Error, inspect};
use suiro_engine::{Plan, Scope, Stores};

/// The rows of a processor and its timers of event time, as the model shows them.
pub(crate) fn held(plan: &Plan, stores: &Stores, op: usize) -> Option<Result<Rows, Error>> {
    let slot = |name: &str| plan.store(&format!("process-{op}.{name}"));
    let sums = inspect::rows::<String, String>(stores, slot("sum")?)?;
    let turns = inspect::rows::<String, u64>(stores, slot("turns")?)?;
    let timers = inspect::timers::<String, String>(stores, slot("timers")?)?;
    let all = || {
        let mut all = Rows::default();
        for (key, sum, at) in sums? {
            all.insert((key, 0), (Some(sum), 0, at.as_millis()));
        }
        for (key, turns, at) in turns? {
            all.insert((key, 1), (Some(turns.to_string()), 0, at.as_millis()));
        }
        for timer in timers.into_iter().filter(|timer| !timer.is_wall) {
            let of_key = (timer.key.clone(), 2)..=(timer.key.clone(), i64::MAX);
            let place = 2 + all.range(of_key).count() as i64;
            all.insert((timer.key, place), (Some(timer.name), 0, timer.at.as_millis()));
        }
        Ok(all)
    };
    Some(all())
}

/// When a timer of wall time fires is not laid down. But each that was set still is, or has been
/// heard, once.
pub(crate) fn hold_walls(
    ledger: &Ledger,
    (program, model): (&Program, &Model),
    op: usize,
    scopes: &[&Scope],
    partitions: u32,
) -> Result<(), String> {
    let (Some(sink), Some(first)) = (program.wall_sink(op), scopes.first()) else {
        return Ok(());
    };
    let slot = first.plan().store(&format!("process-{op}.timers")).ok_or("no such store")?;
    let mut all: Vec<(String, String)> = Vec::new();
    let mut held = BTreeSet::new();
    for (partition, stores) in scopes.iter().flat_map(|scope| scope.stores()) {
        if !stores.has(slot) {
            continue;
        }
        held.insert(partition);
        let timers = inspect::timers::<String, String>(stores, slot).ok_or("other types")?;
        let walls = timers.into_iter().filter(|timer| timer.is_wall);
        all.extend(walls.map(|timer| (timer.key, timer.name)));
    }
    // Where processes share the work, some of it may be nobody's for a while.
    if held.len() < partitions as usize {
        return Ok(());
    }
    let heard = ledger.topic(sink).flat_map(|(_, records)| records).map(crate::audit::output);
    all.extend(heard.map(|heard| (heard.key, heard.value.unwrap_or_default())));
    let set =
        (0..partitions).flat_map(|it| model.states[it as usize][op].walls.iter().cloned());
    let mut set: Vec<_> = set.collect();
    set.sort();
    all.sort();
    let differs =
        (0..set.len().max(all.len())).find(|place| set.get(*place) != all.get(*place));
    match differs {
        None => Ok(()),
        Some(place) => Err(format!(
            "of the timers of wall time of operator {op}: expected {:?}, got {:?}",
            set.get(place),
            all.get(place)
        )),
    }
}
