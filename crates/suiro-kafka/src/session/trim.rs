//! Records that nobody needs any more.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::state::State;
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// Lets the brokers delete what is before an offset. Nobody waits for it, and what is not
/// deleted now is deleted with the next time.
pub(crate) fn ask(state: &mut State, of: &TopicPartition, before: Offset) {
    state.ask(Box::new(Trim { of: of.clone(), before }));
}

struct Trim {
    of: TopicPartition,
    before: Offset,
}

impl Ask for Trim {
    fn api(&self, _: &State) -> Api {
        api::<DeleteRecordsRequest>(1, 2)
    }

    fn target(&self) -> Target {
        Target::Leader(self.of.clone())
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(self.of.partition as i32)
            .with_offset(self.before);
        let topic = DeleteRecordsTopic::default()
            .with_name(words::topic(&self.of.topic))
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(state.settings.request_timeout.as_millis() as i32);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<DeleteRecordsRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let all = response.topics.iter().flat_map(|topic| &topic.partitions);
        match all.map(|partition| partition.error_code).find(|code| *code != 0) {
            Some(code) if codes::is_retriable(code) => {
                state.metadata.doubt();
                Next::Again(self, codes::error("cannot delete records", code))
            }
            Some(code) => {
                self.fail(codes::error("cannot delete records", code), state);
                Next::Done
            }
            None => Next::Done,
        }
    }

    fn fail(self: Box<Self>, error: Error, _: &mut State) {
        let error = error.with("partition", &self.of).with("before", self.before);
        tracing::warn!(error = %error.report(), "records stay that nobody needs any more");
    }
}
