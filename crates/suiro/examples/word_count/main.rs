//! Counts words, exactly once. Run it twice on one directory, or on Kafka, and the counts go on.
//!
//! `cargo run --release --example word_count [DIR]`; `-- --help` names its options.

mod program;
#[path = "../shared/mod.rs"]
mod shared;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main(std::env::args_os()).into()
}
