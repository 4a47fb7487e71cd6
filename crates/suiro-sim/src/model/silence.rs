//! Time that goes on in a silence (rule T5): from one moment at which something is due to the
//! next. In the milliseconds between them nothing can happen.

use super::Model;
use crate::program::Op;

impl Model {
    /// In a task nothing has come for so many milliseconds more than a silence must last: time
    /// goes on by what has not been told yet.
    pub fn listen(&mut self, sub: usize, partition: u32, longer: i64) {
        let told = &mut self.passed[partition as usize][sub];
        let mut passing = longer - std::mem::replace(told, longer.max(*told));
        let ops: Vec<usize> = self.ops_of(sub).collect();
        while passing > 0 {
            let due = ops.iter().filter_map(|op| self.due_in(partition, *op)).min();
            let step = due.map_or(passing, |due| due.clamp(1, passing));
            self.pass_by(&ops, partition, step);
            passing -= step;
        }
    }

    /// After how many milliseconds of its stream time something in an operator is due.
    fn due_in(&self, partition: u32, op: usize) -> Option<i64> {
        let state = &self.states[partition as usize][op];
        let now = state.time?;
        let rows = || state.rows.values().map(|(_, at)| *at);
        let due = match self.program.ops[op] {
            Op::Window(_, windows) => {
                let open = state.windows.values().flatten();
                open.map(|span| span.reach.saturating_add(windows.linger())).min()
            }
            Op::Within(_, _, reach, _) => {
                state.waiting.iter().map(|record| reach.closing(record.side, record.at)).min()
            }
            Op::Sliding(_, slide) => state.next_slide(slide),
            Op::AsOf(_, _, how) => {
                state.waiting.iter().map(|record| record.at + how.grace).min()
            }
            Op::Process(..) => state.timers.iter().map(|(_, _, at)| *at).min(),
            Op::Pattern(_, sought) => {
                state.partials.iter().map(|partial| partial.start() + sought.within + 1).min()
            }
            Op::Distinct(_, within) => rows().min().map(|at| at + within),
            Op::Table(_, Some(ttl)) | Op::Fold(_, _, Some(ttl)) => {
                rows().min().map(|at| at + ttl)
            }
            _ => None,
        };
        Some(due?.saturating_sub(now))
    }

    /// All stream times rise, then what is due goes, in order of declaration.
    fn pass_by(&mut self, ops: &[usize], partition: u32, millis: i64) {
        self.turn = None;
        for op in ops {
            let time = &mut self.states[partition as usize][*op].time;
            *time = time.map(|time| time + millis);
        }
        for op in ops {
            let op = *op;
            let Some(now) = self.states[partition as usize][op].time else { continue };
            match self.program.ops[op] {
                Op::Window(_, windows) => self.close(partition, op, windows, now),
                Op::Within(_, _, reach, needs) => {
                    self.close_within(partition, op, (reach, needs), now);
                }
                Op::Sliding(_, slide) => {
                    self.close_slides(partition, op, slide, now);
                }
                Op::AsOf(_, table, how) => {
                    self.release(partition, (op, table), how, now - how.grace);
                }
                Op::Process(_, how) => self.fire(partition, (op, how), now),
                Op::Pattern(_, sought) => self.time_out(partition, op, sought, now),
                Op::Distinct(_, within) => self.forget(partition, op, within, now),
                Op::Table(_, ttl) | Op::Fold(_, _, ttl) => {
                    self.let_go(partition, op, ttl, now);
                }
                _ => {}
            }
        }
    }
}
