//! Random programs on random inputs (rules D1 and D2): the result depends neither on batches,
//! nor on commits, nor on the kind of exchange, nor on crashes.
//!
//! `SUIRO_SEEDS=N` runs N seeds of each test; `SUIRO_SEED=N` runs that one.

#[path = "../../suiro/tests/machine/mod.rs"]
#[allow(dead_code, reason = "other tests drive engines with it too")]
mod machine;

use machine::{Input, Machine, Manner, Output, create, write};
use std::collections::{BTreeMap, BTreeSet};
use suiro::{ExchangeKind, Log, Result, Seed};
use suiro_sim::draw::{draw, draw_foreign_keys, draw_gaps};
use suiro_sim::model::{Arrival, Model};
use suiro_sim::program::{Family, Program, SOURCES, TABLES};
use suiro_sim::{act, build};

type Outputs = BTreeMap<&'static str, Vec<Output>>;

/// Runs `test` for many seeds, or for the one that is asked for.
fn for_seeds(count: u64, test: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SUIRO_SEED") {
        Some(seed) => test(seed),
        None => (0..number("SUIRO_SEEDS").unwrap_or(count)).for_each(test),
    }
}

/// Inputs with awkward times: ties, steps back, jumps, keys that collide.
fn inputs(seed: &mut Seed) -> Vec<Input> {
    let count = 4 + seed.below(40);
    let (mut at, mut all) = (seed.below(20) as i64, Vec::new());
    for number in 0..count {
        at = match seed.below(8) {
            0..=2 => at,
            3 | 4 => at + 1 + seed.below(4) as i64,
            5 => at + seed.below(30) as i64,
            6 => (at - seed.below(6) as i64).max(0),
            _ => (at - seed.below(40) as i64).max(0),
        };
        let topic = SOURCES[[0, 0, 0, 1, 1, 2, 2, 3][seed.below(8) as usize]];
        let is_removal = TABLES.contains(&topic) && seed.one_in(4);
        let value = (!is_removal).then(|| format!("v{number}"));
        all.push(Input { topic, key: Some(format!("k{}", seed.below(4))), value, at });
    }
    all
}

fn start(
    program: &Program,
    inputs: &[Input],
    partitions: u32,
    manner: Manner,
) -> Result<Machine> {
    let log = Log::in_memory();
    create(&log, &SOURCES, partitions)?;
    write(&log, inputs)?;
    Machine::open(build::plan(program, None)?, log, manner)
}

fn outputs(program: &Program, machine: &Machine) -> Result<Outputs> {
    let mut all = Outputs::new();
    for topic in program.sinks() {
        // How often the changelog of a table is written is not laid down.
        if program.table_behind(topic).is_some() {
            continue;
        }
        let records = match machine.read(topic) {
            // One that the program names while it runs is made when something is written there.
            Err(error) if error.to_string().starts_with("topic does not exist") => Vec::new(),
            records => records?,
        };
        if !records.is_empty() {
            all.insert(topic, records);
        }
    }
    Ok(all)
}

/// Draws a program for lanes beside each other whose late records do not depend on them.
fn draw_fixed(seed: &mut Seed) -> Program {
    loop {
        let program = draw(seed, Family::Parallel);
        if Model::new(&program, 3).wants_late().is_empty() {
            return program;
        }
    }
}

/// What the model says comes out of one partition.
fn modelled(program: &Program, inputs: &[Input], bounded: bool) -> Outputs {
    let mut model = Model::new(program, 1);
    for (offset, Input { topic, key, value, at }) in (0..).zip(inputs) {
        let (key, value) = (key.clone().unwrap_or_default(), value.clone());
        model.feed(topic, 0, Arrival::of(key, value, *at, offset));
    }
    model.run(bounded.then_some(&mut BTreeSet::new()));
    let output = |record: suiro_sim::model::Output| Output {
        key: record.key,
        value: record.value,
        at: record.at,
    };
    let out = model.out.into_iter();
    out.map(|((topic, _), all)| (topic, all.into_iter().map(output).collect())).collect()
}

/// The manners in which a program must give the same.
fn manners(bounded: bool, seed: &mut Seed) -> Vec<(Manner, Mischief)> {
    let mut all = Vec::new();
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        for (batch_rows, mischief) in [
            (8192, Mischief::None),
            (1, Mischief::None),
            (2 + seed.below(6) as usize, Mischief::Commits),
            (1 + seed.below(3) as usize, Mischief::Crashes),
            (8192, Mischief::Crashes),
        ] {
            let fetch_bytes = [1, 200, 1 << 20][seed.below(3) as usize];
            let lean = [Some(0), Some(4_000), None, None][seed.below(4) as usize];
            all.push((Manner { exchange, batch_rows, fetch_bytes, bounded, lean }, mischief));
        }
    }
    all
}

#[derive(Clone, Copy, Debug)]
enum Mischief {
    None,
    /// Commits at random.
    Commits,
    /// Crashes and commits at random.
    Crashes,
}

fn run(machine: &mut Machine, mischief: Mischief, seed: &mut Seed) -> Result<()> {
    match mischief {
        Mischief::None => machine.run(),
        Mischief::Commits => machine.run_wildly(seed, 0, 2),
        Mischief::Crashes => machine.run_wildly(seed, 4, 2),
    }
}

/// One row at a time, with a commit after each: the reference.
fn reference(program: &Program, inputs: &[Input], partitions: u32, bounded: bool) -> Outputs {
    let manner = Manner { batch_rows: 1, bounded, ..Manner::default() };
    let run = || {
        let mut machine = start(program, inputs, partitions, manner)?;
        machine.run_with(|machine| machine.commit().map(|_| ()))?;
        outputs(program, &machine)
    };
    run().unwrap_or_else(|error| {
        panic!("the reference failed: {}\n{}", error.report(), program.describe())
    })
}

struct Story<'a> {
    seed: u64,
    program: &'a Program,
    inputs: &'a [Input],
    manner: String,
}

impl Story<'_> {
    fn expect(&self, expected: &Outputs, actual: &Outputs) {
        // A topic with nothing left in it is one that was never written.
        let filled = |outputs: &Outputs| -> Outputs {
            let filled = outputs.iter().filter(|(_, records)| !records.is_empty());
            filled.map(|(topic, records)| (*topic, records.clone())).collect()
        };
        let (expected, actual) = (&filled(expected), &filled(actual));
        if expected == actual {
            return;
        }
        let mut text = format!("seed {} differs, {}\n", self.seed, self.manner);
        text += &self.program.describe();
        for Input { topic, key, value, at } in self.inputs {
            text += &format!("  in {topic}: {key:?} = {value:?} @ {at}\n");
        }
        let topics: BTreeSet<_> = expected.keys().chain(actual.keys()).copied().collect();
        for topic in topics {
            let (want, got) = (expected.get(topic), actual.get(topic));
            if want == got {
                continue;
            }
            let empty = Vec::new();
            let (want, got) = (want.unwrap_or(&empty), got.unwrap_or(&empty));
            for place in 0..want.len().max(got.len()) {
                let same = want.get(place) == got.get(place);
                let line = |record: Option<&Output>| match record {
                    Some(Output { key, value, at }) => {
                        format!("{key}={} @{at}", value.as_deref().unwrap_or("null"))
                    }
                    None => "-".to_owned(),
                };
                let mark = if same { ' ' } else { '!' };
                let (want, got) = (line(want.get(place)), line(got.get(place)));
                text += &format!("{mark} {topic} {place}: expected {want:50} got {got}\n");
            }
        }
        panic!("{text}");
    }
}

/// Runs a program in all manners, and holds what `view` sees of the outputs against `expected`.
fn hold(
    number: u64,
    program: &Program,
    inputs: &[Input],
    (partitions, bounded): (u32, bool),
    expected: &Outputs,
    view: impl Fn(Outputs) -> Outputs,
) {
    let mut seed = Seed::new(number ^ 0x5eed);
    for (manner, mischief) in manners(bounded, &mut seed) {
        let mut run = || {
            let mut machine = start(program, inputs, partitions, manner)?;
            run(&mut machine, mischief, &mut seed)?;
            outputs(program, &machine)
        };
        let name = format!("{manner:?}, {mischief:?}, {partitions} partitions");
        let actual = run().unwrap_or_else(|error| {
            panic!("seed {number}, {name}: {}\n{}", error.report(), program.describe())
        });
        Story { seed: number, program, inputs, manner: name }.expect(expected, &view(actual));
    }
}

#[test]
fn programs_without_exchanges_do_what_the_model_does() {
    for_seeds(40, |number| {
        let mut seed = Seed::new(number);
        let mut program = draw(&mut seed, Family::Local);
        draw_gaps(&mut Seed::new(number), &mut program);
        let inputs = inputs(&mut seed);
        for bounded in [false, true] {
            let expected = modelled(&program, &inputs, bounded);
            hold(number, &program, &inputs, (1, bounded), &expected, |outputs| outputs);
        }
    });
}

#[test]
fn programs_with_exchanges_do_what_the_model_does() {
    for_seeds(40, |number| {
        let mut seed = Seed::new(number);
        let mut program = draw(&mut seed, Family::Exchanged);
        draw_gaps(&mut Seed::new(number), &mut program);
        let inputs = inputs(&mut seed);
        for bounded in [false, true] {
            let expected = modelled(&program, &inputs, bounded);
            hold(number, &program, &inputs, (1, bounded), &expected, |outputs| outputs);
        }
    });
}

#[test]
fn several_partitions_come_to_the_same_rest() {
    for_seeds(40, |number| {
        let mut seed = Seed::new(number);
        let mut program = draw_fixed(&mut seed);
        draw_gaps(&mut Seed::new(number), &mut program);
        draw_foreign_keys(&mut Seed::new(number), &mut program);
        let inputs = inputs(&mut seed);
        let view = |outputs: Outputs| at_rest(&program, outputs);
        let expected = view(reference(&program, &inputs, 3, true));
        hold(number, &program, &inputs, (3, true), &expected, view);
    });
}

/// Of a table the last row of each key, of a stream all records, in any order.
fn at_rest(program: &Program, outputs: Outputs) -> Outputs {
    let view = |(topic, mut records): (&'static str, Vec<Output>)| {
        if let Some(table) = program.table_shown(topic) {
            let last: BTreeMap<_, _> =
                records.into_iter().map(|record| (record.key.clone(), record)).collect();
            // Whether rows that are gone ever were there depends on the order between lanes.
            let gone = act::changed(None);
            records =
                last.into_values().filter(|it| it.value.as_ref() != Some(&gone)).collect();
            if program.has_loose_times(table) {
                records.iter_mut().for_each(|record| record.at = 0);
            }
        }
        records.sort();
        (topic, records)
    };
    outputs.into_iter().map(view).collect()
}
