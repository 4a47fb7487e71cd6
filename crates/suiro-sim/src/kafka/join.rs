//! How a group comes to a new generation: all its members join.

use super::codes;
use super::coordinators::{Role, refuses};
use super::group::{Member, State};
use super::serve::{Call, answer, said};
use super::world::World;
use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;
use std::time::Duration;

/// The type of groups, and how they share their tasks.
pub(crate) const WORDS: [&str; 2] = ["consumer", "suiro"];

/// Joins; the answer comes when all have.
pub(crate) fn join(world: &mut World, call: Call, request: JoinGroupRequest) {
    let name = request.group_id.0.as_str();
    let member = request.member_id.as_str();
    if let Some(code) = refuses(world, call.node, Role::Group, name) {
        return refuse(world, call, member, code);
    }
    if member.is_empty() {
        world.cluster.members += 1;
        let given = format!("member-{}", world.cluster.members);
        world.group(name).expected.insert(given.clone());
        let (group, member) = (name.to_owned(), given.clone());
        let session = millis(request.session_timeout_ms);
        world.after(session, move |world| {
            if world.group(&group).expected.remove(&member) {
                world.try_complete(&group);
            }
        });
        return refuse(world, call, &given, codes::MEMBER_ID_REQUIRED);
    }
    let metadata = request.protocols.first().map_or_else(Bytes::new, |it| it.metadata.clone());
    let group = world.group(name);
    if group.expected.remove(member) {
        let new = Member {
            metadata,
            session: millis(request.session_timeout_ms),
            rebalance: millis(request.rebalance_timeout_ms),
            joining: Some(call),
            syncing: None,
            assignment: Bytes::new(),
            beats: 0,
        };
        group.members.insert(member.to_owned(), new);
        return rebalance_or_wait(world, name);
    }
    let (state, is_leader) = (group.state, group.leader == member);
    let Some(known) = group.members.get_mut(member) else {
        return refuse(world, call, member, codes::UNKNOWN_MEMBER_ID);
    };
    let is_same = known.metadata == metadata;
    let stays = match state {
        State::Completing => is_same,
        State::Stable => is_same && !is_leader,
        _ => false,
    };
    if stays {
        return joined(world, name, member, call);
    }
    known.metadata = metadata;
    // Who asks twice has given up waiting for the first answer.
    known.joining = Some(call);
    rebalance_or_wait(world, name);
}

fn millis(number: i32) -> Duration {
    Duration::from_millis(u64::from(number.unsigned_abs()))
}

fn refuse(world: &mut World, call: Call, member: &str, code: i16) {
    let code = said::<JoinGroupRequest>(world, member, code);
    let response = JoinGroupResponse::default()
        .with_error_code(code)
        .with_generation_id(-1)
        .with_member_id(StrBytes::from_string(member.to_owned()));
    answer::<JoinGroupRequest>(world, call, &response);
}

fn rebalance_or_wait(world: &mut World, name: &str) {
    match world.group(name).state {
        State::Preparing => world.try_complete(name),
        _ => world.rebalance(name),
    }
}

impl World {
    /// All members must join again.
    pub(crate) fn rebalance(&mut self, name: &str) {
        super::sync::interrupt(self, name);
        let first_delay = self.case.first_delay;
        let group = self.group(name);
        group.is_young = group.state == State::Empty && !first_delay.is_zero();
        group.state = State::Preparing;
        group.round += 1;
        let round = group.round;
        let longest = group.members.values().map(|member| member.rebalance).max();
        let wait = if group.is_young { first_delay } else { longest.unwrap_or_default() };
        self.happened("rebalance");
        let owned = name.to_owned();
        self.after(wait, move |world| {
            let group = world.group(&owned);
            if group.round == round && group.state == State::Preparing {
                world.complete_join(&owned);
            }
        });
        self.try_complete(name);
    }

    /// If all have joined, the next generation begins.
    pub(crate) fn try_complete(&mut self, name: &str) {
        let group = self.group(name);
        let waits = group.is_young || !group.expected.is_empty();
        let all = group.members.values().all(|member| member.joining.is_some());
        if group.state == State::Preparing && !waits && all {
            self.complete_join(name);
        }
    }

    fn complete_join(&mut self, name: &str) {
        let group = self.group(name);
        group.is_young = false;
        group.members.retain(|_, member| member.joining.is_some());
        group.generation += 1;
        group.round += 1;
        let Some(first) = group.members.keys().next().cloned() else {
            group.state = State::Empty;
            return group.save();
        };
        if !group.members.contains_key(&group.leader) {
            group.leader = first;
        }
        group.state = State::Completing;
        let (generation, round) = (group.generation, group.round);
        let members = group.members.iter_mut();
        let calls = members.map(|(member, it)| {
            it.assignment = Bytes::new();
            (member.clone(), it.joining.take())
        });
        let calls: Vec<_> = calls.collect();
        let longest = group.members.values().map(|member| member.rebalance).max();
        self.note(|| format!("{name} begins generation {generation} of {}", calls.len()));
        for (member, call) in calls {
            if let Some(call) = call {
                joined(self, name, &member, call);
            }
            self.hear(name, &member);
        }
        let name = name.to_owned();
        self.after(longest.unwrap_or_default(), move |world| {
            let group = world.group(&name);
            if group.round == round && group.state == State::Completing {
                let silent = group.members.iter().filter(|(_, it)| it.syncing.is_none());
                let silent: Vec<String> = silent.map(|(member, _)| member.clone()).collect();
                silent.iter().for_each(|member| world.expel(&name, member));
            }
        });
    }
}

/// A member hears of a generation; its leader hears of all.
fn joined(world: &mut World, name: &str, member: &str, call: Call) {
    let group = world.group(name);
    let generation = group.generation;
    let leader = group.leader.clone();
    let mut members = Vec::new();
    if leader == member {
        for (member, it) in &group.members {
            let told = JoinGroupResponseMember::default().with_metadata(it.metadata.clone());
            members.push(told.with_member_id(StrBytes::from_string(member.clone())));
        }
    }
    let code = said::<JoinGroupRequest>(world, member, codes::NONE);
    let [kind, protocol] = WORDS.map(|word| Some(StrBytes::from_static_str(word)));
    let response = JoinGroupResponse::default()
        .with_error_code(code)
        .with_generation_id(generation)
        .with_protocol_type(kind.filter(|_| call.version >= 7))
        .with_protocol_name(protocol)
        .with_leader(StrBytes::from_string(leader))
        .with_member_id(StrBytes::from_string(member.to_owned()))
        .with_members(members);
    answer::<JoinGroupRequest>(world, call, &response);
}
