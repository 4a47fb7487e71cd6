//! A mailbox: what a session has not yet polled, and the bell that ends its wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro_core::broker::{Event, Wake};

/// Where the answers for one session arrive.
#[derive(Default)]
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    bell: Condvar,
}

#[derive(Default)]
struct Inner {
    events: Vec<Event>,
    /// Something happened since the last wait ended: a commit by anybody, or a call to wake.
    rung: bool,
    waiting: bool,
}

impl Mailbox {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in an event, and ends a wait.
    pub fn post(&self, event: Event) {
        let mut inner = self.inner();
        inner.events.push(event);
        if inner.waiting {
            self.bell.notify_one();
        }
    }

    /// Ends a wait, this one or the next.
    pub fn ring(&self) {
        let mut inner = self.inner();
        inner.rung = true;
        if inner.waiting {
            self.bell.notify_one();
        }
    }

    /// Takes out all events.
    pub fn drain(&self, into: &mut Vec<Event>) {
        into.append(&mut self.inner().events);
    }

    /// Blocks until there is an event or a ring, but no longer than `timeout`. A ring between
    /// two waits ends the second one, so that a commit between a poll and a wait is not missed.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut inner = self.inner();
        if inner.events.is_empty() && !inner.rung {
            inner.waiting = true;
            let quiet = |inner: &mut Inner| inner.events.is_empty() && !inner.rung;
            let waited = self.bell.wait_timeout_while(inner, timeout, quiet);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            inner.waiting = false;
        }
        std::mem::take(&mut inner.rung) || !inner.events.is_empty()
    }
}

impl Wake for Mailbox {
    fn wake(&self) {
        self.ring();
    }
}
