//! The simulator on the command line.

use std::process::ExitCode;
use suiro_sim::chaos;
use suiro_sim::kafka;
use suiro_sim::mutants::{compile, hunt};
use suiro_sim::options::Options;
use suiro_sim::sweep::report;

fn main() -> ExitCode {
    if let Some(is_compiled) = compile(std::env::args_os()) {
        return ended(Ok(is_compiled));
    }
    let mut words = std::env::args().skip(1);
    let first = words.next();
    match first.as_deref() {
        Some("mutants") => return ended(Ok(hunt(&words.next().unwrap_or_default()))),
        Some("chaos") => return ended(chaos::run(words)),
        _ => {}
    }
    let is_kafka = first.as_deref() == Some("kafka");
    let options = match Options::parse(std::env::args().skip(1 + usize::from(is_kafka))) {
        Ok(options) => options,
        Err(text) => return ended(Err(text)),
    };
    if is_kafka {
        return ended(Ok(kafka::sweep::report(&options)));
    }
    ended(Ok(report(&options)))
}

/// The exit code of a run that was fine or not, or could not be made.
fn ended(fine: Result<bool, String>) -> ExitCode {
    if let Err(text) = &fine {
        eprintln!("{text}");
    }
    if fine == Ok(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
