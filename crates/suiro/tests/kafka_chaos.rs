//! Three processes of `count`, each with a standby elsewhere, on three brokers, while processes and
//! brokers are killed, halted, started and stopped: each key is counted 1, 2, 3 and so on.
//!
//! `SUIRO_CHAOS_MINUTES` and `SUIRO_CHAOS_SEED` make it longer, and another.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)]

#[path = "support/flow.rs"]
mod flow;
#[path = "../examples/count/options.rs"]
mod options;
#[path = "support/process.rs"]
mod process;
#[path = "../examples/count/program.rs"]
mod program;
#[path = "../examples/shared/mod.rs"]
mod shared;

use flow::Flow;
use process::{Process, args_of_child, temporary, text};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use suiro::{KafkaSettings, Seed};
use suiro_kafka_harness::{Kafka as Cluster, Options};

/// Does nothing, unless this process was started by a test: then it counts.
#[test]
fn child() {
    if let Some(args) = args_of_child("count") {
        std::process::exit(program::main(args).into());
    }
}

/// Sessions and transactions are over after so many milliseconds; who is halted is so for longer.
const SESSION: u64 = 6_000;
const TRANSACTION: u64 = 8_000;
const HALT: Duration = Duration::from_secs(10);

/// How long it may take until all is counted when everybody runs again.
const PATIENCE: Duration = Duration::from_secs(120);

/// The processes that are to be there, by number.
const ALL: usize = 3;

struct Chaos<'a> {
    cluster: &'a Cluster,
    directory: &'a Path,
    args: Vec<String>,
    flow: Flow,
    seed: Seed,
    processes: BTreeMap<usize, Process>,
    /// What was done, and how often.
    done: BTreeMap<&'static str, u32>,
}

impl Chaos<'_> {
    fn start(&mut self) {
        for number in 0..ALL {
            if !self.processes.contains_key(&number) {
                let state = self.directory.join(format!("state-{number}"));
                let mut args = self.args.clone();
                args.extend(["--state".to_owned(), text(&state).to_owned()]);
                self.processes.insert(number, Process::start(&args));
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

    fn take(&mut self) -> (usize, Process) {
        let number = self.seed.below(self.processes.len() as u64) as usize;
        let number = *self.processes.keys().nth(number).unwrap();
        (number, self.processes.remove(&number).unwrap())
    }

    /// Kills one; it must not have ended by itself.
    fn kill(&mut self) -> usize {
        self.note("killed");
        let (number, process) = self.take();
        if !process.kill() {
            panic!("process {number} had ended by itself");
        }
        number
    }

    fn leave(&mut self) {
        self.note("left");
        let (_, process) = self.take();
        process.signal("TERM");
        process.finish().assert_success();
    }

    /// Something happens, and all goes on.
    fn step(&mut self) {
        match self.seed.below(10) {
            0..=3 => {
                self.kill();
                self.run(500);
            }
            4 => {
                let number = self.kill();
                self.note("lost its directory");
                std::fs::remove_dir_all(self.directory.join(format!("state-{number}"))).ok();
            }
            5 => {
                self.note("halted");
                let (number, process) = self.take();
                process.signal("STOP");
                self.flow.run(HALT);
                process.signal("CONT");
                self.processes.insert(number, process);
            }
            6 => self.leave(),
            7 => {
                self.note("scaled down to one");
                self.kill();
                self.leave();
                self.run(4_000);
            }
            _ => {
                self.note("brokers killed");
                let node = 1 + self.seed.below(3) as u8;
                let cluster = self.cluster;
                std::thread::scope(|scope| {
                    let broker = scope.spawn(move || {
                        cluster.kill(node)?;
                        cluster.restart(node)
                    });
                    while !broker.is_finished() {
                        self.flow.run(Duration::from_millis(500));
                    }
                    broker.join().unwrap().unwrap();
                });
            }
        }
        self.start();
        self.run(2_000);
    }
}

#[test]
fn whatever_dies_each_key_is_counted_once_for_each_record() {
    let Some(cluster) = Cluster::own(&Options::new().nodes(3)) else { return };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let lasts = number("SUIRO_CHAOS_MINUTES").map_or(45, |minutes| minutes * 60);
    let seed = number("SUIRO_CHAOS_SEED").unwrap_or(1);
    let app = cluster.unique("chaos");
    let (input, output) = (format!("{app}-in"), format!("{app}-out"));
    let directory = temporary();
    let properties = directory.path().join("client.properties");
    let bootstrap = cluster.bootstrap();
    let quick = format!(
        "bootstrap.servers={bootstrap}\nsession.timeout.ms={SESSION}\n\
         transaction.timeout.ms={TRANSACTION}\nheartbeat.interval.ms=300\n"
    );
    std::fs::write(&properties, quick).unwrap();
    let args = flow::args(&properties, &app, &input, &output);
    let flow = Flow::open(KafkaSettings::new(bootstrap), &input, &output);
    let (seed, done, processes) = (Seed::new(seed), BTreeMap::new(), BTreeMap::new());
    let (cluster, directory) = (&cluster, directory.path());
    let mut chaos = Chaos { cluster, directory, args, flow, seed, processes, done };
    chaos.start();
    chaos.run(3_000);
    while chaos.flow.elapsed() < Duration::from_secs(lasts) {
        chaos.step();
    }
    chaos.flow.settle(PATIENCE);
    println!("{} records, {:?}", chaos.flow.seen, chaos.done);
    for process in chaos.processes.into_values() {
        process.signal("TERM");
        process.finish().assert_success();
    }
}
