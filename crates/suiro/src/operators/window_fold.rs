//! Folds the values of each key in windows of fixed size, tumbling or hopping (rules W1, W4, W5
//! and W8).

use super::exchange::settle;
use super::fold::{self, Add, Init};
use super::slice_fold::{Combine, SliceFold};
use crate::draft::{Draft, step_node};
use crate::key_order::KeyOrder;
use crate::late::{Late, TellLate, tell_late};
use crate::row::{Batch, copy, emit, typed};
use crate::show;
use crate::state::{Held, Hops, Merge, Places, SliceStore, Slot, WindowStore, may_have_rows};
use crate::step::{Step, caught};
use crate::window::{InWindow, WindowTable};
use crate::{Data, Key, Record, Stream};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec::IntoIter;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Gate, MakeOperator, Operator};

/// When a windowed fold speaks, and whether somebody wants its late records.
#[derive(Clone)]
pub(crate) struct Emit {
    draft: Draft,
    node: usize,
    /// How far behind stream time the results of closed windows may be.
    delay: i64,
    flags: Arc<(AtomicBool, AtomicBool)>,
}

impl Emit {
    /// The node does not exist yet; it is the next one that is added.
    pub(crate) fn new(draft: &Draft, delay: i64) -> Self {
        let node = draft.sketch().graph.nodes.len();
        Self { draft: draft.clone(), node, delay, flags: Arc::default() }
    }

    pub(crate) fn on_close(&self) {
        self.flags.0.store(true, Ordering::Relaxed);
        self.draft.sketch().graph.nodes[self.node].delay = self.delay;
    }

    pub(crate) fn on_update(&self) {
        self.flags.0.store(false, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, error: Error) {
        self.draft.refuse(error);
    }

    /// The name of the store of what the windows have not shown yet.
    pub(crate) fn name_of_pending(&self) -> String {
        super::every::name_of(&self.draft, self.node)
    }

    pub(crate) fn want_late(&self) {
        self.flags.1.store(true, Ordering::Relaxed);
    }

    pub(crate) fn closes(&self) -> bool {
        self.flags.0.load(Ordering::Relaxed)
    }

    pub(crate) fn late(&self) -> bool {
        self.flags.1.load(Ordering::Relaxed)
    }
}

pub(crate) fn add<K: Key, V: Data, A: Data>(
    stream: Stream<K, V>,
    name: &str,
    hops: Hops,
    (init, add): (Init<A>, Add<A, V>),
    combine: Option<Combine<A>>,
) -> WindowTable<K, V, A> {
    let stream = settle(stream, name);
    let (keys, draft) = (stream.keys, stream.draft.clone());
    let spec = fold::Spec { keys, name, kind: "fold", inputs: vec![stream.from] };
    let (table, node) = draw(&draft, spec, hops, (init, combine), |shared| {
        Arc::new(move |_| shared.fold(&add, tell_late::<K, V>))
    });
    draft.show((node, 0), show::both::<K, V>(keys));
    table
}

/// What the folds into one store of windows have in common.
pub(super) struct Shared<A> {
    store: usize,
    hops: Hops,
    init: Init<A>,
    step: Step,
    emit: Emit,
    combine: Option<Combine<A>>,
}

impl<A: Data> Shared<A> {
    /// By what slices are merged, if the windows are made of them.
    fn slices(&self) -> Option<Merge<A>> {
        self.combine.as_ref().and_then(|combine| combine.slices(self.hops, &self.emit))
    }

    /// The operator that folds values in by `add`.
    pub(super) fn fold<K: Key, V: Data>(
        &self,
        add: &Add<A, V>,
        tell_late: TellLate<K, V>,
    ) -> Box<dyn Operator> {
        let (init, add, step) = (Arc::clone(&self.init), Arc::clone(add), self.step.clone());
        let late = self.emit.late().then_some(tell_late);
        match self.slices() {
            Some(_) => {
                let fold = (init, add);
                Box::new(SliceFold::<K, V, A>::new(self.store, self.hops, fold, step, late))
            }
            None => Box::new(WindowFold::<K, V, A> {
                store: self.store,
                spec: self.hops,
                init,
                add,
                step,
                closes: self.emit.closes(),
                late,
                places: Places::default(),
                types: PhantomData,
            }),
        }
    }
}

/// Draws windows that the operators fold which `make` makes; their late records have values `L`.
/// Gives their node, too.
pub(super) fn draw<K: Key, L: Data, A: Data>(
    draft: &Draft,
    spec: fold::Spec<'_, K>,
    hops: Hops,
    (init, combine): (Init<A>, Option<Combine<A>>),
    make: impl FnOnce(Arc<Shared<A>>) -> MakeOperator,
) -> (WindowTable<K, L, A>, usize) {
    let fold::Spec { keys, name, kind, inputs } = spec;
    let label = match hops.is_tumbling() {
        true => format!("tumbling {kind} {name}"),
        false => format!("hopping {kind} {name}"),
    };
    let step = draft.step(&label);
    let emit = Emit::new(draft, hops.size.saturating_add(hops.grace));
    let shared = Shared {
        // The store is the next one.
        store: draft.sketch().graph.stores.len(),
        hops,
        init,
        step: step.clone(),
        emit: emit.clone(),
        combine: combine.clone(),
    };
    let shared = Arc::new(shared);
    let store = {
        let shared = Arc::clone(&shared);
        draft.store_of(name, move || match shared.slices() {
            Some(merge) => Box::new(SliceStore::<K, A>::new(keys, hops, merge)),
            None => Box::new(WindowStore::<K, A>::new(keys, hops)),
        })
    };
    let mut node = step_node(&label, inputs, make(shared));
    node.outputs = vec![Some(copy::<K, InWindow<A>>), Some(copy::<K, L>)];
    node.stores.push(store);
    let node = draft.add(node);
    let results = Stream::new(draft, Edge { node, output: 0 }, keys).with_step(step);
    let late = Stream::new(draft, Edge { node, output: 1 }, keys);
    (WindowTable { results, late, emit, combine }, node)
}

struct WindowFold<K, V, A> {
    store: usize,
    spec: Hops,
    init: Init<A>,
    add: Add<A, V>,
    step: Step,
    closes: bool,
    /// How late records are sent, if somebody wants them.
    late: Option<TellLate<K, V>>,
    places: Places,
    types: PhantomData<fn() -> (K, V)>,
}

/// What a batch has come to so far. It outlives a panic of user code.
struct Progress<'a, K: 'static, V, A: 'static> {
    store: &'a mut WindowStore<K, A>,
    results: Batch<K, InWindow<A>>,
    late: Late<K, V>,
    /// In careful mode: what the record at hand has changed.
    undo: Option<Undo<K, A>>,
    /// What stops the work, and is the fault of no record.
    broken: Option<Error>,
}

/// The key of a record, the rows before it by window, and how many results there were.
struct Undo<K, A> {
    key: K,
    rows: Vec<(Timestamp, Option<Held<A>>)>,
    results: usize,
}

impl<K: Clone, A> Undo<K, A> {
    /// Nothing is changed yet by a record of `key`.
    fn of(key: &K, results: usize) -> Self {
        Self { key: key.clone(), rows: Vec::new(), results }
    }
}

impl<K: Key, V: Data, A: Data> WindowFold<K, V, A> {
    /// Takes records of one tumbling window off, until there is one of another window, or until
    /// one moves the time so far that a window is due, which stays and is taken when it is closed.
    fn take_run(
        &mut self,
        rows: &mut IntoIter<Record<K, V>>,
        gate: &Gate,
        careful: bool,
        to: &mut Progress<'_, K, V, A>,
    ) {
        let Some(first) = rows.as_slice().first() else { return };
        let start = self.spec.last(first.at);
        if self.spec.is_closed(start, to.store.time.observe(first.at, gate)) {
            self.places.next();
            rows.next().into_iter().for_each(|row| to.late.add(row));
            return;
        }
        let due = to.store.will_be_due(self.spec.closing(start));
        let (pane, time) = to.store.pane_and_time(start);
        while let Some(row) = rows.as_slice().first()
            && self.spec.is_last(start, row.at)
            && time.observe(row.at, gate) < due
            && let Some(row) = rows.next()
        {
            to.undo = careful.then(|| Undo::of(&row.key, to.results.len()));
            let slot = pane.edit_at(self.places.next(), &row.key);
            if let Some(row) = self.take_in(start, slot, row, &mut to.undo, &mut to.results) {
                to.late.add(row);
            }
        }
    }

    /// Takes a record into each of its windows that is open, in order of start (rule W1).
    fn take_all(
        &mut self,
        row: Record<K, V>,
        now: Timestamp,
        careful: bool,
        to: &mut Progress<'_, K, V, A>,
    ) {
        let (last, mut taken) = (self.spec.last(row.at), false);
        if self.spec.is_closed(last, now) {
            return to.late.add(row);
        }
        to.undo = careful.then(|| Undo::of(&row.key, to.results.len()));
        let mut take = |start, row: Record<K, V>| {
            to.store.will_be_due(self.spec.closing(start));
            let slot = to.store.pane(start).edit(&row.key);
            self.take_in(start, slot, row, &mut to.undo, &mut to.results)
        };
        let mut start = self.spec.first(row.at);
        while start < last {
            if !self.spec.is_closed(start, now) {
                taken |= take(start, row.clone()).is_none();
            }
            start = start.plus_millis(self.spec.advance);
        }
        match take(last, row) {
            Some(row) if !taken => to.late.add(row),
            _ => {}
        }
    }

    /// Takes a record into one window; gives it back if the end of a bounded run has closed it.
    #[inline]
    fn take_in(
        &self,
        start: Timestamp,
        slot: &mut Slot<Held<A>>,
        row: Record<K, V>,
        undo: &mut Option<Undo<K, A>>,
        results: &mut Batch<K, InWindow<A>>,
    ) -> Option<Record<K, V>> {
        if let Some(Held::Closed) = slot.get() {
            return Some(row);
        }
        if let Some(undo) = undo {
            undo.rows.push((start, slot.get().cloned()));
        }
        let Record { key, value, at, headers } = row;
        let at = if slot.get().is_none() { at } else { slot.at().max(at) };
        let new = || Held::Open((self.init)(), Headers::NONE);
        let Held::Open(state, last) = slot.get_or_insert_with(new) else { return None };
        (self.add)(state, value);
        if self.closes {
            *last = headers;
        } else {
            let value = InWindow { start, end: self.spec.end(start), value: state.clone() };
            results.push(Record { key, value, at, headers });
        }
        slot.set_at(at);
        None
    }

    /// Looks for the rows of a run of records whose last window is the same.
    fn find(&mut self, run: &[Record<K, V>], store: &mut WindowStore<K, A>) -> Result<()> {
        let keys = run.iter().map(|row| &row.key);
        let last = self.spec.last(run[0].at);
        if self.spec.is_tumbling() {
            return store.find(last, keys, &mut self.places);
        }
        let mut start = run.iter().map(|row| self.spec.first(row.at)).min().unwrap_or(last);
        while start <= last {
            store.bring(start, keys.clone())?;
            start = start.plus_millis(self.spec.advance);
        }
        self.places.skip(run.len());
        Ok(())
    }

    /// Closes the windows that are due. What user code does wrong there is the fault of no record.
    fn close_due(&self, to: &mut Progress<'_, K, V, A>) -> Result<()> {
        to.undo = None;
        caught(|| self.close(to.store.time.now(), to))
    }

    /// Closes the windows that are due at `now`.
    fn close(&self, now: Timestamp, to: &mut Progress<'_, K, V, A>) -> Result<()> {
        if to.store.next_due.is_some_and(|due| due > now) {
            return Ok(());
        }
        let panes = to.store.panes.iter();
        let due = panes.filter(|(_, pane)| may_have_rows(pane));
        let due: Vec<Timestamp> = due.map(|(start, _)| *start).collect();
        to.store.next_due = Some(Timestamp::MAX);
        for start in due {
            if !self.spec.is_closed(start, now) {
                to.store.next_due = Some(self.spec.closing(start));
                break;
            }
            self.close_pane(start, None, to)?;
        }
        Ok(())
    }

    /// Sends the rows of a window in order of their keys' bytes, and leaves `mark` behind.
    fn close_pane(
        &self,
        start: Timestamp,
        mark: Option<Held<A>>,
        to: &mut Progress<'_, K, V, A>,
    ) -> Result<()> {
        to.store.bring_up(start)?;
        let mut rows = Vec::with_capacity(to.store.pane(start).len());
        let mut row = |key, held, at| {
            if let Held::Open(value, headers) = held {
                let value = InWindow { start, end: self.spec.end(start), value };
                rows.push(Record { key, value, at, headers });
            }
        };
        let mut marked = Vec::new();
        if mark.is_some() || !to.store.drain_fresh(start, &mut row) {
            to.store.pane(start).take_all(|key, held, at| {
                if mark.is_some() {
                    marked.push(key.clone());
                }
                row(key.clone(), held, at);
            });
        }
        for key in marked {
            to.store.pane(start).edit(&key).replace(mark.clone());
        }
        if self.closes {
            let order = KeyOrder::of(to.store.keys, rows.iter().map(|row| &row.key))?;
            order.sort(&mut rows);
            to.results.append(&mut rows);
        }
        Ok(())
    }

    fn progress<'a>(&self, cx: &'a mut Context<'_>) -> Progress<'a, K, V, A> {
        Progress {
            store: cx.stores.get_mut(self.store),
            results: Vec::new(),
            late: Late::new(self.late.is_some()),
            undo: None,
            broken: None,
        }
    }
}

impl<K: Key, V: Data, A: Data> Operator for WindowFold<K, V, A> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let mut rows = typed::<K, V>(rows).into_iter();
        let (gate, careful, step) = (cx.gate, cx.careful, self.step.clone());
        let mut counters = *cx.counters;
        let mut to = self.progress(cx);
        self.places.clear();
        to.store.make_room(rows.len());
        let spec = self.spec;
        rows.as_slice()
            .chunk_by(|a, b| spec.last(a.at) == spec.last(b.at))
            .try_for_each(|run| self.find(run, to.store))
            .map_err(|cause| Failure::stop(&step.label, cause))?;
        // A window may close, and its map serve another one, before its rows are at hand.
        self.places.doubt();
        let result = step.stateful(
            &mut to,
            &mut counters,
            careful,
            |to| {
                let mut work = || {
                    // A record that was skipped moved the time all the same.
                    self.close_due(to)?;
                    while let Some(first) = rows.as_slice().first() {
                        if self.spec.is_tumbling() {
                            self.take_run(&mut rows, &gate, careful, to);
                        } else {
                            let now = to.store.time.observe(first.at, &gate);
                            let row = rows.next();
                            row.into_iter()
                                .for_each(|row| self.take_all(row, now, careful, to));
                        }
                        self.close_due(to)?;
                    }
                    Ok(())
                };
                // What is no panic of user code at this record is not for its policy.
                to.broken = work().err();
                Ok(())
            },
            |to| {
                let Some(Undo { key, rows, results }) = to.undo.take() else { return };
                for (start, row) in rows.into_iter().rev() {
                    to.store.pane(start).edit(&key).replace(row);
                }
                to.results.truncate(results);
            },
        );
        let Progress { results, late, broken, .. } = to;
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
        let starts: Vec<Timestamp> = to.store.panes.keys().copied().collect();
        let closed = starts
            .into_iter()
            .try_for_each(|start| self.close_pane(start, Some(Held::Closed), &mut to));
        let results = to.results;
        closed.map_err(|cause| Failure::stop(&self.step.label, cause))?;
        emit(cx, 0, results);
        Ok(())
    }
}
