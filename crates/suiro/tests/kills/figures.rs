//! What has happened, in numbers.

use crate::setting::{Program, Store};
use std::collections::BTreeMap;
use std::fmt;

/// Where a process was when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the inputs were committed.
    Loading,
    /// Before the first commit of this process, of a program that has no state yet.
    Starting,
    /// Before the first commit of this process, of a program that has state to restore.
    Restoring,
    /// Between that and the last commit.
    Running,
    /// Behind the last commit: closing down, exporting, reporting.
    Ending,
}

const PHASES: [Phase; 5] =
    [Phase::Loading, Phase::Starting, Phase::Restoring, Phase::Running, Phase::Ending];

/// The numbers of one program with one kind of store.
#[derive(Default)]
pub struct Cell {
    kills: BTreeMap<Phase, usize>,
    /// Processes: killed ones, and those that ended by themselves.
    pub lives: usize,
    /// Logs that were brought to their end.
    pub logs: usize,
    /// Records that were compared with those of an undisturbed run.
    pub compared: usize,
    /// Rows of stores that were compared with their changelogs.
    pub rows: usize,
    /// How often the stores, and the snapshots, were deleted between two lives.
    pub stores_deleted: usize,
    pub snapshots_deleted: usize,
}

impl Cell {
    pub fn killed(&mut self, phase: Phase) {
        *self.kills.entry(phase).or_default() += 1;
    }

    pub fn total(&self) -> usize {
        self.kills.values().sum()
    }

    /// How often it was killed behind the first commit that a process made, before the last.
    pub fn running(&self) -> usize {
        self.kills.get(&Phase::Running).copied().unwrap_or(0)
    }
}

/// The numbers of all.
#[derive(Default)]
pub struct Figures(BTreeMap<(Program, Store), Cell>);

impl Figures {
    pub fn cell(&mut self, program: Program, store: Store) -> &mut Cell {
        self.0.entry((program, store)).or_default()
    }

    pub fn kills(&self, program: Program, store: Store) -> usize {
        self.0.get(&(program, store)).map_or(0, Cell::total)
    }

    /// Every program was killed in every phase.
    pub fn assert_all_phases(&self) {
        for phase in PHASES {
            for program in Program::ALL {
                let mut of = self.0.iter().filter(|((other, _), _)| *other == program);
                let hit = of.any(|(_, cell)| cell.kills.contains_key(&phase));
                assert!(hit, "{program} was never killed while {phase:?}\n{self}");
            }
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:15} {:7} {:>6}", "program", "store", "kills")?;
        for phase in PHASES {
            write!(f, " {:>9}", format!("{phase:?}").to_lowercase())?;
        }
        writeln!(
            f,
            " {:>6} {:>5} {:>9} {:>8} {:>14} {:>17}",
            "lives", "logs", "outputs", "rows", "stores deleted", "snapshots deleted"
        )?;
        let mut all = 0;
        for ((program, store), cell) in &self.0 {
            let store = format!("{store:?}").to_lowercase();
            write!(f, "{program:15} {store:7} {:>6}", cell.total())?;
            for phase in PHASES {
                write!(f, " {:>9}", cell.kills.get(&phase).unwrap_or(&0))?;
            }
            writeln!(
                f,
                " {:>6} {:>5} {:>9} {:>8} {:>14} {:>17}",
                cell.lives,
                cell.logs,
                cell.compared,
                cell.rows,
                cell.stores_deleted,
                cell.snapshots_deleted
            )?;
            all += cell.total();
        }
        writeln!(f, "{all} kills")
    }
}
