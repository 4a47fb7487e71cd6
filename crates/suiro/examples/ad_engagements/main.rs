//! Joins sessions of views and clicks with a table of ads, and prints how the ads do.
//!
//! `cargo run --release --example ad_engagements [TOUCHES [SEED]]`; `-- --help` names its options.

mod options;
mod program;
mod service;
#[path = "../shared/mod.rs"]
mod shared;
mod traffic;

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main(std::env::args_os()).into()
}
