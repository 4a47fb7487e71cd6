//! Folds the values of each key into a table, by arrival.

use super::exchange::settle;
use crate::row::{Batch, copy, emit, typed, waiting};
use crate::show;
use crate::state::{Cells, Places, TableStore, keep_headers};
use crate::step::Step;
use crate::table::{Change, Demand, view_of_store};
use crate::topology::{maker, step_node};
use crate::{Data, Key, Record, Stream, Table};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::Result;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, RowQueue, State, Stores};

pub(crate) type Init<A> = Arc<dyn Fn() -> A + Send + Sync>;
pub(crate) type Add<A, V> = Arc<dyn Fn(&mut A, V) + Send + Sync>;

pub(crate) fn add<K: Key, V: Data, A: Data>(
    stream: Stream<K, V>,
    name: &str,
    init: Init<A>,
    add: Add<A, V>,
) -> Table<K, A> {
    let stream = settle(stream, name);
    let label = format!("fold {name}");
    let (keys, draft) = (stream.keys, stream.draft.clone());
    let step = draft.step(&label);
    let demand = Demand::default();
    let store = draft.store(name, None, move || TableStore::<K, A>::new(keys, None));
    let make = {
        let (step, demand) = (step.clone(), demand.clone());
        maker(move |_| Fold::<K, V, A> {
            store,
            init: Arc::clone(&init),
            add: Arc::clone(&add),
            step: step.clone(),
            demand: demand.clone(),
            places: Places::default(),
            keys: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![stream.from], make);
    node.outputs = vec![Some(copy::<K, Change<A>>)];
    node.stores.push(store);
    let node = draft.add(node);
    draft.show((node, 0), show::both::<K, V>(keys));
    let from = Edge { node, output: 0 };
    Table::new(
        &draft,
        from,
        keys,
        view_of_store::<K, A>(store),
        vec![store],
        demand,
        Some(store),
    )
}

struct Fold<K, V, A> {
    store: usize,
    init: Init<A>,
    add: Add<A, V>,
    step: Step,
    demand: Demand,
    places: Places,
    keys: PhantomData<fn() -> K>,
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
        let store = cx.stores.get_mut::<TableStore<K, A>>(self.store);
        if store.is_lean() || self.places.left() < rows.len() {
            self.places.clear();
            store
                .find(rows.as_slice().iter().map(|row| &row.key), &mut self.places)
                .map_err(|cause| Failure::stop(&self.step.label, cause))?;
        }
        let (cells, kept_headers) = (&mut store.cells, &mut store.headers);
        let places = &mut self.places;
        let (speaks, wants_old) = (self.demand.changes(), self.demand.old());
        let mut out: Batch<K, Change<A>> = Vec::new();
        if speaks {
            out.reserve(rows.len());
        }
        let careful = cx.careful;
        // In careful mode: the key at hand, and its row before the record.
        let mut undo: Option<(K, Option<A>)> = None;
        let work = |cells: &mut Cells<K, A>, undo: &mut Option<(K, Option<A>)>| {
            for record in &mut rows {
                let (place, key, at) = (places.next(), &record.key, record.at);
                if careful {
                    let row = cells.get_at(place, key).and_then(|slot| slot.get().cloned());
                    *undo = Some((key.clone(), row));
                }
                keep_headers(kept_headers, key, &record.headers);
                let slot = cells.edit_at(place, key);
                let old = if wants_old { slot.get().cloned() } else { None };
                let had = slot.get().is_some();
                let row = slot.get_or_insert_with(|| (self.init)());
                (self.add)(row, record.value);
                slot.set_at(if had { slot.at().max(at) } else { at });
                if speaks {
                    let Record { key, headers, .. } = record;
                    let change = Change { old, new: slot.get().cloned() };
                    out.push(Record { key, value: change, at: slot.at(), headers });
                }
            }
            Ok(())
        };
        let mut state = (cells, &mut undo);
        let mut work = work;
        self.step.stateful(
            &mut state,
            cx.counters,
            careful,
            |(cells, undo)| work(cells, undo),
            |(cells, undo)| {
                if let Some((key, row)) = undo.take() {
                    cells.edit(&key).replace(row);
                }
            },
        )?;
        emit(cx, 0, out);
        Ok(())
    }

    fn rollback(&mut self) {
        self.places.clear();
    }
}
