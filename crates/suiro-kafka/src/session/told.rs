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

/// Another member, and where it can be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// What the coordinator calls it.
    pub(super) member: String,
    /// Its transactional id.
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u16,
}

/// What a member tells when it joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The tasks that were its own when it last heard, and the generation of that.
    pub(super) generation: i32,
    pub(super) owned: Vec<TaskId>,
    /// Nothing from members that know of no state: their tasks move at once.
    pub(super) offer: Option<Offer>,
    /// Its transactional id, and where it listens, if it does.
    pub(super) name: String,
    pub(super) listens_at: Option<(String, u16)>,
}

fn broken() -> Error {
    let text = "what another member of the group says cannot be read; is the group used by another \
                program, or by a newer version?";
    Error::corrupt(text)
}

/// Writes a list.
fn put_list<T>(out: &mut BytesMut, entries: &[T], put: impl Fn(&mut BytesMut, &T)) {
    out.put_u32(entries.len() as u32);
    entries.iter().for_each(|entry| put(out, entry));
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

fn text(bytes: &mut Bytes) -> Option<String> {
    let length = bytes.try_get_u32().ok()? as usize;
    if bytes.remaining() < length {
        return None;
    }
    String::from_utf8(bytes.split_to(length).to_vec()).ok()
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
        put_list(&mut out, &self.owned, |out, task| put_task(out, *task));
        out.put_u8(u8::from(self.offer.is_some()));
        if let Some(Offer { standbys, stateless, copies }) = &self.offer {
            out.put_u32(*standbys);
            put_list(&mut out, stateless, |out, sub| out.put_u32(*sub));
            put_list(&mut out, copies, |out, (task, lag)| {
                put_task(out, *task);
                out.put_u64(*lag);
            });
        }
        put_text(&mut out, &self.name);
        let (host, port) = self.listens_at.clone().unwrap_or_default();
        put_text(&mut out, &host);
        out.put_u16(port);
        out.freeze()
    }

    pub(super) fn read(bytes: &Bytes) -> Result<Self> {
        let mut bytes = bytes.clone();
        version(&mut bytes)?;
        let generation = bytes.try_get_i32().map_err(|_| broken())?;
        let owned = list(&mut bytes, 8, task)?;
        let offer = match bytes.try_get_u8().map_err(|_| broken())? {
            0 => None,
            _ => Some(read_offer(&mut bytes)?),
        };
        let name = text(&mut bytes).ok_or_else(broken)?;
        let host = text(&mut bytes).ok_or_else(broken)?;
        let port = bytes.try_get_u16().map_err(|_| broken())?;
        let listens_at = (port > 0).then_some((host, port));
        Ok(Self { generation, owned, offer, name, listens_at })
    }
}

fn read_offer(bytes: &mut Bytes) -> Result<Offer> {
    let standbys = bytes.try_get_u32().map_err(|_| broken())?;
    let stateless = list(bytes, 4, |bytes| bytes.try_get_u32().ok())?;
    let copies = list(bytes, 16, |bytes| Some((task(bytes)?, bytes.try_get_u64().ok()?)))?;
    Ok(Offer { standbys, stateless, copies })
}

/// What a member is told: its own tasks with their roles, and who else there is.
pub(super) type Share = (Vec<(TaskId, Role)>, Vec<Peer>);

/// Writes what a member is told.
pub(super) fn write(tasks: &[(TaskId, Role)], peers: &[Peer]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    put_list(&mut out, tasks, |out, (task, role)| {
        put_task(out, *task);
        out.put_u8(match role {
            Role::Standby => 1,
            Role::WarmUp => 2,
            _ => 0,
        });
    });
    put_list(&mut out, peers, |out, Peer { member, name, host, port }| {
        [member, name, host].into_iter().for_each(|part| put_text(out, part));
        out.put_u16(*port);
    });
    out.freeze()
}

/// Reads what another member wrote.
pub(super) fn read(bytes: &Bytes) -> Result<Share> {
    let mut bytes = bytes.clone();
    version(&mut bytes)?;
    let tasks = list(&mut bytes, 9, |bytes| {
        let task = task(bytes)?;
        let role = match bytes.try_get_u8().ok()? {
            0 => Role::Active,
            1 => Role::Standby,
            2 => Role::WarmUp,
            _ => return None,
        };
        Some((task, role))
    })?;
    let peers = list(&mut bytes, 14, |bytes| {
        let (member, name, host) = (text(bytes)?, text(bytes)?, text(bytes)?);
        Some(Peer { member, name, host, port: bytes.try_get_u16().ok()? })
    })?;
    Ok((tasks, peers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u32) -> TaskId {
        TaskId { subtopology: number % 3, partition: number / 3 }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Told::read(&Told::default().write()).unwrap(), Told::default());
        let offer = Offer { standbys: 2, stateless: vec![0, 4], copies: vec![(task(5), 77)] };
        let (owned, name) = (vec![task(1), task(2)], "app-1".to_owned());
        let listens_at = Some(("::1".to_owned(), 4000));
        let offer = Some(offer);
        let told = Told { generation: 9, owned, offer, name: name.clone(), listens_at };
        assert_eq!(Told::read(&told.write()).unwrap(), told);
        let longer = [&told.write()[..], b"more"].concat();
        assert_eq!(Told::read(&longer.into()).unwrap(), told);
        let roles = [Role::Active, Role::Standby, Role::WarmUp];
        let tasks: Vec<_> =
            roles.into_iter().zip(0..).map(|(role, of)| (task(of), role)).collect();
        let peer = Peer { member: "m".to_owned(), name, host: "host".to_owned(), port: 9 };
        let peers = vec![peer.clone(), peer];
        assert_eq!(read(&write(&tasks, &peers)).unwrap(), (tasks, peers));
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
