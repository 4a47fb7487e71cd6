//! Which sessions are open, and which were fenced by a later one of their name.

use crate::mailbox::Mailbox;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The open sessions of a log.
#[derive(Default)]
pub(crate) struct Sessions {
    last: u64,
    newest: BTreeMap<String, u64>,
    mailboxes: BTreeMap<u64, Arc<Mailbox>>,
}

impl Sessions {
    /// Opens a session; gives its number and that of the session it fences.
    pub fn open(&mut self, name: &str, mailbox: Arc<Mailbox>) -> (u64, Option<u64>) {
        self.last += 1;
        self.mailboxes.insert(self.last, mailbox);
        (self.last, self.newest.insert(name.to_owned(), self.last))
    }

    /// Whether no later session has this name.
    pub fn is_newest(&self, name: &str, session: u64) -> bool {
        self.newest.get(name) == Some(&session)
    }

    /// Ends a session.
    pub fn close(&mut self, name: &str, session: u64) {
        self.mailboxes.remove(&session);
        if self.is_newest(name, session) {
            self.newest.remove(name);
        }
    }

    /// Ends the waits of all sessions.
    pub fn ring(&self) {
        for mailbox in self.mailboxes.values() {
            mailbox.ring();
        }
    }
}
