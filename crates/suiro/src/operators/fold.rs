//! Folds the values of each key into a table, by arrival.

use super::exchange::settle;
use crate::draft::{Draft, maker, step_node};
use crate::expire::{arrive, move_on};
use crate::format::Format;
use crate::row::{Batch, copy, emit, typed, waiting};
use crate::show;
use crate::state::{Expiry, Places, TableStore, keep_headers};
use crate::step::Step;
use crate::table::{Change, Demand, view_of_store};
use crate::ttl::{Lifetime, Owner};
use crate::{Data, Key, Record, Stream, Table};
use std::marker::PhantomData;
use std::sync::Arc;
use std::vec::IntoIter;
use suiro_core::{Result, Timestamp};
use suiro_engine::{
    BoxRows, Context, Edge, Failure, Gate, MakeOperator, Operator, RowQueue, State, Stores,
};

pub(crate) type Init<A> = Arc<dyn Fn() -> A + Send + Sync>;
pub(crate) type Add<A, V> = Arc<dyn Fn(&mut A, V) + Send + Sync>;

pub(crate) fn add<K: Key, V: Data, A: Data>(
    stream: Stream<K, V>,
    name: &str,
    init: Init<A>,
    add: Add<A, V>,
) -> Table<K, A> {
    let stream = settle(stream, name);
    let (keys, draft) = (stream.keys, stream.draft.clone());
    let spec = Spec { keys, name, kind: "fold", inputs: vec![stream.from] };
    let (table, node) = draw(&draft, spec, init, |shared| {
        maker(move |_| Fold::<K, V, A>::new(&shared, Arc::clone(&add)))
    });
    draft.show((node, 0), show::both::<K, V>(keys));
    table
}

/// A table that is to be folded.
pub(super) struct Spec<'a, K: 'static> {
    pub(super) keys: &'static dyn Format<K>,
    pub(super) name: &'a str,
    pub(super) kind: &'a str,
    pub(super) inputs: Vec<Edge>,
}

/// What the folds into one table have in common.
pub(super) struct Shared<A> {
    store: usize,
    init: Init<A>,
    step: Step,
    demand: Demand,
}

/// Draws a table that the operators fold which `make` makes. Gives their node, too.
pub(super) fn draw<K: Key, A: Data>(
    draft: &Draft,
    spec: Spec<'_, K>,
    init: Init<A>,
    make: impl FnOnce(Shared<A>) -> MakeOperator,
) -> (Table<K, A>, usize) {
    let Spec { keys, name, kind, inputs } = spec;
    let label = format!("{kind} {name}");
    let step = draft.step(&label);
    let (demand, lifetime) = (Demand::default(), Lifetime::default());
    let store = {
        let lifetime = lifetime.clone();
        draft.store(name, None, move || TableStore::<K, A>::new(keys, None, lifetime.get()))
    };
    let make = make(Shared { store, init, step, demand: demand.clone() });
    let mut node = step_node(&label, inputs, make);
    node.outputs = vec![Some(copy::<K, Change<A>>)];
    node.stores.push(store);
    let node = draft.add(node);
    let from = Edge { node, output: 0 };
    let view = view_of_store::<K, A>(store);
    let table = Table::new(draft, from, keys, view, vec![store], demand, Some(store));
    (table.owned(Owner { lifetime, node, store }), node)
}

pub(super) struct Fold<K, V, A> {
    store: usize,
    init: Init<A>,
    add: Add<A, V>,
    step: Step,
    demand: Demand,
    places: Places,
    keys: PhantomData<fn() -> K>,
}

/// What a batch has come to so far. It outlives a panic of user code.
struct Progress<'a, K: 'static, A: 'static> {
    store: &'a mut TableStore<K, A>,
    out: Batch<K, Change<A>>,
    late: u64,
    /// In careful mode: the key at hand, and its row before the record.
    undo: Option<(K, Option<A>)>,
}

impl<K: Key, V: Data, A: Data> Fold<K, V, A> {
    pub(super) fn new(shared: &Shared<A>, add: Add<A, V>) -> Self {
        let Shared { store, init, step, demand } = shared;
        Self {
            store: *store,
            init: Arc::clone(init),
            add,
            step: step.clone(),
            demand: demand.clone(),
            places: Places::default(),
            keys: PhantomData,
        }
    }

    /// Takes rows. Only where rows go by time does a fold look at time.
    fn take<const AGES: bool>(
        &self,
        (rows, places): (&mut IntoIter<Record<K, V>>, &mut Places),
        (gate, careful): (&Gate, bool),
        to: &mut Progress<'_, K, A>,
    ) -> Result<()> {
        let (speaks, wants_old) = (self.demand.changes(), self.demand.old());
        for record in rows {
            let (place, key, at) = (places.next(), &record.key, record.at);
            if AGES && arrive(to.store, (at, gate), speaks, &mut to.out)? {
                to.late += 1;
                continue;
            }
            let store = &mut *to.store;
            if careful {
                let row = store.cells.get_at(place, key).and_then(|slot| slot.get().cloned());
                to.undo = Some((key.clone(), row));
            }
            keep_headers(&mut store.headers, key, &record.headers);
            let slot = store.cells.edit_at(place, key);
            let old = if wants_old { slot.get().cloned() } else { None };
            let before = slot.get().is_some().then(|| slot.at());
            let row = slot.get_or_insert_with(|| (self.init)());
            (self.add)(row, record.value);
            slot.set_at(before.map_or(at, |before| before.max(at)));
            if AGES && let Some(expiry) = &mut store.expiry {
                expiry.note(key, slot.at(), before);
            }
            if speaks {
                let Record { key, headers, .. } = record;
                let change = Change { old, new: slot.get().cloned() };
                to.out.push(Record { key, value: change, at: slot.at(), headers });
            }
        }
        Ok(())
    }
}

impl<K: Key, V: Data, A: Data> Operator for Fold<K, V, A> {
    fn foresee(&mut self, _port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let keys = waiting::<K, V>(rows).take(count).map(|row| &row.key);
        self.places.clear();
        stores.get::<TableStore<K, A>>(self.store).cells.find(keys, &mut self.places);
        self.places.doubt();
    }

    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let mut rows = typed::<K, V>(rows).into_iter();
        let (gate, careful) = (cx.gate, cx.careful);
        let mut places = std::mem::take(&mut self.places);
        let mut counters = *cx.counters;
        let store = cx.stores.get_mut::<TableStore<K, A>>(self.store);
        if store.is_lean() || places.left() < rows.len() {
            places.clear();
            store
                .find(rows.as_slice().iter().map(|row| &row.key), &mut places)
                .map_err(|cause| Failure::stop(&self.step.label, cause))?;
        }
        let ages = store.expiry.is_some();
        let room = if self.demand.changes() { rows.len() } else { 0 };
        let mut to = Progress { store, out: Vec::with_capacity(room), late: 0, undo: None };
        let result = self.step.stateful(
            &mut to,
            &mut counters,
            careful,
            |to| match ages {
                true => self.take::<true>((&mut rows, &mut places), (&gate, careful), to),
                false => self.take::<false>((&mut rows, &mut places), (&gate, careful), to),
            },
            |to| {
                if let Some((key, row)) = to.undo.take() {
                    to.store.cells.edit(&key).replace(row);
                }
            },
        );
        let Progress { out, late, .. } = to;
        (*cx.counters, self.places) = (counters, places);
        cx.counters.late += late;
        // What went by the time of the record that failed goes all the same.
        emit(cx, 0, out);
        result
    }

    fn observe(&mut self, at: Timestamp, cx: &mut Context<'_>) -> Result<(), Failure> {
        let of = (self.store, &*self.step.label);
        move_on::<K, A>(of, self.demand.changes(), cx, |expiry, gate| expiry.observe(at, gate))
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let of = (self.store, &*self.step.label);
        move_on::<K, A>(of, self.demand.changes(), cx, Expiry::settle)
    }

    fn rollback(&mut self) {
        self.places.clear();
    }
}
