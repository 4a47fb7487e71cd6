//! Writes the changelog of a table to a topic: the last change of each key, once per commit.

use super::sink::Write;
use crate::draft::maker;
use crate::row::typed;
use crate::state::TableStore;
use crate::table::Change;
use crate::{Data, Key, Record, Table, Topic};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use suiro_core::{Headers, Timestamp};
use suiro_engine::{BoxRows, Context, Failure, Node, NodeKind, Operator};

pub(crate) fn add<K: Key, V: Data>(table: Table<K, V>, topic: &Topic<K, V>) {
    let (keys, values) = (topic.keys, topic.values);
    let store = table.store;
    if store.is_none() {
        table.demand.want_changes();
    }
    let label = format!("table sink {}", topic.name());
    let mut sketch = table.draft.sketch();
    let number = sketch.graph.topic(topic.name());
    let make = {
        let label = label.clone();
        maker(move |info| TableSink {
            write: Write { topic: number, keys, values, fallback: info.partition },
            store,
            pending: Vec::new(),
            places: HashMap::with_hasher(FixedState::default()),
            label: label.clone(),
            buffers: Default::default(),
        })
    };
    sketch.graph.add(Node {
        label,
        kind: NodeKind::Sink(number, make),
        inputs: vec![table.from],
        outputs: Vec::new(),
        stores: store.into_iter().collect(),
        looks: Vec::new(),
        delay: 0,
        ages: false,
    });
}

struct TableSink<K: 'static, V: 'static> {
    write: Write<K, V>,
    /// The store of the table: its changes since the last commit are what is to be written.
    store: Option<usize>,
    /// The last change of each key, in order of the first, for a table without a store.
    pending: Vec<(K, Option<V>, Timestamp, Headers)>,
    places: HashMap<K, usize, FixedState>,
    label: String,
    buffers: (Vec<u8>, Vec<u8>),
}

impl<K: Key, V: Data> Operator for TableSink<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        _cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if self.store.is_some() {
            return Ok(());
        }
        for Record { key, value, at, headers } in typed::<K, Change<V>>(rows) {
            match self.places.get(&key) {
                Some(place) => {
                    let pending = &mut self.pending[*place];
                    (pending.1, pending.2, pending.3) = (value.new, at, headers);
                }
                None => {
                    self.places.insert(key.clone(), self.pending.len());
                    self.pending.push((key, value.new, at, headers));
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let failed = |cause| Failure::stop(&self.label, cause);
        for (key, value, at, headers) in &self.pending {
            let record = (key, value.as_ref());
            self.write.write(cx, record, *at, headers, &mut self.buffers).map_err(failed)?;
        }
        self.pending.clear();
        self.places.clear();
        let Some(store) = self.store else { return Ok(()) };
        let Context { stores, counters, outbox, .. } = cx;
        let store = stores.get::<TableStore<K, V>>(store);
        for (touched, slot) in store.cells.touched() {
            if touched.before.is_none() && slot.get().is_none() {
                continue;
            }
            let record = (&touched.key, slot.get());
            let headers = store.headers.get(&touched.key).unwrap_or(&Headers::NONE);
            self.write
                .put(counters, outbox, record, slot.at(), headers, &mut self.buffers)
                .map_err(failed)?;
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.pending.clear();
        self.places.clear();
    }
}
