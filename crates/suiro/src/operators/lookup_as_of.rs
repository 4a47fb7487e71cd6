//! A stream looks up, at each record's turn, the row of a versioned table that was valid at the
//! record's time (rules K2 and K3).

use super::versioned_source::Source;
use crate::draft::{maker, step_node};
use crate::row::{emit, typed, waiting};
use crate::show;
use crate::state::VersionStore;
use crate::step::Step;
use crate::{Data, Key, Record, SameKey, Stream};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, RowQueue, Stores};

/// Looks up what was valid for each record. `combine` joins the value with the row that was found,
/// if there is one; where it gives `None` the record is dropped.
pub(crate) fn add<K, V, J, T, W>(
    stream: Stream<K, V>,
    table: &Source<J>,
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
    let draft = stream.draft.clone();
    let (step, store, combine) = (draft.step(label), table.store, Arc::new(combine));
    let make = {
        let step = step.clone();
        maker(move |_| LookupAsOf::<K, V, T, W, _> {
            store,
            combine: Arc::clone(&combine),
            step: step.clone(),
            slots: Vec::new(),
            types: PhantomData,
        })
    };
    let mut node = step_node(label, vec![stream.from], make);
    node.stores.push(store);
    node.looks.push((0, store));
    let node = draft.add(node);
    draft.show((node, 0), show::both::<K, V>(stream.keys));
    Stream::new(&draft, Edge { node, output: 0 }, stream.keys).with_step(step)
}

struct LookupAsOf<K, V, T, W, F> {
    store: usize,
    combine: Arc<F>,
    step: Step,
    /// Where the keys of a batch are in the store.
    slots: Vec<Option<u32>>,
    types: PhantomData<fn(K, V, T) -> W>,
}

impl<K, V, T, W, F> Operator for LookupAsOf<K, V, T, W, F>
where
    K: Key,
    V: Data,
    T: Data,
    W: Send + 'static,
    F: Fn(V, Option<&T>) -> Option<W> + Send + Sync + 'static,
{
    fn foresee(&mut self, _port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let keys = waiting::<K, V>(rows).take(count).map(|row| &row.key);
        self.slots.clear();
        stores.get::<VersionStore<K, T>>(self.store).find(keys, &mut self.slots);
        std::hint::black_box(&self.slots);
    }

    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, V>(rows);
        let mut out = Vec::with_capacity(rows.len());
        let store = cx.stores.get::<VersionStore<K, T>>(self.store);
        self.slots.clear();
        store.find(rows.iter().map(|row| &row.key), &mut self.slots);
        let mut rows = rows.into_iter().zip(&self.slots);
        self.step.stateless(cx.counters, || {
            for (Record { key, value, at, headers }, slot) in &mut rows {
                if let Some(value) = (self.combine)(value, store.as_of(*slot, at)) {
                    out.push(Record { key, value, at, headers });
                }
            }
            Ok(())
        })?;
        emit(cx, 0, out);
        Ok(())
    }
}
