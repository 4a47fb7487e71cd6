//! A reader in no group: what it is told must be what the cluster has.

use super::audit;
use super::ledger::TOPICS;
use super::wires::SimNet;
use super::worker::may_fail;
use super::world::Shared;
use std::collections::BTreeMap;
use std::sync::Arc;
use suiro_core::broker::{Cleanup, Event, Fetch, Seek, Ticket, TopicSpec};
use suiro_core::{Offset, Timestamp, TopicPartition};
use suiro_kafka::simulation::{Client, Mortal};

/// A process that reads all there is.
pub(crate) struct Reader {
    pub(crate) process: usize,
    world: Shared,
    session: Mortal,
    /// Where it is in each partition, and what it waits for.
    places: BTreeMap<TopicPartition, (Offset, Option<Ticket>)>,
    fetches: BTreeMap<Ticket, Fetch>,
}

impl Reader {
    pub(crate) fn start(world: &Shared) -> Result<Self, String> {
        let process = world.lock().bear();
        let client = Client::new(world.lock().case.settings());
        let net = Box::new(SimNet::new(world, process));
        let session = client.anonymous("reader", net, Arc::new(world.clone()));
        let mut session = session.map_err(|error| error.report())?;
        let mut places = BTreeMap::new();
        let partitions = world.lock().case.partitions;
        for (topic, count) in [(0, partitions[0]), (1, partitions[1])] {
            for number in 0..count {
                places.insert(TopicPartition::new(TOPICS[topic], number), (0, None));
            }
        }
        // They are there: nothing may change.
        let specs =
            TOPICS.iter().zip([partitions[0], partitions[1], 1]).map(|(name, partitions)| {
                TopicSpec { name: (*name).into(), partitions, cleanup: Cleanup::Keep }
            });
        session.session().create(specs.collect());
        session.session().describe(&[TOPICS[0].into()]);
        let (world, fetches) = (world.clone(), BTreeMap::new());
        Ok(Self { process, world, session, places, fetches })
    }

    /// Whether it has read all that is decided.
    pub(crate) fn is_at_ends(&self) -> bool {
        let world = self.world.lock();
        self.places.iter().all(|(partition, (at, _))| {
            let led = world.cluster.partition(&partition.topic, partition.partition as i32);
            led.is_none_or(|led| *at >= led.log.stable())
        })
    }

    /// Takes what has come, and reads on.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let mut events = Vec::new();
        self.session.session().poll(&mut events);
        for event in events {
            match event {
                Event::Fetched(ticket, answer) => {
                    let fetch = self.fetches.remove(&ticket);
                    let fetch = fetch.ok_or("an answer that nobody waits for")?;
                    let (at, _) = self.places[&fetch.partition];
                    let next = match may_fail(answer, "reader")? {
                        Some(fetched) => {
                            audit::read(&mut self.world.lock(), &fetch, &fetched)?;
                            fetched.next
                        }
                        None => at,
                    };
                    self.places.insert(fetch.partition, (next, None));
                }
                Event::Created(_, answer) => {
                    may_fail(answer, "create")?;
                }
                Event::Topics(_, answer) => {
                    may_fail(answer, "describe")?;
                }
                Event::Offset(_, answer) => {
                    may_fail(answer, "offset")?;
                }
                other => return Err(format!("nobody asked for {other:?}")),
            }
        }
        for (partition, (at, ticket)) in &mut self.places {
            if ticket.is_some() {
                continue;
            }
            let mut world = self.world.lock();
            // Sometimes it reads again what it has read.
            if !world.is_calm && world.seed.one_in(40) {
                *at = world.seed.below(*at as u64 + 1) as Offset;
            }
            let max_bytes = [1, 300, 5000][world.seed.below(3) as usize];
            let looks = world.seed.below(100);
            drop(world);
            let fetch = Fetch { partition: partition.clone(), offset: *at, max_bytes };
            let asked = self.session.session().fetch(fetch.clone());
            self.fetches.insert(asked, fetch);
            *ticket = Some(asked);
            match looks {
                0 => {
                    self.session.session().offset(partition, Seek::Latest);
                }
                1 => {
                    let at = Seek::Time(Timestamp::from_millis(1_700_000_001_000));
                    self.session.session().offset(partition, at);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Its process is gone.
    pub(crate) fn die(self) {
        self.world.lock().kill(self.process);
        self.session.die();
    }
}
