//! Flights out of New York: a month of departures, weather, planes and airlines becomes hourly
//! departures, aircraft rotations, totals of airlines and departures in storms.
//!
//! `cargo run --release --example flights` runs it on January 2013; `-- --help` says how else.
//! What it computes is in `domain.rs` and `topology.rs`; the rest loads, runs and shows it.

mod calendar;
mod domain;
mod export;
mod load;
mod options;
mod outputs;
mod program;
mod progress;
mod report;
#[path = "../shared/mod.rs"]
mod shared;
mod sheet;
mod topology;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main(std::env::args_os()).into()
}
