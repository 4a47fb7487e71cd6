//! The door of the simulator: sessions on a network and a clock that are not the system's.
//!
//! It is no part of what users see, and may change with any version.

pub use crate::net::{ConnId, Net, NetEvent};

use crate::session::{KafkaSession, State};
use crate::settings::Settings;
use crate::visible::Visible;
use std::sync::Arc;
use suiro_core::broker::Session;
use suiro_core::{Clock, Result};

/// A client in a simulated process.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
    visible: Visible,
}

impl Client {
    /// The client that `settings` describe.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), visible: Visible::default() }
    }

    fn state(&self, name: &str) -> State {
        State::new(Arc::clone(&self.settings), self.visible.clone(), name, None)
    }

    /// Opens a session, and fences who had its name before.
    pub fn session(
        &self,
        name: &str,
        net: Box<dyn Net>,
        clock: Arc<dyn Clock>,
    ) -> Result<Mortal> {
        KafkaSession::open(self.state(name), net, clock).map(Mortal)
    }

    /// Opens a session under a name that nobody else has.
    pub fn anonymous(
        &self,
        name: &str,
        net: Box<dyn Net>,
        clock: Arc<dyn Clock>,
    ) -> Result<Mortal> {
        KafkaSession::open_unnamed(self.state(name), net, clock).map(Mortal)
    }
}

/// A session that can end without a word, as with its process. Dropped it says goodbye.
pub struct Mortal(KafkaSession);

impl Mortal {
    /// The session.
    pub fn session(&mut self) -> &mut dyn Session {
        &mut self.0
    }

    /// Ends it as a process ends that is killed. Its network should be dead before.
    pub fn die(self) {
        self.0.die();
    }
}
