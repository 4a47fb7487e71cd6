//! A table of the last record of each key, out of a topic or out of a stream: a record replaces
//! the row of its key, a null removes it.

use super::exchange::settle;
use crate::draft::{Draft, maker, step_node};
use crate::expire::{arrive, move_on};
use crate::format::Format;
use crate::row::{Batch, copy, emit, typed, waiting};
use crate::state::{Expiry, Places, TableStore, keep_headers};
use crate::table::{Change, Demand, view_of_store};
use crate::ttl::{Lifetime, Owner};
use crate::{Data, IntoRow, Key, Record, Stream, Table, Topic};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::{Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Gate, Operator, RowQueue, State, Stores};

pub(crate) fn add<K: Key, V: Data>(
    draft: &Draft,
    source: Edge,
    topic: &Topic<K, V>,
) -> Table<K, V> {
    let kept = Kept {
        name: topic.name(),
        label: format!("table {}", topic.name()),
        keys: topic.keys,
        topic: Some(topic.values),
    };
    draw::<K, Option<V>, V>(draft, source, kept)
}

/// The table of the last record of each key of a stream.
pub(crate) fn add_of_stream<K: Key, X: Data + IntoRow<V>, V: Data>(
    stream: Stream<K, X>,
    name: &str,
) -> Table<K, V> {
    let stream = settle(stream, name);
    let kept = Kept { name, label: format!("to_table {name}"), keys: stream.keys, topic: None };
    draw::<K, X, V>(&stream.draft, stream.from, kept)
}

/// A table that is to be kept.
struct Kept<'a, K: 'static, V: 'static> {
    name: &'a str,
    label: String,
    keys: &'static dyn Format<K>,
    /// How the topic of that name writes the values, if it is one that is read as a table.
    topic: Option<&'static dyn Format<V>>,
}

/// Draws a table of what arrives from `from`.
fn draw<K: Key, X: IntoRow<V> + Send + 'static, V: Data>(
    draft: &Draft,
    from: Edge,
    kept: Kept<'_, K, V>,
) -> Table<K, V> {
    let Kept { name, label, keys, topic: values } = kept;
    let (demand, lifetime) = (Demand::default(), Lifetime::default());
    let make = {
        let lifetime = lifetime.clone();
        move || TableStore::<K, V>::new(keys, values, lifetime.get())
    };
    let store = draft.store(name, values.map(|_| name.into()), make);
    let make = {
        let (demand, label): (_, Arc<str>) = (demand.clone(), label.as_str().into());
        maker(move |_| TableSource::<K, X, V> {
            store,
            demand: demand.clone(),
            label: Arc::clone(&label),
            places: Places::default(),
            types: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![from], make);
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

/// The types of keys, of what arrives, and of rows.
type Types<K, X, V> = PhantomData<fn() -> (K, X, V)>;

struct TableSource<K, X, V> {
    store: usize,
    demand: Demand,
    label: Arc<str>,
    places: Places,
    types: Types<K, X, V>,
}

impl<K: Key, X: IntoRow<V> + Send + 'static, V: Data> TableSource<K, X, V> {
    /// Takes rows, and gives the changes that they make and how many of them were late. Only
    /// where rows go by time does a table look at time.
    fn take<const AGES: bool>(
        &mut self,
        rows: Batch<K, X>,
        store: &mut TableStore<K, V>,
        gate: &Gate,
    ) -> Result<(Batch<K, Change<V>>, u64)> {
        let speaks = self.demand.changes();
        let (mut out, mut late) = (Vec::new(), 0);
        for Record { key, value, at, headers } in rows {
            let (place, value) = (self.places.next(), IntoRow::<V>::into_row(value));
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

impl<K: Key, X: IntoRow<V> + Send + 'static, V: Data> Operator for TableSource<K, X, V> {
    fn foresee(&mut self, _port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let keys = waiting::<K, X>(rows).take(count).map(|row| &row.key);
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
        let rows = typed::<K, X>(rows);
        if store.is_lean() || self.places.left() < rows.len() {
            self.places.clear();
            store
                .find(rows.iter().map(|row| &row.key), &mut self.places)
                .map_err(|cause| Failure::stop(&*self.label, cause))?;
        }
        let taken = if store.expiry.is_some() {
            self.take::<true>(rows, store, &gate)
        } else {
            self.take::<false>(rows, store, &gate)
        };
        let (out, late) = taken.map_err(|cause| Failure::stop(&*self.label, cause))?;
        cx.counters.late += late;
        emit(cx, 0, out);
        Ok(())
    }

    fn observe(&mut self, at: Timestamp, cx: &mut Context<'_>) -> Result<(), Failure> {
        let of = (self.store, &*self.label);
        move_on::<K, V>(of, self.demand.changes(), cx, |expiry, gate| expiry.observe(at, gate))
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let of = (self.store, &*self.label);
        move_on::<K, V>(of, self.demand.changes(), cx, Expiry::settle)
    }

    fn rollback(&mut self) {
        self.places.clear();
    }
}
