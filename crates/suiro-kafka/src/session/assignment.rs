//! Who runs which task: balanced within one, and as it was as far as that goes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};
use suiro_core::broker::TaskId;
use suiro_core::{Error, Result};

/// The version of what members tell each other.
const VERSION: u8 = 1;

/// Tasks as members tell them to each other: a version, their number, and each as two numbers.
pub(super) fn write(tasks: &[TaskId]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + tasks.len() * 8);
    out.put_u8(VERSION);
    out.put_u32(tasks.len() as u32);
    for task in tasks {
        out.put_u32(task.subtopology);
        out.put_u32(task.partition);
    }
    out.freeze()
}

/// Reads what another member wrote. What a newer version adds at the end is passed over.
pub(super) fn read(bytes: &Bytes) -> Result<Vec<TaskId>> {
    let broken = || Error::corrupt("tasks of a group cannot be read");
    let mut bytes = bytes.clone();
    let version = bytes.try_get_u8().map_err(|_| broken())?;
    if version == 0 {
        return Err(broken().with("version", version));
    }
    let count = bytes.try_get_u32().map_err(|_| broken())? as usize;
    if bytes.remaining() < count.saturating_mul(8) {
        return Err(broken().with("count", count));
    }
    let task = |_| TaskId { subtopology: bytes.get_u32(), partition: bytes.get_u32() };
    Ok((0..count).map(task).collect())
}

/// Shares `tasks` among members, of whom each is known by a name and had some tasks before.
///
/// Each task goes to one member, and the numbers of tasks differ by one at most. Members keep
/// what they had, unless that is more than their share; it depends on nothing but the arguments.
pub(super) fn share(
    tasks: &[TaskId],
    members: &BTreeMap<String, Vec<TaskId>>,
) -> BTreeMap<String, Vec<TaskId>> {
    let mut open: BTreeSet<TaskId> = tasks.iter().copied().collect();
    let mut shares: BTreeMap<String, Vec<TaskId>> =
        members.keys().map(|member| (member.clone(), Vec::new())).collect();
    if members.is_empty() {
        return shares;
    }
    let (least, more) = (open.len() / members.len(), open.len() % members.len());
    // Who had most keeps one more, so that as little as can be moves.
    let mut order: Vec<_> = members.iter().collect();
    let had = |had: &[TaskId]| had.iter().filter(|task| open.contains(task)).count();
    order.sort_by_key(|(name, tasks)| (std::cmp::Reverse(had(tasks)), (*name).clone()));
    let mut room = BTreeMap::new();
    for (place, (name, had)) in order.into_iter().enumerate() {
        let most = least + usize::from(place < more);
        let share = shares.entry(name.clone()).or_default();
        for task in had {
            if share.len() < most && open.remove(task) {
                share.push(*task);
            }
        }
        room.insert(name, most);
    }
    let mut open = open.into_iter();
    for (name, share) in &mut shares {
        let most = room.get(name).copied().unwrap_or(0);
        let missing = most.saturating_sub(share.len());
        share.extend(open.by_ref().take(missing));
        share.sort();
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn task(number: u32) -> TaskId {
        TaskId { subtopology: number % 3, partition: number / 3 }
    }

    fn tasks(count: u32) -> Vec<TaskId> {
        (0..count).map(task).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&write(&tasks(7))).unwrap(), tasks(7));
        let longer = [&write(&tasks(2))[..], b"more"].concat();
        assert_eq!(read(&longer.into()).unwrap(), tasks(2));
        for broken in [&[][..], &[0, 0, 0, 0, 0], &[1, 0, 0, 0, 9, 1]] {
            assert!(read(&Bytes::copy_from_slice(broken)).is_err());
        }
    }

    proptest! {
        #[test]
        fn shares_are_whole_balanced_and_sticky(
            count in 0..40_u32,
            joins in prop::collection::vec((0..8_u8, any::<bool>()), 1..12),
        ) {
            let all = tasks(count);
            let mut members = BTreeMap::<String, Vec<TaskId>>::new();
            for (name, comes) in joins {
                let name = format!("member-{name}");
                match comes {
                    true => drop(members.entry(name).or_default()),
                    false => drop(members.remove(&name)),
                }
                let shares = share(&all, &members);
                let mut given: Vec<_> = shares.values().flatten().copied().collect();
                given.sort();
                let mut wanted = if members.is_empty() { Vec::new() } else { all.clone() };
                wanted.sort();
                prop_assert_eq!(given, wanted);
                let sizes: Vec<_> = shares.values().map(Vec::len).collect();
                let (most, least) = (sizes.iter().max(), sizes.iter().min());
                prop_assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= 1);
                // What a member gives up is more than its share, and no more than that.
                for (name, had) in &members {
                    let kept = had.iter().filter(|task| shares[name].contains(task)).count();
                    let least = all.len() / members.len();
                    prop_assert!(kept >= had.len().min(least), "{name} keeps {kept} of {had:?}");
                }
                // Once nothing changes, nothing moves.
                prop_assert_eq!(&share(&all, &shares), &shares);
                members = shares;
            }
        }
    }
}
