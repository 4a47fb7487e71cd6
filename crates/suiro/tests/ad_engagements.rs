//! The example `ad_engagements` against a brute-force model that is written from the rules.

#[path = "ad_engagements/model.rs"]
mod model;
#[path = "ad_engagements/open.rs"]
mod open;
#[path = "ad_engagements/ops.rs"]
mod ops;
#[path = "../examples/ad_engagements/program.rs"]
mod program;
#[path = "ad_engagements/run.rs"]
mod run;
#[path = "../examples/ad_engagements/traffic.rs"]
mod traffic;

use ops::{Op, many_ops};
use program::{ADS, Ad, AdId, CLICKS, Click, ENGAGEMENTS, Touch, UserId, VIEWS, View};
use proptest::prelude::*;
use run::{every_mode, hold};
use std::collections::BTreeMap;
use suiro::{App, Log, Reader, Result, TestDriver};

/// A minute in milliseconds.
const MINUTE: i64 = 60_000;

fn view(user: u32, ad: u32, minute: i64) -> Op {
    Op::Touch(UserId(user), Touch::Viewed(AdId(ad)), minute * MINUTE)
}

fn click(user: u32, ad: u32, minute: i64) -> Op {
    Op::Touch(UserId(user), Touch::Clicked(AdId(ad)), minute * MINUTE)
}

fn ad(ad: u32, cents: u64, minute: i64) -> Op {
    Op::Ad(AdId(ad), Some(Ad { title: format!("ad {ad}"), cents }), minute * MINUTE)
}

/// A story that a reader can follow: what the last row of each ad says, in words.
#[test]
fn a_late_view_joins_two_visits() -> Result<()> {
    let mut driver = TestDriver::new(program::ad_engagements("ad-engagements")?)?;
    driver.send(&ADS, AdId(7), Ad { title: "Tea".into(), cents: 10 }, 0)?;
    driver.send(&VIEWS, UserId(1), View { ad: AdId(7) }, 0)?;
    // More than half an hour after the view: a visit of its own, unless something joins them.
    driver.send(&CLICKS, UserId(1), Click { ad: AdId(7) }, 31 * MINUTE)?;
    driver.send(&VIEWS, UserId(1), View { ad: AdId(7) }, 20 * MINUTE)?;
    assert!(driver.read(&ENGAGEMENTS)?.is_empty(), "a visit spoke before it closed");
    // Gap and grace are over a millisecond later.
    driver.send(&VIEWS, UserId(2), View { ad: AdId(7) }, 66 * MINUTE)?;
    assert!(driver.read(&ENGAGEMENTS)?.is_empty(), "a visit spoke before it closed");
    driver.send(&VIEWS, UserId(2), View { ad: AdId(7) }, 66 * MINUTE + 1)?;
    let [tea] = &driver.read(&ENGAGEMENTS)?[..] else { panic!("one ad has one engagement") };
    assert_eq!((tea.key, tea.at.as_millis()), (AdId(7), 31 * MINUTE));
    // The visits are merged in order of time and the record is added then: view, click, view.
    assert_eq!((tea.value.conversions, tea.value.views, tea.value.cost_cents), (1, 1, 10));
    // The same view, a second time, is too late.
    driver.send(&VIEWS, UserId(1), View { ad: AdId(7) }, 20 * MINUTE)?;
    assert_eq!(driver.metrics().late, 1);
    Ok(())
}

/// The edges of the rules, one after the other, in every mode.
#[test]
fn edges_hold_in_every_mode() {
    let ops = [
        ad(1, 5, 0),
        view(1, 1, 100),
        click(1, 1, 130),
        click(2, 1, 131),
        view(10, 2, 100),
        click(10, 2, 101),
        Op::Crash,
        view(2, 1, 99),
        view(2, 1, 115),
        Op::Run,
        click(2, 1, 161),
        view(3, 1, 165),
        Op::Touch(UserId(3), Touch::Viewed(AdId(2)), 165 * MINUTE + 1),
        view(1, 1, 130),
        ad(2, 9, 170),
        Op::Ad(AdId(1), None, 100 * MINUTE),
        Op::Ad(AdId(3), None, 100 * MINUTE),
        Op::Crash,
        click(3, 1, 200),
        click(3, 2, 190),
        Op::Run,
        Op::Finish,
        click(3, 1, 200),
        ad(1, 6, 10),
        view(4, 1, 300),
        click(4, 1, 300),
        Op::Finish,
    ];
    for mode in every_mode() {
        hold(&ops, mode);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_traffic_is_as_the_rules_say(
        ops in prop::collection::vec(ops::any(), 1..60),
        mode in run::any_mode(),
    ) {
        hold(&ops::timed(ops), mode);
    }
}

/// One long run of seeded traffic in every mode.
#[test]
fn much_traffic_is_as_the_rules_say() {
    for (seed, mode) in (1..).zip(every_mode()) {
        hold(&many_ops(seed, 150), mode);
    }
}

/// The example's own traffic, as the example runs it, on two threads.
#[test]
fn the_traffic_of_the_example_is_as_the_rules_say() -> Result<()> {
    let log = Log::in_memory();
    traffic::write(&log, 7, 3_000, 2)?;
    let mut ops = Vec::new();
    for record in Reader::open(&log, &VIEWS)?.read_to_end()? {
        let view = record.value.expect("a view is never removed");
        ops.push(Op::Touch(record.key, Touch::Viewed(view.ad), record.at.as_millis()));
    }
    for record in Reader::open(&log, &CLICKS)?.read_to_end()? {
        let click = record.value.expect("a click is never removed");
        ops.push(Op::Touch(record.key, Touch::Clicked(click.ad), record.at.as_millis()));
    }
    for record in Reader::open(&log, &ADS)?.read_to_end()? {
        ops.push(Op::Ad(record.key, record.value, record.at.as_millis()));
    }
    ops.push(Op::Finish);
    let counted = App::new(program::ad_engagements("ad-engagements")?, log.clone())
        .threads(2)
        .run_to_end()?;

    let expected = run::expect(&ops, 2, false);
    let mut last = BTreeMap::new();
    for record in Reader::open(&log, &ENGAGEMENTS)?.read_to_end()? {
        last.extend(record.value.map(|row| (record.key, row)));
    }
    assert_eq!(last, expected.engagements.rows());
    let late: usize = expected.visits.iter().map(|visits| visits.late.len()).sum();
    assert!(late > 0, "the traffic of the example has nothing late");
    assert_eq!(counted.late, late as u64);
    Ok(())
}
