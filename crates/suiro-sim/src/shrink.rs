//! Makes a failing case small: fewer faults, fewer records, a simpler program.

use crate::case::Case;
use crate::life::{Report, run};
use crate::program::{Family, From, Op, Program};

/// How many smaller cases are tried.
const TRIES: usize = 1500;

/// The smallest case found that fails as well, with its report.
pub(crate) fn shrink(case: Case, report: Report) -> (Case, Report) {
    let mut smallest = Shrinking { case, report, tries: 0 };
    loop {
        let before = smallest.case.clone();
        smallest.lives();
        smallest.records();
        smallest.operators();
        smallest.settings();
        if smallest.case == before || smallest.tries >= TRIES {
            return (smallest.case, smallest.report);
        }
    }
}

/// What kind of failure it is: its first words, without numbers.
fn class(report: &Report) -> Option<String> {
    let failure = report.failure.as_ref()?;
    let words = failure.split_whitespace().take(4);
    Some(words.map(|word| word.replace(|c: char| c.is_ascii_digit(), "")).collect())
}

struct Shrinking {
    case: Case,
    report: Report,
    tries: usize,
}

impl Shrinking {
    /// Keeps a smaller case if it fails. Gives whether it did.
    fn keeps(&mut self, case: Case) -> bool {
        if self.tries >= TRIES || case == self.case {
            return false;
        }
        self.tries += 1;
        let report = run(&case, false);
        let fails = class(&report) == class(&self.report);
        if fails {
            (self.case, self.report) = (case, report);
        }
        fails
    }

    fn lives(&mut self) {
        let mut number = self.case.lives.len();
        while number > 0 {
            number -= 1;
            let mut case = self.case.clone();
            case.lives.remove(number);
            if self.keeps(case) {
                continue;
            }
            for fault in (0..self.case.lives[number].planned.len()).rev() {
                let mut case = self.case.clone();
                case.lives[number].planned.remove(fault);
                self.keeps(case);
            }
        }
    }

    fn records(&mut self) {
        for epoch in (0..self.case.epochs.len()).rev() {
            if self.case.epochs.len() > 1 {
                let mut case = self.case.clone();
                case.epochs.remove(epoch);
                if self.keeps(case) {
                    continue;
                }
            }
            let mut step = self.case.epochs[epoch].len();
            while step > 0 {
                let mut from = 0;
                while from < self.case.epochs[epoch].len() {
                    let mut case = self.case.clone();
                    let to = (from + step).min(case.epochs[epoch].len());
                    case.epochs[epoch].drain(from..to);
                    if !self.keeps(case) {
                        from += step;
                    }
                }
                step /= 2;
            }
        }
    }

    fn operators(&mut self) {
        let mut number = self.case.program.ops.len();
        while number > 0 {
            number -= 1;
            if let Some(program) = without(&self.case.program, number) {
                self.keeps(Case { program, ..self.case.clone() });
            }
        }
        for number in 0..self.case.program.ops.len() {
            let mut program = self.case.program.clone();
            match &mut program.ops[number] {
                Op::Table(_, ttl) | Op::Fold(_, _, ttl) => *ttl = None,
                Op::AsOf(_, _, how) => how.grace = 0,
                Op::Window(_, windows) => windows.own_gaps = false,
                _ => {}
            }
            self.keeps(Case { program, ..self.case.clone() });
        }
        let program = Program { panics: false, ..self.case.program.clone() };
        self.keeps(Case { program, ..self.case.clone() });
    }

    fn settings(&mut self) {
        let calm = Case { stops: false, compacts: false, ..self.case.clone() };
        self.keeps(calm);
        for calm in [
            Case { room: None, ..self.case.clone() },
            Case { snapshots: None, ..self.case.clone() },
            Case { letters: false, ..self.case.clone() },
            Case { shares: false, copies: false, ..self.case.clone() },
            Case { copies: false, ..self.case.clone() },
            Case { silence: None, ..self.case.clone() },
        ] {
            self.keeps(calm);
        }
        let log_bytes = (1 << 20, 256_000, 1 << 20);
        self.keeps(Case { log_bytes, ..self.case.clone() });
        for number in 0..self.case.lives.len() {
            let mut case = self.case.clone();
            let life = &mut case.lives[number];
            (life.fetch_bytes, life.is_closed, life.maintains) = (1 << 20, true, false);
            self.keeps(case);
        }
    }
}

/// The program without an operator that nothing needs, or with its readers behind its input.
fn without(program: &Program, number: usize) -> Option<Program> {
    let op = program.ops[number];
    // The auditor reads there what is late.
    if matches!(op, Op::To(From { late: true, .. }, _)) && program.family == Family::Parallel {
        return None;
    }
    let is_read = |reader: &Op| reader.inputs().iter().any(|from| from.op == number);
    let input = op.inputs().first().copied();
    let through = matches!(
        op,
        Op::Filter(_) | Op::Map(_) | Op::FlatMap(_) | Op::Global(..) | Op::Merge(..)
    ) || matches!(op, Op::TableFilter(_) | Op::TableMap(_));
    if program.ops.iter().any(is_read) && !(through && input.is_some_and(|from| !from.late)) {
        return None;
    }
    let to = input.map_or(number, |from| from.op);
    let renumber = |of: usize| {
        let of = if of == number { to } else { of };
        if of > number { of - 1 } else { of }
    };
    let ops = program.ops.iter().enumerate().filter(|(place, _)| *place != number);
    let ops: Vec<Op> = ops.map(|(_, op)| op.renumbered(renumber)).collect();
    let has_sink =
        ops.iter().any(|op| matches!(op, Op::To(..) | Op::TableTo(..) | Op::TableEvery(..)));
    has_sink.then(|| Program { ops, ..program.clone() })
}
