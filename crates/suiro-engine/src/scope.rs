//! A scope: all tasks that commit together, and the rounds in which they work.
//!
//! A round feeds every task what was fetched, lets the tasks take turns level by level (an
//! exchange leads to a higher level), asks for more, and commits if it is time. Between rounds
//! nothing is in motion: a commit, a query or a roll-back sees all tasks at rest.

use crate::below::{Below, Porter};
use crate::copies::Copy;
use crate::crew::{Crew, Done, Job, Work};
use crate::exchange::{Delivery, ExchangeKind};
use crate::flight::Flight;
use crate::forms::Forms;
use crate::globals::{Followed, Globals, deleted};
use crate::input::InputKind;
use crate::layout::Layout;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::replay::Arrival;
use crate::settings::Settings;
use crate::snapshots::Targets;
use crate::stores::Stores;
use crate::task::{Failed, Task, Tried};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{
    Broker, Event, Fetch, Generation, Position, Role, TaskId, Ticket, Wake,
};
use suiro_core::{Clock, Error, Result, TopicPartition};
use suiro_store::snapshot::Place;

/// All tasks that commit together.
pub struct Scope {
    pub(crate) plan: Plan,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) link: Link,
    pub(crate) layout: Layout,
    pub(crate) generation: Generation,
    /// Where the snapshots of the stores lie.
    pub(crate) place: Option<Place>,
    pub(crate) targets: Targets,
    pub(crate) tasks: Vec<Option<Box<Task>>>,
    pub(crate) places: BTreeMap<TaskId, usize>,
    /// What was committed last.
    pub(crate) committed: HashMap<TopicPartition, Position>,
    /// Encoded deliveries that wait for the commit, where exchanges go through topics.
    pub(crate) outgoing: BTreeMap<TopicPartition, Vec<u8>>,
    pub(crate) totals: Metrics,
    pub(crate) last_commit: Duration,
    pub(crate) dirty: bool,
    /// The commit whose outcome is not known.
    pub(crate) flight: Option<Flight>,
    /// After a failure: how many rows a task may take between two commits, until the failing
    /// record is found.
    pub(crate) probe: Option<Probe>,
    pub(crate) careful: bool,
    pub(crate) forms: Forms,
    /// After a failure that asks for a letter: how many rows are still to be taken one at a
    /// time.
    pub(crate) alone: u64,
    /// Rows taken as of the last commit.
    pub(crate) taken_before: u64,
    pub(crate) fetches: HashMap<Ticket, (usize, usize)>,
    /// Something may have come since the caught-up inputs were last looked at.
    pub(crate) stale: bool,
    /// Only the answer to a fetch tells of what others commit.
    pub(crate) hears_by_fetches: bool,
    /// When the work of the last round ended.
    worked: Duration,
    /// The last round took rows.
    pub(crate) moving: bool,
    /// Tasks whose stores are being restored, and since when.
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) restoring_since: Duration,
    /// Copies of tasks of other processes, and when the group was last told of them.
    pub(crate) copies: Vec<Copy>,
    /// Those that it is to keep.
    pub(crate) copied: Vec<(TaskId, Role)>,
    pub(crate) offered: Duration,
    /// Before that no copy is begun, since one has failed.
    pub(crate) copies_again: Duration,
    pub(crate) progress: Arc<Progress>,
    /// A commit was waited for, which may have used up the ring that said that there is more.
    pub(crate) missed: bool,
    pub(crate) below: Below,
    pub(crate) followed: Followed,
    /// How long tombstones stay in changelogs.
    pub(crate) tombstones: Duration,
}

/// The search for a record that fails: smaller and smaller steps, each with a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) rows: usize,
    /// Rows to take without a failure before the search ends.
    pub(crate) left: u64,
}

/// What came of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Rows were taken; there may be more.
    Busy,
    /// There is nothing to do until something comes in or the commit is due.
    Idle,
    /// A bounded run is at its end, and committed.
    Ended,
}

impl Scope {
    /// Opens the program on `broker`: prepares topics, joins the group, restores the stores.
    pub fn open(
        plan: Plan,
        broker: &dyn Broker,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut scope = Self::begin(plan, broker, settings, clock)?;
        scope.restore()?;
        scope.progress.set(None);
        Ok(scope)
    }

    /// Opens the program as far as that is quick: it is known then where each source begins,
    /// and, in a bounded run, where it ends. The stores must be restored before the first round.
    pub(crate) fn begin(
        plan: Plan,
        broker: &dyn Broker,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut link = Link::new(broker.worker(plan.name())?);
        let layout = Layout::prepare(&plan, &mut link, &settings)?;
        let place = settings.snapshots.as_ref();
        let place = place.map(|it| it.place(plan.name(), broker, Arc::clone(&clock)));
        let mut scope = Self {
            plan,
            settings,
            last_commit: clock.elapsed(),
            clock,
            link,
            layout,
            generation: Generation(0),
            place,
            targets: Targets::default(),
            tasks: Vec::new(),
            places: BTreeMap::new(),
            committed: HashMap::new(),
            outgoing: BTreeMap::new(),
            totals: Metrics::default(),
            dirty: false,
            flight: None,
            probe: None,
            careful: false,
            forms: Forms::default(),
            alone: 0,
            taken_before: 0,
            fetches: HashMap::new(),
            stale: true,
            hears_by_fetches: broker.is_shared(),
            moving: false,
            worked: Duration::ZERO,
            missed: false,
            arrivals: Vec::new(),
            restoring_since: Duration::ZERO,
            copies: Vec::new(),
            copied: Vec::new(),
            offered: Duration::ZERO,
            copies_again: Duration::ZERO,
            progress: Arc::default(),
            below: Below::default(),
            followed: Followed::default(),
            tombstones: broker.tombstone_retention(),
        };
        let (offer, tasks) = (scope.offer_of_now(), scope.layout.tasks());
        scope.link.session.offer(offer);
        scope.link.session.reads(&scope.plan.reads());
        scope.link.session.join(scope.plan.name(), &tasks);
        scope.open_globals()?;
        let assigned = scope.link.wait_assigned()?;
        scope.open_tasks(assigned)?;
        Ok(scope)
    }

    /// Sets who writes to the stores below; without it they are written to as part of a round.
    pub fn set_porter(&mut self, porter: impl Porter + 'static) {
        self.below.porter = Box::new(porter);
    }

    /// Ends a wait of [`Scope::wait`] from another thread.
    pub fn waker(&self) -> Arc<dyn Wake> {
        self.link.waker()
    }

    /// The plan that runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The stores of all tasks here, with the partition of each task.
    pub fn stores(&self) -> impl Iterator<Item = (u32, &Stores)> {
        self.tasks.iter().flatten().map(|task| (task.id.partition, &task.stores))
    }

    /// The global tables of the program.
    pub fn globals(&self) -> &Globals {
        &self.followed.globals
    }

    /// One round. An error ends the app; what was committed stays.
    pub fn round(&mut self, crew: &mut dyn Crew) -> Result<Round> {
        if self.settings.bounded && self.all_ended() {
            return self.finish(crew);
        }
        self.look_out()?;
        if self.link.has_assignment() {
            // What becomes of the commit in flight may use it up.
            self.land()?;
            if let Some(assigned) = self.link.assignment()? {
                self.take_over(assigned)?;
            }
        }
        self.receive()?;
        self.welcome()?;
        let was_alone = self.alone > 0;
        self.settle_below()?;
        self.note_pause();
        let begun = self.clock.elapsed();
        let busy = match self.work(crew)? {
            Worked::Failed => return Ok(Round::Busy),
            Worked::Poisoned(error) => {
                self.commit(crew)?;
                return Err(error);
            }
            Worked::Rows(count) => count > 0,
        };
        self.dirty |= busy;
        self.moving = busy;
        self.worked = self.clock.elapsed();
        let took = self.worked.saturating_sub(begun);
        self.totals.longest_round = self.totals.longest_round.max(took);
        self.request();
        self.offer();
        if self.settings.bounded && self.all_ended() {
            return self.finish(crew);
        }
        // What was done record by record is kept before there are batches again.
        let together_again = was_alone && self.alone == 0;
        if self.probe.is_some() || together_again || self.commit_due(busy) {
            self.set_off(crew)?;
        }
        Ok(if busy { Round::Busy } else { Round::Idle })
    }

    /// Lets tasks begin that were restored beside the work of the others.
    fn welcome(&mut self) -> Result<()> {
        if self.is_restoring() {
            self.seat()?;
            if !self.is_restoring() {
                self.progress.set(None);
            }
        }
        Ok(())
    }

    fn note_pause(&mut self) {
        if self.moving {
            let pause = self.clock.elapsed().saturating_sub(self.worked);
            self.totals.longest_pause = self.totals.longest_pause.max(pause);
        }
    }

    /// Has inputs that are caught up looked at again, as [`Scope::wait`] does.
    pub fn look_again(&mut self) {
        self.stale |= !self.is_asking();
    }

    /// Commits what was done, and leaves the group: other members may go on at once.
    pub fn close(mut self, crew: &mut dyn Crew) -> Result<()> {
        self.commit(crew)?;
        self.leave_below();
        self.link.session.leave();
        Ok(())
    }

    /// How many commits have been resolved as committed.
    pub fn commits(&self) -> u64 {
        self.totals.commits
    }

    /// How often the scope went back to its last commit.
    pub fn rollbacks(&self) -> u64 {
        self.totals.rollbacks
    }

    /// Commits now, if there is something to commit; gives whether there was.
    pub fn commit_now(&mut self, crew: &mut dyn Crew) -> Result<bool> {
        let before = self.totals.commits;
        self.commit(crew)?;
        Ok(self.totals.commits > before)
    }

    fn finish(&mut self, crew: &mut dyn Crew) -> Result<Round> {
        self.commit(crew)?;
        // A commit that did not happen took the end back, too.
        let believes = cfg!(suiro_mutant = "aborted_end_believed");
        Ok(if self.all_ended() || believes { Round::Ended } else { Round::Busy })
    }

    /// Gives tasks what was fetched for them.
    fn receive(&mut self) -> Result<()> {
        for event in self.link.events() {
            let Event::Fetched(ticket, fetched) = event else { continue };
            let Some((task, input)) = self.fetches.remove(&ticket) else {
                if let Some(fetched) = self.take_replay(ticket, fetched)?
                    && let Some(fetched) = self.follow_copy(ticket, fetched)
                {
                    self.follow_global(ticket, fetched)?;
                }
                continue;
            };
            let Some(task) = self.tasks[task].as_mut() else { continue };
            let input = &mut task.inputs[input];
            if input.fetching != Some(ticket) {
                continue;
            }
            input.fetching = None;
            let fetched = fetched?;
            if fetched.start > input.fetch_from {
                return Err(deleted(&input.origin, input.fetch_from, fetched.start));
            }
            input.accept(fetched);
        }
        Ok(())
    }

    /// Asks for more where little waits.
    fn request(&mut self) {
        let (low, now) = (self.settings.batch_rows, self.clock.elapsed());
        let look = std::mem::take(&mut self.stale) || self.moving;
        self.follow_globals(look);
        self.ask_replays();
        self.ask_copies();
        let memory = self.settings.exchange == ExchangeKind::Memory;
        let session = &mut self.link.session;
        for (place, task) in self.tasks.iter_mut().enumerate() {
            let Some(task) = task else { continue };
            for (index, input) in task.inputs.iter_mut().enumerate() {
                let wanted = match input.kind {
                    InputKind::Generator => false,
                    InputKind::Topic => !input.is_ended(),
                    InputKind::Exchange(_) => {
                        !memory || input.end.is_none_or(|end| input.fetch_from < end)
                    }
                };
                let at_end = input.end.is_some_and(|end| input.fetch_from >= end);
                if !wanted
                    || (at_end && !look)
                    || input.fetching.is_some()
                    || !input.raw.is_empty()
                    || input.waiting >= low
                {
                    continue;
                }
                let ticket = session.fetch(Fetch {
                    partition: input.origin.clone(),
                    offset: input.fetch_from,
                    max_bytes: self.settings.fetch_bytes,
                });
                (input.fetching, input.asked) = (Some(ticket), Some(now));
                self.fetches.insert(ticket, (place, index));
            }
        }
    }

    /// Lets the tasks of a level take turns, and passes on what they send. Gives whether all went
    /// well; if not, the scope is back at its last commit.
    pub(crate) fn step_level(
        &mut self,
        crew: &mut dyn Crew,
        level: usize,
        budget: usize,
    ) -> Result<bool> {
        self.tell_known();
        let mut jobs = self.jobs(Some(level), Work::Step(budget));
        if level == 0 {
            self.hold_back(&mut jobs);
        }
        let (mut failed, mut broken) = (None, None);
        for mut job in crew.work(jobs) {
            match job.done.take() {
                Some(Done::Stepped(Err(failure))) => failed = Some(failure),
                Some(Done::Saved(Err(error))) => broken = Some(error),
                _ => {}
            }
            self.tasks[job.index] = Some(job.task);
        }
        if let Some(error) = broken {
            return Err(error);
        }
        if let Some(failed) = failed.or_else(|| self.pass_on(level).err()) {
            self.recover(*failed)?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Lets all tasks take turns, level by level.
    fn work(&mut self, crew: &mut dyn Crew) -> Result<Worked> {
        let before = self.taken();
        for level in 0..self.levels() {
            if !self.step_level(crew, level, self.budget(level))? {
                return Ok(Worked::Failed);
            }
        }
        let mut inputs = self.tasks.iter_mut().flatten().flat_map(|task| &mut task.inputs);
        if let Some(error) = inputs.find_map(|input| input.poisoned()) {
            return Ok(Worked::Poisoned(error));
        }
        for task in self.tasks.iter_mut().flatten() {
            let leapt = task.inputs.iter_mut().fold(false, |any, input| input.leaps() | any);
            self.dirty |= std::mem::take(&mut task.spoke) | leapt;
        }
        let rows = self.taken() - before;
        self.dirty |= self.tasks.iter().flatten().any(|task| task.passed_refused());
        self.alone = self.alone.saturating_sub(rows);
        if let Some(probe) = &mut self.probe {
            probe.left = probe.left.saturating_sub(rows);
            if probe.left == 0 {
                self.probe = None;
            }
        }
        Ok(Worked::Rows(rows))
    }

    pub(crate) fn levels(&self) -> usize {
        self.plan.subs.iter().map(|sub| sub.level + 1).max().unwrap_or(0)
    }

    /// Takes tasks out for the crew; of one level, or all.
    pub(crate) fn jobs(&mut self, level: Option<usize>, work: Work) -> Vec<Job> {
        let (mut jobs, now, wall) = (Vec::new(), self.clock.elapsed(), self.clock.now());
        let alone = self.alone > 0;
        let newest: Arc<str> =
            if alone { self.newest().join(", ").into() } else { Arc::default() };
        for index in 0..self.tasks.len() {
            let is_due = self.tasks[index].as_ref().is_some_and(|task| {
                let of = self.plan.subs[task.id.subtopology as usize].level;
                level.is_none_or(|level| level == of)
            });
            if is_due && let Some(mut task) = self.tasks[index].take() {
                (task.now, task.wall) = (now, wall);
                task.alone.on = alone;
                if alone {
                    task.alone.newest = Arc::clone(&newest);
                }
                jobs.push(Job { index, task, work, done: None });
            }
        }
        jobs
    }

    /// Ends tasks of a level that are at the end of a bounded run, and delivers what tasks of
    /// the level have sent.
    pub(crate) fn pass_on(&mut self, level: usize) -> Tried<()> {
        let mut deliveries = Vec::new();
        for task in self.tasks.iter_mut().flatten() {
            if self.plan.subs[task.id.subtopology as usize].level != level {
                continue;
            }
            if self.settings.bounded && !task.ended && task.is_at_end() {
                task.end().map_err(|failure| task.failed_at_end(failure))?;
                self.dirty = true;
            }
            task.collect(&mut deliveries);
        }
        self.deliver(deliveries)
    }

    fn deliver(&mut self, deliveries: Vec<Delivery>) -> Tried<()> {
        for delivery in deliveries {
            if self.settings.exchange == ExchangeKind::Topic {
                self.send(delivery).map_err(Failed::of_exchange)?;
                continue;
            }
            let sub = self.layout.receiver(delivery.exchange) as u32;
            let id = TaskId { subtopology: sub, partition: delivery.to };
            let task = self.places.get(&id).and_then(|place| self.tasks[*place].as_mut());
            let task = task.expect("with exchanges in memory a scope holds every task");
            task.deliver(delivery).map_err(|failure| task.failed_at_end(failure))?;
        }
        Ok(())
    }

    pub(crate) fn taken(&self) -> u64 {
        self.tasks.iter().flatten().map(|task| task.taken).sum()
    }

    pub(crate) fn forget_fetches(&mut self) {
        self.fetches.clear();
        self.followed.forget();
        self.forget_replays();
        self.forget_copies();
        self.link.forget();
    }

    fn all_ended(&self) -> bool {
        self.tasks.iter().flatten().all(|task| task.ended)
    }
}

enum Worked {
    Rows(u64),
    Failed,
    Poisoned(Error),
}
