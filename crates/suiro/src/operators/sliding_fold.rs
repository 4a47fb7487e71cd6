//! Folds the values of each key in sliding windows (rules W2, W4, W5 and W8).

use super::exchange::settle;
use super::window_fold::Emit;
use crate::draft::{maker, step_node};
use crate::key_order::KeyOrder;
use crate::late::Late;
use crate::row::{Batch, copy, emit, typed};
use crate::show;
use crate::state::{Folds, Pane, Sliding, SlidingStore, WARM};
use crate::step::{Step, caught};
use crate::window::{InWindow, WindowTable};
use crate::{Data, Key, Record, Stream};
use std::marker::PhantomData;
use suiro_core::{Error, Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// Folds what `pick` keeps of each value, for as long as a window may need it.
pub(crate) fn add<K: Key, V: Data, T: Data, A: Data>(
    stream: Stream<K, V>,
    name: &str,
    spec: Sliding,
    pick: fn(V) -> T,
    folds: Folds<T, A>,
) -> WindowTable<K, V, A> {
    let stream = settle(stream, name);
    let label = format!("sliding fold {name}");
    let (keys, draft) = (stream.keys, stream.draft.clone());
    let step = draft.step(&label);
    let store = draft
        .store(name, None, move || SlidingStore::<K, T, A>::new(keys, spec, folds.clone()));
    let emit = Emit::new(&draft, spec.linger());
    let make = {
        let (step, emit) = (step.clone(), emit.clone());
        maker(move |_| SlidingFold::<K, V, T, A> {
            store,
            spec,
            pick,
            step: step.clone(),
            closes: emit.closes(),
            wants_late: emit.late(),
            slots: Vec::new(),
            types: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![stream.from], make);
    node.outputs = vec![Some(copy::<K, InWindow<A>>), Some(copy::<K, V>)];
    node.stores.push(store);
    let node = draft.add(node);
    draft.show((node, 0), show::both::<K, V>(keys));
    let results = Stream::new(&draft, Edge { node, output: 0 }, keys).with_step(step);
    let late = Stream::new(&draft, Edge { node, output: 1 }, keys);
    WindowTable { results, late, emit, combine: None }
}

struct SlidingFold<K, V, T, A> {
    store: usize,
    spec: Sliding,
    pick: fn(V) -> T,
    step: Step,
    closes: bool,
    wants_late: bool,
    /// Where the keys of a batch are in the store.
    slots: Vec<u32>,
    types: PhantomData<fn() -> (K, A)>,
}

/// What a batch has come to so far. It outlives a panic of user code.
struct Progress<'a, K: 'static, V, T, A: 'static> {
    store: &'a mut SlidingStore<K, T, A>,
    results: Batch<K, InWindow<A>>,
    late: Late<K, V>,
    closed: Vec<(K, Pane<A>)>,
    /// The slot of the record at hand, and how many results there were before it.
    at_hand: Option<(u32, usize)>,
    /// What stops the work, and is the fault of no record.
    broken: Option<Error>,
}

impl<K: Key, V: Data, T: Data, A: Data> SlidingFold<K, V, T, A> {
    fn take(
        &self,
        (row, slot): (Record<K, V>, u32),
        now: Timestamp,
        to: &mut Progress<'_, K, V, T, A>,
    ) -> Result<()> {
        to.store.fold(slot)?;
        let Some(entry) = to.store.seek(slot, row.at, now) else {
            to.late.add(row);
            return Ok(());
        };
        let before = to.results.len();
        to.at_hand = Some((slot, before));
        let Record { key, value, at, headers } = row;
        let (spec, results) = (self.spec, &mut to.results);
        let speaks_of = (!self.closes).then_some((&key, headers.clone()));
        let value = (self.pick)(value);
        to.store.accept(slot, entry, (at, value, headers), !self.closes, |pane| {
            let (Some((key, headers)), Some(value)) = (&speaks_of, &pane.value) else { return };
            let (start, value) = (pane.start, value.clone());
            results.push(Record {
                key: (*key).clone(),
                value: InWindow { start, end: spec.end(start), value },
                at: pane.at,
                headers: headers.clone(),
            });
        });
        to.at_hand = None;
        let sent = &mut to.results[before..];
        if !sent.is_sorted_by_key(|row| row.value.start) {
            sent.sort_by_key(|row| row.value.start);
        }
        Ok(())
    }

    /// Closes the windows that are due at `now`.
    fn close(&self, now: Timestamp, to: &mut Progress<'_, K, V, T, A>) -> Result<()> {
        to.store.close(now, !self.closes, &mut to.closed)?;
        self.send(to)
    }

    /// Sends closed windows in order of end, start and key bytes (rule W5). All are of one size,
    /// so that the starts say the order of the ends.
    fn send(&self, to: &mut Progress<'_, K, V, T, A>) -> Result<()> {
        // They are sent once, also if they cannot be put in order.
        let mut closed = std::mem::take(&mut to.closed);
        if closed.len() > 1 {
            let order = KeyOrder::of(to.store.keys, closed.iter().map(|(key, _)| key))?;
            order.sort_by(&mut closed, |(_, pane)| pane.start);
        }
        for (key, Pane { start, at, value, headers, .. }) in closed.drain(..) {
            let end = self.spec.end(start);
            let value = value.map(|value| InWindow { start, end, value });
            to.results.extend(value.map(|value| Record { key, value, at, headers }));
        }
        to.closed = closed;
        Ok(())
    }

    fn progress<'a>(&self, cx: &'a mut Context<'_>) -> Progress<'a, K, V, T, A> {
        Progress {
            store: cx.stores.get_mut(self.store),
            results: Vec::new(),
            late: Late::new(self.wants_late),
            closed: Vec::new(),
            at_hand: None,
            broken: None,
        }
    }

    /// Does what the time or the end asks for, and sends what comes of it.
    fn sweep(
        &self,
        cx: &mut Context<'_>,
        sweep: impl FnOnce(&mut Progress<'_, K, V, T, A>) -> Result<()>,
    ) -> Result<(), Failure> {
        let mut to = self.progress(cx);
        let swept = caught(|| sweep(&mut to).and_then(|()| self.send(&mut to)));
        let results = to.results;
        swept.map_err(|cause| Failure::stop(&self.step.label, cause))?;
        emit(cx, 0, results);
        Ok(())
    }
}

impl<K: Key, V: Data, T: Data, A: Data> Operator for SlidingFold<K, V, T, A> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, V>(rows);
        let (gate, careful) = (cx.gate, cx.careful);
        let mut counters = *cx.counters;
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        let mut to = self.progress(cx);
        to.store
            .find(rows.iter().map(|row| &row.key), &mut slots)
            .map_err(|cause| Failure::stop(&self.step.label, cause))?;
        let mut rows = rows.into_iter().enumerate();
        let result = self.step.stateful(
            &mut to,
            &mut counters,
            careful,
            |to| {
                let mut work = || {
                    // A record that was skipped moved the time all the same.
                    self.close(to.store.time.now(), to)?;
                    for (place, row) in &mut rows {
                        if place % WARM == 0 {
                            to.store.warm(&slots[place..slots.len().min(place + WARM)]);
                        }
                        let now = to.store.time.observe(row.at, &gate);
                        self.take((row, slots[place]), now, to)?;
                        self.close(now, to)?;
                    }
                    Ok(())
                };
                // What is no panic of user code at this record is not for its policy.
                to.broken = work().err();
                Ok(())
            },
            |to| {
                if let Some((slot, results)) = to.at_hand.take() {
                    to.store.spoil(slot);
                    to.results.truncate(results);
                }
            },
        );
        let Progress { results, late, broken, .. } = to;
        self.slots = slots;
        *cx.counters = counters;
        cx.counters.late += late.count;
        if let Some(cause) = broken {
            return Err(Failure::stop(&self.step.label, cause));
        }
        // What the record that failed has closed goes out all the same.
        emit(cx, 1, late.rows);
        emit(cx, 0, results);
        result
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let gate = cx.gate;
        self.sweep(cx, |to| {
            let now = to.store.time.settle(&gate);
            to.store.close(now, !self.closes, &mut to.closed)
        })
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.sweep(cx, |to| to.store.close_all(!self.closes, &mut to.closed))
    }
}
