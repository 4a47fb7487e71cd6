//! Connections that others open to see whether this process lives. Nothing is said on them.

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::ToSocketAddrs;
use suiro_core::{Error, Result};

/// Tokens from here on are of guests; the first is the listener.
const FIRST: usize = usize::MAX / 2;

/// More than that are not let in.
const MOST: usize = 1000;

#[derive(Default)]
pub(super) struct Guests {
    listener: Option<TcpListener>,
    inside: BTreeMap<usize, TcpStream>,
    next: usize,
}

impl Guests {
    pub(super) fn listen(&mut self, registry: &Registry, host: &str, port: u16) -> Result<u16> {
        let failed = |error: std::io::Error| {
            let text = "cannot listen for other processes of the app; name another address \
                        (peer.listener), or none";
            Error::unavailable(text).with("host", host).with("port", port).caused_by(error)
        };
        let mut addresses = (host, port).to_socket_addrs().map_err(failed)?;
        let address = addresses.next().ok_or_else(|| failed(ErrorKind::NotFound.into()))?;
        let mut listener = TcpListener::bind(address).map_err(failed)?;
        registry.register(&mut listener, Token(FIRST), Interest::READABLE).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        self.listener = Some(listener);
        Ok(port)
    }

    /// Lets in who comes, and forgets who has gone; gives whether the token is of these.
    pub(super) fn advance(&mut self, registry: &Registry, token: Token) -> bool {
        if token.0 < FIRST {
            return false;
        }
        match token.0 - FIRST {
            0 => self.let_in(registry),
            number => self.hear(registry, number),
        }
        true
    }

    fn let_in(&mut self, registry: &Registry) {
        let Some(listener) = &self.listener else { return };
        // Whoever cannot be let in finds the connection closed.
        while let Ok((mut guest, _)) = listener.accept() {
            self.next += 1;
            let token = Token(FIRST + self.next);
            if self.inside.len() < MOST
                && registry.register(&mut guest, token, Interest::READABLE).is_ok()
            {
                self.inside.insert(self.next, guest);
            }
        }
    }

    /// Who says something is no member, and is shown out like one that has gone.
    fn hear(&mut self, registry: &Registry, number: usize) {
        let Some(guest) = self.inside.get_mut(&number) else { return };
        let waits = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
        let stays = guest.read(&mut [0]).is_err_and(|error| waits(error.kind()));
        if !stays && let Some(mut guest) = self.inside.remove(&number) {
            // The socket is closed all the same.
            let _ = registry.deregister(&mut guest);
        }
    }
}
