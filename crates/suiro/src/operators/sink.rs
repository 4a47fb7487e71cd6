//! Writes a stream to a topic.

use crate::format::{Encoded, Format};
use crate::row::typed;
use crate::topology::maker;
use crate::{Stream, Topic};
use suiro_core::{Headers, Result, Timestamp};
use suiro_engine::{
    BoxRows, Context, Counters, Failure, Node, NodeKind, Operator, Outbox, Outgoing,
};

pub(crate) fn add<K: Send + 'static, V: Send + 'static>(
    stream: Stream<K, V>,
    topic: &Topic<K, V>,
) {
    let (keys, values) = (topic.keys, topic.values);
    let label = format!("sink {}", topic.name());
    let mut sketch = stream.draft.sketch();
    let number = sketch.graph.topic(topic.name());
    let make = {
        let label = label.clone();
        maker(move |info| Sink {
            write: Write { topic: number, keys, values, fallback: info.partition },
            label: label.clone(),
            buffers: Default::default(),
        })
    };
    sketch.graph.add(Node {
        label,
        kind: NodeKind::Sink(number, make),
        inputs: vec![stream.from],
        outputs: Vec::new(),
        stores: Vec::new(),
        looks: Vec::new(),
        delay: 0,
        ages: false,
    });
}

/// How records of a topic are written.
#[derive(Clone, Copy)]
pub(crate) struct Write<K: 'static, V: 'static> {
    pub(crate) topic: usize,
    pub(crate) keys: &'static dyn Format<K>,
    pub(crate) values: &'static dyn Format<V>,
    pub(crate) fallback: u32,
}

impl<K, V> Write<K, V> {
    /// Writes one record; a value that is not there is a removal.
    pub(crate) fn write(
        &self,
        cx: &mut Context<'_>,
        record: (&K, Option<&V>),
        at: Timestamp,
        headers: &Headers,
        buffers: &mut (Vec<u8>, Vec<u8>),
    ) -> Result<()> {
        self.put(cx.counters, cx.outbox, record, at, headers, buffers)
    }

    /// As [`Write::write`], beside borrowed stores.
    pub(crate) fn put(
        &self,
        counters: &mut Counters,
        outbox: &mut Outbox,
        (key, value): (&K, Option<&V>),
        at: Timestamp,
        headers: &Headers,
        buffers: &mut (Vec<u8>, Vec<u8>),
    ) -> Result<()> {
        let (key_bytes, value_bytes) = buffers;
        key_bytes.clear();
        value_bytes.clear();
        let key = match self.keys.encode(key, key_bytes)? {
            Encoded::Bytes => Some(&key_bytes[..]),
            Encoded::Null => None,
        };
        let value = match value {
            None => None,
            Some(value) => match self.values.encode(value, value_bytes)? {
                Encoded::Bytes => Some(&value_bytes[..]),
                Encoded::Null => None,
            },
        };
        counters.written += 1;
        outbox.write(self.topic, self.fallback, Outgoing { key, value, at, headers })
    }
}

struct Sink<K: 'static, V: 'static> {
    write: Write<K, V>,
    label: String,
    buffers: (Vec<u8>, Vec<u8>),
}

impl<K: Send + 'static, V: Send + 'static> Operator for Sink<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        for row in typed::<K, V>(rows) {
            let record = (&row.key, Some(&row.value));
            self.write
                .write(cx, record, row.at, &row.headers, &mut self.buffers)
                .map_err(|cause| Failure::stop(&self.label, cause))?;
        }
        Ok(())
    }
}
