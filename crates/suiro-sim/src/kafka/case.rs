//! Everything that a seed decides before time begins.

use super::fault::{FAULTS, Fault};
use std::time::Duration;
use suiro_core::Seed;
use suiro_kafka::Settings;

/// What a seed decides.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// How many brokers there are.
    pub brokers: i32,
    /// Whether transactions are of the second version.
    pub v2: bool,
    /// Partitions of the topic that is read, and of the one that is written.
    pub partitions: [u32; 2],
    /// How many processes share the work.
    pub processes: usize,
    /// How long things go wrong.
    pub troubled: Duration,
    /// How many records the feeder writes in all, about.
    pub records: u64,
    /// How often things go wrong: about once in so many times.
    pub rate: u64,
    /// The faults that can strike.
    pub faults: Vec<Fault>,
    /// Whether those processes work at least once, without transactions.
    pub at_least_once: bool,
    /// How long a new group waits for more members.
    pub first_delay: Duration,
    settings: Vec<(&'static str, u64)>,
}

impl Case {
    /// What `seed` decides.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Seed::new(seed);
        let mut one_of = |choices: &[u64]| choices[dice.below(choices.len() as u64) as usize];
        let session = one_of(&[1000, 2000, 4000]);
        let settings = vec![
            ("session.timeout.ms", session),
            ("heartbeat.interval.ms", one_of(&[100, 300])),
            ("max.poll.interval.ms", one_of(&[1500, 3000])),
            ("request.timeout.ms", one_of(&[300, 1000, 3000])),
            ("default.api.timeout.ms", one_of(&[2000, 4000, 8000])),
            ("transaction.timeout.ms", one_of(&[1000, 3000, 10_000])),
            ("fetch.max.wait.ms", one_of(&[50, 500])),
            ("retry.backoff.max.ms", one_of(&[100, 1000])),
            ("metadata.max.age.ms", one_of(&[1000, 300_000])),
            ("max.request.size", one_of(&[300, 2000, 1 << 20])),
        ];
        let (brokers, v2) = (one_of(&[1, 2, 3]) as i32, one_of(&[0, 1]) == 1);
        let partitions = [one_of(&[1, 2, 3]) as u32, one_of(&[1, 2, 3]) as u32];
        let processes = one_of(&[1, 2, 2, 3]) as usize;
        let troubled = Duration::from_secs(one_of(&[5, 10, 20]));
        let (records, rate) = (one_of(&[20, 60, 150]), one_of(&[20, 60, 200]));
        let first_delay = Duration::from_millis(one_of(&[0, 50, 300]));
        let faults = FAULTS.iter().copied().filter(|_| one_of(&[0, 1, 1]) == 1).collect();
        // With dice of its own, so that older seeds are what they were.
        let at_least_once = Seed::new(seed ^ 0x0061_6c6f).one_in(4);
        Self {
            seed,
            at_least_once,
            brokers,
            v2,
            partitions,
            processes,
            troubled,
            records,
            rate,
            faults,
            first_delay,
            settings,
        }
    }

    /// Whether a fault is part of it.
    pub fn allows(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// The settings of its clients.
    pub fn settings(&self) -> Settings {
        let servers: Vec<_> = (0..self.brokers).map(super::wires::address).collect();
        let servers: Vec<_> =
            servers.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let mut settings = Settings::new(&servers.join(","));
        for (name, value) in &self.settings {
            let set = settings.set(name, &value.to_string());
            set.expect("the names and values of settings are right");
        }
        settings
    }

    /// It, to be read.
    pub fn describe(&self) -> String {
        format!("{self:#?}\n")
    }
}
