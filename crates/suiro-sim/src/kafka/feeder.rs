//! A process that writes what the workers read: several commits at a time, in no group.

use super::ledger::{Ledger, Record, TOPICS, batch};
use super::wires::SimNet;
use super::worker::may_fail;
use super::world::Shared;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{CommitId, Event, Outcome};
use suiro_core::{Clock, ErrorKind, TopicPartition};
use suiro_kafka::simulation::{Client, Mortal};

/// One life of the feeder.
pub(crate) struct Feeder {
    pub(crate) process: usize,
    /// It was fenced, and has to begin anew.
    pub(crate) is_over: bool,
    world: Shared,
    session: Mortal,
    /// Commits that are not resolved, in the order in which they must be.
    running: VecDeque<(CommitId, u64)>,
    next: Duration,
}

impl Feeder {
    /// Starts it; nothing if its session cannot be opened.
    pub(crate) fn start(world: &Shared) -> Result<Option<Self>, String> {
        let process = world.lock().bear();
        let client = Client::new(world.lock().case.settings());
        let net = Box::new(SimNet::new(world, process));
        let session = match client.session("feeder", net, Arc::new(world.clone())) {
            Ok(session) => session,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                world.lock().kill(process);
                return Ok(None);
            }
            Err(error) => return Err(format!("feeder cannot start: {}", error.report())),
        };
        let (running, next) = (VecDeque::new(), Duration::ZERO);
        let (is_over, world) = (false, world.clone());
        Ok(Some(Self { process, is_over, world, session, running, next }))
    }

    /// Its process is gone.
    pub(crate) fn die(self) {
        self.world.lock().kill(self.process);
        self.session.die();
    }

    /// Takes what has come, and writes some of what is `left`.
    pub(crate) fn step(&mut self, ledger: &mut Ledger, left: &mut u64) -> Result<(), String> {
        let mut events = Vec::new();
        self.session.session().poll(&mut events);
        for event in events {
            let Event::Resolved(id, outcome) = event else { continue };
            let Some((first, commit)) = self.running.pop_front() else {
                return Err("a commit is resolved that was not made".to_owned());
            };
            if first != id {
                return Err(format!("{id:?} is resolved before {first:?}"));
            }
            ledger.hears(&mut self.world.lock(), commit, &outcome);
            match outcome {
                Outcome::Committed { .. } | Outcome::Unknown(_) => {}
                Outcome::Fenced(_) => self.is_over = true,
                Outcome::Aborted(error) => {
                    may_fail::<()>(Err(error), "feeder")?;
                }
            }
        }
        if *left > 0 && self.running.len() < 3 && self.world.elapsed() >= self.next {
            self.write(ledger, left);
        }
        Ok(())
    }

    fn write(&mut self, ledger: &mut Ledger, left: &mut u64) {
        let commit = ledger.begin(false);
        let id = self.session.session().begin();
        let (mut number, now) = (0, self.world.now());
        let drawn = {
            let mut world = self.world.lock();
            let pause = world.between(5, 300);
            self.next = world.now + pause;
            let partitions = u64::from(world.case.partitions[0]);
            let mut some = || (world.seed.below(partitions) as u32, 1 + world.seed.below(4));
            [some(), some(), some()]
        };
        for (partition, count) in drawn {
            let records: Vec<Record> = (number..number + count as u32)
                .map(|number| Record { commit, number, origin: None })
                .collect();
            number += count as u32;
            *left = left.saturating_sub(count);
            let to = TopicPartition::new(TOPICS[0], partition);
            ledger.appends(commit, &to, records.len());
            self.session.session().append(id, &to, batch(now, &records));
        }
        self.session.session().commit(id, None, Vec::new());
        self.running.push_back((id, commit));
    }
}
