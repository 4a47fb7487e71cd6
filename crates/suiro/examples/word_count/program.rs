//! The program `word_count`: lines come in, and the counts of their words go out.

use crate::shared::{self, SharedOptions};
use lexopt::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use suiro::{App, Broker, Error, Log, NoKey, Plan, Producer, Reader, Result, Topic, Topology};

const LINES: Topic<NoKey, String> = Topic::unkeyed("lines");
const COUNTS: Topic<String, u64> = Topic::json("word-counts");

const HELP: &str = "\
Counts the words of three lines, which each run writes anew.

usage: word_count [DIR] [options]

  DIR                  keeps the log here; a second run goes on [a temporary directory]
";

/// The topology.
fn plan(app: &str) -> Result<Plan> {
    let topology = Topology::new(app);
    topology
        .stream(&LINES)
        .flat_map(|line| line.split(' ').map(String::from).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .count("counts")
        .to(&COUNTS);
    topology.build()
}

fn write(broker: &dyn Broker) -> Result<()> {
    let mut lines = Producer::open(broker, &LINES)?;
    lines.create(1)?;
    lines.send(NoKey, "to be or not to be".into(), 1)?;
    lines.send(NoKey, "to do is to be".into(), 2)?;
    lines.send(NoKey, "do be do be do".into(), 3)?;
    lines.flush()
}

fn run(dir: Option<PathBuf>, options: &SharedOptions) -> Result<()> {
    let temporary = tempfile::tempdir().map_err(|error| {
        Error::unavailable("cannot make a temporary directory; name one").caused_by(error)
    })?;
    let dir = dir.unwrap_or(temporary.path().into());
    let place = options.open(Log::options(), &dir)?;

    write(&*place.broker)?;
    let app = App::new(plan(&options.app)?, Arc::clone(&place.broker));
    options.apply(app, &dir)?.run_to_end()?;

    let mut counts = BTreeMap::new();
    for record in Reader::open(&*place.broker, &COUNTS)?.read_to_end()? {
        counts.extend(record.value.map(|count| (record.key, count)));
    }
    for (word, count) in counts {
        println!("{count:3} {word}");
    }
    place.close()
}

/// Reads the command line, program name first; `None` asks for help.
fn parse(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Option<(Option<PathBuf>, SharedOptions)>, lexopt::Error> {
    let (mut dir, mut options) = (None, SharedOptions::of("word-count"));
    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(value) if dir.is_none() => dir = Some(value.into()),
            Long("help") | Short('h') => return Ok(None),
            Long(name) => {
                let name = name.to_owned();
                options.take(&name, &mut parser)?;
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some((dir, options)))
}

/// Runs the program as the command line says, and gives the exit code of the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let (dir, options) = match parse(args) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            print!("{HELP}{}", shared::HELP);
            return 0;
        }
        Err(error) => {
            eprintln!("word_count: {error}; --help names the options");
            return 2;
        }
    };
    match run(dir, &options) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("word_count: {}", error.report());
            1
        }
    }
}
