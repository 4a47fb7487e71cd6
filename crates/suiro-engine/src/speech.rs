//! Steps that speak by the clock, and not with each record (rule E1).
//!
//! What they have not said yet is kept as state, so that it survives a crash however long they
//! wait; a commit waits for nobody. How often they speak is no input, and is not kept: after a
//! start, and after a roll-back, they say what is left over at once, so that neither short lives
//! nor failures keep them from it.

use crate::plan::{Plan, SubTopology};
use crate::task::{Task, Tried, Turning};
use std::sync::Arc;
use std::time::Duration;

/// A node that speaks by the clock.
#[derive(Clone, Copy)]
pub(crate) struct Speaker {
    node: usize,
    every: Duration,
    /// When it speaks next; `None` for at once.
    next: Option<Duration>,
}

impl Speaker {
    /// Those of a sub-topology, in order of declaration.
    pub(crate) fn all(plan: &Plan, sub: &SubTopology) -> Vec<Self> {
        let all = plan.graph.every.iter().filter(|(node, _)| sub.nodes.contains(node));
        all.map(|(node, every)| Self { node: *node, every: *every, next: None }).collect()
    }

    /// What it has said since the last commit is taken back.
    pub(crate) fn rollback(&mut self) {
        self.next = None;
    }
}

impl Task {
    /// Lets those speak whose time has come.
    pub(crate) fn speak(&mut self) -> Tried<()> {
        let said = self.said;
        for number in 0..self.speakers.len() {
            let Speaker { node, every, next } = self.speakers[number];
            if next.is_some_and(|next| self.now < next) {
                continue;
            }
            self.speakers[number].next = Some(self.now + every);
            let (links, turn) = (Arc::clone(&self.plan.links), Turning { input: None });
            self.call(&links, node, turn, |operator, cx| operator.speak(cx))
                .map_err(|failure| self.failed_at_end(failure))?;
        }
        self.spoke |= self.said != said;
        Ok(())
    }
}

impl Plan {
    /// The shortest time after which somebody speaks by the clock, if anybody does.
    pub(crate) fn speaks_every(&self) -> Option<Duration> {
        self.graph.every.values().min().copied()
    }
}
