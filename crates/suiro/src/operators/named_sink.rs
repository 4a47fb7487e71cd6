//! Writes a stream to topics, each record to the one that user code says.

use super::sink::Write;
use crate::draft::{maker, step_node};
use crate::row::typed;
use crate::show;
use crate::step::Step;
use crate::{Record, Stream, Topic};
use std::sync::Arc;
use suiro_engine::{BoxRows, Context, Failure, Operator};

/// The topic of a record.
type Choose<K, V> = Arc<dyn Fn(&Record<K, V>) -> Topic<K, V> + Send + Sync>;

pub(crate) fn add<K: Send + 'static, V: Send + 'static>(
    stream: Stream<K, V>,
    choose: impl Fn(&Record<K, V>) -> Topic<K, V> + Send + Sync + 'static,
) {
    let label = "sink of chosen topics";
    let (draft, choose): (_, Choose<K, V>) = (stream.draft.clone(), Arc::new(choose));
    let step = draft.step(label);
    let make = maker(move |info| NamedSink {
        choose: Arc::clone(&choose),
        fallback: info.partition,
        step: step.clone(),
        buffers: Default::default(),
    });
    let mut node = step_node(label, vec![stream.from], make);
    node.outputs = Vec::new();
    let node = draft.add(node);
    draft.sketch().graph.named.insert(node);
    draft.show((node, 0), show::key::<K, V>(stream.keys));
}

struct NamedSink<K: 'static, V: 'static> {
    choose: Choose<K, V>,
    fallback: u32,
    step: Step,
    buffers: (Vec<u8>, Vec<u8>),
}

impl<K: Send + 'static, V: Send + 'static> Operator for NamedSink<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let Self { choose, fallback, step, buffers } = self;
        let Context { counters, outbox, .. } = cx;
        let (mut rows, mut written) = (typed::<K, V>(rows).into_iter(), 0);
        let done = step.stateless(counters, || {
            for row in &mut rows {
                let topic = choose(&row);
                let (keys, values) = (topic.keys, topic.values);
                let number = outbox.named(topic.name());
                let write = Write { topic: 0, keys, values, fallback: *fallback };
                let record = (&row.key, Some(&row.value));
                write.put_named(number, outbox, record, (row.at, &row.headers), buffers)?;
                written += 1;
            }
            Ok(())
        });
        cx.counters.written += written;
        done
    }
}
