//! Many seeds, on several threads.

use crate::case::Case;
use crate::counts::Counts;
use crate::life::run;
use crate::options::Options;
use crate::shrink::shrink;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use suiro::{Clock, SystemClock};

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub failure: String,
    /// The case, made small if that was asked for, and what went wrong in it.
    pub story: String,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\nseed {} fails: {}", self.story, self.seed, self.failure)
    }
}

/// The stories of seeds that failed; nothing if none did.
pub fn stories(failed: &[Failed]) -> String {
    failed.iter().map(ToString::to_string).collect()
}

/// Says what a sweep of so many seeds did not hit though it should, and whether all is fine.
pub(crate) fn verdict(seeds: u64, failed: &[Failed], missing: Vec<String>) -> bool {
    let missing = if seeds >= 1000 { missing } else { Vec::new() };
    missing.iter().for_each(|what| println!("never hit: {what}"));
    let fine = failed.is_empty() && missing.is_empty();
    println!("{}", if fine { "all fine" } else { "FAILED" });
    fine
}

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// How many seeds ran.
    pub seeds: u64,
    /// What happened in all of them.
    pub total: Counts,
    /// The medians of records, commits, crashes and exchanges.
    pub medians: [u64; 4],
    /// The seeds that failed.
    pub failed: Vec<Failed>,
    /// The seed that took longest, and how long it took.
    pub slowest: (Duration, u64),
}

/// Runs the seeds that `options` name. After some failures no further seed is begun.
pub fn sweep(options: &Options) -> Swept {
    let swept = Mutex::new((Swept::default(), Vec::new()));
    each(options, |seed, clock| {
        let begun = clock.elapsed();
        let (counts, failed) = one(seed, options);
        let took = clock.elapsed().saturating_sub(begun);
        let mut all = swept.lock().unwrap_or_else(PoisonError::into_inner);
        all.0.seeds += 1;
        all.0.total.add(&counts);
        all.0.slowest = all.0.slowest.max((took, seed));
        all.0.failed.extend(failed);
        all.1.push(counts);
        all.0.failed.len() < options.failures
    });
    let (mut swept, all) = swept.into_inner().unwrap_or_else(PoisonError::into_inner);
    let median = |of: fn(&Counts) -> u64| {
        let mut numbers: Vec<u64> = all.iter().map(of).collect();
        numbers.sort_unstable();
        numbers.get(numbers.len() / 2).copied().unwrap_or(0)
    };
    swept.medians = [
        median(|it| it.records),
        median(|it| it.commits),
        median(|it| it.crashes),
        median(|it| it.exchanges),
    ];
    swept.failed.sort_by_key(|failed| failed.seed);
    swept
}

/// Runs the seeds that `options` name, and tells of them. Gives whether all is fine.
pub fn report(options: &Options) -> bool {
    let clock = SystemClock::default();
    let swept = sweep(options);
    swept.failed.iter().for_each(|failed| println!("{failed}"));
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
    verdict(swept.seeds, &swept.failed, swept.total.missing())
}

/// Runs the seeds that `options` name on their threads, until one says that it is enough.
pub(crate) fn each(options: &Options, run: impl Fn(u64, &SystemClock) -> bool + Sync) {
    let (next, clock) = (AtomicU64::new(0), SystemClock::default());
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.seeds {
                        return;
                    }
                    if !run(options.from + number, &clock) {
                        next.store(options.seeds, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// Runs one seed.
fn one(seed: u64, options: &Options) -> (Counts, Option<Failed>) {
    let case = Case::draw(seed);
    let report = run(&case, options.trace);
    if options.trace {
        println!("{}{}", case.describe(false), report.trace.join("\n"));
    }
    let Some(failure) = report.failure.clone() else { return (report.counts, None) };
    let counts = report.counts.clone();
    let (case, report) = if options.shrinks { shrink(case, report) } else { (case, report) };
    let trace = run(&case, true).trace;
    let from = trace.len().saturating_sub(400);
    let story = format!(
        "{}{}\n{}",
        case.describe(options.shrinks),
        trace[from..].join("\n"),
        report.failure.unwrap_or_default()
    );
    (counts, Some(Failed { seed, failure, story }))
}
