//! Whether a program has written what it should have.

use super::broker::Broker;
use super::input::{Input, first_number, other_key, row};
use super::programs::{COUNTS, JOINED, Program, SIZE, SUMS, VALUES, addend};
use crate::benches::Outcome;
use crate::digest::Digest;
use hashbrown::HashMap;

/// Reads back what a program has written, and holds it against the same work in memory.
pub fn check(program: Program, broker: &Broker, input: &Input, output: &str) -> Outcome<()> {
    let (written, expected) = (written(program, broker, output)?, expected(program, input));
    if written == expected {
        return Ok(());
    }
    let (written, expected) = (written.0, expected.0);
    Err(format!("wrote {written:016x}, and {expected:016x} is right").into())
}

fn written(program: Program, broker: &Broker, output: &str) -> Outcome<Digest> {
    let mut digest = Digest::default();
    match program {
        Program::Stateless => broker.each(&VALUES.named(output), |record| {
            let number = record.value.and_then(|value| first_number(&value));
            digest.add(&[record.key, number.unwrap_or_default()]);
        })?,
        Program::Count | Program::Repartition => {
            let mut last = HashMap::new();
            broker.each(&COUNTS.named(output), |record| {
                last.insert(record.key, record.value.unwrap_or_default());
            })?;
            last.iter().for_each(|(key, count)| digest.add(&[*key, *count]));
        }
        Program::CountEveryChange => broker.each(&COUNTS.named(output), |record| {
            digest.add(&[record.key, record.value.unwrap_or_default()]);
        })?,
        Program::Tumbling | Program::Session => broker.each(&SUMS.named(output), |record| {
            if let Some(window) = record.value {
                let [start, end] = [window.start, window.end].map(|it| it.as_millis() as u64);
                digest.add(&[record.key, start, end, window.value]);
            }
        })?,
        Program::TableJoin => broker.each(&JOINED.named(output), |record| {
            if let Some(joined) = record.value {
                let number = first_number(&joined.value).unwrap_or_default();
                digest.add(&[record.key, number, joined.row]);
            }
        })?,
    }
    Ok(digest)
}

fn expected(program: Program, input: &Input) -> Digest {
    let mut digest = Digest::default();
    match program {
        Program::Stateless => {
            input.events().for_each(|event| digest.add(&[event.key, event.number]));
        }
        Program::Count => {
            let counts = counts(input.events().map(|event| event.key));
            counts.iter().for_each(|(key, count)| digest.add(&[*key, *count]));
        }
        Program::Repartition => {
            let keys = input.setup.keys;
            let counts = counts(input.events().map(|event| other_key(event.number, keys)));
            counts.iter().for_each(|(key, count)| digest.add(&[*key, *count]));
        }
        Program::CountEveryChange => {
            for (key, last) in counts(input.events().map(|event| event.key)) {
                (1..=last).for_each(|count| digest.add(&[key, count]));
            }
        }
        Program::Tumbling => {
            let size = SIZE.as_millis() as i64;
            let mut sums: HashMap<(u64, i64), u64> = HashMap::new();
            for event in input.events() {
                let start = event.at / size * size;
                *sums.entry((event.key, start)).or_default() += addend(event.number);
            }
            for ((key, start), sum) in sums {
                digest.add(&[key, start as u64, (start + size) as u64, sum]);
            }
        }
        Program::Session => sessions(input, &mut digest),
        Program::TableJoin => input.events().for_each(|event| {
            digest.add(&[event.key, event.number, row(event.key)]);
        }),
    }
    digest
}

fn counts(keys: impl Iterator<Item = u64>) -> HashMap<u64, u64> {
    let mut counts = HashMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

/// In the order of key and time, a session ends where the next record is of another key, or
/// further away than the gap. No record of the input is so late that it finds its session closed.
fn sessions(input: &Input, digest: &mut Digest) {
    let mut events: Vec<_> =
        input.events().map(|event| (event.key, event.at, addend(event.number))).collect();
    events.sort_unstable();
    let gap = input.gap();
    for session in events.chunk_by(|a, b| a.0 == b.0 && b.1 - a.1 <= gap) {
        if let [(key, start, _), ..] = session
            && let [.., (_, end, _)] = session
        {
            let sum = session.iter().map(|(_, _, addend)| addend).sum();
            digest.add(&[*key, *start as u64, *end as u64, sum]);
        }
    }
}
