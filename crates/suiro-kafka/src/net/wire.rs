//! A socket with or without TLS on it, and how one comes to be.

#[cfg(feature = "tls")]
use super::tls::{Tls, Trust};
use crate::settings::Security;
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use suiro_core::Result;

/// Bytes in, bytes out. Like the socket below it, it says `WouldBlock` when it is to be asked
/// again after the socket was ready anew.
pub(super) enum Wire {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

impl Wire {
    pub(super) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.socket(),
        }
    }

    /// Whether both sides agree on how they speak; until then nothing is read or written.
    pub(super) fn agree(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.agree(),
        }
    }

    /// Whether it ended as by a listener that does not understand what it is told.
    pub(super) fn is_deaf(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.is_deaf(),
        }
    }

    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(room),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.read(room),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Sends on what was taken and waits.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// How wires come to be.
pub(super) struct Wiring {
    #[cfg(feature = "tls")]
    trust: Option<Trust>,
}

impl Wiring {
    pub(super) fn new(security: &Security) -> Result<Self> {
        security.check()?;
        Ok(Self {
            #[cfg(feature = "tls")]
            trust: security.protocol.has_tls().then(|| Trust::new(security)).transpose()?,
        })
    }

    /// A wire to `host`, with what the settings say on it, or plain.
    #[cfg(feature = "tls")]
    pub(super) fn wire(&self, socket: TcpStream, host: &str, plain: bool) -> Result<Wire> {
        match &self.trust {
            Some(trust) if !plain => Ok(Wire::Tls(Box::new(Tls::new(socket, host, trust)?))),
            _ => Ok(Wire::Plain(socket)),
        }
    }

    /// A wire to `host`.
    #[cfg(not(feature = "tls"))]
    pub(super) fn wire(&self, socket: TcpStream, _: &str, _: bool) -> Result<Wire> {
        Ok(Wire::Plain(socket))
    }
}
