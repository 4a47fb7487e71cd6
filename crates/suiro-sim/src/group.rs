//! The processes that run the program in one life: one, or a few that share its tasks, join,
//! leave, die and stand still; and one that does not know yet that others do its work.

use crate::below::Machine;
use crate::crew::SimCrew;
use crate::fault::Fault;
use crate::process::{Opening, Process};
use crate::world::{Died, World};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use suiro::Result;
use suiro_engine::{Round, Scope};

/// How many processes there may be.
pub(crate) const MEMBERS: usize = 3;

/// After so many rounds everybody has heard of an assignment, however late answers come.
const HEARD: u32 = 4;

/// The processes of one life.
pub(crate) struct Group<'a> {
    world: World,
    machines: &'a [Machine],
    pub(crate) members: Vec<Process>,
    zombie: Option<Process>,
    /// The tasks were shared anew, and so many rounds later all have heard of it: then it is looked
    /// at what the processes have of them.
    settles_in: Option<u32>,
    /// How often somebody has joined as of the start of the last rounds.
    joins: u64,
}

/// What the rounds of all processes came to.
pub(crate) struct Rounds {
    pub(crate) busy: bool,
    pub(crate) ended: bool,
    /// The tasks were shared anew, and every process has taken over what is its own.
    pub(crate) is_settled: bool,
}

impl<'a> Group<'a> {
    /// The program on the machine of this number.
    pub(crate) fn open(
        opening: &Opening<'_>,
        machines: &'a [Machine],
        first: usize,
    ) -> Result<Self> {
        let member = if opening.case.shares { first } else { 0 };
        let members = vec![opening.open(member, &machines[first])?];
        let world = opening.world.clone();
        Ok(Self { world, machines, members, zombie: None, settles_in: None, joins: 0 })
    }

    pub(crate) fn scopes(&self) -> Vec<&Scope> {
        self.members.iter().map(|process| &process.scope).collect()
    }

    pub(crate) fn commits(&self) -> u64 {
        self.members.iter().map(|process| process.scope.commits()).sum()
    }

    pub(crate) fn rollbacks(&self) -> u64 {
        self.members.iter().map(|process| process.scope.rollbacks()).sum()
    }

    /// Starts the program on machine number `elsewhere`, while the one that ran so far goes on
    /// until it learns it.
    pub(crate) fn double(&mut self, opening: &Opening<'_>, elsewhere: usize) -> Result<()> {
        self.world.note(|| "=== started elsewhere".into());
        let old = &mut self.members[0];
        old.is_zombie.store(true, Ordering::Relaxed);
        let new = opening.open(0, &self.machines[elsewhere])?;
        self.zombie = Some(std::mem::replace(old, new));
        Ok(())
    }

    pub(crate) fn has_zombie(&self) -> bool {
        self.zombie.is_some()
    }

    /// What is planned happens to processes that share the tasks. Gives the number of one that
    /// was started.
    pub(crate) fn change(
        &mut self,
        opening: &Opening<'_>,
        crew: &mut SimCrew,
    ) -> Result<Option<usize>> {
        let changes = std::mem::take(&mut self.world.state().changes);
        let mut started = None;
        for change in changes {
            let is_alone = self.members.len() == 1;
            let which = self.world.state().seed.below(self.members.len() as u64) as usize;
            match change {
                Fault::Joins | Fault::Absence => {
                    let taken = |number: &usize| {
                        self.members.iter().any(|process| process.member == *number)
                    };
                    let Some(number) = (0..MEMBERS).find(|it| !taken(it)) else { continue };
                    self.note(change, number);
                    let mut new = opening.open(number, &self.machines[number])?;
                    if change == Fault::Absence {
                        let rounds = 5 + self.world.state().seed.below(30);
                        new.leaves_in = Some(rounds);
                        self.members[which].stands = rounds + 2;
                    }
                    self.members.push(new);
                    started = Some(self.members.len() - 1);
                }
                _ if is_alone => continue,
                Fault::Leaves => {
                    let process = self.members.swap_remove(which);
                    self.note(change, process.member);
                    process.scope.close(crew)?;
                    started = None;
                }
                Fault::Departs => {
                    let process = self.members.swap_remove(which);
                    self.note(change, process.member);
                    let machine = process.machine.clone();
                    drop(process);
                    machine.crash();
                    started = None;
                }
                _ => {
                    self.note(change, self.members[which].member);
                    self.members[which].stands = 1 + self.world.state().seed.below(60);
                }
            }
            self.settles_in = Some(HEARD);
        }
        Ok(started)
    }

    fn note(&self, change: Fault, member: usize) {
        self.world.note(|| format!("=== {change:?}: process {member}"));
        self.world.state().counts.struck(change);
    }

    /// A round of every process.
    pub(crate) fn round(&mut self, crew: &mut SimCrew) -> Result<Rounds> {
        self.haunt(crew);
        self.let_go(crew)?;
        let mut all = Rounds { busy: false, ended: false, is_settled: false };
        let before = self.world.state().joined();
        // Who was fenced outside of a round has joined since.
        if before != std::mem::replace(&mut self.joins, before) && before > 1 {
            self.settles_in = Some(HEARD);
        }
        let mut all_ran = true;
        for process in &mut self.members {
            if process.stands > 0 {
                process.stands -= 1;
                (all.busy, all_ran) = (true, false);
                continue;
            }
            match process.round(crew)? {
                Round::Busy => all.busy = true,
                Round::Ended => all.ended = true,
                Round::Idle => process.scope.wait(),
            }
            // What comes from outside is still to come, and so are tasks that are being restored
            // and the outcome of a commit.
            let is_unsure = process.scope.is_restoring() || process.scope.is_in_flight();
            all.busy |= process.scope.is_owed() || is_unsure;
            all_ran &= !is_unsure;
        }
        let joined = self.world.state().joined();
        if joined != before {
            self.settles_in = Some(HEARD);
        } else if all_ran {
            all.is_settled = self.settles_in == Some(0);
            self.settles_in = self.settles_in.and_then(|rounds| rounds.checked_sub(1));
        }
        self.joins = joined;
        Ok(all)
    }

    /// A process that came for a while leaves, if others are there.
    fn let_go(&mut self, crew: &mut SimCrew) -> Result<()> {
        for process in &mut self.members {
            process.leaves_in = process.leaves_in.map(|rounds| rounds.saturating_sub(1));
        }
        let leaves = |process: &Process| process.leaves_in == Some(0);
        let Some(which) = self.members.iter().position(leaves) else { return Ok(()) };
        if self.members.len() > 1 {
            let process = self.members.swap_remove(which);
            self.world.note(|| format!("=== process {} leaves again", process.member));
            self.settles_in = Some(HEARD);
            process.scope.close(crew)?;
        }
        Ok(())
    }

    /// A round of a program whose work somebody else does. What it says is heard by nobody.
    fn haunt(&mut self, crew: &mut SimCrew) {
        let Some(zombie) = &mut self.zombie else { return };
        let round = catch_unwind(AssertUnwindSafe(|| zombie.round(crew)));
        match round {
            Ok(Ok(_)) => return,
            Ok(Err(_)) => {}
            Err(died) if died.is::<Died>() && self.world.state().death.is_none() => {
                self.world.note(|| "=== a zombie learns that it is one".into());
                self.world.state().counts.fenced += 1;
            }
            Err(panic) => resume_unwind(panic),
        }
        if let Some(zombie) = self.zombie.take() {
            let machine = zombie.machine.clone();
            drop(zombie);
            machine.crash();
        }
    }

    /// Commits what there is to commit. Gives whether everything stayed as it was otherwise.
    pub(crate) fn commit(&mut self, crew: &mut SimCrew) -> Result<bool> {
        let before = (self.rollbacks(), self.world.state().joined());
        for process in &mut self.members {
            process.scope.commit_now(crew)?;
        }
        Ok(before == (self.rollbacks(), self.world.state().joined()))
    }

    /// What the processes have counted goes to the counts of the world.
    pub(crate) fn count(&self) {
        for process in &self.members {
            let metrics = process.scope.metrics();
            let counts = &mut self.world.state().counts;
            counts.rollbacks += metrics.rollbacks;
            counts.late += metrics.late;
            counts.skipped += metrics.skipped;
            counts.loaded += metrics.loaded;
            counts.letters += metrics.letters;
            counts.stayed += metrics.stayed;
            counts.prepared += metrics.prepared;
            counts.overlapped += metrics.overlapped;
            counts.taken_back += metrics.taken_back;
        }
    }

    /// Ends the program in an orderly way.
    pub(crate) fn close(self, crew: &mut SimCrew) -> Result<()> {
        self.members.into_iter().try_for_each(|process| process.scope.close(crew))
    }
}
