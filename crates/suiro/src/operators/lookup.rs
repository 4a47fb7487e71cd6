//! A stream looks up a table's row of the same key, as of its own turn (rules K1 and K3).

use crate::draft::{Draft, maker, step_node};
use crate::row::{Batch, emit, typed, waiting};
use crate::show;
use crate::state::{Cells, Places, Slot, TableStore};
use crate::step::Step;
use crate::table::View;
use crate::{Data, Key, Record, SameKey, Stream, Table};
use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;
use std::vec::IntoIter;
use suiro_core::{Error, Result};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, RowQueue, State, Stores};

/// Looks up the row of each record. `combine` joins the value with the row that was found, if
/// there is one; where it gives `None` the record is dropped.
pub(crate) fn add<K, V, J, T, W>(
    stream: Stream<K, V>,
    table: &Table<J, T>,
    label: &str,
    combine: impl Fn(V, Option<&T>) -> Option<W> + Send + Sync + 'static,
) -> Stream<K, W>
where
    K: Key,
    V: Data,
    J: Key + SameKey<K>,
    T: Data,
    W: Send + 'static,
{
    let draft = &stream.draft;
    check::<K>(draft, (stream.keys.name(), stream.moved), &table.draft, table.keys.name());
    let view = same_key::<K, J, T>(&table.view);
    let (step, store, combine) = (draft.step(label), table.store, Arc::new(combine));
    let make = {
        let step = step.clone();
        maker(move |_| Lookup {
            view: Arc::clone(&view),
            store,
            combine: Arc::clone(&combine),
            step: step.clone(),
            places: Places::default(),
            types: PhantomData,
        })
    };
    let mut node = step_node(label, vec![stream.from], make);
    node.stores.clone_from(&table.reads);
    node.looks.extend(table.reads.iter().map(|store| (0, *store)));
    let node = draft.add(node);
    draft.show((node, 0), show::both::<K, V>(stream.keys));
    let from = Edge { node, output: 0 };
    Stream::new(draft, from, stream.keys).with_step(step)
}

/// Refuses joins whose sides would not meet.
pub(crate) fn check<K: 'static>(draft: &Draft, left: (&str, bool), other: &Draft, right: &str) {
    if !draft.is_same(other) {
        return;
    }
    let (left, moved) = left;
    if moved {
        draft.refuse(Error::invalid(
            "a join comes after `key_by`, and the records are not yet where their keys belong; \
             add `.repartition(\"name\")` between them",
        ));
    }
    // Strings are the same bytes as text and as keys of JSON topics.
    let plain = ["text", "json-key"];
    let is_text = TypeId::of::<K>() == TypeId::of::<String>();
    let same = left == right || (is_text && plain.contains(&left) && plain.contains(&right));
    if !same {
        let text = "the keys of the two sides of a join have different formats, so that equal \
                    keys may be in different partitions; give both topics one key format";
        draft.refuse(Error::invalid(text).with("left", left).with("right", right));
    }
}

/// The view with the key's type as the left side knows it; `SameKey` says that it is the same.
pub(crate) fn same_key<K: Key, J: Key + SameKey<K>, T: Data>(view: &View<J, T>) -> View<K, T> {
    let view: Box<dyn Any> = Box::new(Arc::clone(view));
    *view.downcast::<View<K, T>>().expect("`SameKey` holds for equal types only")
}

struct Lookup<K, V, T, W, F> {
    view: View<K, T>,
    /// The store that holds exactly the rows of the table, if there is one.
    store: Option<usize>,
    combine: Arc<F>,
    step: Step,
    places: Places,
    types: PhantomData<fn(V) -> W>,
}

impl<K, V, T, W, F> Lookup<K, V, T, W, F>
where
    K: Key,
    V: Data,
    T: Data,
    F: Fn(V, Option<&T>) -> Option<W>,
{
    /// Looks up in the one store of the table.
    fn in_store(
        &mut self,
        rows: &mut IntoIter<Record<K, V>>,
        cells: &Cells<K, T>,
        out: &mut Batch<K, W>,
    ) {
        for Record { key, value, at, headers } in rows {
            let slot = cells.get_at(self.places.next(), &key);
            if let Some(value) = (self.combine)(value, slot.and_then(Slot::get)) {
                out.push(Record { key, value, at, headers });
            }
        }
    }

    /// Looks up in a table that is made of others.
    fn in_view(
        &self,
        rows: &mut IntoIter<Record<K, V>>,
        stores: &Stores,
        out: &mut Batch<K, W>,
    ) -> Result<()> {
        for Record { key, value, at, headers } in rows {
            let (mut value, mut joined) = (Some(value), None);
            (self.view)(stores, &key, &mut |row, _| {
                if let Some(value) = value.take() {
                    joined = (self.combine)(value, Some(row));
                }
            })?;
            if let Some(value) = value {
                joined = (self.combine)(value, None);
            }
            if let Some(value) = joined {
                out.push(Record { key, value, at, headers });
            }
        }
        Ok(())
    }
}

impl<K, V, T, W, F> Operator for Lookup<K, V, T, W, F>
where
    K: Key,
    V: Data,
    T: Data,
    W: Send + 'static,
    F: Fn(V, Option<&T>) -> Option<W> + Send + Sync + 'static,
{
    fn foresee(&mut self, _port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let Some(store) = self.store else { return };
        let keys = waiting::<K, V>(rows).take(count).map(|row| &row.key);
        self.places.clear();
        stores.get::<TableStore<K, T>>(store).cells.find(keys, &mut self.places);
        self.places.doubt();
    }

    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, V>(rows);
        let mut out = Vec::with_capacity(rows.len());
        let step = self.step.clone();
        if let Some(store) = self.store {
            let store = cx.stores.get_mut::<TableStore<K, T>>(store);
            if store.is_lean() || self.places.left() < rows.len() {
                self.places.clear();
                store
                    .find(rows.iter().map(|row| &row.key), &mut self.places)
                    .map_err(|cause| Failure::stop(&step.label, cause))?;
            }
        }
        let cells = self.store.map(|store| &cx.stores.get::<TableStore<K, T>>(store).cells);
        let mut rows = rows.into_iter();
        let stores = &*cx.stores;
        // Where a store fails, and not the record, it is nothing for a policy.
        let mut broken = Ok(());
        step.stateless(cx.counters, || {
            match cells {
                Some(cells) => self.in_store(&mut rows, cells, &mut out),
                None => broken = self.in_view(&mut rows, stores, &mut out),
            }
            Ok(())
        })?;
        broken.map_err(|cause| Failure::stop(&step.label, cause))?;
        emit(cx, 0, out);
        Ok(())
    }

    fn rollback(&mut self) {
        self.places.clear();
    }
}
