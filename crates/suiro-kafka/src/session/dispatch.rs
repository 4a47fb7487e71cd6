//! From requests to connections and back.

use super::ask::{Answer, Lane, Next, Target};
use super::channel::{Channel, Sent, Stage};
use super::coordinators::{Coordinated, coordinator};
use super::state::{Queued, State};
use super::{copy, metadata};
use crate::net::{ConnId, Net, NetEvent};
use kafka_protocol::messages::ApiKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::{Error, Result};

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
}

struct Away {
    until: Duration,
    tries: u32,
    why: Error,
}

impl Dispatch {
    pub(crate) fn new(net: Box<dyn Net>, bootstrap: Vec<(String, u16)>) -> Self {
        let (channels, owners) = (BTreeMap::new(), BTreeMap::new());
        Self { net, bootstrap, channels, owners, away: BTreeMap::new(), turn: 0 }
    }

    /// Takes what happened to a connection.
    pub(crate) fn take(&mut self, event: NetEvent, state: &mut State) {
        match event {
            NetEvent::Opened(conn) => self.opened(conn, state),
            NetEvent::Received(conn, frame) => {
                let Some(place) = self.owners.get(&conn).copied() else { return };
                let Some(channel) = self.channels.get_mut(&place) else { return };
                if channel.stage != Stage::Ready {
                    match channel.greeted(frame) {
                        Ok(version) => {
                            self.away.remove(&place.0);
                            state.transactions_v2 = version >= 2;
                        }
                        Err(error) => self.lose(place, error, state),
                    }
                    return;
                }
                match channel.answered(&frame) {
                    Ok(sent) => {
                        let answer = Answer { version: sent.version, bytes: frame };
                        answered(sent, Ok(answer), state);
                    }
                    Err(error) => self.lose(place, error, state),
                }
            }
            NetEvent::Closed(conn, error) => {
                if let Some(place) = self.owners.get(&conn).copied() {
                    self.lose(place, error, state);
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

    /// A connection is gone; what was under way on it has no answer.
    fn lose(&mut self, place: (i32, Lane), error: Error, state: &mut State) {
        let Some(mut channel) = self.channels.remove(&place) else { return };
        self.owners.remove(&channel.conn);
        self.net.close(channel.conn);
        tracing::debug!(node = place.0, error = %error.report(), "connection is gone");
        // Who coordinated or led there may be elsewhere soon.
        state.metadata.doubt();
        state.coordinators.forget_node(place.0);
        for sent in channel.sent.drain(..) {
            answered(sent, Err(copy(&error)), state);
        }
        if channel.stage != Stage::Ready {
            let tries = self.away.get(&place.0).map_or(0, |away| away.tries);
            let until = state.now + state.pause(tries);
            self.away.insert(place.0, Away { until, tries: tries + 1, why: error });
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
        let Some(node) = ready else { return self.wait_or_fail(queued, &target, state) };
        let Queued { mut ask, since, tries, .. } = queued;
        let channel = self.channels.get_mut(&(node, lane))?;
        let api = ask.api(state);
        let version = match channel.version(api) {
            Ok(version) => version,
            Err(error) => {
                ask.fail(error, state);
                return None;
            }
        };
        let header =
            ApiKey::try_from(api.key).map_or(2, |it| it.request_header_version(version));
        let client = Arc::clone(&state.settings);
        let client = &client.client_id;
        let frame = channel
            .frame(api.key, version, header, client, |out| ask.write(version, state, out));
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
        state: &mut State,
    ) -> Option<Queued> {
        let waited = state.now.saturating_sub(queued.since);
        if let Target::Leader(partition) = target
            && let Some(error) = state.metadata.missing(partition, waited)
        {
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

    /// Which broker is asked.
    fn node(&mut self, target: &Target, state: &mut State) -> Option<i32> {
        match target {
            Target::Node(node) => Some(*node),
            Target::Leader(partition) => state.metadata.leader(partition).map(|it| it.node),
            Target::Group(group) => coordinator(state, &Coordinated::Group(Arc::clone(group))),
            Target::Transactions => {
                let name = Arc::clone(&state.name);
                coordinator(state, &Coordinated::Transactions(name))
            }
            Target::Any => {
                let known = state.metadata.brokers.keys().copied();
                let first = 0..self.bootstrap.len() as i32;
                let all: Vec<i32> = known.chain(first.map(|number| -1 - number)).collect();
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
            return channel.stage == Stage::Ready;
        }
        if self.away.get(&place.0).is_some_and(|away| away.until > state.now) {
            return false;
        }
        let address = match place.0 {
            node if node < 0 => self.bootstrap.get((-1 - node) as usize),
            node => state.metadata.brokers.get(&node),
        };
        let Some((host, port)) = address else {
            state.metadata.doubt();
            return false;
        };
        let conn = self.net.connect(host, *port);
        self.owners.insert(conn, place);
        self.channels.insert(place, Channel::new(conn, state.now));
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
            let address = match place.0 {
                node if node < 0 => self.bootstrap.get((-1 - node) as usize),
                node => state.metadata.brokers.get(&node),
            };
            let address = address.map_or_else(String::new, |it| format!("{}:{}", it.0, it.1));
            let text = "no answer in time (request.timeout.ms)";
            self.lose(place, Error::unavailable(text).with("broker", address), state);
        }
    }

    /// When something is to be sent again or given up.
    pub(crate) fn due(&self, state: &State) -> Option<Duration> {
        let queued = state.queue.iter().map(|queued| {
            let due = if queued.not_before > state.now { queued.not_before } else { state.now };
            due.max(state.now + SOON)
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
    let Next::Again(ask, error) = ask.read(answer, state) else { return };
    let waited = state.now.saturating_sub(since);
    if waited >= state.settings.api_timeout && !ask.is_lasting() {
        let text = "given up after default.api.timeout.ms";
        return ask.fail(Error::new(error.kind(), text).caused_by(error), state);
    }
    let not_before = state.now + state.pause(tries);
    state.queue.push(Queued { ask, since, not_before, tries: tries + 1, why: Some(error) });
}
