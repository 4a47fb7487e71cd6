//! Taking away what a program has left: its group, and its topics.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::coordinators::Coordinated;
use super::metadata;
use super::state::State;
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest, MetadataRequest,
};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Event, Ticket};
use suiro_core::{Error, Result};

/// Asks how many members a group has.
pub(crate) fn members(state: &mut State, ticket: Ticket, group: &str) {
    state.ask(Box::new(Members { ticket, group: group.into() }));
}

/// Removes a group, unless it has members, and then topics.
pub(crate) fn remove(state: &mut State, ticket: Ticket, group: &str, topics: &[Arc<str>]) {
    let topics = topics.to_vec();
    state.ask(Box::new(RemoveGroup { ticket, group: group.into(), topics }));
}

/// The error of a group, and whether it may be another one later.
fn refused(what: &str, group: &Arc<str>, code: i16, state: &mut State) -> (Error, bool) {
    if codes::moves_coordinator(code) {
        state.coordinators.forget(&Coordinated::Group(Arc::clone(group)));
    }
    (codes::error(what, code).with("group", group), codes::is_retriable(code))
}

struct Members {
    ticket: Ticket,
    group: Arc<str>,
}

impl Ask for Members {
    fn api(&self, _: &State) -> Api {
        api::<DescribeGroupsRequest>(5, 5)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.group))
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let groups = vec![words::group(&self.group)];
        encode(&DescribeGroupsRequest::default().with_groups(groups), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<DescribeGroupsRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let Some(group) = response.groups.first() else {
            return Next::Again(self, Error::unavailable("group was left out"));
        };
        let answer = match group.error_code {
            0 => Ok(group.members.len()),
            codes::GROUP_ID_NOT_FOUND => Ok(0),
            code => match refused("members cannot be counted", &self.group, code, state) {
                (error, true) => return Next::Again(self, error),
                (error, false) => Err(error),
            },
        };
        state.events.push(Event::Members(self.ticket, answer));
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(Event::Members(self.ticket, Err(error)));
    }
}

struct RemoveGroup {
    ticket: Ticket,
    group: Arc<str>,
    topics: Vec<Arc<str>>,
}

impl Ask for RemoveGroup {
    fn api(&self, _: &State) -> Api {
        api::<DeleteGroupsRequest>(1, 2)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.group))
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let groups = vec![words::group(&self.group)];
        encode(&DeleteGroupsRequest::default().with_groups_names(groups), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<DeleteGroupsRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let Some(result) = response.results.first() else {
            return Next::Again(self, Error::unavailable("group was left out"));
        };
        match result.error_code {
            // What was removed before, or never was, is as good as removed.
            0 | codes::GROUP_ID_NOT_FOUND => {
                let Self { ticket, topics, .. } = *self;
                match topics.is_empty() {
                    true => state.events.push(Event::Removed(ticket, Ok(()))),
                    false => state.ask(Box::new(RemoveTopics { ticket, topics })),
                }
            }
            code => match refused("group cannot be removed", &self.group, code, state) {
                (error, true) => return Next::Again(self, error),
                (error, false) => self.fail(error, state),
            },
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(Event::Removed(self.ticket, Err(error)));
    }
}

struct RemoveTopics {
    ticket: Ticket,
    topics: Vec<Arc<str>>,
}

impl Ask for RemoveTopics {
    fn api(&self, _: &State) -> Api {
        // From version 6 on topics may have numbers in place of names.
        api::<DeleteTopicsRequest>(4, 5)
    }

    fn target(&self) -> Target {
        // Brokers pass it on to the controller.
        Target::Any
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        let names = self.topics.iter().map(|name| words::topic(name)).collect();
        let request = DeleteTopicsRequest::default()
            .with_topic_names(names)
            .with_timeout_ms(state.settings.request_timeout.as_millis() as i32);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<DeleteTopicsRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        for result in &response.responses {
            let code = result.error_code;
            if code == 0 || code == codes::UNKNOWN_TOPIC_OR_PARTITION {
                continue;
            }
            let mut error = codes::error("topic cannot be removed", code);
            if let Some(name) = &result.name {
                error = error.with("topic", name.0.as_str());
            }
            if codes::is_retriable(code) {
                return Next::Again(self, error);
            }
            self.fail(error, state);
            return Next::Done;
        }
        // Each broker hears of it in its time; who makes the topic anew should not find the old.
        let Self { ticket, topics } = *self;
        state.ask(Box::new(SeeGone { ticket, topics, since: state.now }));
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(Event::Removed(self.ticket, Err(error)));
    }
}

/// Waits until topics are not known any more.
struct SeeGone {
    ticket: Ticket,
    topics: Vec<Arc<str>>,
    since: Duration,
}

/// How often it is looked whether a topic is gone.
const AGAIN: Duration = Duration::from_millis(20);

impl Ask for SeeGone {
    fn api(&self, _: &State) -> Api {
        metadata::VERSIONS
    }

    fn target(&self) -> Target {
        Target::Any
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        encode(&metadata::request(Some(&self.topics)), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<MetadataRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        state.metadata.learn(&response);
        let is_gone = |code: i16| code == codes::UNKNOWN_TOPIC_OR_PARTITION;
        let left = response.topics.iter().find(|topic| !is_gone(topic.error_code));
        if let Some(topic) = left {
            if state.now < self.since + state.settings.api_timeout {
                state.ask_later(self, AGAIN);
                return Next::Done;
            }
            let name = topic.name.as_ref().map_or("", |name| name.0.as_str());
            let error = Error::unavailable("topic was removed and does not go; try again");
            self.fail(error.with("topic", name), state);
            return Next::Done;
        }
        // What was known of the records of these topics is not true of new ones.
        let is_other = |topic: &Arc<str>| !self.topics.contains(topic);
        state.writer.sequences.retain(|partition, _| is_other(&partition.topic));
        state.fetches.retain(|partition| is_other(&partition.topic));
        state.visible.retain(|partition| is_other(&partition.topic));
        state.events.push(Event::Removed(self.ticket, Ok(())));
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(Event::Removed(self.ticket, Err(error)));
    }
}
