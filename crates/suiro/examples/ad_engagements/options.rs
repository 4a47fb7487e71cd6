//! The command line of `ad_engagements`.

use crate::shared::SharedOptions;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;
use suiro::ExchangeKind;

pub const HELP: &str = "\
Joins sessions of views and clicks with a table of ads, and prints how the ads do.

usage: ad_engagements [TOUCHES [SEED]] [options]

  TOUCHES              how many views and clicks a new log gets [20000]
  SEED                 which ones [1]
  --dir LOG            keeps the log here; a second run goes on [a temporary directory]
  --partitions P       how many partitions a new log has [2]
  --threads N          how many threads work [all cores]
  --exchange memory|topic  how rows cross between tasks [memory; on Kafka topic]
  --commit-ms N        the longest time between two commits [100]
";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    pub touches: u64,
    pub seed: u64,
    pub dir: Option<PathBuf>,
    pub partitions: u32,
    pub threads: usize,
    pub exchange: Option<ExchangeKind>,
    pub commit_interval: Duration,
    pub shared: SharedOptions,
}

/// Reads the command line, program name first; `None` asks for help.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        touches: 20_000,
        seed: 1,
        dir: None,
        partitions: 2,
        threads: available_parallelism().map_or(1, NonZeroUsize::get),
        exchange: None,
        commit_interval: Duration::from_millis(100),
        shared: SharedOptions::of("ad-engagements"),
    };
    let mut parser = lexopt::Parser::from_iter(args);
    let mut values = 0;
    while let Some(arg) = parser.next()? {
        match arg {
            Value(value) if values < 2 => {
                values += 1;
                let number = value.parse()?;
                *(if values == 1 { &mut options.touches } else { &mut options.seed }) = number;
            }
            Long("dir") => options.dir = Some(parser.value()?.into()),
            Long("partitions") => {
                options.partitions = parser.value()?.parse_with(|text| match text.parse() {
                    Ok(0) | Err(_) => Err("it is a number above zero"),
                    Ok(number) => Ok(number),
                })?;
            }
            Long("threads") => options.threads = parser.value()?.parse::<NonZeroUsize>()?.get(),
            Long("exchange") => {
                options.exchange = parser.value()?.parse_with(|text| match text {
                    "memory" => Ok(Some(ExchangeKind::Memory)),
                    "topic" => Ok(Some(ExchangeKind::Topic)),
                    _ => Err("it is memory or topic"),
                })?;
            }
            Long("commit-ms") => {
                options.commit_interval = Duration::from_millis(parser.value()?.parse()?);
            }
            Long("help") | Short('h') => return Ok(None),
            Long(name) => {
                let name = name.to_owned();
                options.shared.take(&name, &mut parser)?;
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}
