//! What is done to processes and brokers.

use crate::PATIENCE;
use crate::flow::Flow;
use crate::process::{Process, text};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use suiro::Seed;
use suiro_kafka_harness::Kafka as Cluster;

/// Sessions and transactions are over after so many milliseconds; who is halted is so for longer.
pub const SESSION: u64 = 6_000;
pub const TRANSACTION: u64 = 8_000;
const HALT: Duration = Duration::from_secs(10);

/// The processes that are to be there, by number.
const ALL: usize = 3;

/// Something that happens.
#[derive(Clone, Copy)]
enum Deed {
    Kill,
    LoseDirectory,
    Halt,
    Leave,
    ScaleDown,
    /// With a process, or alone.
    KillBroker(u8, bool),
}

/// All of this happens, in any order, and then again.
const DECK: [Deed; 10] = [
    Deed::Kill,
    Deed::Kill,
    Deed::Kill,
    Deed::LoseDirectory,
    Deed::Halt,
    Deed::Leave,
    Deed::ScaleDown,
    Deed::KillBroker(1, false),
    Deed::KillBroker(2, true),
    Deed::KillBroker(3, false),
];

pub struct Chaos<'a> {
    cluster: &'a Cluster,
    directory: &'a Path,
    args: Vec<String>,
    pub flow: Flow,
    seed: Seed,
    processes: BTreeMap<usize, Process>,
    deck: Vec<Deed>,
    /// How often all of the deck has happened.
    rounds: u32,
    /// What was done, and how often.
    done: BTreeMap<&'static str, u32>,
}

impl<'a> Chaos<'a> {
    /// One process runs.
    pub fn begin(
        cluster: &'a Cluster,
        directory: &'a Path,
        args: Vec<String>,
        flow: Flow,
        seed: u64,
    ) -> Self {
        let (seed, processes, deck) = (Seed::new(seed), BTreeMap::new(), DECK.to_vec());
        let (rounds, done) = (0, BTreeMap::new());
        let mut chaos =
            Self { cluster, directory, args, flow, seed, processes, deck, rounds, done };
        chaos.start(0);
        chaos.run(3_000);
        chaos
    }

    /// Starts a process. One takes snapshots, and one has its tables on the disk, if that is
    /// built in; the others have them in memory only.
    fn start(&mut self, number: usize) {
        let state = self.directory.join(format!("state-{number}"));
        let mut args = self.args.clone();
        let kept: &[&str] = match number {
            1 if cfg!(feature = "snapshots") => &["--snapshots", "2000"],
            2 if cfg!(feature = "disk") => &["--store", "disk", "--store-memory", "20000"],
            _ => &[],
        };
        let state = ["--state", text(&state)];
        args.extend(kept.iter().chain(&state).map(|arg| (*arg).to_owned()));
        self.processes.insert(number, Process::start(&args));
    }

    /// Starts those that are not there.
    fn start_all(&mut self) {
        if self.processes.len() == 1 {
            self.note("scaled from one to three");
        }
        for number in 0..ALL {
            if !self.processes.contains_key(&number) {
                self.start(number);
            }
        }
    }

    fn run(&mut self, millis: u64) {
        let more = self.seed.below(2_000);
        self.flow.run(Duration::from_millis(millis + more));
    }

    fn note(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
        let (seen, sent) = (self.flow.seen, self.flow.sent);
        println!("{:?}: {what}; {seen} of {sent} are counted", self.flow.elapsed());
    }

    /// Any process; none of them must have ended by itself.
    fn take(&mut self) -> (usize, Process) {
        let gone = self.processes.iter_mut().find_map(|(number, process)| {
            let ended = !process.is_running();
            ended.then_some(*number)
        });
        if let Some(number) = gone {
            let ended = self.processes.remove(&number).unwrap().finish();
            panic!("process {number} has ended by itself: {}", ended.said);
        }
        let number = self.seed.below(self.processes.len() as u64) as usize;
        let number = *self.processes.keys().nth(number).unwrap();
        (number, self.processes.remove(&number).unwrap())
    }

    fn kill(&mut self) -> usize {
        self.note("processes killed");
        let (number, process) = self.take();
        assert!(process.kill(), "process {number} has ended by itself");
        number
    }

    fn leave(&mut self) {
        self.note("processes left");
        let (_, process) = self.take();
        process.terminate().assert_success();
    }

    /// The next thing happens, and all goes on.
    pub fn step(&mut self) {
        self.start_all();
        self.run(2_000);
        let place = self.seed.below(self.deck.len() as u64) as usize;
        match self.deck.swap_remove(place) {
            Deed::Kill => {
                self.kill();
                self.run(500);
            }
            Deed::LoseDirectory => {
                let number = self.kill();
                self.note("state directories deleted");
                let state = self.directory.join(format!("state-{number}"));
                std::fs::remove_dir_all(state).ok();
            }
            Deed::Halt => {
                self.note("processes halted beyond their time-outs");
                let (number, process) = self.take();
                process.signal("STOP");
                self.flow.run(HALT);
                process.signal("CONT");
                self.processes.insert(number, process);
            }
            Deed::Leave => self.leave(),
            Deed::ScaleDown => {
                self.note("scaled from three to one");
                self.kill();
                self.leave();
                self.run(4_000);
            }
            Deed::KillBroker(node, with_process) => self.kill_broker(node, with_process),
        }
        if self.deck.is_empty() {
            self.deck = DECK.to_vec();
            self.rounds += 1;
        }
    }

    fn kill_broker(&mut self, node: u8, with_process: bool) {
        self.note("brokers killed");
        let cluster = self.cluster;
        std::thread::scope(|scope| {
            let broker = scope.spawn(move || {
                cluster.kill(node)?;
                cluster.restart(node)
            });
            self.flow.run(Duration::from_millis(500));
            if with_process {
                self.kill();
            }
            while !broker.is_finished() {
                self.start_all();
                self.flow.run(Duration::from_millis(500));
            }
            broker.join().unwrap().unwrap();
        });
    }

    /// Whether everything has happened at least once.
    pub fn is_whole(&self) -> bool {
        self.rounds > 0
    }

    /// Leaves one process, and waits until it has counted all that is there.
    pub fn end(mut self) -> Last {
        self.start_all();
        self.run(2_000);
        self.note("scaled from three to one");
        self.leave();
        self.leave();
        self.flow.settle(PATIENCE);
        for (what, often) in &self.done {
            println!("{what}: {often}");
        }
        println!("count: {} records", self.flow.seen);
        Last(self.take().1)
    }
}

/// The process that is left.
pub struct Last(Process);

impl Last {
    /// Ends it.
    pub fn stop(self) {
        self.0.terminate().assert_success();
    }
}
