//! Time that goes on while nothing comes, against rule T5 by plain loops: one millisecond after
//! the other.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{
    App, ExchangeKind, Log, Plan, Producer, Reader, Result, Sessions, TestDriver, TestOptions,
    Topic, Topology, Tumbling, Within,
};
use suiro_core::partition::partition_of;

const EVENTS: Topic<String, u64> = Topic::json("events");
const OTHERS: Topic<String, u64> = Topic::json("others");
const SUMS: Topic<String, u64> = Topic::json("sums");
const SUMS_OF_SUMS: Topic<String, u64> = Topic::json("sums-of-sums");
const ROWS: Topic<String, Option<u64>> = Topic::json("rows");
const PAIRS: Topic<String, (u64, Option<u64>)> = Topic::json("pairs");

/// What the program is made of, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Spec {
    patience: i64,
    size: i64,
    grace: i64,
    gap: i64,
    ttl: i64,
    reach: i64,
    /// Whether the sums are summed behind an exchange.
    crosses: bool,
}

/// What happens: a record, or nothing for so many milliseconds.
#[derive(Clone, Debug)]
enum Step {
    Event(u8, u64, i64),
    Other(u8, u64, i64),
    Nothing(i64),
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

fn plan(spec: Spec) -> Result<Plan> {
    let topology = Topology::new("idle");
    topology.idle_after(millis(spec.patience));
    let events = topology.stream(&EVENTS);
    let others = topology.stream(&OTHERS);
    let windows = Tumbling::of(millis(spec.size)).grace(millis(spec.grace));
    let add = |sum: &mut u64, value: u64| *sum += value;
    let sums = events.clone().window(windows).fold("sums", || 0, add).on_close();
    let mut sums = sums.map(|window| window.value);
    sums.clone().to(&SUMS);
    if spec.crosses {
        sums = sums.map_with_key(|key, value| (key.clone(), value)).rekey(|pair| pair);
    }
    let sessions = sums.window(Sessions::with_gap(millis(spec.gap)));
    let totals = sessions.fold("totals", || 0, add, |sum, later| *sum += later).on_close();
    totals.map(|session| session.value).to(&SUMS_OF_SUMS);
    events.clone().fold("rows", || 0, add).ttl(millis(spec.ttl)).changes().to(&ROWS);
    let within = Within::of(millis(spec.reach));
    let pair = |left: &u64, right: Option<&u64>| (*left, right.copied());
    events.left_join_within("pairs", others, within, pair).to(&PAIRS);
    topology.build()
}

type Out<V> = Vec<(String, V, i64)>;

/// What the rule says.
#[derive(Default)]
struct Model {
    /// For how long nothing has come, to the first task and behind the exchange.
    silent: [i64; 2],
    /// The times of the windows, the sessions, the rows and the join.
    times: [Option<i64>; 4],
    /// By start and key: the sum and its time.
    windows: BTreeMap<(i64, String), (u64, i64)>,
    /// By key: first, last and sum.
    sessions: BTreeMap<String, Vec<(i64, i64, u64)>>,
    rows: BTreeMap<String, (u64, i64)>,
    /// By side, in order of arrival: key, value, time, and whether it was paired.
    kept: [Vec<(String, u64, i64, bool)>; 2],
    sums: Out<u64>,
    totals: Out<u64>,
    changes: Out<Option<u64>>,
    pairs: Out<(u64, Option<u64>)>,
}

impl Model {
    fn observe(&mut self, of: usize, at: i64) -> i64 {
        *self.times[of].insert(self.times[of].map_or(at, |time| time.max(at)))
    }

    fn take(&mut self, spec: Spec, step: &Step) {
        match step {
            Step::Nothing(millis) => (0..*millis).for_each(|_| self.pass(spec)),
            Step::Event(key, value, at) => {
                let key = format!("k{key}");
                self.silent[0] = 0;
                let now = self.observe(0, *at);
                let start = at - at % spec.size;
                if start + spec.size + spec.grace > now {
                    let window = self.windows.entry((start, key.clone())).or_insert((0, *at));
                    *window = (window.0 + value, window.1.max(*at));
                }
                self.close_windows(spec);
                let now = self.observe(2, *at);
                self.let_rows_go(spec);
                if at + spec.ttl > now {
                    let row = self.rows.entry(key.clone()).or_insert((0, *at));
                    *row = (row.0 + value, row.1.max(*at));
                    self.changes.push((key.clone(), Some(row.0), row.1));
                }
                self.join(spec, 0, key, *value, *at);
            }
            Step::Other(key, value, at) => {
                self.silent[0] = 0;
                self.join(spec, 1, format!("k{key}"), *value, *at);
            }
        }
    }

    /// A millisecond passes.
    fn pass(&mut self, spec: Spec) {
        let before = self.silent[1];
        self.silent.iter_mut().for_each(|silent| *silent += 1);
        let goes_on = |silent: i64| silent > spec.patience;
        let first = goes_on(self.silent[0]);
        for of in [0, 2, 3].into_iter().filter(|_| first) {
            self.times[of] = self.times[of].map(|time| time + 1);
        }
        if !spec.crosses && first {
            self.times[1] = self.times[1].map(|time| time + 1);
        }
        if first {
            self.close_windows(spec);
        }
        // Behind an exchange a sum that has come in this moment is a record like others.
        let came = self.silent[1] < before;
        if spec.crosses && !came && goes_on(self.silent[1]) {
            self.times[1] = self.times[1].map(|time| time + 1);
        }
        self.close_sessions(spec);
        if first {
            self.let_rows_go(spec);
            self.let_records_go(spec);
        }
    }

    fn close_windows(&mut self, spec: Spec) {
        let Some(now) = self.times[0] else { return };
        while let Some(first) = self.windows.first_entry()
            && first.key().0 + spec.size + spec.grace <= now
        {
            let ((_, key), (sum, at)) = first.remove_entry();
            self.sums.push((key.clone(), sum, at));
            self.silent[1] = 0;
            let now = self.observe(1, at);
            // What is closed takes part in no merge (rule W4).
            self.close_sessions(spec);
            let all = self.sessions.entry(key).or_default();
            let touches = |(first, last, _): &(i64, i64, u64)| {
                first - spec.gap <= at && at <= last + spec.gap
            };
            let joined: Vec<_> = all.extract_if(.., |session| touches(session)).collect();
            let start = joined.iter().map(|it| it.0).fold(at, i64::min);
            let end = joined.iter().map(|it| it.1).fold(at, i64::max);
            if end + spec.gap + 1 > now {
                all.push((start, end, joined.iter().map(|it| it.2).sum::<u64>() + sum));
            } else {
                all.extend(joined);
            }
            self.close_sessions(spec);
        }
    }

    fn close_sessions(&mut self, spec: Spec) {
        let Some(now) = self.times[1] else { return };
        let mut gone = Vec::new();
        for (key, all) in &mut self.sessions {
            let closed = all.extract_if(.., |(_, last, _)| *last + spec.gap < now);
            gone.extend(closed.map(|(first, last, sum)| (last, first, key.clone(), sum)));
        }
        gone.sort();
        self.totals.extend(gone.into_iter().map(|(last, _, key, sum)| (key, sum, last)));
    }

    fn let_rows_go(&mut self, spec: Spec) {
        let Some(now) = self.times[2] else { return };
        let over = |_: &String, row: &mut (u64, i64)| row.1 + spec.ttl <= now;
        let gone = self.rows.extract_if(.., over);
        let mut gone: Vec<_> = gone.map(|(key, (_, at))| (at + spec.ttl, key)).collect();
        gone.sort();
        self.changes.extend(gone.into_iter().map(|(at, key)| (key, None, at)));
    }

    fn let_records_go(&mut self, spec: Spec) {
        let Some(now) = self.times[3] else { return };
        let closed = |kept: &mut (String, u64, i64, bool)| kept.2 + spec.reach < now;
        self.kept[1].retain_mut(|kept| !closed(kept));
        let mut gone: Vec<_> = self.kept[0].extract_if(.., closed).collect();
        gone.retain(|kept| !kept.3);
        gone.sort_by(|left, right| (left.2, &left.0).cmp(&(right.2, &right.0)));
        self.pairs.extend(gone.into_iter().map(|(key, value, at, _)| (key, (value, None), at)));
    }

    fn join(&mut self, spec: Spec, side: usize, key: String, value: u64, at: i64) {
        let now = self.observe(3, at);
        self.let_records_go(spec);
        let others = self.kept[1 - side].iter_mut();
        let mut near: Vec<_> = others
            .filter(|other| other.0 == key && (other.2 - at).abs() <= spec.reach)
            .collect();
        near.sort_by_key(|other| other.2);
        let is_paired = !near.is_empty();
        for other in near {
            other.3 = true;
            let pair = if side == 0 { (value, Some(other.1)) } else { (other.1, Some(value)) };
            self.pairs.push((key.clone(), pair, at.max(other.2)));
        }
        if at + spec.reach >= now {
            self.kept[side].push((key, value, at, is_paired));
        } else if side == 0 && !is_paired {
            self.pairs.push((key, (value, None), at));
        }
    }
}

fn holds(spec: Spec, steps: &[Step], crashes: &[usize], options: TestOptions) -> Result<()> {
    let (mut model, mut now) = (Model::default(), 0);
    let mut driver = TestDriver::with_options(plan(spec)?, options)?;
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Event(key, value, at) => {
                driver.send(&EVENTS, format!("k{key}"), *value, *at)?;
            }
            Step::Other(key, value, at) => {
                driver.send(&OTHERS, format!("k{key}"), *value, *at)?;
            }
            // What crosses does so when the engine looks, and it must look at each moment.
            Step::Nothing(millis) if spec.crosses => {
                for _ in 0..*millis {
                    now += 1;
                    driver.advance_to(now)?;
                }
            }
            Step::Nothing(millis) => {
                now += millis;
                driver.advance_to(now)?;
            }
        }
        model.take(spec, step);
        if crashes.contains(&number) {
            driver.crash()?;
        }
    }
    assert_eq!(read(&mut driver, &SUMS)?, model.sums);
    assert_eq!(read(&mut driver, &SUMS_OF_SUMS)?, model.totals);
    let changes = driver.read_changes(&ROWS)?.into_iter();
    let changes = changes.map(|row| (row.key, row.value.flatten(), row.at.as_millis()));
    assert_eq!(changes.collect::<Vec<_>>(), model.changes);
    assert_eq!(read(&mut driver, &PAIRS)?, model.pairs);
    Ok(())
}

fn read<V: 'static>(driver: &mut TestDriver, topic: &Topic<String, V>) -> Result<Out<V>> {
    let rows = driver.read(topic)?.into_iter();
    Ok(rows.map(|row| (row.key, row.value, row.at.as_millis())).collect())
}

fn spec() -> impl Strategy<Value = Spec> {
    let times = (1..30_i64, 1..15_i64, 0..6_i64, 1..15_i64, 1..60_i64, 0..10_i64);
    (times, any::<bool>()).prop_map(|((patience, size, grace, gap, ttl, reach), crosses)| {
        Spec { patience, size, grace, gap, ttl, reach, crosses }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![4 => Just(0), 2 => Just(1), 3 => Just(2)];
    let leap = prop_oneof![6 => -3..6_i64, 1 => -20..30_i64];
    let step = (kind, 0..3_u8, 1..9_u64, leap, prop_oneof![1..6_i64, 1..60_i64]);
    prop::collection::vec(step, 1..30).prop_map(|steps| {
        let mut at = 30_i64;
        let step = |(kind, key, value, leap, nothing): (i32, u8, u64, i64, i64)| {
            if kind < 2 {
                at = (at + leap).max(0);
            }
            match kind {
                0 => Step::Event(key, value, at),
                1 => Step::Other(key, value, at),
                _ => Step::Nothing(nothing),
            }
        };
        steps.into_iter().map(step).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn time_goes_on_as_the_rule_says(
        spec in spec(),
        steps in steps(),
        crashes in prop::collection::vec(0..30_usize, 0..4),
        batch_rows in prop_oneof![Just(1_usize), Just(8192)],
        in_memory in any::<bool>(),
        lean in any::<bool>(),
    ) {
        let exchange = if in_memory { ExchangeKind::Memory } else { ExchangeKind::Topic };
        let options = TestOptions { exchange, batch_rows, lean, ..TestOptions::default() };
        holds(spec, &steps, &crashes, options).expect("the program runs");
    }
}

/// Sums in windows of ten milliseconds, five of silence.
fn sums() -> Result<Plan> {
    let topology = Topology::new("sums");
    topology.idle_after(millis(5));
    let windows = topology.stream(&EVENTS).window(Tumbling::of(millis(10)));
    let sums = windows.fold("sums", || 0, |sum, value| *sum += value).on_close();
    sums.map(|window| window.value).to(&SUMS);
    topology.build()
}

#[test]
fn what_came_while_nobody_looked_comes_before_time_goes_on() -> Result<()> {
    let options = TestOptions { run_at_send: false, ..TestOptions::default() };
    let mut driver = TestDriver::with_options(sums()?, options)?;
    driver.send(&EVENTS, "a".into(), 1, 5)?;
    driver.run()?;
    driver.send(&EVENTS, "a".into(), 2, 6)?;
    driver.advance_to(1_000_000)?;
    assert_eq!(read(&mut driver, &SUMS)?, []);
    driver.advance_to(1_000_009)?;
    assert_eq!(read(&mut driver, &SUMS)?, [("a".to_owned(), 3, 6)]);
    Ok(())
}

#[test]
fn each_partition_is_silent_for_itself() -> Result<()> {
    let key_of = |partition| {
        let mut keys = (0..).map(|number| format!("key-{number}"));
        // In the topic the key is its text.
        let is_there = |key: &String| partition_of(key.as_bytes(), 2) == partition;
        keys.find(is_there).expect("each partition has keys")
    };
    let (quiet, busy) = (key_of(0), key_of(1));
    let options = TestOptions { partitions: 2, ..TestOptions::default() };
    let mut driver = TestDriver::with_options(sums()?, options)?;
    driver.send(&EVENTS, quiet.clone(), 1, 5)?;
    for now in 0..10 {
        driver.send(&EVENTS, busy.clone(), 2, 5)?;
        driver.advance_to(now)?;
    }
    assert_eq!(read(&mut driver, &SUMS)?, []);
    driver.send(&EVENTS, busy, 2, 5)?;
    driver.advance_to(10)?;
    assert_eq!(read(&mut driver, &SUMS)?, [(quiet, 1, 5)]);
    Ok(())
}

#[test]
fn a_restart_goes_on_with_the_silence_and_the_time_between_is_none() -> Result<()> {
    let log = Log::in_memory();
    let start = || TestDriver::on_log(sums()?, TestOptions::default(), log.clone());
    let mut driver = start()?;
    driver.send(&EVENTS, "a".into(), 1, 5)?;
    driver.advance_to(8)?;
    drop(driver);
    // The clock of a new driver begins anew.
    let mut driver = start()?;
    driver.advance_to(1)?;
    assert_eq!(read(&mut driver, &SUMS)?, []);
    driver.advance_to(2)?;
    assert_eq!(read(&mut driver, &SUMS)?, [("a".to_owned(), 1, 5)]);
    Ok(())
}

#[test]
fn the_windows_of_an_app_close_by_its_clock() -> Result<()> {
    let log = Log::in_memory();
    let running = App::new(sums()?, log.clone()).partitions(1).start()?;
    let mut events = Producer::open(&log, &EVENTS)?;
    events.send("a".into(), 1, 5)?;
    events.flush()?;
    let mut sums = Reader::open(&log, &SUMS)?;
    let mut seen = Vec::new();
    while seen.is_empty() {
        seen = sums.follow(Duration::from_secs(10))?;
    }
    assert_eq!((seen.len(), seen[0].value), (1, Some(1)));
    running.shutdown()
}
