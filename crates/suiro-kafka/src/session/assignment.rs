//! Who runs which task, and who keeps a copy of which: pure, so that every member of a group
//! would come to the same.
//!
//! Tasks are shared out so that their numbers differ by one at most, and as they were as far as
//! that goes. A task with state goes where its state is: if whoever is to run it has no copy that
//! is nearly as far, it warms one up, and the task stays where it is, or where its best copy is,
//! until that is done.

use super::told::Told;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use suiro_core::broker::{Role, TaskId};

/// A copy that is at most so many records behind is as good as the state itself.
pub(super) const CAUGHT_UP: u64 = 10_000;

/// What each member is told: its tasks, each with a role.
pub(super) type Shares = BTreeMap<String, Vec<(TaskId, Role)>>;

struct Group<'a> {
    members: &'a BTreeMap<String, Told>,
    /// Who runs a task, as far as members say.
    owners: BTreeMap<TaskId, &'a str>,
    /// How far behind the copies of a task are, by member.
    copies: BTreeMap<TaskId, BTreeMap<&'a str, u64>>,
    /// Whether members know of state at all, and the sub-topologies that have none.
    has_state: bool,
    stateless: BTreeSet<u32>,
}

impl<'a> Group<'a> {
    fn of(tasks: &BTreeSet<TaskId>, members: &'a BTreeMap<String, Told>) -> Self {
        let mut claims: BTreeMap<TaskId, (i32, Reverse<&str>)> = BTreeMap::new();
        let mut copies: BTreeMap<TaskId, BTreeMap<&str, u64>> = BTreeMap::new();
        for (name, told) in members {
            // Who missed a generation may claim what is another's since.
            let claim = (told.generation, Reverse(name.as_str()));
            for task in told.owned.iter().filter(|task| tasks.contains(task)) {
                let newest = claims.entry(*task).or_insert(claim);
                *newest = (*newest).max(claim);
            }
            for (task, lag) in told.offer.iter().flat_map(|offer| &offer.copies) {
                copies.entry(*task).or_default().insert(name, *lag);
            }
        }
        let owners =
            claims.into_iter().map(|(task, (_, Reverse(name)))| (task, name)).collect();
        let offers = members.values().filter_map(|told| told.offer.as_ref());
        let stateless = offers.clone().flat_map(|offer| &offer.stateless).copied().collect();
        let has_state = offers.count() > 0;
        Self { members, owners, copies, has_state, stateless }
    }

    fn has_state(&self, task: &TaskId) -> bool {
        self.has_state && !self.stateless.contains(&task.subtopology)
    }

    fn lag(&self, task: &TaskId, member: &str) -> Option<u64> {
        self.copies.get(task)?.get(member).copied()
    }

    /// The best copy that another member than the owner has.
    fn best_copy(&self, task: &TaskId) -> Option<(u64, &'a str)> {
        let owner = self.owners.get(task).copied();
        let copies = self.copies.get(task)?.iter().filter(|(name, _)| Some(**name) != owner);
        copies.map(|(name, lag)| (*lag, *name)).min()
    }

    /// Where a task can go on at once: where it runs, or, if nobody runs it, where its best copy
    /// is that is nearly as far.
    fn stands(&self, task: &TaskId) -> Option<&'a str> {
        let owner = self.owners.get(task).copied();
        let copy = || self.best_copy(task).filter(|(lag, _)| *lag <= CAUGHT_UP);
        owner.or_else(|| copy().map(|(_, name)| name))
    }

    /// Where each task is to run in the end: balanced, and as it was as far as that goes.
    fn targets(&self, tasks: &BTreeSet<TaskId>) -> BTreeMap<TaskId, &'a str> {
        let (least, more) =
            (tasks.len() / self.members.len(), tasks.len() % self.members.len());
        let mut had: BTreeMap<&str, Vec<TaskId>> =
            self.members.keys().map(|name| (name.as_str(), Vec::new())).collect();
        for (task, owner) in &self.owners {
            had.entry(owner).or_default().push(*task);
        }
        // Who had most keeps one more, so that as little as can be moves.
        let mut order: Vec<(&str, Vec<TaskId>)> = had.into_iter().collect();
        order.sort_by_key(|(name, had)| (Reverse(had.len()), *name));
        let mut targets = BTreeMap::new();
        let mut room: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, (name, mut had)) in order.into_iter().enumerate() {
            let most = least + usize::from(place < more);
            // What others have copies of goes first.
            let copied = |task: &TaskId| self.best_copy(task).map_or(u64::MAX, |(lag, _)| lag);
            had.sort_by_key(|task| (Reverse(copied(task)), *task));
            had.truncate(most);
            room.insert(name, most - had.len());
            targets.extend(had.into_iter().map(|task| (task, name)));
        }
        let mut open: Vec<TaskId> =
            tasks.iter().filter(|task| !targets.contains_key(task)).copied().collect();
        // Those with good copies choose before the others take the room.
        let best = |task: &TaskId| self.best_copy(task).map_or(u64::MAX, |(lag, _)| lag);
        open.sort_by_key(|task| (best(task), *task));
        for task in open {
            let free = room.iter().filter(|(_, room)| **room > 0);
            let lag = |name: &str| self.lag(&task, name).unwrap_or(u64::MAX);
            let best = free.min_by_key(|(name, room)| (lag(name), Reverse(**room), **name));
            let (name, _) = best.expect("there is room for every task");
            let name = *name;
            room.entry(name).and_modify(|room| *room -= 1);
            targets.insert(task, name);
        }
        targets
    }
}

/// Shares `tasks` among members, of whom each has told what it ran and what it has copies of.
///
/// Each task is active at one member. A member that is to run a task, and is not as far, warms it
/// up. Beside these, tasks with state have as many standbys at further members as the most that a
/// member wants, if there are so many members; what has a copy of a task keeps it, as long as the
/// copies are spread evenly. The result depends on nothing but the arguments.
pub(super) fn share(tasks: &[TaskId], members: &BTreeMap<String, Told>) -> Shares {
    let tasks: BTreeSet<TaskId> = tasks.iter().copied().collect();
    let mut shares: Shares = members.keys().map(|name| (name.clone(), Vec::new())).collect();
    if members.is_empty() {
        return shares;
    }
    let group = Group::of(&tasks, members);
    let mut holders: BTreeMap<TaskId, BTreeSet<&str>> = BTreeMap::new();
    let mut copies: BTreeMap<&str, usize> =
        members.keys().map(|name| (name.as_str(), 0)).collect();
    let mut give = |name: &str, task: TaskId, role: Role| {
        shares.entry(name.to_owned()).or_default().push((task, role));
    };
    for (task, target) in group.targets(&tasks) {
        let is_ready = || group.lag(&task, target).is_some_and(|lag| lag <= CAUGHT_UP);
        let stands = group.stands(&task).filter(|at| *at != target);
        let waits = stands.filter(|_| group.has_state(&task) && !is_ready());
        give(waits.unwrap_or(target), task, Role::Active);
        let holders = holders.entry(task).or_default();
        holders.insert(waits.unwrap_or(target));
        if waits.is_some() {
            give(target, task, Role::WarmUp);
            holders.insert(target);
            copies.entry(target).and_modify(|count| *count += 1);
        }
    }
    let offers = members.values().filter_map(|told| told.offer.as_ref());
    let wanted = offers.map(|offer| offer.standbys).max().unwrap_or(0) as usize;
    let wanted = wanted.min(members.len() - 1);
    let stateful: Vec<TaskId> =
        tasks.iter().filter(|task| group.has_state(task)).copied().collect();
    let even = (stateful.len() * wanted).div_ceil(members.len());
    for task in stateful {
        let holders = holders.entry(task).or_default();
        while holders.len() < wanted + 1 {
            let others = copies.iter().filter(|(name, _)| !holders.contains(**name));
            let had = |name: &str| {
                let ran = group.owners.get(&task) == Some(&name);
                if ran { Some(0) } else { group.lag(&task, name) }
            };
            let best = others.min_by_key(|(name, count)| {
                (**count >= even, had(name).is_none(), **count, had(name), **name)
            });
            let Some((name, _)) = best else { break };
            let name = *name;
            give(name, task, Role::Standby);
            holders.insert(name);
            copies.entry(name).and_modify(|count| *count += 1);
        }
    }
    shares.values_mut().for_each(|share| share.sort_by_key(|(task, _)| *task));
    shares
}

#[cfg(test)]
mod tests;
