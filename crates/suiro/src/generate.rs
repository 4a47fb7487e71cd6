//! Rows out of nothing, for benches and tests.

use crate::draft::Draft;
use crate::format::JsonKey;
use crate::row::{copy, queued};
use crate::{Key, Record, Stream};
use std::sync::Arc;
use suiro_core::Offset;
use suiro_engine::{Edge, Generate, GeneratorSpec, Node, NodeKind, RowQueue};

pub(crate) fn add<K: Key, V: Clone + Send + 'static>(
    draft: &Draft,
    name: &str,
    partitions: u32,
    next: impl Fn(u32, u64) -> Option<Record<K, V>> + Send + Sync + 'static,
) -> Stream<K, V> {
    // The loop over a batch is inside the box, so that a row costs no call through it.
    let fill = move |partition: u32, from: u64, rows: &mut Vec<Record<K, V>>| {
        let max = rows.capacity() as u64;
        rows.extend((from..from + max).map_while(|number| next(partition, number)));
    };
    let fill: Fill<K, V> = Arc::new(fill);
    let make = Arc::new(move |partition| -> Box<dyn Generate> {
        Box::new(Generator { fill: Arc::clone(&fill), partition })
    });
    let node = draft.add(Node {
        label: format!("generate {name}"),
        kind: NodeKind::Generator(GeneratorSpec { name: name.into(), partitions, make }),
        inputs: Vec::new(),
        outputs: vec![Some(copy::<K, V>)],
        stores: Vec::new(),
        looks: Vec::new(),
        delay: 0,
        ages: false,
    });
    Stream::new(draft, Edge { node, output: 0 }, &JsonKey)
}

type Fill<K, V> = Arc<dyn Fn(u32, u64, &mut Vec<Record<K, V>>) + Send + Sync>;

struct Generator<K, V> {
    fill: Fill<K, V>,
    partition: u32,
}

impl<K: Send + 'static, V: Send + 'static> Generate for Generator<K, V> {
    fn next(&mut self, from: Offset, max: usize) -> Option<Box<dyn RowQueue>> {
        let mut rows = Vec::with_capacity(max);
        (self.fill)(self.partition, from as u64, &mut rows);
        (!rows.is_empty()).then(|| queued(rows))
    }
}
