//! Steps that speak by the clock (rule E1) or wait for times of day, and not for a record.
//!
//! What they have not said yet is kept as state, so that it survives a crash however long they
//! wait; a commit waits for nobody. How often they speak is no input, and is not kept: after a
//! start, and after a roll-back, they say what is left over at once, so that neither short lives
//! nor failures keep them from it.

use crate::plan::{Plan, SubTopology};
use crate::scope::Scope;
use crate::task::{Task, Tried, Turning};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::Timestamp;

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
        self.wake()
    }

    /// Wakes those whose time of day has come, in order of declaration. A task that has ended
    /// wakes nobody: what waits there stays for a run to come.
    fn wake(&mut self) -> Tried<()> {
        for number in 0..self.clocks.len() {
            let (node, store) = self.clocks[number];
            let wakes_at = self.stores.state(store).wakes_at();
            if self.ended || wakes_at.is_none_or(|at| at > self.wall) {
                continue;
            }
            let mut is_awake = false;
            let (links, turn) = (Arc::clone(&self.plan.links), Turning { input: None });
            self.call(&links, node, turn, |operator, cx| {
                is_awake = operator.wake(cx)?;
                Ok(())
            })
            .map_err(|failure| self.failed_at_end(failure))?;
            // What goes without a word is to be committed, too.
            self.spoke |= is_awake;
        }
        Ok(())
    }
}

impl Scope {
    /// The time of day for which something waits, or a moment before that.
    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        let tasks = self.tasks.iter().flatten().filter(|task| !task.ended);
        let stores = tasks.flat_map(|task| task.stores.iter());
        stores.filter_map(|(_, store)| store.wakes_at()).min()
    }
}

impl Plan {
    /// The nodes of a sub-topology that wait for times of day, each with the store that knows for
    /// which, in order of declaration.
    pub(crate) fn clocks(&self, sub: &SubTopology) -> Vec<(usize, usize)> {
        let all = self.graph.clocks.iter().filter(|(node, _)| sub.nodes.contains(node));
        all.map(|(node, store)| (*node, *store)).collect()
    }

    /// The shortest time after which somebody speaks by the clock, if anybody does.
    pub(crate) fn speaks_every(&self) -> Option<Duration> {
        self.graph.every.values().min().copied()
    }
}
