//! Lines to words to counts: the program of the README, on lines that are in memory, with words
//! of a type that keeps short ones without a heap.

use super::{Outcome, run_to_end};
use crate::digest::{Digest, of_bytes, splitmix};
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use ecow::EcoString as Word;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::sync::Arc;
use suiro::{Durability, Integer, Record, Text, Topic, Topology};

const COUNTS: Topic<Word, u64> = Topic::of("word-counts", &Text, &Integer);

const LINES: u64 = 10_000;
const WORDS_IN_LINE: u64 = 10;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(4_000_000, 10_000, Durability::None, 1_000);
    let mut report = Report::new("words", setup);
    let lines = lines(setup.keys);
    report.subject("loop", None, plain(&setup, &lines))?;
    report.subject("suiro", None, suiro(&setup, lines)?)
}

/// Lines of words; as in real text, a word is the rarer the further down it is in the list.
fn lines(words: u64) -> Arc<[Arc<str>]> {
    let word = |number: u64| {
        let part = splitmix(number) as f64 / u64::MAX as f64;
        format!("word{}", (words as f64).powf(part) as u64)
    };
    let line = |number: u64| -> Arc<str> {
        let first = number * WORDS_IN_LINE;
        (first..first + WORDS_IN_LINE).map(word).collect::<Vec<_>>().join(" ").into()
    };
    (0..LINES).map(line).collect()
}

fn plain(setup: &Setup, lines: &[Arc<str>]) -> (Digest, Cost) {
    let (counts, cost) = measure(|| {
        let mut counts: HashMap<&str, u64, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        for number in 0..setup.records {
            for word in lines[(number % LINES) as usize].split_ascii_whitespace() {
                *counts.entry(word).or_insert(0) += 1;
            }
        }
        counts
    });
    let mut digest = Digest::default();
    counts.iter().for_each(|(word, count)| digest.add(&[of_bytes(word.as_bytes()), *count]));
    (digest, cost)
}

fn suiro(setup: &Setup, lines: Arc<[Arc<str>]>) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let (threads, records) = (u64::from(setup.threads), setup.records);
    let topology = Topology::new("words");
    topology
        .generate("lines", setup.threads, move |partition, number| {
            let number = number * threads + u64::from(partition);
            let line = &lines[(number % LINES) as usize];
            (number < records).then(|| Record::new(number, Arc::clone(line), number as i64))
        })
        .flat_rekey(|line, out| {
            for word in line.split_ascii_whitespace() {
                out.push(Word::from(word), ());
            }
        })
        .count("counts")
        .to(&COUNTS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    let digest = place.table(&COUNTS, |word, count| [of_bytes(word.as_bytes()), *count])?;
    Ok((digest, cost))
}
