//! A member of a group: it joins, says that it is there, follows the group's changes, and
//! leaves.

use super::ask::{Answer, Api, Ask, Lane, Next, Target, api, encode};
use super::assignment::CAUGHT_UP;
use super::coordinators::Coordinated;
use super::join::Join;
use super::state::State;
use crate::settings::Settings;
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{HeartbeatRequest, LeaveGroupRequest};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Event, Fence, Generation, Offer, Role, TaskId};
use suiro_core::{Error, Result};

/// What a session is in its group.
pub(crate) struct Member {
    pub(super) group: Arc<str>,
    /// All tasks of the group.
    pub(super) tasks: Vec<TaskId>,
    /// Those that are its own.
    pub(super) owned: Vec<TaskId>,
    /// The generation in which they were.
    pub(super) owned_in: i32,
    /// Those that it warms up, and those of them of which it has said that it is as far.
    warming: BTreeSet<TaskId>,
    warmed: BTreeSet<TaskId>,
    /// What the coordinator calls it; empty before it was given a name.
    pub(super) id: StrBytes,
    pub(super) generation: i32,
    pub(super) stage: Stage,
    pub(super) beaten: Duration,
}

/// How far a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It joins as soon as no commit is under way: those of its generation are let through.
    Wanting,
    /// It waits for the others.
    Joining,
    Stable,
    /// A heartbeat is under way.
    Beating,
}

impl Stage {
    /// Whether it has heard of its newest assignment.
    fn is_settled(self) -> bool {
        matches!(self, Self::Stable | Self::Beating)
    }
}

impl Member {
    pub(crate) fn id(&self) -> StrBytes {
        self.id.clone()
    }

    /// It hears which tasks are its own in a generation.
    pub(super) fn is_told(&mut self, tasks: &[(TaskId, Role)], generation: i32) {
        (self.generation, self.owned_in) = (generation, generation);
        let of =
            |role: Role| tasks.iter().filter(move |(_, of)| *of == role).map(|(task, _)| *task);
        self.owned = of(Role::Active).collect();
        self.warming = of(Role::WarmUp).collect();
        self.warmed = self.warmed.intersection(&self.warming).copied().collect();
    }

    /// When it must say again that it is there.
    pub(crate) fn due(&self, settings: &Settings) -> Option<Duration> {
        (self.stage == Stage::Stable).then_some(self.beaten + settings.heartbeat_interval)
    }
}

/// Joins a group, in place of one that was joined before.
pub(crate) fn join(state: &mut State, group: &str, tasks: &[TaskId]) {
    if state.member.is_some() {
        leave(state);
    }
    state.member = Some(Member {
        group: group.into(),
        tasks: tasks.to_vec(),
        owned: Vec::new(),
        owned_in: -1,
        warming: BTreeSet::new(),
        warmed: BTreeSet::new(),
        id: StrBytes::new(),
        generation: -1,
        stage: Stage::Wanting,
        beaten: state.now,
    });
}

/// Keeps what it will tell of copies when it joins. If it is as far now with what it warms up, it
/// joins again, so that the task may come here; it says so once.
pub(crate) fn offer(state: &mut State, offer: Offer) {
    if let Some(member) = &mut state.member
        && member.stage.is_settled()
    {
        let is_new = |(task, lag): &&(TaskId, u64)| {
            *lag <= CAUGHT_UP && member.warming.contains(task) && !member.warmed.contains(task)
        };
        let ready: Vec<TaskId> =
            offer.copies.iter().filter(is_new).map(|(task, _)| *task).collect();
        if !ready.is_empty() {
            member.warmed.extend(ready);
            member.stage = Stage::Wanting;
        }
    }
    state.offer = Some(offer);
}

/// The group changes: joins again, so that nobody has to wait for it.
fn join_again(state: &mut State) {
    if let Some(member) = &mut state.member
        && member.stage.is_settled()
    {
        member.stage = Stage::Wanting;
    }
}

/// Leaves the group; the others take over at once.
pub(crate) fn leave(state: &mut State) {
    let Some(member) = state.member.take() else { return };
    if !member.id.is_empty() {
        state.leaving += 1;
        let (group, id, is_other) = (member.group, member.id, false);
        state.ask(Box::new(Leave { group, id, is_other }));
    }
}

/// Whether a group has not heard yet that this member leaves.
pub(crate) fn is_leaving(state: &State) -> bool {
    state.leaving > 0
}

/// Says that it is there, or joins again.
pub(crate) fn tick(state: &mut State) {
    let interval = state.settings.heartbeat_interval;
    let committing = state.writer.is_committing();
    let Some(member) = &mut state.member else { return };
    let group = Arc::clone(&member.group);
    match member.stage {
        Stage::Wanting if !committing => {
            member.stage = Stage::Joining;
            state.ask(Box::new(Join { group }));
        }
        Stage::Stable if state.now >= member.beaten + interval => {
            (member.stage, member.beaten) = (Stage::Beating, state.now);
            let (generation, id) = (member.generation, member.id());
            state.ask(Box::new(Heartbeat { group, generation, id }));
        }
        _ => {}
    }
}

/// Something is wrong with the membership: it joins again, under its name if it may.
pub(super) fn rejoin(state: &mut State, code: i16) {
    let Some(member) = &mut state.member else { return };
    member.stage = Stage::Wanting;
    if code == codes::UNKNOWN_MEMBER_ID {
        member.id = StrBytes::new();
        // The group has gone on without it: nothing that it had is its own any more.
        if let Some(offer) = &mut state.offer {
            offer.copies.clear();
        }
        if !std::mem::take(&mut member.owned).is_empty() {
            let generation = Generation(u64::from(member.generation.unsigned_abs()));
            state.events.push(Event::Assigned(generation, Vec::new()));
        }
    }
}

/// A commit was fenced: if that was under the newest generation that is known here, the group
/// has gone on without this member, and it joins again.
pub(super) fn doubt(state: &mut State, fence: &Fence, code: i16) {
    let newest =
        state.member.as_ref().map(|member| u64::from(member.generation.unsigned_abs()));
    let settled = state.member.as_ref().is_some_and(|member| member.stage != Stage::Joining);
    if settled && newest == fence.generation.map(|generation| generation.0) {
        rejoin(state, code);
    }
}

/// Whoever was fenced asks for an assignment that is valid now. One that is newer than what was
/// fenced has been told already, or is on its way; otherwise it was not the group that fenced,
/// and the member joins again.
pub(crate) fn renew(state: &mut State) {
    let fenced = state.writer.fenced_under();
    let Some(member) = &mut state.member else { return };
    let stays = member.stage.is_settled();
    let newest = u64::from(member.generation.unsigned_abs());
    if stays && fenced.is_none_or(|fenced| fenced.0 >= newest) {
        rejoin(state, 0);
    }
}

/// Whoever coordinates the group may be another broker now.
pub(super) fn forget_coordinator(state: &mut State, group: &Arc<str>, code: i16) {
    if codes::moves_coordinator(code) {
        state.coordinators.forget(&Coordinated::Group(Arc::clone(group)));
    }
}

struct Heartbeat {
    group: Arc<str>,
    generation: i32,
    id: StrBytes,
}

impl Ask for Heartbeat {
    fn api(&self, _: &State) -> Api {
        api::<HeartbeatRequest>(3, 4)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.group))
    }

    fn lane(&self) -> Lane {
        Lane::Group
    }

    fn patience(&self, settings: &Settings) -> Duration {
        settings.session_timeout / 3
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let request = HeartbeatRequest::default()
            .with_group_id(words::group(&self.group))
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone());
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let is_it =
            |member: &&mut Member| member.id == self.id && member.stage == Stage::Beating;
        let Some(member) = state.member.as_mut().filter(is_it) else { return Next::Done };
        member.stage = Stage::Stable;
        let response = match answer.and_then(Answer::decode::<HeartbeatRequest>) {
            Ok(response) => response,
            Err(error) => {
                member.stage = Stage::Beating;
                return Next::Again(self, error);
            }
        };
        match response.error_code {
            0 => {}
            code if codes::is_retriable(code) && code != codes::REBALANCE_IN_PROGRESS => {
                member.stage = Stage::Beating;
                forget_coordinator(state, &self.group, code);
                return Next::Again(self, codes::error("no sign of life is taken", code));
            }
            code => rejoin(state, code),
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        tracing::warn!(error = %error.report(), group = &*self.group, "joining the group again");
        rejoin(state, 0);
    }
}

/// A member leaves the group: this one, or one that is dead.
pub(super) struct Leave {
    pub(super) group: Arc<str>,
    pub(super) id: StrBytes,
    /// It is another one that is dead: the group changes, and this one joins again.
    pub(super) is_other: bool,
}

impl Ask for Leave {
    fn api(&self, _: &State) -> Api {
        api::<LeaveGroupRequest>(3, 5)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.group))
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let member = MemberIdentity::default().with_member_id(self.id.clone());
        let request = LeaveGroupRequest::default()
            .with_group_id(words::group(&self.group))
            .with_members(vec![member]);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<LeaveGroupRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        if codes::moves_coordinator(response.error_code) {
            forget_coordinator(state, &self.group, response.error_code);
            let error = codes::error("group cannot be left", response.error_code);
            return Next::Again(self, error);
        }
        match self.is_other {
            // Who was there first has done it; the group changes all the same.
            true => join_again(state),
            false => state.leaving -= 1,
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        // The session time-out does it then.
        tracing::warn!(error = %error.report(), group = &*self.group, "group cannot be left");
        state.leaving -= usize::from(!self.is_other);
    }
}
