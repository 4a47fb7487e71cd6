//! Time that goes on in a silence (rule T5): one millisecond after the other.

use super::Model;
use crate::program::Op;

impl Model {
    /// In a task nothing has come for so many milliseconds more than a silence must last: time
    /// goes on by what has not been told yet.
    pub fn listen(&mut self, sub: usize, partition: u32, longer: i64) {
        let told = &mut self.passed[partition as usize][sub];
        let passing = longer - std::mem::replace(told, longer.max(*told));
        for _ in 0..passing {
            self.pass_moment(sub, partition);
        }
    }

    /// All stream times rise, then what is due goes, in order of declaration.
    fn pass_moment(&mut self, sub: usize, partition: u32) {
        self.turn = None;
        let ops: Vec<usize> = self.ops_of(sub).collect();
        for op in &ops {
            let time = &mut self.states[partition as usize][*op].time;
            *time = time.map(|time| time + 1);
        }
        for op in ops {
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
