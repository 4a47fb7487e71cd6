//! Copies of the state of tasks that run in other processes: standbys, and what is warmed up
//! before a task moves here.
//!
//! A copy follows the changelogs of its task, as far as they are committed, and takes no part in
//! rounds and commits. When its task comes here it goes on from there, so that little is left to
//! be replayed.

use crate::below::age;
use crate::replay::Replay;
use crate::scope::Scope;
use crate::stores::{State, Stores};
use std::time::Duration;
use suiro_core::broker::{Fetched, Offer, Role, TaskId, Ticket};
use suiro_core::{Offset, Result, Timestamp};

/// A copy of the stores of a task.
pub(crate) struct Copy {
    id: TaskId,
    role: Role,
    stores: Stores,
    followed: Vec<Follow>,
}

/// A changelog that is followed.
struct Follow {
    replay: Replay,
    /// The time of day when it was last asked for more.
    asked: Timestamp,
    /// When it was last heard of, and when there was nothing more.
    heard: Duration,
    rested: Option<Duration>,
}

/// How a copy stands with the task that it is of.
///
/// ```
/// use suiro_core::broker::{Role, TaskId};
/// use suiro_engine::CopyMetrics;
///
/// let task = TaskId { subtopology: 0, partition: 3 };
/// let copy = CopyMetrics { task, role: Role::Standby, lag: 120 };
/// assert!(copy.lag < 10_000, "it could run the task at once");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyMetrics {
    /// The task.
    pub task: TaskId,
    /// What the copy is kept for.
    pub role: Role,
    /// Records of its changelogs that it is behind.
    pub lag: u64,
}

/// How long nobody looks again where a changelog had nothing more.
const PAUSE: Duration = Duration::from_millis(20);

/// How long it is waited after a copy failed until one is begun.
const AGAIN: Duration = Duration::from_secs(30);

/// How often the group is told how far the copies are.
const TELL: Duration = Duration::from_millis(100);

impl Follow {
    fn new(replay: Replay, now: Duration) -> Self {
        Self { replay, asked: Timestamp::MIN, heard: now, rested: None }
    }

    /// When it is to be looked for more.
    fn looks_at(&self) -> Option<Duration> {
        // What comes to a source after the copy was begun is read when the task comes here.
        let is_whole = self.replay.from_source && self.replay.left() == 0;
        if self.replay.is_asking() || is_whole {
            return None;
        }
        Some(self.rested.map_or(Duration::ZERO, |rested| rested + PAUSE))
    }
}

impl Copy {
    fn metrics(&self) -> CopyMetrics {
        let lag = self.followed.iter().map(|followed| followed.replay.left()).sum();
        CopyMetrics { task: self.id, role: self.role, lag }
    }

    /// The state of a store, and where it goes on in its changelog; nothing if the store lies
    /// below, where whoever opens it finds all of it.
    pub(crate) fn give(&mut self, store: usize) -> Option<(Box<dyn State>, Offset)> {
        let followed = self.followed.iter().find(|followed| followed.replay.store == store)?;
        let replay = &followed.replay;
        let is_above = replay.below.is_none();
        is_above.then(|| (self.stores.take(store), replay.next))
    }
}

impl Scope {
    /// Opens the copies that are assigned and not there yet.
    fn open_copies(&mut self) -> Result<()> {
        // Rows of a store whose form has changed are written anew first.
        if self.forms.are_changing() {
            return Ok(());
        }
        for (id, role) in self.copied.clone() {
            match self.copies.iter_mut().find(|copy| copy.id == id) {
                Some(copy) => copy.role = role,
                None => self.open_copy(id, role)?,
            }
        }
        Ok(())
    }

    fn open_copy(&mut self, id: TaskId, role: Role) -> Result<()> {
        let all = self.plan.subs[id.subtopology as usize].stores.clone();
        let (mut stores, mut followed) = (Stores::default(), Vec::new());
        let now = self.clock.elapsed();
        for store in all {
            stores.put(store, (self.maker(store))());
            let replay = self.replay_of((id, role), &mut stores, store)?;
            followed.push(Follow::new(replay, now));
        }
        if !followed.is_empty() {
            self.copies.push(Copy { id, role, stores, followed });
        }
        Ok(())
    }

    /// Takes the copy of a task that comes here. One that heard nothing for so long that removals
    /// may have left the changelog meanwhile is worth nothing.
    pub(crate) fn take_copy(&mut self, id: TaskId) -> Option<Copy> {
        let place = self.copies.iter().position(|copy| copy.id == id)?;
        let copy = self.copies.swap_remove(place);
        (!self.is_stale(&copy)).then_some(copy)
    }

    fn is_stale(&self, copy: &Copy) -> bool {
        let now = self.clock.elapsed();
        let most = self.tombstones / 2;
        copy.followed.iter().any(|followed| now.saturating_sub(followed.heard) > most)
    }

    /// Asks for more of each changelog, where there is more, or may be.
    pub(crate) fn ask_copies(&mut self) {
        let (now, wall) = (self.clock.elapsed(), self.clock.now());
        for followed in self.copies.iter_mut().flat_map(|copy| &mut copy.followed) {
            if followed.looks_at().is_none_or(|at| at > now) {
                continue;
            }
            followed.asked = wall;
            followed.replay.ask(&mut *self.link.session, self.settings.fetch_bytes);
        }
    }

    /// When a changelog is to be looked at again.
    pub(crate) fn copies_look_at(&self) -> Option<Duration> {
        let all = self.copies.iter().flat_map(|copy| &copy.followed);
        all.filter_map(Follow::looks_at).min()
    }

    /// What was asked will not be answered.
    pub(crate) fn forget_copies(&mut self) {
        let all = self.copies.iter_mut().flat_map(|copy| &mut copy.followed);
        all.for_each(|followed| followed.replay.has_heard());
    }

    /// Takes more of a changelog, if that is what came; what is not is given back. A copy that
    /// cannot go on is let go of: the task that it is of does not need it.
    pub(crate) fn follow_copy(
        &mut self,
        ticket: Ticket,
        fetched: Result<Fetched>,
    ) -> Option<Result<Fetched>> {
        let is_it = |copy: &Copy| copy.followed.iter().any(|it| it.replay.has_asked(ticket));
        let Some(place) = self.copies.iter().position(is_it) else { return Some(fetched) };
        let now = self.clock.elapsed();
        let is_stale = self.is_stale(&self.copies[place]);
        let Copy { stores, followed, id, .. } = &mut self.copies[place];
        let of = followed.iter_mut().find(|it| it.replay.has_asked(ticket));
        let followed = of.expect("the changelog was just found");
        followed.replay.has_heard();
        let done = fetched.and_then(|fetched| followed.take(stores, fetched, now));
        let why = match done {
            Ok(true) if !is_stale => return None,
            Ok(_) => "it was away for too long".to_owned(),
            Err(error) => error.report(),
        };
        let (subtopology, partition) = (id.subtopology, id.partition);
        tracing::warn!(subtopology, partition, why, "a copy of a task is let go of");
        self.copies.swap_remove(place);
        self.copies_again = now + AGAIN;
        None
    }

    /// Tells the group how far the copies are, now and then, and begins those anew that were let
    /// go of.
    pub(crate) fn offer(&mut self) {
        let now = self.clock.elapsed();
        if self.copied.is_empty() || now < self.offered + TELL {
            return;
        }
        self.offered = now;
        self.keep_copies();
        self.link.session.offer(self.offer_of_now());
    }

    /// Keeps the copies that are assigned, as far as that is possible now: no task waits for them.
    pub(crate) fn keep_copies(&mut self) {
        let mut copies = std::mem::take(&mut self.copies);
        let is_assigned = |copy: &Copy| self.copied.iter().any(|(id, _)| *id == copy.id);
        copies.retain(|copy| is_assigned(copy) && !self.is_stale(copy));
        self.copies = copies;
        let now = self.clock.elapsed();
        if now < self.copies_again {
            return;
        }
        if let Err(error) = self.open_copies() {
            tracing::warn!(error = %error.report(), "a copy of a task cannot be begun");
            self.copies_again = now + AGAIN;
        }
    }

    /// What this process brings to its group.
    pub(crate) fn offer_of_now(&self) -> Offer {
        let copies = self.copies.iter().map(Copy::metrics);
        let stateless = self.plan.subs.iter().enumerate();
        Offer {
            standbys: self.settings.standbys,
            stateless: stateless
                .filter(|(_, sub)| sub.stores.is_empty())
                .map(|(number, _)| number as u32)
                .collect(),
            copies: copies.map(|copy| (copy.task, copy.lag)).collect(),
        }
    }

    pub(crate) fn copy_metrics(&self) -> Vec<CopyMetrics> {
        self.copies.iter().map(Copy::metrics).collect()
    }
}

impl Follow {
    /// Takes more of the changelog; false if records were deleted before they were read.
    fn take(&mut self, stores: &mut Stores, fetched: Fetched, now: Duration) -> Result<bool> {
        if fetched.start > self.replay.next {
            return Ok(false);
        }
        let end = fetched.end;
        if !self.replay.from_source {
            self.replay.end = self.replay.end.max(end);
        }
        self.replay.take(stores, fetched)?;
        self.heard = now;
        self.rested = (self.replay.next >= end).then_some(now);
        // Nothing behind this was appended before it was asked for.
        if self.rested.is_some()
            && let Some(below) = &mut self.replay.below
        {
            below.apply(&[age(self.asked)], self.replay.next)?;
        }
        Ok(true)
    }
}
