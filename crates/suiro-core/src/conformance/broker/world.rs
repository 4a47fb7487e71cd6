//! What a check plays in: an opened log, its parties, and names of its own.

use super::Subject;
use super::party::Party;
use crate::broker::{Broker, Cleanup, TopicSpec};
use std::sync::Arc;
use std::time::Duration;

/// A log that is open, under the name of the check that uses it.
pub(super) struct World {
    check: &'static str,
    subject: Subject,
    broker: Arc<dyn Broker>,
    parties: usize,
}

impl World {
    pub fn new(check: &'static str, mut subject: Subject) -> Self {
        let broker = (subject.open)();
        Self { check, subject, broker, parties: 0 }
    }

    /// `name` under the prefix of the subject.
    pub fn name(&self, name: &str) -> Arc<str> {
        format!("{}{name}", self.subject.prefix).into()
    }

    /// A party with a name that no other has.
    pub fn party(&mut self) -> Party {
        self.parties += 1;
        self.party_called(&format!("party-{}", self.parties))
    }

    /// A party whose session has this name.
    pub fn party_called(&self, name: &str) -> Party {
        match self.broker.session(&self.name(name)) {
            Ok(session) => Party::new(self.check, session, self.subject.patience),
            Err(error) => panic!("{}: session `{name}` does not open: {error}", self.check),
        }
    }

    /// Creates a topic and gives its full name.
    pub fn topic(&mut self, name: &str, partitions: u32) -> Arc<str> {
        let name = self.name(name);
        let spec = TopicSpec { name: name.clone(), partitions, cleanup: Cleanup::Keep };
        let created = self.party().create(vec![spec]);
        created.unwrap_or_else(|error| panic!("{}: create: {error}", self.check));
        name
    }

    /// Closes the log and opens it again. All parties must be gone.
    pub fn restart(self) -> Self {
        let Self { check, mut subject, broker, parties } = self;
        drop(broker);
        let broker = (subject.open)();
        Self { check, subject, broker, parties }
    }

    pub fn patience(&self) -> Duration {
        self.subject.patience
    }

    /// Asserts that `found` are the offsets `expected`, or, in a log with gaps, at least grow
    /// like them.
    pub fn assert_offsets(&self, found: &[i64], expected: &[i64], what: &str) {
        let check = self.check;
        if self.subject.gapless {
            assert_eq!(found, expected, "{check}: {what}");
        } else {
            assert_eq!(found.len(), expected.len(), "{check}: {what}: {found:?}");
            assert!(found.is_sorted_by(|a, b| a < b), "{check}: {what}: {found:?} do not grow");
        }
    }
}
