//! What follows where brokers let nobody in, and when a log-in ends.

use super::Dispatch;
use crate::net::{ConnId, Net, NetEvent};
use crate::session::ask::{Answer, Api, Ask, Next, Target, api};
use crate::session::state::State;
use crate::session::{topics, writer};
use crate::settings::Settings;
use crate::visible::Visible;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, SaslAuthenticateResponse, SaslHandshakeResponse,
};
use kafka_protocol::protocol::Encodable;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use suiro_core::broker::{Event, Ticket, Wake};
use suiro_core::{Error, ErrorKind, Result};

/// A network that writes down what it is told.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<(usize, Vec<String>)>>);

impl Scripted {
    fn note(&self, what: String) {
        self.0.lock().unwrap().1.push(what);
    }

    /// What it was told since it was asked last.
    fn told(&self) -> String {
        self.0.lock().unwrap().1.drain(..).collect::<Vec<_>>().join(", ")
    }
}

impl Net for Scripted {
    fn connect(&mut self, host: &str, _: u16, plain: bool) -> ConnId {
        let conn = self.0.lock().unwrap().0;
        self.note(format!("connect {conn} to {host}{}", if plain { " plain" } else { "" }));
        self.0.lock().unwrap().0 += 1;
        ConnId(conn)
    }

    fn send(&mut self, conn: ConnId, _: Bytes) {
        self.note(format!("send {}", conn.0));
    }

    fn close(&mut self, conn: ConnId) {
        self.note(format!("close {}", conn.0));
    }

    fn listen(&mut self, host: &str, port: u16) -> Result<u16> {
        self.note(format!("listen at {host}:{port}"));
        Ok(7)
    }

    fn local_host(&mut self) -> Option<String> {
        Some("here".to_owned())
    }

    fn poll(&mut self, _: &mut Vec<NetEvent>, _: Duration) {}

    fn waker(&self) -> Arc<dyn Wake> {
        unreachable!("nobody waits here")
    }
}

/// A request whose answer, or failure, is an event.
struct Knock(u64);

impl Ask for Knock {
    fn api(&self, _: &State) -> Api {
        api::<ApiVersionsRequest>(3, 3)
    }

    fn target(&self) -> Target {
        Target::Any
    }

    fn write(&mut self, _: i16, _: &mut State, _: &mut BytesMut) -> Result<()> {
        Ok(())
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        match answer {
            Ok(_) => state.events.push(Event::Created(Ticket(self.0), Ok(()))),
            Err(error) => return Next::Again(self, error),
        }
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.events.push(Event::Created(Ticket(self.0), Err(error)));
    }
}

fn begun(servers: &str, more: &[(&str, &str)]) -> (Dispatch, State, Scripted) {
    let mut settings = Settings::new(servers);
    for (name, value) in more {
        settings.set(name, value).unwrap();
    }
    let (net, addresses) = (Scripted::default(), settings.addresses().unwrap());
    let mut state = State::new(Arc::new(settings), Visible::default(), "name", None);
    state.now = Duration::from_secs(1);
    (Dispatch::new(Box::new(net.clone()), addresses), state, net)
}

/// A frame of a broker: the number of the request, then the rest.
fn frame(number: i32, tagged: bool, body: impl Encodable, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(number);
    if tagged {
        out.put_u8(0);
    }
    body.encode(&mut out, version).unwrap();
    out.freeze()
}

/// An answer to the greeting, of a broker that knows one request.
fn greeting() -> Bytes {
    let api = ApiVersion::default().with_api_key(18).with_min_version(0).with_max_version(4);
    frame(1, false, ApiVersionsResponse::default().with_api_keys(vec![api]), 3)
}

/// Tickets, and the kind of error of each that failed.
fn ended(state: &mut State) -> Vec<(u64, Option<ErrorKind>)> {
    let ended = state.events.drain(..).map(|event| match event {
        Event::Created(ticket, result) => (ticket.0, result.err().map(|it| it.kind())),
        other => unreachable!("{other:?} was not asked for"),
    });
    ended.collect()
}

#[test]
fn a_log_in_that_ends_is_renewed_when_nothing_is_under_way() {
    let user = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "secret"),
    ];
    let (mut dispatch, mut state, net) = begun("one:1", &user);
    state.ask(Box::new(Knock(1)));
    dispatch.work(&mut state);
    let take = |event, state: &mut State, dispatch: &mut Dispatch| {
        dispatch.take(event, state);
        net.told()
    };
    let received = |bytes| NetEvent::Received(ConnId(0), bytes);
    let opened = NetEvent::Opened(ConnId(0));
    assert_eq!(take(opened, &mut state, &mut dispatch), "connect 0 to one, send 0");
    assert_eq!(take(received(greeting()), &mut state, &mut dispatch), "send 0");
    let shaken = frame(2, false, SaslHandshakeResponse::default(), 1);
    assert_eq!(take(received(shaken), &mut state, &mut dispatch), "send 0");
    let entered = SaslAuthenticateResponse::default().with_session_lifetime_ms(1000);
    let entered = frame(3, true, entered, 2);
    assert_eq!(take(received(entered), &mut state, &mut dispatch), "");
    dispatch.work(&mut state);
    assert_eq!(net.told(), "send 0");

    state.now += Duration::from_millis(899);
    state.ask(Box::new(Knock(2)));
    dispatch.work(&mut state);
    assert_eq!(net.told(), "send 0");
    state.now += Duration::from_millis(1);
    state.ask(Box::new(Knock(3)));
    dispatch.work(&mut state);
    assert_eq!(net.told(), "", "two answers are still to come");
    for number in [4, 5] {
        dispatch.work(&mut state);
        assert_eq!(net.told(), "");
        let answer = frame(number, false, ApiVersionsResponse::default(), 3);
        dispatch.take(NetEvent::Received(ConnId(0), answer), &mut state);
    }
    dispatch.work(&mut state);
    assert_eq!(net.told(), "close 0, connect 1 to one");
    assert_eq!(ended(&mut state), [(1, None), (2, None)]);
}

#[test]
fn nobody_waits_for_a_broker_that_refuses() {
    let (mut dispatch, mut state, _) = begun("one:1", &[]);
    writer::open(&mut state);
    state.ask(Box::new(Knock(1)));
    dispatch.work(&mut state);
    // One that waits stands behind the search for a coordinator, whose end ends another before it.
    state.ask_later(Box::new(Knock(2)), Duration::from_secs(1));
    dispatch.take(NetEvent::Closed(ConnId(0), Error::invalid("no")), &mut state);
    dispatch.work(&mut state);
    assert_eq!(ended(&mut state), [(1, Some(ErrorKind::Invalid))]);
    assert_eq!(state.writer.refused().map(|it| it.kind()), Some(ErrorKind::Invalid));
    assert_eq!(state.queue.len(), 1);
}

#[test]
fn a_broker_that_may_come_back_is_waited_for() {
    let unavailable = || Error::unavailable("gone");
    for heard in [false, true] {
        let (mut dispatch, mut state, net) = begun("one:1,two:2", &[]);
        dispatch.heard = heard;
        state.ask(Box::new(Knock(1)));
        dispatch.work(&mut state);
        dispatch.take(NetEvent::Closed(ConnId(0), Error::invalid("no")), &mut state);
        dispatch.work(&mut state);
        assert_eq!(ended(&mut state), [], "the other one has not been asked yet");
        assert!(net.told().contains("connect 1 to one"), "by turns");
        dispatch.take(NetEvent::Closed(ConnId(1), unavailable()), &mut state);
        dispatch.work(&mut state);
        let expected = if heard { vec![] } else { vec![(1, Some(ErrorKind::Invalid))] };
        assert_eq!(ended(&mut state), expected, "heard {heard}");
    }
}

#[test]
fn who_hangs_up_on_tls_is_asked_in_plain_text_once() {
    let (mut dispatch, mut state, net) = begun("one:1", &[]);
    let mut now = Duration::from_secs(1);
    let mut later = |state: &mut State, dispatch: &mut Dispatch| {
        now += Duration::from_secs(2);
        state.now = now;
        dispatch.work(state);
        net.told()
    };
    state.ask(Box::new(Knock(1)));
    assert_eq!(later(&mut state, &mut dispatch), "connect 0 to one");
    let gone = || Error::unavailable("gone");
    dispatch.take(NetEvent::Deaf(ConnId(0), gone()), &mut state);
    assert_eq!(later(&mut state, &mut dispatch), "close 0, connect 1 to one plain");
    // That the answer is none in plain text says nothing.
    dispatch.take(NetEvent::Closed(ConnId(1), Error::invalid("wants tls")), &mut state);
    dispatch.work(&mut state);
    assert_eq!(ended(&mut state), []);
    assert_eq!(later(&mut state, &mut dispatch), "close 1, connect 2 to one");
    dispatch.take(NetEvent::Deaf(ConnId(2), gone()), &mut state);
    assert_eq!(later(&mut state, &mut dispatch), "close 2, connect 3 to one plain");
    assert_eq!(ended(&mut state), []);
    dispatch.take(NetEvent::Opened(ConnId(3)), &mut state);
    dispatch.take(NetEvent::Received(ConnId(3), greeting()), &mut state);
    dispatch.work(&mut state);
    assert_eq!(ended(&mut state), [(1, Some(ErrorKind::Invalid))]);
}

/// Why topics could not be described.
fn not_described(state: &mut State) -> Error {
    match &mut state.events.drain(..).collect::<Vec<_>>()[..] {
        [Event::Topics(_, Err(error))] => std::mem::replace(error, Error::invalid("taken")),
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn a_broker_that_is_too_old_is_told_at_once() {
    // One whose greeting is another one, as before 2.4, and one that greets but cannot do more.
    let refusal = ApiVersionsResponse::default().with_error_code(35);
    for greeting in [frame(1, false, refusal, 0), greeting()] {
        let (mut dispatch, mut state, _) = begun("one:1", &[]);
        topics::describe(&mut state, Ticket(1), &["topic".into()]);
        dispatch.work(&mut state);
        dispatch.take(NetEvent::Opened(ConnId(0)), &mut state);
        dispatch.take(NetEvent::Received(ConnId(0), greeting), &mut state);
        dispatch.work(&mut state);
        let error = not_described(&mut state);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.report();
        assert!(text.contains("too old") || text.contains("3.9 is the oldest"), "{text}");
        assert!(text.contains("broker=`one:1`"), "{text}");
    }
}

/// A request for one broker, that waits as long as it must.
struct Visit(Knock);

impl Ask for Visit {
    fn api(&self, state: &State) -> Api {
        self.0.api(state)
    }

    fn target(&self) -> Target {
        Target::Node(-1)
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        self.0.write(version, state, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        Box::new(self.0).read(answer, state)
    }

    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        Box::new(self.0).fail(error, state);
    }
}

/// Its partitions may have another leader long before it comes back.
#[test]
fn what_is_for_a_broker_that_is_away_goes_back_to_who_asked() {
    let (mut dispatch, mut state, net) = begun("one:1", &[]);
    state.ask(Box::new(Visit(Knock(1))));
    dispatch.work(&mut state);
    assert_eq!(net.told(), "connect 0 to one");
    assert_eq!(ended(&mut state), []);
    dispatch.take(NetEvent::Closed(ConnId(0), Error::unavailable("refused")), &mut state);
    dispatch.work(&mut state);
    assert_eq!(ended(&mut state), [(1, Some(ErrorKind::Unavailable))]);
    // After a while it is tried again.
    state.now += Duration::from_secs(10);
    net.told();
    state.ask(Box::new(Visit(Knock(2))));
    dispatch.work(&mut state);
    assert_eq!(net.told(), "connect 1 to one");
    assert_eq!(ended(&mut state), []);
}

/// A pause of a millisecond would be of no use to who is looked at every twenty.
#[test]
fn what_is_asked_again_soon_is_not_slept_through() {
    let (mut dispatch, mut state, _net) = begun("one:1", &[]);
    state.now = Duration::from_secs(1);
    let at = state.now + state.short_pause(0);
    state.ask_later(Box::new(Knock(1)), state.short_pause(0));
    dispatch.work(&mut state);
    assert_eq!(dispatch.due(&state), Some(at));
    assert!(state.short_pause(0) < state.short_pause(1));
    assert_eq!(state.short_pause(60), state.settings.retry_backoff);
}
