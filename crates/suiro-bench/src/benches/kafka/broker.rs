//! The cluster that a bench runs on, and the names on it.

use crate::benches::Outcome;
use crate::options::KafkaOptions;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use suiro::{Broker as _, Bytes, Kafka, KafkaSettings, Producer, Reader, Received, Topic};
use suiro_core::broker::Event;
use tempfile::TempDir;

/// What Linux counts the CPU time of processes in, whatever its own clock is.
const TICK: Duration = Duration::from_millis(10);

/// The cluster, with a directory for this process's state, which goes with the value.
pub struct Broker {
    kafka: Kafka,
    pid: Option<u32>,
    _state: TempDir,
}

impl Broker {
    pub fn open(options: &KafkaOptions) -> Outcome<Self> {
        let servers = options.broker.as_deref().ok_or("--broker HOST:PORT is missing")?;
        let state = tempfile::Builder::new().prefix("suiro-bench-").tempdir()?;
        let mut settings = KafkaSettings::new(servers);
        state.path().clone_into(&mut settings.state_dir);
        let broker =
            Self { kafka: Kafka::new(settings), pid: options.broker_pid, _state: state };
        // A wrong process is told before the work and not after it.
        broker.cpu_time()?;
        Ok(broker)
    }

    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// The CPU time that the broker's process has taken so far.
    pub fn cpu_time(&self) -> Outcome<Option<Duration>> {
        let Some(pid) = self.pid else { return Ok(None) };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_err(|error| format!("--broker-pid {pid}: {error}"))?;
        let ticks = ticks(&stat).ok_or_else(|| format!("/proc/{pid}/stat is not as known"))?;
        Ok(Some(TICK * ticks))
    }

    pub fn create(&self, topic: &str, partitions: u32) -> Outcome<()> {
        let topic = Topic::<Bytes, Bytes>::bytes("topic").named(topic);
        Ok(Producer::open(&self.kafka, &topic)?.create(partitions)?)
    }

    /// Removes topics, with all that is in them.
    pub fn remove(&self, topics: &[&str]) -> Outcome<()> {
        let topics: Vec<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        let mut session = self.kafka.anonymous("bench")?;
        // Topics are removed after a group; there is none of this name.
        let asked = session.remove(&unique("no-group"), &topics);
        let mut events = Vec::new();
        loop {
            session.poll(&mut events);
            for event in events.drain(..) {
                match event {
                    Event::Removed(ticket, answer) if ticket == asked => return Ok(answer?),
                    _ => {}
                }
            }
            session.wait(Duration::from_millis(500));
        }
    }

    /// Shows all that is committed in a topic, in the order of each partition.
    pub fn each<K, V>(
        &self,
        topic: &Topic<K, V>,
        mut show: impl FnMut(Received<K, V>),
    ) -> Outcome<()> {
        for record in Reader::open(&self.kafka, topic)?.iter_to_end()? {
            show(record?);
        }
        Ok(())
    }
}

/// A name that no other run has.
pub fn unique(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("suiro-bench-{what}-{}-{}", std::process::id(), now.as_nanos())
}

/// User and system time out of `/proc/<process>/stat`: the 14th and 15th field, counted from
/// behind the name of the program, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse);
    let (user, system): (u32, u32) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn the_time_of_a_process_is_user_and_system() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 9 0 8 0 130 7 5 5 20 0 1 0 900";
        assert_eq!(ticks(stat), Some(137));
        assert_eq!(ticks("42 (short) S 1"), None);
    }
}
