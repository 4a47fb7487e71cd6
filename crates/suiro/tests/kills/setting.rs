//! What is run: a program, the kind of its stores, and how.

use crate::audit::{Kind, Output, decimal, field};
use crate::process::text;
use std::fmt;
use std::path::Path;
use suiro::Seed;

/// An example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    Count,
    AdEngagements,
    Flights,
}

/// Where its tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    Memory,
    Disk,
}

impl Store {
    /// Those that this build has.
    pub fn built() -> &'static [Self] {
        match cfg!(feature = "disk") {
            true => &[Self::Memory, Self::Disk],
            false => &[Self::Memory],
        }
    }
}

/// How a program is run. All settings with the same [`Setting::reference`] have the same outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    pub program: Program,
    pub store: Store,
    pub partitions: u32,
    /// How many records are loaded; the flights are as many as there are.
    records: u32,
    every_change: bool,
    exchange: &'static str,
    threads: u32,
    /// What of a table is held in memory: nothing that is below, or some thousand rows.
    memory: u32,
    pub snapshots: bool,
    durability: &'static str,
}

impl Program {
    pub const ALL: [Self; 3] = [Self::Count, Self::AdEngagements, Self::Flights];

    fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::AdEngagements => "ad_engagements",
            Self::Flights => "flights",
        }
    }

    /// The topic that is loaded last.
    pub fn last_input(self) -> &'static str {
        match self {
            Self::Count => "in",
            Self::AdEngagements => "views",
            Self::Flights => "flights",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Setting {
    /// A setting of a seed.
    pub fn of(program: Program, store: Store, seed: u64) -> Self {
        let mut seed = Seed::new(seed);
        Self {
            program,
            store,
            partitions: if seed.one_in(2) { 1 } else { 4 },
            records: 60_000,
            every_change: seed.one_in(2),
            exchange: if seed.one_in(2) { "memory" } else { "topic" },
            threads: 1 + seed.below(2) as u32,
            memory: if seed.one_in(2) { 0 } else { 1 << 20 },
            snapshots: cfg!(feature = "snapshots") && seed.one_in(2),
            durability: ["fsync", "fsync", "interval", "none"][seed.below(4) as usize],
        }
    }

    /// Of the flights, with their tables in memory.
    pub fn flights(partitions: u32, exchange: &'static str, seed: u64) -> Self {
        Self { partitions, exchange, ..Self::of(Program::Flights, Store::Memory, seed) }
    }

    /// With little input, for the tests of every day.
    pub fn small(self) -> Self {
        Self { records: 6_000, ..self }
    }

    /// The plainest setting with the same outputs.
    pub fn reference(self) -> Self {
        let (store, exchange, durability) = (Store::Memory, "memory", "none");
        let every_change = self.every_change && self.program == Program::Count;
        let plain = Self { store, exchange, durability, every_change, ..self };
        Self { threads: 1, memory: 0, snapshots: false, ..plain }
    }

    /// The arguments, with the log in `dir` and exported files in `out`.
    pub fn args(self, dir: &Path, out: &Path) -> Vec<String> {
        let (partitions, threads) = (self.partitions.to_string(), self.threads.to_string());
        let (records, memory) = (self.records.to_string(), self.memory.to_string());
        let mut args = vec![self.program.name()];
        match self.program {
            Program::Count => {
                let emit = if self.every_change { "every-change" } else { "per-commit" };
                args.extend(["--input", "in", "--output", "out", "--until-end"]);
                args.extend(["--load", &records, "--keys", "8000", "--emit", emit]);
                args.extend(["--durability", self.durability]);
            }
            Program::AdEngagements => {
                args.extend([&*records, "7", "--exchange", self.exchange])
            }
            Program::Flights => args.extend(["--out", text(out), "--exchange", self.exchange]),
        }
        args.extend(["--dir", text(dir), "--partitions", &partitions, "--threads", &threads]);
        args.extend(["--commit-ms", "1"]);
        if self.store == Store::Disk {
            args.extend(["--store", "disk", "--store-memory", &memory]);
        }
        if self.snapshots {
            args.extend(["--snapshots", "5"]);
        }
        args.into_iter().map(str::to_owned).collect()
    }

    /// The topics that are compared: the inputs, for they are loaded by the program, too, and
    /// the outputs.
    pub fn topics(self) -> Vec<Output> {
        let in_order = |name| Output { name, kind: Kind::InOrder };
        let table = |name, measure| Output { name, kind: Kind::Table(measure) };
        match self.program {
            Program::Count if self.every_change => vec![in_order("in"), in_order("out")],
            Program::Count => vec![in_order("in"), table("out", decimal)],
            Program::AdEngagements => vec![
                in_order("ads"),
                in_order("views"),
                in_order("clicks"),
                table("ad-engagements", |value| field(value, "conversions")),
            ],
            Program::Flights => vec![
                in_order("flights"),
                in_order("weather"),
                in_order("hourly-departures"),
                in_order("late-flights"),
                in_order("stormy-departures"),
                Output { name: "aircraft-rotations", kind: Kind::AnyOrder },
                table("airline-totals", |value| field(value, "flights")),
            ],
        }
    }
}
