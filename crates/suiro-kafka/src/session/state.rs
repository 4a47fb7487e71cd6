//! What a session knows and has to do; what is done with it is in the rooms beside.

use super::ask::{Ask, Target};
use super::coordinators::{Coordinated, Coordinators};
use super::fetch::Fetches;
use super::member::Member;
use super::metadata::Metadata;
use super::told::Peer;
use super::writer::Writer;
use crate::claim::Claim;
use crate::settings::Settings;
use crate::visible::Visible;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::Error;
use suiro_core::broker::{Event, Offer, Ticket};

/// A request that waits to be sent.
pub(crate) struct Queued {
    pub(crate) ask: Box<dyn Ask>,
    /// When it was asked for first.
    pub(crate) since: Duration,
    /// Before that it is not sent.
    pub(crate) not_before: Duration,
    pub(crate) tries: u32,
    /// Why it is tried again.
    pub(crate) why: Option<Error>,
}

/// As long as it takes a broker to tell another something, at least.
const SHORTEST: Duration = Duration::from_millis(1);

/// What a session knows and has to do.
pub(crate) struct State {
    pub(crate) settings: Arc<Settings>,
    pub(crate) visible: Visible,
    /// The transactional id.
    pub(crate) name: Arc<str>,
    /// Whether nobody else has, had or will have the name.
    pub(crate) is_anonymous: bool,
    pub(crate) now: Duration,
    pub(crate) events: Vec<Event>,
    pub(crate) queue: Vec<Queued>,
    pub(crate) metadata: Metadata,
    pub(crate) coordinators: Coordinators,
    pub(crate) fetches: Fetches,
    pub(crate) writer: Writer,
    pub(crate) member: Option<Member>,
    /// What it tells its group of copies when it joins.
    pub(crate) offer: Option<Offer>,
    /// Which topics the tasks of each sub-topology read.
    pub(crate) reads: Vec<(u32, Arc<str>)>,
    /// Where the others may watch it, and what it was told last of where they are.
    pub(crate) listens_at: Option<(String, u16)>,
    pub(crate) told_peers: Option<Vec<Peer>>,
    /// Whether the brokers have transactions of the second version.
    pub(crate) transactions_v2: bool,
    /// Groups that have not heard yet that this session leaves them.
    pub(crate) leaving: usize,
    tickets: u64,
    /// The name is its own as long as this is held.
    _claim: Option<Claim>,
}

impl State {
    pub(crate) fn new(
        settings: Arc<Settings>,
        visible: Visible,
        name: &str,
        claim: Option<Claim>,
    ) -> Self {
        Self {
            _claim: claim,
            settings,
            visible,
            name: name.into(),
            is_anonymous: false,
            now: Duration::ZERO,
            events: Vec::new(),
            queue: Vec::new(),
            metadata: Metadata::default(),
            coordinators: Coordinators::default(),
            fetches: Fetches::default(),
            writer: Writer::default(),
            member: None,
            offer: None,
            reads: Vec::new(),
            listens_at: None,
            told_peers: None,
            transactions_v2: false,
            leaving: 0,
            tickets: 0,
        }
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Has something sent as soon as that is possible.
    pub(crate) fn ask(&mut self, ask: Box<dyn Ask>) {
        self.ask_later(ask, Duration::ZERO);
    }

    /// Has something sent after a pause.
    pub(crate) fn ask_later(&mut self, ask: Box<dyn Ask>, pause: Duration) {
        let (since, not_before) = (self.now, self.now + pause);
        self.queue.push(Queued { ask, since, not_before, tries: 0, why: None });
    }

    /// The pause before something is tried for the so-manieth time.
    pub(crate) fn pause(&self, tries: u32) -> Duration {
        let doubled = self.settings.retry_backoff.saturating_mul(1 << tries.min(16));
        doubled.min(self.settings.retry_backoff_max)
    }

    /// The pause where brokers only have to tell each other something.
    pub(crate) fn short_pause(&self, tries: u32) -> Duration {
        SHORTEST.saturating_mul(1 << tries.min(16)).min(self.settings.retry_backoff)
    }

    /// Nobody may coordinate this: what is for its coordinator fails.
    pub(crate) fn refuse(&mut self, of: &Coordinated, error: Error) {
        let is_for = |target: Target| match (of, target) {
            (Coordinated::Group(group), Target::Group(other)) => *group == other,
            (Coordinated::Transactions(id), Target::Transactions) => *id == self.name,
            (Coordinated::Transactions(id), Target::TransactionsOf(other)) => *id == other,
            _ => false,
        };
        let (refused, kept) =
            std::mem::take(&mut self.queue).into_iter().partition(|it| is_for(it.ask.target()));
        self.queue = kept;
        let refused: Vec<Queued> = refused;
        for queued in refused {
            let again = Error::new(error.kind(), error.to_string());
            queued.ask.fail(again, self);
        }
    }
}
