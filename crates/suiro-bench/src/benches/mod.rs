//! The benches, one file each, with the loop of each beside it.

mod as_of;
mod count;
mod count_disk;
mod count_log;
mod foreign_key;
mod hopping;
mod join;
mod kafka;
mod latency;
mod pattern;
mod restart;
mod session;
mod sliding;
mod start;
mod stream_stream;
mod table_group;
mod top_n;
mod tumbling;
mod window_format;
mod words;

use crate::options::{Options, Setup};
use std::time::Duration;
use suiro::{App, Log, Topology};

/// What may go wrong in a bench.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Runs the bench that the options name.
pub fn run(options: &Options) -> Outcome<()> {
    match options.bench.as_str() {
        "count" => count::run(options),
        "count-log" => count_log::run(options),
        count_disk::STORE | count_disk::SUIRO => count_disk::child(options),
        "words" => words::run(options),
        "tumbling" => tumbling::run(options),
        "hopping" => hopping::run(options),
        "session" => session::run(options),
        "sliding" => sliding::run(options),
        "table-group" => table_group::run(options),
        "join" => join::run(options),
        "foreign-key" => foreign_key::run(options),
        "as-of" => as_of::run(options),
        "pattern" => pattern::run(options),
        "top-n" => top_n::run(options),
        "stream-stream" => stream_stream::run(options),
        bench if bench.starts_with("nexmark") => crate::nexmark::run(options),
        "kafka" => kafka::run(options),
        "latency" => latency::run(options),
        "start" => start::run(options),
        start::IDLE => start::idle(),
        "restart" => restart::run(options),
        mode @ (restart::FROM_SNAPSHOT | restart::FROM_CHANGELOG) => restart::child(mode),
        _ => Err("there is no such bench".into()),
    }
}

/// Runs a program over bounded input.
fn run_to_end(topology: Topology, log: &Log, setup: &Setup) -> Outcome<()> {
    app(topology, log, setup)?.run_to_end()?;
    Ok(())
}

pub fn app(topology: Topology, log: &Log, setup: &Setup) -> Outcome<App> {
    Ok(App::new(topology.build()?, log.clone())
        .threads(setup.threads as usize)
        .commit_interval(Duration::from_millis(setup.commit_ms))
        .partitions(setup.threads))
}
