//! The auditor: holds positions, stores and outputs against the model.

use crate::act;
use crate::build::without_panics;
use crate::case::Case;
use crate::ledger::{Ledger, Raw};
use crate::letters;
use crate::model::{Arrival, Model, Output, count};
use crate::program::{Adds, Family, From, Op, PATIENCE, TABLES};
use crate::timers;
use std::collections::{BTreeMap, BTreeSet};
use suiro::{InWindow, Record, Timestamp, inspect};
use suiro_core::{Error, TopicPartition};
use suiro_engine::{Scope, Stores};

/// What a store holds in one partition: by key and start, the value, the end and the time.
pub(crate) type Rows = BTreeMap<(String, i64), (Option<String>, i64, i64)>;

/// Says what is wrong.
pub(crate) type Verdict = Result<(), String>;

/// The right answer so far.
pub(crate) struct Auditor {
    pub(crate) model: Model,
    case: Case,
    /// Whether everything that the program has done is committed.
    at_rest: bool,
    /// Whether the runs of this epoch end by themselves.
    bounded: bool,
    /// The tasks that the model has ended in this epoch, by sub-topology and partition.
    ended: BTreeSet<(usize, u32)>,
    /// How many outputs were found right.
    right: BTreeMap<(&'static str, u32), usize>,
    /// How many records of the sources the model has.
    fed: BTreeMap<TopicPartition, usize>,
    /// How many late records the model was told of.
    told: BTreeMap<(&'static str, u32), usize>,
}

impl Auditor {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            model: Model::new(&case.program, case.partitions),
            case: case.clone(),
            at_rest: true,
            bounded: false,
            ended: BTreeSet::new(),
            right: BTreeMap::new(),
            fed: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// An epoch begins: gives the model what was written.
    pub(crate) fn begin(&mut self, bounded: bool, ledger: &Ledger) {
        self.bounded = bounded;
        // What has ended, and of which no source has grown, does not end again.
        let grew = |topic: &str, partition: u32| {
            let name = TopicPartition::new(topic, partition);
            let there = ledger.partitions.get(&name).map_or(0, |kept| kept.records.len());
            there > self.fed.get(&name).copied().unwrap_or(0)
        };
        let grown = self.model.grown(grew);
        self.ended.retain(|task| !grown.contains(task));
        for topic in self.case.program.sources() {
            for (partition, records) in ledger.topic(topic) {
                let fed = self.fed.entry(TopicPartition::new(topic, partition)).or_default();
                for record in &records[*fed..] {
                    if let Some(arrival) = arrival(topic, record) {
                        self.model.feed(topic, partition, arrival);
                    }
                }
                *fed = records.len();
            }
        }
    }

    /// Holds a program that was just restored against the model: what its positions say was
    /// taken, its stores say and its outputs say, no more and no less.
    pub(crate) fn hold_restart(&mut self, ledger: &Ledger, scopes: &[&Scope]) -> Verdict {
        self.hold_work(ledger, scopes, true)
    }

    /// As above, for programs that may have gone on since their last commit: then `at_rest` is
    /// not said of their stream times.
    pub(crate) fn hold_work(
        &mut self,
        ledger: &Ledger,
        scopes: &[&Scope],
        at_rest: bool,
    ) -> Verdict {
        self.at_rest = at_rest;
        for sub in self.model.first_subs() {
            for partition in 0..self.case.partitions {
                self.advance(sub, partition, ledger)?;
            }
            self.hold_stores(sub, ledger, scopes)?;
            if self.case.program.family == Family::Local {
                self.hold_outputs(sub, ledger)?;
            }
        }
        if self.case.letters {
            // How far tasks behind an exchange are no position says.
            let all = self.model.later_subs().is_empty();
            letters::hold(ledger, &self.case.program, &self.model, all)?;
        }
        if self.case.partitions > 1 || self.case.program.has_foreign_keys() {
            return Ok(());
        }
        for sub in self.model.first_subs() {
            self.hold_outputs(sub, ledger)?;
        }
        for sub in self.model.later_subs() {
            self.follow(sub, ledger, scopes)?;
        }
        Ok(())
    }

    /// Lets the model take what the positions of a task say was taken.
    fn advance(&mut self, sub: usize, partition: u32, ledger: &Ledger) -> Verdict {
        let position = |topic: &str| ledger.next(topic, partition);
        while self.model.turn(sub, partition, position) {}
        let (mut topics, mut has_ended) = (0, true);
        for op in self.model.ops_of(sub).collect::<Vec<_>>() {
            let Some(topic) = self.case.program.ops[op].topic() else { continue };
            if let Some(offset) = self.model.overdue(partition, topic, position(topic)) {
                return Err(format!(
                    "position {} of {topic}/{partition} is past the record at {offset}, whose \
                     turn comes after records that were not taken",
                    position(topic)
                ));
            }
            let name = TopicPartition::new(topic, partition);
            let note = ledger.positions.get(&name).map(|position| position.note.as_str());
            topics += 1;
            has_ended &= note.is_some_and(|note| note.ends_with("ended"))
                && position(topic) >= self.end_of(topic, partition, ledger);
        }
        self.listen(sub, partition, ledger);
        if self.bounded && topics > 0 && has_ended && self.ended.insert((sub, partition)) {
            self.model.end_task(sub, partition);
        }
        Ok(())
    }

    /// Tells the model for how long nothing has come to a task, as the notes of its positions say.
    fn listen(&mut self, sub: usize, partition: u32, ledger: &Ledger) {
        let ops = self.model.ops_of(sub);
        let silent = ops.filter_map(|op| {
            let topic = self.case.program.ops[op].topic()?;
            let name = TopicPartition::new(topic, partition);
            let note = &ledger.positions.get(&name)?.note;
            note.strip_prefix("silent=")?.parse::<i64>().ok()
        });
        let longer = silent.min().map_or(0, |silent| silent - PATIENCE);
        if longer > 0 {
            self.model.listen(sub, partition, longer);
        }
    }

    fn end_of(&self, topic: &str, partition: u32, ledger: &Ledger) -> i64 {
        let name = TopicPartition::new(topic, partition);
        ledger.partitions.get(&name).map_or(0, |kept| kept.end)
    }

    /// Lets the model take turns behind an exchange until it is where the program is. What it
    /// comes from may have been in memory, so that no position says how far that is.
    fn follow(&mut self, sub: usize, ledger: &Ledger, scopes: &[&Scope]) -> Verdict {
        let position = |topic: &str| ledger.next(topic, 0);
        let mut first = None;
        loop {
            let held = self
                .hold_outputs(sub, ledger)
                .and_then(|()| self.hold_stores(sub, ledger, scopes));
            let Err(differs) = held else { return Ok(()) };
            let first = first.get_or_insert_with(|| differs.clone()).clone();
            if self.model.turn(sub, 0, position) {
                continue;
            }
            if self.bounded && self.ended.insert((sub, 0)) {
                self.model.end_task(sub, 0);
                continue;
            }
            if self.go_on_unseen(sub, ledger, scopes) {
                continue;
            }
            return Err(format!(
                "the program is at no turn of the model; at first {first}; at last {differs}"
            ));
        }
    }

    /// Lets the model take turns of the sub-topologies before `sub` after which these are again
    /// where the program is: what such turns sent is all that shows of them. Gives whether there
    /// were some.
    fn go_on_unseen(&mut self, sub: usize, ledger: &Ledger, scopes: &[&Scope]) -> bool {
        for above in self.model.later_subs().into_iter().take_while(|above| *above != sub) {
            let before = (self.model.clone(), self.right.clone());
            while self.model.turn(above, 0, |topic| {
                let name = TopicPartition::new(topic, 0);
                ledger.positions.get(&name).map_or(0, |position| position.next)
            }) {
                let held = self.hold_outputs(above, ledger);
                if held.and_then(|()| self.hold_stores(above, ledger, scopes)).is_ok() {
                    return true;
                }
            }
            (self.model, self.right) = before;
        }
        false
    }

    /// Holds a program that is at rest against the model: everything was taken.
    pub(crate) fn hold_rest(&mut self, ledger: &Ledger, scopes: &[&Scope]) -> Verdict {
        self.at_rest = true;
        self.tell_late(ledger);
        self.model.run(self.bounded.then_some(&mut self.ended));
        for sub in self.model.first_subs() {
            for partition in 0..self.case.partitions {
                self.listen(sub, partition, ledger);
            }
        }
        if let Some(violation) = self.model.violations.first() {
            return Err(violation.clone());
        }
        if let Some(violation) = self.model.unexplained_late().first() {
            return Err(violation.clone());
        }
        for topic in self.case.program.sources() {
            for partition in 0..self.case.partitions {
                let name = TopicPartition::new(topic, partition);
                let next = ledger.positions.get(&name).map_or(0, |position| position.next);
                let end = self.end_of(topic, partition, ledger);
                if next != end {
                    return Err(format!("at rest, position of {name} is {next} and not {end}"));
                }
            }
        }
        if self.case.letters {
            letters::hold(ledger, &self.case.program, &self.model, true)?;
        }
        self.hold_tasks(scopes)?;
        for sub in self.model.first_subs().into_iter().chain(self.model.later_subs()) {
            self.hold_stores(sub, ledger, scopes)?;
            self.hold_tables(sub, ledger)?;
            if self.case.program.family != Family::Parallel {
                self.hold_outputs(sub, ledger)?;
            }
        }
        if self.case.program.family == Family::Parallel {
            self.hold_any_order(ledger)?;
        }
        Ok(())
    }

    /// Tells the model which records came late where several lanes decide it.
    fn tell_late(&mut self, ledger: &Ledger) {
        for op in self.model.wants_late() {
            let from = From { op, late: true };
            let sinks = self.case.program.ops.iter().filter_map(|op| match op {
                Op::To(of, topic) if *of == from => Some(*topic),
                _ => None,
            });
            let Some(topic) = sinks.clone().next() else { continue };
            let mut rows = Vec::new();
            for (partition, records) in ledger.topic(topic) {
                let told = self.told.entry((topic, partition)).or_default();
                rows.extend(records[*told..].iter().map(output));
                *told = records.len();
            }
            self.model.tell_late(op, rows.into_iter());
        }
    }

    /// The topics that operators of a sub-topology write record by record.
    fn sinks_of(&self, sub: usize) -> BTreeSet<&'static str> {
        let ops = self.model.ops_of(sub);
        let topics = ops.filter_map(|op| match self.case.program.ops[op] {
            Op::To(_, topic) => Some(topic),
            _ => None,
        });
        topics.filter(|topic| !self.case.program.is_wall_sink(topic)).collect()
    }

    /// Holds outputs against the model, record by record.
    fn hold_outputs(&mut self, sub: usize, ledger: &Ledger) -> Verdict {
        let nothing: &[Output] = &[];
        for topic in self.sinks_of(sub) {
            for partition in 0..self.case.partitions {
                let name = TopicPartition::new(topic, partition);
                let written: &[Raw] =
                    ledger.partitions.get(&name).map_or(&[], |kept| &kept.records);
                let expected = self.model.out.get(&(topic, partition));
                let expected = expected.map_or(nothing, |all| all);
                let right = self.right.entry((topic, partition)).or_default();
                for place in *right..written.len().max(expected.len()) {
                    let got = written.get(place).map(output);
                    if got.as_ref() != expected.get(place) {
                        return Err(format!(
                            "record {place} of {name}: expected {}, got {}",
                            line(expected.get(place)),
                            line(got.as_ref())
                        ));
                    }
                    *right = place + 1;
                }
            }
        }
        Ok(())
    }

    /// Holds the outputs of lanes beside each other against the model: of the changes of a table
    /// the last of each key, of a stream all, in any order.
    fn hold_any_order(&self, ledger: &Ledger) -> Verdict {
        for topic in self.case.program.sinks() {
            let program = &self.case.program;
            if program.table_behind(topic).is_some() || program.is_wall_sink(topic) {
                continue;
            }
            let written =
                ledger.topic(topic).flat_map(|(_, records)| records.iter().map(output));
            let of_topic = self.model.out.iter().filter(|((of, _), _)| *of == topic);
            let expected = of_topic.flat_map(|(_, all)| all.iter().cloned());
            let (mut written, mut expected): (Vec<_>, Vec<_>) =
                (written.collect(), expected.collect());
            if let Some(table) = self.case.program.table_shown(topic) {
                (written, expected) = (last_of_each(written), last_of_each(expected));
                if self.case.program.has_loose_times(table) {
                    written.iter_mut().chain(&mut expected).for_each(|row| row.at = 0);
                }
            }
            written.sort();
            expected.sort();
            let differs = (0..written.len().max(expected.len()))
                .find(|place| written.get(*place) != expected.get(*place));
            if let Some(place) = differs {
                return Err(format!(
                    "at rest, {topic} has {} records and not {}: expected {}, got {}",
                    written.len(),
                    expected.len(),
                    line(expected.get(place)),
                    line(written.get(place))
                ));
            }
        }
        Ok(())
    }

    /// Holds the changelogs of tables that were written to topics against the tables.
    fn hold_tables(&self, sub: usize, ledger: &Ledger) -> Verdict {
        for op in self.model.ops_of(sub) {
            let (Op::TableTo(table, topic) | Op::TableEvery(table, topic)) =
                self.case.program.ops[op]
            else {
                continue;
            };
            let mut last = BTreeMap::new();
            for record in ledger.topic(topic).flat_map(|(_, records)| records) {
                let Output { key, value, at } = output(record);
                match value {
                    Some(value) => last.insert(key, (value, at)),
                    None => last.remove(&key),
                };
            }
            let program = &self.case.program;
            let is_alone = program.may_be_alone(table) || program.has_loose_times(table);
            let mut table = self.model.table(table);
            // A lone row is as old as it is, though the removal of the other came later.
            if is_alone {
                for row in last.values_mut().chain(table.values_mut()) {
                    row.1 = 0;
                }
            }
            if last != table {
                return Err(differs(&format!("table in {topic}"), &table, &last));
            }
        }
        Ok(())
    }

    /// At rest, each store of each partition is in one place.
    fn hold_tasks(&self, scopes: &[&Scope]) -> Verdict {
        let all = scopes.iter().flat_map(|scope| scope.stores());
        let slots = all.flat_map(|(partition, stores)| {
            stores.iter().map(move |(slot, _)| (slot, partition))
        });
        let mut slots: Vec<_> = slots.collect();
        slots.sort_unstable();
        let count = slots.len();
        slots.dedup();
        let ops = 0..self.case.program.ops.len();
        let stores: usize = ops.map(|op| self.case.program.stores(op)).sum();
        let expected = stores * self.case.partitions as usize;
        match count == slots.len() && count == expected {
            true => Ok(()),
            false => Err(format!("{count} stores are held, {} of them once", slots.len())),
        }
    }

    /// Holds the stores of a sub-topology against the model.
    fn hold_stores(&self, sub: usize, ledger: &Ledger, scopes: &[&Scope]) -> Verdict {
        let partitions = self.case.partitions;
        for op in self.model.ops_of(sub) {
            let of = (&self.case.program, &self.model);
            timers::hold_walls(ledger, of, op, scopes, partitions)?;
        }
        for op in self.model.ops_of(sub) {
            let Some(name) = self.case.program.store(op) else { continue };
            // What was not shown yet is not laid down; at rest all was.
            if let Op::TableEvery(..) = self.case.program.ops[op] {
                continue;
            }
            let Some(first) = scopes.first() else { continue };
            let slot = first.plan().store(&name).ok_or("a store has no slot")?;
            for (partition, stores) in scopes.iter().flat_map(|scope| scope.stores()) {
                if !stores.has(slot) {
                    continue;
                }
                let of = self.case.program.ops[op];
                let held = without_panics(|| match of {
                    Op::Process(..) => timers::held(first.plan(), stores, op),
                    _ => held(of, stores, slot),
                });
                let held = held.ok_or_else(|| format!("store {name} has other types"))?;
                let mut held = held.map_err(|error| error.report())?;
                let mut expected = self.model.rows(partition, op);
                if self.case.program.has_loose_times(op) {
                    held.values_mut().chain(expected.values_mut()).for_each(|row| row.2 = 0);
                }
                if held != expected {
                    let what = format!("store {name}, partition {partition}");
                    return Err(differs(&what, &expected, &held));
                }
                let mut states = stores.iter().filter(|(number, _)| *number == slot);
                let time = states.next().and_then(|(_, state)| state.stream_time());
                let time = time.filter(|_| self.at_rest);
                let expected = self.model.time(partition, op);
                if time.is_some_and(|time| time != expected) {
                    return Err(format!(
                        "stream time of {name}, partition {partition}: expected {expected}, \
                         got {time:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The rows of a store.
fn held(op: Op, stores: &Stores, slot: usize) -> Option<Result<Rows, Error>> {
    let row = |(key, value, at): (String, String, Timestamp)| {
        ((key, 0), (Some(value), 0, at.as_millis()))
    };
    let window = |(key, window, at): (String, InWindow<Option<String>>, Timestamp)| {
        let InWindow { start, end, value } = window;
        ((key, start.as_millis()), (value, end.as_millis(), at.as_millis()))
    };
    Some(match op {
        Op::Fold(_, Adds::Count, _) | Op::Group { counts: true, .. } => {
            let count = |(key, count, at): (_, u64, _)| row((key, count.to_string(), at));
            all(inspect::rows(stores, slot)?, count)
        }
        Op::Fold(_, Adds::Reduce, _) => {
            let last = |(key, value, at): (_, Option<String>, _)| {
                row((key, value.unwrap_or_default(), at))
            };
            all(inspect::rows(stores, slot)?, last)
        }
        Op::Distinct(..) => {
            let passed = |(key, (), at)| row((key, String::new(), at));
            all(inspect::rows(stores, slot)?, passed)
        }
        Op::Pattern(..) => partials(inspect::partials(stores, slot)?),
        Op::Window(..) | Op::Sliding(..) => all(inspect::windows(stores, slot)?, window),
        Op::CountWindow(..) => {
            let filling = |(key, count, held, at): (_, u64, InWindow<String>, _)| {
                let InWindow { start, end, value } = held;
                window((
                    key,
                    InWindow { start, end, value: Some(format!("{count}: {value}")) },
                    at,
                ))
            };
            all(inspect::filling(stores, slot)?, filling)
        }
        Op::Versioned(..) => {
            let versions: Vec<inspect::Version<String, String>> =
                inspect::versions(stores, slot)?;
            let version = |(key, at, row): (String, Timestamp, Option<String>)| {
                ((key, at.as_millis()), (row, 0, at.as_millis()))
            };
            Ok(versions.into_iter().map(version).collect())
        }
        Op::AsOf(..) => {
            let mut all = Rows::default();
            for Record { key, value, at, .. } in
                inspect::waiting::<String, String>(stores, slot)?
            {
                count(&mut all, (&key, 0, &value), at.as_millis(), false);
            }
            Ok(all)
        }
        Op::Within(..) => kept(inspect::kept(stores, slot)?),
        _ => all(inspect::rows(stores, slot)?, row),
    })
}

fn partials(rows: Result<Vec<inspect::Partial<String, String>>, Error>) -> Result<Rows, Error> {
    let (mut all, mut places) = (Rows::new(), BTreeMap::<String, i64>::new());
    for (key, stage, part) in rows? {
        let place = places.entry(key.clone()).or_default();
        let stages =
            (0..part.stages()).map(|stage| part.stage(stage).iter().map(String::as_str));
        let value = Some(act::partial(stage, stages));
        all.insert((key, *place), (value, part.end.as_millis(), part.start.as_millis()));
        *place += 1;
    }
    Ok(all)
}

fn kept(
    rows: Result<Vec<inspect::Kept<String, String, String>>, Error>,
) -> Result<Rows, Error> {
    let mut all = Rows::default();
    for row in rows? {
        let side = usize::from(row.left.is_none());
        let value = row.left.or(row.right).unwrap_or_default();
        count(&mut all, (&row.key, side, &value), row.at.as_millis(), row.matched);
    }
    Ok(all)
}

fn all<T, R>(rows: Result<Vec<T>, Error>, row: impl Fn(T) -> R) -> Result<Rows, Error>
where
    Rows: FromIterator<R>,
{
    Ok(rows?.into_iter().map(row).collect())
}

/// What a record of a source is to an operator; poison is nothing.
pub(crate) fn arrival(topic: &str, record: &Raw) -> Option<Arrival> {
    let key = String::from_utf8(record.key.as_ref()?.to_vec()).ok()?;
    let value = match &record.value {
        Some(value) => Some(String::from_utf8(value.to_vec()).ok()?),
        None if TABLES.contains(&topic) => None,
        None => return None,
    };
    (record.at >= 0).then(|| Arrival::of(key, value, record.at, record.offset))
}

/// A record of an output.
pub(crate) fn output(record: &Raw) -> Output {
    let text = |bytes: &suiro::Bytes| String::from_utf8_lossy(bytes).into_owned();
    Output {
        key: record.key.as_ref().map(text).unwrap_or_default(),
        value: record.value.as_ref().map(text),
        at: record.at,
    }
}

/// The last change of each key; of rows that are gone it depends on the order whether they ever
/// were there.
fn last_of_each(records: Vec<Output>) -> Vec<Output> {
    let last: BTreeMap<_, _> =
        records.into_iter().map(|record| (record.key.clone(), record)).collect();
    let gone = act::changed(None);
    last.into_values().filter(|record| record.value.as_ref() != Some(&gone)).collect()
}

fn line(record: Option<&Output>) -> String {
    match record {
        Some(Output { key, value, at }) => {
            format!("{key}={} @{at}", value.as_deref().unwrap_or("null"))
        }
        None => "nothing".to_owned(),
    }
}

/// The first difference between two maps.
fn differs<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &BTreeMap<K, V>,
    got: &BTreeMap<K, V>,
) -> String {
    let mut keys = expected.keys().chain(got.keys());
    let key = keys.find(|key| expected.get(*key) != got.get(*key));
    let of =
        |map: &BTreeMap<K, V>| key.and_then(|key| map.get(key).map(|row| format!("{row:?}")));
    format!("{what}: at {key:?} expected {:?}, got {:?}", of(expected), of(got))
}
