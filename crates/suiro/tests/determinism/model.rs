//! The naive model: one record at a time, depth first, consumers in order of declaration
//! (rule D2). Plain maps, none of the engine's types.

use super::machine::{Input, Output};
use super::program::{From, Op, Program, Windows, act};
use std::collections::BTreeMap;

/// What runs through the model: a record, or a change of a row.
#[derive(Clone)]
enum Item {
    Row(String, i64),
    Change { old: Option<String>, new: Option<String>, at: i64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    start: i64,
    end: i64,
    value: String,
    at: i64,
}

#[derive(Default)]
struct State {
    time: Option<i64>,
    rows: BTreeMap<String, (String, i64)>,
    /// Open windows of each key, in order of start.
    windows: BTreeMap<String, Vec<Span>>,
}

/// A program in the model.
pub struct Model<'a> {
    program: &'a Program,
    states: Vec<State>,
    pub out: BTreeMap<&'static str, Vec<Output>>,
}

/// What `program` writes, topic by topic. `ends` says whether windows close at the end.
pub fn run(
    program: &Program,
    inputs: &[Input],
    ends: bool,
) -> BTreeMap<&'static str, Vec<Output>> {
    let states = program.ops.iter().map(|_| State::default()).collect();
    let mut model = Model { program, states, out: BTreeMap::new() };
    for input in turns(program, inputs) {
        model.feed(input);
    }
    if ends {
        for op in 0..program.ops.len() {
            model.end(op);
        }
    }
    model.out
}

/// The inputs in the order of rule T2: the smallest head first, ties by declaration.
fn turns<'a>(program: &Program, inputs: &'a [Input]) -> Vec<&'a Input> {
    let topics = program.ops.iter().filter_map(|op| match op {
        Op::Stream(topic) | Op::Table(topic) => Some(*topic),
        _ => None,
    });
    let queue = |topic| inputs.iter().filter(move |it| it.topic == topic).peekable();
    let mut queues: Vec<_> = topics.map(queue).collect();
    let mut order = Vec::new();
    loop {
        let heads = queues.iter_mut().enumerate();
        let heads = heads.filter_map(|(number, queue)| Some((queue.peek()?.at, number)));
        let Some((_, number)) = heads.min() else { return order };
        order.extend(queues[number].next());
    }
}

impl Model<'_> {
    fn feed(&mut self, input: &Input) {
        let program = self.program;
        for (number, op) in program.ops.iter().enumerate() {
            let key = input.key.clone().expect("model inputs have keys");
            match op {
                Op::Stream(topic) if *topic == input.topic => {
                    let value = input.value.clone().expect("stream records have values");
                    self.pass(
                        From { op: number, late: false },
                        key,
                        Item::Row(value, input.at),
                    );
                }
                Op::Table(topic) if *topic == input.topic => {
                    self.set(number, key, input.value.clone(), input.at);
                }
                _ => {}
            }
        }
    }

    /// Hands an item to all that read `from`.
    fn pass(&mut self, from: From, key: String, item: Item) {
        let program = self.program;
        for (number, op) in program.ops.iter().enumerate() {
            for port in ports(op, from) {
                self.take(number, port, key.clone(), item.clone());
            }
        }
    }

    fn emit(&mut self, op: usize, key: String, value: String, at: i64) {
        self.pass(From { op, late: false }, key, Item::Row(value, at));
    }

    fn take(&mut self, number: usize, port: usize, key: String, item: Item) {
        let op = self.program.ops[number];
        match item {
            Item::Row(value, at) => self.take_row(number, op, key, value, at),
            Item::Change { old, new, at } => {
                self.take_change(number, op, port, key, (old, new), at)
            }
        }
    }

    fn take_row(&mut self, number: usize, op: Op, key: String, value: String, at: i64) {
        let commutative = self.program.commutative;
        match op {
            Op::Filter(_) if !act::keeps(&value, number) => {}
            Op::Filter(_) | Op::Merge(..) => self.emit(number, key, value, at),
            Op::Map(_) => self.emit(number, key, act::maps(&value, number), at),
            Op::FlatMap(_) => {
                for part in act::splits(&value, number) {
                    self.emit(number, key.clone(), part, at);
                }
            }
            Op::KeyBy(_) => self.emit(number, act::key(&value, number), value, at),
            Op::Fold(_) => {
                let old = self.states[number].rows.get(&key).cloned();
                let (so_far, old_at) = old.unwrap_or((String::new(), i64::MIN));
                let new = act::adds(&so_far, &value, commutative);
                self.set(number, key, Some(new), at.max(old_at));
            }
            Op::Join { table, left, .. } => {
                let row = self.view(table, &key).map(|(row, _)| row);
                if row.is_some() || left {
                    self.emit(number, key, act::joins(&value, row.as_deref()), at);
                }
            }
            Op::Window(_, windows) => self.window(number, windows, key, value, at),
            Op::To(_, topic) => {
                let record = Output { key, value: Some(value), at };
                self.out.entry(topic).or_default().push(record);
            }
            _ => panic!("operator {number} takes no rows"),
        }
    }

    fn take_change(
        &mut self,
        number: usize,
        op: Op,
        port: usize,
        key: String,
        (old, new): (Option<String>, Option<String>),
        at: i64,
    ) {
        let (old, new, at) = match op {
            Op::Changes(_) => {
                return self.emit(number, key, act::changed(new.as_deref()), at);
            }
            Op::TableFilter(_) => {
                let keep = |row: &String| act::keeps(row, number);
                (old.filter(keep), new.filter(keep), at)
            }
            Op::TableMap(_) => {
                let map = |row: String| act::maps(&row, number);
                (old.map(map), new.map(map), at)
            }
            Op::TableJoin(left, right) => {
                let other = if port == 0 { right } else { left };
                let Some((row, row_at)) = self.view(other, &key) else { return };
                let pair = |mine: String| match port {
                    0 => act::joins(&mine, Some(&row)),
                    _ => act::joins(&row, Some(&mine)),
                };
                (old.map(pair), new.map(pair), at.max(row_at))
            }
            _ => panic!("operator {number} takes no changes"),
        };
        if old.is_some() || new.is_some() {
            let from = From { op: number, late: false };
            self.pass(from, key, Item::Change { old, new, at });
        }
    }

    /// Sets or removes a row of a table that holds its rows, and says so.
    fn set(&mut self, op: usize, key: String, new: Option<String>, at: i64) {
        let rows = &mut self.states[op].rows;
        let old = match &new {
            Some(value) => rows.insert(key.clone(), (value.clone(), at)),
            None => rows.remove(&key),
        };
        let old = old.map(|(row, _)| row);
        if old.is_some() || new.is_some() {
            self.pass(From { op, late: false }, key, Item::Change { old, new, at });
        }
    }

    /// The row of a table, seen through its steps.
    fn view(&self, op: usize, key: &str) -> Option<(String, i64)> {
        match self.program.ops[op] {
            Op::Table(_) | Op::Fold(_) => self.states[op].rows.get(key).cloned(),
            Op::TableFilter(of) => self.view(of, key).filter(|(row, _)| act::keeps(row, op)),
            Op::TableMap(of) => self.view(of, key).map(|(row, at)| (act::maps(&row, op), at)),
            Op::TableJoin(left, right) => {
                let (left, left_at) = self.view(left, key)?;
                let (right, right_at) = self.view(right, key)?;
                Some((act::joins(&left, Some(&right)), left_at.max(right_at)))
            }
            _ => panic!("operator {op} is no table"),
        }
    }

    fn window(&mut self, op: usize, windows: Windows, key: String, value: String, at: i64) {
        let state = &mut self.states[op];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        let taken = if windows.sessions {
            self.add_to_session(op, windows, &key, &value, at, now)
        } else {
            self.add_to_window(op, windows, &key, &value, at, now)
        };
        match taken {
            None => self.pass(From { op, late: true }, key, Item::Row(value, at)),
            Some(results) if !windows.on_close => {
                for (value, at) in results {
                    self.emit(op, key.clone(), value, at);
                }
            }
            Some(_) => {}
        }
        self.close(op, windows, now);
    }

    /// Takes a record into its window; gives what `on_update` says, or nothing if it is late.
    fn add_to_window(
        &mut self,
        op: usize,
        windows: Windows,
        key: &str,
        value: &str,
        at: i64,
        now: i64,
    ) -> Option<Vec<(String, i64)>> {
        let start = at - at.rem_euclid(windows.size);
        let end = start + windows.size;
        if end + windows.grace <= now {
            return None;
        }
        let open = self.states[op].windows.entry(key.to_owned()).or_default();
        let place = open.partition_point(|span| span.start < start);
        if open.get(place).is_none_or(|span| span.start != start) {
            open.insert(place, Span { start, end, value: String::new(), at });
        }
        let span = &mut open[place];
        span.value = act::adds(&span.value, value, self.program.commutative);
        span.at = span.at.max(at);
        Some(vec![(act::windowed(Some(&span.value), start, end), span.at)])
    }

    /// As above, for sessions.
    fn add_to_session(
        &mut self,
        op: usize,
        windows: Windows,
        key: &str,
        value: &str,
        at: i64,
        now: i64,
    ) -> Option<Vec<(String, i64)>> {
        let gap = windows.size;
        let commutative = self.program.commutative;
        let open = self.states[op].windows.entry(key.to_owned()).or_default();
        let (mut joined, mut others) = (Vec::new(), Vec::new());
        for span in open.iter() {
            let touches = span.start - gap <= at && at <= span.end + gap;
            if touches { &mut joined } else { &mut others }.push(span.clone());
        }
        let start = joined.iter().map(|span| span.start).min().unwrap_or(at).min(at);
        let end = joined.iter().map(|span| span.end).max().unwrap_or(at).max(at);
        if end + gap + 1 + windows.grace <= now {
            return None;
        }
        let mut said = Vec::new();
        for span in &joined {
            if (span.start, span.end) != (start, end) {
                said.push((act::windowed(None, span.start, span.end), span.end));
            }
        }
        let merged = joined.into_iter().map(|span| span.value);
        let merged = merged.reduce(|left, right| act::merges(&left, &right, commutative));
        let value = act::adds(&merged.unwrap_or_default(), value, commutative);
        said.push((act::windowed(Some(&value), start, end), end));
        others.push(Span { start, end, value, at: end });
        others.sort_by_key(|span| span.start);
        *open = others;
        Some(said)
    }

    /// Closes what is due at `now`, in order of end, start and key (rule W5).
    fn close(&mut self, op: usize, windows: Windows, now: i64) {
        let linger = windows.grace + if windows.sessions { windows.size + 1 } else { 0 };
        let mut due = Vec::new();
        for (key, open) in &mut self.states[op].windows {
            open.retain(|span| {
                let is_due = span.end.saturating_add(linger) <= now;
                if is_due {
                    due.push((span.end, span.start, key.clone(), span.clone()));
                }
                !is_due
            });
        }
        due.sort_by(|left, right| (left.0, left.1, &left.2).cmp(&(right.0, right.1, &right.2)));
        for (end, start, key, span) in due {
            if windows.on_close {
                self.emit(op, key, act::windowed(Some(&span.value), start, end), span.at);
            }
        }
    }

    fn end(&mut self, op: usize) {
        if let Op::Window(_, windows) = self.program.ops[op] {
            self.close(op, windows, i64::MAX);
        }
    }
}

/// The ports of `op` that `from` speaks to.
fn ports(op: &Op, from: From) -> Vec<usize> {
    let mut inputs = op.inputs();
    // The table of a join is looked at; it does not speak.
    if let Op::Join { .. } = op {
        inputs.truncate(1);
    }
    let inputs = inputs.into_iter().enumerate();
    inputs.filter(|(_, input)| *input == from).map(|(port, _)| port).collect()
}
