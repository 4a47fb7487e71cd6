//! Whether the last transaction has ended with all its partitions.
//!
//! A coordinator answers the end of a transaction before the leaders of its partitions have
//! heard of it. Records of the next one that come in these milliseconds are put off by their
//! leader for many more (`add.partitions.to.txn.retry.backoff.ms`). So what follows closely asks
//! for the same end once more, which changes nothing: the coordinator says whether it still
//! waits. Nothing depends on the answer but when the next records are sent.

use super::ask::{Answer, Api, Ask, Next, Target, encode};
use super::ending::{end_api, end_request};
use super::state::State;
use crate::codes;
use bytes::BytesMut;
use kafka_protocol::messages::EndTxnRequest;
use std::time::Duration;
use suiro_core::{Error, Result};

/// So long after its end a transaction has most likely ended everywhere.
const CLOSELY: Duration = Duration::from_millis(50);

/// The end of a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling {
    /// Whose it was.
    pub(super) producer: (i64, i16),
    /// When its coordinator answered.
    pub(super) since: Duration,
    /// Whether it is being asked about.
    pub(super) asked: bool,
}

/// Whether the next transaction may begin; if that is not known, it is asked.
pub(super) fn is_settled(state: &mut State) -> bool {
    let Some(settling) = &mut state.writer.settling else { return true };
    if !settling.asked && state.now >= settling.since + CLOSELY {
        state.writer.settling = None;
        return true;
    }
    if !std::mem::replace(&mut settling.asked, true) {
        let producer = settling.producer;
        state.ask(Box::new(Settle { producer }));
    }
    false
}

struct Settle {
    producer: (i64, i16),
}

impl Settle {
    fn done(&self, state: &mut State) {
        let settling = &mut state.writer.settling;
        if settling.is_some_and(|it| it.producer == self.producer) {
            *settling = None;
        }
    }
}

impl Ask for Settle {
    fn api(&self, state: &State) -> Api {
        end_api(state)
    }

    fn target(&self) -> Target {
        Target::Transactions
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        let (id, epoch) = self.producer;
        let request = end_request(state, true).with_producer_id(id.into());
        encode(&request.with_producer_epoch(epoch), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let answer = answer.and_then(Answer::decode::<EndTxnRequest>);
        match answer.map(|response| response.error_code) {
            Ok(code @ codes::CONCURRENT_TRANSACTIONS) => {
                let error = codes::error("the transaction before has not ended yet", code);
                return Next::because_of(code, self, error);
            }
            _ => self.done(state),
        }
        Next::Done
    }

    fn fail(self: Box<Self>, _: Error, state: &mut State) {
        self.done(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use bytes::BufMut;
    use kafka_protocol::messages::EndTxnResponse;
    use kafka_protocol::protocol::{Decodable, Encodable};

    fn ended(since: u64) -> State {
        let settings = Settings::new("one:1");
        let mut state = State::new(settings.into(), Default::default(), "name", None);
        (state.writer.v2, state.now) = (true, Duration::from_millis(since));
        let (producer, since) = ((7, 3), state.now);
        state.writer.settling = Some(Settling { producer, since, asked: false });
        state
    }

    fn answer(code: i16) -> Result<Answer> {
        let mut bytes = BytesMut::new();
        bytes.put_slice(&[0; 5]);
        let response = EndTxnResponse::default().with_error_code(code);
        response.encode(&mut bytes, 5).unwrap();
        Ok(Answer { version: 5, bytes: bytes.freeze() })
    }

    #[test]
    fn what_follows_closely_waits_until_the_coordinator_has_heard_of_all() {
        let mut state = ended(100);
        assert!(!is_settled(&mut state) && !is_settled(&mut state));
        assert_eq!(state.queue.len(), 1);
        let mut ask = state.queue.remove(0).ask;
        let mut out = BytesMut::new();
        ask.write(5, &mut state, &mut out).unwrap();
        let asked = EndTxnRequest::decode(&mut out.freeze(), 5).unwrap();
        // In the epoch of the transaction that has ended: it is nothing to the one that follows.
        assert_eq!((asked.producer_id.0, asked.producer_epoch, asked.committed), (7, 3, true));
        let Next::Soon(ask, _) = ask.read(answer(codes::CONCURRENT_TRANSACTIONS), &mut state)
        else {
            panic!("it has not ended everywhere");
        };
        assert!(!is_settled(&mut state) && state.queue.is_empty());
        assert!(matches!(ask.read(answer(0), &mut state), Next::Done));
        assert!(is_settled(&mut state));
    }

    #[test]
    fn without_an_answer_nothing_waits() {
        for lost in [true, false] {
            let mut state = ended(100);
            assert!(!is_settled(&mut state));
            let ask = state.queue.remove(0).ask;
            match lost {
                true => drop(ask.read(Err(Error::unavailable("gone")), &mut state)),
                false => ask.fail(Error::unavailable("away"), &mut state),
            }
            assert!(is_settled(&mut state));
        }
    }

    #[test]
    fn what_follows_later_asks_nobody() {
        let mut state = ended(100);
        state.now += CLOSELY;
        assert!(is_settled(&mut state) && state.queue.is_empty());
    }

    /// A late answer says nothing of the transaction after that one.
    #[test]
    fn each_transaction_is_asked_about_by_itself() {
        let mut state = ended(100);
        assert!(!is_settled(&mut state));
        let late = state.queue.remove(0).ask;
        let (producer, since) = ((7, 4), state.now);
        state.writer.settling = Some(Settling { producer, since, asked: true });
        assert!(matches!(late.read(answer(0), &mut state), Next::Done));
        assert!(!is_settled(&mut state));
    }
}
