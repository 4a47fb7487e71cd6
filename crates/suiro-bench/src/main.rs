//! Benches of Suiro. Each runs beside `loop`, the plain hand-written loop that does the same
//! work in memory, and fails if the two disagree; what runs on Kafka is held against a model.

mod benches;
mod digest;
mod input;
mod measure;
mod nexmark;
mod options;
mod percentiles;
mod place;
mod report;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    match benches::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", options.bench);
            ExitCode::FAILURE
        }
    }
}
