//! A topic read as a table: a record replaces the row of its key, a null removes it.

use crate::expire::{arrive, move_on};
use crate::row::{Batch, copy, emit, typed, waiting};
use crate::state::{Places, TableStore, keep_headers};
use crate::table::{Change, Demand, view_of_store};
use crate::topology::{Draft, maker, step_node};
use crate::ttl::{Lifetime, Owner};
use crate::{Data, Key, Record, Table, Topic};
use std::marker::PhantomData;
use suiro_core::{Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Gate, Operator, RowQueue, State, Stores};

/// What errors of the store call the step.
const LABEL: &str = "table";

pub(crate) fn add<K: Key, V: Data>(
    draft: &Draft,
    source: Edge,
    topic: &Topic<K, V>,
) -> Table<K, V> {
    let (keys, values) = (topic.keys, topic.values);
    let (demand, lifetime) = (Demand::default(), Lifetime::default());
    let make = {
        let lifetime = lifetime.clone();
        move || TableStore::<K, V>::new(keys, Some(values), lifetime.get())
    };
    let store = draft.store(topic.name(), Some(topic.name().into()), make);
    let make = {
        let demand = demand.clone();
        maker(move |_| TableSource::<K, V> {
            store,
            demand: demand.clone(),
            places: Places::default(),
            types: PhantomData,
        })
    };
    let label = format!("table {}", topic.name());
    let mut node = step_node(&label, vec![source], make);
    node.outputs = vec![Some(copy::<K, Change<V>>)];
    node.stores.push(store);
    let node = draft.add(node);
    let from = Edge { node, output: 0 };
    let view = view_of_store::<K, V>(store);
    Table::new(draft, from, keys, view, vec![store], demand, Some(store)).owned(Owner {
        lifetime,
        node,
        store,
    })
}

struct TableSource<K, V> {
    store: usize,
    demand: Demand,
    places: Places,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Data> TableSource<K, V> {
    /// Takes rows, and gives the changes that they make and how many of them were late. Only
    /// where rows go by time does a table look at time.
    fn take<const AGES: bool>(
        &mut self,
        rows: Batch<K, Option<V>>,
        store: &mut TableStore<K, V>,
        gate: &Gate,
    ) -> Result<(Batch<K, Change<V>>, u64)> {
        let speaks = self.demand.changes();
        let (mut out, mut late) = (Vec::new(), 0);
        for Record { key, value, at, headers } in rows {
            let place = self.places.next();
            if AGES && arrive(store, (at, gate), speaks, &mut out)? {
                late += 1;
                continue;
            }
            let before = store.cells.get_at(place, &key);
            // Removing a row that is not there is no change (rule A6).
            if value.is_none() && before.is_none() {
                continue;
            }
            if AGES
                && value.is_some()
                && let Some(expiry) = &mut store.expiry
            {
                expiry.note(&key, at, before.map(|slot| slot.at()));
            }
            keep_headers(&mut store.headers, &key, &headers);
            let new = if speaks { value.clone() } else { None };
            let slot = store.cells.edit_at(place, &key);
            let old = slot.replace(value);
            slot.set_at(at);
            if speaks {
                out.push(Record { key, value: Change { old, new }, at, headers });
            }
        }
        Ok((out, late))
    }
}

impl<K: Key, V: Data> Operator for TableSource<K, V> {
    fn foresee(&mut self, _port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let keys = waiting::<K, Option<V>>(rows).take(count).map(|row| &row.key);
        self.places.clear();
        stores.get::<TableStore<K, V>>(self.store).cells.find(keys, &mut self.places);
        self.places.doubt();
    }

    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let gate = cx.gate;
        let store = cx.stores.get_mut::<TableStore<K, V>>(self.store);
        let rows = typed::<K, Option<V>>(rows);
        if store.is_lean() || self.places.left() < rows.len() {
            self.places.clear();
            store
                .find(rows.iter().map(|row| &row.key), &mut self.places)
                .map_err(|cause| Failure::stop(LABEL, cause))?;
        }
        let taken = if store.expiry.is_some() {
            self.take::<true>(rows, store, &gate)
        } else {
            self.take::<false>(rows, store, &gate)
        };
        let (out, late) = taken.map_err(|cause| Failure::stop(LABEL, cause))?;
        cx.counters.late += late;
        emit(cx, 0, out);
        Ok(())
    }

    fn observe(&mut self, at: Timestamp, cx: &mut Context<'_>) -> Result<(), Failure> {
        let of = (self.store, LABEL);
        move_on::<K, V>(of, self.demand.changes(), cx, |expiry, gate| expiry.observe(at, gate))
    }

    fn rollback(&mut self) {
        self.places.clear();
    }
}
