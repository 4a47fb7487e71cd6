//! What clients read is what the cluster has; and at rest each record that was read is in what
//! was written, once and in order; where work is at least once it is there, perhaps more than once.

use super::ledger::{Ledger, TOPICS, committed, records};
use super::log::Log;
use super::transaction::State;
use super::worker::GROUP;
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};
use suiro_core::Offset;
use suiro_core::broker::{Fetch, Fetched};

/// Holds what somebody read against what is committed.
pub(crate) fn read(world: &mut World, fetch: &Fetch, fetched: &Fetched) -> Result<(), String> {
    let Fetch { partition, offset, .. } = fetch;
    let led = world.cluster.partition(&partition.topic, partition.partition as i32);
    let log = &led.expect("what was read is there").log;
    let (from, next) = (fetch.offset.max(fetched.start), fetched.next);
    let stable = log.stable();
    if next > stable.max(*offset) {
        return Err(format!(
            "{partition} was read up to {next}, but is decided up to {stable}"
        ));
    }
    let mut got = Vec::new();
    records(&fetched.batches, &mut got);
    got.retain(|(offset, _)| *offset >= from);
    let near = log.entries.partition_point(|entry| entry.next <= from);
    let mut expected =
        committed(log.entries[near..].iter().take_while(|entry| entry.base < next));
    expected.retain(|(offset, _)| (from..next).contains(offset));
    world.happened("fetch held against the cluster");
    if got != expected {
        return Err(format!(
            "{partition} from {from} to {next} is {expected:?}, but was read: {got:?}"
        ));
    }
    Ok(())
}

/// Where the last committed record of a log ends.
fn end(log: &Log) -> Offset {
    committed(log.entries.iter()).last().map_or(0, |(offset, _)| offset + 1)
}

/// What is left to do, if anything is.
pub(crate) fn unrest(world: &World) -> Option<String> {
    let all = world.cluster.transactions.iter();
    let mut open =
        all.filter(|(_, it)| matches!(it.state, State::Ongoing | State::Prepared(_)));
    if let Some((name, transaction)) = open.next() {
        return Some(format!("transaction of {name}: {transaction:?}"));
    }
    for (number, partition) in world.cluster.topics[TOPICS[0]].iter().enumerate() {
        let place = (TOPICS[0].to_owned(), number as i32);
        let group = world.cluster.groups.get(GROUP);
        let position = group.and_then(|group| group.positions.get(&place)).map_or(0, |it| it.0);
        let end = end(&partition.log);
        if position < end || partition.log.stable() < partition.log.next {
            return Some(format!(
                "{place:?}: position {position} of {end}, decided up to {}, written up to {}",
                partition.log.stable(),
                partition.log.next
            ));
        }
    }
    None
}

/// Holds all that there is at rest against what should be.
pub(crate) fn at_rest(world: &mut World, ledger: &Ledger) -> Result<(), String> {
    ledger.audit(world)?;
    let at_least_once = world.case.at_least_once;
    let (mut made, mut again) = (BTreeMap::<u32, Vec<Offset>>::new(), 0);
    for partition in &world.cluster.topics[TOPICS[1]] {
        let (mut last, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for (offset, record) in committed(partition.log.entries.iter()) {
            let origin = record.and_then(|record| record.origin);
            let (from, of) =
                origin.ok_or_else(|| format!("nobody wrote what is at {offset}"))?;
            if at_least_once {
                if !seen.insert((from, of)) {
                    again += 1;
                    continue;
                }
            } else if let Some(before) = last.insert(from, of).filter(|before| *before >= of) {
                return Err(format!(
                    "{of} of partition {from} comes after {before}, at {offset}"
                ));
            }
            made.entry(from).or_default().push(of);
        }
    }
    (0..again).for_each(|_| world.happened("record that came again"));
    for (number, partition) in world.cluster.topics[TOPICS[0]].iter().enumerate() {
        let was = committed(partition.log.entries.iter()).into_iter().map(|(offset, _)| offset);
        let was: Vec<Offset> = was.collect();
        let mut made = made.remove(&(number as u32)).unwrap_or_default();
        made.sort_unstable();
        if made != was {
            return Err(format!(
                "of partition {number} there were {was:?}, of which came {made:?}"
            ));
        }
        let place = (TOPICS[0].to_owned(), number as i32);
        let group = world.cluster.groups.get(GROUP);
        let position = group.and_then(|group| group.positions.get(&place)).map_or(0, |it| it.0);
        if position > partition.log.next {
            return Err(format!("position {position} of {place:?} is behind the end"));
        }
    }
    Ok(())
}
