//! A stream looks up rows of a global table by keys that its records name (rules A4 and K3).

use crate::draft::{maker, step_node};
use crate::row::{Batch, emit, typed};
use crate::show;
use crate::state::GlobalRows;
use crate::step::Step;
use crate::table::GlobalTable;
use crate::{Data, Key, Record, Stream};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// Looks up the row that each record names by `by`, if it names one. `combine` joins the value
/// with the row that was found; where it gives `None` the record is dropped.
pub(crate) fn add<K, V, J, T, W>(
    stream: Stream<K, V>,
    table: &GlobalTable<J, T>,
    label: &str,
    by: impl Fn(&K, &V) -> Option<J> + Send + Sync + 'static,
    combine: impl Fn(V, Option<&T>) -> Option<W> + Send + Sync + 'static,
) -> Stream<K, W>
where
    K: Send + 'static,
    V: Send + 'static,
    J: Key + Sync,
    T: Data + Sync,
    W: Send + 'static,
{
    let draft = &stream.draft;
    draft.is_same(&table.draft);
    let (step, global) = (draft.step(label), table.number);
    let (by, combine) = (Arc::new(by), Arc::new(combine));
    let make = {
        let step = step.clone();
        maker(move |_| JoinGlobal {
            global,
            by: Arc::clone(&by),
            combine: Arc::clone(&combine),
            step: step.clone(),
            types: PhantomData,
        })
    };
    let label = format!("{label} {}", table.name);
    let node = draft.add(step_node(&label, vec![stream.from], make));
    draft.show((node, 0), show::key::<K, V>(stream.keys));
    let next = Stream::new(draft, Edge { node, output: 0 }, stream.keys);
    next.with_moved(stream.moved).with_step(step)
}

/// The types of the stream's records, of the table's, and of the results.
type Types<K, V, J, T, W> = PhantomData<fn(K, V, J, T) -> W>;

struct JoinGlobal<K, V, J, T, W, B, F> {
    global: usize,
    by: Arc<B>,
    combine: Arc<F>,
    step: Step,
    types: Types<K, V, J, T, W>,
}

impl<K, V, J, T, W, B, F> Operator for JoinGlobal<K, V, J, T, W, B, F>
where
    K: Send + 'static,
    V: Send + 'static,
    J: Key + Sync,
    T: Data + Sync,
    W: Send + 'static,
    B: Fn(&K, &V) -> Option<J> + Send + Sync,
    F: Fn(V, Option<&T>) -> Option<W> + Send + Sync,
{
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, V>(rows);
        let mut out: Batch<K, W> = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter();
        let (stores, counters) = (&*cx.stores, &mut *cx.counters);
        let joined = stores.globals().look(self.global, |table: &GlobalRows<J, T>| {
            self.step.stateless(counters, || {
                for Record { key, value, at, headers } in &mut rows {
                    let row = (self.by)(&key, &value).and_then(|by| table.get(&by));
                    if let Some(value) = (self.combine)(value, row) {
                        out.push(Record { key, value, at, headers });
                    }
                }
                Ok(())
            })
        });
        joined.expect("a global table keeps the type of its handle")?;
        emit(cx, 0, out);
        Ok(())
    }
}
