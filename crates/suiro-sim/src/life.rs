//! The lives of a process: it starts, works, and dies, until there is nothing more to do.

use crate::audit::{Auditor, Verdict};
use crate::build::plan;
use crate::case::{Bounded, Case, Input, Life};
use crate::clock::SimClock;
use crate::counts::Counts;
use crate::crew::SimCrew;
use crate::disk::SimDisk;
use crate::fault::Fault;
use crate::ledger::{self, Ledger, Settled, answer};
use crate::program::{SOURCES, TABLES};
use crate::rot;
use crate::tap::Tap;
use crate::world::{Died, Stuck, World};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro::{
    Broker, Bytes, Cleanup, Clock, Error, ErrorKind, Headers, Log, LogOptions, Policy, Raw,
    Seed, Timestamp, Topic, TopicPartition, TopicSpec, Transaction,
};
use suiro_core::broker::Event;
use suiro_engine::{Round, Scope, Settings};

type RawTopic = Topic<Option<Bytes>, Option<Bytes>>;
const RAW: RawTopic = Topic::of("", &Raw, &Raw);

/// Where the log is, and the name of the program.
const ROOT: &str = "log";
const GROUP: &str = "program";

/// So many rounds without a row or a commit say that nothing more will come.
const QUIET: usize = 40;
/// So many rounds in one life are too many.
const ROUNDS: usize = 30_000;
/// So many lives are too many.
const LIVES: usize = 60;

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Report {
    /// What went wrong, if anything did.
    pub failure: Option<String>,
    /// What happened.
    pub counts: Counts,
    /// A number that depends on everything that happened.
    pub digest: u64,
    /// What happened, line by line, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs a case.
pub fn run(case: &Case, trace: bool) -> Report {
    let world = World::new(Seed::new(case.seed ^ 0x776f_726c), trace);
    let mut story = Story {
        case,
        world: world.clone(),
        ledger: Arc::default(),
        auditor: RefCell::new(Auditor::new(case)),
        epoch: 0,
        is_audited: Cell::new(false),
        policy: if case.stops { None } else { Some(Policy::Skip) },
    };
    let failure = story.run().err();
    let mut state = world.state();
    state.counts.records = case.records() as u64;
    state.counts.exchanges = case.program.exchanges() as u64;
    let (counts, digest) = (state.counts.clone(), state.digest);
    drop(state);
    Report { failure, counts, digest, trace: world.trace() }
}

/// How a life ended that did not end in a failure.
enum End {
    /// Everything of the epoch was done.
    Rest,
    /// The process died, or ended with an error that a restart mends.
    Restart,
}

/// Why a life ended.
enum Ending {
    /// The product said so.
    Error(Error),
    /// The auditor said so.
    Wrong(String),
}

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<String> for Ending {
    fn from(wrong: String) -> Self {
        Self::Wrong(wrong)
    }
}

/// A program that runs.
struct Process {
    scope: Scope,
    /// Whether somebody else does its work by now.
    is_zombie: Arc<AtomicBool>,
}

struct Story<'a> {
    case: &'a Case,
    world: World,
    ledger: Arc<Mutex<Ledger>>,
    auditor: RefCell<Auditor>,
    epoch: usize,
    /// Whether the model has the records of the epoch.
    is_audited: Cell<bool>,
    policy: Option<Policy>,
}

impl Story<'_> {
    fn run(&mut self) -> Verdict {
        let mut lives = self.case.lives.iter();
        let calm = Life {
            batch_rows: 8192,
            fetch_bytes: 1 << 20,
            commit_ms: 5,
            planned: Vec::new(),
            is_closed: true,
            maintains: false,
        };
        for _ in 0..LIVES {
            let life = lives.next().unwrap_or(&calm);
            if life.planned.iter().any(|planned| planned.fault == Fault::BitRot) {
                self.rot()?;
            }
            match self.live(life)? {
                // The last epoch ends when a calm life finds it as it was left.
                End::Rest if self.epoch + 1 < self.case.epochs.len() => {
                    self.epoch += 1;
                    self.is_audited.set(false);
                }
                End::Rest if life == &calm => return Ok(()),
                End::Rest | End::Restart => {}
            }
        }
        Err("the program does not come to rest".to_owned())
    }

    fn options(&self) -> LogOptions {
        let (segment, journal, recent) = self.case.log_bytes;
        Log::options()
            .disk(Arc::new(SimDisk::new(&self.world)))
            .clock(Arc::new(SimClock(self.world.clone())))
            .inline(true)
            .segment_bytes(segment)
            .journal_bytes(journal)
            .recent_bytes(recent)
            .tombstone_retention(ledger::TOMBSTONES)
    }

    fn rot(&mut self) -> Verdict {
        self.ledger().look_at(self.world.state().time_of_day().as_millis());
        let (world, options, ledger) = (self.world.clone(), self.options(), self.ledger());
        rot::strike(&world, &options, &ledger, GROUP)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// One life, and what is to be thought of its end.
    fn live(&mut self, life: &Life) -> Result<End, String> {
        self.world.state().begin_life(&life.planned, self.policy.is_none());
        self.world.note(|| format!("=== a life begins, epoch {}", self.epoch));
        let world = self.world.clone();
        let lived = catch_unwind(AssertUnwindSafe(|| self.work(life)));
        let mut state = world.state();
        let died = state.death;
        if died.is_some() {
            state.counts.crashes += 1;
            state.note(|| format!("=== dead of {died:?}"));
        }
        let end = match lived {
            Ok(Ok(())) => Ok(End::Rest),
            Ok(Err(Ending::Wrong(wrong))) => Err(wrong),
            _ if died.is_some() => Ok(End::Restart),
            Ok(Err(Ending::Error(error))) => {
                state.note(|| format!("=== ended by {}", error.report()));
                let struck = state.struck.clone();
                drop(state);
                let end = self.judge(&error, &struck);
                state = world.state();
                end
            }
            Err(panic) if panic.is::<Stuck>() => Err("the program waits for ever".to_owned()),
            Err(panic) => Err(format!("the engine panicked: {}", said(&*panic))),
        };
        state.end_life();
        end
    }

    /// Whether an error is one that a program may end with here.
    fn judge(&mut self, error: &Error, struck: &[Fault]) -> Result<End, String> {
        let panics = struck.iter().filter(|fault| **fault == Fault::Panic).count();
        let struck = |faults: &[Fault]| faults.iter().any(|fault| struck.contains(fault));
        let disk = [
            Fault::FailedSync,
            Fault::FullDisk,
            Fault::ReadErrors,
            Fault::LostAnswer,
            Fault::LostCommit,
            Fault::AbortedCommit,
        ];
        match error.kind() {
            ErrorKind::Unavailable if struck(&disk) => {
                self.world.state().counts.crashes += 1;
                Ok(End::Restart)
            }
            // A human sets a policy, and starts it again.
            ErrorKind::Invalid if self.policy.is_none() && self.may_stop() => {
                self.policy = Some(Policy::Skip);
                self.world.state().counts.stopped += 1;
                Ok(End::Restart)
            }
            // Who panics again when the record is tried again is taken at his word.
            ErrorKind::Invalid if panics > 1 => Ok(End::Restart),
            _ => Err(format!("ended by {}", error.report())),
        }
    }

    fn may_stop(&self) -> bool {
        let written = self.case.epochs[..=self.epoch].iter().flatten();
        self.case.program.panics || written.clone().any(Input::stops)
    }

    /// Opens the log and the program, works until there is nothing more to do.
    fn work(&self, life: &Life) -> Result<(), Ending> {
        let log = self.options().open(ROOT)?;
        let world = self.world.clone();
        self.ledger().look_at(world.state().time_of_day().as_millis());
        let settled = world.calmly(|| self.ledger().hold(&log, GROUP))?;
        match settled {
            Settled::NoDoubt => {}
            Settled::Survived => world.state().counts.survived += 1,
            Settled::Vanished => world.state().counts.vanished += 1,
        }
        let tap = || Tap {
            broker: Arc::new(log.clone()),
            world: world.clone(),
            ledger: Arc::clone(&self.ledger),
            is_zombie: Arc::default(),
        };
        self.write(&tap())?;
        let bounded = match self.case.bounded {
            Bounded::Never => false,
            Bounded::Last => self.epoch + 1 == self.case.epochs.len(),
            Bounded::Always => true,
        };
        if !self.is_audited.get() {
            self.auditor.borrow_mut().begin(bounded, &self.ledger());
            self.is_audited.set(true);
        }
        let settings = Settings {
            exchange: self.case.exchange,
            batch_rows: life.batch_rows,
            fetch_bytes: life.fetch_bytes,
            commit_interval: Duration::from_millis(life.commit_ms),
            bounded,
            ..Settings::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(SimClock(world.clone()));
        let plan = plan(&self.case.program, self.policy)?;
        world.note(|| plan.describe());
        let open = || {
            let tap = tap();
            let opened = Scope::open(plan.clone(), &tap, settings.clone(), Arc::clone(&clock));
            Ok(Process { scope: opened?, is_zombie: tap.is_zombie })
        };
        let mut process = open()?;
        self.hold_restart(&process.scope)?;
        let mut crew = SimCrew::new(&world);
        let worked = self.rounds(&mut process, &open, &mut crew, &log, bounded);
        let scope = process.scope;
        let metrics = scope.metrics();
        {
            let counts = &mut world.state().counts;
            counts.rollbacks += metrics.rollbacks;
            counts.late += metrics.late;
            counts.skipped += metrics.skipped;
        }
        worked?;
        for task in &metrics.tasks {
            world.note(|| format!("{task:?}"));
        }
        let mut auditor = self.auditor.borrow_mut();
        world.calmly(|| auditor.hold_rest(&self.ledger(), &scope))?;
        drop(auditor);
        world.state().counts.audits += 1;
        world.note(|| "=== at rest, and right".into());
        if life.maintains {
            let now = world.state().time_of_day().as_millis();
            self.ledger().maintain(now);
            log.maintain()?;
            world.state().counts.maintained += 1;
        }
        if life.is_closed {
            scope.close(&mut crew)?;
            log.close()?;
        } else {
            // Nothing is written any more when the program and the log are dropped.
            world.state().death.get_or_insert(Fault::Kill);
        }
        Ok(())
    }

    /// Writes the records of the epoch, all or none of them, unless they are there.
    fn write(&self, tap: &Tap) -> Result<(), Ending> {
        let mut session = tap.session("writer")?;
        let topic = |name: &&'static str| TopicSpec {
            name: (*name).into(),
            partitions: self.case.partitions,
            cleanup: match self.case.compacts && TABLES.contains(name) {
                true => Cleanup::Compact,
                false => Cleanup::Keep,
            },
        };
        let asked = session.create(SOURCES.iter().map(topic).collect());
        answer(&mut *session, |event| match event {
            Event::Created(ticket, answer) if ticket == asked => Some(answer),
            _ => None,
        })?;
        drop(session);
        let all = self.ledger();
        let there: usize = SOURCES
            .iter()
            .flat_map(|topic| all.topic(topic))
            .map(|(_, records)| records.len())
            .sum();
        drop(all);
        let before: usize = self.case.epochs[..self.epoch].iter().map(Vec::len).sum();
        let epoch = &self.case.epochs[self.epoch];
        if there == before + epoch.len() {
            return Ok(());
        }
        if there != before {
            return Err(Ending::Wrong(format!("{there} records went in and not {before}")));
        }
        let mut all = Transaction::open(tap)?;
        for input in epoch {
            let key = input.key.clone().map(Bytes::from);
            all.write_with(
                &RAW.named(input.topic),
                &key,
                Some(&input.bytes()),
                Timestamp::from_millis(input.at),
                &Headers::NONE,
            )?;
        }
        Ok(all.commit()?)
    }

    /// Holds a program that was just opened against the model.
    fn hold_restart(&self, scope: &Scope) -> Verdict {
        let mut auditor = self.auditor.borrow_mut();
        self.world.calmly(|| auditor.hold_restart(&self.ledger(), scope))?;
        self.world.state().counts.audits += 1;
        Ok(())
    }

    /// The program is started elsewhere; the one that ran so far goes on until it learns it.
    fn double(
        &self,
        process: &mut Process,
        open: &dyn Fn() -> Result<Process, Error>,
    ) -> Result<Process, Ending> {
        self.world.note(|| "=== started elsewhere".into());
        process.is_zombie.store(true, Ordering::Relaxed);
        let zombie = std::mem::replace(process, open()?);
        self.hold_restart(&process.scope)?;
        Ok(zombie)
    }

    /// A round of a program whose work somebody else does. Gives whether it goes on.
    fn haunt(&self, zombie: &mut Process, crew: &mut SimCrew) -> Result<bool, Ending> {
        let round = catch_unwind(AssertUnwindSafe(|| zombie.scope.round(crew)));
        match round {
            Ok(Ok(_)) => Ok(true),
            // What it says is heard by nobody.
            Ok(Err(_)) => Ok(false),
            Err(died) if died.is::<Died>() && self.world.state().death.is_none() => {
                self.world.note(|| "=== a zombie learns that it is one".into());
                self.world.state().counts.fenced += 1;
                Ok(false)
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Rounds, until nothing more comes.
    fn rounds(
        &self,
        process: &mut Process,
        open: &dyn Fn() -> Result<Process, Error>,
        crew: &mut SimCrew,
        log: &Log,
        bounded: bool,
    ) -> Result<(), Ending> {
        let mut zombie: Option<Process> = None;
        let (mut quiet, mut fruitless, mut done) = (0, 0, (0, 0));
        for _ in 0..ROUNDS {
            let peeks = {
                let mut state = self.world.state();
                let passed = state.seed.below(4);
                state.elapsed += Duration::from_millis(passed);
                state.seed.one_in(24)
            };
            if std::mem::take(&mut self.world.state().is_doubled) && zombie.is_none() {
                zombie = Some(self.double(process, open)?);
                (quiet, fruitless, done) = (0, 0, (0, 0));
            }
            if let Some(one) = &mut zombie
                && !self.haunt(one, crew)?
            {
                zombie = None;
            }
            let scope = &mut process.scope;
            match scope.round(crew)? {
                Round::Ended => return Ok(()),
                Round::Busy => quiet = 0,
                Round::Idle => {
                    quiet += 1;
                    scope.wait();
                }
            }
            fruitless += 1;
            if scope.commits() > done.0 {
                fruitless = 0;
            }
            let before = std::mem::replace(&mut done, (scope.commits(), scope.rollbacks()));
            if done != before {
                quiet = 0;
            }
            if peeks {
                self.peek(log)?;
            }
            let poisoned = || self.world.state().struck.contains(&Fault::FailedSync);
            if fruitless > 100 && poisoned() {
                return Err(Error::unavailable("the log takes nothing more").into());
            }
            if quiet > QUIET && !bounded {
                // Positions may have passed records that say nothing.
                let written = self.ledger().written();
                scope.commit_now(crew)?;
                if self.ledger().written() > written {
                    return Err("at rest, something was not written".to_owned().into());
                }
                // A commit that is aborted is done again.
                if scope.rollbacks() == done.1 {
                    return Ok(());
                }
                quiet = 0;
            }
            if quiet > QUIET * 20 {
                return Err("a bounded run does not come to its end".to_owned().into());
            }
        }
        Err("the rounds do not come to an end".to_owned().into())
    }

    /// Looks at an output as a reader in this process does, and as one in another process: what
    /// they see is committed, and is there to stay.
    fn peek(&self, log: &Log) -> Verdict {
        if self.world.state().death.is_some() {
            return Ok(());
        }
        let sinks = self.case.program.sinks();
        if sinks.is_empty() {
            return Ok(());
        }
        let (topic, partition, elsewhere) = {
            let seed = &mut self.world.state().seed;
            let topic = sinks[seed.below(sinks.len() as u64) as usize];
            (topic, seed.below(u64::from(self.case.partitions)) as u32, seed.one_in(4))
        };
        let name = TopicPartition::new(topic, partition);
        self.world.calmly(|| {
            let seen = read_once(log, &name)?;
            self.ledger().hold_read(&name, &seen, true)?;
            if elsewhere {
                let other = self.options().open_reader(ROOT).map_err(|error| error.report())?;
                let seen = read_once(&other, &name)?;
                self.ledger().hold_read(&name, &seen, false)?;
            }
            Ok(())
        })
    }
}

/// What a reader of one partition sees.
fn read_once(
    broker: &dyn Broker,
    name: &TopicPartition,
) -> Result<(Vec<ledger::Raw>, i64), String> {
    let report = |error: Error| format!("a reader of {name} fails: {}", error.report());
    let mut session = broker.session("peek").map_err(report)?;
    ledger::read(&mut *session, name).map_err(report)
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
