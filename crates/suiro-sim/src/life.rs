//! The lives of a process: it starts, works, and dies, until there is nothing more to do.

use crate::act;
use crate::audit::{Auditor, Verdict};
use crate::below::Machine;
use crate::build::plan;
use crate::case::{Bounded, Case, Input, Life};
use crate::clock::SimClock;
use crate::counts::Counts;
use crate::crew::SimCrew;
use crate::disk::SimDisk;
use crate::fault::Fault;
use crate::group::{Group, MEMBERS};
use crate::ledger::{self, Ledger, Settled, answer};
use crate::letters::LETTERS;
use crate::objects::SimObjects;
use crate::process::Opening;
use crate::program::{GLOBAL, PATIENCE, SOURCES, TABLES};
use crate::rot;
use crate::tap::Tap;
use crate::world::{Stuck, World};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro::{
    Broker, Bytes, Cleanup, Error, ErrorKind, Headers, Log, LogOptions, Policy, Raw, Seed,
    Timestamp, Topic, TopicPartition, TopicSpec, Transaction,
};
use suiro_core::broker::Event;
use suiro_engine::Scope;

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
    let ledger = Arc::default();
    let machines = (0..MEMBERS).map(|_| Machine::new(&world)).collect();
    let mut story = Story {
        case,
        world: world.clone(),
        ledger,
        auditor: RefCell::new(Auditor::new(case)),
        epoch: 0,
        is_audited: Cell::new(false),
        is_over: Cell::new(false),
        policy: match (case.stops, case.letters) {
            (true, _) => None,
            (false, true) => Some(Policy::DeadLetter(LETTERS)),
            (false, false) => Some(Policy::Skip),
        },
        machines,
        place: Cell::new(0),
        used: RefCell::default(),
        objects: SimObjects::new(&world),
    };
    // A clock that goes back would make snapshots and stores below younger than they are.
    world.state().only_forwards = case.snapshots.is_some() || case.room.is_some();
    world.state().is_still = case.program.idles;
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

struct Story<'a> {
    case: &'a Case,
    world: World,
    ledger: Arc<Mutex<Ledger>>,
    auditor: RefCell<Auditor>,
    epoch: usize,
    /// Whether the model has the records of the epoch.
    is_audited: Cell<bool>,
    /// Whether there was a silence in the epoch.
    is_over: Cell<bool>,
    policy: Option<Policy>,
    /// The machines that processes run on, the one that the last ran on, and all that ran.
    machines: Vec<Machine>,
    place: Cell<usize>,
    used: RefCell<BTreeSet<usize>>,
    objects: SimObjects,
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
            self.lose(life)?;
            match self.live(life)? {
                // The last epoch ends when a calm life finds it as it was left.
                End::Rest if self.epoch + 1 < self.case.epochs.len() => {
                    self.epoch += 1;
                    self.is_audited.set(false);
                    self.is_over.set(false);
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

    /// What was beside the log is gone, or damaged.
    fn lose(&self, life: &Life) -> Verdict {
        let is_planned =
            |fault: Fault| life.planned.iter().any(|planned| planned.fault == fault);
        if is_planned(Fault::StoresLost) {
            let lost = self.machines.iter().filter(|machine| machine.delete()).count();
            if lost > 0 {
                self.world.note(|| "*** StoresLost".into());
                self.world.state().counts.struck(Fault::StoresLost);
            }
        }
        if is_planned(Fault::SnapshotsLost)
            && self.objects.strike().map_err(|error| error.report())?
        {
            self.world.note(|| "*** SnapshotsLost".into());
            self.world.state().counts.struck(Fault::SnapshotsLost);
        }
        Ok(())
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
        let is_orderly = died.is_none() && matches!(end, Ok(End::Rest));
        drop(state);
        for place in std::mem::take(&mut *self.used.borrow_mut()) {
            // What an orderly end leaves behind is whole.
            if !is_orderly {
                self.machines[place].crash();
            }
        }
        self.objects.end_life(died).map_err(|error| error.report())?;
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
            Fault::StoreReads,
            Fault::StoreWrites,
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
        let bounded = match self.case.bounded {
            Bounded::Never => false,
            Bounded::Last => self.epoch + 1 == self.case.epochs.len(),
            Bounded::Always => true,
        };
        let opening = Opening {
            case: self.case,
            life,
            world: world.clone(),
            ledger: Arc::clone(&self.ledger),
            log: log.clone(),
            plan: plan(&self.case.program, self.policy)?,
            bounded,
            objects: self.objects.clone(),
        };
        self.write(&opening.tap(0))?;
        if !self.is_audited.get() {
            self.auditor.borrow_mut().begin(bounded, &self.ledger());
            self.is_audited.set(true);
        }
        world.note(|| opening.plan.describe());
        if self.case.shares {
            self.place.set(world.state().seed.below(MEMBERS as u64) as usize);
        }
        self.used.borrow_mut().insert(self.place.get());
        let mut group = Group::open(&opening, &self.machines, self.place.get())?;
        self.hold_restart(&group.scopes())?;
        let mut crew = SimCrew::new(&world);
        let mut worked = self.rounds(&mut group, &opening, &mut crew);
        if let Some(longer) = self.case.silence.filter(|_| worked.is_ok())
            && !self.is_over.replace(true)
        {
            self.hold_rest(&group.scopes())?;
            world.note(|| format!("=== a silence, {longer} ms longer than needed"));
            let mut state = world.state();
            state.elapsed += Duration::from_millis(PATIENCE as u64 + longer);
            state.counts.silences += 1;
            drop(state);
            worked = self.rounds(&mut group, &opening, &mut crew);
        }
        group.count();
        worked?;
        for task in group.scopes().iter().flat_map(|scope| scope.metrics().tasks) {
            world.note(|| format!("{task:?}"));
        }
        self.hold_rest(&group.scopes())?;
        if life.maintains {
            let now = world.state().time_of_day().as_millis();
            self.ledger().maintain(now);
            log.maintain()?;
            world.state().counts.maintained += 1;
        }
        if life.is_closed {
            group.close(&mut crew)?;
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
            cleanup: match self.case.compacts && (TABLES.contains(name) || *name == GLOBAL) {
                true => Cleanup::Compact,
                false => Cleanup::Keep,
            },
        };
        let topics = SOURCES.iter().chain(&[GLOBAL]);
        let asked = session.create(topics.map(topic).collect());
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
        if self.epoch == 0 && self.case.program.has_global() {
            write_globals(&mut all)?;
        }
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
    fn hold_restart(&self, scopes: &[&Scope]) -> Verdict {
        let mut auditor = self.auditor.borrow_mut();
        self.world.calmly(|| auditor.hold_restart(&self.ledger(), scopes))?;
        self.world.state().counts.audits += 1;
        Ok(())
    }

    /// Holds a program that is at rest against the model.
    fn hold_rest(&self, scopes: &[&Scope]) -> Verdict {
        let mut auditor = self.auditor.borrow_mut();
        self.world.calmly(|| auditor.hold_rest(&self.ledger(), scopes))?;
        self.world.state().counts.audits += 1;
        self.world.note(|| "=== at rest, and right".into());
        Ok(())
    }

    /// What happens to processes between two rounds. Gives whether the work begins anew.
    fn change(
        &self,
        group: &mut Group<'_>,
        opening: &Opening<'_>,
        crew: &mut SimCrew,
    ) -> Result<bool, Ending> {
        if self.case.shares {
            self.used.borrow_mut().extend(0..MEMBERS);
            if let Some(started) = group.change(opening, crew)? {
                self.hold_restart(&[&group.members[started].scope])?;
                return Ok(true);
            }
            return Ok(false);
        }
        if !std::mem::take(&mut self.world.state().is_doubled) || group.has_zombie() {
            return Ok(false);
        }
        self.place.set((self.place.get() + 1) % MEMBERS);
        self.used.borrow_mut().insert(self.place.get());
        group.double(opening, self.place.get())?;
        self.hold_restart(&group.scopes())?;
        Ok(true)
    }

    /// Rounds, until nothing more comes.
    fn rounds(
        &self,
        group: &mut Group<'_>,
        opening: &Opening<'_>,
        crew: &mut SimCrew,
    ) -> Result<(), Ending> {
        let (mut quiet, mut fruitless, mut done) = (0, 0, (0, 0));
        for _ in 0..ROUNDS {
            let peeks = {
                let mut state = self.world.state();
                let passed = state.seed.below(4);
                state.go_on(passed);
                state.seed.one_in(24)
            };
            if self.change(group, opening, crew)? {
                (quiet, fruitless, done) = (0, 0, (0, 0));
            }
            let rounds = group.round(crew)?;
            if rounds.ended {
                return Ok(());
            }
            quiet = if rounds.busy { 0 } else { quiet + 1 };
            if rounds.is_settled && self.case.shares {
                let mut auditor = self.auditor.borrow_mut();
                let hold = || auditor.hold_work(&self.ledger(), &group.scopes(), false);
                self.world.calmly(hold)?;
                self.world.state().counts.rebalanced += 1;
            }
            fruitless += 1;
            if group.commits() > done.0 {
                fruitless = 0;
            }
            let before = std::mem::replace(&mut done, (group.commits(), group.rollbacks()));
            if done != before {
                quiet = 0;
            }
            if peeks {
                self.peek(&opening.log)?;
            }
            let poisoned = || self.world.state().struck.contains(&Fault::FailedSync);
            if fruitless > 100 && poisoned() {
                return Err(Error::unavailable("the log takes nothing more").into());
            }
            // What is read in small pieces, and waits, is neither taken nor committed for long.
            let reads = || group.scopes().iter().any(|scope| scope.metrics().lag() > 0);
            if quiet > QUIET && !opening.bounded && !(quiet < QUIET * 20 && reads()) {
                // Positions may have passed records that say nothing.
                let written = self.ledger().written();
                let is_calm = group.commit(crew)?;
                // In a silence stream times rise without a word.
                if self.ledger().written() > written && !self.case.program.idles {
                    return Err("at rest, something was not written".to_owned().into());
                }
                // A commit that is aborted is done again.
                if is_calm {
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
    // One that the program names while it runs is made when something is written there.
    if !ledger::is_there(&mut *session, &name.topic).map_err(report)? {
        return Ok((Vec::new(), 0));
    }
    ledger::read(&mut *session, name).map_err(report)
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Writes the rows of the global table, after others that they replace.
fn write_globals(all: &mut Transaction) -> Result<(), Error> {
    let rows = |key: &String| [Some("old".to_owned()), act::global(key)];
    let keys: Vec<String> = (0..6).map(|key| format!("k{key}")).collect();
    for (at, key) in keys.iter().enumerate() {
        for row in rows(key) {
            let (key, row) = (Some(Bytes::from(key.clone())), row.map(Bytes::from));
            let at = Timestamp::from_millis(at as i64);
            all.write_with(&RAW.named(GLOBAL), &key, Some(&row), at, &Headers::NONE)?;
        }
    }
    Ok(())
}
