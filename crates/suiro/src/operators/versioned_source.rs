//! A topic read as a versioned table: a record is the version of its key from its time on, a
//! null too (rules A3 and K2).

use crate::draft::{Draft, maker, step_node};
use crate::format::Format;
use crate::row::{Batch, copy, emit, typed, waiting};
use crate::state::VersionStore;
use crate::table::{Change, Demand};
use crate::{Data, Key, Record, Topic};
use std::marker::PhantomData;
use suiro_core::{Headers, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, RowQueue, Stores};

/// Where the changes of the newest rows come out.
const CHANGES: usize = 0;

/// Where it is said that a record is about to be taken, for joins whose records wait for time.
pub(crate) const TIMES: usize = 1;

/// A versioned table in a draft.
pub(crate) struct Source<K: 'static> {
    pub(crate) node: usize,
    pub(crate) store: usize,
    pub(crate) keys: &'static dyn Format<K>,
    pub(crate) demand: Demand,
    /// In milliseconds.
    pub(crate) history: i64,
}

impl<K: 'static> Clone for Source<K> {
    fn clone(&self) -> Self {
        Self { demand: self.demand.clone(), ..*self }
    }
}

pub(crate) fn add<K: Key, V: Data>(
    draft: &Draft,
    source: Edge,
    topic: &Topic<K, V>,
    history: i64,
) -> Source<K> {
    let (keys, values, demand) = (topic.keys, topic.values, Demand::default());
    let make = move || VersionStore::<K, V>::new(keys, values, history);
    let store = draft.store(topic.name(), Some(topic.name().into()), make);
    let make = {
        let demand = demand.clone();
        maker(move |_| VersionedSource::<K, V> {
            store,
            demand: demand.clone(),
            slots: Vec::new(),
            types: PhantomData,
        })
    };
    let label = format!("versioned table {}, history {history} ms", topic.name());
    let mut node = step_node(&label, vec![source], make);
    node.outputs = vec![Some(copy::<K, Change<V>>), Some(copy::<(), ()>)];
    node.stores.push(store);
    let node = draft.add(node);
    // The topic does not hold what was valid before its last records.
    draft.sketch().graph.stores[store].differs = true;
    Source { node, store, keys, demand, history }
}

struct VersionedSource<K, V> {
    store: usize,
    demand: Demand,
    /// Where the keys of a batch are in the store.
    slots: Vec<Option<u32>>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Data> Operator for VersionedSource<K, V> {
    fn foresee(&mut self, _port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let keys = waiting::<K, Option<V>>(rows).take(count).map(|row| &row.key);
        self.slots.clear();
        stores.get::<VersionStore<K, V>>(self.store).find(keys, &mut self.slots);
        std::hint::black_box(&self.slots);
    }

    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, Option<V>>(rows);
        let speaks = self.demand.changes();
        let store = cx.stores.get_mut::<VersionStore<K, V>>(self.store);
        self.slots.clear();
        store.find(rows.iter().map(|row| &row.key), &mut self.slots);
        let mut out: Batch<K, Change<V>> = Vec::new();
        for (Record { key, value, at, headers }, slot) in rows.into_iter().zip(&self.slots) {
            store.time.observe(at, &cx.gate);
            if store.is_late(at) {
                cx.counters.late += 1;
                continue;
            }
            let slot = store.slot_now(&key, *slot);
            let newest = store.newest(slot);
            // What comes behind the newest version changes the history only (rule A3), and the
            // removal of a row that is not there is no change (rule A6); a version it is.
            let is_newest = newest.is_none_or(|newest| newest.at <= at);
            let old = newest.and_then(|newest| newest.row.as_ref());
            if speaks && is_newest && (old.is_some() || value.is_some()) {
                let value = Change { old: old.cloned(), new: value.clone() };
                out.push(Record { key: key.clone(), value, at, headers });
            }
            store.put((&key, slot), at, value);
        }
        store.prune();
        emit(cx, CHANGES, out);
        Ok(())
    }

    fn observe(&mut self, at: Timestamp, cx: &mut Context<'_>) -> Result<(), Failure> {
        emit(cx, TIMES, vec![Record { key: (), value: (), at, headers: Headers::NONE }]);
        Ok(())
    }
}
