//! The simulator on the command line.

use std::process::ExitCode;
use suiro::{Clock, SystemClock};
use suiro_sim::chaos;
use suiro_sim::kafka;
use suiro_sim::mutants::{compile, hunt};
use suiro_sim::options::Options;
use suiro_sim::sweep::sweep;

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
    let clock = SystemClock::default();
    let swept = sweep(&options);
    for failed in &swept.failed {
        println!("{}\nseed {} fails: {}\n", failed.story, failed.seed, failed.failure);
    }
    let [records, commits, crashes, exchanges] = swept.medians;
    let (longest, slowest) = swept.slowest;
    println!(
        "{} seeds in {:.1} s; the longest took {:.1} s: {slowest}",
        swept.seeds,
        clock.elapsed().as_secs_f64(),
        longest.as_secs_f64()
    );
    println!(
        "median: records {records}, commits {commits}, crashes {crashes}, exchanges {exchanges}"
    );
    print!("{}", swept.total);
    let missing = if swept.seeds >= 1000 { swept.total.missing() } else { Vec::new() };
    for what in &missing {
        println!("never hit: {what}");
    }
    let fine = swept.failed.is_empty() && missing.is_empty();
    println!("{}", if fine { "all fine" } else { "FAILED" });
    ended(Ok(fine))
}

/// The exit code of a run that was fine or not, or could not be made.
fn ended(fine: Result<bool, String>) -> ExitCode {
    if let Err(text) = &fine {
        eprintln!("{text}");
    }
    if fine == Ok(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
