//! A cluster of Apache Kafka as a log.

use crate::claim::{Claim, new_name};
use crate::net::Tcp;
use crate::session::{KafkaSession, State};
use crate::settings::Settings;
use crate::visible::Visible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use suiro_core::broker::{Broker, Session};
use suiro_core::{Clock, Result, SystemClock};

/// A cluster of Apache Kafka, 3.9 or newer, as a log.
///
/// Opening it is cheap and connects to nobody; each session has connections of its own. A commit
/// is a transaction, a session's name its transactional id: a second session of one name fences
/// the first. Records are read with isolation `read_committed`. Names of hosts are looked up by
/// the system when a connection is opened, which may block.
///
/// ```no_run
/// use suiro_core::broker::Broker;
/// use suiro_kafka::{Kafka, Settings};
///
/// let kafka = Kafka::new(Settings::new("localhost:9092"));
/// let session = kafka.session("worker-1")?;
/// # Ok::<(), suiro_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Kafka {
    settings: Arc<Settings>,
    visible: Visible,
}

impl Kafka {
    /// The cluster that `settings` name.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), visible: Visible::default() }
    }
}

impl Kafka {
    fn open(&self, name: &str, claim: Option<Claim>) -> Result<Box<dyn Session>> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let state = State::new(Arc::clone(&self.settings), self.visible.clone(), name, claim);
        Ok(Box::new(KafkaSession::open(
            state,
            Box::new(Tcp::new(&self.settings.security)?),
            clock,
        )?))
    }
}

impl Broker for Kafka {
    fn session(&self, name: &str) -> Result<Box<dyn Session>> {
        self.open(name, None)
    }

    fn worker(&self, program: &str) -> Result<Box<dyn Session>> {
        let claim = Claim::take(&self.settings.state_dir, program)?;
        let name = claim.name.clone();
        self.open(&name, Some(claim))
    }

    fn anonymous(&self, what: &str) -> Result<Box<dyn Session>> {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{what}-{}", new_name(number));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let state = State::new(Arc::clone(&self.settings), self.visible.clone(), &name, None);
        Ok(Box::new(KafkaSession::open_unnamed(
            state,
            Box::new(Tcp::new(&self.settings.security)?),
            clock,
        )?))
    }

    fn is_shared(&self) -> bool {
        true
    }
}
