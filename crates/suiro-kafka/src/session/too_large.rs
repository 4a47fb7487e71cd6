//! Why a topic does not take a batch: its limit, which brokers do not tell with their refusal.

use super::ask::{Answer, Api, Ask, Next, Target, encode};
use super::state::State;
use super::{configs, writer};
use bytes::BytesMut;
use kafka_protocol::messages::DescribeConfigsRequest;
use suiro_core::broker::CommitId;
use suiro_core::{Error, Result, TopicPartition};

const LIMIT: &str = "max.message.bytes";

/// Ends a commit with `error`, and with the limit of the topic, if that can be had.
pub(super) fn explain(state: &mut State, commit: CommitId, of: &TopicPartition, error: Error) {
    state.ask(Box::new(Explain { commit, of: of.clone(), error }));
}

struct Explain {
    commit: CommitId,
    of: TopicPartition,
    error: Error,
}

impl Ask for Explain {
    fn api(&self, _: &State) -> Api {
        configs::VERSIONS
    }

    fn target(&self) -> Target {
        Target::Any
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let topics = [&self.of.topic].into_iter();
        encode(&configs::request(topics, &[LIMIT]), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<DescribeConfigsRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let mut configs = response.results.iter().flat_map(|result| &result.configs);
        let limit = configs.find(|config| config.name.as_str() == LIMIT);
        let error = match limit.and_then(|limit| limit.value.as_ref()) {
            Some(limit) => self.error.with(LIMIT, limit.as_str()),
            None => self.error,
        };
        writer::fail(state, self.commit, error);
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        tracing::debug!(error = %error.report(), topic = &*self.of.topic, "no limit is told");
        writer::fail(state, self.commit, self.error);
    }
}
