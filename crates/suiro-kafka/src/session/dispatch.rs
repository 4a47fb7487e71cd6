//! From requests to connections and back.

use super::ask::{Answer, Lane, Next, Target};
use super::channel::{Channel, Sent, Stage};
use super::coordinators::{Coordinated, coordinator};
use super::sasl::Sasl;
use super::state::{Queued, State};
use super::{copy, metadata};
use crate::net::{ConnId, Net, NetEvent};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::{Error, ErrorKind, Result};

/// How long a connection may take to open.
const OPENING: Duration = Duration::from_secs(10);

/// The connections of a session.
pub(crate) struct Dispatch {
    pub(crate) net: Box<dyn Net>,
    /// Where to begin: these brokers have numbers below zero.
    bootstrap: Vec<(String, u16)>,
    channels: BTreeMap<(i32, Lane), Channel>,
    owners: BTreeMap<ConnId, (i32, Lane)>,
    /// Brokers that could not be reached.
    away: BTreeMap<i32, Away>,
    /// Counts on where nobody in particular is asked.
    turn: usize,
    /// Whether a broker ever answered anything but the greeting.
    heard: bool,
}

struct Away {
    until: Duration,
    tries: u32,
    why: Error,
    /// Whether it hung up on TLS: the next connection asks in plain text whether that is what it
    /// speaks.
    deaf: bool,
}

impl Dispatch {
    pub(crate) fn new(net: Box<dyn Net>, bootstrap: Vec<(String, u16)>) -> Self {
        let (channels, owners) = (BTreeMap::new(), BTreeMap::new());
        let away = BTreeMap::new();
        Self { net, bootstrap, channels, owners, away, turn: 0, heard: false }
    }

    /// Takes what happened to a connection.
    pub(crate) fn take(&mut self, event: NetEvent, state: &mut State) {
        match event {
            NetEvent::Opened(conn) => self.opened(conn, state),
            NetEvent::Received(conn, frame) => {
                let Some(place) = self.owners.get(&conn).copied() else { return };
                let Some(channel) = self.channels.get_mut(&place) else { return };
                if channel.stage != Stage::Ready {
                    return self.enter(place, frame, state);
                }
                match channel.answered(&frame) {
                    Ok(sent) => {
                        self.heard = true;
                        self.away.remove(&place.0);
                        let answer = Answer { version: sent.version, bytes: frame };
                        answered(sent, Ok(answer), state);
                    }
                    Err(error) => self.lose(place, error, state),
                }
            }
            NetEvent::Closed(conn, error) => {
                let Some(place) = self.owners.get(&conn).copied() else { return };
                // That plain text is no use either says nothing of why TLS is not.
                let is_probe = self.channels.get(&place).is_some_and(|it| it.is_probe);
                let before = self.away.get(&place.0).filter(|_| is_probe);
                let error = before.map_or(error, |away| copy(&away.why));
                self.lose(place, error, state);
            }
            NetEvent::Deaf(conn, error) => {
                let Some(place) = self.owners.get(&conn).copied() else { return };
                self.lose(place, error, state);
                if let Some(away) = self.away.get_mut(&place.0) {
                    away.deaf = true;
                }
            }
        }
    }

    fn opened(&mut self, conn: ConnId, state: &mut State) {
        let Some(place) = self.owners.get(&conn).copied() else { return };
        let Some(channel) = self.channels.get_mut(&place) else { return };
        channel.since = state.now;
        match channel.greeting(&state.settings.client_id) {
            Ok(frame) => self.net.send(conn, frame),
            Err(error) => self.lose(place, error, state),
        }
    }

    /// A broker answered the greeting, or a message of the log-in.
    fn enter(&mut self, place: (i32, Lane), frame: Bytes, state: &mut State) {
        let Some(channel) = self.channels.get_mut(&place) else { return };
        let client = &state.settings.client_id;
        let next = match channel.stage {
            Stage::Authenticating => channel.authenticated(frame, client, state.now),
            _ => channel.greeted(frame, client).map(|(version, next)| {
                state.transactions_v2 = version >= 2;
                next
            }),
        };
        match next {
            Ok(_) if channel.is_probe => {
                let text = "listener speaks plain text; name the address of one that speaks tls, \
                            or set security.protocol to PLAINTEXT or SASL_PLAINTEXT";
                let error = Error::invalid(text).with("broker", self.address(place.0, state));
                self.lose(place, error, state);
            }
            Ok(Some(frame)) => self.net.send(channel.conn, frame),
            Ok(None) if self.heard => drop(self.away.remove(&place.0)),
            Ok(None) => {}
            Err(error) => {
                let error = error.with("broker", self.address(place.0, state));
                self.lose(place, error, state);
            }
        }
    }

    /// A connection is gone; what was under way on it has no answer.
    fn lose(&mut self, place: (i32, Lane), mut error: Error, state: &mut State) {
        let Some(mut channel) = self.channels.remove(&place) else { return };
        // A broker hangs up on who should have logged in.
        let silent = channel.stage == Stage::Ready && !self.heard && !channel.sent.is_empty();
        if silent && !state.settings.security.protocol.has_sasl() {
            let text = "broker hangs up without an answer; if users must log in at this \
                        listener, set security.protocol to SASL_SSL or SASL_PLAINTEXT";
            error = Error::unavailable(text).caused_by(error);
        }
        self.owners.remove(&channel.conn);
        self.net.close(channel.conn);
        tracing::debug!(node = place.0, error = %error.report(), "connection is gone");
        // Who coordinated or led there may be elsewhere soon.
        state.metadata.doubt();
        state.coordinators.forget_node(place.0);
        for sent in channel.sent.drain(..) {
            answered(sent, Err(copy(&error)), state);
        }
        if channel.stage != Stage::Ready || silent || channel.is_probe {
            let tries = self.away.get(&place.0).map_or(0, |away| away.tries);
            let until = state.now + state.pause(tries);
            let away = Away { until, tries: tries + 1, why: error, deaf: false };
            self.away.insert(place.0, away);
        }
    }

    /// Sends what can be sent, and gives up what takes too long.
    pub(crate) fn work(&mut self, state: &mut State) {
        self.expire(state);
        // What is asked for meanwhile, such as who coordinates, is sent in the same turn.
        let mut looked = 0;
        while looked < state.queue.len() {
            let queue = std::mem::take(&mut state.queue);
            looked = 0;
            for queued in queue {
                if let Some(kept) = self.offer(queued, state) {
                    // What fails may take others with it that were looked at before.
                    looked = looked.min(state.queue.len());
                    state.queue.insert(looked, kept);
                    looked += 1;
                }
            }
            metadata::tick(state);
        }
    }

    /// Sends a request if that is possible, and gives it back if it is not.
    fn offer(&mut self, queued: Queued, state: &mut State) -> Option<Queued> {
        if queued.not_before > state.now {
            return Some(queued);
        }
        let lane = queued.ask.lane();
        let target = queued.ask.target();
        let node = self.node(&target, state);
        let ready = node.filter(|node| self.ready((*node, lane), state));
        let Some(node) = ready else {
            let place = node.map(|node| (node, lane));
            return self.wait_or_fail(queued, &target, place, state);
        };
        let Queued { mut ask, since, tries, .. } = queued;
        let channel = self.channels.get_mut(&(node, lane))?;
        let api = ask.api(state);
        let version = match channel.version(api) {
            Ok(version) => version,
            Err(error) => {
                let error = error.with("broker", self.address(node, state));
                ask.fail(error, state);
                return None;
            }
        };
        let client = Arc::clone(&state.settings);
        let client = &client.client_id;
        let frame =
            channel.frame(api.key, version, client, |out| ask.write(version, state, out));
        match frame {
            Ok(frame) => {
                channel.sends(Sent::new(ask, version, state.now, (since, tries)));
                self.net.send(channel.conn, frame);
            }
            Err(error) => ask.fail(error, state),
        }
        None
    }

    /// A request that cannot be sent yet: it waits, until that has taken too long.
    fn wait_or_fail(
        &mut self,
        queued: Queued,
        target: &Target,
        place: Option<(i32, Lane)>,
        state: &mut State,
    ) -> Option<Queued> {
        let waited = state.now.saturating_sub(queued.since);
        if let Target::Leader(partition) = target
            && let Some(error) = state.metadata.missing(partition, waited)
        {
            queued.ask.fail(error, state);
            return None;
        }
        let refused = self.refusal(target, place, state);
        if let Some(error) = refused.or_else(|| self.gone(target, place, state)) {
            queued.ask.fail(error, state);
            return None;
        }
        if waited < state.settings.api_timeout || queued.ask.is_lasting() {
            return Some(queued);
        }
        let text = "no broker answers; check that they run and can be reached";
        let mut error = Error::unavailable(text)
            .with("bootstrap.servers", state.settings.bootstrap_servers.join(","));
        let away = self.away.values().max_by_key(|away| away.until);
        if let Some(why) = queued.why.or_else(|| away.map(|away| copy(&away.why))) {
            error = error.caused_by(why);
        }
        queued.ask.fail(error, state);
        None
    }

    /// Why nobody who could answer ever will, until a human does something about it.
    fn refusal(
        &self,
        target: &Target,
        place: Option<(i32, Lane)>,
        state: &State,
    ) -> Option<Error> {
        let refused = |node: &i32| {
            let away = self.away.get(node)?;
            (away.why.kind() != ErrorKind::Unavailable).then(|| copy(&away.why))
        };
        match (target, place) {
            (Target::Any, _) | (Target::Leader(_), None) => {
                let all = self.all(state);
                let open = |node: &i32| self.channels.contains_key(&(*node, Lane::Control));
                if all.iter().any(|node| open(node) || !self.away.contains_key(node)) {
                    return None;
                }
                // Once somebody answered, who is merely away may do so again.
                let hopeful = self.heard && all.iter().any(|node| refused(node).is_none());
                all.iter().find_map(refused).filter(|_| !hopeful)
            }
            (_, Some(place)) if !self.channels.contains_key(&place) => refused(&place.0),
            _ => None,
        }
    }

    /// Why a broker cannot be reached for now. What is for that one and no other goes back to who
    /// knows whether another does as well.
    fn gone(
        &self,
        target: &Target,
        place: Option<(i32, Lane)>,
        state: &State,
    ) -> Option<Error> {
        let (Target::Node(node), Some(place)) = (target, place) else { return None };
        let away = self.away.get(node).filter(|away| away.until > state.now)?;
        (!self.channels.contains_key(&place)).then(|| copy(&away.why))
    }

    /// All brokers that are known.
    fn all(&self, state: &State) -> Vec<i32> {
        let known = state.metadata.brokers.keys().copied();
        known.chain((0..self.bootstrap.len() as i32).map(|number| -1 - number)).collect()
    }

    /// Where a broker is, if that is known.
    fn place<'a>(&'a self, node: i32, state: &'a State) -> Option<&'a (String, u16)> {
        match node {
            node if node < 0 => self.bootstrap.get((-1 - node) as usize),
            node => state.metadata.brokers.get(&node),
        }
    }

    /// Where a broker is, to be read.
    fn address(&self, node: i32, state: &State) -> String {
        let place = self.place(node, state);
        place.map_or_else(String::new, |(host, port)| format!("{host}:{port}"))
    }

    /// Which broker is asked.
    fn node(&mut self, target: &Target, state: &mut State) -> Option<i32> {
        match target {
            Target::Node(node) => Some(*node),
            Target::Leader(partition) => state.metadata.leader(partition).map(|it| it.node),
            Target::Group(group) => coordinator(state, &Coordinated::Group(Arc::clone(group))),
            Target::TransactionsOf(name) => {
                coordinator(state, &Coordinated::Transactions(Arc::clone(name)))
            }
            Target::Transactions => {
                let name = Arc::clone(&state.name);
                coordinator(state, &Coordinated::Transactions(name))
            }
            Target::Any => {
                let all = self.all(state);
                let open = |node: &&i32| self.channels.contains_key(&(**node, Lane::Control));
                if let Some(node) = all.iter().find(open) {
                    return Some(*node);
                }
                let here =
                    |node: &i32| self.away.get(node).is_none_or(|away| away.until <= state.now);
                let here: Vec<i32> = all.into_iter().filter(here).collect();
                self.turn += 1;
                (!here.is_empty()).then(|| here[self.turn % here.len()])
            }
        }
    }

    /// Whether a connection is ready; if there is none, it is opened.
    fn ready(&mut self, place: (i32, Lane), state: &mut State) -> bool {
        if let Some(channel) = self.channels.get(&place) {
            if channel.until.is_none_or(|until| until > state.now) {
                return channel.stage == Stage::Ready;
            }
            if !channel.sent.is_empty() {
                return false;
            }
            // Its log-in ends: another one begins, on a new connection.
            let conn = channel.conn;
            self.channels.remove(&place);
            self.owners.remove(&conn);
            self.net.close(conn);
        }
        if self.away.get(&place.0).is_some_and(|away| away.until > state.now) {
            return false;
        }
        let Some((host, port)) = self.place(place.0, state).cloned() else {
            state.metadata.doubt();
            return false;
        };
        let is_probe = self.away.get(&place.0).is_some_and(|away| away.deaf);
        let conn = self.net.connect(&host, port, is_probe);
        self.owners.insert(conn, place);
        let sasl = Sasl::new(&state.settings.security);
        let mut channel = Channel::new(conn, state.now, sasl);
        channel.is_probe = is_probe;
        self.channels.insert(place, channel);
        false
    }

    /// Gives up connections that do not open or answer.
    fn expire(&mut self, state: &mut State) {
        let late = |channel: &Channel| match channel.stage {
            Stage::Ready => channel
                .sent
                .front()
                .is_some_and(|sent| state.now >= sent.at + sent.ask.patience(&state.settings)),
            _ => state.now >= channel.since + OPENING,
        };
        let late: Vec<_> =
            self.channels.iter().filter(|(_, it)| late(it)).map(|(at, _)| *at).collect();
        for place in late {
            let address = self.address(place.0, state);
            let text = "no answer in time (request.timeout.ms)";
            self.lose(place, Error::unavailable(text).with("broker", address), state);
        }
    }

    /// When something is to be sent again or given up.
    pub(crate) fn due(&self, state: &State) -> Option<Duration> {
        let soon = state.now + SOON;
        let queued = state.queue.iter().map(|queued| match queued.not_before {
            later if later > state.now => later,
            _ => soon,
        });
        let sent = self.channels.values().filter_map(|channel| match channel.stage {
            Stage::Ready => {
                let front = channel.sent.front()?;
                Some(front.at + front.ask.patience(&state.settings))
            }
            _ => Some(channel.since + OPENING),
        });
        queued.chain(sent).min()
    }
}

/// How soon something that waits for an answer to something else is looked at again.
const SOON: Duration = Duration::from_millis(20);

/// Hands an answer, or that there is none, to who asked.
fn answered(sent: Sent, answer: Result<Answer>, state: &mut State) {
    let Sent { ask, since, tries, .. } = sent;
    let (ask, error, pause) = match ask.read(answer, state) {
        Next::Done => return,
        Next::Again(ask, error) => (ask, error, state.pause(tries)),
        Next::Soon(ask, error) => (ask, error, state.short_pause(tries)),
    };
    let waited = state.now.saturating_sub(since);
    if waited >= state.settings.api_timeout && !ask.is_lasting() {
        let text = "given up after default.api.timeout.ms";
        return ask.fail(Error::new(error.kind(), text).caused_by(error), state);
    }
    let not_before = state.now + pause;
    state.queue.push(Queued { ask, since, not_before, tries: tries + 1, why: Some(error) });
}

#[cfg(test)]
mod tests;
