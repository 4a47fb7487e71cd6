//! What a fold over sessions sends whose gaps are in their records, written down from its rules
//! (W3 to W6, W8 and H1): which records are together is found anew for each that comes, from the
//! times that each of them covers.

use super::support::{Outcome, Sent};
use std::ops::RangeInclusive;

/// A record that came, and how long the pause behind it may be.
#[derive(Clone, Debug)]
pub struct Came {
    pub key: String,
    pub at: i64,
    pub gap: i64,
}

impl Came {
    fn covers(&self) -> RangeInclusive<i64> {
        self.at..=self.at + self.gap
    }

    fn meets(&self, other: &Self) -> bool {
        let (own, other) = (self.covers(), other.covers());
        own.contains(other.start()) || other.contains(own.start())
    }
}

/// The longest gap, the grace, and whether results are sent when sessions close, or at every
/// update.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub longest: i64,
    pub grace: i64,
    pub on_close: bool,
}

/// The numbers of the records in an open session, as the fold lists them.
type Session = Vec<usize>;

/// What is known of a run so far.
pub struct Model<'a> {
    spec: Spec,
    came: &'a [Came],
    open: Vec<Session>,
    now: i64,
    pub outcome: Outcome,
}

impl<'a> Model<'a> {
    pub fn new(spec: Spec, came: &'a [Came]) -> Self {
        Self { spec, came, open: Vec::new(), now: i64::MIN, outcome: Outcome::default() }
    }

    /// A record comes.
    pub fn take(&mut self, number: usize) {
        let came = &self.came[number];
        self.now = self.now.max(came.at);
        if came.gap <= self.spec.longest {
            let together = self.together_with(number);
            if self.is_closed(&together) {
                self.outcome.late.push(number);
            } else {
                self.put_together(number, &together);
            }
        }
        self.close(|model, session| model.is_closed(session));
    }

    /// A bounded run ends.
    pub fn end(&mut self) {
        self.close(|_, _| true);
    }

    /// The records of open sessions that belong together with a record, and itself: those that
    /// cover a time that one of them covers.
    fn together_with(&self, number: usize) -> Vec<usize> {
        let open = self.open.iter().filter(|session| !self.is_closed(session)).flatten();
        let of_key = |other: &&usize| self.came[**other].key == self.came[number].key;
        let mut apart: Vec<usize> = open.filter(of_key).copied().collect();
        let (mut together, mut seen) = (vec![number], 0);
        while let Some(of) = together.get(seen).copied() {
            let meets = |other: &mut usize| self.came[of].meets(&self.came[*other]);
            together.extend(apart.extract_if(.., meets));
            seen += 1;
        }
        together
    }

    /// Makes one session of records, of which `number` came last, and takes those back that it
    /// replaces.
    fn put_together(&mut self, number: usize, together: &[usize]) {
        let is_in = |session: &mut Session| session.iter().any(|of| together.contains(of));
        let mut joined: Vec<Session> = self.open.extract_if(.., is_in).collect();
        joined.sort_by_key(|session| self.bounds(session));
        let mut session: Session = joined.iter().flatten().copied().collect();
        session.push(number);
        assert_eq!(session.len(), together.len(), "a session is whole or not there");
        let replaced = |old: &&Session| self.bounds(old) != self.bounds(&session);
        let mut sent: Vec<Sent> = joined
            .iter()
            .filter(replaced)
            .map(|old| Sent { value: Vec::new(), headers: number, ..self.sent(old) })
            .collect();
        sent.push(self.sent(&session));
        if !self.spec.on_close {
            self.outcome.sent.extend(sent);
        }
        self.open.push(session);
    }

    fn bounds(&self, session: &[usize]) -> (i64, i64) {
        let times = || session.iter().map(|number| self.came[*number].at);
        let [first, last] = [times().min(), times().max()];
        (first.expect("it has a record"), last.expect("it has a record"))
    }

    fn is_closed(&self, session: &[usize]) -> bool {
        let covered = session.iter().map(|number| *self.came[*number].covers().end());
        let reach = covered.max().expect("a session has a record");
        self.now > reach + self.spec.grace
    }

    fn sent(&self, session: &[usize]) -> Sent {
        let (start, end) = self.bounds(session);
        let last = *session.iter().max().expect("a session has a record");
        let (key, value) = (self.came[last].key.clone(), session.to_vec());
        Sent { key, start, end, value, at: end, headers: last }
    }

    fn close(&mut self, closes: impl Fn(&Self, &Session) -> bool) {
        let open = std::mem::take(&mut self.open);
        let (closed, open) = open.into_iter().partition(|session| closes(self, session));
        self.open = open;
        let closed: Vec<Session> = closed;
        let mut sent: Vec<Sent> = closed.iter().map(|session| self.sent(session)).collect();
        sent.sort_by_key(|sent| (sent.end, sent.start, sent.key.clone()));
        if self.spec.on_close {
            self.outcome.sent.extend(sent);
        }
    }
}
