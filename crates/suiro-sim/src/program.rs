//! Random programs as data: the library runs them, and so does a naive model.

pub use crate::op::{
    Adds, AsOf, CountWindow, From, Needs, Op, Process, Reach, Slide, Ttl, Windows,
};
use std::collections::BTreeSet;
use std::fmt::Write;

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

/// A program: operators in order of declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it was drawn from.
    pub family: Family,
    /// The operators.
    pub ops: Vec<Op>,
    /// User code panics at some values.
    pub panics: bool,
    /// Stream times go on in a silence (rule T5).
    pub idles: bool,
}

/// How long a silence is before time goes on, in milliseconds.
pub const PATIENCE: i64 = 10_000_000;

/// The topics that programs read as streams.
pub const STREAMS: [&str; 2] = ["a", "b"];
/// The topics that programs read as tables.
pub const TABLES: [&str; 2] = ["t", "u"];
/// All topics that programs read.
pub const SOURCES: [&str; 4] = ["a", "b", "t", "u"];
/// The topic that programs read as a global table. It has all its records from the beginning: what
/// comes later is in no order with the records of streams.
pub const GLOBAL: &str = "g";
/// The topics that programs write.
pub const SINKS: [&str; 16] = [
    "out-0", "out-1", "out-2", "out-3", "out-4", "out-5", "out-6", "out-7", "out-8", "out-9",
    "out-10", "out-11", "out-12", "out-13", "out-14", "out-15",
];

impl Program {
    /// Whether folds do not depend on the order of their values.
    pub fn is_commutative(&self) -> bool {
        self.family == Family::Parallel
    }

    /// Whether joins of streams may skip a record of which a pair fails: which of the two it is
    /// depends on the order.
    pub fn skips_pairs(&self) -> bool {
        self.family != Family::Parallel
    }

    /// Whether windows with late records are behind a join of streams: a pair may be later than
    /// the record by which it came, and its lane is then taken to have come as far.
    pub fn has_leaping_windows(&self) -> bool {
        (0..self.ops.len()).any(|op| {
            let mut above = BTreeSet::new();
            self.above(op, &mut above);
            let late = From { op, late: true };
            let is_shown = self.ops.iter().any(|op| op.inputs().contains(&late));
            is_shown && above.iter().any(|op| matches!(self.ops[*op], Op::Within(..)))
        })
    }

    /// Whether calls are made for what windows and the like send at the end of a bounded run.
    pub fn calls_for_windows(&self) -> bool {
        let calls = (0..self.ops.len()).filter(|op| matches!(self.ops[*op], Op::Call(_)));
        let mut above = BTreeSet::new();
        calls.for_each(|op| self.above(op, &mut above));
        above.iter().any(|op| {
            matches!(self.ops[*op], Op::Window(..) | Op::Sliding(..) | Op::Within(..))
                || matches!(self.ops[*op], Op::Pattern(..) | Op::Process(..))
                || self.is_told_times(*op)
        })
    }

    /// The streams that a fold, of windows or not, may take by itself, because it alone reads their
    /// merge, and comes at once behind it: nobody can tell the two apart.
    pub fn folds_two(&self, fold: usize) -> Option<(From, From)> {
        // Sessions of several streams have one gap.
        let (Op::Fold(from, Adds::Fold, _) | Op::Window(from, Windows { own_gaps: false, .. })) =
            self.ops[fold]
        else {
            return None;
        };
        let Op::Merge(left, right) = self.ops[from.op] else { return None };
        let readers =
            self.ops.iter().flat_map(Op::inputs).filter(|input| *input == from).count();
        let is_alone = from.op + 1 == fold && readers == 1 && !self.has_moved(from);
        (is_alone && !self.shows_late(fold)).then_some((left, right))
    }

    /// Whether windows may take their stream in two halves, which is the same again: sessions do
    /// so if they have one gap.
    pub fn folds_halves(&self, windows: usize) -> bool {
        let Op::Window(from, Windows { own_gaps: false, .. }) = self.ops[windows] else {
            return false;
        };
        windows.is_multiple_of(3) && !self.has_moved(from) && !self.shows_late(windows)
    }

    /// Whether somebody reads the late records of an operator. Those of several streams have no
    /// values to look at.
    pub fn shows_late(&self, op: usize) -> bool {
        let late = From { op, late: true };
        self.ops.iter().any(|op| op.inputs().contains(&late))
    }

    /// Whether it reads the global table.
    pub fn has_global(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Global(..)))
    }

    /// The topics that are read.
    pub fn sources(&self) -> Vec<&'static str> {
        self.ops.iter().filter_map(Op::topic).collect()
    }

    /// The topics that are written.
    pub fn sinks(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        for op in &self.ops {
            if let Op::To(_, topic) | Op::TableTo(_, topic) | Op::TableEvery(_, topic) = op
                && !all.contains(topic)
            {
                all.push(*topic);
            }
        }
        all
    }

    /// Whether one operator alone writes to a topic.
    pub fn is_written_once(&self, topic: &str) -> bool {
        let writes = |op: &&Op| matches!(op, Op::To(_, to) | Op::TableTo(_, to) | Op::TableEvery(_, to) if *to == topic);
        self.ops.iter().filter(writes).count() == 1
    }

    /// The sink that hears of the timers of wall time of an operator.
    pub fn wall_sink(&self, op: usize) -> Option<&'static str> {
        let Op::Process(_, Process { wall: true, .. }) = self.ops[op] else { return None };
        self.ops.iter().find_map(|it| match it {
            Op::To(from, topic) if *from == From { op, late: true } => Some(*topic),
            _ => None,
        })
    }

    /// Whether a topic hears of timers of wall time: when they fire is not laid down.
    pub fn is_wall_sink(&self, topic: &str) -> bool {
        (0..self.ops.len()).any(|op| self.wall_sink(op) == Some(topic))
    }

    /// The table whose changes a sink gets.
    pub fn table_shown(&self, topic: &str) -> Option<usize> {
        self.ops.iter().find_map(|op| match op {
            Op::To(from, to) if *to == topic => match self.ops[from.op] {
                Op::Changes(table) => Some(table),
                _ => None,
            },
            Op::TableTo(table, to) | Op::TableEvery(table, to) if *to == topic => Some(*table),
            _ => None,
        })
    }

    /// The table whose changelog is written to a topic, or whose changes are so often.
    pub fn table_behind(&self, topic: &str) -> Option<usize> {
        self.ops.iter().find_map(|op| match op {
            Op::TableTo(table, to) | Op::TableEvery(table, to) if *to == topic => Some(*table),
            _ => None,
        })
    }

    /// Whether the keys of a stream have changed since the last exchange.
    pub fn has_moved(&self, from: From) -> bool {
        match self.ops[from.op] {
            Op::KeyBy(_) => true,
            Op::Filter(of) | Op::Map(of) | Op::FlatMap(of) | Op::Global(of, _) => {
                self.has_moved(of)
            }
            Op::Merge(left, right) => self.has_moved(left) || self.has_moved(right),
            _ => false,
        }
    }

    /// Whether an operator reads its stream through an exchange.
    pub fn crosses(&self, op: usize) -> bool {
        match self.ops[op] {
            Op::Fold(of, ..)
            | Op::Window(of, _)
            | Op::Sliding(of, _)
            | Op::CountWindow(of, _)
            | Op::Call(of)
            | Op::Process(of, _)
            | Op::Join { stream: of, .. }
            | Op::AsOf(of, ..) => self.has_moved(of),
            Op::Group { .. } | Op::ForeignKey { .. } | Op::Repartition(_) => true,
            _ => false,
        }
    }

    /// Whether the times of a table depend on the order between lanes: a group that was empty for
    /// a while begins anew, with the time of the row that it begins with, and a row that lost its
    /// other side is as new as that removal.
    pub fn has_loose_times(&self, table: usize) -> bool {
        let mut above = BTreeSet::from([table]);
        self.above(table, &mut above);
        let is_loose = |op: &usize| match self.ops[*op] {
            Op::Group { .. } => true,
            Op::ForeignKey { .. } => self.may_be_alone(*op),
            _ => false,
        };
        self.family == Family::Parallel && above.iter().any(is_loose)
    }

    /// Whether rows of a table may lack one side of a join.
    pub fn may_be_alone(&self, table: usize) -> bool {
        match self.ops[table] {
            Op::TableFilter(of) | Op::TableMap(of) => self.may_be_alone(of),
            Op::TableJoin(left, right, needs) | Op::ForeignKey { left, right, needs } => {
                needs != Needs::Both || self.may_be_alone(left) || self.may_be_alone(right)
            }
            _ => false,
        }
    }

    /// Whether windows or joins get rows through an exchange and from elsewhere, too.
    pub fn has_held_windows(&self) -> bool {
        let waits = |op: &usize| {
            let is_window =
                matches!(self.ops[*op], Op::Window(..) | Op::Sliding(..) | Op::Within(..));
            is_window || self.is_told_times(*op)
        };
        (0..self.ops.len()).filter(waits).any(|op| self.is_held(op))
    }

    /// Whether an operator gets rows through an exchange and from elsewhere, too: then how far
    /// its time is held back depends on when the marks of the exchange come.
    pub fn is_held(&self, op: usize) -> bool {
        let mut roots = BTreeSet::new();
        self.roots(op, &mut roots);
        roots.len() > 1 && roots.iter().any(|root| self.crosses(*root))
    }

    /// Whether rows come to an operator through an exchange.
    pub fn is_behind_exchange(&self, op: usize) -> bool {
        let mut roots = BTreeSet::new();
        self.roots(op, &mut roots);
        roots.iter().any(|root| self.crosses(*root))
    }

    /// Whether a table is joined with one that was folded from its own changes: when a row goes,
    /// one side of the pair is gone before the other hears of it.
    pub fn joins_with_itself(&self) -> bool {
        let is_made_of = |op: usize, base: usize| {
            let mut above = BTreeSet::new();
            self.above(op, &mut above);
            above.contains(&base)
        };
        self.ops.iter().any(|op| match *op {
            Op::TableJoin(left, right, _) => {
                let (lefts, rights) = (self.bases(left), self.bases(right));
                let mut pairs = lefts.iter().flat_map(|l| rights.iter().map(move |r| (*l, *r)));
                pairs.any(|(l, r)| is_made_of(l, r) || is_made_of(r, l))
            }
            _ => false,
        })
    }

    /// The tables with rows of their own that a table is seen through.
    fn bases(&self, table: usize) -> Vec<usize> {
        match self.ops[table] {
            Op::TableFilter(of) | Op::TableMap(of) => self.bases(of),
            Op::TableJoin(left, right, _) => [self.bases(left), self.bases(right)].concat(),
            _ => vec![table],
        }
    }

    /// All operators that an operator depends on.
    fn above(&self, op: usize, all: &mut BTreeSet<usize>) {
        for from in self.ops[op].inputs() {
            if all.insert(from.op) {
                self.above(from.op, all);
            }
        }
    }

    /// The sources and the readers of exchanges from which rows come to an operator.
    fn roots(&self, op: usize, roots: &mut BTreeSet<usize>) {
        let mut inputs = self.ops[op].inputs();
        if inputs.is_empty() || self.crosses(op) {
            roots.insert(op);
            return;
        }
        // The table of a join is looked at; it does not speak, but for the time.
        if self.ops[op].looks() && !self.is_told_times(op) {
            inputs.truncate(1);
        }
        inputs.iter().for_each(|from| self.roots(from.op, roots));
    }

    /// Whether an operator is a join whose records wait, and whose table tells it of time.
    pub fn is_told_times(&self, op: usize) -> bool {
        matches!(self.ops[op], Op::AsOf(_, _, AsOf { grace: 1.., .. }))
    }

    /// How many exchanges there are.
    pub fn exchanges(&self) -> usize {
        (0..self.ops.len()).filter(|op| self.crosses(*op)).count()
    }

    /// The name of the store of an operator, if it has one of its own.
    pub fn store(&self, op: usize) -> Option<String> {
        match self.ops[op] {
            Op::Table(topic, _) | Op::Versioned(topic, _) => Some(topic.to_owned()),
            Op::AsOf(..) if self.is_told_times(op) => Some(format!("as-of-{op}")),
            Op::Fold(..) => Some(format!("fold-{op}")),
            Op::Distinct(..) => Some(format!("distinct-{op}")),
            Op::Process(..) => Some(format!("process-{op}.timers")),
            Op::Pattern(..) => Some(format!("pattern-{op}")),
            Op::Window(..) | Op::Sliding(..) | Op::CountWindow(..) => {
                Some(format!("windows-{op}"))
            }
            Op::Group { .. } => Some(format!("groups-{op}")),
            Op::Within(..) => Some(format!("within-{op}")),
            Op::TableEvery(..) => Some(format!("every-{op}")),
            Op::ForeignKey { .. } => Some(format!("pairs-{op}")),
            _ => None,
        }
    }

    /// How many stores an operator has.
    pub fn stores(&self, op: usize) -> usize {
        match self.ops[op] {
            // Those of its parts, too.
            Op::ForeignKey { .. } => 4,
            Op::Process(..) => 3,
            // What is under way depends on when calls end.
            Op::Call(_) => 1,
            _ => usize::from(self.store(op).is_some()),
        }
    }

    /// Whether there are joins on foreign keys: only what they show at rest is fixed.
    pub fn has_foreign_keys(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::ForeignKey { .. }))
    }

    /// The program for people.
    pub fn describe(&self) -> String {
        let Self { family, panics, idles, .. } = self;
        let mut text = format!("  {family:?}, panics: {panics}, idles: {idles}\n");
        for (number, op) in self.ops.iter().enumerate() {
            writeln!(text, "  {number}: {op:?}").expect("writing to a string does not fail");
        }
        text
    }
}
