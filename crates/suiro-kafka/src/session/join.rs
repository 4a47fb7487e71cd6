//! How a member comes into a new generation: all join, one shares the tasks out, all hear of it.

use super::ask::{Answer, Api, Ask, Lane, Next, Target, api, encode};
use super::assignment::share;
use super::member::{Member, Stage, forget_coordinator, rejoin};
use super::state::State;
use super::told::{self, Peer, Told};
use crate::settings::Settings;
use crate::{codes, words};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Partitions;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, JoinGroupRequest,
    SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Event, Generation, Role, TaskId};
use suiro_core::{Error, Result};

/// Kafka's own tools read groups of this type.
const TYPE: &str = "consumer";

/// How this group shares its tasks.
const PROTOCOL: &str = "suiro";

/// The version of the messages in which members' own data are wrapped.
const WRAPPED: i16 = 1;

/// Joins, and waits until all have joined.
pub(super) struct Join {
    pub(super) group: Arc<str>,
}

impl Join {
    fn member<'a>(&self, state: &'a mut State) -> Option<&'a mut Member> {
        state.member.as_mut().filter(|member| member.group == self.group)
    }
}

impl Ask for Join {
    fn api(&self, _: &State) -> Api {
        api::<JoinGroupRequest>(5, 9)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.group))
    }

    fn lane(&self) -> Lane {
        Lane::Group
    }

    fn patience(&self, settings: &Settings) -> Duration {
        settings.rebalance_timeout + settings.request_timeout
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        let (offer, listens_at) = (state.offer.clone(), state.listens_at.clone());
        let name = state.name.to_string();
        let mut told = Told { offer, name, listens_at, ..Told::default() };
        let mut id = StrBytes::new();
        if let Some(member) = self.member(state) {
            (told.generation, told.owned) = (member.owned_in, member.owned.clone());
            id = member.id();
        }
        let told = ConsumerProtocolSubscription::default().with_user_data(Some(told.write()));
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(words::text(PROTOCOL))
            .with_metadata(wrap(&told)?);
        let settings = &state.settings;
        let request = JoinGroupRequest::default()
            .with_group_id(words::group(&self.group))
            .with_session_timeout_ms(settings.session_timeout.as_millis() as i32)
            .with_rebalance_timeout_ms(settings.rebalance_timeout.as_millis() as i32)
            .with_member_id(id)
            .with_protocol_type(words::text(TYPE))
            .with_protocols(vec![protocol]);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<JoinGroupRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let reads = state.reads.clone();
        let Some(member) = self.member(state) else { return Next::Done };
        let code = response.error_code;
        if code == codes::MEMBER_ID_REQUIRED {
            member.id = response.member_id;
            state.ask(self);
            return Next::Done;
        }
        if code == codes::UNKNOWN_MEMBER_ID || code == codes::ILLEGAL_GENERATION {
            rejoin(state, code);
            return Next::Done;
        }
        if code != 0 {
            let error = codes::error("group cannot be joined", code).with("group", &self.group);
            if codes::is_retriable(code) || code == codes::REBALANCE_IN_PROGRESS {
                forget_coordinator(state, &self.group, code);
                return Next::Again(self, error);
            }
            self.fail(error, state);
            return Next::Done;
        }
        member.id = response.member_id.clone();
        member.generation = response.generation_id;
        let assignments = match response.leader == response.member_id {
            true => assign(&member.tasks, &reads, &response.members),
            false => Ok(Vec::new()),
        };
        match assignments {
            Ok(assignments) => {
                let (group, id) = (Arc::clone(&self.group), member.id());
                let generation = member.generation;
                state.ask(Box::new(Sync { group, id, generation, assignments }));
            }
            Err(error) => self.fail(error, state),
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.member = None;
        state.events.push(Event::Refused(error));
    }
}

/// The partitions that tasks read, as consumers of all kinds are told theirs. Members go by their
/// tasks; this is for those who look at the group from outside.
fn partitions(tasks: &[(TaskId, Role)], reads: &[(u32, Arc<str>)]) -> Vec<Partitions> {
    let active = tasks.iter().filter(|(_, role)| *role == Role::Active);
    let read = active.flat_map(|(task, _)| {
        let topics = reads.iter().filter(|(sub, _)| *sub == task.subtopology);
        topics.map(|(_, topic)| (&**topic, task.partition as i32))
    });
    words::by_topic(read, |topic, partitions| {
        Partitions::default().with_topic(topic).with_partitions(partitions)
    })
}

/// Shares the tasks among all who joined.
fn assign(
    tasks: &[TaskId],
    reads: &[(u32, Arc<str>)],
    members: &[JoinGroupResponseMember],
) -> Result<Vec<SyncGroupRequestAssignment>> {
    let mut had = BTreeMap::new();
    for member in members {
        let told: ConsumerProtocolSubscription = unwrap(&member.metadata)?;
        let told =
            told.user_data.map_or_else(|| Ok(Told::default()), |data| Told::read(&data))?;
        had.insert(member.member_id.to_string(), told);
    }
    let peers: Vec<Peer> = had
        .iter()
        .filter_map(|(member, Told { name, listens_at, .. })| {
            let ((host, port), member) = (listens_at.clone()?, member.clone());
            Some(Peer { member, name: name.clone(), host, port })
        })
        .collect();
    let shares = share(tasks, &had).into_iter().map(|(member, tasks)| {
        let others: Vec<Peer> =
            peers.iter().filter(|peer| peer.member != member).cloned().collect();
        let told = Some(told::write(&tasks, &others));
        let told = ConsumerProtocolAssignment::default()
            .with_assigned_partitions(partitions(&tasks, reads))
            .with_user_data(told);
        Ok(SyncGroupRequestAssignment::default()
            .with_member_id(words::text(&member))
            .with_assignment(wrap(&told)?))
    });
    shares.collect()
}

/// Hears which tasks are its own.
struct Sync {
    group: Arc<str>,
    id: StrBytes,
    generation: i32,
    assignments: Vec<SyncGroupRequestAssignment>,
}

impl Ask for Sync {
    fn api(&self, _: &State) -> Api {
        api::<SyncGroupRequest>(3, 5)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.group))
    }

    fn lane(&self) -> Lane {
        Lane::Group
    }

    fn patience(&self, settings: &Settings) -> Duration {
        settings.rebalance_timeout
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let mut request = SyncGroupRequest::default()
            .with_group_id(words::group(&self.group))
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_assignments(self.assignments.clone());
        if version >= 5 {
            request = request
                .with_protocol_type(Some(words::text(TYPE)))
                .with_protocol_name(Some(words::text(PROTOCOL)));
        }
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<SyncGroupRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let now = state.now;
        let is_it =
            |member: &&mut Member| member.id == self.id && member.generation == self.generation;
        let Some(member) = state.member.as_mut().filter(is_it) else { return Next::Done };
        let code = response.error_code;
        if code != 0 {
            if codes::moves_coordinator(code) {
                forget_coordinator(state, &self.group, code);
                return Next::Again(self, codes::error("group cannot be followed", code));
            }
            rejoin(state, code);
            return Next::Done;
        }
        let told = unwrap::<ConsumerProtocolAssignment>(&response.assignment);
        let tasks = told.and_then(|told| {
            told.user_data.map_or_else(|| Ok(Default::default()), |data| told::read(&data))
        });
        match tasks {
            Ok((tasks, peers)) => {
                (member.stage, member.beaten) = (Stage::Stable, now);
                let generation = member.generation;
                member.is_told(&tasks, generation);
                let generation = Generation(u64::from(generation.unsigned_abs()));
                state.told_peers = Some(peers);
                state.events.push(Event::Assigned(generation, tasks));
            }
            Err(error) => self.fail(error, state),
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.member = None;
        state.events.push(Event::Refused(error));
    }
}

/// A message behind its version, as consumers of all kinds write it.
fn wrap(message: &impl Encodable) -> Result<Bytes> {
    let mut out = BytesMut::new();
    out.put_i16(WRAPPED);
    message.encode(&mut out, WRAPPED).map_err(|error| {
        Error::invalid("tasks cannot be written").caused_by(error.into_boxed_dyn_error())
    })?;
    Ok(out.freeze())
}

fn unwrap<T: Decodable + Default>(bytes: &Bytes) -> Result<T> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    let broken = || {
        let text = "what another member of the group says cannot be read; is the group used by \
                    another program?";
        Error::invalid(text)
    };
    let mut bytes = bytes.clone();
    let version = bytes.try_get_i16().map_err(|_| broken())?;
    T::decode(&mut bytes, version.clamp(0, 3))
        .map_err(|error| broken().caused_by(error.into_boxed_dyn_error()))
}
