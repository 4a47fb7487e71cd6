//! What a broker remembers of whoever waits for records (a fetch session, KIP-227): it is told only
//! what has changed since the last request, and answers only where there is something new.
//!
//! What is asked for at once is asked for from another offset each time, and has no use for it.

use crate::{codes, words};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use std::collections::BTreeMap;
use std::sync::Arc;
use suiro_core::{Offset, TopicPartition};

/// Which session, and which request of it; both 0: a new one is asked for.
#[derive(Default)]
pub(crate) struct FetchSession {
    id: i32,
    epoch: i32,
    /// Whether the last answer was one: a broker whose quota is used up says nothing.
    speaks: bool,
    /// What the broker has been told.
    told: BTreeMap<TopicPartition, Told>,
}

struct Told {
    asked: FetchPartition,
    /// Where all is decided, and where the log starts, as the broker said last.
    said: Option<(Offset, Offset)>,
}

/// A request that belongs to no session.
const NO_SESSION: i32 = -1;

/// A request for `asked`, of a session or of none.
pub(super) fn request(
    asked: BTreeMap<TopicPartition, FetchPartition>,
    session: Option<&mut FetchSession>,
) -> FetchRequest {
    match session {
        Some(session) => session.request(asked),
        None => {
            FetchRequest::default().with_session_epoch(NO_SESSION).with_topics(by_topic(asked))
        }
    }
}

fn by_topic(
    all: impl IntoIterator<Item = (TopicPartition, FetchPartition)>,
) -> Vec<FetchTopic> {
    let all = all.into_iter().map(|(of, asked)| (of.topic, asked));
    words::by_topic(all, |topic, asked| {
        FetchTopic::default().with_topic(topic).with_partitions(asked)
    })
}

impl FetchSession {
    /// The next request: of what the broker does not know yet, and of what is not asked for any
    /// more.
    fn request(&mut self, asked: BTreeMap<TopicPartition, FetchPartition>) -> FetchRequest {
        let mut forgotten = Vec::new();
        if self.epoch == 0 {
            self.told.clear();
        }
        self.told.retain(|of, _| {
            let stays = asked.contains_key(of);
            if !stays {
                forgotten.push((Arc::clone(&of.topic), of.partition as i32));
            }
            stays
        });
        let mut new = Vec::new();
        for (of, asked) in asked {
            let told = self.told.get(&of);
            if told.is_some_and(|told| told.asked == asked) {
                continue;
            }
            let said = told.and_then(|told| told.said);
            self.told.insert(of.clone(), Told { asked: asked.clone(), said });
            new.push((of, asked));
        }
        let forgotten = words::by_topic(forgotten, |topic, partitions| {
            ForgottenTopic::default().with_topic(topic).with_partitions(partitions)
        });
        FetchRequest::default()
            .with_session_id(self.id)
            .with_session_epoch(self.epoch)
            .with_topics(by_topic(new))
            .with_forgotten_topics_data(forgotten)
    }

    /// Takes what a broker has answered. One that keeps no more sessions says so by the number 0.
    pub(super) fn answered(&mut self, response: &FetchResponse) {
        let goes_on = response.session_id != 0;
        self.speaks = goes_on && response.throttle_time_ms == 0;
        self.id = response.session_id;
        self.epoch = match self.epoch.checked_add(1) {
            _ if !goes_on => 0,
            Some(epoch) => epoch,
            None => 1,
        };
        for topic in &response.responses {
            for data in &topic.partitions {
                let partition = data.partition_index.unsigned_abs();
                let of = TopicPartition { topic: topic.topic.0.as_str().into(), partition };
                if let Some(told) = self.told.get_mut(&of) {
                    let said = (data.last_stable_offset, data.log_start_offset);
                    told.said = (data.error_code == 0).then_some(said);
                }
            }
        }
    }

    /// What a broker means that says nothing of a partition: it is as it was. None if that is not
    /// known, or if its last answer said nothing at all.
    pub(super) fn unchanged(&self, of: &TopicPartition) -> Option<PartitionData> {
        let told = self.told.get(of).filter(|_| self.speaks)?;
        let (stable, start) = told.said?;
        // All before what is asked for was decided when that was read.
        let stable = stable.max(told.asked.fetch_offset);
        let data = PartitionData::default().with_partition_index(of.partition as i32);
        Some(data.with_last_stable_offset(stable).with_log_start_offset(start))
    }

    /// An answer was lost: what the broker remembers is not known. The next request ends the
    /// session, and begins another.
    pub(super) fn doubt(&mut self) {
        self.epoch = 0;
    }

    /// Whether the broker has answered that it does not know the session, or not so. Then the next
    /// request begins another.
    pub(super) fn is_refused(&mut self, code: i16) -> bool {
        match code {
            codes::FETCH_SESSION_ID_NOT_FOUND => (self.id, self.epoch) = (0, 0),
            codes::INVALID_FETCH_SESSION_EPOCH => self.epoch = 0,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::fetch_response::FetchableTopicResponse;

    fn of(topic: &str, partition: u32) -> TopicPartition {
        TopicPartition::new(topic, partition)
    }

    fn asked(all: &[(u32, Offset)]) -> BTreeMap<TopicPartition, FetchPartition> {
        let asked = |&(partition, offset): &(u32, Offset)| {
            let asked = FetchPartition::default().with_partition(partition as i32);
            (of("topic", partition), asked.with_fetch_offset(offset))
        };
        all.iter().map(asked).collect()
    }

    fn told(request: &FetchRequest) -> Vec<(i32, Offset)> {
        let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|asked| (asked.partition, asked.fetch_offset)).collect()
    }

    fn forgotten(request: &FetchRequest) -> Vec<i32> {
        let topics = request.forgotten_topics_data.iter();
        topics.flat_map(|topic| topic.partitions.clone()).collect()
    }

    fn answer(id: i32, all: &[(i32, i16, Offset)]) -> FetchResponse {
        let data = all.iter().map(|&(partition, code, stable)| {
            let data = PartitionData::default().with_partition_index(partition);
            data.with_error_code(code).with_last_stable_offset(stable)
        });
        let topic = FetchableTopicResponse::default().with_topic(words::topic("topic"));
        let topic = topic.with_partitions(data.collect());
        FetchResponse::default().with_session_id(id).with_responses(vec![topic])
    }

    fn numbers(request: &FetchRequest) -> (i32, i32) {
        (request.session_id, request.session_epoch)
    }

    #[test]
    fn a_broker_is_told_only_what_it_does_not_know() {
        let mut session = FetchSession::default();
        let first = session.request(asked(&[(0, 5), (1, 6), (2, 7)]));
        assert_eq!(numbers(&first), (0, 0));
        assert_eq!(told(&first), [(0, 5), (1, 6), (2, 7)]);
        session.answered(&answer(9, &[(0, 0, 5), (1, 0, 6), (2, 0, 7)]));

        let second = session.request(asked(&[(0, 5), (1, 8), (3, 1)]));
        assert_eq!(numbers(&second), (9, 1));
        assert_eq!(told(&second), [(1, 8), (3, 1)]);
        assert_eq!(forgotten(&second), [2]);
        session.answered(&answer(9, &[(1, 0, 9), (3, 6, -1)]));
        let stable = |session: &FetchSession, partition| {
            session.unchanged(&of("topic", partition)).map(|data| data.last_stable_offset)
        };
        let all = [0, 1, 2, 3].map(|partition| stable(&session, partition));
        assert_eq!(all, [Some(5), Some(9), None, None]);

        let third = session.request(asked(&[(0, 5), (1, 8), (2, 7)]));
        assert_eq!((numbers(&third), told(&third)), ((9, 2), vec![(2, 7)]));
        assert_eq!(forgotten(&third), [3]);
    }

    /// It is not that there is nothing new.
    #[test]
    fn a_broker_whose_quota_is_used_up_says_nothing() {
        let mut session = FetchSession::default();
        session.request(asked(&[(0, 5)]));
        session.answered(&answer(9, &[(0, 0, 5)]));
        session.request(asked(&[(0, 5)]));
        session.answered(&answer(9, &[]).with_throttle_time_ms(20));
        assert!(session.unchanged(&of("topic", 0)).is_none());
        let next = session.request(asked(&[(0, 5)]));
        assert_eq!((numbers(&next), told(&next)), ((9, 2), vec![]));
        session.answered(&answer(9, &[]));
        let stable = session.unchanged(&of("topic", 0)).map(|data| data.last_stable_offset);
        assert_eq!(stable, Some(5));
    }

    #[test]
    fn a_session_that_is_not_sure_begins_anew() {
        for (code, id) in [(None, 9), (Some(70), 0), (Some(71), 9)] {
            let mut session = FetchSession::default();
            session.request(asked(&[(0, 5)]));
            session.answered(&answer(9, &[(0, 0, 5)]));
            session.request(asked(&[(0, 5), (1, 5)]));
            match code {
                None => session.doubt(),
                Some(code) => assert!(session.is_refused(code)),
            }
            let next = session.request(asked(&[(0, 5), (1, 5)]));
            assert_eq!((numbers(&next), told(&next)), ((id, 0), vec![(0, 5), (1, 5)]));
            assert!(
                forgotten(&next).is_empty() && session.unchanged(&of("topic", 0)).is_none()
            );
        }
        assert!(!FetchSession::default().is_refused(6));
    }

    #[test]
    fn a_broker_that_keeps_no_session_is_told_all_each_time() {
        let mut session = FetchSession::default();
        for _ in 0..3 {
            let request = session.request(asked(&[(0, 5)]));
            assert_eq!((numbers(&request), told(&request)), ((0, 0), vec![(0, 5)]));
            session.answered(&answer(0, &[(0, 0, 5)]));
        }
    }
}
