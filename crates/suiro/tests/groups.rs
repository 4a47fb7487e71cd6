//! Rows of a table in groups (rule A2), against a model made of the rule alone.

#[path = "machine/mod.rs"]
#[allow(dead_code, reason = "other tests drive engines with it too")]
mod machine;

use machine::{Input, Machine, Manner, Output, create, write};
use std::collections::BTreeMap;
use suiro::{
    App, DeadLetters, ExchangeKind, JsonKey, Log, Plan, Policy, Producer, Result, Seed,
    TestDriver, TestOptions, Text, Topic, Topology,
};

const IN: Topic<String, String> = Topic::of("in", &JsonKey, &Text);
const OUT: Topic<String, String> = Topic::of("out", &JsonKey, &Text);
const COUNTS: Topic<String, u64> = Topic::json("counts");
const ASKS: Topic<String, String> = Topic::of("asks", &JsonKey, &Text);
const ANSWERS: Topic<String, String> = Topic::of("answers", &JsonKey, &Text);

/// Values are `group|rest`.
fn group_of(value: &str) -> String {
    value.split('|').next().unwrap_or_default().to_owned()
}

/// A fold that shows the order of everything.
fn listed(topology: &Topology) -> suiro::Table<String, String> {
    let groups = topology.table(&IN).group_by(|value| group_of(value));
    groups.fold(
        "lists",
        || "0".to_owned(),
        |list, value| *list += &format!("+{value}"),
        |list, value| *list += &format!("-{value}"),
    )
}

fn changes(topology: Topology) -> Result<Plan> {
    listed(&topology).changes().map(|row| row.unwrap_or("gone".to_owned())).to(&OUT);
    topology.build()
}

/// What the rule says, step by step: the rows of the table, and of each group its value, its
/// rows and its time.
#[derive(Default)]
struct Model {
    rows: BTreeMap<String, String>,
    groups: BTreeMap<String, (String, usize, i64)>,
}

impl Model {
    fn take(&mut self, key: &str, new: Option<&String>, at: i64) -> Vec<Output> {
        let old = match new {
            Some(value) => self.rows.insert(key.to_owned(), value.clone()),
            None => self.rows.remove(key),
        };
        let mut out = Vec::new();
        let group = |value: Option<&String>| value.map(|value| group_of(value));
        let (from, to) = (group(old.as_ref()), group(new));
        if from == to {
            out.extend(to.map(|to| self.change(&to, old.as_ref(), new, at)));
        } else {
            out.extend(from.map(|from| self.change(&from, old.as_ref(), None, at)));
            out.extend(to.map(|to| self.change(&to, None, new, at)));
        }
        out
    }

    fn change(
        &mut self,
        key: &str,
        old: Option<&String>,
        new: Option<&String>,
        at: i64,
    ) -> Output {
        let fresh = ("0".to_owned(), 0, i64::MIN);
        let (mut list, mut rows, last) = self.groups.remove(key).unwrap_or(fresh);
        for (sign, value) in [("-", old), ("+", new)] {
            list.extend(value.map(|value| format!("{sign}{value}")));
        }
        rows = rows + usize::from(new.is_some()) - usize::from(old.is_some());
        let at = at.max(last);
        let value = if rows == 0 { "gone".to_owned() } else { list.clone() };
        if rows > 0 {
            self.groups.insert(key.to_owned(), (list, rows, at));
        }
        Output { key: key.to_owned(), value: Some(value), at }
    }
}

/// Changes of five rows in three groups, with removals; `ordered`: time never goes back.
fn inputs(seed: &mut Seed, count: i64, ordered: bool) -> Vec<Input> {
    let mut input = |number: i64| {
        let at = number * 10 - if ordered { 0 } else { seed.below(50) as i64 };
        let value = format!("g{}|{number}", seed.below(3));
        Input {
            topic: "in",
            key: Some(format!("k{}", seed.below(5))),
            value: (!seed.one_in(4)).then_some(value),
            at: at.max(0),
        }
    };
    (0..count).map(&mut input).collect()
}

/// All kinds of exchange, batches and stores.
fn manners() -> impl Iterator<Item = TestOptions> {
    let kinds = [ExchangeKind::Memory, ExchangeKind::Topic].into_iter();
    kinds.flat_map(|exchange| {
        let kinds = [(1, false), (3, false), (8192, false), (3, true)].into_iter();
        kinds.map(move |(batch_rows, lean)| TestOptions {
            exchange,
            batch_rows,
            lean,
            ..TestOptions::default()
        })
    })
}

fn send(driver: &mut TestDriver, input: &Input) -> Result<()> {
    let key = input.key.clone().unwrap_or_default();
    match &input.value {
        Some(value) => driver.send(&IN, key, value.clone(), input.at),
        None => driver.remove(&IN, key, input.at),
    }
}

fn read(driver: &mut TestDriver) -> Result<Vec<Output>> {
    let rows = driver.read(&OUT)?.into_iter();
    let output = |row: suiro::Record<String, String>| Output {
        key: row.key,
        value: Some(row.value),
        at: row.at.as_millis(),
    };
    Ok(rows.map(output).collect())
}

#[test]
fn every_change_is_that_of_the_rule() -> Result<()> {
    let mut seed = Seed::new(1);
    for round in 0..6 {
        let inputs = inputs(&mut seed, 40, false);
        for options in manners() {
            let options = TestOptions { partitions: [1, 3][round % 2], ..options };
            let mut driver =
                TestDriver::with_options(changes(Topology::new("groups"))?, options)?;
            let mut model = Model::default();
            for input in &inputs {
                send(&mut driver, input)?;
                let key = input.key.as_deref().unwrap_or_default();
                let mut expected = model.take(key, input.value.as_ref(), input.at);
                let mut got = read(&mut driver)?;
                if round % 2 == 1 {
                    // The groups are in several partitions; their order was shown with one.
                    expected.sort();
                    got.sort();
                }
                assert_eq!(got, expected, "after {input:?}");
                if seed.one_in(4) {
                    driver.crash()?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn batches_change_nothing() -> Result<()> {
    let mut seed = Seed::new(2);
    for _ in 0..6 {
        let inputs = inputs(&mut seed, 60, true);
        let mut model = Model::default();
        let mut expected = Vec::new();
        for input in &inputs {
            let key = input.key.as_deref().unwrap_or_default();
            expected.extend(model.take(key, input.value.as_ref(), input.at));
        }
        for options in manners() {
            let options = TestOptions { run_at_send: false, ..options };
            let mut driver =
                TestDriver::with_options(changes(Topology::new("groups"))?, options)?;
            for input in &inputs {
                send(&mut driver, input)?;
            }
            driver.run()?;
            assert_eq!(read(&mut driver)?, expected);
        }
    }
    Ok(())
}

/// What a topic has for each key at last.
fn last(rows: Vec<Output>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for Output { key, value, .. } in rows {
        match value {
            Some(value) => all.insert(key, value),
            None => all.remove(&key),
        };
    }
    all
}

/// Sums and counts of the rows with even numbers; a sum is grouped once more, by its parity.
fn sums() -> Result<Plan> {
    let number =
        |value: &str| value.split('|').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let topology = Topology::new("sums");
    let even = topology.table(&IN).filter(move |value| number(value) % 2 == 0);
    even.clone().group_by(|value| group_of(value)).count("counts").to(&COUNTS);
    let sums =
        even.map(move |value| (group_of(value), number(value))).group_by(|row| row.0.clone());
    let sums = sums.fold("sums", || 0_i64, |sum, row| *sum += row.1, |sum, row| *sum -= row.1);
    sums.clone().map(i64::to_string).to(&OUT);
    sums.group_by(|sum| (sum % 4).to_string())
        .count("classes")
        .map(u64::to_string)
        .to(&ANSWERS);
    topology.build()
}

#[test]
fn at_rest_the_groups_are_those_of_the_table() -> Result<()> {
    let mut seed = Seed::new(3);
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        for (batch_rows, fetch_bytes, lean) in
            [(2, 1_000, None), (100, 500, Some(0)), (8192, 1 << 20, None)]
        {
            let inputs = inputs(&mut seed, 150, false);
            let log = Log::in_memory();
            create(&log, &["in"], 3)?;
            let manner = Manner { exchange, batch_rows, fetch_bytes, bounded: false, lean };
            let mut machine = Machine::open(sums()?, log, manner)?;
            for part in inputs.chunks(50) {
                write(&machine.log, part)?;
                machine.run_wildly(&mut seed, 20, 5)?;
            }

            let mut rows = BTreeMap::new();
            for Input { key, value, .. } in &inputs {
                let number = |value: &String| value.split('|').nth(1).map(|n| n.parse::<i64>());
                let even = value.clone().filter(
                    |value| matches!(number(value), Some(Ok(number)) if number % 2 == 0),
                );
                rows.insert(key.clone(), even);
            }
            let mut sums: BTreeMap<_, i64> = BTreeMap::new();
            let mut counts = BTreeMap::new();
            for value in rows.values().flatten() {
                let number: i64 = value
                    .split('|')
                    .nth(1)
                    .expect("it has two parts")
                    .parse()
                    .expect("a number");
                *sums.entry(group_of(value)).or_default() += number;
                *counts.entry(group_of(value)).or_default() += 1;
            }
            let mut classes = BTreeMap::new();
            for sum in sums.values() {
                *classes.entry((sum % 4).to_string()).or_default() += 1;
            }
            let text = |all: BTreeMap<String, i64>| -> BTreeMap<String, String> {
                all.into_iter().map(|(key, number)| (key, number.to_string())).collect()
            };
            assert_eq!(last(machine.read("out")?), text(sums));
            assert_eq!(last(machine.read("counts")?), text(counts));
            assert_eq!(last(machine.read("answers")?), text(classes));
        }
    }
    Ok(())
}

#[test]
fn groups_are_looked_up_and_joined() -> Result<()> {
    const NAMES: Topic<String, String> = Topic::of("names", &JsonKey, &Text);
    for options in manners() {
        let topology = Topology::new("joined");
        let groups = listed(&topology);
        let asks = topology.stream(&ASKS);
        asks.left_join(&groups, |ask, list| {
            format!("{ask} {}", list.map_or("nothing", String::as_str))
        })
        .to(&ANSWERS);
        let names = topology.table(&NAMES);
        groups.join(&names, |list, name| format!("{name}: {list}")).to(&OUT);
        let options = TestOptions { partitions: 2, ..options };
        let mut driver = TestDriver::with_options(topology.build()?, options)?;

        driver.send(&ASKS, "g".into(), "first".into(), 0)?;
        driver.send(&IN, "k".into(), "g|1".into(), 1)?;
        driver.send(&ASKS, "g".into(), "second".into(), 2)?;
        driver.send(&NAMES, "g".into(), "name".into(), 3)?;
        driver.send(&IN, "k".into(), "h|2".into(), 4)?;
        driver.send(&ASKS, "g".into(), "third".into(), 5)?;
        let answers: Vec<_> = driver.read(&ANSWERS)?.into_iter().map(|row| row.value).collect();
        assert_eq!(answers, ["first nothing", "second 0+g|1", "third nothing"]);
        let joined = driver.read_changes(&OUT)?.into_iter();
        let joined: Vec<_> = joined.map(|row| (row.value, row.at.as_millis())).collect();
        assert_eq!(joined, [(Some("name: 0+g|1".into()), 3), (None, 4)]);
    }
    Ok(())
}

/// A row that is empty and one that is not there are two things, in memory and on the way.
#[test]
fn rows_of_nothing_are_rows() -> Result<()> {
    const SEATS: Topic<String, Option<u32>> = Topic::json("seats");
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        let topology = Topology::new("seats");
        let seats =
            topology.stream(&SEATS).fold("taken", || None, |seat, number| *seat = number);
        let groups = seats.group_by(Option::is_some);
        let count = groups.fold("seated", || 0_u64, |n, _| *n += 1, |n, _| *n -= 1);
        count.map(|n| *n).group_by(|n| n.to_string()).count("by-count").to(&COUNTS);
        let options = TestOptions { exchange, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        driver.send(&SEATS, "ann".into(), None, 0)?;
        driver.send(&SEATS, "bob".into(), None, 1)?;
        driver.send(&SEATS, "ann".into(), Some(7), 2)?;
        assert_eq!(driver.read_last(&COUNTS)?, BTreeMap::from([("1".to_owned(), 2)]));
    }
    Ok(())
}

/// User code that cannot take values with a `!` where it groups, a `?` where it adds and
/// subtracts.
fn fragile(policy: Policy) -> Result<Plan> {
    let topology = Topology::new("fragile");
    topology.on_error(policy);
    let group = |value: &String| {
        assert!(!value.contains('!'), "a bad value");
        group_of(value)
    };
    let fold = |sign: &'static str| {
        move |list: &mut String, value: String| {
            *list += sign;
            *list += &value;
            assert!(!value.contains('?'), "a bad value");
        }
    };
    let groups = topology.table(&IN).group_by(group);
    let lists = groups.fold("lists", || "0".to_owned(), fold("+"), fold("-"));
    lists.changes().map(|row| row.unwrap_or("gone".to_owned())).to(&OUT);
    topology.build()
}

/// A row, the changes of groups that follow, and how many are skipped.
type Step = (&'static str, Option<&'static str>, &'static [(&'static str, &'static str)], u64);

/// Rows that are skipped come, stay and go; each is skipped once where it is grouped, and where
/// it is added and where it is subtracted.
const FRAGILE: &[Step] = &[
    ("a", Some("g|1"), &[("g", "0+g|1")], 0),
    ("b", Some("g|2?"), &[], 1),
    ("c", Some("g|3!"), &[], 1),
    // A bad row becomes a good one: there is nothing to subtract.
    ("b", Some("g|4"), &[("g", "0+g|1+g|4")], 1),
    ("c", Some("g|5"), &[("g", "0+g|1+g|4+g|5")], 0),
    // A good row becomes a bad one, and goes.
    ("c", Some("g|6!"), &[("g", "0+g|1+g|4+g|5-g|5")], 1),
    ("b", Some("g|7?"), &[("g", "0+g|1+g|4+g|5-g|5-g|4")], 1),
    ("b", Some("h|8"), &[("h", "0+h|8")], 1),
    ("c", None, &[], 0),
    // The rows that were skipped are not counted: this is the last.
    ("b", Some("g|9?"), &[("h", "gone")], 1),
    ("a", None, &[("g", "gone")], 0),
    ("b", None, &[], 0),
];

#[test]
fn a_row_that_fails_is_in_no_group() -> Result<()> {
    for policy in [Policy::Skip, Policy::DeadLetter("dead")] {
        for options in manners() {
            let log = Log::in_memory();
            let plan = fragile(policy)?;
            let mut driver = TestDriver::on_log(plan, options, log.clone())?;
            let mut skipped = 0;
            for (at, (key, value, expected, more)) in FRAGILE.iter().enumerate() {
                let key = Some((*key).to_owned());
                let value = value.map(str::to_owned);
                send(&mut driver, &Input { topic: "in", key, value, at: at as i64 })?;
                let got: Vec<_> =
                    read(&mut driver)?.into_iter().map(|row| (row.key, row.value)).collect();
                let expected: Vec<_> = expected
                    .iter()
                    .map(|(group, value)| ((*group).to_owned(), Some((*value).to_owned())))
                    .collect();
                assert_eq!(got, expected, "step {at}");
                skipped += more;
                assert_eq!(driver.metrics().skipped, skipped, "step {at}");
            }
            if policy != Policy::Skip {
                assert_eq!(DeadLetters::open(&log, "dead")?.list()?.len() as u64, skipped);
            }
        }
    }
    Ok(())
}

#[test]
fn stop_stops_at_a_row_that_fails() -> Result<()> {
    for (value, step) in [("g|!", "step=`group_by`"), ("g|?", "step=`group fold lists`")] {
        let mut driver = TestDriver::new(fragile(Policy::Stop)?)?;
        driver.send(&IN, "a".into(), "g|1".into(), 0)?;
        let failure = driver.send(&IN, "b".into(), value.into(), 1);
        let report = failure.expect_err("the second row cannot be taken").report();
        assert!(report.contains(step) && report.contains("a bad value"), "{report}");
        assert_eq!(read(&mut driver)?.len(), 1);
    }
    Ok(())
}

#[test]
fn groups_are_queried_and_migrated() -> Result<()> {
    let log = Log::in_memory();
    let mut rows = Producer::open(&log, &IN)?;
    rows.create(2)?;
    for (key, value) in [("a", "g|1"), ("b", "g|2"), ("c", "h|3")] {
        rows.send(key.into(), value.into(), 5)?;
    }
    rows.flush()?;
    let topology = Topology::new("app");
    let _counts = topology.table(&IN).group_by(|value| group_of(value)).count("counts");
    let running = App::new(topology.build()?, log.clone()).start()?;
    let counts = running.query::<String, u64>("counts")?;
    while counts.get(&"h".into())?.is_none() || counts.get(&"g".into())? != Some(2) {
        std::thread::yield_now();
    }
    let mut all = counts.all()?;
    all.sort_by(|left, right| left.key.cmp(&right.key));
    let all: Vec<_> = all.into_iter().map(|row| (row.key, row.value, row.at)).collect();
    assert_eq!(all, [("g".into(), 2, 5.into()), ("h".into(), 1, 5.into())]);
    assert!(running.query::<String, String>("counts")?.get(&"g".into()).is_err());
    running.shutdown()?;

    // The next version keeps a list of what came since, too; the number of rows stays.
    let topology = Topology::new("app");
    topology.migrate("counts", |count: u64| format!("{count}"));
    let groups = topology.table(&IN).group_by(|value| group_of(value));
    let lists = groups.fold(
        "counts",
        String::new,
        |list, value| *list += &format!("+{value}"),
        |list, value| *list += &format!("-{value}"),
    );
    lists.to(&OUT);
    let mut driver = TestDriver::on_log(topology.build()?, TestOptions::default(), log)?;
    driver.remove(&IN, "c".into(), 6)?;
    driver.remove(&IN, "a".into(), 7)?;
    let out: Vec<_> =
        driver.read_changes(&OUT)?.into_iter().map(|row| (row.key, row.value)).collect();
    assert!(out.contains(&("h".into(), None)), "{out:?}");
    assert!(out.contains(&("g".into(), Some("2-g|1".into()))), "{out:?}");
    Ok(())
}
