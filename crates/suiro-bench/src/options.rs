//! What the command line says.

use std::time::Duration;
use suiro::{Durability, Guarantee};

/// The command line; what it does not say is the bench's own to choose.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub bench: String,
    pub records: Option<u64>,
    pub keys: Option<u64>,
    pub durability: Option<Durability>,
    pub commit_ms: Option<u64>,
    pub threads: Option<u32>,
    pub guarantee: Guarantee,
    pub emit: Option<Emit>,
    /// The bytes of memory for state, if it is on the disk.
    pub disk_budget: Option<u64>,
    /// What `kafka` is asked for.
    pub kafka: KafkaOptions,
}

/// The part of the command line that is about Kafka.
#[derive(Clone, Debug, Default)]
pub struct KafkaOptions {
    /// The bench on it.
    pub bench: String,
    /// Where it is: `HOST:PORT`, several with commas between.
    pub broker: Option<String>,
    /// Its process, if it runs on this machine.
    pub broker_pid: Option<u32>,
    pub partitions: Option<u32>,
    pub value_bytes: Option<usize>,
}

/// How often a table speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    EveryChange,
    PerCommit,
}

impl Emit {
    pub fn name(self) -> &'static str {
        match self {
            Self::EveryChange => "every-change",
            Self::PerCommit => "per-commit",
        }
    }
}

const USAGE: &str = "usage: suiro-bench BENCH [--records N] [--keys N] \
[--durability none|interval|fsync] [--commit-ms N] [--threads N] [--emit every-change|per-commit]
[--store memory|disk] [--memory-budget BYTES]
       suiro-bench kafka --broker HOST:PORT [--broker-pid PID] KAFKA-BENCH [--records N] [--keys N]
[--partitions N] [--value-bytes N] [--commit-ms N] [--threads N] [--guarantee exactly-once|at-least-once]
benches: count, count-log, words, tumbling, hopping, session, sliding, join, as-of, stream-stream, pattern, top-n,
table-group, foreign-key, nexmark, nexmark-q0 to -q22, latency, start, restart
Kafka's benches: stateless, count, count-every-change, repartition, tumbling, session, table-join, latency";

impl Options {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let (mut on_disk, mut budget) = (false, 512 << 20);
        while let Some(word) = words.next() {
            if !word.starts_with('-') && options.bench.is_empty() {
                options.bench = word;
                continue;
            }
            if !word.starts_with('-')
                && options.bench == "kafka"
                && options.kafka.bench.is_empty()
            {
                options.kafka.bench = word;
                continue;
            }
            let mut value =
                || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--records" => options.records = Some(number(&value()?)?),
                "--keys" => options.keys = Some(number(&value()?)?),
                "--commit-ms" => options.commit_ms = Some(number(&value()?)?),
                "--threads" => options.threads = Some(number(&value()?)? as u32),
                "--guarantee" => options.guarantee = guarantee(&value()?)?,
                "--durability" => options.durability = Some(durability(&value()?)?),
                "--emit" => options.emit = Some(emit(&value()?)?),
                "--store" => on_disk = store(&value()?)?,
                "--memory-budget" => budget = bytes(&value()?)?,
                "--broker" => options.kafka.broker = Some(value()?),
                "--broker-pid" => options.kafka.broker_pid = Some(small(&value()?)?),
                "--partitions" => options.kafka.partitions = Some(small(&value()?)?),
                "--value-bytes" => options.kafka.value_bytes = Some(small(&value()?)? as usize),
                _ => return Err(format!("unknown option {word}\n{USAGE}")),
            }
        }
        options.disk_budget = on_disk.then_some(budget);
        if options.bench.is_empty() { Err(USAGE.to_owned()) } else { Ok(options) }
    }

    /// What the bench runs with, given its own defaults.
    pub fn setup(
        &self,
        records: u64,
        keys: u64,
        durability: Durability,
        commit_ms: u64,
    ) -> Setup {
        let threads = self.threads.unwrap_or(1).max(1);
        let round = |number: u64| number.next_multiple_of(u64::from(threads)).max(1);
        Setup {
            records: round(self.records.unwrap_or(records)),
            keys: round(self.keys.unwrap_or(keys)),
            durability: self.durability.unwrap_or(durability),
            commit_ms: self.commit_ms.unwrap_or(commit_ms),
            threads,
            guarantee: self.guarantee,
        }
    }
}

/// What a bench runs with. There are as many partitions as threads, and as many records and
/// keys in each.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub records: u64,
    pub keys: u64,
    pub durability: Durability,
    pub commit_ms: u64,
    pub threads: u32,
    /// What is promised on Kafka.
    pub guarantee: Guarantee,
}

/// How a durability is called on the command line.
pub fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsync => "fsync",
        Durability::Interval(_) => "interval",
        Durability::None => "none",
    }
}

/// How a guarantee is called on the command line.
pub fn guarantee_name(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::AtLeastOnce => "at-least-once",
        _ => "exactly-once",
    }
}

fn guarantee(word: &str) -> Result<Guarantee, String> {
    match word {
        "exactly-once" => Ok(Guarantee::ExactlyOnce),
        "at-least-once" => Ok(Guarantee::AtLeastOnce),
        _ => Err(format!("unknown guarantee {word}\n{USAGE}")),
    }
}

fn durability(word: &str) -> Result<Durability, String> {
    match word {
        "none" => Ok(Durability::None),
        "interval" => Ok(Durability::Interval(Duration::from_millis(100))),
        "fsync" => Ok(Durability::Fsync),
        _ => Err(format!("unknown durability {word}\n{USAGE}")),
    }
}

fn emit(word: &str) -> Result<Emit, String> {
    match word {
        "every-change" => Ok(Emit::EveryChange),
        "per-commit" => Ok(Emit::PerCommit),
        _ => Err(format!("unknown mode {word}\n{USAGE}")),
    }
}

fn store(word: &str) -> Result<bool, String> {
    match word {
        "memory" => Ok(false),
        "disk" => Ok(true),
        _ => Err(format!("unknown store {word}\n{USAGE}")),
    }
}

/// A number of bytes: `512MiB`, `2GiB`, or without a unit.
fn bytes(word: &str) -> Result<u64, String> {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.iter().find_map(|(unit, bits)| Some((word.strip_suffix(unit)?, *bits)));
    let (digits, bits) = unit.unwrap_or((word, 0));
    Ok(number(digits)? << bits)
}

fn small(word: &str) -> Result<u32, String> {
    u32::try_from(number(word)?).map_err(|_| format!("{word} is too large\n{USAGE}"))
}

fn number(word: &str) -> Result<u64, String> {
    let digits: String = word.chars().filter(|c| *c != '_').collect();
    digits.parse().map_err(|_| format!("{word} is no number\n{USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::{Emit, Options};
    use suiro::Durability;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split(' ').map(String::from))
    }

    #[test]
    fn options_are_read_and_defaults_kept() {
        let line = "count --records 10_000 --threads 3 --durability none --emit per-commit";
        let options = parse(line).expect("the line is right");
        assert_eq!((options.bench.as_str(), options.emit), ("count", Some(Emit::PerCommit)));
        let setup = options.setup(5, 7, Durability::Fsync, 9);
        assert_eq!((setup.records, setup.keys, setup.commit_ms), (10_002, 9, 9));
        assert_eq!(setup.durability, Durability::None);
    }

    #[test]
    fn state_on_a_disk_has_a_budget() {
        let budget = |line| parse(line).expect("the line is right").disk_budget;
        assert_eq!(budget("count-log --store disk --memory-budget 3MiB"), Some(3 << 20));
        assert_eq!(budget("count-log --store disk"), Some(512 << 20));
        assert_eq!(budget("count-log --memory-budget 5"), None);
    }

    #[test]
    fn kafka_has_benches_of_its_own() {
        let line = "kafka --broker here:9092 session --partitions 8 --broker-pid 17";
        let kafka = parse(line).expect("the line is right").kafka;
        assert_eq!(
            (kafka.bench.as_str(), kafka.broker.as_deref()),
            ("session", Some("here:9092"))
        );
        assert_eq!((kafka.partitions, kafka.broker_pid), (Some(8), Some(17)));
    }

    #[test]
    fn wrong_lines_are_refused() {
        let kafka = ["kafka count join", "kafka --partitions 5000000000", "count session"];
        let others = ["--records 1", "count --records x", "count --emit", "count --fast 1"];
        for line in kafka.into_iter().chain(others) {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
