//! TCP, without a thread: the session's own thread reads and writes when sockets are ready.

use super::guests::Guests;
use super::wire::{Wire, Wiring};
use super::{ConnId, Net, NetEvent};
use crate::settings::Security;
use bytes::{Buf, Bytes, BytesMut};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::Wake;
use suiro_core::{Error, Result};

/// The token of the waker; connections count from 0.
const WAKER: Token = Token(usize::MAX);

/// The least room to read into.
const ROOM: usize = 64 * 1024;

/// The most bytes that are read at once.
const LARGEST_READ: usize = 256 * 1024;

/// No answer of a broker is larger; a longer one says that no broker is there.
const LARGEST: usize = 1 << 30;

/// How TLS says that it does not understand. As a length it would be 336 MiB, which no answer of a
/// broker has: what is fetched is far less.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// Sockets, and who waits for them.
pub(crate) struct Tcp {
    poll: Poll,
    wiring: Wiring,
    ready: Events,
    waker: Arc<Waker>,
    streams: BTreeMap<usize, Stream>,
    next: usize,
    /// Who watches whether this lives.
    guests: Guests,
    /// Connections that could not even be begun.
    stillborn: Vec<(ConnId, Error)>,
}

struct Stream {
    wire: Wire,
    address: String,
    connected: bool,
    open: bool,
    unsent: VecDeque<Bytes>,
    read: BytesMut,
}

struct PollWaker(Arc<Waker>);

impl Wake for PollWaker {
    fn wake(&self) {
        // A poll that is gone has nobody to wake.
        let _ = self.0.wake();
    }
}

impl Tcp {
    pub(crate) fn new(security: &Security) -> Result<Self> {
        let failed = |error| Error::unavailable("cannot wait for sockets").caused_by(error);
        let poll = Poll::new().map_err(failed)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(failed)?);
        Ok(Self {
            poll,
            wiring: Wiring::new(security)?,
            ready: Events::with_capacity(64),
            waker,
            streams: BTreeMap::new(),
            next: 0,
            guests: Guests::default(),
            stillborn: Vec::new(),
        })
    }

    fn open(&mut self, id: usize, host: &str, port: u16, plain: bool) -> Result<()> {
        let address = format!("{host}:{port}");
        let failed = |error: io::Error| cannot_connect(&address).caused_by(error);
        // Names are looked up by the system, which may block for a while.
        let mut addresses = (host, port).to_socket_addrs().map_err(failed)?;
        let Some(first) = addresses.next() else { return Err(cannot_connect(&address)) };
        let socket = TcpStream::connect(first).map_err(failed)?;
        let mut wire = self.wiring.wire(socket, host, plain)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(wire.socket(), Token(id), interest).map_err(failed)?;
        let (unsent, read) = (VecDeque::new(), BytesMut::new());
        let (connected, open) = (false, false);
        self.streams.insert(id, Stream { wire, address, connected, open, unsent, read });
        Ok(())
    }

    /// What a connection has to say when its socket is ready.
    fn advance(&mut self, id: usize, events: &mut Vec<NetEvent>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let opened = stream.open;
        let moved = stream.advance(ConnId(id), events);
        if !opened && stream.open {
            events.push(NetEvent::Opened(ConnId(id)));
        }
        if let Err(error) = moved {
            let (address, deaf) = (stream.address.clone(), stream.wire.is_deaf());
            let general = |error: io::Error| {
                let text = match () {
                    () if opened => lost(&address),
                    () if deaf => hung_up(&address),
                    () => cannot_connect(&address),
                };
                text.caused_by(error)
            };
            // Who knows more says so.
            let own = |error: Error| error.with("broker", &address);
            let error = error.downcast::<Error>().map_or_else(general, own);
            self.remove(id);
            events.push(match deaf {
                true => NetEvent::Deaf(ConnId(id), error),
                false => NetEvent::Closed(ConnId(id), error),
            });
        }
    }

    fn remove(&mut self, id: usize) {
        if let Some(mut stream) = self.streams.remove(&id) {
            // The socket is closed all the same.
            let _ = self.poll.registry().deregister(stream.wire.socket());
        }
    }
}

fn cannot_connect(address: &str) -> Error {
    Error::unavailable("cannot connect; check the address, and that a broker listens there")
        .with("broker", address)
}

fn lost(address: &str) -> Error {
    Error::unavailable("connection was lost; it is opened again").with("broker", address)
}

fn hung_up(address: &str) -> Error {
    let text = "listener hangs up before tls is agreed on; check that it speaks tls";
    Error::unavailable(text).with("broker", address)
}

impl Stream {
    fn advance(&mut self, id: ConnId, events: &mut Vec<NetEvent>) -> io::Result<()> {
        if !self.connected {
            let socket = self.wire.socket();
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            match socket.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error),
            }
            socket.set_nodelay(true)?;
            self.connected = true;
        }
        if !self.open {
            self.open = self.wire.agree()?;
            if !self.open {
                return Ok(());
            }
        }
        self.write()?;
        self.read(id, events)
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(front) = self.unsent.front_mut() {
            match self.wire.write(front) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) if written == front.len() => drop(self.unsent.pop_front()),
                Ok(written) => front.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match self.wire.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    fn read(&mut self, id: ConnId, events: &mut Vec<NetEvent>) -> io::Result<()> {
        loop {
            let needed = self.needed()?;
            let filled = self.read.len();
            self.read.resize(filled + needed, 0);
            let got = self.wire.read(&mut self.read[filled..]);
            self.read.truncate(filled + got.as_ref().map_or(0, |count| *count));
            match got {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => self.take_frames(id, events)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes room for the frame that has begun, and says how many bytes to read at once: what
    /// is read into must be cleared before.
    fn needed(&mut self) -> io::Result<usize> {
        let Some(length) = self.length()? else { return Ok(ROOM) };
        let rest = (length + 4).saturating_sub(self.read.len()).max(ROOM);
        self.read.reserve(rest);
        Ok(rest.min(LARGEST_READ))
    }

    /// The length of the frame that has begun.
    fn length(&self) -> io::Result<Option<usize>> {
        let Some(prefix) = self.read.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if prefix[..2] == TLS_ALERT {
            let text = "listener wants tls; set security.protocol to SSL or SASL_SSL";
            return Err(io::Error::other(Error::invalid(text)));
        }
        if length > LARGEST {
            let text = "what answers is no kafka broker; check bootstrap.servers";
            return Err(io::Error::other(Error::invalid(text)));
        }
        Ok(Some(length))
    }

    fn take_frames(&mut self, id: ConnId, events: &mut Vec<NetEvent>) -> io::Result<()> {
        while let Some(length) = self.length()? {
            if self.read.len() < length + 4 {
                break;
            }
            self.read.advance(4);
            events.push(NetEvent::Received(id, self.read.split_to(length).freeze()));
        }
        Ok(())
    }
}

impl Net for Tcp {
    fn connect(&mut self, host: &str, port: u16, plain: bool) -> ConnId {
        let id = self.next;
        self.next += 1;
        if let Err(error) = self.open(id, host, port, plain) {
            self.stillborn.push((ConnId(id), error));
        }
        ConnId(id)
    }

    fn send(&mut self, conn: ConnId, frame: Bytes) {
        let Some(stream) = self.streams.get_mut(&conn.0) else { return };
        stream.unsent.push_back(frame);
        if stream.open && stream.write().is_err() {
            // Reading finds the same, and says so.
            stream.unsent.clear();
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.remove(conn.0);
    }

    fn listen(&mut self, host: &str, port: u16) -> Result<u16> {
        self.guests.listen(self.poll.registry(), host, port)
    }

    fn local_host(&mut self) -> Option<String> {
        let mut open = self.streams.values_mut().filter(|stream| stream.connected);
        let address = open.next()?.wire.socket().local_addr().ok()?;
        Some(address.ip().to_string())
    }

    fn poll(&mut self, events: &mut Vec<NetEvent>, wait: Duration) {
        let born = self.stillborn.drain(..);
        events.extend(born.map(|(conn, error)| NetEvent::Closed(conn, error)));
        let wait = if events.is_empty() { wait } else { Duration::ZERO };
        if let Err(error) = self.poll.poll(&mut self.ready, Some(wait))
            && error.kind() != ErrorKind::Interrupted
        {
            tracing::warn!(%error, "cannot wait for sockets");
        }
        let ready: Vec<_> = self.ready.iter().map(|event| event.token()).collect();
        for token in ready.into_iter().filter(|token| *token != WAKER) {
            if !self.guests.advance(self.poll.registry(), token) {
                self.advance(token.0, events);
            }
        }
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(PollWaker(Arc::clone(&self.waker)))
    }
}
