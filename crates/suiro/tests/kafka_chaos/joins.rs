//! The joins of two inputs: their programs, and how what they say is held against the rules.
//!
//! The rules leave open in which order the records of two inputs have their turns where both are
//! caught up (T3), and fix all that follows from it (D1). So each program writes the order down,
//! in the commits of its results. Each record must be there once, in the order of its input; and
//! the results must be those of the rule, one after the other.

use crate::compared::{Compared, Present, read};
use crate::rules::{self, AFTER, BEFORE, Came, GRACE, Pair, Rule, Said};
use std::time::Duration;
use suiro::{
    Broker, Cleanup, Offset, Producer, Reader, Received, Result, Stream, Topic, Topology,
    Within,
};

/// The input that a record came by, and its number.
type Turn = (u8, Option<u64>);

/// A join of two inputs.
#[derive(Clone, Copy)]
pub struct Join {
    name: &'static str,
    /// Which inputs are tables.
    pub tables: [bool; 2],
    rule: fn() -> Rule,
}

pub const STREAMS: Join =
    Join { name: "streams", tables: [false, false], rule: rules::streams };
pub const STREAM_AND_TABLE: Join =
    Join { name: "stream-and-table", tables: [true, false], rule: rules::stream_and_table };
pub const TABLES: Join = Join { name: "tables", tables: [true, true], rule: rules::tables };

pub const ALL: [Join; 3] = [STREAMS, STREAM_AND_TABLE, TABLES];

impl Join {
    pub fn input(&self, input: usize) -> Topic<String, u64> {
        Topic::json("input").named(format!("{}-{input}", self.name))
    }

    fn turns(&self) -> Topic<String, Turn> {
        Topic::json("turns").named(format!("{}-turns", self.name))
    }

    fn output(&self) -> Topic<String, Option<Pair>> {
        Topic::json("output").named(format!("{}-output", self.name))
    }

    /// Makes its topics. The first table's is its own changelog, the others keep what they got.
    pub fn create(&self, broker: &dyn Broker, partitions: u32) -> Result<()> {
        for input in 0..2 {
            let compacted = self.tables[input] && input == 0;
            let cleanup = if compacted { Cleanup::Compact } else { Cleanup::Keep };
            Producer::open(broker, &self.input(input))?.create_with(partitions, cleanup)?;
        }
        Producer::open(broker, &self.turns())?.create(partitions)?;
        Producer::open(broker, &self.output())?.create(partitions)
    }

    fn write_turns(
        &self,
        first: Stream<String, Option<u64>>,
        second: Stream<String, Option<u64>>,
    ) {
        let second = second.map(|number| (1, number));
        first.map(|number| (0, number)).merge(second).to(&self.turns());
    }
}

/// Draws the three joins.
pub fn draw(topology: &Topology) {
    let [left, right] = [0, 1].map(|side| topology.stream(&STREAMS.input(side)));
    STREAMS.write_turns(left.clone().map(Some), right.clone().map(Some));
    let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
    let within = Within::of(millis(AFTER)).before(millis(BEFORE)).grace(millis(GRACE));
    left.outer_join_within("pairs", right, within, |left, right| {
        Some((left.copied(), right.copied()))
    })
    .to(&STREAMS.output());

    let rows = topology.table(&STREAM_AND_TABLE.input(0));
    let asked = topology.stream(&STREAM_AND_TABLE.input(1));
    STREAM_AND_TABLE.write_turns(rows.clone().changes(), asked.clone().map(Some));
    asked
        .left_join(&rows, |asked, row| Some((Some(asked), row.copied())))
        .to(&STREAM_AND_TABLE.output());

    let [left, right] = [0, 1].map(|side| topology.table(&TABLES.input(side)));
    TABLES.write_turns(left.clone().changes(), right.clone().changes());
    left.outer_join(&right, |left, right| (left.copied(), right.copied()))
        .changes()
        .to(&TABLES.output());
}

/// A record by its offset, key and number.
type Of = (Offset, String, Option<u64>);

/// A join whose results are read, and held against its rule.
pub struct Trial {
    join: Join,
    inputs: [Reader<String, u64>; 2],
    turns: Reader<String, Turn>,
    output: Reader<String, Option<Pair>>,
    partitions: Vec<Partition>,
}

struct Partition {
    rule: Rule,
    present: [Present; 2],
    turns: [Compared<Came>; 2],
    said: Compared<Said>,
}

impl Partition {
    fn new(join: Join, partition: usize) -> Self {
        let turns = [0, 1].map(|input| {
            Compared::new(&format!("turns of {} of {}", input, join.name), partition)
        });
        let said = Compared::new(&format!("results of {}", join.name), partition);
        Self { rule: (join.rule)(), present: Default::default(), turns, said }
    }
}

impl Trial {
    pub fn open(broker: &dyn Broker, join: Join, partitions: usize) -> Result<Self> {
        let input = |input| Reader::open(broker, &join.input(input));
        let inputs = [input(0)?, input(1)?];
        let turns = Reader::open(broker, &join.turns())?;
        let output = Reader::open(broker, &join.output())?;
        let partitions = (0..partitions).map(|number| Partition::new(join, number)).collect();
        Ok(Self { join, inputs, turns, output, partitions })
    }

    /// Looks at what has come; at all that is there, if that is asked for.
    pub fn look(&mut self, all: bool) {
        for (input, reader) in self.inputs.iter_mut().enumerate() {
            for record in read(reader, all) {
                let partition = &mut self.partitions[record.partition as usize];
                let (key, number, at) = (record.key, record.value, record.at.as_millis());
                if partition.present[input].change(&key, number.is_some()) {
                    partition.turns[input].expect((key, number, at));
                }
            }
        }
        for record in read(&mut self.turns, all) {
            let partition = &mut self.partitions[record.partition as usize];
            let (input, number) = record.value.unwrap();
            let came = (record.key, number, record.at.as_millis());
            for said in (partition.rule)(input.into(), &came) {
                partition.said.expect(said);
            }
            partition.turns[usize::from(input)].come(came);
        }
        for record in read(&mut self.output, all) {
            let partition = &mut self.partitions[record.partition as usize];
            let at = record.at.as_millis();
            partition.said.come((record.key, record.value.flatten(), at));
        }
    }

    /// What stands in the topics of inputs and turns, read anew, around the first that is not
    /// equal: whether somebody wrote it so, or it was read so.
    pub fn around_the_first_difference(&self, broker: &dyn Broker) -> Result<String> {
        let mut said = String::new();
        for input in 0..2 {
            let mut taken = vec![(Vec::new(), Present::default()); self.partitions.len()];
            for record in Reader::open(broker, &self.join.input(input))?.iter_to_end()? {
                let Received { key, value, partition, offset, .. } = record?;
                let (taken, present) = &mut taken[partition as usize];
                if present.change(&key, value.is_some()) {
                    taken.push((offset, key, value));
                }
            }
            let mut turns = vec![Vec::new(); self.partitions.len()];
            for record in Reader::open(broker, &self.join.turns())?.iter_to_end()? {
                let Received { key, value, partition, offset, .. } = record?;
                let (of, number) = value.unwrap();
                if usize::from(of) == input {
                    turns[partition as usize].push((offset, key, number));
                }
            }
            for (partition, ((taken, _), turns)) in taken.iter().zip(&turns).enumerate() {
                let is_equal = |((_, key, number), (_, other, turn)): &(&Of, &Of)| {
                    (key, number) == (other, turn)
                };
                let equal = taken.iter().zip(turns).take_while(is_equal).count();
                let near = |list: &[Of]| {
                    let (from, to) = (equal.saturating_sub(6), list.len().min(equal + 6));
                    format!("{:?}", &list[from.min(to)..to])
                };
                let name = self.join.name;
                said += &format!(
                    "{name}, input {input}, partition {partition}: {equal} equal, of {} and {}; \
                     taken {}, turns {}\n",
                    taken.len(),
                    turns.len(),
                    near(taken),
                    near(turns)
                );
            }
        }
        Ok(said)
    }

    /// What is still under way.
    pub fn rest(&self) -> Option<String> {
        let each = self.partitions.iter();
        let mut rest = each.flat_map(|it| {
            it.turns.iter().map(Compared::rest).chain([it.said.rest()]).flatten()
        });
        rest.next()
    }

    /// How much was compared.
    pub fn summary(&self) -> String {
        let each = || self.partitions.iter();
        let taken = |input: usize| each().map(|it| it.turns[input].equal).sum::<u64>();
        let (first, second) = (taken(0), taken(1));
        let said = each().map(|it| it.said.equal).sum();
        let counts: [u64; 3] = [first, second, said];
        assert!(counts.iter().all(|count| *count > 0), "{}: {counts:?}", self.join.name);
        format!("{}: {first} and {second} records, {said} results", self.join.name)
    }
}
