//! One process that runs the program: how it is opened on a machine, and what it does in a round.

use crate::below::Machine;
use crate::case::{Case, Life};
use crate::clock::SimClock;
use crate::crew::SimCrew;
use crate::ledger::Ledger;
use crate::objects::SimObjects;
use crate::outside::SimExecutor;
use crate::tap::Tap;
use crate::world::World;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use suiro::{Clock, Error, ErrorKind, Log, Plan, Result};
use suiro_core::objects::Objects;
use suiro_engine::{
    ExecutorHandle, Round, Scope, Settings, Shelf, SnapshotSettings, Snapshots, Tuning,
};

/// What a process is opened with.
pub(crate) struct Opening<'a> {
    pub(crate) case: &'a Case,
    pub(crate) life: &'a Life,
    pub(crate) world: World,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) log: Log,
    pub(crate) plan: Plan,
    pub(crate) bounded: bool,
    pub(crate) objects: SimObjects,
}

/// A program that runs.
pub(crate) struct Process {
    pub(crate) scope: Scope,
    /// Whether somebody else does its work by now.
    pub(crate) is_zombie: Arc<AtomicBool>,
    /// Its number in the group.
    pub(crate) member: usize,
    pub(crate) machine: Machine,
    /// For so many rounds it stands still.
    pub(crate) stands: u64,
    /// After so many rounds it leaves.
    pub(crate) leaves_in: Option<u64>,
    snapshots: Option<Snapshots>,
    outside: SimExecutor,
    world: World,
    every: u64,
}

/// How many bytes may be on their way to stores below before the input slows down.
const UNDER_WAY: usize = 2_000;

impl Opening<'_> {
    /// The log, as process number `member` of the group sees it.
    pub(crate) fn tap(&self, member: usize) -> Tap {
        Tap {
            broker: Arc::new(self.log.clone()),
            world: self.world.clone(),
            ledger: Arc::clone(&self.ledger),
            is_zombie: Arc::default(),
            member,
            copies: self.case.copies,
        }
    }

    /// Opens the program as process number `member` of the group, on a machine.
    pub(crate) fn open(&self, member: usize, machine: &Machine) -> Result<Process> {
        let (tap, world) = (self.tap(member), self.world.clone());
        let clock: Arc<dyn Clock> = Arc::new(SimClock(world.clone()));
        let outside = SimExecutor::new(&world);
        let executor = Some(ExecutorHandle::new(outside.clone()));
        let settings = Settings { executor, ..self.settings(machine) };
        let mut scope = Scope::open(self.plan.clone(), &tap, settings, clock)?;
        if self.case.room.is_some() {
            scope.set_porter(machine.porter());
        }
        let snapshots = Snapshots::open(&scope, &tap)?;
        let (machine, every) = (machine.clone(), self.case.snapshots.unwrap_or(1));
        let is_zombie = tap.is_zombie;
        Ok(Process {
            scope,
            is_zombie,
            member,
            machine,
            stands: 0,
            leaves_in: None,
            snapshots,
            outside,
            world,
            every,
        })
    }

    fn settings(&self, machine: &Machine) -> Settings {
        let stores =
            (0..self.case.program.ops.len()).filter_map(|op| self.case.program.store(op));
        let stores = stores.count() * self.case.partitions as usize;
        let shelf = self.case.room.map_or(Shelf::Memory, |room| Shelf::Below {
            provider: Arc::new(machine.clone()),
            memory: room * stores,
            under_way: UNDER_WAY,
        });
        let objects: Arc<dyn Objects> = Arc::new(self.objects.clone());
        let snapshots = self.case.snapshots.map(|every| SnapshotSettings {
            objects,
            every: Duration::ZERO,
            tuning: Tuning {
                keep: 1 + every as usize % 3,
                grace: Duration::from_millis(every * 50),
                gather_bytes: 300,
                file_bytes: 150,
                ratio: 2 + every % 3,
                ..Tuning::default()
            },
        });
        Settings {
            exchange: self.case.exchange,
            batch_rows: self.life.batch_rows,
            fetch_bytes: self.life.fetch_bytes,
            commit_interval: Duration::from_millis(self.life.commit_ms),
            bounded: self.bounded,
            snapshots,
            shelf,
            ..Settings::default()
        }
    }
}

impl Process {
    /// A round, beside which rows go down and snapshots are taken.
    pub(crate) fn round(&mut self, crew: &mut SimCrew) -> Result<Round> {
        self.outside.go_on();
        let before = (self.held(), self.world.state().opened());
        let round = self.scope.round(crew)?;
        let after = (self.held(), self.world.state().opened());
        if before.1 == after.1 {
            let dropped = before.0.saturating_sub(after.0);
            self.world.state().counts.evictions += dropped as u64;
        }
        if before.0 > 0 {
            self.machine.tick();
        }
        self.snapshot()?;
        Ok(round)
    }

    /// How many rows are in memory of stores that hold some only.
    fn held(&self) -> usize {
        let states = self.scope.stores().flat_map(|(_, stores)| stores.iter());
        states.filter(|(_, state)| state.is_lean()).map(|(_, state)| state.rows()).sum()
    }

    /// Takes snapshots now and then. What cannot be done is done the next time.
    fn snapshot(&mut self) -> Result<()> {
        let Some(snapshots) = &mut self.snapshots else { return Ok(()) };
        if !self.world.state().seed.one_in(self.every) {
            return Ok(());
        }
        let world = self.world.clone();
        let taken = snapshots.step(&mut || !world.state().seed.one_in(12));
        match taken {
            Ok(report) => {
                world.note(|| format!("{report:?}"));
                let taken = report.map_or(0, |report| report.taken);
                world.state().counts.snapshots += taken as u64;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                world.note(|| format!("no snapshot: {}", error.report()));
                Ok(())
            }
            Err(error) => Err(Error::corrupt("a snapshot failed").caused_by(error)),
        }
    }
}
