//! A sum per key and session, sent when the session closes. A key pauses for longer than the
//! gap after twenty records or so; records are up to half a second out of order.

use super::window_format::Windows;
use super::{Outcome, run_to_end};
use crate::digest::Digest;
use crate::input::Input;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::time::Duration;
use suiro::{Durability, InWindow, Integer, Record, Sessions, Topic, Topology};

const SUMS: Topic<u64, InWindow<u64>> = Topic::of("session-sums", &Integer, &Windows);

const GRACE: i64 = 1_000;
const DISORDER: u64 = 500;
/// Records in a millisecond of a partition.
const DENSITY: u64 = 10;

pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(20_000_000, 10_000, Durability::None, 1_000);
    let mut report = Report::new("session", setup);
    report.subject("loop", None, plain(&setup))?;
    report.subject("suiro", None, suiro(&setup)?)
}

/// Three times the mean pause of a key: one pause in twenty is longer.
fn gap(setup: &Setup) -> i64 {
    (3 * setup.keys / u64::from(setup.threads) / DENSITY).max(1) as i64
}

fn at(number: u64, bits: u64) -> i64 {
    (number / DENSITY + bits % DISORDER) as i64
}

fn plain(setup: &Setup) -> (Digest, Cost) {
    let input = Input::new(setup);
    let gap = gap(setup);
    measure(|| {
        let mut digest = Digest::default();
        let mut open: HashMap<u64, Open, FixedState> =
            HashMap::with_capacity_and_hasher(setup.keys as usize, FixedState::default());
        for partition in input.partitions() {
            let mut stream_time = 0;
            for number in 0..input.records() {
                if let Some((key, value)) = input.at(partition, number) {
                    let at = at(number, value);
                    stream_time = stream_time.max(at);
                    let open = open.entry(key).or_default();
                    open.close(stream_time - gap - GRACE, key, &mut digest);
                    open.add(Session { first: at, last: at, sum: value }, gap);
                }
            }
        }
        for (key, open) in &mut open {
            open.close(i64::MAX, *key, &mut digest);
        }
        digest
    })
}

#[derive(Clone, Copy)]
struct Session {
    first: i64,
    last: i64,
    sum: u64,
}

/// The open sessions of a key: the newest, and now and then older ones that wait for their end.
/// No record is so late that its session is closed, so that the order in which sessions are
/// closed does not matter.
#[derive(Default)]
struct Open {
    newest: Option<Session>,
    older: Vec<Session>,
}

impl Open {
    #[inline]
    fn add(&mut self, mut session: Session, gap: i64) {
        let meets =
            |a: &Session, b: &Session| a.first <= b.last + gap && b.first <= a.last + gap;
        let absorb = |a: &mut Session, b: &Session| {
            a.first = a.first.min(b.first);
            a.last = a.last.max(b.last);
            a.sum += b.sum;
        };
        if !self.older.is_empty() {
            self.older.retain(|old| {
                let met = meets(&session, old);
                if met {
                    absorb(&mut session, old);
                }
                !met
            });
        }
        match &mut self.newest {
            Some(newest) if meets(newest, &session) => absorb(newest, &session),
            Some(newest) if newest.last < session.first => {
                self.older.push(std::mem::replace(newest, session));
            }
            Some(_) => self.older.push(session),
            None => self.newest = Some(session),
        }
    }

    /// Closes what ended before `before`.
    #[inline]
    fn close(&mut self, before: i64, key: u64, digest: &mut Digest) {
        let mut send = |session: &Session| {
            digest.add(&[key, session.first as u64, session.last as u64, session.sum]);
        };
        if !self.older.is_empty() {
            self.older.retain(|session| {
                let closed = session.last < before;
                if closed {
                    send(session);
                }
                !closed
            });
        }
        if let Some(session) = self.newest.take_if(|session| session.last < before) {
            send(&session);
        }
    }
}

fn suiro(setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let input = Input::new(setup);
    let sessions = Sessions::with_gap(Duration::from_millis(gap(setup) as u64));
    let topology = Topology::new("session");
    topology
        .generate("numbers", setup.threads, move |partition, number| {
            let (key, value) = input.at(partition.into(), number)?;
            Some(Record::new(key, value, at(number, value)))
        })
        .window(sessions.grace(Duration::from_millis(GRACE as u64)))
        .fold("sums", || 0, |sum, value| *sum += value, |sum, later| *sum += later)
        .on_close()
        .to(&SUMS);
    let (done, cost) = measure(|| run_to_end(topology, &place.log, setup));
    done?;
    Ok((super::window_format::digest(&place, &SUMS)?, cost))
}
