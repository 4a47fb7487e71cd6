//! The programs.

use super::input::{Input, first_number, other_key};
use crate::benches::Outcome;
use crate::benches::window_format::Windows;
use std::time::Duration;
use suiro::{
    Bytes, Encoded, Error, Format, InWindow, Integer, Plan, Raw, Result, Sessions, Topic,
    Topology, Tumbling,
};

/// What the programs write, by what it is.
pub const VALUES: Topic<u64, Bytes> = Topic::of("values", &Integer, &Raw);
pub const COUNTS: Topic<u64, u64> = Topic::of("counts", &Integer, &Integer);
pub const SUMS: Topic<u64, InWindow<u64>> = Topic::of("sums", &Integer, &Windows);
pub const JOINED: Topic<u64, Joined> = Topic::of("joined", &Integer, &BothSides);

pub const SIZE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Stateless,
    Count,
    CountEveryChange,
    Repartition,
    Tumbling,
    Session,
    TableJoin,
}

const ALL: [Program; 7] = [
    Program::Stateless,
    Program::Count,
    Program::CountEveryChange,
    Program::Repartition,
    Program::Tumbling,
    Program::Session,
    Program::TableJoin,
];

impl Program {
    pub fn named(name: &str) -> Outcome<Self> {
        let found = ALL.into_iter().find(|program| program.name() == name);
        found.ok_or_else(|| {
            let names = ALL.map(Self::name).join(", ");
            format!("`{name}` is no bench; those on Kafka are {names}, latency").into()
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Stateless => "stateless",
            Self::Count => "count",
            Self::CountEveryChange => "count-every-change",
            Self::Repartition => "repartition",
            Self::Tumbling => "tumbling",
            Self::Session => "session",
            Self::TableJoin => "table-join",
        }
    }

    /// When it speaks.
    pub fn emits(self) -> &'static str {
        match self {
            Self::Stateless | Self::TableJoin => "each-result",
            Self::Count | Self::Repartition => "per-commit",
            Self::CountEveryChange => "every-change",
            Self::Tumbling | Self::Session => "on-close",
        }
    }

    /// The program under a name of its own.
    pub fn plan(self, name: &str, input: &Input, output: &str) -> Result<Plan> {
        let topology = Topology::new(name);
        let numbers = || topology.stream(&input.numbers);
        match self {
            Self::Stateless => {
                topology.stream(&input.whole).map(|value| value).to(&VALUES.named(output));
            }
            Self::Count => numbers().count("counts").to(&COUNTS.named(output)),
            Self::CountEveryChange => numbers()
                .count("counts")
                .changes()
                .flat_map(|count| count)
                .to(&COUNTS.named(output)),
            Self::Repartition => {
                let keys = input.setup.keys;
                // The whole value crosses, as it does where a program has not thought of it.
                topology
                    .stream(&input.whole)
                    .key_by(move |value| other_key(first_number(value).unwrap_or(0), keys))
                    .count("counts")
                    .to(&COUNTS.named(output));
            }
            Self::Tumbling => numbers()
                .window(Tumbling::of(SIZE).grace(GRACE))
                .fold("sums", || 0, |sum, number| *sum += addend(number))
                .on_close()
                .to(&SUMS.named(output)),
            Self::Session => {
                let gap = Duration::from_millis(input.gap().unsigned_abs());
                let add = |sum: &mut u64, number| *sum += addend(number);
                numbers()
                    .window(Sessions::with_gap(gap).grace(GRACE))
                    .fold("sums", || 0, add, |sum, later| *sum += later)
                    .on_close()
                    .to(&SUMS.named(output));
            }
            Self::TableJoin => {
                let rows = topology.table(&input.rows);
                let join = |value, row: &u64| Joined { row: *row, value };
                topology.stream(&input.whole).join(&rows, join).to(&JOINED.named(output));
            }
        }
        topology.build()
    }
}

/// What windows add up.
pub fn addend(number: u64) -> u64 {
    number & 0xffff
}

/// A record with the row of its key.
#[derive(Clone, Debug)]
pub struct Joined {
    pub row: u64,
    pub value: Bytes,
}

/// The row, then the value.
pub struct BothSides;

impl Format<Joined> for BothSides {
    fn name(&self) -> &'static str {
        "both-sides"
    }

    fn encode(&self, joined: &Joined, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(&joined.row.to_be_bytes());
        out.extend_from_slice(&joined.value);
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Joined> {
        let (row, value) =
            bytes.split_first_chunk().ok_or_else(|| Error::invalid("record has no row"))?;
        let value = Bytes::copy_from_slice(value);
        Ok(Joined { row: u64::from_be_bytes(*row), value })
    }
}
