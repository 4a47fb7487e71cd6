//! The world of one seed: what time it is, what goes wrong next, and whether the process lives.

use crate::build::panic_soon;
use crate::counts::Counts;
use crate::fault::{Call, Fault, FileKind, Planned, Verb, When};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro::{Error, Result, Seed, Timestamp};
use suiro_log::FaultyDisk;

/// A world; a clone is the same.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

/// What unwinds the stack of a process that has died.
pub(crate) struct Died;

/// What unwinds the stack of a process that waits for ever.
pub(crate) struct Stuck;

/// So many waits in one life are for ever.
const WAITS: u64 = 20_000;

/// What the world knows.
pub(crate) struct State {
    pub(crate) seed: Seed,
    pub(crate) disk: FaultyDisk,
    pub(crate) elapsed: Duration,
    /// Time passes only when a silence is part of the case.
    pub(crate) is_still: bool,
    /// How far the time of day is from the time that has passed.
    jumped: i64,
    /// Why the process is dead.
    pub(crate) death: Option<Fault>,
    planned: Vec<Planned>,
    effects: u64,
    calls: BTreeMap<Call, u64>,
    /// While the auditor looks, nothing happens.
    calm: bool,
    /// For how many more waits the disk stays full.
    full: u64,
    /// How many more reads fail.
    failing_reads: u64,
    slow: bool,
    /// What will be said of the next commit.
    pub(crate) next_commit: Option<Fault>,
    /// The program is to be started elsewhere.
    pub(crate) is_doubled: bool,
    /// How many more reads from stores below fail, writes to them, and calls of the place of
    /// snapshots.
    failing_looks: u64,
    failing_lowers: u64,
    failing_objects: u64,
    /// A process joins the group before the next commit, and is gone again.
    pub(crate) passes: bool,
    /// The process dies of what it is doing, which may be done all the same.
    dies_of_it: bool,
    /// The time of day does not go back.
    pub(crate) only_forwards: bool,
    /// What is to happen to the processes of the group.
    pub(crate) changes: Vec<Fault>,
    /// Faults that have struck since the process started.
    pub(crate) struck: Vec<Fault>,
    pub(crate) counts: Counts,
    /// What is known of each journal.
    journals: BTreeMap<PathBuf, Written>,
    trace: Option<Vec<String>>,
    /// A number that depends on everything that happened.
    pub(crate) digest: u64,
}

/// How far a journal has come.
#[derive(Default)]
struct Written {
    end: u64,
    durable: u64,
    /// What the last frame says of how much was durable when it was written.
    stamp: u64,
    /// What the last frame says that is durable itself.
    proved: u64,
}

impl World {
    pub(crate) fn new(mut seed: Seed, trace: bool) -> Self {
        let disk = FaultyDisk::new(seed.fork());
        Self(Arc::new(Mutex::new(State {
            seed,
            disk,
            elapsed: Duration::ZERO,
            is_still: false,
            jumped: 1_000_000,
            death: None,
            planned: Vec::new(),
            effects: 0,
            calls: BTreeMap::new(),
            calm: false,
            full: 0,
            failing_reads: 0,
            slow: false,
            next_commit: None,
            is_doubled: false,
            failing_looks: 0,
            failing_lowers: 0,
            failing_objects: 0,
            passes: false,
            dies_of_it: false,
            only_forwards: false,
            changes: Vec::new(),
            struck: Vec::new(),
            counts: Counts::default(),
            journals: BTreeMap::new(),
            trace: trace.then(Vec::new),
            digest: 0,
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of the broker. It does not return if the process is dead, or dies of it.
    pub(crate) fn call(&self, call: Call) {
        let (is_dead, waits) = {
            let mut state = self.state();
            state.called(call);
            (state.death.is_some(), state.calls.get(&Call::Wait).copied().unwrap_or(0))
        };
        if is_dead {
            resume_unwind(Box::new(Died));
        }
        if waits > WAITS {
            resume_unwind(Box::new(Stuck));
        }
    }

    /// A call of a store below, or of the place of snapshots. It fails if the process is dead,
    /// dies of it, or if that is what is planned.
    pub(crate) fn touch(&self, call: Call) -> Result<()> {
        let mut state = self.state();
        let was_dead = state.death.is_some();
        state.called(call);
        if state.death.is_some() {
            state.dies_of_it = !was_dead && state.seed.one_in(2);
            return Err(Error::unavailable("the process is dead"));
        }
        state.fails(call)
    }

    /// Whether the process has just died of a call that is done all the same.
    pub(crate) fn died_now(&self) -> bool {
        std::mem::take(&mut self.state().dies_of_it)
    }

    /// The place of snapshots is read.
    pub(crate) fn reaches_objects(&self) -> Result<()> {
        self.state().fails(Call::Put)
    }

    /// Has the auditor look, while nothing goes wrong.
    pub(crate) fn calmly<T>(&self, look: impl FnOnce() -> T) -> T {
        self.state().be_calm(true);
        let seen = look();
        self.state().be_calm(false);
        seen
    }

    /// Notes what happens.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        self.state().note(text);
    }

    /// What was noted.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.state().trace.take().unwrap_or_default()
    }
}

impl State {
    /// A process starts, and these faults await it. User code panics only where the policy is to
    /// stop: with another one the record that it panicked at would be lost.
    pub(crate) fn begin_life(&mut self, planned: &[Planned], panics: bool) {
        self.planned = planned.to_vec();
        self.planned.retain(|planned| panics || planned.fault != Fault::Panic);
        self.effects = 0;
        self.calls.clear();
        self.struck.clear();
        self.death = None;
        (self.full, self.failing_reads, self.slow) = (0, 0, false);
        (self.next_commit, self.is_doubled) = (None, false);
        (self.failing_looks, self.failing_lowers, self.failing_objects) = (0, 0, 0);
        (self.dies_of_it, self.passes) = (false, false);
        self.changes.clear();
        self.disk.limit(None);
        self.disk.fail_reads(false);
        self.disk.fail_syncs(0);
        self.disk.short_writes(false);
        panic_soon(0);
    }

    /// The process is gone; the disk is as it left it.
    pub(crate) fn end_life(&mut self) {
        match self.death.unwrap_or(Fault::Kill) {
            Fault::PowerLoss => {
                self.disk.crash();
                // What was not synced may be gone, and proves nothing.
                for journal in self.journals.values_mut() {
                    (journal.end, journal.stamp) = (journal.durable, journal.proved);
                }
            }
            _ => self.disk.kill(),
        }
    }

    pub(crate) fn time_of_day(&self) -> Timestamp {
        let passed = i64::try_from(self.elapsed.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.jumped.saturating_add(passed).max(0))
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8} {}", self.elapsed.as_millis(), text()));
        }
    }

    fn mix(&mut self, number: u64) {
        self.digest = Seed::new(self.digest ^ number).next_u64();
    }

    fn be_calm(&mut self, calm: bool) {
        self.calm = calm;
        self.disk.fail_reads(!calm && self.failing_reads > 0);
    }

    /// How often somebody has joined a group.
    pub(crate) fn joined(&self) -> u64 {
        self.calls.get(&Call::Join).copied().unwrap_or(0)
    }

    /// How often tasks were opened.
    pub(crate) fn opened(&self) -> u64 {
        self.calls.get(&Call::Positions).copied().unwrap_or(0)
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm
    }

    /// Whether a call of this kind fails now.
    fn fails(&mut self, call: Call) -> Result<()> {
        let (left, fault) = match call {
            Call::Look => (&mut self.failing_looks, Fault::StoreReads),
            Call::Lower => (&mut self.failing_lowers, Fault::StoreWrites),
            _ => (&mut self.failing_objects, Fault::ObjectsAway),
        };
        if *left == 0 || self.calm {
            return Ok(());
        }
        *left -= 1;
        self.counts.struck(fault);
        Err(Error::unavailable("the simulator lets it fail")
            .with("fault", format!("{fault:?}")))
    }

    fn called(&mut self, call: Call) {
        if self.calm || self.death.is_some() {
            return;
        }
        let number = self.calls.entry(call).or_default();
        *number += 1;
        let when = When::Call(call, *number);
        self.mix(call as u64);
        *self.counts.calls.entry(call).or_default() += 1;
        if !matches!(call, Call::Poll) {
            self.note(|| format!("{call:?}"));
        }
        for fault in self.due(when) {
            if matches!(fault, Fault::PowerLoss | Fault::Kill) {
                *self.counts.crashes_at_calls.entry(call).or_default() += 1;
            }
            self.strike(fault, true);
        }
    }

    /// An effect on the disk is about to happen. Gives whether the process dies of it.
    pub(crate) fn effect(&mut self, verb: Verb, kind: FileKind) -> std::io::Result<bool> {
        if self.death.is_some() {
            return Err(std::io::Error::other("the process is dead"));
        }
        if self.calm {
            return Ok(false);
        }
        self.mix((verb as u64) << 8 | kind as u64);
        if verb == Verb::Read {
            if self.failing_reads > 0 {
                self.failing_reads -= 1;
                self.disk.fail_reads(true);
                if self.failing_reads == 0 {
                    self.note(|| "reads work again".into());
                }
            } else {
                self.disk.fail_reads(false);
            }
            return Ok(false);
        }
        self.effects += 1;
        *self.counts.effects.entry((verb, kind)).or_default() += 1;
        self.note(|| format!("{verb:?} {kind:?}"));
        if self.slow && verb == Verb::Sync {
            let millis = 50 + self.seed.below(3000);
            self.go_on(millis);
        }
        let mut dies = false;
        for fault in self.due(When::Effect(self.effects)) {
            if matches!(fault, Fault::PowerLoss | Fault::Kill) {
                dies = true;
                *self.counts.crashes_at_effects.entry((verb, kind)).or_default() += 1;
            }
            self.strike(fault, false);
        }
        Ok(dies)
    }

    /// Takes out the faults that strike now.
    fn due(&mut self, when: When) -> Vec<Fault> {
        let due = self.planned.iter().filter(|planned| planned.when == when);
        due.map(|planned| planned.fault).collect()
    }

    fn strike(&mut self, fault: Fault, at_call: bool) {
        self.note(|| format!("*** {fault:?}"));
        if !fault.is_met_later() {
            self.counts.struck(fault);
        }
        self.struck.push(fault);
        match fault {
            Fault::PowerLoss => {
                self.death = Some(fault);
                if !at_call {
                    self.disk.power_off_after(0);
                }
            }
            Fault::Kill => self.death = Some(fault),
            Fault::FailedSync => self.disk.fail_syncs(1),
            Fault::FullDisk => {
                let room = self.seed.below(4000);
                self.disk.limit(Some(self.disk.used() + room));
                self.full = 1 + self.seed.below(8);
            }
            Fault::ReadErrors => self.failing_reads = 1 + self.seed.below(4),
            Fault::ShortWrites => self.disk.short_writes(true),
            Fault::SlowDisk => self.slow = true,
            Fault::ClockJump => {
                let jump = self.seed.below(200_000_000) as i64 - 100_000_000;
                self.jumped += if self.only_forwards { jump.abs() } else { jump };
            }
            Fault::Panic => panic_soon(1 + self.seed.below(40)),
            Fault::LostAnswer | Fault::LostCommit | Fault::AbortedCommit => {
                self.next_commit = Some(fault);
            }
            Fault::Zombie => self.is_doubled = true,
            Fault::StoreReads => self.failing_looks = 1 + self.seed.below(6),
            Fault::StoreWrites => self.failing_lowers = 1 + self.seed.below(3),
            Fault::ObjectsAway => self.failing_objects = 1 + self.seed.below(20),
            Fault::Joins | Fault::Leaves | Fault::Departs | Fault::Stalls | Fault::Absence => {
                self.changes.push(fault)
            }
            Fault::Passes => self.passes = true,
            Fault::BitRot | Fault::StoresLost | Fault::SnapshotsLost => {}
        }
    }

    /// A frame was written to a journal, up to `end`.
    pub(crate) fn framed(&mut self, path: &Path, end: u64) {
        let journal = self.journals.entry(path.to_path_buf()).or_default();
        // What recovery writes again proves no more than it did.
        if end > journal.end {
            (journal.end, journal.stamp) = (end, journal.durable);
        }
    }

    /// A journal was cut; a frame that is gone proves nothing.
    pub(crate) fn cut(&mut self, path: &Path, end: u64) {
        if let Some(journal) = self.journals.get_mut(path) {
            (journal.end, journal.stamp) = (end, journal.proved);
        }
    }

    /// A journal was synced.
    pub(crate) fn synced(&mut self, path: &Path) {
        if let Some(journal) = self.journals.get_mut(path) {
            (journal.durable, journal.proved) = (journal.end, journal.stamp);
        }
    }

    /// Whether the head of a journal is durable.
    pub(crate) fn has_begun(&self, path: &Path) -> bool {
        self.journals.get(path).is_some_and(|journal| journal.durable > 0)
    }

    /// Up to where damage in a journal is proved to be damage.
    pub(crate) fn proved(&self, path: &Path) -> u64 {
        self.journals.get(path).map_or(0, |journal| journal.proved)
    }

    /// Time passes by itself.
    pub(crate) fn go_on(&mut self, millis: u64) {
        if !self.is_still {
            self.elapsed += Duration::from_millis(millis);
        }
    }

    /// Time passes while somebody waits; a disk that is full is not so for ever.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        let passed = 1 + self.seed.below(millis);
        self.go_on(passed);
        if self.full > 0 {
            self.full -= 1;
            if self.full == 0 {
                self.disk.limit(None);
                self.counts.recovered_from_full += 1;
                self.note(|| "the disk has room again".into());
            }
        }
    }
}
