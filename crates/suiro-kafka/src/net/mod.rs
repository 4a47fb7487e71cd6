//! The network as the client sees it: connections that carry frames, submit and poll.
//!
//! A frame is a request or an answer with its length before it. The client knows no socket, so
//! that the simulator can put brokers behind the same calls.

mod guests;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod wire;

pub(crate) use tcp::Tcp;

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::Wake;
use suiro_core::{Error, Result};

/// A connection, unique within its [`Net`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub usize);

/// What happened to a connection.
#[derive(Debug)]
pub enum NetEvent {
    /// It is open; frames may be sent.
    Opened(ConnId),
    /// A whole frame came in, without its length.
    Received(ConnId, Bytes),
    /// It is gone, and so is what was under way.
    Closed(ConnId, Error),
    /// The same, before the other side said anything to the beginning of TLS, as by a listener
    /// that speaks none.
    Deaf(ConnId, Error),
}

/// Connections that carry frames.
pub trait Net: Send {
    /// Begins to open a connection, with TLS if the settings say so, unless it is to be `plain`;
    /// [`NetEvent::Opened`], [`NetEvent::Closed`] or [`NetEvent::Deaf`] follows.
    fn connect(&mut self, host: &str, port: u16, plain: bool) -> ConnId;

    /// Sends a frame, its length included, behind those that were sent before.
    fn send(&mut self, conn: ConnId, frame: Bytes);

    /// Closes a connection; no event follows.
    fn close(&mut self, conn: ConnId);

    /// Listens at an address, on any port that is free if it is 0, and gives the port. Who connects
    /// is heard of by nobody, and nothing is said: a connection there tells that this lives.
    fn listen(&mut self, host: &str, port: u16) -> Result<u16>;

    /// The address of this host as those see it who are connected; none before there is a
    /// connection.
    fn local_host(&mut self) -> Option<String>;

    /// Takes what has happened, after at most `wait`; a [`Wake`] ends it early.
    fn poll(&mut self, events: &mut Vec<NetEvent>, wait: Duration);

    /// Ends a [`Net::poll`] from another thread, now or the next one.
    fn waker(&self) -> Arc<dyn Wake>;
}
