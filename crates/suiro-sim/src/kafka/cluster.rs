//! A cluster: its brokers, who leads and who coordinates what, and all that it keeps.

use super::case::Case;
use super::codes;
use super::coordinators::{Role, Seat};
use super::fetch_session::FetchSession;
use super::group::Group;
use super::log::Log;
use super::serve::Call;
use super::transaction::Transaction;
use super::world::World;
use kafka_protocol::messages::FetchRequest;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a cluster is and keeps.
#[derive(Default)]
pub(crate) struct Cluster {
    /// Until when each broker is away.
    away: Vec<Duration>,
    /// Topics that exist, each with its partitions.
    pub(crate) topics: BTreeMap<String, Vec<Partition>>,
    pub(crate) seats: BTreeMap<(Role, String), Seat>,
    pub(crate) transactions: BTreeMap<String, Transaction>,
    pub(crate) groups: BTreeMap<String, Group>,
    /// Who waits for what, by the number of the session.
    pub(crate) fetch_sessions: BTreeMap<i32, FetchSession>,
    pub(crate) fetch_sessions_made: i32,
    /// Fetches that wait for records.
    pub(crate) parked: BTreeMap<u64, (Call, FetchRequest)>,
    pub(crate) parkings: u64,
    pub(crate) producers: i64,
    pub(crate) members: u64,
    pub(crate) now: Duration,
}

/// A partition: who leads it, and what is in it.
pub(crate) struct Partition {
    /// -1 while nobody does.
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
    /// Who led it before, and since which election.
    pub(crate) before: (i32, i32),
    pub(crate) log: Log,
}

impl Cluster {
    pub(crate) fn new(case: &Case) -> Self {
        Self { away: vec![Duration::ZERO; case.brokers as usize], ..Self::default() }
    }

    pub(crate) fn brokers(&self) -> i32 {
        self.away.len() as i32
    }

    /// Whether a broker is there.
    pub(crate) fn is_up(&self, node: i32) -> bool {
        self.away.get(node as usize).is_some_and(|until| *until <= self.now)
    }

    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.topics.get(topic)?.get(usize::try_from(partition).ok()?)
    }

    pub(crate) fn partition_mut(
        &mut self,
        topic: &str,
        partition: i32,
    ) -> Option<&mut Partition> {
        self.topics.get_mut(topic)?.get_mut(usize::try_from(partition).ok()?)
    }

    /// The partition, if a broker leads it.
    pub(crate) fn led(
        &mut self,
        node: i32,
        topic: &str,
        partition: i32,
    ) -> Result<&mut Partition, i16> {
        match self.partition_mut(topic, partition) {
            None => Err(codes::UNKNOWN_TOPIC_OR_PARTITION),
            Some(it) if it.leader != node => Err(codes::NOT_LEADER_OR_FOLLOWER),
            Some(it) => Ok(it),
        }
    }
}

impl World {
    /// A broker that is there, drawn.
    pub(crate) fn some_broker(&mut self) -> i32 {
        let up: Vec<i32> =
            (0..self.cluster.brokers()).filter(|node| self.cluster.is_up(*node)).collect();
        let drawn = self.seed.below(up.len() as u64) as usize;
        up.get(drawn).copied().unwrap_or(0)
    }

    /// Makes a topic, unless there is one of that name.
    pub(crate) fn make_topic(&mut self, name: &str, partitions: u32) -> bool {
        if self.cluster.topics.contains_key(name) {
            return false;
        }
        let mut made = Vec::new();
        for _ in 0..partitions {
            let leader = self.some_broker();
            let before = (leader, 0);
            made.push(Partition { leader, epoch: 0, before, log: Log::default() });
        }
        self.cluster.topics.insert(name.to_owned(), made);
        true
    }

    /// Another broker leads a partition, after a while in which nobody does.
    pub(crate) fn elect(&mut self, topic: &str, partition: usize, pause: Duration) {
        let node = self.some_broker();
        let Some(led) = self.cluster.partition_mut(topic, partition as i32) else { return };
        led.before = (led.leader, led.epoch);
        led.epoch += 1;
        led.leader = if pause.is_zero() { node } else { -1 };
        let epoch = led.epoch;
        self.note(|| format!("{topic}-{partition} is led by {node} in {epoch}"));
        self.wake(topic, partition as i32);
        if !pause.is_zero() {
            let topic = topic.to_owned();
            self.after(pause, move |world| {
                let node = world.some_broker();
                let led = world.cluster.partition_mut(&topic, partition as i32);
                let Some(led) = led.filter(|led| led.leader < 0) else { return };
                (led.leader, led.epoch) = (node, led.epoch + 1);
                world.wake(&topic, partition as i32);
            });
        }
    }

    /// A broker is away for a while; others lead and coordinate in its place, if there are any.
    pub(crate) fn send_away(&mut self, node: i32, time: Duration) {
        self.cluster.away[node as usize] = self.now + time;
        self.cut_broker(node);
        self.cluster.fetch_sessions.retain(|_, session| session.node != node);
        let is_alone = (0..self.cluster.brokers()).all(|node| !self.cluster.is_up(node));
        if is_alone {
            return;
        }
        let led = self.cluster.topics.iter().flat_map(|(topic, partitions)| {
            let led = partitions.iter().enumerate().filter(|(_, it)| it.leader == node);
            led.map(move |(partition, _)| (topic.clone(), partition))
        });
        let led: Vec<_> = led.collect();
        for (topic, partition) in led {
            let pause = self.between(0, 200);
            self.elect(&topic, partition, pause);
        }
        let seats = self.cluster.seats.iter().filter(|(_, seat)| seat.node == node);
        let seats: Vec<_> = seats.map(|(of, _)| of.clone()).collect();
        for (role, name) in seats {
            self.move_seat(role, &name);
        }
    }
}
