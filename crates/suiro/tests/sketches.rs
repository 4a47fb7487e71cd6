//! Sketches in every kind of fold: within their bounds of what plain lists say, and to the last bit
//! the same whatever the batches, stores, exchanges and crashes.

#![cfg(feature = "sketches")]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use suiro::{
    ExchangeKind, Hopping, InWindow, Plan, Policy, Quantiles, Result, Sessions, TestDriver,
    TestOptions, Topic, Topology, Tumbling,
};

/// By page: who came, and how long it took.
const VIEWS: Topic<u8, (u32, f64)> = Topic::json("views");
const VISITORS: Topic<u8, (i64, i64, u64)> = Topic::json("visitors");
const LATENCIES: Topic<u8, (i64, i64, Quantiles)> = Topic::json("latencies");

const SIZE: i64 = 1_000;
const HOP: i64 = 300;
const GAP: i64 = 40;

/// A record: page, user, latency, time.
type View = (u8, u32, f64, i64);
type Windows = BTreeMap<(u8, i64, i64), Vec<usize>>;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Whole,
    Tumbling,
    Hopping,
    Sessions,
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

fn plan(kind: Kind, moves: bool) -> Result<Plan> {
    let topology = Topology::new("pages");
    let mut views = topology.stream(&VIEWS);
    if moves {
        views = views.map_with_key(|page, view| (*page, view)).rekey(|pair| pair);
    }
    fn user(view: &(u32, f64)) -> u32 {
        view.0
    }
    fn latency(view: &(u32, f64)) -> f64 {
        view.1
    }
    fn flat<A>(window: InWindow<A>) -> (i64, i64, A) {
        (window.start.as_millis(), window.end.as_millis(), window.value)
    }
    let others = views.clone();
    match kind {
        Kind::Whole => {
            let visitors = views.approximate_distinct("visitors", user);
            visitors.map(|count| (0, 0, *count)).to(&VISITORS);
            let latencies = others.approximate_quantiles("latencies", latency);
            latencies.map(|all| (0, 0, all.clone())).to(&LATENCIES);
        }
        Kind::Tumbling => {
            let windows = Tumbling::of(millis(SIZE));
            let visitors = views.window(windows).approximate_distinct("visitors", user);
            visitors.on_close().map(flat).to(&VISITORS);
            let latencies = others.window(windows).approximate_quantiles("latencies", latency);
            latencies.on_close().map(flat).to(&LATENCIES);
        }
        Kind::Hopping => {
            let windows = Hopping::of(millis(SIZE)).every(millis(HOP));
            let visitors = views.window(windows).approximate_distinct("visitors", user);
            visitors.on_close().map(flat).to(&VISITORS);
            let latencies = others.window(windows).approximate_quantiles("latencies", latency);
            latencies.on_close().map(flat).to(&LATENCIES);
        }
        Kind::Sessions => {
            // With time for what comes late, so that sessions merge.
            let windows = Sessions::with_gap(millis(GAP)).grace(millis(GAP));
            let visitors = views.window(windows).approximate_distinct("visitors", user);
            visitors.on_close().map(flat).to(&VISITORS);
            let latencies = others.window(windows).approximate_quantiles("latencies", latency);
            latencies.on_close().map(flat).to(&LATENCIES);
        }
    }
    topology.build()
}

/// Which records are in which window. None is late.
fn windows(kind: Kind, views: &[View]) -> Windows {
    let mut windows = Windows::new();
    for (number, (page, _, _, at)) in views.iter().enumerate() {
        match kind {
            Kind::Whole => windows.entry((*page, 0, 0)).or_default().push(number),
            Kind::Tumbling | Kind::Hopping => {
                let hop = if matches!(kind, Kind::Hopping) { HOP } else { SIZE };
                for start in (0..=at / hop).map(|it| it * hop).filter(|it| at - it < SIZE) {
                    windows.entry((*page, start, start + SIZE)).or_default().push(number);
                }
            }
            Kind::Sessions => {}
        }
    }
    if matches!(kind, Kind::Sessions) {
        let mut order: Vec<_> = (0..views.len()).collect();
        order.sort_by_key(|number| (views[*number].0, views[*number].3));
        let mut session: Vec<usize> = Vec::new();
        let mut close = |session: &mut Vec<usize>| {
            if let (Some(first), Some(last)) = (session.first(), session.last()) {
                let bounds = (views[*first].0, views[*first].3, views[*last].3);
                windows.insert(bounds, std::mem::take(session));
            }
        };
        for number in order {
            let (page, _, _, at) = views[number];
            let is_next = session.last().is_some_and(|last| {
                let (of, _, _, before) = views[*last];
                of == page && at - before <= GAP
            });
            if !is_next {
                close(&mut session);
            }
            session.push(number);
        }
        close(&mut session);
    }
    windows
}

const PLACES: [f64; 5] = [0.01, 0.25, 0.5, 0.9, 0.99];

type Answers = BTreeMap<(u8, i64, i64), (u64, u64, Vec<f64>)>;

fn run(
    kind: Kind,
    moves: bool,
    views: &[View],
    crashes: &BTreeSet<usize>,
    options: TestOptions,
) -> Result<Answers> {
    let mut driver = TestDriver::with_options(plan(kind, moves)?, options)?;
    for (number, (page, user, latency, at)) in views.iter().enumerate() {
        driver.send(&VIEWS, *page, (*user, *latency), *at)?;
        if crashes.contains(&(number / 64)) && number % 64 == 0 {
            driver.run()?;
            driver.crash()?;
        }
    }
    driver.run()?;
    driver.finish()?;
    let mut answers = Answers::new();
    let (visitors, latencies) = match kind {
        Kind::Whole => {
            let visitors = driver.read_last(&VISITORS)?.into_iter().collect::<Vec<_>>();
            (visitors, driver.read_last(&LATENCIES)?.into_iter().collect::<Vec<_>>())
        }
        _ => {
            let visitors = driver.read(&VISITORS)?.into_iter().map(|it| (it.key, it.value));
            let visitors = visitors.collect::<Vec<_>>();
            let latencies = driver.read(&LATENCIES)?.into_iter().map(|it| (it.key, it.value));
            (visitors, latencies.collect())
        }
    };
    for (page, (start, end, count)) in visitors {
        let is_new = answers.insert((page, start, end), (count, 0, Vec::new())).is_none();
        assert!(is_new, "a window is sent once");
    }
    for (page, (start, end, all)) in latencies {
        let answer = answers.get_mut(&(page, start, end)).expect("both have one window");
        answer.1 = all.count();
        let places = PLACES.into_iter().map(|q| all.quantile(q));
        answer.2 = [all.min(), all.max()].into_iter().chain(places).collect();
    }
    Ok(answers)
}

/// A few users come all the time, and most calls are fast.
fn view() -> impl Strategy<Value = (u8, u32, f64, i64)> {
    let user = prop_oneof![3 => 0..20_u32, 2 => 0..400_u32, 3 => 0..1_000_000_u32];
    let latency = prop_oneof![4 => 0.5..3.0_f64, 1 => 3.0..9.0_f64];
    let page = prop_oneof![5 => Just(0_u8), 1 => 1..4_u8];
    // JSON does not bring every float back to the last bit; these it does.
    let latency = latency.prop_map(|log| (log.exp() * 1_024.0).round() / 1_024.0);
    (page, user, latency, prop_oneof![60 => 0..2_i64, 1 => 20..90_i64])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn answers_are_near_and_always_the_same(
        kind in prop_oneof![
            Just(Kind::Whole), Just(Kind::Tumbling), Just(Kind::Hopping), Just(Kind::Sessions),
        ],
        moves in any::<bool>(),
        views in prop::collection::vec(view(), 1..2_000),
        crashes in prop::collection::btree_set(0..32_usize, 0..6),
        batch_rows in prop_oneof![Just(1_usize), Just(7), Just(8192)],
        in_memory in any::<bool>(),
        lean in any::<bool>(),
        back in any::<bool>(),
    ) {
        let mut now = 0;
        let views: Vec<View> = views
            .into_iter()
            .map(|(page, user, latency, leap)| {
                now += leap;
                // Out of order within the grace of sessions, which then merge.
                let late = back && matches!(kind, Kind::Sessions) && user % 5 == 0;
                (page, user, latency, if late { (now - i64::from(user % 30)).max(0) } else { now })
            })
            .collect();
        let exchange = if in_memory { ExchangeKind::Memory } else { ExchangeKind::Topic };
        let options =
            TestOptions { exchange, batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let answers = run(kind, moves, &views, &crashes, options)?;
        let plain = TestOptions { run_at_send: false, ..TestOptions::default() };
        let undisturbed = run(kind, moves, &views, &BTreeSet::new(), plain)?;
        prop_assert_eq!(&answers, &undisturbed);
        let windows = windows(kind, &views);
        prop_assert_eq!(
            answers.keys().collect::<Vec<_>>(), windows.keys().collect::<Vec<_>>()
        );
        for (window, numbers) in windows {
            let (visitors, count, spread) = &answers[&window];
            let users: BTreeSet<u32> = numbers.iter().map(|number| views[*number].1).collect();
            let mut latencies: Vec<_> = numbers.iter().map(|number| views[*number].2).collect();
            latencies.sort_by(f64::total_cmp);
            let truth = users.len() as f64;
            let bound = if users.len() <= 380 { 0.0 } else { 4.0 * 0.0163 * truth };
            prop_assert!((*visitors as f64 - truth).abs() <= bound, "{visitors} for {truth}");
            prop_assert_eq!(*count, latencies.len() as u64);
            let last = latencies.len() - 1;
            prop_assert_eq!(&spread[..2], [latencies[0], latencies[last]]);
            for (q, answer) in PLACES.into_iter().zip(&spread[2..]) {
                let exact = latencies[(q * last as f64) as usize];
                prop_assert!((answer - exact).abs() <= 0.010_000_1 * exact, "{answer}, {exact}");
            }
        }
    }
}

#[test]
fn a_number_that_is_none_is_for_the_policy() -> Result<()> {
    const NUMBERS: Topic<u8, Option<f64>> = Topic::json("numbers");
    const COUNTS: Topic<u8, u64> = Topic::json("counts");
    let topology = Topology::new("numbers");
    topology.on_error(Policy::Skip);
    let numbers = topology.stream(&NUMBERS);
    let spread = numbers.approximate_quantiles("spread", |it| it.unwrap_or(f64::NAN));
    spread.map(Quantiles::count).to(&COUNTS);
    let mut driver = TestDriver::new(topology.build()?)?;
    for number in [Some(1.0), None, Some(2.0)] {
        driver.send(&NUMBERS, 1, number, 0)?;
    }
    assert_eq!(driver.read_last(&COUNTS)?[&1], 2);
    assert_eq!(driver.metrics().skipped, 1);
    Ok(())
}

/// A table of estimates is one that keeps its rows: it may have a `ttl`, and is looked up in.
#[test]
fn estimates_are_a_table_like_any_other() -> Result<()> {
    const PAGES: Topic<u8, String> = Topic::json("pages");
    const SEEN: Topic<u8, Option<u64>> = Topic::json("seen");
    const NAMED: Topic<u8, (String, u64)> = Topic::json("named");
    let topology = Topology::new("pages");
    let visitors = topology.stream(&VIEWS).approximate_distinct("visitors", |view| view.0);
    let visitors = visitors.ttl(millis(100));
    topology.stream(&PAGES).join(&visitors, |page, count| (page, *count)).to(&NAMED);
    visitors.changes().to(&SEEN);
    let mut driver = TestDriver::new(topology.build()?)?;
    for (user, at) in [(7, 0), (8, 10), (7, 20)] {
        driver.send(&VIEWS, 1, (user, 0.0), at)?;
    }
    driver.send(&PAGES, 1, "home".into(), 30)?;
    driver.send(&VIEWS, 2, (7, 0.0), 120)?;
    let seen = driver.read(&SEEN)?.into_iter();
    let seen: Vec<_> = seen.map(|it| (it.key, it.value, it.at.as_millis())).collect();
    let gone = (1, None, 120);
    assert_eq!(
        seen,
        [(1, Some(1), 0), (1, Some(2), 10), (1, Some(2), 20), gone, (2, Some(1), 120)]
    );
    assert_eq!(driver.read(&NAMED)?[0].value, ("home".to_owned(), 2));
    Ok(())
}
