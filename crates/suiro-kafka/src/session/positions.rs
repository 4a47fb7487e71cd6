//! How far a group has read.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::coordinators::Coordinated;
use super::state::State;
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use std::sync::Arc;
use suiro_core::broker::{Event, Position, Ticket};
use suiro_core::{Error, Result, TopicPartition};

/// Asks for the committed positions of a group. What somebody is about to commit is waited for.
pub(crate) fn ask(state: &mut State, ticket: Ticket, group: &str, of: &[TopicPartition]) {
    if of.is_empty() {
        state.events.push(Event::Positions(ticket, Ok(Vec::new())));
        return;
    }
    state.ask(Box::new(Positions { ticket, group: group.into(), of: of.to_vec() }));
}

struct Positions {
    ticket: Ticket,
    group: Arc<str>,
    of: Vec<TopicPartition>,
}

impl Positions {
    /// What a code is against, if it is against anything.
    fn refused(&self, code: i16, state: &mut State) -> Option<(Error, bool)> {
        if code == 0 {
            return None;
        }
        if codes::moves_coordinator(code) {
            state.coordinators.forget(&Coordinated::Group(Arc::clone(&self.group)));
        }
        let error = codes::error("positions cannot be read", code).with("group", &self.group);
        Some((error, codes::is_retriable(code)))
    }
}

impl Ask for Positions {
    fn api(&self, _: &State) -> Api {
        api::<OffsetFetchRequest>(8, 9)
    }

    fn target(&self) -> Target {
        Target::Group(Arc::clone(&self.group))
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let of = self.of.iter().map(|it| (&*it.topic, it.partition as i32));
        let topics = words::by_topic(of, |topic, partitions| {
            OffsetFetchRequestTopics::default()
                .with_name(topic)
                .with_partition_indexes(partitions)
        });
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(words::group(&self.group))
            .with_member_epoch(-1)
            .with_topics(Some(topics));
        let request =
            OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(true);
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<OffsetFetchRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let Some(group) = response.groups.into_iter().next() else {
            return Next::Again(self, Error::unavailable("group was left out"));
        };
        let each = group.topics.iter().flat_map(|topic| &topic.partitions);
        let codes = std::iter::once(group.error_code).chain(each.map(|it| it.error_code));
        for code in codes {
            match self.refused(code, state) {
                None => {}
                Some((error, true)) => return Next::Again(self, error),
                Some((error, false)) => {
                    self.fail(error, state);
                    return Next::Done;
                }
            }
        }
        let mut positions = Vec::new();
        for topic in group.topics {
            let name: Arc<str> = topic.name.0.as_str().into();
            for found in topic.partitions.into_iter().filter(|it| it.committed_offset >= 0) {
                let topic = Arc::clone(&name);
                let partition =
                    TopicPartition { topic, partition: found.partition_index as u32 };
                let note = found.metadata.map_or_else(String::new, |note| note.to_string());
                positions.push(Position { partition, next: found.committed_offset, note });
            }
        }
        state.events.push(Event::Positions(self.ticket, Ok(positions)));
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(Event::Positions(self.ticket, Err(error)));
    }
}
