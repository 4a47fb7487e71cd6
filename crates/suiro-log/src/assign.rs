//! Who runs which task: balanced within one, and moving as few tasks as that allows.

use std::collections::BTreeMap;
use suiro_core::broker::TaskId;

/// Gives each of `tasks` to exactly one of `members`. A member has at most one task more than
/// another, and keeps what it had in `before` as far as that allows.
pub(crate) fn assign(
    tasks: &[TaskId],
    members: &[u64],
    before: &BTreeMap<TaskId, u64>,
) -> BTreeMap<TaskId, u64> {
    let mut after = BTreeMap::new();
    if members.is_empty() {
        return after;
    }
    let (least, mut extra) = (tasks.len() / members.len(), tasks.len() % members.len());
    let mut loads: BTreeMap<u64, usize> = members.iter().map(|member| (*member, 0)).collect();
    let mut homeless = Vec::new();
    for task in tasks {
        match before.get(task).and_then(|member| Some((*member, loads.get_mut(member)?))) {
            Some((member, load)) if *load < least => {
                *load += 1;
                after.insert(*task, member);
            }
            // A few members may have one task more than the others.
            Some((member, load)) if *load == least && extra > 0 => {
                *load += 1;
                extra -= 1;
                after.insert(*task, member);
            }
            _ => homeless.push(*task),
        }
    }
    for task in homeless {
        let idlest = members.iter().min_by_key(|member| loads[member]);
        let member = *idlest.expect("there is a member");
        *loads.entry(member).or_default() += 1;
        after.insert(task, member);
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tasks(count: u32) -> Vec<TaskId> {
        (0..count).map(|n| TaskId { subtopology: n / 4, partition: n % 4 }).collect()
    }

    fn moved(before: &BTreeMap<TaskId, u64>, after: &BTreeMap<TaskId, u64>) -> usize {
        after.iter().filter(|(task, member)| before.get(task) != Some(member)).count()
    }

    proptest! {
        #[test]
        fn balanced_complete_and_sticky(
            count in 0u32..40,
            groups in prop::collection::vec(prop::collection::btree_set(0u64..9, 1..7), 1..6),
        ) {
            let tasks = tasks(count);
            let mut before = BTreeMap::new();
            for members in groups {
                let members: Vec<u64> = members.into_iter().collect();
                let after = assign(&tasks, &members, &before);
                prop_assert_eq!(after.len(), tasks.len());
                let loads: Vec<usize> = members
                    .iter()
                    .map(|member| after.values().filter(|runs| *runs == member).count())
                    .collect();
                let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{:?}", loads);
                prop_assert_eq!(&assign(&tasks, &members, &after), &after);
                // Nothing moves but from members that left, or to bring about the balance.
                let floor = tasks.len() / members.len();
                let orphans = tasks
                    .iter()
                    .filter(|task| before.get(task).is_none_or(|m| !members.contains(m)))
                    .count();
                let over: usize = members
                    .iter()
                    .map(|m| before.values().filter(|runs| *runs == m).count())
                    .map(|load| load.saturating_sub(floor))
                    .sum();
                prop_assert!(moved(&before, &after) <= orphans + over);
                before = after;
            }
        }
    }

    #[test]
    fn a_join_moves_only_what_the_new_member_needs() {
        let tasks = tasks(12);
        let two = assign(&tasks, &[1, 2], &BTreeMap::new());
        let three = assign(&tasks, &[1, 2, 3], &two);
        assert_eq!(moved(&two, &three), 4);
    }
}
