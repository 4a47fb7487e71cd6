//! The command line of `count`.

use crate::shared::SharedOptions;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;
use suiro::Durability;

pub const HELP: &str = "\
Counts the records of each key of a topic, and writes the running counts, as decimal text under
the same keys, to another one. Keys and values may be any bytes.

usage: count --dir LOG --input TOPIC --output TOPIC [options]
       count --kafka HOST:PORT --input TOPIC --output TOPIC [options]

  --dir LOG            the directory of the log
  --input TOPIC        the topic whose records are counted
  --output TOPIC       the topic of the counts
  --threads N          how many threads work                     [all cores]
  --emit every-change  writes each count that a key comes to
         per-commit    writes the last count of a key per commit [per-commit]
  --commit-ms N        the longest time between two commits      [100]
  --durability fsync   a commit survives a loss of power
               interval  it reaches the disk within 100 ms
               none      it reaches the disk at some time        [fsync]
  --until-end          ends where the input ends now; otherwise SIGINT or SIGTERM ends it
  --load N             first fills the input until it has N records of 100 bytes
  --keys K             how many keys --load writes               [1000]
  --partitions P       how many partitions --load makes          [as many as threads]
";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub input: String,
    pub output: String,
    pub threads: usize,
    pub every_change: bool,
    pub commit_interval: Duration,
    pub durability: Durability,
    pub until_end: bool,
    pub load: Option<u64>,
    pub keys: u64,
    pub partitions: u32,
    pub shared: SharedOptions,
}

/// Reads the command line, program name first; `None` asks for help.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Option<Options>, lexopt::Error> {
    let (mut dir, mut input, mut output, mut partitions) = (None, None, None, None);
    let mut options = Options {
        dir: PathBuf::new(),
        input: String::new(),
        output: String::new(),
        threads: available_parallelism().map_or(1, NonZeroUsize::get),
        every_change: false,
        commit_interval: Duration::from_millis(100),
        durability: Durability::Fsync,
        until_end: false,
        load: None,
        keys: 1000,
        partitions: 1,
        shared: SharedOptions::of("count"),
    };
    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("dir") => dir = Some(PathBuf::from(parser.value()?)),
            Long("input") => input = Some(parser.value()?.string()?),
            Long("output") => output = Some(parser.value()?.string()?),
            Long("threads") => options.threads = parser.value()?.parse::<NonZeroUsize>()?.get(),
            Long("emit") => options.every_change = parser.value()?.parse_with(emit)?,
            Long("commit-ms") => {
                options.commit_interval = Duration::from_millis(parser.value()?.parse()?);
            }
            Long("durability") => {
                options.durability = parser.value()?.parse_with(durability)?
            }
            Long("until-end") => options.until_end = true,
            Long("load") => options.load = Some(parser.value()?.parse()?),
            Long("keys") => options.keys = parser.value()?.parse_with(positive)?,
            Long("partitions") => partitions = Some(parser.value()?.parse_with(positive)?),
            Long("help") | Short('h') => return Ok(None),
            Long(name) => {
                let name = name.to_owned();
                options.shared.take(&name, &mut parser)?;
            }
            other => return Err(other.unexpected()),
        }
    }
    options.dir = match dir {
        None if !options.shared.is_kafka() => return Err("--dir or --kafka is missing".into()),
        dir => dir.unwrap_or_default(),
    };
    options.input = input.ok_or("--input is missing")?;
    options.output = output.ok_or("--output is missing")?;
    let partitions = partitions.unwrap_or(options.threads as u64);
    options.partitions = u32::try_from(partitions).map_err(|_| "--partitions is too large")?;
    Ok(Some(options))
}

fn emit(text: &str) -> Result<bool, &'static str> {
    match text {
        "every-change" => Ok(true),
        "per-commit" => Ok(false),
        _ => Err("it is every-change or per-commit"),
    }
}

fn durability(text: &str) -> Result<Durability, &'static str> {
    match text {
        "fsync" => Ok(Durability::Fsync),
        "interval" => Ok(Durability::Interval(Duration::from_millis(100))),
        "none" => Ok(Durability::None),
        _ => Err("it is fsync, interval or none"),
    }
}

fn positive(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("it is a number above zero")
}
