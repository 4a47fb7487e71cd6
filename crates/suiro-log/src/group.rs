//! The coordinator of the groups in this process: who is a member, and who runs which task.

use crate::assign::assign;
use crate::mailbox::Mailbox;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use suiro_core::broker::{Event, Generation, Role, TaskId};

/// All groups that have members.
#[derive(Default)]
pub(crate) struct Groups {
    groups: BTreeMap<Arc<str>, Group>,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<u64, Member>,
    assignment: BTreeMap<TaskId, u64>,
}

struct Member {
    tasks: BTreeSet<TaskId>,
    mailbox: Arc<Mailbox>,
}

impl Groups {
    /// Makes a session a member, or changes the tasks that it names.
    pub fn join(
        &mut self,
        group: &Arc<str>,
        session: u64,
        tasks: &[TaskId],
        to: &Arc<Mailbox>,
    ) {
        let member = Member { tasks: tasks.iter().copied().collect(), mailbox: Arc::clone(to) };
        self.groups.entry(Arc::clone(group)).or_default().members.insert(session, member);
    }

    /// Takes a session out of all groups but `keep`, and names those that it was in.
    pub fn leave(&mut self, session: u64, keep: Option<&str>) -> Vec<Arc<str>> {
        let mut left = Vec::new();
        for (name, group) in &mut self.groups {
            if Some(&**name) != keep && group.members.remove(&session).is_some() {
                left.push(Arc::clone(name));
            }
        }
        left
    }

    /// How many members a group has.
    pub fn count(&self, group: &str) -> usize {
        self.groups.get(group).map_or(0, |group| group.members.len())
    }

    /// Shares the tasks of a group anew and tells its members.
    pub fn assign(&mut self, name: &Arc<str>, generation: u64) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let members: Vec<u64> = group.members.keys().copied().collect();
        let named = group.members.values().flat_map(|member| &member.tasks);
        let tasks: Vec<TaskId> = named.copied().collect::<BTreeSet<_>>().into_iter().collect();
        group.assignment = assign(&tasks, &members, &group.assignment);
        for (session, member) in &group.members {
            let mine = group.assignment.iter().filter(|(_, runs)| *runs == session);
            let mine = mine.map(|(task, _)| (*task, Role::Active)).collect();
            member.mailbox.post(Event::Assigned(Generation(generation), mine));
        }
        if group.members.is_empty() {
            self.groups.remove(name);
        }
    }
}
