//! Joins of tables, and of a stream with a table, against plain loops over rules T2, K1, K3, Q1 to
//! Q3 and A6: any rows and removals in any order, any batches, stores and crashes.

use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use suiro::{Plan, Result, TestDriver, TestOptions, Topic, Topology};

const LEFT: Topic<String, u64> = Topic::json("left");
const RIGHT: Topic<String, u64> = Topic::json("right");
const ASKED: Topic<String, u64> = Topic::json("asked");

/// The joins: whether each goes without a row of the left side, and of the right side.
const JOINS: [(&str, bool, bool); 3] =
    [("inner", false, false), ("left", false, true), ("outer", true, true)];
const INNER: &str = "stream-inner";
const OUTER: &str = "stream-left";

fn out(name: &str) -> Topic<String, Option<String>> {
    Topic::json("out").named(format!("out-{name}"))
}

fn pair(left: Option<u64>, right: Option<u64>) -> String {
    format!("{left:?} {right:?}")
}

fn plan() -> Result<Plan> {
    let topology = Topology::new("joins");
    let (left, right) = (topology.table(&LEFT), topology.table(&RIGHT));
    let asked = topology.stream(&ASKED);
    let inner = left.clone().join(&right, |left, right| pair(Some(*left), Some(*right)));
    let with = left.clone().left_join(&right, |left, right| pair(Some(*left), right.copied()));
    let outer = left.outer_join(&right, |left, right| pair(left.copied(), right.copied()));
    for ((name, ..), table) in JOINS.into_iter().zip([inner, with, outer]) {
        table.changes().to(&out(name));
    }
    let found =
        asked.clone().join(&right, |asked, right| Some(pair(Some(asked), Some(*right))));
    found.to(&out(INNER));
    let all = asked.left_join(&right, |asked, right| Some(pair(Some(asked), right.copied())));
    all.to(&out(OUTER));
    topology.build()
}

/// What comes: into which topic, in order of their declaration, and when.
#[derive(Clone, Debug)]
struct Came {
    input: usize,
    key: String,
    value: Option<u64>,
    at: i64,
}

type Said = Vec<(String, Option<String>, i64)>;

/// The rows of both tables with their times, and what each output was sent.
#[derive(Default)]
struct Model {
    rows: [BTreeMap<String, (u64, i64)>; 2],
    said: BTreeMap<&'static str, Said>,
}

impl Model {
    /// Takes what is there: of the first of each input the one with the smallest time, and of
    /// equal ones that of the first input (T2).
    fn run(&mut self, group: &[Came]) {
        let mut inputs: [VecDeque<&Came>; 3] = Default::default();
        group.iter().for_each(|came| inputs[came.input].push_back(came));
        while let Some(next) = inputs
            .iter_mut()
            .filter(|input| !input.is_empty())
            .min_by_key(|input| input.front().map(|came| came.at))
        {
            match next.pop_front() {
                Some(came) if came.input == 2 => self.ask(came),
                Some(came) => self.update(came),
                None => {}
            }
        }
    }

    fn ask(&mut self, Came { key, value, at, .. }: &Came) {
        let row = self.rows[1].get(key).map(|(row, _)| *row);
        let mut say = |name, text| {
            self.said.entry(name).or_default().push((key.clone(), Some(text), *at));
        };
        if row.is_some() {
            say(INNER, pair(*value, row));
        }
        say(OUTER, pair(*value, row));
    }

    fn update(&mut self, Came { input, key, value, at }: &Came) {
        let before = self.sides(key);
        match value {
            Some(value) => self.rows[*input].insert(key.clone(), (*value, *at)),
            None => self.rows[*input].remove(key),
        };
        let after = self.sides(key);
        if before[*input].is_none() && after[*input].is_none() {
            return;
        }
        let other = self.rows[1 - input].get(key).map(|(_, at)| *at);
        let at = other.map_or(*at, |other| other.max(*at));
        for (name, without_left, without_right) in JOINS {
            let joined = |[left, right]: [Option<u64>; 2]| {
                let is_there = (left.is_some() || without_left)
                    && (right.is_some() || without_right)
                    && (left.is_some() || right.is_some());
                is_there.then(|| pair(left, right))
            };
            let (before, after) = (joined(before), joined(after));
            if before.is_some() || after.is_some() {
                self.said.entry(name).or_default().push((key.clone(), after, at));
            }
        }
    }

    fn sides(&self, key: &str) -> [Option<u64>; 2] {
        self.rows.each_ref().map(|rows| rows.get(key).map(|(row, _)| *row))
    }
}

fn came() -> impl Strategy<Value = Came> {
    let value = prop_oneof![3 => (0..9_u64).prop_map(Some), 2 => Just(None)];
    (0..3_usize, 0..3_u8, value, 0..12_i64).prop_map(|(input, key, value, at)| {
        let value = if input == 2 { value.or(Some(9)) } else { value };
        Came { input, key: key.to_string(), value, at }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every output, in order.
    #[test]
    fn joins_of_tables_say_what_the_rules_say(
        groups in prop::collection::vec(
            (prop::collection::vec(came(), 0..9), any::<bool>()), 1..6
        ),
        batch_rows in prop_oneof![Just(1_usize), Just(2), Just(8192)],
        lean in any::<bool>(),
    ) {
        let options =
            TestOptions { batch_rows, lean, run_at_send: false, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(plan()?, options)?;
        let (mut model, topics) = (Model::default(), [&LEFT, &RIGHT, &ASKED]);
        for (group, crashes) in &groups {
            for Came { input, key, value, at } in group {
                match value {
                    Some(value) => driver.send(topics[*input], key.clone(), *value, *at)?,
                    None => driver.remove(topics[*input], key.clone(), *at)?,
                }
            }
            driver.run()?;
            model.run(group);
            if *crashes {
                driver.crash()?;
            }
        }
        for name in JOINS.map(|(name, ..)| name).into_iter().chain([INNER, OUTER]) {
            let said = driver.read(&out(name))?.into_iter();
            let said: Said = said.map(|row| (row.key, row.value, row.at.as_millis())).collect();
            prop_assert_eq!(said, model.said.remove(name).unwrap_or_default(), "{}", name);
        }
    }
}
