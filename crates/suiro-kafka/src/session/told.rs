//! What members of a group tell each other: in their own words, inside of Kafka's messages.
//!
//! A member tells which tasks it ran, since which generation, and which copies it has; it is told
//! which tasks are its own now, each with a role.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use suiro_core::broker::{Offer, Role, TaskId};
use suiro_core::{Error, Result};

/// The version of what members tell each other. A reader takes what it knows, and passes over what
/// a newer version has added at the end.
const VERSION: u8 = 2;

/// What a member tells when it joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The newest generation that it knows, and the tasks that were its own in that.
    pub(super) generation: i32,
    pub(super) owned: Vec<TaskId>,
    pub(super) offer: Offer,
}

fn broken() -> Error {
    let text = "what another member of the group says cannot be read; is the group used by another \
                program, or by a newer version?";
    Error::corrupt(text)
}

fn put_tasks(out: &mut BytesMut, tasks: &[TaskId]) {
    out.put_u32(tasks.len() as u32);
    for task in tasks {
        put_task(out, *task);
    }
}

fn put_task(out: &mut BytesMut, task: TaskId) {
    out.put_u32(task.subtopology);
    out.put_u32(task.partition);
}

/// Reads a list, each entry of which has so many bytes at least.
fn list<T>(
    bytes: &mut Bytes,
    least: usize,
    mut entry: impl FnMut(&mut Bytes) -> Option<T>,
) -> Result<Vec<T>> {
    let count = bytes.try_get_u32().map_err(|_| broken())? as usize;
    if bytes.remaining() < count.saturating_mul(least) {
        return Err(broken().with("count", count));
    }
    (0..count).map(|_| entry(bytes).ok_or_else(broken)).collect()
}

fn task(bytes: &mut Bytes) -> Option<TaskId> {
    let (subtopology, partition) = (bytes.try_get_u32().ok()?, bytes.try_get_u32().ok()?);
    Some(TaskId { subtopology, partition })
}

fn version(bytes: &mut Bytes) -> Result<()> {
    match bytes.try_get_u8() {
        Ok(version) if version >= VERSION => Ok(()),
        Ok(version) => Err(broken().with("version", version)),
        Err(_) => Err(broken()),
    }
}

impl Told {
    pub(super) fn write(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        out.put_i32(self.generation);
        put_tasks(&mut out, &self.owned);
        out.put_u32(self.offer.standbys);
        out.put_u32(self.offer.stateless.len() as u32);
        self.offer.stateless.iter().for_each(|sub| out.put_u32(*sub));
        out.put_u32(self.offer.copies.len() as u32);
        for (task, lag) in &self.offer.copies {
            put_task(&mut out, *task);
            out.put_u64(*lag);
        }
        out.freeze()
    }

    pub(super) fn read(bytes: &Bytes) -> Result<Self> {
        let mut bytes = bytes.clone();
        version(&mut bytes)?;
        let generation = bytes.try_get_i32().map_err(|_| broken())?;
        let owned = list(&mut bytes, 8, task)?;
        let standbys = bytes.try_get_u32().map_err(|_| broken())?;
        let stateless = list(&mut bytes, 4, |bytes| bytes.try_get_u32().ok())?;
        let copies =
            list(&mut bytes, 16, |bytes| Some((task(bytes)?, bytes.try_get_u64().ok()?)))?;
        let offer = Offer { standbys, stateless, copies };
        Ok(Self { generation, owned, offer })
    }
}

/// Tasks with their roles, as a member is told of its own.
pub(super) fn write(tasks: &[(TaskId, Role)]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    out.put_u32(tasks.len() as u32);
    for (task, role) in tasks {
        put_task(&mut out, *task);
        out.put_u8(match role {
            Role::Standby => 1,
            Role::WarmUp => 2,
            _ => 0,
        });
    }
    out.freeze()
}

/// Reads what another member wrote.
pub(super) fn read(bytes: &Bytes) -> Result<Vec<(TaskId, Role)>> {
    let mut bytes = bytes.clone();
    version(&mut bytes)?;
    list(&mut bytes, 9, |bytes| {
        let task = task(bytes)?;
        let role = match bytes.try_get_u8().ok()? {
            0 => Role::Active,
            1 => Role::Standby,
            2 => Role::WarmUp,
            _ => return None,
        };
        Some((task, role))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u32) -> TaskId {
        TaskId { subtopology: number % 3, partition: number / 3 }
    }

    #[test]
    fn what_is_written_is_read() {
        let offer = Offer { standbys: 2, stateless: vec![0, 4], copies: vec![(task(5), 77)] };
        let told = Told { generation: 9, owned: vec![task(1), task(2)], offer };
        assert_eq!(Told::read(&told.write()).unwrap(), told);
        let longer = [&told.write()[..], b"more"].concat();
        assert_eq!(Told::read(&longer.into()).unwrap(), told);
        let roles = [Role::Active, Role::Standby, Role::WarmUp];
        let tasks: Vec<_> =
            roles.into_iter().zip(0..).map(|(role, of)| (task(of), role)).collect();
        assert_eq!(read(&write(&tasks)).unwrap(), tasks);
    }

    #[test]
    fn what_is_broken_is_refused() {
        let whole = Told { owned: vec![task(1)], ..Told::default() }.write();
        for length in 0..whole.len() {
            assert!(Told::read(&whole.slice(..length)).is_err(), "{length}");
        }
        for broken in [&[][..], &[1, 0, 0, 0, 0], &[2, 0, 0, 0, 9, 1], &[2, 0, 0, 0, 1, 0]] {
            assert!(read(&Bytes::copy_from_slice(broken)).is_err());
        }
    }
}
