//! Groups: their members and generations, and the positions that they commit.

use super::codes;
use super::coordinators::{Role, refuses};
use super::serve::{Call, answer, said};
use super::world::World;
use bytes::Bytes;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use suiro_core::Offset;

/// A partition whose position is kept.
pub(crate) type Place = (String, i32);

/// A position, with its note.
pub(crate) type Written = (Offset, String);

/// How far a group is with a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Empty,
    /// Its members join.
    Preparing,
    /// All have joined, and wait for what their leader assigns.
    Completing,
    Stable,
}

/// A group.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) state: State,
    pub(crate) generation: i32,
    pub(crate) members: BTreeMap<String, Member>,
    /// Names that were given out and not used yet.
    pub(crate) expected: BTreeSet<String>,
    pub(crate) leader: String,
    /// Counts the rebalances.
    pub(crate) round: u64,
    /// It waits for more members, since it has just begun.
    pub(crate) is_young: bool,
    pub(crate) positions: BTreeMap<Place, Written>,
    pending: BTreeMap<i64, BTreeMap<Place, Written>>,
    epochs: BTreeMap<i64, i16>,
    /// What another coordinator will find.
    saved: Saved,
}

/// What is kept of a group.
#[derive(Clone, Default)]
struct Saved {
    generation: i32,
    leader: String,
    members: BTreeMap<String, Member>,
}

/// A member of a group.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) metadata: Bytes,
    pub(crate) session: Duration,
    pub(crate) rebalance: Duration,
    /// It waits to hear of the next generation, or of its assignment.
    pub(crate) joining: Option<Call>,
    pub(crate) syncing: Option<Call>,
    pub(crate) assignment: Bytes,
    /// Counts its signs of life.
    pub(crate) beats: u64,
}

impl Group {
    /// Takes positions into a transaction, if its producer is not fenced.
    pub(crate) fn write(
        &mut self,
        (producer, epoch): (i64, i16),
        all: BTreeMap<Place, Written>,
    ) -> bool {
        let known = self.epochs.entry(producer).or_insert(epoch);
        if epoch < *known {
            return false;
        }
        *known = epoch;
        self.pending.entry(producer).or_default().extend(all);
        true
    }

    /// A transaction has ended.
    pub(crate) fn end(&mut self, (producer, epoch): (i64, i16), committed: bool) {
        self.epochs.insert(producer, epoch);
        let pending = self.pending.remove(&producer).unwrap_or_default();
        if committed {
            self.positions.extend(pending);
        }
    }

    /// Whether a position is in a transaction that has not ended.
    pub(crate) fn is_pending(&self, place: &Place) -> bool {
        self.pending.values().any(|all| all.contains_key(place))
    }

    /// What is against a member that names this generation.
    pub(crate) fn check(&self, member: &str, generation: i32) -> i16 {
        match self.state {
            _ if !self.members.contains_key(member) => codes::UNKNOWN_MEMBER_ID,
            _ if self.generation != generation => codes::ILLEGAL_GENERATION,
            State::Preparing => codes::REBALANCE_IN_PROGRESS,
            _ => codes::NONE,
        }
    }

    /// Keeps what another coordinator must find.
    pub(crate) fn save(&mut self) {
        let mut members = self.members.clone();
        members.values_mut().for_each(|it| (it.joining, it.syncing) = (None, None));
        let (generation, leader) = (self.generation, self.leader.clone());
        self.saved = Saved { generation, leader, members };
    }
}

impl World {
    /// A group by its name.
    pub(crate) fn group(&mut self, name: &str) -> &mut Group {
        self.cluster.groups.entry(name.to_owned()).or_default()
    }

    /// A member has shown that it is there.
    pub(crate) fn hear(&mut self, name: &str, member: &str) {
        let Some(known) = self.group(name).members.get_mut(member) else { return };
        known.beats += 1;
        let (beats, session) = (known.beats, known.session);
        let (name, member) = (name.to_owned(), member.to_owned());
        self.after(session, move |world| world.miss(&name, &member, beats));
    }

    /// A member has shown nothing since.
    fn miss(&mut self, name: &str, member: &str, beats: u64) {
        let Some(known) = self.group(name).members.get(member) else { return };
        if known.beats == beats && known.joining.is_none() && known.syncing.is_none() {
            self.happened("member that was silent too long");
            self.note(|| format!("{member} was silent too long"));
            self.expel(name, member);
        }
    }

    /// A member is none any more.
    pub(crate) fn expel(&mut self, name: &str, member: &str) {
        let Some(gone) = self.group(name).members.remove(member) else { return };
        if let Some(call) = gone.joining {
            let response = JoinGroupResponse::default()
                .with_error_code(codes::UNKNOWN_MEMBER_ID)
                .with_generation_id(-1);
            answer::<JoinGroupRequest>(self, call, &response);
        }
        if let Some(call) = gone.syncing {
            let code = codes::UNKNOWN_MEMBER_ID;
            let response = SyncGroupResponse::default().with_error_code(code);
            answer::<SyncGroupRequest>(self, call, &response);
        }
        match self.group(name).state {
            State::Stable | State::Completing => self.rebalance(name),
            State::Preparing => self.try_complete(name),
            State::Empty => {}
        }
    }

    /// Another broker coordinates a group: it finds what was kept of it.
    pub(crate) fn reload_group(&mut self, name: &str) {
        let group = self.group(name);
        let saved = group.saved.clone();
        let before = std::mem::replace(&mut group.members, saved.members);
        group.expected.clear();
        (group.generation, group.leader) = (saved.generation, saved.leader);
        let is_empty = group.members.is_empty();
        group.state = if is_empty { State::Empty } else { State::Stable };
        group.round += 1;
        for member in before.into_values() {
            if let Some(call) = member.joining {
                let code = said::<JoinGroupRequest>(self, "moves", codes::NOT_COORDINATOR);
                let response = JoinGroupResponse::default().with_error_code(code);
                answer::<JoinGroupRequest>(self, call, &response.with_generation_id(-1));
            }
            if let Some(call) = member.syncing {
                let code = said::<SyncGroupRequest>(self, "moves", codes::NOT_COORDINATOR);
                let response = SyncGroupResponse::default().with_error_code(code);
                answer::<SyncGroupRequest>(self, call, &response);
            }
        }
        let members: Vec<String> = self.group(name).members.keys().cloned().collect();
        members.iter().for_each(|member| self.hear(name, member));
    }
}

/// Takes a sign of life.
pub(crate) fn heartbeat(
    world: &mut World,
    call: Call,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let (name, member) = (request.group_id.0.as_str(), request.member_id.as_str());
    let refused = refuses(world, call.node, Role::Group, name);
    let group = world.group(name);
    let code = refused.unwrap_or_else(|| group.check(member, request.generation_id));
    if code == codes::NONE || code == codes::REBALANCE_IN_PROGRESS {
        world.hear(name, member);
    }
    let code = said::<HeartbeatRequest>(world, member, code);
    HeartbeatResponse::default().with_error_code(code)
}

/// Takes members out of a group.
pub(crate) fn leave(
    world: &mut World,
    call: Call,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let name = request.group_id.0.as_str();
    if let Some(code) = refuses(world, call.node, Role::Group, name) {
        let code = said::<LeaveGroupRequest>(world, name, code);
        return LeaveGroupResponse::default().with_error_code(code);
    }
    let mut members = Vec::new();
    for leaving in request.members {
        let member = leaving.member_id.as_str();
        let group = world.group(name);
        let is_member = group.members.contains_key(member) || group.expected.remove(member);
        let code = if is_member { codes::NONE } else { codes::UNKNOWN_MEMBER_ID };
        let code = said::<LeaveGroupRequest>(world, member, code);
        world.expel(name, member);
        world.try_complete(name);
        let response = MemberResponse::default().with_error_code(code);
        members.push(response.with_member_id(leaving.member_id));
    }
    LeaveGroupResponse::default().with_members(members)
}
