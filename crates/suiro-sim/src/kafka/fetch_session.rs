//! What a broker remembers of whoever waits for records, and which answers it may leave out.

use super::codes;
use super::fault::Fault;
use super::serve::{Call, said};
use super::world::World;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use std::collections::BTreeMap;
use suiro_core::Offset;

/// A partition by its topic and number.
type Of = (String, i32);

/// What one client has asked for, and what it was told.
pub(crate) struct FetchSession {
    pub(crate) node: i32,
    epoch: i32,
    asked: BTreeMap<Of, FetchPartition>,
    told: BTreeMap<Of, (Offset, Offset)>,
}

impl World {
    /// What a request asks for, together with what its session has asked for before; an error if
    /// there is no such session.
    pub(crate) fn all_asked(
        &mut self,
        call: Call,
        request: FetchRequest,
    ) -> Result<FetchRequest, i16> {
        let (id, epoch, rate) = (request.session_id, request.session_epoch, self.case.rate);
        if epoch < 0 {
            return Ok(request);
        }
        if id != 0 && self.strikes(Fault::FetchSessionLost, rate * 10) {
            self.cluster.fetch_sessions.remove(&id);
        }
        if epoch == 0 {
            self.cluster.fetch_sessions.remove(&id);
            if self.strikes(Fault::FetchSessionRefused, rate * 10) {
                return Ok(request.with_session_id(0));
            }
            self.cluster.fetch_sessions_made += 1;
            let id = self.cluster.fetch_sessions_made;
            let mut session = FetchSession {
                node: call.node,
                epoch: 1,
                asked: BTreeMap::new(),
                told: BTreeMap::new(),
            };
            session.asks(&request);
            self.cluster.fetch_sessions.insert(id, session);
            return Ok(request.with_session_id(id));
        }
        let held = self.cluster.fetch_sessions.get_mut(&id);
        let code = match &held {
            Some(session) if session.node != call.node => codes::FETCH_SESSION_ID_NOT_FOUND,
            Some(session) if session.epoch != epoch => codes::INVALID_FETCH_SESSION_EPOCH,
            Some(_) => codes::NONE,
            None => codes::FETCH_SESSION_ID_NOT_FOUND,
        };
        let Some(session) = held.filter(|_| code == codes::NONE) else {
            return Err(said::<FetchRequest>(self, "session", code));
        };
        session.epoch += 1;
        session.asks(&request);
        let topics = session.topics();
        if !request.forgotten_topics_data.is_empty() {
            self.happened("partition that a fetch session is to forget");
        }
        Ok(request.with_topics(topics))
    }

    /// Whether an answer has to say something of a partition: in a session it need not where there
    /// is nothing new.
    pub(crate) fn is_news(
        &mut self,
        request: &FetchRequest,
        of: &str,
        data: &PartitionData,
    ) -> bool {
        let Some(session) = self.cluster.fetch_sessions.get_mut(&request.session_id) else {
            return true;
        };
        let of = (of.to_owned(), data.partition_index);
        let marks = (data.high_watermark, data.log_start_offset);
        let has_records = data.records.as_ref().is_some_and(|records| !records.is_empty());
        let is_known = session.told.insert(of, marks) == Some(marks);
        let is_news =
            request.session_epoch <= 0 || has_records || !is_known || data.error_code != 0;
        if !is_news {
            self.happened("partition without news in a fetch session");
        }
        is_news
    }
}

impl FetchSession {
    fn asks(&mut self, request: &FetchRequest) {
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                let of = (topic.topic.0.to_string(), *partition);
                self.asked.remove(&of);
                self.told.remove(&of);
            }
        }
        for topic in &request.topics {
            for asked in &topic.partitions {
                self.asked.insert((topic.topic.0.to_string(), asked.partition), asked.clone());
            }
        }
    }

    fn topics(&self) -> Vec<FetchTopic> {
        let mut topics = BTreeMap::<&str, Vec<FetchPartition>>::new();
        for ((topic, _), asked) in &self.asked {
            topics.entry(topic).or_default().push(asked.clone());
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let name = kafka_protocol::protocol::StrBytes::from_string(topic.to_owned());
            FetchTopic::default().with_topic(name.into()).with_partitions(partitions)
        });
        topics.collect()
    }
}
