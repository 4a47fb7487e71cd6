//! Writes a stream to a topic, each record to the partition that user code says.

use super::sink::Write;
use crate::draft::maker;
use crate::row::typed;
use crate::show;
use crate::step::Step;
use crate::{Record, Stream, Topic};
use std::sync::Arc;
use suiro_core::Error;
use suiro_engine::{BoxRows, Context, Failure, Node, NodeKind, Operator};

/// The partition of a record, of so many.
type Choose<K, V> = Arc<dyn Fn(&Record<K, V>, u32) -> u32 + Send + Sync>;

pub(crate) fn add<K: Send + 'static, V: Send + 'static>(
    stream: Stream<K, V>,
    topic: &Topic<K, V>,
    choose: impl Fn(&Record<K, V>, u32) -> u32 + Send + Sync + 'static,
) {
    let (keys, values) = (topic.keys, topic.values);
    let label = format!("sink {} by partition", topic.name());
    let (draft, choose): (_, Choose<K, V>) = (stream.draft.clone(), Arc::new(choose));
    let step = draft.step(&label);
    let number = draft.sketch().graph.topic(topic.name());
    let make = maker(move |_| PartitionSink {
        write: Write { topic: number, keys, values, fallback: 0 },
        choose: Arc::clone(&choose),
        step: step.clone(),
        buffers: Default::default(),
    });
    let node = draft.add(Node {
        label,
        kind: NodeKind::Sink(number, make),
        inputs: vec![stream.from],
        outputs: Vec::new(),
        stores: Vec::new(),
        looks: Vec::new(),
        delay: 0,
        ages: false,
    });
    draft.show((node, 0), show::key::<K, V>(stream.keys));
}

struct PartitionSink<K: 'static, V: 'static> {
    write: Write<K, V>,
    choose: Choose<K, V>,
    step: Step,
    buffers: (Vec<u8>, Vec<u8>),
}

impl<K: Send + 'static, V: Send + 'static> Operator for PartitionSink<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let Self { write, choose, step, buffers } = self;
        let Context { counters, outbox, .. } = cx;
        let of = outbox.partitions(write.topic);
        let (mut rows, mut written) = (typed::<K, V>(rows).into_iter(), 0);
        let done = step.stateless(counters, || {
            for row in &mut rows {
                let partition = choose(&row, of);
                if partition >= of {
                    let text = "a record was to go to a partition that its topic has not";
                    return Err(Error::invalid(text)
                        .with("partition", partition)
                        .with("partitions", of));
                }
                let record = (&row.key, Some(&row.value));
                write.put_in(partition, outbox, record, (row.at, &row.headers), buffers)?;
                written += 1;
            }
            Ok(())
        });
        cx.counters.written += written;
        done
    }
}
