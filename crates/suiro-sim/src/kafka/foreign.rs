//! Others who write to the topic that is read: with and without transactions, which they commit,
//! abort, or leave open for a while.

use super::ledger::TOPICS;
use super::world::World;
use std::collections::BTreeMap;
use std::time::Duration;
use suiro_core::batch::{BatchWriter, Compression, Producer};
use suiro_core::{Headers, Timestamp};

/// What one of them has written so far.
#[derive(Default)]
pub(crate) struct Foreign {
    sequences: BTreeMap<(i64, u32), i32>,
    left: u64,
}

/// How many they are.
const PRODUCERS: i64 = 2;

/// They begin to write.
pub(crate) fn begin(world: &mut World) {
    let left = world.case.records / 2;
    let foreign = Foreign { left, ..Foreign::default() };
    write_later(world, foreign);
}

fn write_later(world: &mut World, foreign: Foreign) {
    let pause = world.between(10, 400);
    world.after(pause, move |world| write(world, foreign));
}

fn write(world: &mut World, mut foreign: Foreign) {
    let is_last = world.is_calm || foreign.left == 0;
    for partition in 0..world.case.partitions[0] {
        for id in 1..=PRODUCERS {
            let (what, count) = (world.seed.below(4), 1 + world.seed.below(3));
            let led = world.cluster.partition_mut(TOPICS[0], partition as i32);
            let Some(led) = led else { continue };
            let (epoch, is_open) = (led.epoch, led.log.has_open(id, 0));
            if is_last && is_open {
                led.log.end((id, 0), true, epoch);
            } else if !is_last && what == 0 && is_open {
                let committed = world.seed.one_in(2);
                let led = world.cluster.partition_mut(TOPICS[0], partition as i32);
                led.expect("it was there").log.end((id, 0), committed, epoch);
            } else if !is_last && what == 1 {
                let sequence = foreign.sequences.entry((id, partition)).or_default();
                let producer =
                    Producer { id, epoch: 0, sequence: *sequence, transactional: true };
                *sequence += count as i32;
                let taken = led.log.append(&records(count, producer), epoch, false);
                assert!(taken.is_ok(), "others write in sequence");
            } else if !is_last && what == 2 && id == 1 {
                led.log.append_plain(&records(count, Producer::NONE), epoch);
            }
            world.wake(TOPICS[0], partition as i32);
        }
    }
    if is_last {
        return;
    }
    foreign.left -= 1;
    let pause = world.seed.one_in(10);
    match pause {
        // What is open stays so for a while.
        true => world.after(Duration::from_secs(1), move |world| write_later(world, foreign)),
        false => write_later(world, foreign),
    }
}

fn records(count: u64, producer: Producer) -> Vec<u8> {
    let mut writer = BatchWriter::new(Compression::None).with_producer(producer);
    for _ in 0..count {
        writer.push(Timestamp::ZERO, None, Some(b"foreign"), &Headers::NONE);
    }
    writer.finish().expect("batches are small").to_vec()
}
