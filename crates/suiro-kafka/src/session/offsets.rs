//! Where a partition begins and ends, and where a time is in it.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::fetch::Wanted;
use super::state::State;
use crate::visible::Awaited;
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use suiro_core::broker::{Event, Fetch, Seek, Ticket};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// Asks for an offset.
pub(crate) fn ask(state: &mut State, ticket: Ticket, of: &TopicPartition, at: Seek) {
    find(state, of.clone(), at, Then::Tell(ticket));
}

/// Somebody read where nothing is: finds out on which side of the log that was.
pub(super) fn out_of_range(state: &mut State, wanted: Wanted) {
    let of = wanted.fetch.partition.clone();
    find(state, of, Seek::Earliest, Then::Explain(wanted));
}

fn find(state: &mut State, of: TopicPartition, at: Seek, then: Then) {
    state.ask(Box::new(Find { of, at, then, written: None, awaited: None }));
}

struct Find {
    of: TopicPartition,
    at: Seek,
    then: Then,
    /// Up to where something was written, be it committed or not, when that was asked.
    written: Option<Offset>,
    /// What was committed here, and must be seen.
    awaited: Option<Awaited>,
}

/// Who wants to know.
enum Then {
    Tell(Ticket),
    Explain(Wanted),
}

impl Find {
    /// Whether what is not committed counts, too.
    fn sees_all(&self) -> bool {
        self.at == Seek::Settled && self.written.is_none()
    }

    /// Whether something is on its way that must be seen.
    fn is_hidden(&mut self, end: Offset, state: &State) -> bool {
        match self.at {
            Seek::Settled => self.written.is_some_and(|written| end < written),
            Seek::Latest => state.visible.hides(&self.of, &mut self.awaited, end, state.now),
            _ => false,
        }
    }

    fn tell(self, answer: Result<Offset>, state: &mut State) {
        match (self.then, answer) {
            (Then::Tell(ticket), answer) => state.events.push(Event::Offset(ticket, answer)),
            (Then::Explain(wanted), Err(error)) => wanted.answer(Err(error), state),
            // What is left is read; that it begins later tells what is missing.
            (Then::Explain(wanted), Ok(start)) if wanted.fetch.offset < start => {
                state.fetches.want_from(start, wanted, state.now);
            }
            (Then::Explain(wanted), Ok(_)) => {
                let text = "the log ends before what was read of it: records were lost, or the \
                            topic was made anew; reset the app";
                let error = Error::invalid(text).with("partition", &wanted.fetch.partition);
                let error = error.with("offset", wanted.fetch.offset);
                wanted.answer(Err(error), state);
            }
        }
    }
}

impl Ask for Find {
    fn api(&self, _: &State) -> Api {
        api::<ListOffsetsRequest>(5, 7)
    }

    fn target(&self) -> Target {
        Target::Leader(self.of.clone())
    }

    fn write(&mut self, version: i16, _: &mut State, out: &mut BytesMut) -> Result<()> {
        let at = match self.at {
            Seek::Earliest => -2,
            Seek::Latest | Seek::Settled => -1,
            Seek::Time(time) => time.as_millis().max(0),
        };
        let partition = ListOffsetsPartition::default()
            .with_partition_index(self.of.partition as i32)
            .with_current_leader_epoch(-1)
            .with_timestamp(at);
        let topic = ListOffsetsTopic::default()
            .with_name(words::topic(&self.of.topic))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(i8::from(!self.sees_all()))
            .with_topics(vec![topic]);
        encode(&request, version, out)
    }

    fn read(mut self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<ListOffsetsRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let found = response.topics.into_iter().next();
        let Some(found) = found.and_then(|topic| topic.partitions.into_iter().next()) else {
            return Next::Again(self, Error::unavailable("partition was left out"));
        };
        if found.error_code != 0 {
            let error = codes::error("cannot look for an offset", found.error_code);
            let error = error.with("partition", &self.of);
            if codes::is_retriable(found.error_code) {
                state.metadata.doubt();
                return Next::Again(self, error);
            }
            self.tell(Err(error), state);
        } else if found.offset < 0 && matches!(self.at, Seek::Time(_)) {
            // Nothing is as late as that: what comes next is.
            self.at = Seek::Latest;
            state.ask(self);
        } else if let (Seek::Time(at), Then::Tell(ticket)) = (self.at, &self.then) {
            // Brokers count markers among the records, whose times are others.
            let (partition, offset) = (self.of.clone(), found.offset);
            let fetch = Fetch { partition, offset, max_bytes: 1 << 20 };
            state.fetches.seek(*ticket, fetch, at, state.now);
        } else if self.sees_all() {
            self.written = Some(found.offset);
            state.ask(self);
        } else if self.is_hidden(found.offset, state) {
            return Next::Again(self, Error::unavailable("a commit is not visible yet"));
        } else {
            self.tell(Ok(found.offset.max(0)), state);
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        let error = error.with("partition", &self.of);
        self.tell(Err(error), state);
    }
}
