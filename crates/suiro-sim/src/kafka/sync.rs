//! How members hear of their assignment: from their leader, through the coordinator.

use super::codes;
use super::coordinators::{Role, refuses};
use super::group::State;
use super::join::WORDS;
use super::serve::{Call, answer, said};
use super::world::World;
use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;

/// Waits for an assignment, or brings all of them.
pub(crate) fn sync(world: &mut World, call: Call, request: SyncGroupRequest) {
    let (name, member) = (request.group_id.0.as_str(), request.member_id.as_str());
    let refused = refuses(world, call.node, Role::Group, name);
    let group = world.group(name);
    let code = refused.unwrap_or_else(|| group.check(member, request.generation_id));
    if code != codes::NONE {
        return tell(world, member, call, (code, Bytes::new()));
    }
    if group.state == State::Stable {
        let assignment = group.members[member].assignment.clone();
        tell(world, member, call, (codes::NONE, assignment));
        return world.hear(name, member);
    }
    let waiting = group.members.get_mut(member).expect("it is a member");
    waiting.syncing = Some(call);
    if group.leader != member {
        return;
    }
    for told in &request.assignments {
        if let Some(member) = group.members.get_mut(told.member_id.as_str()) {
            member.assignment = told.assignment.clone();
        }
    }
    group.state = State::Stable;
    group.save();
    let members = group.members.iter_mut();
    let told =
        members.map(|(member, it)| (member.clone(), it.syncing.take(), it.assignment.clone()));
    let told: Vec<_> = told.collect();
    for (member, call, assignment) in told {
        if let Some(call) = call {
            tell(world, &member, call, (codes::NONE, assignment));
            world.hear(name, &member);
        }
    }
}

/// Members that wait for their assignment must join again.
pub(crate) fn interrupt(world: &mut World, name: &str) {
    let members = world.group(name).members.iter_mut();
    let calls: Vec<_> =
        members.filter_map(|(member, it)| Some((member.clone(), it.syncing.take()?))).collect();
    for (member, call) in calls {
        tell(world, &member, call, (codes::REBALANCE_IN_PROGRESS, Bytes::new()));
        world.hear(name, &member);
    }
}

fn tell(world: &mut World, member: &str, call: Call, (code, assignment): (i16, Bytes)) {
    let code = said::<SyncGroupRequest>(world, member, code);
    let mut response = SyncGroupResponse::default().with_error_code(code);
    if call.version >= 5 {
        let [kind, protocol] = WORDS.map(|word| Some(StrBytes::from_static_str(word)));
        response = response.with_protocol_type(kind).with_protocol_name(protocol);
    }
    answer::<SyncGroupRequest>(world, call, &response.with_assignment(assignment));
}
