//! Drawing random programs.

use crate::build;
use crate::program::{
    Adds, AsOf, CountWindow, Family, From, Needs, Op, Process, Program, Reach, SINKS, STREAMS,
    Slide, TABLES, Windows,
};
use crate::sought::{PATTERNS, Sought};
use suiro::Seed;

/// A grace that no input of the simulator outlives.
const FOR_EVER: i64 = 1_000_000;

/// What is known of an output while a program is drawn.
#[derive(Clone, Copy)]
struct Flow {
    from: From,
    moved: bool,
    /// Its order is that of arrival, between several lanes.
    by_arrival: bool,
    /// How many operators read it.
    readers: usize,
    /// Whether it must have a sink, for the auditor.
    shown: bool,
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

/// Draws a program that can be planned: it must not feed itself.
pub fn draw(seed: &mut Seed, family: Family) -> Program {
    loop {
        let program = draw_any(seed, family);
        let is_wanted = match family {
            Family::Local => true,
            Family::Exchanged => program.exchanges() > 0 && !program.has_held_windows(),
            Family::Parallel => program.exchanges() > 0 && !program.has_leaping_windows(),
        };
        if program.sinks().is_empty() || !is_wanted || program.joins_with_itself() {
            continue;
        }
        match build::plan(&program, None) {
            Ok(_) => return program,
            Err(error) if error.to_string().contains("feeds itself") => {}
            Err(error) => panic!("no plan: {}\n{}", error.report(), program.describe()),
        }
    }
}

/// Lets the rows of some tables go by time.
pub fn draw_ttls(seed: &mut Seed, program: &mut Program) {
    if seed.one_in(2) {
        return;
    }
    for op in 0..program.ops.len() {
        let ttl = [1, 4, 15, 100][seed.below(4) as usize];
        // Behind several lanes it is the order of arrival that says whether a row goes before it
        // is updated, and then only what never goes is the same in any order.
        let parallel = program.family == Family::Parallel;
        let ttl = if parallel && program.is_behind_exchange(op) { FOR_EVER } else { ttl };
        let ages = seed.one_in(2) && (parallel || !program.is_held(op));
        if let Op::Table(_, of) | Op::Fold(_, _, of) = &mut program.ops[op]
            && ages
        {
            *of = Some(ttl);
        }
    }
}

/// Has the records of some sessions say how long the pause behind them may be.
pub fn draw_gaps(seed: &mut Seed, program: &mut Program) {
    for op in &mut program.ops {
        if let Op::Window(_, windows) = op {
            windows.own_gaps = windows.sessions && seed.one_in(2);
        }
    }
}

/// Makes tables of the last values in place of some that are folded.
pub fn draw_lasts(seed: &mut Seed, program: &mut Program) {
    for op in 0..program.ops.len() {
        // Between lanes the last value is any.
        let parallel = program.family == Family::Parallel;
        let is_fixed = !(parallel && program.is_behind_exchange(op));
        if let Op::Fold(_, adds, _) = &mut program.ops[op]
            && seed.one_in(4)
            && is_fixed
        {
            *adds = Adds::Last;
        }
    }
}

/// Has some streams let each key pass once in a while, in place of some values.
pub fn draw_distincts(seed: &mut Seed, program: &mut Program) {
    for number in 0..program.ops.len() {
        let Op::Filter(from) = program.ops[number] else { continue };
        let within = [1, 4, 15, 100][seed.below(4) as usize];
        // Between lanes the first record is any.
        let parallel = program.family == Family::Parallel;
        let is_open = parallel && program.is_behind_exchange(number);
        let is_open = is_open || program.is_held(number) || program.has_moved(from);
        if seed.one_in(3) && !is_open {
            program.ops[number] = Op::Distinct(from, within);
        }
    }
}

/// Has some programs make calls. Their results are fixed when all is at rest, and so they are where
/// the model says no more.
pub fn draw_calls(seed: &mut Seed, program: &mut Program) {
    if program.family != Family::Parallel || !seed.one_in(4) {
        return;
    }
    let is_stream = |op: &Op| {
        matches!(op, Op::Stream(_) | Op::Filter(_) | Op::Map(_) | Op::FlatMap(_) | Op::KeyBy(_))
            || matches!(op, Op::Merge(..) | Op::Global(..) | Op::Window(..) | Op::Call(_))
    };
    let sinks = program.sinks();
    let unused = SINKS.into_iter().filter(|sink| !sinks.contains(sink));
    for sink in unused.take(1 + seed.below(2) as usize) {
        let ops = program.ops.iter().enumerate();
        let streams: Vec<usize> =
            ops.filter(|(_, op)| is_stream(op)).map(|(number, _)| number).collect();
        let op = streams[seed.below(streams.len() as u64) as usize];
        program.ops.push(Op::Call(From { op, late: false }));
        let from = From { op: program.ops.len() - 1, late: false };
        program.ops.push(Op::To(from, sink));
    }
}

/// Has paths meet behind a meeting: those of a stream part, and one of them parts again before it
/// meets both the other and itself.
pub fn draw_braids(seed: &mut Seed, program: &mut Program) {
    let sinks = program.sinks();
    let unused: Vec<_> = SINKS.into_iter().filter(|sink| !sinks.contains(sink)).collect();
    let [first, second, ..] = unused[..] else { return };
    if program.family != Family::Local || !seed.one_in(4) {
        return;
    }
    let mut add = |op| {
        program.ops.push(op);
        From { op: program.ops.len() - 1, late: false }
    };
    let stream = From { op: 0, late: false };
    let inner = add(Op::Map(stream));
    let [left, right] = [add(Op::Filter(inner)), add(Op::Map(inner))];
    let outer = add(Op::Map(stream));
    let knot = add(Op::Merge(left, right));
    add(Op::To(knot, first));
    let knot = add(Op::Merge(right, outer));
    add(Op::To(knot, second));
}

/// Has some streams look up what their values name in the global table, in place of a change.
pub fn draw_globals(seed: &mut Seed, program: &mut Program) {
    for op in &mut program.ops {
        if let Op::Map(from) = *op
            && seed.one_in(3)
        {
            *op = Op::Global(from, seed.one_in(2));
        }
    }
}

/// Has some streams go through steps of one's own, in place of some that change or drop values.
pub fn draw_processes(seed: &mut Seed, program: &mut Program) {
    for number in 0..program.ops.len() {
        let (Op::Map(from) | Op::Filter(from)) = program.ops[number] else { continue };
        // Between lanes it is the order of arrival that says what timers see.
        let parallel = program.family == Family::Parallel;
        let is_open = |op| parallel && program.is_behind_exchange(op);
        let moves = parallel && program.has_moved(from);
        if seed.one_in(3) || is_open(number) || moves || program.is_held(number) {
            continue;
        }
        let is_table = |op: &usize| {
            matches!(program.ops[*op], Op::Table(..) | Op::Fold(..) | Op::TableFilter(_))
                && !is_open(*op)
        };
        let tables: Vec<usize> = (0..number).filter(is_table).collect();
        let count = tables.len() as u64;
        let table = (count > 0 && seed.one_in(2)).then(|| tables[seed.below(count) as usize]);
        let ahead = [0, 3, 20, 100][seed.below(4) as usize];
        let sinks = program.sinks();
        let sink = SINKS.into_iter().rev().find(|sink| !sinks.contains(sink));
        let wall = sink.is_some() && seed.one_in(2);
        let mut longer = program.clone();
        longer.ops[number] = Op::Process(from, Process { table, ahead, wall });
        if let Some(sink) = sink.filter(|_| wall || seed.one_in(2)) {
            longer.ops.push(Op::To(From { op: number, late: true }, sink));
        }
        // What looks at a table is in one task with it.
        if !longer.has_held_windows() && build::plan(&longer, None).is_ok() {
            *program = longer;
        }
    }
}

/// Looks for patterns in some streams, in place of changing or keeping values.
pub fn draw_patterns(seed: &mut Seed, program: &mut Program) {
    for number in 0..program.ops.len() {
        let (Op::Filter(from) | Op::Map(from)) = program.ops[number] else { continue };
        let sought = Sought {
            pattern: seed.below(PATTERNS.len() as u64) as usize,
            within: [0, 4, 15, 60][seed.below(4) as usize],
            overlapping: seed.one_in(3),
            time_outs: seed.one_in(2),
        };
        // Between lanes what follows what is any.
        let parallel = program.family == Family::Parallel;
        let is_open = parallel && program.is_behind_exchange(number);
        let is_open = is_open || program.is_held(number) || program.has_moved(from);
        if seed.one_in(3) && !is_open {
            program.ops[number] = Op::Pattern(from, sought);
        }
    }
}

/// Has some tables write their changes every so often.
pub fn draw_every(seed: &mut Seed, program: &mut Program) {
    for op in &mut program.ops {
        if let Op::TableTo(table, topic) = *op
            && seed.one_in(3)
        {
            *op = Op::TableEvery(table, topic);
        }
    }
}

/// Adds joins on foreign keys to some programs. What they show on the way is not laid down, so
/// they are where only the result at rest is; and in the right order they must not feed themselves.
pub fn draw_foreign_keys(seed: &mut Seed, program: &mut Program) {
    if program.family != Family::Parallel || !seed.one_in(3) {
        return;
    }
    for _ in 0..8 {
        let mut longer = program.clone();
        add_foreign_keys(seed, &mut longer);
        if !longer.joins_with_itself() && build::plan(&longer, None).is_ok() {
            *program = longer;
            return;
        }
    }
}

fn add_foreign_keys(seed: &mut Seed, program: &mut Program) {
    let mut ops = program.ops.clone();
    let topic = TABLES[1];
    if !ops.iter().any(|op| matches!(op, Op::Table(of, _) if *of == topic)) {
        ops.push(Op::Table(topic, None));
    }
    let is_table = |op: &Op| {
        matches!(op, Op::Table(..) | Op::Fold(..) | Op::Group { .. } | Op::ForeignKey { .. })
            || matches!(op, Op::TableFilter(_) | Op::TableMap(_) | Op::TableJoin(..))
    };
    let sinks = program.sinks();
    let mut sinks: Vec<_> = SINKS.into_iter().filter(|sink| !sinks.contains(sink)).collect();
    for _ in 0..1 + seed.below(2) {
        let tables: Vec<usize> = (0..ops.len()).filter(|op| is_table(&ops[*op])).collect();
        let mut pick = || tables[seed.below(tables.len() as u64) as usize];
        let (left, right) = (pick(), pick());
        let needs = if seed.one_in(2) { Needs::Both } else { Needs::Left };
        ops.push(Op::ForeignKey { left, right, needs });
        let pairs = ops.len() - 1;
        match seed.below(4) {
            0 => ops.push(Op::Group { table: pairs, counts: seed.one_in(2) }),
            1 => ops.push(Op::TableMap(pairs)),
            _ => {}
        }
        for table in pairs..ops.len() {
            let Some(sink) = sinks.pop() else { break };
            match seed.one_in(2) {
                true => ops.push(Op::TableTo(table, sink)),
                false => {
                    ops.push(Op::Changes(table));
                    let from = From { op: ops.len() - 1, late: false };
                    ops.push(Op::To(from, sink));
                }
            }
        }
    }
    program.ops = ops;
}

fn draw_any(seed: &mut Seed, family: Family) -> Program {
    let mut drawing =
        Drawing { seed, family, ops: Vec::new(), flows: Vec::new(), tables: Vec::new() };
    drawing.sources();
    for _ in 0..3 + drawing.seed.below(7) {
        drawing.operator();
    }
    drawing.sinks();
    Program { family, ops: drawing.ops, panics: false, idles: false }
}

impl Drawing<'_> {
    fn add(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.ops.len() - 1
    }

    fn flow(&mut self, op: usize, late: bool, moved: bool, by_arrival: bool) {
        let from = From { op, late };
        self.flows.push(Flow { from, moved, by_arrival, readers: 0, shown: false });
    }

    fn sources(&mut self) {
        let op = self.add(Op::Stream(STREAMS[0]));
        self.flow(op, false, false, false);
        for (number, topic) in TABLES.into_iter().enumerate() {
            if number == 0 || self.seed.one_in(3) {
                let history = [0, 4, 20, 100][self.seed.below(4) as usize];
                let op = match self.seed.one_in(3) {
                    true => Op::Versioned(topic, history),
                    false => Op::Table(topic, None),
                };
                let op = self.add(op);
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
        let kind = self.seed.below(20);
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
                let adds = [Adds::Fold, Adds::Fold, Adds::Count, Adds::Reduce];
                let adds = adds[self.seed.below(4) as usize];
                let op = self.add(Op::Fold(of.from, adds, None));
                let by_arrival = of.moved || of.by_arrival;
                self.tables.push(Rows { op, bases: vec![op], by_arrival });
            }
            7 if self.family != Family::Parallel && self.seed.one_in(4) => {
                let of = self.pick();
                let (records, on_close) = (1 + self.seed.below(4), self.seed.one_in(2));
                let op = self.add(Op::CountWindow(of.from, CountWindow { records, on_close }));
                self.flow(op, false, false, of.moved || of.by_arrival);
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
                // A table cannot be joined with a table that is made of it.
                if left.bases.iter().any(|base| right.bases.contains(base)) {
                    return;
                }
                let needs = [Needs::Both, Needs::Left, Needs::Any][self.seed.below(3) as usize];
                let op = self.add(Op::TableJoin(left.op, right.op, needs));
                let by_arrival = left.by_arrival || right.by_arrival;
                let bases = [left.bases, right.bases].concat();
                self.tables.push(Rows { op, bases, by_arrival });
            }
            13 if self.family != Family::Local => {
                let (of, counts) = (self.pick_table(), self.seed.one_in(3));
                let op = self.add(Op::Group { table: of.op, counts });
                self.tables.push(Rows { op, bases: vec![op], by_arrival: true });
            }
            14 | 15 => self.within(),
            17 => self.sliding(),
            18 | 19 => self.as_of(),
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
        let size = [1, 4, 10, 60][self.seed.below(4) as usize];
        let sessions = self.seed.one_in(2);
        // Where lanes run beside each other, which records are late depends on them: the auditor
        // reads it from a sink. Of sessions it cannot say what would have come of them, nor of
        // a record which of its windows it was late for.
        let graces = [0, 3, 25, if parallel { FOR_EVER } else { 25 }];
        let grace = graces[self.seed.below(4) as usize];
        let hops = !sessions && self.seed.one_in(2);
        let grace = if parallel && (sessions || hops) { FOR_EVER } else { grace };
        let on_close = parallel || self.seed.one_in(2);
        let advance = if hops { (size / 3).max(1) } else { size };
        let combining = hops && self.seed.one_in(2);
        let own_gaps = false;
        let windows = Windows { size, advance, grace, sessions, own_gaps, on_close, combining };
        let op = self.add(Op::Window(of.from, windows));
        let by_arrival = of.by_arrival || of.moved;
        self.flow(op, false, false, by_arrival);
        if parallel && grace < FOR_EVER {
            self.flow(op, true, false, by_arrival);
            self.flows.last_mut().expect("a flow was just added").shown = true;
        } else if !parallel && self.seed.one_in(2) {
            self.flow(op, true, false, by_arrival);
        }
    }

    fn sliding(&mut self) {
        let of = self.pick();
        let parallel = self.family == Family::Parallel;
        let by_arrival = of.by_arrival || of.moved;
        // A record sends as many windows as there are records near it. And between lanes the order
        // of arrival says whether a record finds a window that is open, when a bounded run has
        // closed some: a window that it is in may begin with a record that comes after it.
        if self.growth(of.from.op) > 2 || parallel && by_arrival {
            return;
        }
        let span = [0, 1, 4, 10][self.seed.below(4) as usize];
        let grace = [0, 0, 3, 25][self.seed.below(4) as usize];
        let on_close = parallel || self.seed.one_in(2);
        let op = self.add(Op::Sliding(of.from, Slide { span, grace, on_close }));
        self.flow(op, false, false, by_arrival);
        if !parallel && self.seed.one_in(2) {
            self.flow(op, true, false, by_arrival);
        }
    }

    fn within(&mut self) {
        let sides = [self.pick(), self.pick()];
        // Joins of joins, and of what was doubled many times, would make more pairs than any
        // memory holds.
        let growth = sides.map(|side| self.growth(side.from.op));
        if growth[0].saturating_mul(growth[1]) > 4 {
            return;
        }
        let by_arrival = sides.iter().any(|side| side.moved || side.by_arrival);
        let [left, right] = sides.map(|side| match side.moved {
            true => From { op: self.add(Op::Repartition(side.from)), late: false },
            false => side.from,
        });
        let mut one_of = |choices: [i64; 4]| choices[self.seed.below(4) as usize];
        let (before, after) = (one_of([0, 1, 4, 20]), one_of([0, 1, 4, 20]));
        // Between lanes it must not matter who comes first.
        let parallel = self.family == Family::Parallel;
        let grace = if parallel { FOR_EVER } else { one_of([0, 0, 3, 25]) };
        let needs = [Needs::Both, Needs::Left, Needs::Any][self.seed.below(3) as usize];
        let reach = Reach { before, after, grace };
        let op = self.add(Op::Within(left, right, reach, needs));
        self.flow(op, false, false, by_arrival);
    }

    /// How many records an operator may make of one of a source, about.
    fn growth(&self, op: usize) -> u64 {
        let op = self.ops[op];
        let before = op.inputs().into_iter().map(|from| self.growth(from.op));
        match op {
            Op::Within(..) => u64::MAX,
            Op::Sliding(..) => before.fold(0, u64::saturating_add).saturating_mul(4),
            Op::FlatMap(_) => before.fold(0, u64::saturating_add).saturating_mul(2),
            _ => before.fold(0, u64::saturating_add).max(1),
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

    fn as_of(&mut self) {
        let versioned = self.ops.iter().enumerate().filter_map(|(number, op)| match op {
            Op::Versioned(_, history) => Some((number, *history)),
            _ => None,
        });
        let versioned: Vec<_> = versioned.collect();
        if versioned.is_empty() {
            return self.join();
        }
        let (table, history) = versioned[self.seed.below(versioned.len() as u64) as usize];
        let stream = self.pick();
        let by_arrival = stream.by_arrival || stream.moved;
        if by_arrival && self.family == Family::Parallel {
            return;
        }
        // Behind an exchange it is the marks that say when a record has waited long enough.
        let grace = match by_arrival || self.seed.one_in(3) {
            true => 0,
            false => history.min([1, 3, 10, 100][self.seed.below(4) as usize]),
        };
        let how = AsOf { left: self.seed.one_in(2), grace };
        let op = self.add(Op::AsOf(stream.from, table, how));
        self.flow(op, false, false, by_arrival);
    }

    /// Every stream that nothing reads ends in a sink, some others too.
    fn sinks(&mut self) {
        let mut taken = 1;
        let shares = self.family == Family::Local && self.seed.one_in(2);
        for index in 0..self.flows.len() {
            let Flow { from, readers, shown, .. } = self.flows[index];
            if shown || readers == 0 || self.seed.one_in(4) {
                self.sink(from, shares, &mut taken);
            }
        }
        for index in 0..self.tables.len() {
            let op = self.tables[index].op;
            if self.seed.one_in(2) {
                let op = self.add(Op::Changes(op));
                self.sink(From { op, late: false }, shares, &mut taken);
            } else if self.seed.one_in(2) && taken < SINKS.len() {
                self.add(Op::TableTo(op, SINKS[taken]));
                taken += 1;
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
