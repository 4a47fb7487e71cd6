//! Steps without state: the user's closure, already inside its loop over a batch.

use crate::draft::{maker, step_node};
use crate::format::Format;
use crate::row::{Batch, emit, typed};
use crate::show;
use crate::step::Step;
use crate::{Record, Stream};
use std::sync::Arc;
use std::vec::IntoIter;
use suiro_core::{Headers, Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// A loop over rows that pushes what follows from them. An error is one row, taken already.
type Loop<K, V, J, W> =
    Arc<dyn Fn(&mut IntoIter<Record<K, V>>, &mut Batch<J, W>) -> Result<()> + Send + Sync>;

/// Adds a step that keeps the keys.
pub(crate) fn add<K: Send + 'static, V: Send + 'static, W: Send + 'static>(
    stream: Stream<K, V>,
    label: &str,
    run: impl Fn(&mut IntoIter<Record<K, V>>, &mut Batch<K, W>) -> Result<()>
    + Send
    + Sync
    + 'static,
) -> Stream<K, W> {
    let keys = stream.keys;
    add_keyed(stream, label, keys, run)
}

/// Adds a step that gives new keys.
pub(crate) fn add_keyed<K, V, J, W>(
    stream: Stream<K, V>,
    label: &str,
    keys: &'static dyn Format<J>,
    run: impl Fn(&mut IntoIter<Record<K, V>>, &mut Batch<J, W>) -> Result<()>
    + Send
    + Sync
    + 'static,
) -> Stream<J, W>
where
    K: Send + 'static,
    V: Send + 'static,
    J: Send + 'static,
    W: Send + 'static,
{
    let step = stream.draft.step(label);
    draw(stream, step, keys, Arc::new(run))
}

/// Adds a step that keeps the keys, as a part of `step`: with its name and its policy.
pub(crate) fn add_to<K: Send + 'static, V: Send + 'static, W: Send + 'static>(
    stream: Stream<K, V>,
    step: Step,
    run: impl Fn(&mut IntoIter<Record<K, V>>, &mut Batch<K, W>) -> Result<()>
    + Send
    + Sync
    + 'static,
) -> Stream<K, W> {
    let keys = stream.keys;
    draw(stream, step, keys, Arc::new(run))
}

fn draw<K, V, J, W>(
    stream: Stream<K, V>,
    step: Step,
    keys: &'static dyn Format<J>,
    run: Loop<K, V, J, W>,
) -> Stream<J, W>
where
    K: Send + 'static,
    V: Send + 'static,
    J: Send + 'static,
    W: Send + 'static,
{
    let make = {
        let step = step.clone();
        maker(move |_| Each { run: Arc::clone(&run), step: step.clone() })
    };
    let node = stream.draft.add(step_node(&step.label, vec![stream.from], make));
    stream.draft.show((node, 0), show::key::<K, V>(stream.keys));
    let next = Stream::new(&stream.draft, Edge { node, output: 0 }, keys);
    next.with_moved(stream.moved).with_step(step)
}

/// Pushes a row per value; the last one takes the key and the headers.
pub(crate) fn expand<K: Clone, W>(
    key: K,
    values: impl IntoIterator<Item = W>,
    at: Timestamp,
    headers: Headers,
    out: &mut Batch<K, W>,
) {
    let mut values = values.into_iter();
    let Some(mut value) = values.next() else { return };
    for next in values {
        out.push(Record { key: key.clone(), value, at, headers: headers.clone() });
        value = next;
    }
    out.push(Record { key, value, at, headers });
}

struct Each<K, V, J, W> {
    run: Loop<K, V, J, W>,
    step: Step,
}

impl<K, V, J, W> Operator for Each<K, V, J, W>
where
    K: Send + 'static,
    V: Send + 'static,
    J: Send + 'static,
    W: Send + 'static,
{
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, V>(rows);
        let mut out = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter();
        self.step.stateless(cx.counters, || (self.run)(&mut rows, &mut out))?;
        emit(cx, 0, out);
        Ok(())
    }
}
