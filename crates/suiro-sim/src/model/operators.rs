//! What each operator does with a record or with the change of a row.

use super::{Arrival, Model};
use crate::act;
use crate::program::{Adds, From, Needs, Op};

/// What runs through the model: a record, or a change of a row.
#[derive(Clone)]
pub(super) enum Item {
    Row { value: String, at: i64 },
    Change { old: Option<String>, new: Option<String>, at: i64 },
}

impl Model {
    pub(super) fn take_arrival(&mut self, partition: u32, op: usize, arrival: Arrival) {
        self.begin_turn(partition, op, &arrival);
        let Arrival { key, value, old, at, lane_time, .. } = arrival;
        self.lane_time = lane_time;
        match (self.program.ops[op], value) {
            (Op::Stream(_), Some(value)) => {
                let from = From { op, late: false };
                self.pass(partition, from, key, Item::Row { value, at });
            }
            (Op::Stream(_), None) => {}
            (Op::Table(_, ttl), _) if self.has_aged(partition, op, ttl, at) => {}
            (Op::Table(..), value) => self.set(partition, op, key, value, at),
            (Op::Versioned(_, history), value) => {
                self.take_version(partition, (op, history), key, value, at);
            }
            (Op::Group { counts, .. }, new) => {
                self.take_member(partition, op, counts, key, (old, new), at);
            }
            (_, Some(value)) => self.take_row(partition, (op, 0), key, value, at),
            (_, None) => {}
        }
    }

    /// Hands an item to all that read `from`.
    pub(super) fn pass(&mut self, partition: u32, from: From, key: String, item: Item) {
        for number in 0..self.program.ops.len() {
            for port in ports(&self.program.ops[number], from) {
                let (key, item) = (key.clone(), item.clone());
                match item {
                    Item::Row { value, at } if self.program.crosses(number) => {
                        self.send(partition, number, key, (None, Some(value)), at);
                    }
                    Item::Row { value, at } => {
                        self.take_row(partition, (number, port), key, value, at);
                    }
                    Item::Change { old, new, at } => {
                        self.take_change(partition, number, port, key, (old, new), at);
                    }
                }
            }
        }
    }

    pub(super) fn emit(
        &mut self,
        partition: u32,
        op: usize,
        key: String,
        value: String,
        at: i64,
    ) {
        let item = Item::Row { value, at };
        self.pass(partition, From { op, late: false }, key, item);
    }

    fn take_row(
        &mut self,
        partition: u32,
        (number, port): (usize, usize),
        key: String,
        value: String,
        at: i64,
    ) {
        let commutative = self.program.is_commutative();
        let panics = self.program.panics && act::panics(&value, number);
        let op = self.program.ops[number];
        match op {
            Op::Filter(_) if !act::keeps(&value, number) => {}
            Op::Filter(_) | Op::Repartition(_) | Op::Merge(..) => {
                let item = Item::Row { value, at };
                self.pass(partition, From { op: number, late: false }, key, item);
            }
            Op::Distinct(_, within) => {
                if self.passes(partition, number, within, &key, at) {
                    self.emit(partition, number, key, value, at);
                }
            }
            Op::Process(_, how) => self.process(partition, (number, how), key, value, at),
            Op::Pattern(_, sought) => {
                self.seek(partition, number, sought, (key, value, at));
            }
            Op::Map(_) if panics => self.fail(number, &key, at),
            Op::Map(_) | Op::Call(_) => {
                self.emit(partition, number, key, act::maps(&value, number), at)
            }
            Op::FlatMap(_) => {
                for part in act::splits(&value, number) {
                    self.emit(partition, number, key.clone(), part, at);
                }
            }
            Op::KeyBy(_) => {
                self.emit(partition, number, act::key(&value, number), value, at);
            }
            Op::Fold(_, _, ttl) if self.has_aged(partition, number, ttl, at) => {}
            Op::Fold(_, Adds::Fold, _) if panics => self.fail(number, &key, at),
            Op::Fold(_, Adds::Last, _) => {
                let new = act::keeps(&value, number).then_some(value);
                self.set(partition, number, key, new, at);
            }
            Op::Fold(_, adds, _) => {
                let old = self.states[partition as usize][number].rows.get(&key).cloned();
                let old_at = old.as_ref().map_or(i64::MIN, |(_, at)| *at);
                let so_far = old.map(|(row, _)| row);
                let new = match adds {
                    Adds::Fold | Adds::Last => {
                        act::adds(&so_far.unwrap_or_default(), &value, commutative)
                    }
                    Adds::Count => {
                        let count = so_far.and_then(|row| row.parse::<u64>().ok());
                        (count.unwrap_or(0) + 1).to_string()
                    }
                    Adds::Reduce => match so_far {
                        Some(row) => act::reduces(&row, &value, commutative),
                        None => value,
                    },
                };
                self.set(partition, number, key, Some(new), at.max(old_at));
            }
            Op::Join { table, left, .. } => {
                let row = self.view(partition, table, &key).map(|(row, _)| row);
                if row.is_some() || left {
                    let pair = act::joins(&value, row.as_deref());
                    self.emit(partition, number, key, pair, at);
                }
            }
            Op::Global(_, left) => {
                let row = act::foreign(&value, number).and_then(|key| act::global(&key));
                if row.is_some() || left {
                    let pair = act::joins(&value, row.as_deref());
                    self.emit(partition, number, key, pair, at);
                }
            }
            Op::AsOf(_, table, how) => {
                self.join_as_of(partition, (number, table), how, (key, value, at));
            }
            Op::CountWindow(..) if panics => self.fail(number, &key, at),
            Op::CountWindow(_, windows) => {
                self.count_window(partition, number, windows, key, (value, at))
            }
            Op::Window(_, windows) => {
                self.window(partition, number, windows, key, value, at);
            }
            Op::Sliding(_, slide) => {
                self.slide(partition, number, slide, key, (value, at));
            }
            Op::Within(_, _, reach, needs) => {
                self.within(partition, (number, port), (reach, needs), key, value, at);
            }
            Op::To(_, topic) => self.write(topic, key, Some(value), at),
            _ => panic!("operator {number} takes no rows"),
        }
    }

    fn take_change(
        &mut self,
        partition: u32,
        number: usize,
        port: usize,
        key: String,
        (old, new): (Option<String>, Option<String>),
        at: i64,
    ) {
        let (old, new, at) = match self.program.ops[number] {
            Op::Changes(_) => {
                let value = act::changed(new.as_deref());
                return self.emit(partition, number, key, value, at);
            }
            // How often it speaks is not laid down; the auditor looks at the table itself.
            Op::TableTo(..) | Op::TableEvery(..) => return,
            // At rest it is made anew of what the tables hold.
            Op::ForeignKey { .. } => return,
            Op::Group { .. } => return self.send_members(partition, number, (old, new), at),
            Op::TableFilter(_) => {
                let keep = |row: &String| act::keeps(row, number);
                (old.filter(keep), new.filter(keep), at)
            }
            Op::TableMap(_) => {
                let map = |row: String| act::maps(&row, number);
                (old.map(map), new.map(map), at)
            }
            Op::TableJoin(left, right, needs) => {
                let other = if port == 0 { right } else { left };
                let other = self.view(partition, other, &key);
                let row = other.as_ref().map(|(row, _)| row.as_str());
                let pair = |mine: Option<String>| match port {
                    0 => joined(needs, mine.as_deref(), row),
                    _ => joined(needs, row, mine.as_deref()),
                };
                (pair(old), pair(new), other.as_ref().map_or(at, |(_, row_at)| at.max(*row_at)))
            }
            _ => panic!("operator {number} takes no changes"),
        };
        if old.is_some() || new.is_some() {
            let from = From { op: number, late: false };
            self.pass(partition, from, key, Item::Change { old, new, at });
        }
    }

    /// Sets or removes a row of a table that holds its rows, and says so.
    pub(super) fn set(
        &mut self,
        partition: u32,
        op: usize,
        key: String,
        new: Option<String>,
        at: i64,
    ) {
        let rows = &mut self.states[partition as usize][op].rows;
        let old = match &new {
            Some(value) => rows.insert(key.clone(), (value.clone(), at)),
            None => rows.remove(&key),
        };
        let old = old.map(|(row, _)| row);
        if old.is_some() || new.is_some() {
            let item = Item::Change { old, new, at };
            self.pass(partition, From { op, late: false }, key, item);
        }
    }

    /// The row of a table, seen through its steps.
    pub(super) fn view(&self, partition: u32, op: usize, key: &str) -> Option<(String, i64)> {
        match self.program.ops[op] {
            Op::Table(..) | Op::Fold(..) | Op::Group { .. } | Op::ForeignKey { .. } => {
                self.states[partition as usize][op].rows.get(key).cloned()
            }
            Op::Versioned(..) => {
                let (at, row) =
                    self.states[partition as usize][op].versions.get(key)?.last_key_value()?;
                Some((row.clone()?, *at))
            }
            Op::TableFilter(of) => {
                self.view(partition, of, key).filter(|(row, _)| act::keeps(row, op))
            }
            Op::TableMap(of) => {
                self.view(partition, of, key).map(|(row, at)| (act::maps(&row, op), at))
            }
            Op::TableJoin(left, right, needs) => {
                let sides = [left, right].map(|side| self.view(partition, side, key).unzip());
                let [(left, left_at), (right, right_at)] = sides;
                let row = joined(needs, left.as_deref(), right.as_deref())?;
                Some((row, left_at.max(right_at)?))
            }
            _ => panic!("operator {op} is no table"),
        }
    }
}

/// The joined row of two tables, if it has what it needs.
fn joined(needs: Needs, left: Option<&str>, right: Option<&str>) -> Option<String> {
    let is_there = match needs {
        Needs::Both => left.is_some() && right.is_some(),
        Needs::Left => left.is_some(),
        Needs::Any => left.is_some() || right.is_some(),
    };
    is_there.then(|| act::joins(left.unwrap_or("none"), right))
}

/// The ports of `op` that `from` speaks to.
fn ports(op: &Op, from: From) -> Vec<usize> {
    let mut inputs = op.inputs();
    // The table of a join is looked at; it does not speak of its rows.
    if op.looks() {
        inputs.truncate(1);
    }
    let inputs = inputs.into_iter().enumerate();
    inputs.filter(|(_, input)| *input == from).map(|(port, _)| port).collect()
}
