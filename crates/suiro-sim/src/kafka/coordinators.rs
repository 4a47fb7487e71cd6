//! Which broker coordinates a group, or the transactions of a producer.

use super::codes;
use super::fault::Fault;
use super::serve::{Call, said};
use super::wires::address;
use super::world::World;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use std::time::Duration;

/// What is coordinated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Group,
    Transactions,
}

/// Who coordinates.
pub(crate) struct Seat {
    pub(crate) node: i32,
    /// It knows nothing yet.
    loading_until: Duration,
}

/// Says who coordinates.
pub(crate) fn find(
    world: &mut World,
    _: Call,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let role = if request.key_type == 0 { Role::Group } else { Role::Transactions };
    let mut found = Vec::new();
    for key in request.coordinator_keys {
        let node = seat(world, role, &key).node;
        let code = match world.cluster.is_up(node) {
            true => codes::NONE,
            false => codes::COORDINATOR_NOT_AVAILABLE,
        };
        let code = said::<FindCoordinatorRequest>(world, &key, code);
        let (host, port) = address(node);
        let coordinator = Coordinator::default().with_key(key).with_error_code(code);
        found.push(
            coordinator
                .with_node_id(node.into())
                .with_host(StrBytes::from_string(host))
                .with_port(i32::from(port)),
        );
    }
    FindCoordinatorResponse::default().with_coordinators(found)
}

fn seat<'a>(world: &'a mut World, role: Role, name: &str) -> &'a Seat {
    let drawn = world.some_broker();
    let seats = &mut world.cluster.seats;
    let loading_until = Duration::ZERO;
    seats.entry((role, name.to_owned())).or_insert(Seat { node: drawn, loading_until })
}

/// Why a broker does not coordinate this, if it does not.
pub(crate) fn refuses(world: &mut World, node: i32, role: Role, name: &str) -> Option<i16> {
    let rate = world.case.rate;
    let fault = match role {
        Role::Group => Fault::GroupMoves,
        Role::Transactions => Fault::TransactionsMove,
    };
    if world.strikes(fault, rate * 4) {
        world.move_seat(role, name);
    }
    let now = world.now;
    let seat = seat(world, role, name);
    match seat.node == node {
        false => Some(codes::NOT_COORDINATOR),
        true if seat.loading_until > now => Some(codes::COORDINATOR_LOAD_IN_PROGRESS),
        true => None,
    }
}

impl World {
    /// Another broker coordinates, and has to load first what it must know.
    pub(crate) fn move_seat(&mut self, role: Role, name: &str) {
        let node = self.some_broker();
        let loading_until = self.now + self.between(0, 200);
        self.cluster.seats.insert((role, name.to_owned()), Seat { node, loading_until });
        self.note(|| format!("{role:?} {name} is coordinated by {node}"));
        if role == Role::Group {
            self.reload_group(name);
        }
    }
}
