//! A processor that does what its records say.

use serde::{Deserialize, Serialize};
use suiro::{Outcome, OutputOf, Processor, StoreOf, TableOf, Topic, Turn};

pub const SCRIPTS: Topic<String, Vec<Act>> = Topic::json("scripts");
pub const LOOKED_AT: Topic<String, u64> = Topic::json("looked-at");
pub const ALL: Topic<String, String> = Topic::json("all");

/// How many names of timers there are.
pub const NAMES: u8 = 4;

/// Where the clock begins.
pub const CLOCK: i64 = 1_000_000;

/// One thing to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Act {
    Put(usize, u64),
    Remove(usize),
    Add(usize),
    Tell(usize),
    /// A timer of event time, so long after the turn.
    Set(u8, i64),
    /// A timer of wall time, so long after now.
    SetWall(u8, i64),
    Cancel(u8),
    CancelWall(u8),
    TellTimer(u8),
    LookUp,
    Times,
    Fail,
    Panic,
}

pub struct Scripted {
    pub stores: [StoreOf<u64>; 2],
    pub outputs: (OutputOf<String>, OutputOf<(String, String)>),
    pub table: TableOf<u64>,
    /// What the timer of each name does.
    pub timers: Vec<Vec<Act>>,
}

impl Scripted {
    fn run(&self, turn: &mut Turn<'_, Self>, acts: &[Act]) -> Outcome {
        let say = |turn: &mut Turn<'_, Self>, text: String| {
            // Every second text goes to the other output.
            match text.len() % 2 {
                0 => turn.send(self.outputs.0, text),
                _ => {
                    let pair = (turn.key().clone(), text);
                    turn.send(self.outputs.1, pair);
                }
            }
        };
        for act in acts {
            match *act {
                Act::Put(store, row) => turn.put(self.stores[store], row),
                Act::Remove(store) => {
                    let row = turn.remove(self.stores[store]);
                    say(turn, format!("removed {row:?}"));
                }
                Act::Add(store) => {
                    turn.update(self.stores[store], |row| *row = Some(row.unwrap_or(0) + 1));
                }
                Act::Tell(store) => {
                    let text = format!("{store} is {:?}", turn.get(self.stores[store]));
                    say(turn, text);
                }
                Act::Set(name, after) => turn.set_timer(name, turn.at().plus_millis(after)),
                Act::SetWall(name, after) => {
                    turn.set_wall_timer(name, turn.wall_time().plus_millis(after));
                }
                Act::Cancel(name) => {
                    let at = turn.cancel_timer(&name);
                    say(turn, format!("cancelled {at:?}"));
                }
                Act::CancelWall(name) => {
                    let at = turn.cancel_wall_timer(&name);
                    say(turn, format!("cancelled on the wall {at:?}"));
                }
                Act::TellTimer(name) => {
                    let text = format!("{:?} {:?}", turn.timer(&name), turn.wall_timer(&name));
                    say(turn, text);
                }
                Act::LookUp => {
                    let row = turn.look_up(self.table);
                    say(turn, format!("found {row:?}"));
                }
                Act::Times => {
                    let text = format!("{} {}", turn.stream_time(), turn.wall_time());
                    say(turn, text);
                }
                Act::Fail => return Err("as the script says".into()),
                Act::Panic => std::panic::resume_unwind(Box::new("as the script says")),
            }
        }
        Ok(())
    }
}

impl Processor for Scripted {
    type Key = String;
    type In = Vec<Act>;
    type Timer = u8;

    fn on_record(&self, turn: &mut Turn<'_, Self>, acts: Vec<Act>) -> Outcome {
        self.run(turn, &acts)
    }

    fn on_timer(&self, turn: &mut Turn<'_, Self>, name: u8) -> Outcome {
        turn.send(self.outputs.0, format!("timer {name}"));
        self.run(turn, &self.timers[usize::from(name)])
    }
}
