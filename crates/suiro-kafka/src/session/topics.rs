//! Describing and creating topics.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::state::State;
use super::{configs, metadata};
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Cleanup, Event, Ticket, TopicSpec};
use suiro_core::{Error, Result};

/// Asks which topics exist; none named asks for all.
pub(crate) fn describe(state: &mut State, ticket: Ticket, topics: &[Arc<str>]) {
    let wanted = (!topics.is_empty()).then(|| topics.to_vec());
    state.ask(Box::new(Describe { wanted, then: Then::Tell(ticket) }));
}

/// Creates topics, and waits until they are known.
pub(crate) fn create(state: &mut State, ticket: Ticket, topics: Vec<TopicSpec>) {
    state.ask(Box::new(Create { ticket, topics }));
}

/// What is done with what was found.
enum Then {
    /// It is told.
    Tell(Ticket),
    /// It is held against what was to be created.
    Compare(Ticket, Vec<TopicSpec>, Duration),
}

struct Describe {
    wanted: Option<Vec<Arc<str>>>,
    then: Then,
}

impl Ask for Describe {
    fn api(&self, _: &State) -> Api {
        metadata::VERSIONS
    }

    fn target(&self) -> Target {
        Target::Any
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        encode(&metadata::request(self.wanted.as_deref()), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<MetadataRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        state.metadata.learn(&response);
        let mut found = Vec::new();
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            // Without a leader yet it exists all the same.
            let code = topic.error_code;
            if code == codes::UNKNOWN_TOPIC_OR_PARTITION || code == UNKNOWN_NAME {
                continue;
            }
            if code != 0 {
                let error = codes::error("topic cannot be described", code);
                let error = error.with("topic", name.0.as_str());
                if codes::is_retriable(code) {
                    return Next::Again(self, error);
                }
                self.fail(error, state);
                return Next::Done;
            }
            if self.wanted.is_some() || !topic.is_internal {
                let partitions = topic.partitions.len() as u32;
                let (name, cleanup) = (name.0.as_str().into(), Cleanup::Keep);
                found.push(TopicSpec { name, partitions, cleanup });
            }
        }
        if let Some(wanted) = &self.wanted {
            let place = |spec: &TopicSpec| wanted.iter().position(|name| *name == spec.name);
            found.sort_by_key(place);
        }
        match self.then {
            Then::Tell(ticket) if found.is_empty() => {
                state.events.push(Event::Topics(ticket, Ok(found)));
            }
            Then::Tell(ticket) => configs::complete(state, ticket, found),
            Then::Compare(ticket, wanted, since) => {
                compare(ticket, (wanted, since), &found, state);
            }
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(match self.then {
            Then::Tell(ticket) => Event::Topics(ticket, Err(error)),
            Then::Compare(ticket, ..) => Event::Created(ticket, Err(error)),
        });
    }
}

/// A name that no topic may have belongs to no topic.
const UNKNOWN_NAME: i16 = 17;

struct Create {
    ticket: Ticket,
    topics: Vec<TopicSpec>,
}

impl Ask for Create {
    fn api(&self, _: &State) -> Api {
        api::<CreateTopicsRequest>(5, 7)
    }

    fn target(&self) -> Target {
        // Brokers pass it on to the controller.
        Target::Any
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        let topic = |spec: &TopicSpec| {
            CreatableTopic::default()
                .with_name(words::topic(&spec.name))
                .with_num_partitions(spec.partitions as i32)
                .with_replication_factor(state.settings.replication_factor)
                .with_configs(configs::of(spec.cleanup))
        };
        let request = CreateTopicsRequest::default()
            .with_topics(self.topics.iter().map(topic).collect())
            .with_timeout_ms(state.settings.request_timeout.as_millis() as i32);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<CreateTopicsRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        for result in &response.topics {
            let code = result.error_code;
            if code == 0 || code == codes::TOPIC_ALREADY_EXISTS {
                continue;
            }
            let name = result.name.0.as_str();
            let mut error = codes::error("topic cannot be created", code).with("topic", name);
            if let Some(text) = &result.error_message {
                error = error.with("because", text);
            }
            if codes::is_retriable(code) {
                return Next::Again(self, error);
            }
            self.fail(error, state);
            return Next::Done;
        }
        // Each broker hears of it in its time; who made a topic should find it.
        let wanted = Some(self.topics.iter().map(|spec| Arc::clone(&spec.name)).collect());
        let then = Then::Compare(self.ticket, self.topics, state.now);
        state.ask(Box::new(Describe { wanted, then }));
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(Event::Created(self.ticket, Err(error)));
    }
}

/// Holds what exists against what was to be created.
fn compare(
    ticket: Ticket,
    (wanted, since): (Vec<TopicSpec>, Duration),
    found: &[TopicSpec],
    state: &mut State,
) {
    for spec in &wanted {
        let exists = found.iter().find(|other| other.name == spec.name);
        let Some(exists) = exists.filter(|exists| exists.partitions > 0) else {
            if state.now >= since + state.settings.api_timeout {
                let error = Error::unavailable("topic was created and does not come");
                let error = error.with("topic", &spec.name);
                return state.events.push(Event::Created(ticket, Err(error)));
            }
            // It is on its way.
            let names = Some(wanted.iter().map(|spec| Arc::clone(&spec.name)).collect());
            let then = Then::Compare(ticket, wanted, since);
            return state.ask_later(Box::new(Describe { wanted: names, then }), AGAIN);
        };
        if exists.partitions != spec.partitions {
            let text = "topic exists with another number of partitions";
            let error = Error::invalid(text)
                .with("topic", &spec.name)
                .with("partitions", exists.partitions)
                .with("wanted", spec.partitions);
            state.events.push(Event::Created(ticket, Err(error)));
            return;
        }
    }
    state.events.push(Event::Created(ticket, Ok(())));
}

/// How often it is looked whether a topic has come.
const AGAIN: Duration = Duration::from_millis(20);
