//! Random programs as data: the library runs them, and so does a naive model.

use std::fmt::Write;
use suiro::Seed;

/// What an operator reads: the output of operator number `op`, or its late records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    pub op: usize,
    pub late: bool,
}

/// A windowed fold.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// The size of tumbling windows, or the gap of sessions.
    pub size: i64,
    pub grace: i64,
    pub sessions: bool,
    pub on_close: bool,
}

/// One operator.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Stream(&'static str),
    Table(&'static str),
    Filter(From),
    Map(From),
    FlatMap(From),
    KeyBy(From),
    Merge(From, From),
    Fold(From),
    Window(From, Windows),
    Join { stream: From, table: usize, left: bool },
    TableFilter(usize),
    TableMap(usize),
    TableJoin(usize, usize),
    Changes(usize),
    To(From, &'static str),
}

impl Op {
    /// All that it reads or looks at.
    pub fn inputs(&self) -> Vec<From> {
        let table = |op: usize| From { op, late: false };
        match *self {
            Self::Stream(_) | Self::Table(_) => Vec::new(),
            Self::Filter(of)
            | Self::Map(of)
            | Self::FlatMap(of)
            | Self::KeyBy(of)
            | Self::Fold(of)
            | Self::Window(of, _)
            | Self::To(of, _) => vec![of],
            Self::Merge(left, right) => vec![left, right],
            Self::Join { stream, table: of, .. } => vec![stream, table(of)],
            Self::TableFilter(of) | Self::TableMap(of) | Self::Changes(of) => vec![table(of)],
            Self::TableJoin(left, right) => vec![table(left), table(right)],
        }
    }
}

/// A program: operators in order of declaration.
#[derive(Clone, Debug)]
pub struct Program {
    pub ops: Vec<Op>,
    /// Folds do not depend on the order of their values.
    pub commutative: bool,
}

/// What a random program may be made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// One sub-topology, with sinks that several operators share: a depth-first model says
    /// exactly what comes out.
    Local,
    /// With exchanges; each operator has a sink of its own.
    Exchanged,
    /// With exchanges, and results that do not depend on the order between lanes.
    Parallel,
}

pub const STREAMS: [&str; 2] = ["a", "b"];
pub const TABLES: [&str; 2] = ["t", "u"];
pub const SOURCES: [&str; 4] = ["a", "b", "t", "u"];
pub const SINKS: [&str; 12] = [
    "out-0", "out-1", "out-2", "out-3", "out-4", "out-5", "out-6", "out-7", "out-8", "out-9",
    "out-10", "out-11",
];

/// What is known of an output while a program is drawn.
#[derive(Clone, Copy)]
struct Flow {
    from: From,
    moved: bool,
    /// Its order is that of arrival, between several lanes.
    by_arrival: bool,
    /// How many operators read it.
    readers: usize,
}

#[derive(Clone)]
struct Rows {
    op: usize,
    /// The tables with rows of their own that it is made of.
    bases: Vec<usize>,
    by_arrival: bool,
}

struct Drawing<'a> {
    seed: &'a mut Seed,
    family: Family,
    ops: Vec<Op>,
    flows: Vec<Flow>,
    tables: Vec<Rows>,
}

/// Draws a program.
pub fn draw(seed: &mut Seed, family: Family) -> Program {
    let mut drawing =
        Drawing { seed, family, ops: Vec::new(), flows: Vec::new(), tables: Vec::new() };
    drawing.sources();
    for _ in 0..3 + drawing.seed.below(7) {
        drawing.operator();
    }
    drawing.sinks();
    Program { ops: drawing.ops, commutative: family == Family::Parallel }
}

impl Drawing<'_> {
    fn add(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.ops.len() - 1
    }

    fn flow(&mut self, op: usize, late: bool, moved: bool, by_arrival: bool) {
        let from = From { op, late };
        self.flows.push(Flow { from, moved, by_arrival, readers: 0 });
    }

    fn sources(&mut self) {
        let op = self.add(Op::Stream(STREAMS[0]));
        self.flow(op, false, false, false);
        for (number, topic) in TABLES.into_iter().enumerate() {
            if number == 0 || self.seed.one_in(3) {
                let op = self.add(Op::Table(topic));
                self.tables.push(Rows { op, bases: vec![op], by_arrival: false });
            }
        }
        if self.seed.one_in(2) {
            let op = self.add(Op::Stream(STREAMS[1]));
            self.flow(op, false, false, false);
        }
    }

    fn pick(&mut self) -> Flow {
        let count = self.flows.len() as u64;
        // Newer ones more often, so that programs grow deep; older ones too, for diamonds.
        let index = self.seed.below(count).max(self.seed.below(count)) as usize;
        let index = if self.seed.one_in(3) { self.seed.below(count) as usize } else { index };
        self.flows[index].readers += 1;
        self.flows[index]
    }

    fn pick_table(&mut self) -> Rows {
        let index = self.seed.below(self.tables.len() as u64) as usize;
        self.tables[index].clone()
    }

    fn operator(&mut self) {
        let kind = self.seed.below(14);
        match kind {
            0..=2 => {
                let of = self.pick();
                let op = self.add(match kind {
                    0 => Op::Filter(of.from),
                    1 => Op::Map(of.from),
                    _ => Op::FlatMap(of.from),
                });
                self.flow(op, false, of.moved, of.by_arrival);
            }
            3 if self.family != Family::Local => {
                let of = self.pick();
                let op = self.add(Op::KeyBy(of.from));
                self.flow(op, false, true, of.by_arrival);
            }
            3 | 4 => {
                let (left, right) = (self.pick(), self.pick());
                let op = self.add(Op::Merge(left.from, right.from));
                let moved = left.moved || right.moved;
                self.flow(op, false, moved, left.by_arrival || right.by_arrival);
            }
            5 | 6 => {
                let of = self.pick();
                let op = self.add(Op::Fold(of.from));
                let by_arrival = of.moved || of.by_arrival;
                self.tables.push(Rows { op, bases: vec![op], by_arrival });
            }
            7 | 8 => self.window(),
            9 | 10 => self.join(),
            11 => {
                let of = self.pick_table();
                let change = if self.seed.one_in(2) { Op::TableMap } else { Op::TableFilter };
                let op = self.add(change(of.op));
                self.tables.push(Rows { op, ..of });
            }
            12 => {
                let (left, right) = (self.pick_table(), self.pick_table());
                // What a join of a table with itself sends on the way is not laid down.
                if left.bases.iter().any(|base| right.bases.contains(base)) {
                    return;
                }
                let op = self.add(Op::TableJoin(left.op, right.op));
                let by_arrival = left.by_arrival || right.by_arrival;
                let bases = [left.bases, right.bases].concat();
                self.tables.push(Rows { op, bases, by_arrival });
            }
            _ if self.family != Family::Parallel => {
                let of = self.pick_table();
                let op = self.add(Op::Changes(of.op));
                self.flow(op, false, false, of.by_arrival);
            }
            _ => {}
        }
    }

    fn window(&mut self) {
        let of = self.pick();
        let parallel = self.family == Family::Parallel;
        let size = [1, 4, 10][self.seed.below(3) as usize];
        let grace = if parallel { 10_000 } else { [0, 3, 25][self.seed.below(3) as usize] };
        let sessions = self.seed.one_in(2);
        let on_close = parallel || self.seed.one_in(2);
        let op = self.add(Op::Window(of.from, Windows { size, grace, sessions, on_close }));
        let by_arrival = of.by_arrival || of.moved;
        self.flow(op, false, false, by_arrival);
        if !parallel && self.seed.one_in(2) {
            self.flow(op, true, false, by_arrival);
        }
    }

    fn join(&mut self) {
        let (stream, table) = (self.pick(), self.pick_table());
        let by_arrival = stream.by_arrival || stream.moved || table.by_arrival;
        if by_arrival && self.family == Family::Parallel {
            return;
        }
        let left = self.seed.one_in(2);
        let op = self.add(Op::Join { stream: stream.from, table: table.op, left });
        self.flow(op, false, false, by_arrival);
    }

    /// Every stream that nothing reads ends in a sink, some others too.
    fn sinks(&mut self) {
        let mut taken = 1;
        let shares = self.family == Family::Local && self.seed.one_in(2);
        for index in 0..self.flows.len() {
            let Flow { from, readers, .. } = self.flows[index];
            if readers == 0 || self.seed.one_in(4) {
                self.sink(from, shares, &mut taken);
            }
        }
        for index in 0..self.tables.len() {
            if self.seed.one_in(2) {
                let op = self.add(Op::Changes(self.tables[index].op));
                self.sink(From { op, late: false }, shares, &mut taken);
            }
        }
    }

    /// Whether an operator is in one sub-topology with the first.
    fn is_connected(&self, op: usize) -> bool {
        let mut group: Vec<usize> = (0..self.ops.len()).collect();
        for (number, op) in self.ops.iter().enumerate() {
            for input in op.inputs() {
                let (old, new) = (group[number], group[input.op]);
                group.iter_mut().filter(|it| **it == old).for_each(|it| *it = new);
            }
        }
        group[op] == group[0]
    }

    fn sink(&mut self, from: From, shares: bool, taken: &mut usize) {
        if *taken < SINKS.len() {
            // What is not connected runs in tasks of its own, in no order with the others.
            let shares = shares && self.is_connected(from.op);
            self.add(Op::To(from, SINKS[if shares { 0 } else { *taken }]));
            *taken += 1;
        }
    }
}

impl Program {
    /// The topics that are written.
    pub fn sinks(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        for op in &self.ops {
            if let Op::To(_, topic) = op
                && !all.contains(topic)
            {
                all.push(*topic);
            }
        }
        all
    }

    /// Whether a sink gets the changes of a table.
    pub fn shows_table(&self, topic: &str) -> bool {
        self.ops.iter().any(|op| match op {
            Op::To(from, to) => *to == topic && matches!(self.ops[from.op], Op::Changes(_)),
            _ => false,
        })
    }

    /// The program for people.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (number, op) in self.ops.iter().enumerate() {
            writeln!(text, "  {number}: {op:?}").expect("writing to a string does not fail");
        }
        text
    }
}

/// A number that depends on everything in `text` and on `salt`.
pub fn digest(text: &str, salt: u64) -> u64 {
    let mut seed = Seed::new(salt);
    for byte in text.bytes() {
        seed = Seed::new(seed.next_u64() ^ u64::from(byte));
    }
    seed.next_u64()
}

/// What operators do to values. The number of the operator makes each of its own kind.
pub mod act {
    use super::digest;

    pub fn keeps(value: &str, op: usize) -> bool {
        !digest(value, op as u64).is_multiple_of(3)
    }

    pub fn maps(value: &str, op: usize) -> String {
        format!("{:06x}", digest(value, op as u64) & 0xff_ffff)
    }

    pub fn splits(value: &str, op: usize) -> Vec<String> {
        let count = digest(value, op as u64) % 3;
        (0..count).map(|part| format!("{value}/{part}")).collect()
    }

    pub fn key(value: &str, op: usize) -> String {
        format!("k{}", digest(value, op as u64) % 4)
    }

    /// Folds a value in; the result depends on the order unless it is `commutative`.
    pub fn adds(so_far: &str, value: &str, commutative: bool) -> String {
        let hash = |text: &str| digest(text, 7) & 0xff_ffff;
        if commutative {
            let sum = u64::from_str_radix(so_far, 16).unwrap_or(0) + hash(value);
            return format!("{:06x}", sum & 0xff_ffff);
        }
        if so_far.len() + value.len() <= 24 {
            return format!("{so_far}+{value}");
        }
        format!("#{:06x}", hash(&format!("{so_far}+{value}")))
    }

    /// Merges two sessions.
    pub fn merges(earlier: &str, later: &str, commutative: bool) -> String {
        if commutative {
            let number = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
            return format!("{:06x}", (number(earlier) + number(later)) & 0xff_ffff);
        }
        adds(earlier, &format!("({later})"), false)
    }

    pub fn joins(left: &str, right: Option<&str>) -> String {
        let pair = format!("{left}-{}", right.unwrap_or("none"));
        if pair.len() <= 40 {
            return pair;
        }
        format!("j{:06x}", digest(&pair, 9) & 0xff_ffff)
    }

    pub fn windowed(value: Option<&str>, start: i64, end: i64) -> String {
        format!("{}@{start}..{end}", value.unwrap_or("gone"))
    }

    pub fn changed(value: Option<&str>) -> String {
        value.unwrap_or("gone").to_owned()
    }
}
