//! The records at which user code fails, as a letter would tell of them.

use super::{Arrival, Model};
use crate::program::{Op, Program};

/// A record that a step could not take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failed {
    /// Its topic, partition and offset, unless it is made of others or came through an exchange.
    pub origin: Option<(String, u32, i64)>,
    /// Its key, or that of what came through the exchange.
    pub key: Option<Vec<u8>>,
    /// Its time.
    pub at: i64,
}

impl Model {
    /// A turn begins.
    pub(super) fn begin_turn(&mut self, partition: u32, op: usize, arrival: &Arrival) {
        let topic = self.program.ops[op].topic();
        let origin = topic.map(|topic| (topic.to_owned(), partition, arrival.offset));
        let key = Some(arrival.key.clone().into_bytes());
        self.turn = Some(Failed { origin, key, at: arrival.at });
    }

    /// User code fails at what is no record: a timer.
    pub(super) fn fail_apart(&mut self, key: &str, at: i64) {
        let key = Some(key.to_owned().into_bytes());
        self.failures.push(Failed { origin: None, key, at });
    }

    /// User code fails at a row.
    pub(super) fn fail(&mut self, op: usize, key: &str, at: i64) {
        let row = Failed { origin: None, key: Some(key.to_owned().into_bytes()), at };
        let failed = if self.program.has_waited(op) { None } else { self.turn.clone() };
        self.failures.push(failed.unwrap_or(row));
    }
}

impl Program {
    /// Whether the model says which rows fail. Where a row meets others in a group or a join, it
    /// says only what comes of them; and what goes by time is no record of a source.
    pub(crate) fn tells_failures(&self) -> bool {
        let is_silent = |op: &Op| match op {
            Op::Group { .. } | Op::ForeignKey { .. } | Op::Within(..) => true,
            Op::AsOf(_, _, how) => how.grace > 0,
            Op::Table(_, ttl) | Op::Fold(_, _, ttl) => ttl.is_some(),
            _ => false,
        };
        !self.ops.iter().any(is_silent)
    }

    /// Whether what comes to an operator waited in a window on its way through the task.
    fn has_waited(&self, op: usize) -> bool {
        let mut inputs = self.ops[op].inputs();
        if self.ops[op].looks() {
            inputs.truncate(1);
        }
        let waits = |op: usize| match self.ops[op] {
            Op::Window(_, windows) => windows.on_close,
            Op::Sliding(_, slide) => slide.on_close,
            // What it sends may be that of a timer.
            Op::Process(..) => true,
            Op::Pattern(_, sought) => sought.waits(),
            _ => false,
        };
        !self.crosses(op)
            && inputs.iter().any(|from| waits(from.op) || self.has_waited(from.op))
    }
}
