//! One stream into several, by a look at the value.

use crate::Stream;
use crate::draft::{maker, step_node};
use crate::row::{Batch, emit, typed};
use crate::show;
use crate::step::Step;
use std::sync::Arc;
use suiro_core::Result;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// Says to which of the streams a value belongs; one that is not there drops it.
type Pick<V> = Arc<dyn Fn(&V) -> usize + Send + Sync>;

pub(crate) fn add<K: Send + 'static, V: Send + 'static>(
    stream: Stream<K, V>,
    label: &str,
    count: usize,
    pick: impl Fn(&V) -> usize + Send + Sync + 'static,
) -> Vec<Stream<K, V>> {
    let pick: Pick<V> = Arc::new(pick);
    let step = stream.draft.step(label);
    let make = {
        let step = step.clone();
        maker(move |_| Split::<K, V> {
            pick: Arc::clone(&pick),
            count,
            step: step.clone(),
            keys: std::marker::PhantomData,
        })
    };
    let mut node = step_node(label, vec![stream.from], make);
    node.outputs = vec![None; count];
    let node = stream.draft.add(node);
    stream.draft.show((node, 0), show::key::<K, V>(stream.keys));
    let part = |output| {
        let next = Stream::new(&stream.draft, Edge { node, output }, stream.keys);
        next.with_moved(stream.moved).with_step(step.clone())
    };
    (0..count).map(part).collect()
}

struct Split<K, V> {
    pick: Pick<V>,
    count: usize,
    step: Step,
    keys: std::marker::PhantomData<fn() -> K>,
}

impl<K: Send + 'static, V: Send + 'static> Operator for Split<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let mut rows = typed::<K, V>(rows).into_iter();
        let mut parts: Vec<Batch<K, V>> = Vec::new();
        parts.resize_with(self.count, Vec::new);
        self.step.stateless(cx.counters, || {
            for row in &mut rows {
                if let Some(part) = parts.get_mut((self.pick)(&row.value)) {
                    part.push(row);
                }
            }
            Ok(())
        })?;
        for (output, part) in parts.into_iter().enumerate() {
            emit(cx, output, part);
        }
        Ok(())
    }
}
