//! Folds the values of each key in slices, of which hopping windows are put together when they
//! close (rules W1, W4, W5 and W8).

use super::fold::{Add, Init};
use super::window_fold::Emit;
use crate::key_order::KeyOrder;
use crate::late::{Late, TellLate};
use crate::row::{Batch, emit, typed};
use crate::state::{Closed, Hops, Merge, SliceStore};
use crate::step::{Step, caught};
use crate::window::InWindow;
use crate::{Data, Key, Record};
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use suiro_core::{Error, Result};
use suiro_engine::{BoxRows, Context, Failure, Operator};

/// By what the states of parts of a window are merged, once that is said.
pub(crate) struct Combine<A> {
    merge: Arc<OnceLock<Merge<A>>>,
}

impl<A> Default for Combine<A> {
    fn default() -> Self {
        Self { merge: Arc::default() }
    }
}

impl<A> Clone for Combine<A> {
    fn clone(&self) -> Self {
        Self { merge: Arc::clone(&self.merge) }
    }
}

impl<A: 'static> Combine<A> {
    /// What is said first counts.
    pub(crate) fn by(&self, merge: impl Fn(&mut A, A) + Send + Sync + 'static) {
        self.merge.get_or_init(|| Arc::new(merge));
    }

    /// The merge of a fold that is done in slices; none for one that is not. Where every update of
    /// every window is shown, and where windows do not overlap, slices are of no use.
    pub(crate) fn slices(&self, hops: Hops, emit: &Emit) -> Option<Merge<A>> {
        let merge = self.merge.get().filter(|_| emit.closes() && !hops.is_tumbling());
        merge.map(Arc::clone)
    }
}

pub(crate) struct SliceFold<K, V, A> {
    store: usize,
    hops: Hops,
    init: Init<A>,
    add: Add<A, V>,
    step: Step,
    /// How late records are sent, if somebody wants them.
    late: Option<TellLate<K, V>>,
    /// Where the keys of a batch are in the store.
    slots: Vec<u32>,
    types: PhantomData<fn() -> K>,
}

/// What a batch has come to so far. It outlives a panic of user code.
struct Progress<'a, K: 'static, V, A: 'static> {
    store: &'a mut SliceStore<K, A>,
    results: Batch<K, InWindow<A>>,
    late: Late<K, V>,
    closed: Vec<Closed<K, A>>,
    /// What stops the work, and is the fault of no record.
    broken: Option<Error>,
}

impl<K: Key, V: Data, A: Data> SliceFold<K, V, A> {
    pub(crate) fn new(
        store: usize,
        hops: Hops,
        (init, add): (Init<A>, Add<A, V>),
        step: Step,
        late: Option<TellLate<K, V>>,
    ) -> Self {
        let (slots, types) = (Vec::new(), PhantomData);
        Self { store, hops, init, add, step, late, slots, types }
    }

    #[inline]
    fn take(
        &self,
        (row, slot): (Record<K, V>, u32),
        careful: bool,
        to: &mut Progress<'_, K, V, A>,
    ) {
        if !to.store.accepts(slot, row.at, to.store.time.now()) {
            return to.late.add(row);
        }
        let Record { value, at, headers, .. } = row;
        let (init, add) = (&*self.init, |state: &mut A| (self.add)(state, value));
        to.store.take(slot, (at, headers), careful, init, add);
    }

    /// Does what the time or the end asks for, and sends the windows that it closes, in order of
    /// end, start and key bytes (rule W5). All are of one size, so that the starts say the order
    /// of the ends. That user code cannot merge what it has made is the fault of no record.
    fn sweep(
        &self,
        to: &mut Progress<'_, K, V, A>,
        sweep: impl FnOnce(&mut SliceStore<K, A>, &mut Vec<Closed<K, A>>) -> Result<()>,
    ) -> Result<()> {
        caught(|| sweep(to.store, &mut to.closed)).map_err(|cause| {
            // A store that fails is none for a policy either, and keeps its kind.
            Error::new(cause.kind(), "windows that are due could not be put together")
                .caused_by(cause)
        })?;
        if to.closed.is_empty() {
            return Ok(());
        }
        let mut closed = std::mem::take(&mut to.closed);
        if closed.len() > 1 {
            let order = KeyOrder::of(to.store.keys, closed.iter().map(|(key, ..)| key))?;
            order.sort_by(&mut closed, |(_, start, _)| *start);
        }
        to.results.extend(closed.drain(..).map(|(key, start, part)| {
            let value = InWindow { start, end: self.hops.end(start), value: part.value };
            Record { key, value, at: part.at, headers: part.headers }
        }));
        to.closed = closed;
        Ok(())
    }

    fn progress<'a>(&self, cx: &'a mut Context<'_>) -> Progress<'a, K, V, A> {
        Progress {
            store: cx.stores.get_mut(self.store),
            results: Vec::new(),
            late: Late::new(self.late.is_some()),
            closed: Vec::new(),
            broken: None,
        }
    }

    /// As [`SliceFold::sweep`], where there is no record.
    fn sweep_alone(
        &self,
        cx: &mut Context<'_>,
        sweep: impl FnOnce(&mut SliceStore<K, A>, &mut Vec<Closed<K, A>>) -> Result<()>,
    ) -> Result<(), Failure> {
        let mut to = self.progress(cx);
        let swept = self.sweep(&mut to, sweep);
        let results = to.results;
        swept.map_err(|cause| Failure::stop(&self.step.label, cause))?;
        emit(cx, 0, results);
        Ok(())
    }
}

impl<K: Key, V: Data, A: Data> Operator for SliceFold<K, V, A> {
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
                    for (place, row) in &mut rows {
                        // A record is in no window that its time closes, so these go first: its
                        // slice may be one of theirs.
                        let now = to.store.time.observe(row.at, &gate);
                        if to.store.is_due(now) {
                            self.sweep(to, |store, closed| store.close(now, closed))?;
                        }
                        self.take((row, slots[place]), careful, to);
                    }
                    Ok(())
                };
                // What is no panic of user code at this record is not for its policy.
                to.broken = work().err();
                Ok(())
            },
            // The store takes a record as a whole or not at all.
            |_| (),
        );
        let Progress { results, late, broken, .. } = to;
        self.slots = slots;
        *cx.counters = counters;
        cx.counters.late += late.count;
        if let Some(cause) = broken {
            return Err(Failure::stop(&self.step.label, cause));
        }
        // What the record that failed has closed goes out all the same.
        if let Some(tell) = self.late {
            tell(cx, late.rows);
        }
        emit(cx, 0, results);
        result
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let gate = cx.gate;
        self.sweep_alone(cx, |store, closed| {
            let now = store.time.settle(&gate);
            store.close(now, closed)
        })
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.sweep_alone(cx, SliceStore::close_all)
    }
}
