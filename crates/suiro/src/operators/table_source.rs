//! A topic read as a table: a record replaces the row of its key, a null removes it.

use crate::row::{copy, emit, typed, waiting};
use crate::state::{Places, TableStore, keep_headers};
use crate::table::{Change, Demand, view_of_store};
use crate::topology::{Draft, maker, step_node};
use crate::{Data, Key, Record, Table, Topic};
use std::marker::PhantomData;
use suiro_core::Result;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, RowQueue, State, Stores};

pub(crate) fn add<K: Key, V: Data>(
    draft: &Draft,
    source: Edge,
    topic: &Topic<K, V>,
) -> Table<K, V> {
    let (keys, values) = (topic.keys, topic.values);
    let demand = Demand::default();
    let make = move || TableStore::<K, V>::new(keys, Some(values));
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
    let from = Edge { node: draft.add(node), output: 0 };
    Table::new(
        draft,
        from,
        keys,
        view_of_store::<K, V>(store),
        vec![store],
        demand,
        Some(store),
    )
}

struct TableSource<K, V> {
    store: usize,
    demand: Demand,
    places: Places,
    types: PhantomData<fn() -> (K, V)>,
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
        let store = cx.stores.get_mut::<TableStore<K, V>>(self.store);
        let speaks = self.demand.changes();
        let mut out = Vec::new();
        let rows = typed::<K, Option<V>>(rows);
        if store.is_lean() || self.places.left() < rows.len() {
            self.places.clear();
            store
                .find(rows.iter().map(|row| &row.key), &mut self.places)
                .map_err(|cause| Failure::stop("table", cause))?;
        }
        let (cells, kept_headers) = (&mut store.cells, &mut store.headers);
        for Record { key, value, at, headers } in rows {
            let place = self.places.next();
            // Removing a row that is not there is no change (rule A6).
            if value.is_none() && cells.get_at(place, &key).is_none() {
                continue;
            }
            keep_headers(kept_headers, &key, &headers);
            let new = if speaks { value.clone() } else { None };
            let slot = cells.edit_at(place, &key);
            let old = slot.replace(value);
            slot.set_at(at);
            if speaks {
                out.push(Record { key, value: Change { old, new }, at, headers });
            }
        }
        emit(cx, 0, out);
        Ok(())
    }

    fn rollback(&mut self) {
        self.places.clear();
    }
}
