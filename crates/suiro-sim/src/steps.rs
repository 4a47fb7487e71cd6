//! A step of one's own, as the library runs it.

use crate::act::{self, Deed};
use crate::build::trip;
use crate::program::Process;
use suiro::{Outcome, OutputOf, Processor, StoreOf, Stream, Table, TableOf, Turn};

type Texts = Stream<String, String>;

/// Draws the step: what it tells, and what it tells aside.
pub(crate) fn add(
    stream: Texts,
    table: Option<Table<String, String>>,
    number: usize,
    how: Process,
    (commutative, panics): (bool, bool),
) -> (Texts, Texts) {
    let mut process = stream.process(&format!("process-{number}"));
    let (sum, turns) = (process.store("sum"), process.store("turns"));
    let (tells, told) = process.output();
    let (asides, aside) = process.output();
    let table = table.map(|table| process.table(&table));
    process.with(Step { number, how, commutative, panics, sum, turns, tells, asides, table });
    (told, aside)
}

struct Step {
    number: usize,
    how: Process,
    commutative: bool,
    panics: bool,
    sum: StoreOf<String>,
    turns: StoreOf<u64>,
    tells: OutputOf<String>,
    asides: OutputOf<String>,
    table: Option<TableOf<String>>,
}

impl Step {
    fn take(&self, turn: &mut Turn<'_, Self>, value: &str, fired: Option<u64>) {
        let turns = turn.update(self.turns, |turns| *turns.insert(turns.unwrap_or(0) + 1));
        let row = turn.update(self.sum, |row| {
            let so_far = row.take().unwrap_or_default();
            row.insert(act::adds(&so_far, value, self.commutative)).clone()
        });
        for deed in act::deeds(&row, self.number, self.how.ahead, fired) {
            match deed {
                Deed::Tell => {
                    let text = match self.table {
                        Some(table) => act::joins(&row, turn.look_up(table).as_deref()),
                        None => row.clone(),
                    };
                    turn.send(self.tells, text);
                }
                Deed::Aside if self.how.wall => {}
                Deed::Aside => turn.send(self.asides, turns.to_string()),
                Deed::Set(name, after) => {
                    turn.set_timer(name.to_string(), turn.at().plus_millis(after));
                }
                Deed::Cancel(name) => drop(turn.cancel_timer(&name.to_string())),
                Deed::Forget => drop(turn.remove(self.sum)),
            }
        }
        if self.how.wall && fired.is_none() {
            let at = turn.wall_time().plus_millis(self.how.ahead);
            turn.set_wall_timer(format!("w{turns}"), at);
        }
        trip(self.panics, &row, self.number);
    }
}

impl Processor for Step {
    type Key = String;
    type In = String;
    type Timer = String;

    fn on_record(&self, turn: &mut Turn<'_, Self>, value: String) -> Outcome {
        self.take(turn, &value, None);
        Ok(())
    }

    fn on_timer(&self, turn: &mut Turn<'_, Self>, name: String) -> Outcome {
        match name.parse() {
            Ok(number) => self.take(turn, &name, Some(number)),
            Err(_) => {
                trip(false, &name, self.number);
                turn.send(self.asides, name);
            }
        }
        Ok(())
    }
}
