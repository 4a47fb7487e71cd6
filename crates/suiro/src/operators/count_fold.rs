//! Folds the values of each key, so many at a time (rule W7).

use super::every::Counted;
use super::exchange::settle;
use super::fold::{Add, Init};
use crate::draft::{maker, step_node};
use crate::row::{Batch, copy, emit, typed};
use crate::show;
use crate::state::{Places, TableStore};
use crate::step::Step;
use crate::window::{CountTable, InWindow};
use crate::{Data, Key, Record, Stream};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use suiro_core::{Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// A window that is being filled.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "A: Data")]
pub(crate) struct Filling<A> {
    /// The smallest and the largest time in it, in milliseconds.
    first: i64,
    last: i64,
    /// How many records it holds.
    count: u64,
    value: A,
}

impl<A> Filling<A> {
    /// How many records the window holds, and the window.
    pub(crate) fn into_window(self) -> (u64, InWindow<A>) {
        let Self { first, last, count, value } = self;
        let [start, end] = [first, last].map(Timestamp::from_millis);
        (count, InWindow { start, end, value })
    }
}

/// When a fold speaks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Emit {
    pub(crate) closes: Arc<AtomicBool>,
    /// Whether it tells on its second output which windows are full, at every record.
    pub(crate) tells: Arc<AtomicBool>,
}

pub(crate) fn add<K: Key, V: Data, A: Data>(
    stream: Stream<K, V>,
    name: &str,
    size: u64,
    init: Init<A>,
    add: Add<A, V>,
) -> CountTable<K, A> {
    let stream = settle(stream, name);
    let label = format!("count window fold {name}");
    let (keys, draft) = (stream.keys, stream.draft.clone());
    let step = draft.step(&label);
    let store =
        draft.store(name, None, move || TableStore::<K, Filling<A>>::new(keys, None, None));
    let emit = Emit::default();
    let make = {
        let (step, emit) = (step.clone(), emit.clone());
        maker(move |_| CountFold::<K, V, A> {
            store,
            size,
            init: Arc::clone(&init),
            add: Arc::clone(&add),
            step: step.clone(),
            closes: emit.closes.load(Ordering::Relaxed),
            tells: emit.tells.load(Ordering::Relaxed),
            types: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![stream.from], make);
    node.outputs = vec![Some(copy::<K, InWindow<A>>), Some(copy::<K, Counted<A>>)];
    node.stores.push(store);
    let node = draft.add(node);
    draft.show((node, 0), show::both::<K, V>(keys));
    let results = Stream::new(&draft, Edge { node, output: 0 }, keys).with_step(step.clone());
    let told = Stream::new(&draft, Edge { node, output: 1 }, keys).with_step(step);
    CountTable { results, told, emit, name: name.to_owned() }
}

struct CountFold<K, V, A> {
    store: usize,
    size: u64,
    init: Init<A>,
    add: Add<A, V>,
    step: Step,
    closes: bool,
    tells: bool,
    types: PhantomData<fn() -> (K, V)>,
}

/// What a batch has come to so far. It outlives a panic of user code.
struct Progress<'a, K: 'static, A: 'static> {
    store: &'a mut TableStore<K, Filling<A>>,
    places: Places,
    out: Batch<K, InWindow<A>>,
    told: Batch<K, Counted<A>>,
    /// In careful mode: the key at hand, and its window before the record.
    undo: Option<(K, Option<Filling<A>>)>,
}

impl<K: Key, V: Data, A: Data> CountFold<K, V, A> {
    fn take(&self, row: Record<K, V>, careful: bool, to: &mut Progress<'_, K, A>) {
        let Record { key, value, at, headers } = row;
        let slot = to.store.cells.edit_at(to.places.next(), &key);
        if careful {
            to.undo = Some((key.clone(), slot.get().cloned()));
        }
        let (millis, before) = (at.as_millis(), slot.get().map(|_| slot.at()));
        let filling = slot.get_or_insert_with(|| {
            let value = (self.init)();
            Filling { first: millis, last: millis, count: 0, value }
        });
        (self.add)(&mut filling.value, value);
        filling.count += 1;
        filling.first = filling.first.min(millis);
        filling.last = filling.last.max(millis);
        let is_full = filling.count >= self.size;
        if self.tells {
            let (_, value) = filling.clone().into_window();
            let at = value.end;
            to.told.push(Record { key, value: (is_full, value), at, headers });
        } else if is_full || !self.closes {
            let (_, value) = filling.clone().into_window();
            to.out.push(Record { key, at: value.end, value, headers });
        }
        slot.set_at(before.map_or(at, |before| before.max(at)));
        if is_full {
            slot.replace(None);
        }
    }
}

impl<K: Key, V: Data, A: Data> Operator for CountFold<K, V, A> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let mut rows = typed::<K, V>(rows).into_iter();
        let (careful, mut counters) = (cx.careful, *cx.counters);
        let store = cx.stores.get_mut::<TableStore<K, Filling<A>>>(self.store);
        let mut places = Places::default();
        store
            .find(rows.as_slice().iter().map(|row| &row.key), &mut places)
            .map_err(|cause| Failure::stop(&self.step.label, cause))?;
        let (out, told) = (Vec::new(), Vec::new());
        let mut to = Progress { store, places, out, told, undo: None };
        let result = self.step.stateful(
            &mut to,
            &mut counters,
            careful,
            |to| {
                for row in &mut rows {
                    self.take(row, careful, to);
                }
                Ok(())
            },
            |to| {
                if let Some((key, window)) = to.undo.take() {
                    to.store.cells.edit(&key).replace(window);
                }
            },
        );
        let Progress { out, told, .. } = to;
        *cx.counters = counters;
        emit(cx, 0, out);
        emit(cx, 1, told);
        result
    }
}
