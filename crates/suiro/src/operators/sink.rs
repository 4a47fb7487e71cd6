//! Writes a stream to a topic.

use crate::draft::maker;
use crate::format::{Encoded, Format};
use crate::row::typed;
use crate::{Stream, Topic};
use suiro_core::{Headers, Result, Timestamp};
use suiro_engine::{
    BoxRows, Context, Counters, Failure, Node, NodeKind, Operator, Outbox, Outgoing, TopicName,
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

/// The bytes of a key and a value; none for what is null.
type Encodings<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

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
        record: (&K, Option<&V>),
        at: Timestamp,
        headers: &Headers,
        buffers: &mut (Vec<u8>, Vec<u8>),
    ) -> Result<()> {
        let (key, value) = self.encode(record, buffers)?;
        counters.written += 1;
        outbox.write(self.topic, self.fallback, Outgoing { key, value, at, headers })
    }

    /// Writes one record to a partition, and does not count it.
    pub(super) fn put_in(
        &self,
        partition: u32,
        outbox: &mut Outbox,
        record: (&K, Option<&V>),
        (at, headers): (Timestamp, &Headers),
        buffers: &mut (Vec<u8>, Vec<u8>),
    ) -> Result<()> {
        let (key, value) = self.encode(record, buffers)?;
        outbox.write_in(self.topic, partition, Outgoing { key, value, at, headers })
    }

    /// Writes one record to a topic that is no topic of the plan, and does not count it.
    pub(super) fn put_named(
        &self,
        topic: TopicName,
        outbox: &mut Outbox,
        record: (&K, Option<&V>),
        (at, headers): (Timestamp, &Headers),
        buffers: &mut (Vec<u8>, Vec<u8>),
    ) -> Result<()> {
        let (key, value) = self.encode(record, buffers)?;
        outbox.write_named(topic, self.fallback, Outgoing { key, value, at, headers })
    }

    /// The bytes of a record, in `buffers`.
    fn encode<'a>(
        &self,
        (key, value): (&K, Option<&V>),
        (key_bytes, value_bytes): &'a mut (Vec<u8>, Vec<u8>),
    ) -> Result<Encodings<'a>> {
        key_bytes.clear();
        value_bytes.clear();
        let has_key = matches!(self.keys.encode(key, key_bytes)?, Encoded::Bytes);
        let has_value = match value {
            None => false,
            Some(value) => matches!(self.values.encode(value, value_bytes)?, Encoded::Bytes),
        };
        Ok((has_key.then_some(key_bytes), has_value.then_some(value_bytes)))
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
