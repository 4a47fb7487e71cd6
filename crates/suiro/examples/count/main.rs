//! Counts the records of each key of a topic, and writes the running counts to another one.
//!
//! `cargo run --release --example count -- --help` names its options.

mod options;
mod program;
#[path = "../shared/mod.rs"]
mod shared;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main(std::env::args_os()).into()
}
