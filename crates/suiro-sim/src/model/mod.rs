//! The naive model: what the rules say, one record at a time, depth first, consumers in order of
//! declaration (rule D2). Plain maps and loops, none of the engine's types.
//!
//! A task of the model is a sub-topology times a partition, as in the engine; an exchange is a
//! queue that is complete before its readers begin. Where one lane feeds a queue that is what
//! the rules say (T2, T3). Where several do, the order between them is theirs to choose, and
//! programs are drawn so that the result at rest does not depend on it; which records are late
//! there is told to the model, which holds it against rule T6.

mod as_of;
mod failures;
mod foreign;
mod groups;
mod operators;
mod patterns;
mod process;
mod shape;
mod silence;
mod sliding;
mod ttl;
mod windows;
mod within;

pub use failures::Failed;

use crate::program::{Op, Program};
use patterns::Partial;
use shape::Shape;
use sliding::Slid;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use suiro::Timestamp;
use suiro_core::partition::partition_of;
pub(crate) use within::count;

/// A record that came out; a removal has no value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Output {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Option<String>,
    /// The event time.
    pub at: i64,
}

/// A record on its way to an operator.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The key.
    pub key: String,
    /// The value; a removal has none.
    pub value: Option<String>,
    /// The row of a table that it takes the place of, on its way to a group.
    pub(crate) old: Option<String>,
    /// The event time.
    pub at: i64,
    /// The offset in its topic; -1 behind an exchange.
    pub offset: i64,
    /// Behind an exchange: how far the sender's time had come.
    pub(crate) lane_time: i64,
}

impl Arrival {
    /// A record of a source.
    pub fn of(key: String, value: Option<String>, at: i64, offset: i64) -> Self {
        Self { key, value, old: None, at, offset, lane_time: i64::MAX }
    }
}

/// A window or a session that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Until when records in order join it, if it is a session.
    pub(crate) reach: i64,
    pub(crate) value: String,
    pub(crate) at: i64,
}

/// A count window that is not full.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    pub(crate) count: u64,
    pub(crate) span: Span,
}

/// A record that a join keeps.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) at: i64,
    /// 0 for the left side, 1 for the right one.
    pub(crate) side: usize,
    pub(crate) matched: bool,
}

/// What an operator of a task keeps.
#[derive(Clone, Default)]
pub(crate) struct State {
    /// Stream time; none before the first record.
    pub(crate) time: Option<i64>,
    /// What it was when all lanes were last at rest.
    rested: Option<i64>,
    pub(crate) rows: BTreeMap<String, (String, i64)>,
    /// What is valid from when on, of each key; a removal has no row.
    pub(crate) versions: BTreeMap<String, BTreeMap<i64, Option<String>>>,
    /// How many rows of another table each row was made of.
    pub(crate) members: BTreeMap<String, u64>,
    /// Open windows of each key, in order of start.
    pub(crate) windows: BTreeMap<String, Vec<Span>>,
    /// Count windows that are being filled.
    pub(crate) counting: BTreeMap<String, Counting>,
    /// What a join keeps, in order of arrival.
    pub(crate) waiting: Vec<Waiting>,
    /// The timers of event time that are set: key, name and time, in order of setting.
    pub(crate) timers: Vec<(String, String, i64)>,
    /// How many turns the keys of a processor have had, with the times of the last.
    pub(crate) turns: BTreeMap<String, (u64, i64)>,
    /// All timers of wall time that ever were set: key and name.
    pub(crate) walls: BTreeSet<(String, String)>,
    /// What patterns have begun, in order of arrival, and how many records they have seen.
    pub(crate) partials: Vec<Partial>,
    pub(crate) arrived: u64,
    /// Records that sliding windows have accepted, in order of arrival.
    pub(crate) slid: Vec<Slid>,
    /// The time up to which sliding windows were closed.
    pub(crate) swept: Option<i64>,
    /// Windows that a bounded run has closed before their time, with the time of the row.
    pub(crate) closed: BTreeMap<(String, i64), i64>,
}

/// How often rows were late that cannot be told apart.
pub(crate) type LateRows = BTreeMap<(String, String, i64), u64>;

/// A program in the model.
#[derive(Clone)]
pub struct Model {
    pub(crate) program: Program,
    shape: Shape,
    partitions: u32,
    /// By partition and operator.
    pub(crate) states: Vec<Vec<State>>,
    queues: Vec<Vec<VecDeque<Arrival>>>,
    /// How far the time of each task has come, by partition and sub-topology.
    times: Vec<Vec<i64>>,
    /// By how much the time of each task has gone on in the silence at hand.
    passed: Vec<Vec<i64>>,
    /// What came out, by topic and partition.
    pub out: BTreeMap<(&'static str, u32), Vec<Output>>,
    /// Which rows were late behind several lanes, by operator.
    late: BTreeMap<usize, LateRows>,
    /// How far the lane had come by which the row at hand came.
    pub(crate) lane_time: i64,
    /// Rows that were late and should not have been, and the like.
    pub violations: Vec<String>,
    /// The record of the turn that is taken.
    turn: Option<Failed>,
    /// The records at which user code failed.
    pub failures: Vec<Failed>,
}

impl Model {
    /// The model of `program` with so many partitions of every topic.
    pub fn new(program: &Program, partitions: u32) -> Self {
        let shape = Shape::of(program);
        let (ops, subs) = (program.ops.len(), shape.subs.len());
        let per_partition = |_| vec![State::default(); ops];
        Self {
            program: program.clone(),
            partitions,
            states: (0..partitions).map(per_partition).collect(),
            queues: (0..partitions).map(|_| vec![VecDeque::new(); ops]).collect(),
            times: (0..partitions).map(|_| vec![i64::MIN; subs]).collect(),
            passed: (0..partitions).map(|_| vec![0; subs]).collect(),
            out: BTreeMap::new(),
            late: BTreeMap::new(),
            lane_time: i64::MAX,
            violations: Vec::new(),
            turn: None,
            failures: Vec::new(),
            shape,
        }
    }

    /// Gives a record to the operator that reads its topic.
    pub fn feed(&mut self, topic: &str, partition: u32, arrival: Arrival) {
        let reads = |op: &Op| op.topic() == Some(topic);
        if let Some(op) = self.program.ops.iter().position(reads) {
            self.queues[partition as usize][op].push_back(arrival);
        }
    }

    /// The windowed operators behind several lanes, whose late records must be told.
    pub fn wants_late(&self) -> Vec<usize> {
        (0..self.program.ops.len()).filter(|op| self.is_told(*op)).collect()
    }

    fn is_told(&self, op: usize) -> bool {
        let late = crate::program::From { op, late: true };
        let mut sinks = self.program.ops.iter();
        let is_shown = sinks.any(|op| matches!(op, Op::To(of, _) if *of == late));
        is_shown && self.partitions > 1 && self.program.is_behind_exchange(op)
    }

    /// Tells which rows were late at an operator, more of them than before.
    pub fn tell_late(&mut self, op: usize, rows: impl Iterator<Item = Output>) {
        let late = self.late.entry(op).or_default();
        for Output { key, value, at } in rows {
            *late.entry((key, value.unwrap_or_default(), at)).or_default() += 1;
        }
    }

    /// The sub-topologies that positions alone place, in order.
    pub fn first_subs(&self) -> Vec<usize> {
        let subs = self.shape.subs.iter().enumerate();
        subs.filter(|(_, sub)| sub.level == 0).map(|(number, _)| number).collect()
    }

    /// The others, in an order in which none sends to an earlier one.
    pub fn later_subs(&self) -> Vec<usize> {
        let order = self.shape.order.iter().copied();
        order.filter(|sub| self.shape.subs[*sub].level > 0).collect()
    }

    /// The tasks whose sources `grew`, and those behind them.
    pub fn grown(&self, grew: impl Fn(&str, u32) -> bool) -> BTreeSet<(usize, u32)> {
        let mut all: BTreeSet<(usize, u32)> = BTreeSet::new();
        for sub in &self.shape.order {
            let mut crossing = self.ops_of(*sub).filter(|op| self.program.crosses(*op));
            let is_fed = crossing.any(|op| {
                let senders = self.program.ops[op].inputs();
                let mut senders = senders.iter().map(|from| self.shape.of_op[from.op]);
                senders.any(|sender| all.iter().any(|(grown, _)| *grown == sender))
            });
            for partition in 0..self.partitions {
                let mut topics =
                    self.ops_of(*sub).filter_map(|op| self.program.ops[op].topic());
                if is_fed || topics.any(|topic| grew(topic, partition)) {
                    all.insert((*sub, partition));
                }
            }
        }
        all
    }

    /// The operators of a sub-topology.
    pub fn ops_of(&self, sub: usize) -> impl Iterator<Item = usize> + '_ {
        let of_op = self.shape.of_op.iter().enumerate();
        of_op.filter(move |(_, of)| **of == sub).map(|(op, _)| op)
    }

    /// Takes all turns there are; at the end of a bounded run closes what is open, in the tasks
    /// that have not ended.
    pub fn run(&mut self, mut ended: Option<&mut BTreeSet<(usize, u32)>>) {
        for sub in self.shape.order.clone() {
            self.run_sub(sub);
            for partition in 0..self.partitions {
                if let Some(ended) = &mut ended
                    && ended.insert((sub, partition))
                {
                    self.end_task(sub, partition);
                }
            }
        }
    }

    /// Closes what is open in a task, as the end of a bounded run does.
    pub fn end_task(&mut self, sub: usize, partition: u32) {
        for op in self.ops_of(sub).collect::<Vec<_>>() {
            self.end(partition, op);
        }
    }

    fn run_sub(&mut self, sub: usize) {
        let ops: Vec<usize> = self.ops_of(sub).collect();
        ops.iter().for_each(|op| self.join_foreign(*op));
        for partition in 0..self.partitions {
            while self.turn(sub, partition, |_| i64::MAX) {}
            for op in &ops {
                self.rest(partition, *op);
            }
        }
    }

    /// Takes the next turn of a task (rule T2: the smallest head, ties by declaration) if it is
    /// before `limit`, which says for an operator the offset at which it stops. Gives whether.
    pub fn turn(
        &mut self,
        sub: usize,
        partition: u32,
        limit: impl Fn(&'static str) -> i64,
    ) -> bool {
        let queues = &mut self.queues[partition as usize];
        let inputs = &self.shape.subs[sub].inputs;
        let heads = inputs.iter().filter_map(|op| Some((queues[*op].front()?.at, *op)));
        let Some((_, op)) = heads.min() else { return false };
        if let Some(topic) = self.program.ops[op].topic()
            && queues[op].front().is_some_and(|head| head.offset >= limit(topic))
        {
            return false;
        }
        let Some(arrival) = queues[op].pop_front() else { return false };
        let time = &mut self.times[partition as usize][sub];
        *time = (*time).max(arrival.at);
        self.passed[partition as usize][sub] = 0;
        self.take_arrival(partition, op, arrival);
        true
    }

    /// The records that wait in a source, which a position says were taken.
    pub fn overdue(&self, partition: u32, topic: &str, position: i64) -> Option<i64> {
        let reads = |op: &Op| op.topic() == Some(topic);
        let op = self.program.ops.iter().position(reads)?;
        let head = self.queues[partition as usize][op].front()?;
        (head.offset < position).then_some(head.offset)
    }

    /// What an operator keeps in a partition: by key and start, the value, the end and the time.
    /// Rows of tables start and end at 0; see `count` for those of joins.
    pub fn rows(
        &self,
        partition: u32,
        op: usize,
    ) -> BTreeMap<(String, i64), (Option<String>, i64, i64)> {
        let state = &self.states[partition as usize][op];
        let mut all = BTreeMap::new();
        for (key, (value, at)) in &state.rows {
            all.insert((key.clone(), 0), (Some(value.clone()), 0, *at));
        }
        for (key, (turns, at)) in &state.turns {
            all.insert((key.clone(), 1), (Some(turns.to_string()), 0, *at));
        }
        for (key, name, at) in &state.timers {
            let places = all.range((key.clone(), 2)..=(key.clone(), i64::MAX));
            let place = 2 + places.count() as i64;
            all.insert((key.clone(), place), (Some(name.clone()), 0, *at));
        }
        for (key, versions) in &state.versions {
            for (at, row) in versions {
                all.insert((key.clone(), *at), (row.clone(), 0, *at));
            }
        }
        for (key, spans) in &state.windows {
            for Span { start, end, value, at, .. } in spans {
                all.insert((key.clone(), *start), (Some(value.clone()), *end, *at));
            }
        }
        for (key, Counting { count, span }) in &state.counting {
            let value = Some(format!("{count}: {}", span.value));
            all.insert((key.clone(), span.start), (value, span.end, span.at));
        }
        for Waiting { key, value, at, side, matched } in &state.waiting {
            count(&mut all, (key, *side, value), *at, *matched);
        }
        for partial in &state.partials {
            let of_key = all.range((partial.key.clone(), 0)..(partial.key.clone(), i64::MAX));
            let place = of_key.count() as i64;
            let row = (Some(partial.shown()), partial.end(), partial.start());
            all.insert((partial.key.clone(), place), row);
        }
        if let Op::Sliding(_, slide) = self.program.ops[op] {
            let open = state.open_slides(slide, self.program.is_commutative());
            for (key, Span { start, end, value, at, .. }) in open {
                all.insert((key, start), (Some(value), end, at));
            }
        }
        let size = match self.program.ops[op] {
            Op::Window(_, windows) => windows.size,
            Op::Sliding(_, slide) => slide.span,
            _ => return all,
        };
        for ((key, start), at) in &state.closed {
            all.insert((key.clone(), *start), (None, start + size, *at));
        }
        all
    }

    /// The stream time of an operator in a partition; the smallest number before its first record.
    pub fn time(&self, partition: u32, op: usize) -> Timestamp {
        let time = self.states[partition as usize][op].time;
        time.map_or(Timestamp::MIN, Timestamp::from_millis)
    }

    /// The rows of a table, seen through its steps.
    pub fn table(&self, op: usize) -> BTreeMap<String, (String, i64)> {
        let mut all = BTreeMap::new();
        for partition in 0..self.partitions {
            for key in self.keys(partition, op) {
                if let Some(row) = self.view(partition, op, &key) {
                    all.insert(key, row);
                }
            }
        }
        all
    }

    /// The keys that a table may have rows of.
    fn keys(&self, partition: u32, op: usize) -> BTreeSet<String> {
        match self.program.ops[op] {
            Op::TableFilter(of) | Op::TableMap(of) => self.keys(partition, of),
            Op::TableJoin(left, right, _) => {
                let mut all = self.keys(partition, left);
                all.append(&mut self.keys(partition, right));
                all
            }
            Op::Versioned(..) => {
                self.states[partition as usize][op].versions.keys().cloned().collect()
            }
            _ => self.states[partition as usize][op].rows.keys().cloned().collect(),
        }
    }

    fn send(
        &mut self,
        from: u32,
        op: usize,
        key: String,
        (old, value): (Option<String>, Option<String>),
        at: i64,
    ) {
        let to = partition_of(key.as_bytes(), self.partitions);
        let sub = self.shape.senders[op];
        let lane_time = self.times[from as usize][sub];
        let arrival = Arrival { key, value, old, at, offset: -1, lane_time };
        self.queues[to as usize][op].push_back(arrival);
    }

    fn write(&mut self, topic: &'static str, key: String, value: Option<String>, at: i64) {
        let partition = partition_of(key.as_bytes(), self.partitions);
        self.out.entry((topic, partition)).or_default().push(Output { key, value, at });
    }
}
