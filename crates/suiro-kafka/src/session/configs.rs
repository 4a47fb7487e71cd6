//! What of a topic may be deleted, as the brokers' settings say it.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::state::State;
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{Cleanup, Event, Ticket, TopicSpec};
use suiro_core::{Error, Result};

/// The type of a resource that is a topic.
const TOPIC: i8 = 2;

const POLICY: &str = "cleanup.policy";
const AFTER: &str = "retention.ms";
const BYTES: &str = "retention.bytes";

/// The largest batch that a topic takes which is created here: 64 MiB.
const LARGEST: u32 = 64 << 20;

/// The settings of a topic that is to be created.
///
/// Times of records may be years in the past or the future: the brokers must not refuse them,
/// and must not delete by them what was just written.
pub(super) fn of(cleanup: Cleanup) -> Vec<CreatableTopicConfig> {
    let (policy, after, bytes) = match cleanup {
        Cleanup::Keep => ("delete", -1, -1),
        Cleanup::Compact => ("compact", -1, -1),
        Cleanup::Delete { after, bytes } => (
            "delete",
            after.map_or(-1, |it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX)),
            bytes.map_or(-1, |it| i64::try_from(it).unwrap_or(i64::MAX)),
        ),
    };
    let all = [
        (POLICY, policy.to_owned()),
        (AFTER, after.to_string()),
        (BYTES, bytes.to_string()),
        // What crosses between tasks in one step is one batch, and rows may be large.
        ("max.message.bytes", LARGEST.to_string()),
        ("message.timestamp.type", "CreateTime".to_owned()),
        ("message.timestamp.before.max.ms", i64::MAX.to_string()),
        ("message.timestamp.after.max.ms", i64::MAX.to_string()),
    ];
    let all = all.into_iter().map(|(name, value)| {
        let (name, value) = (words::text(name), Some(words::text(&value)));
        CreatableTopicConfig::default().with_name(name).with_value(value)
    });
    all.collect()
}

/// Finds out what may be deleted of topics that exist, and tells.
pub(super) fn complete(state: &mut State, ticket: Ticket, topics: Vec<TopicSpec>) {
    state.ask(Box::new(Complete { ticket, topics }));
}

pub(super) const VERSIONS: Api = api::<DescribeConfigsRequest>(1, 4);

/// Asks for some settings of topics.
pub(super) fn request<'a>(
    topics: impl Iterator<Item = &'a Arc<str>>,
    settings: &[&str],
) -> DescribeConfigsRequest {
    let keys: Vec<_> = settings.iter().map(|name| words::text(name)).collect();
    let resource = |topic: &Arc<str>| {
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(words::text(topic))
            .with_configuration_keys(Some(keys.clone()))
    };
    DescribeConfigsRequest::default().with_resources(topics.map(resource).collect())
}

struct Complete {
    ticket: Ticket,
    topics: Vec<TopicSpec>,
}

impl Ask for Complete {
    fn api(&self, _: &State) -> Api {
        VERSIONS
    }

    fn target(&self) -> Target {
        Target::Any
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let topics = self.topics.iter().map(|spec| &spec.name);
        encode(&request(topics, &[POLICY, AFTER, BYTES]), version, out)
    }

    fn read(mut self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<DescribeConfigsRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let mut found = BTreeMap::new();
        for result in &response.results {
            let (name, code) = (result.resource_name.as_str(), result.error_code);
            if code == codes::UNKNOWN_TOPIC_OR_PARTITION {
                // This broker has not heard of it yet.
                return Next::Again(self, codes::error("topic cannot be described", code));
            }
            if code != 0 {
                let error = codes::error("settings of the topic cannot be read", code);
                let error = error.with("topic", name);
                if codes::is_retriable(code) {
                    return Next::Again(self, error);
                }
                self.fail(error, state);
                return Next::Done;
            }
            found.insert(name, cleanup(result));
        }
        for topic in &mut self.topics {
            if let Some(cleanup) = found.get(&*topic.name) {
                topic.cleanup = *cleanup;
            }
        }
        state.events.push(Event::Topics(self.ticket, Ok(self.topics)));
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(Event::Topics(self.ticket, Err(error)));
    }
}

/// What the settings of a topic mean. One that is compacted and deleted from is no copy of the
/// newest rows, and counts as one that is deleted from.
fn cleanup(result: &DescribeConfigsResult) -> Cleanup {
    let value = |name: &str| {
        let found = result.configs.iter().find(|config| config.name.as_str() == name);
        found.and_then(|config| config.value.as_ref()).map_or("", |value| value.as_str())
    };
    let number = |name| value(name).parse::<i64>().ok().and_then(|it| u64::try_from(it).ok());
    let policies: Vec<&str> = value(POLICY).split(',').map(str::trim).collect();
    let (after, bytes) = (number(AFTER).map(Duration::from_millis), number(BYTES));
    match (policies.contains(&"compact"), after, bytes) {
        (true, ..) if policies.len() == 1 => Cleanup::Compact,
        (false, None, None) => Cleanup::Keep,
        (_, after, bytes) => Cleanup::Delete { after, bytes },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;

    fn read(policy: &str, after: &str, bytes: &str) -> Cleanup {
        let configs =
            [(POLICY, policy), (AFTER, after), (BYTES, bytes)].map(|(name, value)| {
                DescribeConfigsResourceResult::default()
                    .with_name(words::text(name))
                    .with_value(Some(words::text(value)))
            });
        cleanup(&DescribeConfigsResult::default().with_configs(configs.into()))
    }

    #[test]
    fn policies_are_understood() {
        let week = "604800000";
        let delete = |after: Option<u64>, bytes| Cleanup::Delete {
            after: after.map(Duration::from_millis),
            bytes,
        };
        assert_eq!(read("compact", week, "-1"), Cleanup::Compact);
        assert_eq!(read("delete", "-1", "-1"), Cleanup::Keep);
        assert_eq!(read("delete", week, "-1"), delete(Some(604_800_000), None));
        assert_eq!(read("delete", "-1", "7"), delete(None, Some(7)));
        // A changelog or a way between tasks may be neither of both at once.
        for both in ["compact,delete", "delete, compact"] {
            assert_eq!(read(both, week, "-1"), delete(Some(604_800_000), None));
            assert_eq!(read(both, "-1", "-1"), delete(None, None));
        }
    }
}
