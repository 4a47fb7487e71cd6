//! Calls: results exactly once and in order of each key, whatever becomes of the calls.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use suiro::{
    App, Calls, DeadLetters, Error, ErrorKind, ExchangeKind, Log, Plan, Policy, Producer,
    Reader, Result, TestDriver, TestOptions, Topic, Topology,
};

const ASKED: Topic<u8, u64> = Topic::json("asked");
const GIVEN: Topic<u8, u64> = Topic::json("given");

/// What is called: it takes so many looks at it until a call ends, and knows who is calling.
#[derive(Default)]
struct Service {
    calls: AtomicUsize,
    under_way: Mutex<Vec<u64>>,
    most: AtomicUsize,
    overlaps: AtomicUsize,
}

impl Service {
    fn now(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, value: u64) {
        let mut now = self.now();
        if now.iter().any(|other| other % 5 == value % 5) {
            self.overlaps.fetch_add(1, Ordering::Relaxed);
        }
        now.push(value);
        self.most.fetch_max(now.len(), Ordering::Relaxed);
    }

    async fn call(self: Arc<Self>, value: u64) -> std::result::Result<u64, String> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.begin(value);
        let mut looks = value * 7 % 5;
        poll_fn(|_| match looks {
            0 => Poll::Ready(()),
            _ => {
                looks -= 1;
                Poll::Pending
            }
        })
        .await;
        self.now().retain(|other| *other != value);
        match value % 11 {
            10 => Err(format!("no {value} today")),
            _ => Ok(value * 2),
        }
    }

    fn plan(self: &Arc<Self>, how: Calls, moves: bool) -> Plan {
        let topology = Topology::new("calls");
        topology.on_error(Policy::Skip);
        let service = Arc::clone(self);
        let mut asked = topology.stream(&ASKED);
        if moves {
            asked = asked.key_by(|value| (value % 3) as u8);
        }
        asked.call("calls", how, move |value| Arc::clone(&service).call(value)).to(&GIVEN);
        topology.build().expect("the program is right")
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Run,
    Crash,
}

/// The results of each key, in order.
fn expected(asked: u64, moves: bool) -> BTreeMap<u8, Vec<u64>> {
    let mut all = BTreeMap::<u8, Vec<u64>>::new();
    for value in (0..asked).filter(|value| value % 11 != 10) {
        let key = if moves { value % 3 } else { value % 5 };
        all.entry(key as u8).or_default().push(value * 2);
    }
    all
}

fn hold(
    steps: &[Step],
    (how, in_order, moves): (Calls, bool, bool),
    options: TestOptions,
) -> Result<()> {
    let service = Arc::new(Service::default());
    // Behind several lanes records have no order that could be kept.
    let keeps_order = in_order && (!moves || options.partitions == 1);
    let mut driver = TestDriver::with_options(service.plan(how, moves), options)?;
    let (mut asked, mut has_crashed) = (0, false);
    for step in steps {
        match step {
            Step::Ask => {
                driver.send(&ASKED, (asked % 5) as u8, asked, 0)?;
                asked += 1;
            }
            Step::Run => driver.run()?,
            Step::Crash => {
                driver.crash()?;
                service.now().clear();
                has_crashed = true;
            }
        }
    }
    // Calls wait for looks at them, and not for anything that could be missed.
    for _ in 0..asked * 8 + 8 {
        driver.run()?;
    }
    let mut given = BTreeMap::<u8, Vec<u64>>::new();
    for row in driver.read(&GIVEN)? {
        given.entry(row.key).or_default().push(row.value);
    }
    if !keeps_order {
        given.values_mut().for_each(|values| values.sort_unstable());
    }
    assert_eq!(given, expected(asked, moves));
    let calls = service.calls.load(Ordering::Relaxed) as u64;
    assert!(
        calls == asked || calls > asked && has_crashed,
        "{calls} calls for {asked} records"
    );
    if in_order && !moves {
        assert_eq!(
            service.overlaps.load(Ordering::Relaxed),
            0,
            "two calls of one key at a time"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn results_are_given_once_and_in_order_of_each_key(
        steps in prop::collection::vec(
            prop_oneof![6 => Just(Step::Ask), 2 => Just(Step::Run), 1 => Just(Step::Crash)],
            0..60,
        ),
        limit in 1..6_usize,
        in_order in any::<bool>(),
        moves in any::<bool>(),
        partitions in 1..3_u32,
        batch_rows in prop_oneof![Just(1_usize), Just(8192)],
        exchange in prop_oneof![Just(ExchangeKind::Memory), Just(ExchangeKind::Topic)],
        run_at_send in any::<bool>(),
    ) {
        let how = Calls::at_most(limit);
        let how = if in_order { how } else { how.unordered() };
        let options =
            TestOptions { partitions, batch_rows, exchange, run_at_send, ..TestOptions::default() };
        hold(&steps, (how, in_order, moves), options)?;
    }
}

#[test]
fn no_more_are_under_way_than_allowed() -> Result<()> {
    for (how, most) in [(Calls::at_most(3), 3), (Calls::at_most(50), 5)] {
        let service = Arc::new(Service::default());
        let options = TestOptions { run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(service.plan(how, false), options)?;
        for value in 0..100 {
            driver.send(&ASKED, (value % 5) as u8, value, 0)?;
        }
        for _ in 0..1_000 {
            driver.run()?;
        }
        assert_eq!(driver.read(&GIVEN)?.len(), 100 - 9);
        assert_eq!(service.most.load(Ordering::Relaxed), most);
        assert_eq!(driver.metrics().skipped, 9);
    }
    Ok(())
}

/// A plan whose calls fail as long as `fails` is above zero.
fn failing(fails: &Arc<AtomicUsize>, how: Calls, policy: Policy) -> Plan {
    let topology = Topology::new("fails");
    topology.on_error(policy);
    let fails = Arc::clone(fails);
    let ask = move |value: u64| {
        let left = fails.load(Ordering::Relaxed);
        fails.store(left.saturating_sub(1), Ordering::Relaxed);
        async move { if left > 0 && value == 7 { Err("out of tea") } else { Ok(value) } }
    };
    topology.stream(&ASKED).call("calls", how, ask).to(&GIVEN);
    topology.build().expect("the program is right")
}

fn values(driver: &mut TestDriver) -> Result<Vec<u64>> {
    Ok(driver.read(&GIVEN)?.into_iter().map(|row| row.value).collect())
}

#[test]
fn a_call_that_fails_is_made_again_after_pauses() -> Result<()> {
    let fails = Arc::new(AtomicUsize::new(2));
    let how = Calls::at_most(1).retries(2).pause(Duration::from_millis(50));
    let mut driver = TestDriver::new(failing(&fails, how, Policy::Stop))?;
    driver.send(&ASKED, 1, 7, 0)?;
    // After 50 ms, and after 100 more.
    for at in [49, 50, 149] {
        driver.advance_to(at)?;
        assert!(values(&mut driver)?.is_empty());
    }
    assert_eq!(fails.load(Ordering::Relaxed), 0);
    driver.advance_to(150)?;
    assert_eq!(values(&mut driver)?, [7]);
    Ok(())
}

#[test]
fn a_call_that_takes_too_long_is_a_failed_one() -> Result<()> {
    let topology = Topology::new("slow");
    topology.on_error(Policy::Skip);
    let ask = |value: u64| async move {
        if value == 7 {
            std::future::pending::<()>().await;
        }
        Ok::<_, std::io::Error>(value)
    };
    let how = Calls::at_most(1).timeout(Duration::from_millis(30));
    topology.stream(&ASKED).call("calls", how, ask).to(&GIVEN);
    let mut driver = TestDriver::new(topology.build()?)?;
    for value in 6..9 {
        driver.send(&ASKED, 1, value, 0)?;
    }
    driver.advance_to(29)?;
    assert_eq!(values(&mut driver)?, [6]);
    driver.advance_to(30)?;
    assert_eq!(values(&mut driver)?, [8]);
    assert_eq!(driver.metrics().skipped, 1);
    Ok(())
}

#[test]
fn the_policy_says_what_becomes_of_a_call_that_failed() -> Result<()> {
    let fails = Arc::new(AtomicUsize::new(usize::MAX));
    let options = || TestOptions { run_at_send: false, ..TestOptions::default() };
    let ask = |driver: &mut TestDriver| -> Result<()> {
        for value in 5..10 {
            driver.send(&ASKED, value as u8, value, 0)?;
        }
        driver.run()
    };

    let log = Log::in_memory();
    let plan = || failing(&fails, Calls::at_most(8), Policy::Stop);
    let mut driver = TestDriver::on_log(plan(), options(), log.clone())?;
    let error: Error = ask(&mut driver).unwrap_err();
    for part in ["call calls", "out of tea"] {
        assert!(error.report().contains(part), "{}", error.report());
    }
    // All before it is committed, and the next start makes the call again.
    assert_eq!(values(&mut driver)?, [5, 6]);
    drop(driver);
    fails.store(0, Ordering::Relaxed);
    let mut driver = TestDriver::on_log(plan(), options(), log)?;
    driver.run()?;
    let mut all = values(&mut driver)?;
    all.sort_unstable();
    assert_eq!(all, [5, 6, 7, 8, 9]);

    fails.store(usize::MAX, Ordering::Relaxed);
    let plan = failing(&fails, Calls::at_most(8), Policy::DeadLetter("dead"));
    let mut driver = TestDriver::with_options(plan, options())?;
    ask(&mut driver)?;
    let mut all = values(&mut driver)?;
    all.sort_unstable();
    assert_eq!(all, [5, 6, 8, 9]);
    let letters = DeadLetters::open(driver.log(), "dead")?.list()?;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].cause.contains("out of tea"), "{}", letters[0].cause);
    assert_eq!(letters[0].key.as_deref(), Some(&b"7"[..]));
    assert!(letters[0].value.is_some());
    Ok(())
}

#[test]
fn what_fails_behind_a_call_does_not_make_it_again() -> Result<()> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let topology = Topology::new("behind");
    topology.on_error(Policy::Skip);
    let ask = move |value: u64| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut looks = 4;
        poll_fn(move |_| match looks {
            0 => Poll::Ready(Ok::<_, std::io::Error>(value)),
            _ => {
                looks -= 1;
                Poll::Pending
            }
        })
    };
    let given = topology.stream(&ASKED).call("calls", 8, ask);
    let sums = given.fold(
        "sums",
        || 0,
        |sum: &mut u64, value| {
            assert!(value != 7, "seven");
            *sum += value;
        },
    );
    sums.to(&GIVEN);
    let mut driver = TestDriver::new(topology.build()?)?;
    for value in 5..10 {
        driver.send(&ASKED, 1, value, 0)?;
    }
    for _ in 0..20 {
        driver.run()?;
    }
    assert_eq!(driver.read_last(&GIVEN)?[&1], 5 + 6 + 8 + 9);
    assert_eq!(calls.load(Ordering::Relaxed), 5);
    assert_eq!(driver.metrics().skipped, 1);
    Ok(())
}

#[test]
fn a_bounded_run_waits_for_its_calls() -> Result<()> {
    let log = Log::in_memory();
    let mut asked = Producer::open(&log, &ASKED)?;
    asked.create(3)?;
    for value in 0..500 {
        asked.send((value % 50) as u8, value, 0)?;
    }
    asked.flush()?;
    let topology = Topology::new("bounded");
    let ask = |value: u64| async move {
        for _ in 0..value % 7 {
            tokio::task::yield_now().await;
        }
        Ok::<_, std::io::Error>(value)
    };
    let given = topology.stream(&ASKED).call("calls", 16, ask);
    given.fold("sums", || 0, |sum: &mut u64, value| *sum += value).to(&GIVEN);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).build().expect("a runtime starts");
    let executor = OnTokio(runtime.handle().clone());
    App::new(topology.build()?, log.clone()).executor(executor).run_to_end()?;
    let mut sums = BTreeMap::new();
    for row in Reader::open(&log, &GIVEN)?.read_to_end()? {
        sums.insert(row.key, row.value);
    }
    assert_eq!(sums.into_values().flatten().sum::<u64>(), 500 * 499 / 2);
    Ok(())
}

/// Windows close, calls are made for them, and windows behind those close when they have ended.
#[test]
fn a_bounded_run_ends_in_order_of_what_follows() -> Result<()> {
    const DAYS: Topic<u8, u64> = Topic::json("days");
    let minute = || suiro::Tumbling::of(Duration::from_mins(1));
    let topology = Topology::new("ends");
    let minutes = topology.stream(&ASKED).window(minute()).count("minutes").on_close();
    let ask = |count: u64| {
        let mut looks = 3;
        poll_fn(move |_| match looks {
            0 => Poll::Ready(Ok::<_, std::io::Error>(count * 10)),
            _ => {
                looks -= 1;
                Poll::Pending
            }
        })
    };
    let asked = minutes.map(|minute| minute.value).call("calls", 2, ask);
    let sums = asked.window(minute()).fold("sums", || 0, |sum: &mut u64, tens| *sum += tens);
    sums.on_close().map(|minute| minute.value).to(&DAYS);
    let mut driver = TestDriver::new(topology.build()?)?;
    for (key, at) in [(1, 0), (2, 5), (1, 9)] {
        driver.send(&ASKED, key, 0, at)?;
    }
    driver.finish()?;
    let mut days: Vec<_> =
        driver.read(&DAYS)?.into_iter().map(|row| (row.key, row.value)).collect();
    days.sort_unstable();
    assert_eq!(days, [(1, 20), (2, 10)]);
    Ok(())
}

/// As `TokioExecutor`, which is there with its feature only.
struct OnTokio(tokio::runtime::Handle);

impl suiro::Executor for OnTokio {
    fn spawn(&self, work: suiro::Work) {
        drop(self.0.spawn(work));
    }

    fn sleep(&self, _time: Duration) -> suiro::Work {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_program_that_makes_calls_needs_who_runs_them() -> Result<()> {
    let log = Log::in_memory();
    let plan = Arc::new(Service::default()).plan(Calls::at_most(1), false);
    let error = App::new(plan, log).partitions(1).start().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.report().contains("give the app an executor"), "{}", error.report());

    let topology = Topology::new("none");
    let none = |value: u64| async move { Ok::<_, std::io::Error>(value) };
    topology.stream(&ASKED).call("calls", 0, none).to(&GIVEN);
    let error = topology.build().err().expect("no call may be made");
    assert!(error.report().contains("allow one at least"), "{}", error.report());
    Ok(())
}
