//! A conversation with a cluster: what the contract asks for becomes requests, and what brokers
//! answer becomes events.
//!
//! | room | what it holds |
//! |---|---|
//! | `state` | what a session knows and has to do |
//! | `ask` | one request: where it goes, how it is written, what its answer means |
//! | `channel` | one connection, and what is under way on it |
//! | `sasl`, `nonce` | logging in |
//! | `dispatch` | from requests to connections and back |
//! | `metadata`, `coordinators` | who leads what |
//! | `topics`, `configs`, `trim` | describing and creating topics, deleting records |
//! | `removal` | removing a group and topics |
//! | `positions`, `offsets` | where a group is, and where a partition begins and ends |
//! | `fetch`, `filter` | reading what is committed |
//! | `writer`, `produce`, `ending`, `too_large` | one transaction per commit |
//! | `init` | who writes |
//! | `settle` | whether the next transaction may begin |
//! | `after_records` | commits without a transaction |
//! | `member`, `told`, `assignment`, `join` | sharing tasks with the others of a group |
//! | `peers` | watching the others |

mod after_records;
mod ask;
mod assignment;
mod channel;
mod configs;
mod coordinators;
mod dispatch;
mod ending;
mod fetch;
mod fetch_session;
mod filter;
mod init;
mod join;
mod member;
mod metadata;
mod nonce;
mod offsets;
mod peers;
mod positions;
mod produce;
mod removal;
mod sasl;
mod settle;
mod state;
mod told;
mod too_large;
mod topics;
mod trim;
mod writer;

use crate::net::{Net, NetEvent};
use bytes::Bytes;
use dispatch::Dispatch;
use peers::Peers;
pub(crate) use state::State;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::{
    CommitId, Event, Fence, Fetch, Guarantee, Offer, Position, Seek, Session, TaskId, Ticket,
    TopicSpec, Wake,
};
use suiro_core::{Clock, Error, Offset, Result, TopicPartition};
use writer::Writer;

/// One party's conversation with a cluster.
pub(crate) struct KafkaSession {
    state: State,
    dispatch: Dispatch,
    peers: Peers,
    clock: Arc<dyn Clock>,
}

/// Without a fetch under way nobody tells of what others commit; then a wait is no longer.
const LOOK: Duration = Duration::from_millis(500);

/// How long the end of a session waits for its group to hear of it.
const FAREWELL: Duration = Duration::from_secs(2);

impl KafkaSession {
    fn new(state: State, net: Box<dyn Net>, clock: Arc<dyn Clock>) -> Result<Self> {
        let addresses = state.settings.addresses()?;
        let (dispatch, peers) = (Dispatch::new(net, addresses), Peers::default());
        let mut session = Self { state, dispatch, peers, clock };
        session.state.now = session.clock.elapsed();
        Ok(session)
    }

    /// Opens a session under a name that nobody else has: what it needs to write is asked for
    /// when it does.
    pub(crate) fn open_unnamed(
        mut state: State,
        net: Box<dyn Net>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        state.is_anonymous = true;
        Self::new(state, net, clock)
    }

    /// Opens a session, and fences who had its name before.
    pub(crate) fn open(state: State, net: Box<dyn Net>, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut session = Self::new(state, net, clock)?;
        writer::open(&mut session.state);
        while session.state.writer.is_opening() {
            session.pump(LOOK);
        }
        match session.state.writer.refused() {
            Some(error) => Err(error),
            None => Ok(session),
        }
    }

    /// Ends without a word to anybody, as with its process.
    pub(crate) fn die(mut self) {
        let state = &mut self.state;
        (state.member, state.writer, state.leaving) = (None, Writer::default(), 0);
        state.queue.clear();
    }

    /// Takes what has come in, and sends what can be sent.
    fn pump(&mut self, wait: Duration) {
        let wait = match self.due() {
            _ if wait.is_zero() => wait,
            Some(due) => wait.min(due.saturating_sub(self.clock.elapsed())),
            None => wait,
        };
        let mut happened = Vec::<NetEvent>::new();
        self.dispatch.net.poll(&mut happened, wait);
        self.state.now = self.clock.elapsed();
        for event in happened {
            if !self.peers.take(&event, &mut self.state) {
                self.dispatch.take(event, &mut self.state);
            }
        }
        self.work();
    }

    /// Sends what can be sent.
    fn work(&mut self) {
        self.state.now = self.clock.elapsed();
        self.peers.tick(&mut self.state, &mut *self.dispatch.net);
        writer::tick(&mut self.state);
        // A member that waits for the end of a commit joins before the next one begins.
        member::tick(&mut self.state);
        fetch::tick(&mut self.state);
        metadata::tick(&mut self.state);
        self.dispatch.work(&mut self.state);
    }

    /// When something is to be done though nothing comes in.
    fn due(&self) -> Option<Duration> {
        let state = &self.state;
        let member = state.member.as_ref().and_then(|member| member.due(&state.settings));
        let fetches = state.fetches.due(state.now);
        let all = [
            member,
            self.peers.due(),
            fetches,
            state.writer.due(state.now),
            state.metadata.due(),
        ];
        all.into_iter().flatten().chain(self.dispatch.due(state)).min()
    }
}

impl Session for KafkaSession {
    fn describe(&mut self, topics: &[Arc<str>]) -> Ticket {
        let ticket = self.state.ticket();
        topics::describe(&mut self.state, ticket, topics);
        ticket
    }

    fn create(&mut self, topics: Vec<TopicSpec>) -> Ticket {
        let ticket = self.state.ticket();
        topics::create(&mut self.state, ticket, topics);
        ticket
    }

    fn positions(&mut self, group: &str, partitions: &[TopicPartition]) -> Ticket {
        let ticket = self.state.ticket();
        positions::ask(&mut self.state, ticket, group, partitions);
        ticket
    }

    fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Ticket {
        let ticket = self.state.ticket();
        offsets::ask(&mut self.state, ticket, partition, at);
        ticket
    }

    fn fetch(&mut self, fetch: Fetch) -> Ticket {
        let ticket = self.state.ticket();
        self.state.fetches.want(ticket, fetch, self.state.now);
        ticket
    }

    fn guarantee(&mut self, guarantee: Guarantee) {
        writer::guarantee(&mut self.state, guarantee);
    }

    fn reads(&mut self, topics: &[(u32, Arc<str>)]) {
        self.state.reads = topics.to_vec();
    }

    fn join(&mut self, group: &str, tasks: &[TaskId]) {
        member::join(&mut self.state, group, tasks);
        writer::revive(&mut self.state);
        self.work();
    }

    fn offer(&mut self, offer: Offer) {
        member::offer(&mut self.state, offer);
    }

    fn leave(&mut self) {
        member::leave(&mut self.state);
        self.work();
    }

    fn rejoin(&mut self, group: &str, tasks: &[TaskId]) {
        match self.state.member {
            None => member::join(&mut self.state, group, tasks),
            Some(_) => member::renew(&mut self.state),
        }
        writer::revive(&mut self.state);
        self.work();
    }

    fn begin(&mut self) -> CommitId {
        writer::wake(&mut self.state);
        self.state.writer.begin()
    }

    fn append(&mut self, commit: CommitId, to: &TopicPartition, batches: Bytes) {
        self.state.writer.append(commit, to, batches);
    }

    fn barrier(&mut self, commit: CommitId) {
        self.state.writer.barrier(commit);
    }

    fn commit(&mut self, commit: CommitId, fence: Option<Fence>, positions: Vec<Position>) {
        writer::commit(&mut self.state, commit, fence, positions);
        self.work();
    }

    fn abort(&mut self, commit: CommitId) {
        writer::abort(&mut self.state, commit);
        self.work();
    }

    fn trim(&mut self, partition: &TopicPartition, offset: Offset) {
        trim::ask(&mut self.state, partition, offset);
    }

    fn members(&mut self, group: &str) -> Ticket {
        let ticket = self.state.ticket();
        removal::members(&mut self.state, ticket, group);
        ticket
    }

    fn remove(&mut self, group: &str, topics: &[Arc<str>]) -> Ticket {
        let ticket = self.state.ticket();
        removal::remove(&mut self.state, ticket, group, topics);
        ticket
    }

    fn poll(&mut self, events: &mut Vec<Event>) {
        self.work();
        self.pump(Duration::ZERO);
        events.append(&mut self.state.events);
    }

    fn wait(&mut self, timeout: Duration) {
        self.work();
        if !self.state.events.is_empty() {
            return;
        }
        self.pump(timeout.min(LOOK));
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.dispatch.net.waker()
    }
}

impl Drop for KafkaSession {
    fn drop(&mut self) {
        let begun = self.clock.elapsed();
        member::leave(&mut self.state);
        writer::close(&mut self.state);
        self.work();
        let is_busy = |state: &State| member::is_leaving(state) || state.writer.is_opening();
        while is_busy(&self.state) && self.clock.elapsed() < begun + FAREWELL {
            self.pump(Duration::from_millis(50));
        }
    }
}

/// The same error once more, for another who waits.
fn copy(error: &Error) -> Error {
    Error::new(error.kind(), error.report())
}
