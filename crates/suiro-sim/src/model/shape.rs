//! Where a program is cut: sub-topologies, and the order in which they can run.

use crate::program::{Op, Program};

/// A part of a program that runs in one task per partition.
#[derive(Clone)]
pub(super) struct Sub {
    /// The operators that feed it, in order of declaration: sources, and readers of exchanges.
    pub(super) inputs: Vec<usize>,
    /// Exchanges lead from lower to higher levels.
    pub(super) level: usize,
}

/// The parts of a program.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) subs: Vec<Sub>,
    /// The sub-topology of each operator.
    pub(super) of_op: Vec<usize>,
    /// For an operator that reads through an exchange: the sub-topology that sends to it.
    pub(super) senders: Vec<usize>,
    /// All sub-topologies, by level.
    pub(super) order: Vec<usize>,
}

impl Shape {
    pub(super) fn of(program: &Program) -> Self {
        let count = program.ops.len();
        let mut group: Vec<usize> = (0..count).collect();
        for (number, op) in program.ops.iter().enumerate() {
            for (place, input) in op.inputs().into_iter().enumerate() {
                // A join on a foreign key reads both of its sides from elsewhere.
                let is_foreign = matches!(op, Op::ForeignKey { .. });
                if (place == 0 || is_foreign) && program.crosses(number) {
                    continue;
                }
                let (old, new) = (group[number], group[input.op]);
                group.iter_mut().filter(|it| **it == old).for_each(|it| *it = new);
            }
        }
        let mut names: Vec<usize> = group.clone();
        names.sort_unstable();
        names.dedup();
        let of_op: Vec<usize> = group
            .iter()
            .map(|name| names.binary_search(name).expect("every group has its name"))
            .collect();
        let is_input = |op: &usize| program.crosses(*op) || program.ops[*op].topic().is_some();
        let sub = |number| Sub {
            inputs: (0..count).filter(|op| of_op[*op] == number).filter(is_input).collect(),
            level: 0,
        };
        let mut subs: Vec<Sub> = (0..names.len()).map(sub).collect();
        let sender = |op: usize| match program.ops[op].inputs().first() {
            Some(from) => of_op[from.op],
            None => of_op[op],
        };
        let senders: Vec<usize> = (0..count).map(sender).collect();
        for _ in 0..=subs.len() {
            for op in (0..count).filter(|op| program.crosses(*op)) {
                let mut above = subs[senders[op]].level + 1;
                if let Op::ForeignKey { right, .. } = program.ops[op] {
                    above = above.max(subs[of_op[right]].level + 1);
                }
                let sub = &mut subs[of_op[op]];
                sub.level = sub.level.max(above);
            }
        }
        let mut order: Vec<usize> = (0..subs.len()).collect();
        order.sort_by_key(|sub| subs[*sub].level);
        Self { subs, of_op, senders, order }
    }
}
