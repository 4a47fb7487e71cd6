//! Joins sessions of views and clicks with a table of ads, and prints how the ads do.
//!
//! `cargo run --release --example ad_engagements [TOUCHES [SEED]]`; `-- --help` names its options.

mod options;
#[path = "../shared/place.rs"]
mod place;
mod program;
mod service;
#[path = "../shared/state.rs"]
mod state;
mod traffic;

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main(std::env::args_os()).into()
}
