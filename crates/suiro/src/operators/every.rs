//! Shows the last update of each window or row that has changed, by the clock (rule E1).

use crate::draft::{Draft, maker, step_node};
use crate::format::Format;
use crate::key_order::KeyOrder;
use crate::row::{Batch, copy, emit, typed};
use crate::state::{Pending, Places, TableStore};
use crate::{Data, InWindow, Key, Record, Stream};
use std::marker::PhantomData;
use std::time::Duration;
use suiro_core::{Error, Result};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// Whether an update, the first one, takes the place of an earlier one of its key.
pub(crate) type Replaces<U> = fn(&U, &U) -> bool;

/// The windows of a key are told apart by their bounds.
pub(crate) fn window<A>(update: &InWindow<A>, earlier: &InWindow<A>) -> bool {
    (update.start, update.end) == (earlier.start, earlier.end)
}

/// A count window is followed by another one when it is full.
pub(crate) fn count_window<A>(_: &Counted<A>, (was_full, _): &Counted<A>) -> bool {
    !was_full
}

/// A count window, and whether it is full.
pub(crate) type Counted<A> = (bool, InWindow<A>);

/// A key has one row.
pub(crate) fn row<U>(_: &U, _: &U) -> bool {
    true
}

pub(crate) fn add<K: Key, U: Data>(
    updates: Stream<K, U>,
    name: &str,
    replaces: Replaces<U>,
    every: Duration,
) -> Stream<K, U> {
    let (keys, draft) = (updates.keys, updates.draft.clone());
    if every < Duration::from_millis(1) {
        let text = "`every` needs a millisecond at least; say `on_update` or `changes` to hear \
                    of each update";
        draft.refuse(Error::invalid(text).with("store", name));
    }
    let label = format!("every {every:?} {name}");
    let store =
        draft.store(name, None, move || TableStore::<K, Vec<Pending<U>>>::of_pending(keys));
    let make = {
        let label = label.clone();
        maker(move |_| Every::<K, U> {
            store,
            replaces,
            keys,
            label: label.clone(),
            types: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![updates.from], make);
    node.outputs = vec![Some(copy::<K, U>)];
    node.stores.push(store);
    // What is held back goes by the clock: stream time says nothing of how old it is.
    node.delay = i64::MAX;
    let node = draft.add(node);
    draft.sketch().graph.every.insert(node, every);
    Stream::new(&draft, Edge { node, output: 0 }, keys)
}

/// The name of the store of what the windows of a fold have not shown yet.
pub(crate) fn name_of(draft: &Draft, fold: usize) -> String {
    let sketch = draft.sketch();
    let store = sketch.graph.nodes[fold].stores.first();
    let name = store.map_or("windows", |store| &sketch.graph.stores[*store].name);
    format!("{name}-every")
}

struct Every<K: 'static, U> {
    store: usize,
    replaces: Replaces<U>,
    keys: &'static dyn Format<K>,
    label: String,
    types: PhantomData<fn() -> U>,
}

impl<K: Key, U: Data> Every<K, U> {
    /// Takes out all that was not shown, in order of time and of the bytes of keys; what is alike
    /// in both in the order of its last updates.
    fn show(&self, store: &mut TableStore<K, Vec<Pending<U>>>) -> Result<Batch<K, U>> {
        let mut rows = Vec::new();
        store.cells.take_all(|key, pending, _| {
            rows.extend(pending.into_iter().map(|update| update.into_record(key.clone())));
        });
        if rows.len() > 1 {
            let order = KeyOrder::of(self.keys, rows.iter().map(|row| &row.key))?;
            order.sort_by(&mut rows, |row| row.at);
        }
        Ok(rows)
    }
}

impl<K: Key, U: Data> Operator for Every<K, U> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, U>(rows);
        let store = cx.stores.get_mut::<TableStore<K, Vec<Pending<U>>>>(self.store);
        let mut places = Places::default();
        store
            .find(rows.iter().map(|row| &row.key), &mut places)
            .map_err(|cause| Failure::stop(&self.label, cause))?;
        for Record { key, value, at, headers } in rows {
            let slot = store.cells.edit_at(places.next(), &key);
            let pending = slot.get_or_insert_with(Vec::new);
            pending.retain(|earlier| !(self.replaces)(&value, &earlier.value));
            pending.push(Pending::new(value, at, &headers));
            slot.set_at(at);
        }
        Ok(())
    }

    fn speak(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let store = cx.stores.get_mut::<TableStore<K, Vec<Pending<U>>>>(self.store);
        let shown = self.show(store).map_err(|cause| Failure::stop(&self.label, cause))?;
        emit(cx, 0, shown);
        Ok(())
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.speak(cx)
    }
}
