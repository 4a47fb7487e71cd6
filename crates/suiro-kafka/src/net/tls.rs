//! TLS on a socket that never blocks.

mod refusal;
mod trust;

pub(super) use trust::Trust;

use mio::net::TcpStream;
use refusal::refused;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::io::{self, ErrorKind, Read, Write};
use suiro_core::{Error, Result};

/// A socket, and the TLS on it.
pub(super) struct Tls {
    socket: TcpStream,
    tls: ClientConnection,
    /// Whether the other side ever said anything.
    heard: bool,
    /// Whether it hung up before.
    deaf: bool,
}

impl Tls {
    pub(super) fn new(socket: TcpStream, host: &str, trust: &Trust) -> Result<Self> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            let text = "no certificate can name this host; use its name, or its address";
            Error::invalid(text).with("host", host).caused_by(error)
        };
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| failed(error.into()))?;
        let tls = ClientConnection::new(trust.config(), name);
        let tls = tls.map_err(|error| failed(error.into()))?;
        Ok(Self { socket, tls, heard: false, deaf: false })
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Goes on with the handshake; true when it is done.
    pub(super) fn agree(&mut self) -> io::Result<bool> {
        let result = self.go_on();
        if let Err(error) = &result {
            let hung_up = matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            );
            self.deaf = hung_up && !self.heard;
        }
        result
    }

    fn go_on(&mut self) -> io::Result<bool> {
        loop {
            pass(self.flush())?;
            if !self.tls.is_handshaking() {
                return Ok(true);
            }
            if !pass(self.take_in())? {
                return Ok(false);
            }
        }
    }

    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.take_in()?,
                done => return done,
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What has been taken goes first, so that no more waits here than TLS likes to hold.
        self.flush()?;
        let taken = self.tls.writer().write(bytes)?;
        pass(self.flush())?;
        Ok(taken)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes in what has come, as much as there is room for, and answers what wants an answer.
    fn take_in(&mut self) -> io::Result<()> {
        match self.tls.read_tls(&mut self.socket) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => self.heard = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        if let Err(error) = self.tls.process_new_packets() {
            // The other side is told why, if it still listens.
            let _ = self.flush();
            return Err(refused(error));
        }
        pass(self.flush()).map(drop)
    }
}

/// True if it is done, false if it must wait for the socket.
fn pass(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
