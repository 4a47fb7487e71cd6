//! A slice of the sweep of Kafka's client: seeds that are always the same, seeds that once
//! failed, and fresh ones.

use suiro::{Clock, SystemClock};
use suiro_sim::kafka::case::Case;
use suiro_sim::kafka::run;
use suiro_sim::kafka::sweep::{Swept, sweep};
use suiro_sim::options::Options;
use suiro_sim::sweep::stories;

fn swept(from: u64, seeds: u64) -> Swept {
    let options = Options { from, seeds, threads: 2, ..Options::default() };
    sweep(&options)
}

fn expect_fine(swept: &Swept) {
    let stories = stories(&swept.failed);
    assert!(stories.is_empty(), "{stories}replay with `suiro-sim kafka --seed X --trace`");
}

#[test]
fn fixed_seeds_pass() {
    let swept = swept(0, 40);
    expect_fine(&swept);
    for what in ["committed", "fenced", "rebalance", "transaction that took too long"] {
        assert!(swept.total.happened.contains_key(what), "{what} never happened");
    }
}

#[test]
fn fresh_seeds_pass() {
    let from = SystemClock::default().now().as_millis() as u64;
    println!("fresh seeds from {from}");
    expect_fine(&swept(from, 20));
}

/// Each of these finds a bug that was once found so; what it was is beside it.
const ONCE_FAILED: &[(u64, &str)] = &[
    (189, "who read one partition from two offsets at once was given one for the other"),
    (763, "a coordinator that moved while it ended a commit was believed not to have ended it"),
    (1274, "what came late of an ended transaction ended the next one"),
    (3140, "a session that ended committed the positions of what it had taken back"),
    (598, "an answer that the broker was to hold back was late, again and again"),
    (1906, "a worker took what it had fetched before it lost a partition for what came after"),
];

#[test]
fn seeds_that_once_failed_pass() {
    for (seed, bug) in ONCE_FAILED {
        let failure = run(&Case::draw(*seed), false).failure;
        assert_eq!(failure, None, "seed {seed}: {bug}");
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in [5, 17, 23] {
        let [one, other] = [(), ()].map(|()| run(&Case::draw(seed), true));
        assert_eq!(one.trace, other.trace);
        assert_eq!(one.counts, other.counts);
    }
}
