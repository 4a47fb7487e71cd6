//! Which broker leads which partition, as far as it is known.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::state::State;
use crate::codes;
use bytes::BytesMut;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::{Error, Result, TopicPartition};

/// What brokers said of themselves and of topics.
#[derive(Default)]
pub(crate) struct Metadata {
    /// The addresses of brokers, by their number.
    pub(crate) brokers: BTreeMap<i32, (String, u16)>,
    topics: BTreeMap<Arc<str>, Vec<Leader>>,
    /// Topics that somebody asked for.
    wanted: BTreeSet<Arc<str>>,
    /// Topics of which a broker said that they do not exist.
    missing: BTreeSet<Arc<str>>,
    /// Topics of which a broker says nothing, and why: a human must do something about it.
    refused: BTreeMap<Arc<str>, i16>,
    stale: bool,
    asked: bool,
    at: Duration,
}

/// Who leads a partition, and since which election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) node: i32,
    pub(crate) epoch: i32,
}

impl Metadata {
    /// The leader of a partition. Where it is not known, it is asked for.
    pub(crate) fn leader(&mut self, of: &TopicPartition) -> Option<Leader> {
        let leaders = self.topics.get(&of.topic);
        let leader = leaders.and_then(|leaders| leaders.get(of.partition as usize).copied());
        let leader = leader.filter(|leader| leader.node >= 0);
        self.stale |= leader.is_none();
        // Also where it came with an answer to something else: it may move.
        if !self.wanted.contains(&of.topic) {
            self.wanted.insert(Arc::clone(&of.topic));
        }
        leader
    }

    /// Whether brokers say that a topic, or a partition of it, does not exist.
    pub(crate) fn is_missing(&self, of: &TopicPartition) -> bool {
        let leaders = self.topics.get(&of.topic);
        let short = leaders.is_some_and(|leaders| leaders.len() <= of.partition as usize);
        short || self.missing.contains(&of.topic)
    }

    /// The error of a partition that may not be seen, or that does not exist, if it was looked
    /// for long enough: it may just have been made.
    pub(crate) fn missing(&self, of: &TopicPartition, looked: Duration) -> Option<Error> {
        if let Some(code) = self.refused.get(&of.topic) {
            return Some(codes::error("topic cannot be used", *code).with("partition", of));
        }
        let text = "topic, or its partition, does not exist; create it first";
        let is = looked >= NEW && self.is_missing(of);
        is.then(|| Error::invalid(text).with("partition", of))
    }

    /// When to ask again, if that is known.
    pub(crate) fn due(&self) -> Option<Duration> {
        (self.stale && !self.asked).then_some(self.at + PAUSE)
    }

    /// What is known may be wrong; it is asked for again.
    pub(crate) fn doubt(&mut self) {
        self.stale = true;
    }

    /// A broker that answered, whoever it is, has this number and address.
    pub(crate) fn learn(&mut self, response: &MetadataResponse) {
        for broker in &response.brokers {
            let port = u16::try_from(broker.port).unwrap_or(0);
            self.brokers.insert(broker.node_id.0, (broker.host.to_string(), port));
        }
        for topic in &response.topics {
            let Some(name) = topic.name.as_ref().map(|name| name.0.as_str()) else { continue };
            let code = topic.error_code;
            self.refused.remove(name);
            if code == codes::UNKNOWN_TOPIC_OR_PARTITION {
                self.missing.insert(name.into());
                self.topics.remove(name);
            } else if code > 0 && !codes::is_retriable(code) {
                self.refused.insert(name.into(), code);
                self.topics.remove(name);
            }
            if code != 0 {
                continue;
            }
            self.missing.remove(name);
            let count = topic.partitions.iter().map(|it| it.partition_index + 1).max();
            let none = Leader { node: -1, epoch: -1 };
            let mut leaders = vec![none; count.unwrap_or(0).max(0) as usize];
            for partition in &topic.partitions {
                let place = leaders.get_mut(partition.partition_index.max(0) as usize);
                if let Some(place) = place {
                    let (node, epoch) = (partition.leader_id.0, partition.leader_epoch);
                    *place = Leader { node, epoch };
                }
            }
            self.topics.insert(name.into(), leaders);
        }
    }
}

/// Asks for topics if somebody wants to know, or what is known is old.
pub(crate) fn tick(state: &mut State) {
    let age = state.now.saturating_sub(state.metadata.at);
    let metadata = &mut state.metadata;
    let old = !metadata.wanted.is_empty() && age >= state.settings.metadata_max_age;
    let doubted = metadata.stale && (age >= PAUSE || metadata.at.is_zero());
    if (doubted || old) && !metadata.asked {
        (metadata.asked, metadata.stale) = (true, false);
        let topics = metadata.wanted.iter().cloned().collect();
        state.ask(Box::new(Refresh { topics }));
    }
}

/// How long a topic may be unknown.
const NEW: Duration = Duration::from_secs(3);

/// How often brokers are asked where nobody leads at the moment.
const PAUSE: Duration = Duration::from_millis(100);

/// Brings what is known up to date.
struct Refresh {
    topics: Vec<Arc<str>>,
}

impl Ask for Refresh {
    fn api(&self, _: &State) -> Api {
        VERSIONS
    }

    fn target(&self) -> Target {
        Target::Any
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        encode(&request(Some(&self.topics)), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<MetadataRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        state.metadata.learn(&response);
        (state.metadata.asked, state.metadata.at) = (false, state.now);
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        tracing::warn!(error = %error.report(), "topics cannot be looked up");
        (state.metadata.asked, state.metadata.at) = (false, state.now);
    }
}

pub(crate) const VERSIONS: Api = api::<MetadataRequest>(9, 12);

/// A request for some topics, or for all.
pub(crate) fn request(topics: Option<&[Arc<str>]>) -> MetadataRequest {
    let topics = topics.map(|topics| {
        let topic = |name: &Arc<str>| {
            MetadataRequestTopic::default().with_name(Some(crate::words::topic(name)))
        };
        topics.iter().map(topic).collect()
    });
    MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::metadata_response::{
        MetadataResponsePartition, MetadataResponseTopic,
    };

    /// A topic that was learnt of by describing it is asked for when its leader may have moved.
    #[test]
    fn whoever_is_asked_for_a_leader_asks_for_it_again() {
        let mut metadata = Metadata::default();
        let name = crate::words::topic("topic");
        let partition = MetadataResponsePartition::default().with_leader_id(3.into());
        let topic = MetadataResponseTopic::default().with_name(Some(name));
        let topic = topic.with_partitions(vec![partition]);
        metadata.learn(&MetadataResponse::default().with_topics(vec![topic]));
        let leader = metadata.leader(&TopicPartition::new("topic", 0));
        assert_eq!(leader.map(|leader| leader.node), Some(3));
        assert_eq!(metadata.wanted.iter().map(|name| &**name).collect::<Vec<_>>(), ["topic"]);
    }
}
