//! Connections: frames that take their time, come late, or do not come.

use super::fault::Fault;
use super::serve::serve;
use super::world::{Shared, World};
use bytes::{Buf, Bytes};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::Wake;
use suiro_core::{Error, Result};
use suiro_kafka::simulation::{ConnId, Net, NetEvent};

/// All connections, and the processes at one end of them.
#[derive(Default)]
pub(crate) struct Wires {
    wires: BTreeMap<usize, Wire>,
    opened: usize,
    pub(crate) processes: Vec<Process>,
}

struct Wire {
    process: usize,
    end: End,
    /// The process has closed it.
    given_up: bool,
    is_cut: bool,
    /// When what was sent last is there, in both directions.
    reaches: Duration,
    returns: Duration,
    /// Requests that are there, of which a broker takes one at a time.
    inbox: VecDeque<Bytes>,
    is_busy: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Broker(i32),
    Process(usize),
    Nobody,
}

/// One life of a process.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) is_alive: bool,
    mailbox: Vec<NetEvent>,
    listens: bool,
    /// After so many more frames it dies.
    pub(crate) sends_left: Option<u64>,
    /// Until then nobody reaches it who did not before.
    pub(crate) hidden_until: Duration,
}

/// Where a broker is.
pub(crate) fn address(node: i32) -> (String, u16) {
    (format!("broker-{node}"), 9092)
}

impl World {
    /// A process begins to live.
    pub(crate) fn bear(&mut self) -> usize {
        self.wires.processes.push(Process { is_alive: true, ..Process::default() });
        self.wires.processes.len() - 1
    }

    pub(crate) fn is_alive(&self, process: usize) -> bool {
        self.wires.processes[process].is_alive
    }

    /// Whether something has come for a process.
    pub(crate) fn has_mail(&self, process: usize) -> bool {
        !self.wires.processes[process].mailbox.is_empty()
    }

    /// A process is gone, and its system closes its connections.
    pub(crate) fn kill(&mut self, process: usize) {
        let dying = &mut self.wires.processes[process];
        (dying.is_alive, dying.listens) = (false, false);
        dying.mailbox.clear();
        self.note(|| format!("process {process} is gone"));
        let all = self.wires.wires.iter();
        let (own, others): (Vec<_>, Vec<_>) = all
            .filter(|(_, wire)| wire.process == process || wire.end == End::Process(process))
            .map(|(conn, wire)| (*conn, wire.process == process))
            .partition(|(_, is_own)| *is_own);
        own.into_iter().for_each(|(conn, _)| self.hang_up(conn));
        others.into_iter().for_each(|(conn, _)| self.cut(conn));
    }

    /// The connections between processes to one of them break.
    pub(crate) fn hide(&mut self, process: usize, time: Duration) {
        self.wires.processes[process].hidden_until = self.now + time;
        self.cut_all(End::Process(process));
    }

    /// Whether other processes watch one.
    pub(crate) fn is_watched(&self, process: usize) -> bool {
        let watches = |wire: &Wire| wire.end == End::Process(process) && !wire.is_cut;
        self.wires.wires.values().any(watches)
    }

    /// The connections to a broker break.
    pub(crate) fn cut_broker(&mut self, node: i32) {
        self.cut_all(End::Broker(node));
    }

    fn cut_all(&mut self, end: End) {
        let cut = self.wires.wires.iter().filter(|(_, wire)| wire.end == end);
        let cut: Vec<usize> = cut.map(|(conn, _)| *conn).collect();
        cut.into_iter().for_each(|conn| self.cut(conn));
    }

    fn latency(&mut self) -> Duration {
        let rate = self.case.rate;
        if self.strikes(Fault::Stall, rate * 30) {
            return self.between(500, 5000);
        }
        if self.strikes(Fault::Delay, rate * 2) {
            return self.between(10, 300);
        }
        Duration::from_micros(200 + self.seed.below(2800))
    }

    fn connect(&mut self, process: usize, host: &str) -> usize {
        let end = match host.split_once('-') {
            Some(("broker", node)) => node.parse().map_or(End::Nobody, End::Broker),
            Some(("process", other)) => other.parse().map_or(End::Nobody, End::Process),
            _ => End::Nobody,
        };
        self.wires.opened += 1;
        let conn = self.wires.opened;
        let wire = Wire {
            process,
            end,
            given_up: false,
            is_cut: false,
            reaches: self.now,
            returns: self.now,
            inbox: VecDeque::new(),
            is_busy: false,
        };
        self.wires.wires.insert(conn, wire);
        let latency = self.latency();
        self.after(latency, move |world| world.opens(conn));
        conn
    }

    fn opens(&mut self, conn: usize) {
        let Some(wire) = self.wires.wires.get(&conn) else { return };
        let is_there = match wire.end {
            End::Broker(node) => self.cluster.is_up(node),
            End::Process(other) => {
                let other = &self.wires.processes[other];
                other.is_alive && other.listens && other.hidden_until <= self.now
            }
            End::Nobody => false,
        };
        match is_there {
            true => self.tell(conn, NetEvent::Opened(ConnId(conn))),
            false => self.cut(conn),
        }
    }

    /// The process at the end of a connection hears of something.
    fn tell(&mut self, conn: usize, event: NetEvent) {
        let Some(wire) = self.wires.wires.get(&conn).filter(|wire| !wire.given_up) else {
            return;
        };
        let process = &mut self.wires.processes[wire.process];
        if process.is_alive {
            process.mailbox.push(event);
        }
    }

    fn send(&mut self, conn: usize, mut frame: Bytes) {
        frame.advance(4);
        let latency = self.latency();
        let Some(wire) = self.wires.wires.get_mut(&conn).filter(|wire| !wire.is_cut) else {
            return;
        };
        let process = wire.process;
        let at = (self.now + latency).max(wire.reaches);
        wire.reaches = at;
        let pause = at - self.now;
        let rate = self.case.rate;
        let is_lost = self.strikes(Fault::RequestLost, rate * 2);
        self.after(pause, move |world| match is_lost {
            true => world.cut(conn),
            false => world.arrives(conn, frame),
        });
        let left = &mut self.wires.processes[process].sends_left;
        if let Some(left) = left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.struck(Fault::KillWhileSending);
                self.kill(process);
            }
        }
    }

    fn arrives(&mut self, conn: usize, frame: Bytes) {
        if let Some(wire) = self.wires.wires.get_mut(&conn).filter(|wire| !wire.is_cut) {
            wire.inbox.push_back(frame);
            self.serve_next(conn);
        }
    }

    fn serve_next(&mut self, conn: usize) {
        let Some(wire) = self.wires.wires.get_mut(&conn) else { return };
        let End::Broker(node) = wire.end else { return };
        if wire.is_busy {
            return;
        }
        if let Some(frame) = wire.inbox.pop_front() {
            wire.is_busy = true;
            serve(self, conn, node, frame);
        }
    }

    /// A broker has done what it was asked for on a connection, and says so.
    pub(crate) fn reply(&mut self, conn: usize, frame: Bytes) {
        let Some(wire) = self.wires.wires.get_mut(&conn) else { return };
        wire.is_busy = false;
        if wire.is_cut {
            return;
        }
        let rate = self.case.rate;
        if self.strikes(Fault::AnswerLost, rate) {
            return self.cut(conn);
        }
        let latency = self.latency();
        let Some(wire) = self.wires.wires.get_mut(&conn) else { return };
        let at = (self.now + latency).max(wire.returns);
        wire.returns = at;
        let pause = at - self.now;
        self.after(pause, move |world| {
            if world.wires.wires.get(&conn).is_some_and(|wire| !wire.is_cut) {
                world.tell(conn, NetEvent::Received(ConnId(conn), frame));
            }
        });
        self.after(Duration::ZERO, move |world| world.serve_next(conn));
    }

    /// A connection breaks.
    fn cut(&mut self, conn: usize) {
        let Some(wire) = self.wires.wires.get_mut(&conn).filter(|wire| !wire.is_cut) else {
            return;
        };
        wire.is_cut = true;
        wire.inbox.clear();
        let latency = Duration::from_micros(100 + self.seed.below(2000));
        self.after(latency, move |world| {
            let error = Error::unavailable("connection broke");
            world.tell(conn, NetEvent::Closed(ConnId(conn), error));
            world.wires.wires.remove(&conn);
        });
    }

    /// The process closes a connection. What it has sent there may come all the same.
    fn hang_up(&mut self, conn: usize) {
        let now = self.now;
        let Some(wire) = self.wires.wires.get_mut(&conn) else { return };
        wire.given_up = true;
        let is_under_way = wire.reaches > now || !wire.inbox.is_empty();
        if is_under_way && self.strikes(Fault::Ghost, 2) {
            return;
        }
        self.wires.wires.remove(&conn);
    }
}

/// The network as a process sees it.
pub(crate) struct SimNet {
    world: Shared,
    process: usize,
}

impl SimNet {
    pub(crate) fn new(world: &Shared, process: usize) -> Self {
        Self { world: world.clone(), process }
    }
}

impl Net for SimNet {
    fn connect(&mut self, host: &str, _: u16, _: bool) -> ConnId {
        let mut world = self.world.lock();
        if world.is_alive(self.process) {
            return ConnId(world.connect(self.process, host));
        }
        ConnId(0)
    }

    fn send(&mut self, conn: ConnId, frame: Bytes) {
        let mut world = self.world.lock();
        if world.is_alive(self.process) {
            world.send(conn.0, frame);
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.world.lock().hang_up(conn.0);
    }

    fn listen(&mut self, _: &str, _: u16) -> Result<u16> {
        self.world.lock().wires.processes[self.process].listens = true;
        Ok(7000)
    }

    fn local_host(&mut self) -> Option<String> {
        Some(format!("process-{}", self.process))
    }

    fn poll(&mut self, events: &mut Vec<NetEvent>, wait: Duration) {
        let mut world = self.world.lock();
        let until = world.now + wait;
        while !world.has_mail(self.process) && world.now < until {
            world.step(until);
        }
        events.append(&mut world.wires.processes[self.process].mailbox);
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(Nobody)
    }
}

/// There is one thread: nobody waits who could be woken.
struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}
