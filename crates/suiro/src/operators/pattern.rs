//! Looks for a pattern in the records of each key (rules P1 to P10 of `docs/patterns.md`).

use super::exchange::settle;
use crate::draft::{maker, step_node};
use crate::found::Match;
use crate::key_order::KeyOrder;
use crate::row::{Batch, copy, emit, typed};
use crate::show;
use crate::state::{Ended, Holds, PartialStore, Partials, Place, Places, Seen, Shape, Slot};
use crate::step::{Step, caught};
use crate::{Data, Key, Record, Stream};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::{Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// Whether a value is what a part of a pattern speaks of.
pub(crate) type Test<V> = Arc<dyn Fn(&V) -> bool + Send + Sync>;

/// Makes a result of a match, or of a partial one whose time is over.
pub(crate) type Give<V, R> = fn(bool, Match<V>) -> R;

pub(crate) fn add<K: Key, V: Data, R: Clone + Send + 'static>(
    stream: Stream<K, V>,
    name: &str,
    (shape, tests): (Shape, Vec<Test<V>>),
    wants_time_outs: bool,
    give: Give<V, R>,
) -> Stream<K, R> {
    let stream = settle(stream, name);
    let label = format!("pattern {name} within {} ms", shape.within);
    let (keys, draft) = (stream.keys, stream.draft.clone());
    let step = draft.step(&label);
    let (shape, tests): (_, Arc<[Test<V>]>) = (Arc::new(shape), tests.into());
    // What a record completes is of its turn; what time ends is of earlier ones.
    let is_delayed = shape.waits() || wants_time_outs;
    let delay = if is_delayed { shape.within.saturating_add(1) } else { 0 };
    let store = {
        let shape = Arc::clone(&shape);
        draft.store(name, None, move || PartialStore::<K, V>::new(keys, &shape))
    };
    let make = {
        let step = step.clone();
        maker(move |_| Pattern::<K, V, R> {
            store,
            shape: Arc::clone(&shape),
            tests: Arc::clone(&tests),
            wants_time_outs,
            give,
            step: step.clone(),
            steps: Vec::new(),
            types: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![stream.from], make);
    node.outputs = vec![Some(copy::<K, R>)];
    node.stores.push(store);
    node.delay = delay;
    let node = draft.add(node);
    draft.show((node, 0), show::both::<K, V>(keys));
    Stream::new(&draft, Edge { node, output: 0 }, keys).with_step(step)
}

struct Pattern<K, V, R> {
    store: usize,
    shape: Arc<Shape>,
    tests: Arc<[Test<V>]>,
    wants_time_outs: bool,
    give: Give<V, R>,
    step: Step,
    /// Room for what a record does to the partial matches of its key.
    steps: Vec<Seen>,
    types: PhantomData<fn() -> K>,
}

/// What a batch has come to so far. It outlives a panic of user code.
struct Progress<'a, K: 'static, V: 'static, R> {
    store: &'a mut PartialStore<K, V>,
    results: Batch<K, R>,
    ended: Vec<(K, Ended<V>)>,
    steps: Vec<Seen>,
    late: u64,
}

impl<K: Key, V: Data, R: Send + 'static> Pattern<K, V, R> {
    fn take(&self, row: Record<K, V>, place: Place, to: &mut Progress<'_, K, V, R>) {
        // User code runs before anything changes, so that there is nothing to put back.
        let mut holds: Holds = 0;
        for (number, test) in self.tests.iter().enumerate() {
            holds |= Holds::from(test(&row.value)) << number;
        }
        let Record { key, value, at, headers } = row;
        let (shape, seen) = (&*self.shape, (at, holds));
        to.steps.clear();
        let partials = to.store.cells.get_at(place, &key).and_then(Slot::get);
        let before = partials.and_then(Partials::start);
        let moves = partials.is_some_and(|row| row.look(shape, seen, &mut to.steps));
        if !moves && !shape.begins(holds) {
            return;
        }
        let slot = to.store.cells.edit_at(place, &key);
        let mut partials = slot.replace(None).unwrap_or_default();
        let (give, results) = (self.give, &mut to.results);
        partials.take(shape, seen, &mut to.steps, (value, headers), |ended| {
            let Ended { found, headers, is_match } = ended;
            let (key, at) = (key.clone(), found.end);
            results.push(Record { key, value: give(is_match, found), at, headers });
        });
        slot.set_at(slot.at().max(at));
        let Some(start) = partials.start() else { return };
        slot.replace(Some(partials));
        // The key is looked at when the first of them is over, and then for the next.
        if before.is_none_or(|before| start < before) {
            to.store.remember(key, start);
        }
    }

    /// Ends what is over at `now`.
    fn expire(&self, now: Timestamp, to: &mut Progress<'_, K, V, R>) -> Result<()> {
        to.store.expire(&self.shape, now, self.wants_time_outs, &mut to.ended)?;
        self.send(to)
    }

    /// Sends what time has ended, in order of start, key bytes and arrival (rule P7).
    fn send(&self, to: &mut Progress<'_, K, V, R>) -> Result<()> {
        if to.ended.len() > 1 {
            let order = KeyOrder::of(to.store.keys, to.ended.iter().map(|(key, _)| key))?;
            order.sort_by(&mut to.ended, |(_, ended)| ended.found.start);
        }
        for (key, Ended { is_match, found, headers }) in to.ended.drain(..) {
            let (at, value) = (found.end, (self.give)(is_match, found));
            to.results.push(Record { key, value, at, headers });
        }
        Ok(())
    }

    fn progress<'a>(&mut self, cx: &'a mut Context<'_>) -> Progress<'a, K, V, R> {
        Progress {
            store: cx.stores.get_mut(self.store),
            results: Vec::new(),
            ended: Vec::new(),
            steps: std::mem::take(&mut self.steps),
            late: 0,
        }
    }

    /// Ends what the time or the end of a run asks for, and sends what comes of it.
    fn sweep(
        &mut self,
        cx: &mut Context<'_>,
        sweep: impl FnOnce(&Self, &mut Progress<'_, K, V, R>) -> Result<()>,
    ) -> Result<(), Failure> {
        let mut to = self.progress(cx);
        let swept = caught(|| sweep(self, &mut to));
        let Progress { results, steps, .. } = to;
        self.steps = steps;
        swept.map_err(|cause| Failure::stop(&self.step.label, cause))?;
        emit(cx, 0, results);
        Ok(())
    }
}

impl<K: Key, V: Data, R: Clone + Send + 'static> Operator for Pattern<K, V, R> {
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
        let mut places = Places::default();
        to.store
            .find(rows.as_slice().iter().map(|row| &row.key), &mut places)
            .map_err(|cause| Failure::stop(&self.step.label, cause))?;
        let result = self.step.stateful(
            &mut to,
            &mut counters,
            careful,
            |to| {
                for row in &mut rows {
                    let place = places.next();
                    let now = to.store.time.observe(row.at, &gate);
                    self.expire(now, to)?;
                    // It comes too late for a match of its own, and for any other (rule P8).
                    if self.shape.over(row.at) <= now {
                        to.late += 1;
                    } else {
                        self.take(row, place, to);
                    }
                }
                Ok(())
            },
            |_| {},
        );
        let Progress { results, steps, late, .. } = to;
        self.steps = steps;
        *cx.counters = counters;
        cx.counters.late += late;
        // What the record that failed has ended goes out all the same.
        emit(cx, 0, results);
        result
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let gate = cx.gate;
        self.sweep(cx, |this, to| {
            let now = to.store.time.settle(&gate);
            this.expire(now, to)
        })
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.sweep(cx, |this, to| {
            to.store.expire_all(&this.shape, this.wants_time_outs, &mut to.ended)?;
            this.send(to)
        })
    }
}
