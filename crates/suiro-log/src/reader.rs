//! Reading a log that another process may have open.

use crate::follow::Follow;
use crate::mailbox::Mailbox;
use crate::options::LogOptions;
use crate::view::View;
use bytes::Bytes;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use suiro_core::broker::{
    Broker, CommitId, Event, Fence, Fetch, Outcome, Position, Seek, Session, TaskId, Ticket,
    TopicSpec, Wake,
};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// How often a session that waits looks for commits.
const PAUSE: Duration = Duration::from_millis(2);

/// A log that is only read: it takes no lock and writes nothing, so that any number of
/// processes may have one while another one writes. It shows what the writer committed. Its
/// sessions refuse to create and commit, and joining a group is never answered.
///
/// ```
/// use suiro_core::broker::{Broker, Event};
/// use suiro_log::Log;
///
/// let dir = tempfile::tempdir().unwrap();
/// let log = Log::open(dir.path()).unwrap();
/// let reader = Log::open_reader(dir.path()).unwrap();
/// let mut session = reader.session("reader").unwrap();
/// session.describe(&[]);
/// let mut events = Vec::new();
/// session.poll(&mut events);
/// assert!(matches!(&events[0], Event::Topics(_, Ok(topics)) if topics.is_empty()));
/// ```
#[derive(Clone)]
pub struct LogReader(Arc<Shared>);

struct Shared {
    view: View,
    follow: Mutex<Follow>,
}

impl LogReader {
    pub(crate) fn open(dir: &Path, options: &LogOptions) -> Result<Self> {
        let view = View::new(Arc::clone(&options.disk), dir.to_path_buf());
        let follow = Mutex::new(Follow::begin(&view)?);
        Ok(Self(Arc::new(Shared { view, follow })))
    }
}

impl Broker for LogReader {
    fn session(&self, _name: &str) -> Result<Box<dyn Session>> {
        Ok(Box::new(ReaderSession {
            shared: Arc::clone(&self.0),
            mailbox: Arc::default(),
            seen: None,
            last_ticket: 0,
            last_commit: 0,
        }))
    }
}

impl Shared {
    fn follow(&self) -> MutexGuard<'_, Follow> {
        self.follow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the newest committed state. The writer may have replaced the files that this state
    /// names: then it is loaded anew and asked once more.
    fn ask<T>(&self, question: impl Fn(&View) -> Result<T>) -> Result<T> {
        let asked = self.follow().refresh(&self.view).and_then(|()| question(&self.view));
        asked.or_else(|_| {
            let mut follow = self.follow();
            follow.reload(&self.view)?;
            follow.refresh(&self.view)?;
            drop(follow);
            question(&self.view)
        })
    }
}

struct ReaderSession {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    /// The mark as it was when something was last asked.
    seen: Option<(u64, u64)>,
    last_ticket: u64,
    last_commit: u64,
}

impl ReaderSession {
    fn answer<T>(
        &mut self,
        question: impl Fn(&View) -> Result<T>,
        event: fn(Ticket, Result<T>) -> Event,
    ) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.seen = self.shared.follow().committed();
        self.mailbox.post(event(ticket, self.shared.ask(question)));
        ticket
    }
}

fn read_only() -> Error {
    Error::invalid("log is open for reading only: open it for writing")
}

impl Session for ReaderSession {
    fn describe(&mut self, topics: &[Arc<str>]) -> Ticket {
        self.answer(|view| Ok(view.describe(topics)), Event::Topics)
    }

    fn create(&mut self, _topics: Vec<TopicSpec>) -> Ticket {
        self.answer(|_| Err(read_only()), Event::Created)
    }

    fn positions(&mut self, group: &str, partitions: &[TopicPartition]) -> Ticket {
        self.answer(|view| Ok(view.positions(group, partitions)), Event::Positions)
    }

    fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Ticket {
        self.answer(|view| view.offset(partition, at), Event::Offset)
    }

    fn fetch(&mut self, fetch: Fetch) -> Ticket {
        self.answer(|view| view.fetch(&fetch), Event::Fetched)
    }

    fn join(&mut self, _group: &str, _tasks: &[TaskId]) {}

    fn leave(&mut self) {}

    fn begin(&mut self) -> CommitId {
        self.last_commit += 1;
        CommitId(self.last_commit)
    }

    fn append(&mut self, _commit: CommitId, _to: &TopicPartition, _batches: Bytes) {}

    fn commit(&mut self, commit: CommitId, _fence: Option<Fence>, _positions: Vec<Position>) {
        self.mailbox.post(Event::Resolved(commit, Outcome::Aborted(read_only())));
    }

    fn abort(&mut self, _commit: CommitId) {}

    fn trim(&mut self, _partition: &TopicPartition, _offset: Offset) {}

    fn members(&mut self, _group: &str) -> Ticket {
        self.answer(|_| Err(read_only()), Event::Members)
    }

    fn remove(&mut self, _group: &str, _topics: &[Arc<str>]) -> Ticket {
        self.answer(|_| Err(read_only()), Event::Removed)
    }

    fn poll(&mut self, events: &mut Vec<Event>) {
        self.mailbox.drain(events);
    }

    fn wait(&mut self, timeout: Duration) {
        let mut left = timeout;
        loop {
            if self.shared.follow().committed() != self.seen {
                return;
            }
            let pause = left.min(PAUSE);
            if self.mailbox.wait(pause) || pause.is_zero() {
                return;
            }
            left -= pause;
        }
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.mailbox) as _
    }
}
