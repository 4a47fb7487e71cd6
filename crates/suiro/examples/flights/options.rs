//! The command line.

use crate::shared::SharedOptions;
use lexopt::prelude::{Long, Short, ValueExt};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use suiro::{Error, ExchangeKind, Policy, Result};

pub const HELP: &str = "\
Flights out of New York, January 2013: hourly departures, aircraft rotations, airlines, storms.

Usage: flights [OPTIONS]

  --data DIR              flights, weather, planes, airlines as .csv or .csv.gz
                          [default: data/nycflights13]
  --dir LOG               keep the log here; a second run resumes
                          [default: a temporary directory]
  --out DIR               write each output topic to DIR/<topic>.jsonl
  --partitions N          partitions of each topic [default: 4]
  --threads N             threads that work [default: the number of cores]
  --exchange memory|topic how rows cross between tasks [default: memory; on Kafka topic]
  --commit-ms N           the longest time between two commits [default: 100]
  --copies N              load the data N times, each shifted by 31 days [default: 1]
  --on-error stop|skip    what becomes of bad input [default: stop]
  --help                  this text
";

pub struct Options {
    pub data: PathBuf,
    pub dir: Option<PathBuf>,
    pub out: Option<PathBuf>,
    pub partitions: u32,
    pub threads: usize,
    pub exchange: Option<ExchangeKind>,
    pub commit_interval: Duration,
    pub copies: u32,
    pub on_error: Policy,
    pub shared: SharedOptions,
}

impl Options {
    fn new() -> Self {
        Self {
            data: default_data(),
            dir: None,
            out: None,
            partitions: 4,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            exchange: None,
            commit_interval: Duration::from_millis(100),
            copies: 1,
            on_error: Policy::Stop,
            shared: SharedOptions::of("flights"),
        }
    }

    /// Reads the command line; nothing if help was asked for.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>> {
        read(lexopt::Parser::from_iter(args)).map_err(|error| {
            Error::invalid("cannot read the command line; see --help").caused_by(error)
        })
    }
}

fn read(mut arguments: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("data") => options.data = arguments.value()?.into(),
            Long("dir") => options.dir = Some(arguments.value()?.into()),
            Long("out") => options.out = Some(arguments.value()?.into()),
            Long("partitions") => options.partitions = count(&mut arguments)?,
            Long("threads") => options.threads = count(&mut arguments)? as usize,
            Long("exchange") => {
                options.exchange = arguments.value()?.parse_with(|text| match text {
                    "memory" => Ok(Some(ExchangeKind::Memory)),
                    "topic" => Ok(Some(ExchangeKind::Topic)),
                    _ => Err("give memory or topic"),
                })?;
            }
            Long("commit-ms") => {
                options.commit_interval = Duration::from_millis(arguments.value()?.parse()?);
            }
            Long("copies") => options.copies = count(&mut arguments)?,
            Long("on-error") => {
                options.on_error = arguments.value()?.parse_with(|text| match text {
                    "stop" => Ok(Policy::Stop),
                    "skip" => Ok(Policy::Skip),
                    _ => Err("give stop or skip"),
                })?;
            }
            Long("help") | Short('h') => return Ok(None),
            Long(name) => {
                let name = name.to_owned();
                options.shared.take(&name, &mut arguments)?;
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn count(arguments: &mut lexopt::Parser) -> Result<u32, lexopt::Error> {
    arguments.value()?.parse_with(|text| match text.parse() {
        Ok(0) | Err(_) => Err("give a number from 1 on"),
        Ok(number) => Ok(number),
    })
}

/// The data of the project, where it was built or where it is run.
fn default_data() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/nycflights13");
    if built.is_dir() { built } else { "data/nycflights13".into() }
}
