//! Folds the values of each key in sessions (rules W3, W4, W5 and W6).

use super::exchange::settle;
use super::fold::{self, Add, Init};
use super::window_fold::Emit;
use crate::draft::{Draft, step_node};
use crate::format::Format;
use crate::gap::Gap;
use crate::key_order::KeyOrder;
use crate::late::{Late, TellLate, tell_late};
use crate::row::{Batch, copy, emit, typed};
use crate::show;
use crate::state::{
    Merge, Place, Places, Reach, Session, SessionList, SessionStore, encode_key,
};
use crate::step::Step;
use crate::window::{InWindow, SessionTable};
use crate::{Data, Key, Record, Stream};
use smallvec::SmallVec;
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, MakeOperator, Operator};

/// What is done with the values of a session, and with sessions that become one.
pub(crate) struct Fold<A, V> {
    init: Init<A>,
    add: Add<A, V>,
    merge: Merge<A>,
}

impl<A, V> Fold<A, V> {
    pub(crate) fn of(
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
        merge: impl Fn(&mut A, A) + Send + Sync + 'static,
    ) -> Self {
        Self { init: Arc::new(init), add: Arc::new(add), merge: Arc::new(merge) }
    }
}

/// What makes a session of its first record, and of two one.
pub(super) type Makes<A> = (Init<A>, Merge<A>);

/// `sessions` are the gap, and the grace in milliseconds.
pub(crate) fn add<K: Key, V: Data, A: Data, G: Gap<V>>(
    stream: Stream<K, V>,
    name: &str,
    sessions: (G, i64),
    Fold { init, add, merge }: Fold<A, V>,
) -> SessionTable<K, V, A> {
    let stream = settle(stream, name);
    let (keys, draft) = (stream.keys, stream.draft.clone());
    let spec = fold::Spec { keys, name, kind: "fold", inputs: vec![stream.from] };
    let (table, node) = draw(&draft, spec, sessions, (init, merge), |shared| {
        Arc::new(move |_| shared.fold(&add, tell_late::<K, V>))
    });
    draft.show((node, 0), show::both::<K, V>(keys));
    table
}

/// What the folds into one store of sessions have in common.
pub(super) struct Shared<A, G> {
    store: usize,
    gap: G,
    linger: i64,
    init: Init<A>,
    merge: Merge<A>,
    step: Step,
    emit: Emit,
}

impl<A: Data, G> Shared<A, G> {
    /// The operator that folds values in by `add`.
    pub(super) fn fold<K: Key, V: Data>(
        &self,
        add: &Add<A, V>,
        tell_late: TellLate<K, V>,
    ) -> Box<dyn Operator>
    where
        G: Gap<V>,
    {
        Box::new(SessionFold::<K, V, A, G> {
            store: self.store,
            gap: self.gap.clone(),
            beyond: G::Reach::beyond(self.gap.longest()),
            linger: self.linger,
            init: Arc::clone(&self.init),
            add: Arc::clone(add),
            merge: Arc::clone(&self.merge),
            step: self.step.clone(),
            closes: self.emit.closes(),
            late: self.emit.late().then_some(tell_late),
            types: PhantomData,
        })
    }
}

/// Draws sessions that the operators fold which `make` makes; their late records have values `L`.
/// Gives their node, too.
pub(super) fn draw<K: Key, L: Data, A: Data, G: Gap<L>>(
    draft: &Draft,
    spec: fold::Spec<'_, K>,
    (gap, grace): (G, i64),
    (init, merge): Makes<A>,
    make: impl FnOnce(Shared<A, G>) -> MakeOperator,
) -> (SessionTable<K, L, A>, usize) {
    let fold::Spec { keys, name, kind, inputs } = spec;
    let label = format!("session {kind} {name}");
    let step = draft.step(&label);
    let (longest, after) = (gap.longest(), grace.saturating_add(1));
    let linger = G::Reach::beyond(longest).saturating_add(after);
    let store = draft
        .store(name, None, move || SessionStore::<K, A, G::Reach>::new(keys, longest, linger));
    let emit = Emit::new(draft, longest.saturating_add(after));
    let (of_step, of_emit) = (step.clone(), emit.clone());
    let shared = Shared { store, gap, linger, init, merge, step: of_step, emit: of_emit };
    let mut node = step_node(&label, inputs, make(shared));
    node.outputs = vec![Some(copy::<K, InWindow<Option<A>>>), Some(copy::<K, L>)];
    node.stores.push(store);
    let node = draft.add(node);
    let results = Stream::new(draft, Edge { node, output: 0 }, keys).with_step(step);
    let late = Stream::new(draft, Edge { node, output: 1 }, keys);
    (SessionTable { results, late, emit }, node)
}

struct SessionFold<K, V, A, G> {
    store: usize,
    gap: G,
    /// How long after it has lasted a session takes records in order, and when it closes, in
    /// milliseconds.
    beyond: i64,
    linger: i64,
    init: Init<A>,
    add: Add<A, V>,
    merge: Merge<A>,
    step: Step,
    closes: bool,
    /// How late records are sent, if somebody wants them.
    late: Option<TellLate<K, V>>,
    types: PhantomData<fn() -> (K, V)>,
}

/// The bounds of a session.
#[derive(Clone, Copy)]
struct Bounds<R> {
    start: Timestamp,
    end: Timestamp,
    reach: R,
}

impl<R: Reach> Bounds<R> {
    fn lasts(&self) -> Timestamp {
        self.reach.lasts(self.end)
    }
}

/// The key at hand, its sessions before the record, and how many results there were.
type Before<K, A, R> = (K, Option<SessionList<A, R>>, usize);

/// What a batch has come to so far. It outlives a panic of user code.
struct Progress<'a, K: 'static, V, A: 'static, R: 'static> {
    store: &'a mut SessionStore<K, A, R>,
    results: Batch<K, InWindow<Option<A>>>,
    late: Late<K, V>,
    /// In careful mode: what was before the record.
    undo: Option<Before<K, A, R>>,
}

impl<K: Key, V: Data, A: Data, G: Gap<V>> SessionFold<K, V, A, G> {
    fn take(
        &self,
        (row, place): (Record<K, V>, Place),
        now: Timestamp,
        careful: bool,
        to: &mut Progress<'_, K, V, A, G::Reach>,
    ) -> Result<()> {
        if careful {
            // What the record before has changed stays.
            to.undo = None;
        }
        let (at, beyond, linger) = (row.at, self.beyond, self.linger);
        let gap = self.gap.of(&row.value).map_err(|error| named(error, to.store.keys, &row))?;
        let until = at.plus_millis(gap);
        let slot = to.store.cells.edit_at(place, &row.key);
        let known = slot.get().map_or(&[][..], SmallVec::as_slice);
        // Open sessions of a key are in order and none reaches the next, so those that the record
        // joins are neighbours: `count` of them from `first` on.
        let joins = |session: &Session<A, G::Reach>| {
            session.lasts().plus_millis(beyond) >= at
                && until >= session.start
                && session.lasts().plus_millis(linger) > now
        };
        let first = known.iter().position(joins);
        let count =
            first.map_or(0, |first| known[first..].iter().take_while(|s| joins(s)).count());
        let mut with = Bounds { start: at, end: at, reach: G::Reach::of(until) };
        if let Some(first) = first {
            let last = &known[first + count - 1];
            with.start = known[first].start.min(at);
            with.end = last.end.max(at);
            with.reach = with.reach.and(last.reach);
        }
        if with.lasts().plus_millis(linger) <= now {
            to.late.add(row);
            return Ok(());
        }
        if careful {
            to.undo = Some((row.key.clone(), slot.get().cloned(), to.results.len()));
        }
        let Record { key, value, headers, .. } = row;
        let sessions = slot.get_or_insert_with(SmallVec::new);
        let place = match first {
            Some(first) => {
                let speaks_of = (!self.closes).then_some(&key);
                self.join(sessions, (first, count), with, speaks_of, &headers, &mut to.results);
                first
            }
            None => {
                let place = sessions.partition_point(|session| session.start < at);
                let (value, headers) = ((self.init)(), Headers::NONE);
                let Bounds { start, end, reach } = with;
                sessions.insert(place, Session { start, end, reach, value, headers });
                place
            }
        };
        // An earlier session of the key is looked at before this one, and this one with it.
        let is_earliest = first.is_none() && place == 0;
        let session = &mut sessions[place];
        (self.add)(&mut session.value, value);
        let (start, end) = (session.start, session.end);
        if self.closes {
            session.headers = headers;
        } else {
            let value = InWindow { start, end, value: Some(session.value.clone()) };
            to.results.push(Record { key: key.clone(), value, at: end, headers });
        }
        slot.set_at(end);
        if is_earliest {
            to.store.remember(key, with.lasts());
        }
        Ok(())
    }

    /// Merges `count` sessions from `first` on into one with these bounds, in order of time. Those
    /// whose bounds change are said to be gone first (rule W6).
    fn join(
        &self,
        sessions: &mut SessionList<A, G::Reach>,
        (first, count): (usize, usize),
        Bounds { start, end, reach }: Bounds<G::Reach>,
        speaks_of: Option<&K>,
        headers: &Headers,
        results: &mut Batch<K, InWindow<Option<A>>>,
    ) {
        if let Some(key) = speaks_of {
            for session in &sessions[first..first + count] {
                if (session.start, session.end) != (start, end) {
                    results.push(Record {
                        key: key.clone(),
                        value: InWindow { start: session.start, end: session.end, value: None },
                        at: session.end,
                        headers: headers.clone(),
                    });
                }
            }
        }
        #[cfg(suiro_mutant = "merged_session_not_removed")]
        let later = sessions[first + 1..first + count].to_vec();
        #[cfg(not(suiro_mutant = "merged_session_not_removed"))]
        let later: Vec<_> = sessions.drain(first + 1..first + count).collect();
        let session = &mut sessions[first];
        for later in later {
            (self.merge)(&mut session.value, later.value);
        }
        (session.start, session.end, session.reach) = (start, end, reach);
    }

    /// Sends closed sessions in order of end, start and key bytes (rule W5).
    fn send(
        &self,
        closed: &mut Vec<(K, Session<A, G::Reach>)>,
        to: &mut Progress<'_, K, V, A, G::Reach>,
    ) -> Result<()> {
        if !self.closes || closed.is_empty() {
            closed.clear();
            return Ok(());
        }
        if closed.len() > 1 {
            let order = KeyOrder::of(to.store.keys, closed.iter().map(|(key, _)| key))?;
            order.sort_by(closed, |(_, session)| (session.end, session.start));
        }
        for (key, Session { start, end, value, headers, .. }) in closed.drain(..) {
            let value = InWindow { start, end, value: Some(value) };
            to.results.push(Record { key, value, at: end, headers });
        }
        Ok(())
    }

    fn progress<'a>(&self, cx: &'a mut Context<'_>) -> Progress<'a, K, V, A, G::Reach> {
        Progress {
            store: cx.stores.get_mut(self.store),
            results: Vec::new(),
            late: Late::new(self.late.is_some()),
            undo: None,
        }
    }
}

impl<K: Key, V: Data, A: Data, G: Gap<V>> Operator for SessionFold<K, V, A, G> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let mut rows = typed::<K, V>(rows).into_iter();
        let (gate, careful) = (cx.gate, cx.careful);
        let mut counters = *cx.counters;
        let mut to = self.progress(cx);
        let mut closed = Vec::new();
        let mut places = Places::default();
        to.store
            .find(rows.as_slice().iter().map(|row| &row.key), &mut places)
            .map_err(|cause| Failure::stop(&self.step.label, cause))?;
        let result = self.step.stateful(
            &mut to,
            &mut counters,
            careful,
            |to| {
                // A record that was skipped moved the time all the same.
                to.store.close(to.store.time.now(), &mut closed)?;
                self.send(&mut closed, to)?;
                for row in &mut rows {
                    let now = to.store.time.observe(row.at, &gate);
                    self.take((row, places.next()), now, careful, to)?;
                    to.store.close(now, &mut closed)?;
                    self.send(&mut closed, to)?;
                }
                Ok(())
            },
            |to| {
                if let Some((key, sessions, results)) = to.undo.take() {
                    to.store.cells.edit(&key).replace(sessions);
                    to.results.truncate(results);
                }
            },
        );
        let Progress { results, late, .. } = to;
        *cx.counters = counters;
        cx.counters.late += late.count;
        // What the record that failed has closed goes out all the same.
        if let Some(tell) = self.late {
            tell(cx, late.rows);
        }
        emit(cx, 0, results);
        result
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let gate = cx.gate;
        let mut to = self.progress(cx);
        let now = to.store.time.settle(&gate);
        let mut closed = Vec::new();
        let sent = to.store.close(now, &mut closed);
        let sent = sent.and_then(|()| self.send(&mut closed, &mut to));
        let results = to.results;
        sent.map_err(|cause| Failure::stop(&self.step.label, cause))?;
        emit(cx, 0, results);
        Ok(())
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let mut to = self.progress(cx);
        let mut closed = Vec::new();
        let sent = to.store.close_all(&mut closed);
        let sent = sent.and_then(|()| self.send(&mut closed, &mut to));
        let results = to.results;
        sent.map_err(|cause| Failure::stop(&self.step.label, cause))?;
        emit(cx, 0, results);
        Ok(())
    }
}

/// Names the record whose gap is no gap.
fn named<K: Key, V>(error: Error, keys: &dyn Format<K>, row: &Record<K, V>) -> Error {
    let mut key = Vec::new();
    // A key that cannot be written is not named: the gap is what is wrong.
    let written = encode_key(keys, &row.key, &mut key).is_ok();
    let error = if written { error.with("key", String::from_utf8_lossy(&key)) } else { error };
    error.with("time", row.at)
}
