//! Many seeds of clients and brokers.

use super::case::Case;
use super::counts::Counts;
use super::life::run;
use crate::options::Options;
use crate::sweep::{Failed, each, verdict};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use suiro_core::Clock;

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// How many seeds ran.
    pub seeds: u64,
    /// What happened in all of them.
    pub total: Counts,
    /// The seeds that failed.
    pub failed: Vec<Failed>,
    /// The seed that took longest, and how long it took.
    pub slowest: (Duration, u64),
}

/// Runs the seeds that `options` name. After some failures no further seed is begun.
pub fn sweep(options: &Options) -> Swept {
    let swept = Mutex::new(Swept::default());
    each(options, |seed, clock| {
        let begun = clock.elapsed();
        let (counts, failed) = one(seed, options);
        let took = clock.elapsed().saturating_sub(begun);
        let mut all = swept.lock().unwrap_or_else(PoisonError::into_inner);
        all.seeds += 1;
        all.total.add(&counts);
        all.slowest = all.slowest.max((took, seed));
        all.failed.extend(failed);
        all.failed.len() < options.failures
    });
    let mut swept = swept.into_inner().unwrap_or_else(PoisonError::into_inner);
    swept.failed.sort_by_key(|failed| failed.seed);
    swept
}

/// Runs one seed.
fn one(seed: u64, options: &Options) -> (Counts, Option<Failed>) {
    let case = Case::draw(seed);
    let report = run(&case, options.trace);
    if options.trace {
        println!("{}{}", case.describe(), report.trace.join("\n"));
    }
    let Some(failure) = report.failure else { return (report.counts, None) };
    let trace = run(&case, true).trace;
    let from = trace.len().saturating_sub(200);
    let story = format!("{}{}", case.describe(), trace[from..].join("\n"));
    (report.counts, Some(Failed { seed, failure, story }))
}

/// Runs the seeds that `options` name, and tells of them. Gives whether all is fine.
pub fn report(options: &Options) -> bool {
    let swept = sweep(options);
    swept.failed.iter().for_each(|failed| println!("{failed}"));
    let (longest, slowest) = swept.slowest;
    let longest = longest.as_secs_f64();
    println!("{} seeds; the longest took {longest:.1} s: {slowest}", swept.seeds);
    print!("{}", swept.total);
    verdict(swept.seeds, &swept.failed, swept.total.missing())
}
