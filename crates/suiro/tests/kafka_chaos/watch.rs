//! The inputs of all programs but `count` are written, and what comes of them is watched.

use crate::joins::{self, ALL};
use crate::traffic::Traffic;
use crate::{PATIENCE, visits};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use suiro::{Broker, Clock, Kafka, KafkaSettings, Result, SystemClock, Transaction};

const PARTITIONS: u32 = 4;

/// So many records are written in a second.
const RATE: u64 = 240;

/// Makes the topics of the programs.
pub fn create(broker: &dyn Broker) -> Result<()> {
    visits::create(broker, PARTITIONS)?;
    ALL.iter().try_for_each(|join| join.create(broker, PARTITIONS))
}

/// Whoever looks at all that comes of the programs.
struct Watch {
    broker: Kafka,
    visits: visits::Trial,
    joins: Vec<joins::Trial>,
}

impl Watch {
    fn open(broker: &Kafka) -> Result<Self> {
        let partitions = PARTITIONS as usize;
        let visits = visits::Trial::open(broker, partitions)?;
        let joins = ALL.iter().map(|join| joins::Trial::open(broker, *join, partitions));
        Ok(Self { broker: broker.clone(), visits, joins: joins.collect::<Result<_>>()? })
    }

    fn look(&mut self, all: bool) {
        self.visits.look(all);
        for trial in &mut self.joins {
            let looked = catch_unwind(AssertUnwindSafe(|| trial.look(all)));
            if let Err(panic) = looked {
                println!("{}", trial.around_the_first_difference(&self.broker).unwrap());
                resume_unwind(panic);
            }
        }
    }

    fn rest(&self) -> Option<String> {
        self.visits.rest().or_else(|| self.joins.iter().find_map(joins::Trial::rest))
    }
}

/// Writes and watches until `stop`, and then until all has come. Gives how much that was.
pub fn run(settings: KafkaSettings, seed: u64, stop: &AtomicBool) -> Vec<String> {
    let kafka = Kafka::new(settings);
    let (mut watch, mut traffic) = (Watch::open(&kafka).unwrap(), Traffic::new(seed));
    let mut records = Transaction::open(&kafka).unwrap();
    let (clock, mut sent) = (SystemClock::default(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = clock.elapsed().as_millis() as u64 * RATE / 1000;
        if due > sent {
            let written = (sent..due).try_for_each(|_| traffic.write(&mut records));
            // What was not written for sure is not written again: what is there counts.
            if written.and_then(|()| records.commit()).is_err() {
                records = Transaction::open(&kafka).unwrap();
            }
            sent = due;
        }
        watch.look(false);
        pause();
    }
    watch.look(true);
    let begun = clock.elapsed();
    while let Some(rest) = watch.rest() {
        assert!(clock.elapsed() - begun < PATIENCE, "this does not come: {rest}");
        watch.look(false);
        pause();
    }
    // Nothing comes behind the last.
    watch.look(true);
    assert_eq!(watch.rest(), None);
    let joins = watch.joins.iter().map(joins::Trial::summary);
    [watch.visits.summary()].into_iter().chain(joins).collect()
}

/// Gives the processor to the others; how long does not matter.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(20));
}
