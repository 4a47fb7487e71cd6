//! Joins two streams whose records are near each other in time (rules J1 to J5).
//!
//! The kinds of join differ only in which sides speak: which records are sent alone when they
//! are closed without a partner.

use super::each;
use super::exchange::settle;
use super::lookup::check;
use crate::draft::{maker, step_node};
use crate::key_order::KeyOrder;
use crate::row::{Batch, emit, typed};
use crate::show;
use crate::state::{Either, JoinStore, LEFT, Lone, RIGHT};
use crate::step::Step;
use crate::{Data, Key, Record, SameKey, Stream};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::{Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// How far a right record may lie before and after a left one, and the grace, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) before: i64,
    pub(crate) after: i64,
    pub(crate) grace: i64,
}

impl Spec {
    /// How long after its time a record of each side is closed (rule J5).
    fn linger(self) -> [i64; 2] {
        [self.after, self.before]
            .map(|reach| reach.saturating_add(self.grace).saturating_add(1))
    }

    /// From when to when the partners of a record of `side` lie (rule J1).
    fn partners(self, side: usize, at: Timestamp) -> (Timestamp, Timestamp) {
        let (before, after) = match side {
            LEFT => (self.before, self.after),
            _ => (self.after, self.before),
        };
        (at.plus_millis(-before), at.plus_millis(after))
    }
}

/// Makes a result of a pair.
type Combine<V, T, O> = Arc<dyn Fn(&V, &T) -> O + Send + Sync>;

/// Makes a result of a record that is sent alone.
type Alone<V, T, W> = Arc<dyn Fn(Either<V, T>) -> W + Send + Sync>;

/// Says of which side a value is.
type Wrap<X, V, T> = fn(X) -> Either<V, T>;

/// What a join with sides that speak sends to the second part of its step.
enum Joined<V, T, W> {
    Pair(W),
    Alone(Either<V, T>),
}

/// A join that sends pairs only.
pub(crate) fn add_inner<K, V, J, T, W>(
    left: Stream<K, V>,
    right: Stream<J, T>,
    (name, spec): (&str, Spec),
    combine: impl Fn(&V, &T) -> W + Send + Sync + 'static,
) -> Stream<K, W>
where
    K: Key,
    V: Data,
    J: Key + SameKey<K>,
    T: Data,
    W: Send + 'static,
{
    let kind = Kind { name: "inner", speaks: [false; 2], alone: None };
    add(left, right, (name, spec), kind, Arc::new(combine))
}

/// A join in which the left side speaks, and the right one `if both`.
///
/// Records that are alone are made results of in a stateless part of the step, behind the store:
/// what fails there is nothing that a record which came meanwhile is to blame for.
pub(crate) fn add_outer<K, V, J, T, W>(
    left: Stream<K, V>,
    right: Stream<J, T>,
    (name, spec): (&str, Spec),
    both: bool,
    combine: impl Fn(Option<&V>, Option<&T>) -> W + Send + Sync + 'static,
) -> Stream<K, W>
where
    K: Key,
    V: Data,
    J: Key + SameKey<K>,
    T: Data,
    W: Send + 'static,
{
    let combine = Arc::new(combine);
    let pair = {
        let combine = Arc::clone(&combine);
        move |left: &V, right: &T| Joined::Pair(combine(Some(left), Some(right)))
    };
    let name_of_kind = if both { "outer" } else { "left" };
    let kind = Kind { name: name_of_kind, speaks: [true, both], alone: Some(Joined::Alone) };
    let joined = add(left, right, (name, spec), kind, Arc::new(pair));
    let alone: Alone<V, T, W> = Arc::new(move |lone| match lone {
        Either::Left(left) => combine(Some(&left), None),
        Either::Right(right) => combine(None, Some(&right)),
    });
    let step = joined.step().expect("a join runs user code").clone();
    each::add_to(joined, step, move |rows, out| {
        for Record { key, value, at, headers } in rows {
            let value = match value {
                Joined::Pair(value) => value,
                Joined::Alone(lone) => alone(lone),
            };
            out.push(Record { key, value, at, headers });
        }
        Ok(())
    })
}

/// What tells the kinds of join apart.
struct Kind<V, T, O> {
    name: &'static str,
    /// The sides whose records are sent alone.
    speaks: [bool; 2],
    alone: Option<fn(Either<V, T>) -> O>,
}

fn add<K, V, J, T, O>(
    left: Stream<K, V>,
    right: Stream<J, T>,
    (name, spec): (&str, Spec),
    kind: Kind<V, T, O>,
    combine: Combine<V, T, O>,
) -> Stream<K, O>
where
    K: Key,
    V: Data,
    J: Key + SameKey<K>,
    T: Data,
    O: Send + 'static,
{
    let left = settle(left, &format!("{name}-left"));
    let right = settle(right, &format!("{name}-right"));
    let (keys, draft) = (left.keys, left.draft.clone());
    check::<K>(&draft, (keys.name(), false), &right.draft, right.keys.name());
    let Kind { name: kind, speaks, alone } = kind;
    let label = format!("{kind} join {name}");
    let (step, linger) = (draft.step(&label), spec.linger());
    let store = draft.store(name, None, move || JoinStore::<K, V, T>::new(keys, kind, linger));
    let make = {
        let step = step.clone();
        maker(move |_| JoinStreams::<K, V, T, O> {
            store,
            spec,
            speaks,
            alone,
            combine: Arc::clone(&combine),
            step: step.clone(),
            slots: Vec::new(),
            keys: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![left.from, right.from], make);
    node.stores.push(store);
    let spoken = speaks.into_iter().zip(linger).filter(|(speaks, _)| *speaks);
    node.delay = spoken.map(|(_, linger)| linger).max().unwrap_or(0);
    let node = draft.add(node);
    draft.show((node, LEFT), show::both::<K, V>(keys));
    draft.show((node, RIGHT), show::both::<K, T>(keys));
    Stream::new(&draft, Edge { node, output: 0 }, keys).with_step(step)
}

struct JoinStreams<K, V, T, O> {
    store: usize,
    spec: Spec,
    speaks: [bool; 2],
    alone: Option<fn(Either<V, T>) -> O>,
    combine: Combine<V, T, O>,
    step: Step,
    /// Where the keys of a batch are in the store.
    slots: Vec<u32>,
    keys: PhantomData<fn() -> K>,
}

/// What a batch has come to so far. It outlives a panic of user code.
struct Progress<'a, K: 'static, V, T, O> {
    store: &'a mut JoinStore<K, V, T>,
    results: Batch<K, O>,
    lone: Vec<Lone<K, V, T>>,
    late: u64,
    /// How many results there were before the record at hand.
    before: usize,
}

impl<K: Key, V: Data, T: Data, O: Send + 'static> JoinStreams<K, V, T, O> {
    fn run<X>(
        &mut self,
        rows: Batch<K, X>,
        (side, wrap): (usize, Wrap<X, V, T>),
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let (gate, careful) = (cx.gate, cx.careful);
        let mut counters = *cx.counters;
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        let mut to = self.progress(cx);
        to.store
            .find(rows.iter().map(|row| &row.key), &mut slots)
            .map_err(|cause| Failure::stop(&self.step.label, cause))?;
        let mut rows = rows.into_iter().zip(&slots);
        let result = self.step.stateful(
            &mut to,
            &mut counters,
            careful,
            |to| {
                // A record that was skipped moved the time all the same.
                self.close(to.store.time.now(), to)?;
                for (row, slot) in &mut rows {
                    let now = to.store.time.observe(row.at, &gate);
                    self.close(now, to)?;
                    let Record { key, value, at, headers } = row;
                    let row = Record { key, value: wrap(value), at, headers };
                    self.take(row, (*slot, side), now, to);
                }
                Ok(())
            },
            // User code runs before a record changes anything.
            |to| to.results.truncate(to.before),
        );
        let Progress { results, late, .. } = to;
        self.slots = slots;
        *cx.counters = counters;
        cx.counters.late += late;
        // What the record that failed has closed goes out all the same.
        emit(cx, 0, results);
        result
    }

    /// Pairs a record with its partners, and keeps it for those to come (rule J5).
    fn take(
        &self,
        row: Record<K, Either<V, T>>,
        (slot, side): (u32, usize),
        now: Timestamp,
        to: &mut Progress<'_, K, V, T, O>,
    ) {
        let other = 1 - side;
        let Record { key, value, at, headers } = row;
        let (from, until) = self.spec.partners(side, at);
        to.before = to.results.len();
        for partner in to.store.side(slot, other).between(from, until) {
            let joined = match (&value, &partner.value) {
                (Either::Left(left), Either::Right(right))
                | (Either::Right(right), Either::Left(left)) => (self.combine)(left, right),
                _ => unreachable!("partners are of different sides"),
            };
            to.results.push(Record {
                key: key.clone(),
                value: joined,
                at: at.max(partner.at),
                headers: headers.clone(),
            });
        }
        let is_paired = to.results.len() > to.before;
        if is_paired && self.speaks[other] {
            to.store.pair((slot, other), from, until);
        }
        if at.plus_millis(to.store.linger[side]) > now {
            let matched = is_paired && self.speaks[side];
            to.store.keep((slot, side), (at, value, headers), matched);
        } else if !is_paired {
            to.late += 1;
            if let Some(alone) = self.alone.filter(|_| self.speaks[side]) {
                to.results.push(Record { key, value: alone(value), at, headers });
            }
        }
    }

    /// Drops what is closed at `now`, and sends what was alone (rule J3).
    fn close(&self, now: Timestamp, to: &mut Progress<'_, K, V, T, O>) -> Result<()> {
        to.store.close(now, self.speaks, &mut to.lone)?;
        self.send(to)
    }

    /// Sends records that were alone, in order of closing time, side, key bytes and arrival.
    fn send(&self, to: &mut Progress<'_, K, V, T, O>) -> Result<()> {
        // They are sent once, also if they cannot be put in order.
        let mut lone = std::mem::take(&mut to.lone);
        to.before = to.results.len();
        if lone.len() > 1 {
            let order = KeyOrder::of(to.store.keys, lone.iter().map(|lone| &lone.key))?;
            order.sort_by(&mut lone, |lone| (lone.closing, lone.side));
        }
        if let Some(alone) = self.alone {
            let rows = lone.drain(..).map(|Lone { key, value, at, headers, .. }| {
                let value = alone(value);
                Record { key, value, at, headers }
            });
            to.results.extend(rows);
        }
        to.lone = lone;
        Ok(())
    }

    fn progress<'a>(&self, cx: &'a mut Context<'_>) -> Progress<'a, K, V, T, O> {
        Progress {
            store: cx.stores.get_mut(self.store),
            results: Vec::new(),
            lone: Vec::new(),
            late: 0,
            before: 0,
        }
    }
}

impl<K: Key, V: Data, T: Data, O: Send + 'static> Operator for JoinStreams<K, V, T, O> {
    fn process(
        &mut self,
        port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        match port {
            LEFT => self.run(typed::<K, V>(rows), (LEFT, Either::Left), cx),
            _ => self.run(typed::<K, T>(rows), (RIGHT, Either::Right), cx),
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let gate = cx.gate;
        let mut to = self.progress(cx);
        let now = to.store.time.settle(&gate);
        let closed = self.close(now, &mut to);
        let results = to.results;
        closed.map_err(|cause| Failure::stop(&self.step.label, cause))?;
        emit(cx, 0, results);
        Ok(())
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let mut to = self.progress(cx);
        let taken = to.store.take_lone(self.speaks, &mut to.lone);
        let sent = taken.and_then(|()| self.send(&mut to));
        let results = to.results;
        sent.map_err(|cause| Failure::stop(&self.step.label, cause))?;
        emit(cx, 0, results);
        Ok(())
    }
}
