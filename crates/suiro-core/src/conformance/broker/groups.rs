//! Sharing tasks.

use super::Subject;
use super::party::Party;
use super::world::World;
use crate::broker::{Generation, Role, TaskId};
use std::time::Duration;

/// The first `count` tasks of a program with two sub-topologies.
pub(super) fn tasks(count: u32) -> Vec<TaskId> {
    (0..count).map(|n| TaskId { subtopology: n % 2, partition: n / 2 }).collect()
}

/// Listens until all members have the same generation and each of the tasks is run by exactly
/// one of them. Gives the generation.
pub(super) fn settle(check: &str, members: &mut [&mut Party], count: u32) -> Generation {
    let mut expected = tasks(count);
    expected.sort();
    let Some((last, others)) = members.split_last_mut() else {
        panic!("{check}: a group without members does not settle");
    };
    last.until("settled group", |last| {
        // A group comes together when all of its members listen.
        others.iter_mut().for_each(|other| other.listen());
        let (generation, mut active) = active(last)?;
        for other in others.iter_mut() {
            let (of_other, more) = self::active(other)?;
            if of_other != generation {
                other.session.wait(Duration::from_millis(10));
                return None;
            }
            active.extend(more);
        }
        active.sort();
        (active == expected).then_some(generation)
    })
}

/// The generation of a member, and the tasks it runs.
fn active(member: &Party) -> Option<(Generation, Vec<TaskId>)> {
    let (generation, tasks) = member.assigned.as_ref()?;
    let active = tasks.iter().filter(|(_, role)| *role == Role::Active);
    Some((*generation, active.map(|(task, _)| *task).collect()))
}

fn count_active(member: &Party) -> usize {
    active(member).map_or(0, |(_, tasks)| tasks.len())
}

/// The only member of a group runs all tasks, also when it comes back.
pub fn lone_member_runs_every_task(subject: Subject) {
    let check = "lone_member_runs_every_task";
    let mut world = World::new(check, subject);
    let group = world.name("group");
    let mut member = world.party();
    let mut last = None;
    for round in 0..3 {
        member.session.join(&group, &tasks(5));
        let joined = member.until("assignment", |member| {
            let (generation, tasks) = active(member)?;
            (last < Some(generation)).then_some((generation, tasks))
        });
        let (generation, mut found) = joined;
        let mut expected = tasks(5);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{check}: round {round}");
        last = Some(generation);
        member.session.leave();
    }
}

/// Members run each task exactly once between them, none of them idle, and everybody hears of
/// each change under a larger generation.
pub fn members_share_tasks(subject: Subject) {
    let check = "members_share_tasks";
    let mut world = World::new(check, subject);
    let group = world.name("group");
    let mut members: Vec<Party> = Vec::new();
    let mut last = None;
    for size in 1..=4 {
        let mut newcomer = world.party();
        newcomer.session.join(&group, &tasks(8));
        members.push(newcomer);
        let mut all: Vec<_> = members.iter_mut().collect();
        let generation = settle(check, &mut all, 8);
        assert!(last < Some(generation), "{check}: {generation:?} does not follow {last:?}");
        last = Some(generation);
        for member in &members {
            assert!(count_active(member) > 0, "{check}: one of {size} members is idle");
        }
    }
}

/// Members for which there is no task are told so.
pub fn members_may_outnumber_tasks(subject: Subject) {
    let check = "members_may_outnumber_tasks";
    let mut world = World::new(check, subject);
    let group = world.name("group");
    let mut members = [world.party(), world.party(), world.party()];
    for member in &mut members {
        member.session.join(&group, &tasks(2));
    }
    let mut all: Vec<_> = members.iter_mut().collect();
    settle(check, &mut all, 2);
    let idle = members.iter().filter(|member| count_active(member) == 0).count();
    assert_eq!(idle, 1, "{check}: idle members");
}

/// Who leaves, or whose session is dropped, hands its tasks over to the others at once.
pub fn leaving_hands_over(subject: Subject) {
    let check = "leaving_hands_over";
    let mut world = World::new(check, subject);
    let group = world.name("group");
    let [mut one, mut two, mut three] = [world.party(), world.party(), world.party()];
    for member in [&mut one, &mut two, &mut three] {
        member.session.join(&group, &tasks(6));
    }
    let all = settle(check, &mut [&mut one, &mut two, &mut three], 6);
    two.session.leave();
    let without_two = settle(check, &mut [&mut one, &mut three], 6);
    drop(one);
    let alone = settle(check, &mut [&mut three], 6);
    assert!(all < without_two && without_two < alone, "{check}: generations grow");

    two.session.join(&group, &tasks(6));
    let again = settle(check, &mut [&mut two, &mut three], 6);
    assert!(alone < again, "{check}: generations grow when a member comes back");
}

/// What happens in one group is no concern of another.
pub fn groups_are_apart(subject: Subject) {
    let check = "groups_are_apart";
    let mut world = World::new(check, subject);
    let [mut one, mut two] = [world.party(), world.party()];
    one.session.join(&world.name("one"), &tasks(3));
    let before = settle(check, &mut [&mut one], 3);
    two.session.join(&world.name("two"), &tasks(4));
    settle(check, &mut [&mut two], 4);
    two.session.leave();
    two.write(&[]);
    let after = settle(check, &mut [&mut one], 3);
    assert_eq!(before, after, "{check}: a group changed by another one's member");
}
