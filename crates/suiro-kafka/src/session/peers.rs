//! Members of a group watch each other, so that one that dies is missed at once and not when its
//! session times out.
//!
//! Each listens on a port and keeps a connection to every other one open, on which nothing is
//! said. The system of a process that dies closes its connections. Who sees that looks whether
//! anybody listens there still; if not, it has the dead member leave the group, by its member id,
//! ends what that had begun, by its transactional id, and joins again.
//!
//! A false alarm does no harm: a member that lives is told that it is none any more, joins again,
//! and its open commit is fenced and done again. The same process is then left to its session
//! time-out for as long as that is. A machine that falls silent closes nothing, and is left to
//! that, too.

use super::ask::{Answer, Api, Ask, Next, Target, api, encode};
use super::coordinators::Coordinated;
use super::init::{NOBODY, begin};
use super::member::Leave;
use super::state::State;
use super::told::Peer;
use crate::net::{ConnId, Net, NetEvent};
use crate::settings::PeerListener;
use crate::{codes, words};
use bytes::BytesMut;
use kafka_protocol::messages::InitProducerIdRequest;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::{Error, Result};

/// The others, as far as they can be watched.
#[derive(Default)]
pub(crate) struct Peers {
    /// Listening was tried.
    listens: bool,
    /// By member id.
    watched: BTreeMap<String, Watched>,
    /// Processes that were found dead, and until when they are not found so again.
    spared: BTreeMap<String, Duration>,
}

struct Watched {
    peer: Peer,
    conn: Option<ConnId>,
    stage: Stage,
    opened: Duration,
    /// When a connection is opened, if there is none.
    opens_at: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There was no connection yet: it may be that there is no way there.
    New,
    Watched,
    /// The connection broke; another one says whether anybody is there.
    Doubted,
}

/// Where a connection lasts no longer than that, it is not opened again at once.
const PAUSE: Duration = Duration::from_millis(200);

/// After so long it is tried again to reach a member that could not be reached.
const AGAIN: Duration = Duration::from_secs(5);

impl Peers {
    /// Listens, and keeps connections to those that the group has.
    pub(crate) fn tick(&mut self, state: &mut State, net: &mut dyn Net) {
        if state.member.is_none() {
            for conn in std::mem::take(&mut self.watched).into_values().filter_map(|it| it.conn)
            {
                net.close(conn);
            }
            return;
        }
        if !std::mem::replace(&mut self.listens, true) {
            self.listen(state, net);
        }
        if let Some(told) = state.told_peers.take() {
            self.watch(told, state.now, net);
        }
        for watched in self.watched.values_mut() {
            if watched.conn.is_none() && watched.opens_at <= state.now {
                let Peer { host, port, .. } = &watched.peer;
                watched.conn = Some(net.connect(host, *port, true));
            }
        }
    }

    fn listen(&mut self, state: &mut State, net: &mut dyn Net) {
        let at = match &state.settings.peer_listener {
            PeerListener::None => return,
            PeerListener::Auto => net.local_host().map(|host| (host, 0)),
            PeerListener::At(host, port) => Some((host.clone(), *port)),
        };
        let Some((host, port)) = at else {
            // No connection yet that says by which address this host is reached.
            self.listens = false;
            return;
        };
        match net.listen(&host, port) {
            Ok(port) => state.listens_at = Some((host, port)),
            Err(error) => {
                let error = error.report();
                tracing::warn!(
                    error,
                    "other processes will miss this one by its time-out only"
                );
            }
        }
    }

    fn watch(&mut self, told: Vec<Peer>, now: Duration, net: &mut dyn Net) {
        let told: BTreeMap<String, Peer> =
            told.into_iter().map(|peer| (peer.member.clone(), peer)).collect();
        self.watched.retain(|member, watched| {
            let stays = told.get(member) == Some(&watched.peer);
            if let Some(conn) = watched.conn.filter(|_| !stays) {
                net.close(conn);
            }
            stays
        });
        for (member, peer) in told {
            let (stage, opened, opens_at) = (Stage::New, now, now);
            let new = Watched { peer, conn: None, stage, opened, opens_at };
            self.watched.entry(member).or_insert(new);
        }
    }

    /// Takes what happened to a connection, if it is one of those; gives whether it is.
    pub(crate) fn take(&mut self, event: &NetEvent, state: &mut State) -> bool {
        let (NetEvent::Opened(conn)
        | NetEvent::Received(conn, _)
        | NetEvent::Closed(conn, _)
        | NetEvent::Deaf(conn, _)) = event;
        let mut all = self.watched.iter_mut();
        let Some((member, watched)) = all.find(|(_, it)| it.conn == Some(*conn)) else {
            return false;
        };
        match event {
            NetEvent::Opened(_) => {
                (watched.stage, watched.opened) = (Stage::Watched, state.now);
            }
            NetEvent::Received(..) => {}
            NetEvent::Closed(..) | NetEvent::Deaf(..) => {
                watched.conn = None;
                let (stage, opens_at) = match watched.stage {
                    Stage::New => (Stage::New, state.now + AGAIN),
                    // Who lets in and hangs up at once says nothing of whether it lives.
                    Stage::Watched if state.now < watched.opened + AGAIN => {
                        (Stage::Doubted, state.now + PAUSE)
                    }
                    Stage::Watched => (Stage::Doubted, state.now),
                    Stage::Doubted => {
                        let member = member.clone();
                        self.is_dead(&member, state);
                        return true;
                    }
                };
                (watched.stage, watched.opens_at) = (stage, opens_at);
            }
        }
        true
    }

    /// Nobody listens any more where a member was.
    fn is_dead(&mut self, member: &str, state: &mut State) {
        let Some(Watched { peer, .. }) = self.watched.remove(member) else { return };
        let Some(group) = state.member.as_ref().map(|member| Arc::clone(&member.group)) else {
            return;
        };
        let now = state.now;
        self.spared.retain(|_, until| *until > now);
        if self.spared.contains_key(&peer.name) {
            return;
        }
        self.spared.insert(peer.name.clone(), now + state.settings.session_timeout);
        tracing::warn!(group = &*group, process = peer.name, "a process is gone; going on");
        let (id, is_other) = (words::text(member), true);
        state.ask(Box::new(Leave { group, id, is_other }));
        state.ask(Box::new(Release { name: peer.name.into() }));
    }

    /// When a connection is to be opened.
    pub(crate) fn due(&self) -> Option<Duration> {
        let closed = self.watched.values().filter(|watched| watched.conn.is_none());
        closed.map(|watched| watched.opens_at).min()
    }
}

/// Ends what a dead process had begun: whoever takes its tasks over need not wait for that until
/// it times out.
struct Release {
    name: Arc<str>,
}

impl Ask for Release {
    fn api(&self, _: &State) -> Api {
        api::<InitProducerIdRequest>(4, 5)
    }

    fn target(&self) -> Target {
        Target::TransactionsOf(Arc::clone(&self.name))
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        encode(&begin(state, &self.name, NOBODY), version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        let response = match answer.and_then(Answer::decode::<InitProducerIdRequest>) {
            Ok(response) => response,
            Err(error) => return Next::Again(self, error),
        };
        let code = response.error_code;
        if code == 0 {
            return Next::Done;
        }
        let error = codes::error("what a dead process had begun cannot be ended", code);
        if codes::is_retriable(code) {
            if codes::moves_coordinator(code) {
                let of = Coordinated::Transactions(Arc::clone(&self.name));
                state.coordinators.forget(&of);
            }
            return Next::because_of(code, self, error);
        }
        self.fail(error, state);
        Next::Done
    }

    fn fail(self: Box<Self>, error: Error, _: &mut State) {
        let (error, process) = (error.report(), &*self.name);
        tracing::warn!(error, process, "what a dead process had begun ends by its time-out");
    }
}
