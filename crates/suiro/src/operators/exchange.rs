//! Moves rows to the partition that owns their key.

use crate::draft::maker;
use crate::format::{Format, read_state, write_state};
use crate::row::{Batch, gather, queued, typed, waiting};
use crate::{Data, Key, Record, Stream};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::batch::{BatchWriter, Records};
use suiro_core::partition::partition_of;
use suiro_core::{Error, Offset, Result, Timestamp, TopicPartition};
use suiro_engine::{
    BoxRows, Context, Decode, Decoded, Edge, ExchangeCodec, ExchangeSpec, Failure, Node,
    NodeKind, Operator, RowQueue,
};

/// Moves the rows of `stream`, if they are not where their keys belong.
pub(crate) fn settle<K: Key, V: Data>(stream: Stream<K, V>, name: &str) -> Stream<K, V> {
    if stream.moved { add(stream, name) } else { stream }
}

/// As `add`, with a number of partitions of its own.
pub(crate) fn add_parted<K: Key, V: Data>(
    stream: Stream<K, V>,
    name: &str,
    partitions: u32,
) -> Stream<K, V> {
    let draft = stream.draft.clone();
    if partitions == 0 {
        let text = "a repartition needs a partition at least";
        draft.refuse(Error::invalid(text).with("repartition", name));
    }
    let mut sketch = draft.sketch();
    let exchange = sketch.graph.exchanges.len();
    sketch.graph.parts.insert(exchange, partitions);
    drop(sketch);
    add(stream, name)
}

pub(crate) fn add<K: Key, V: Data>(stream: Stream<K, V>, name: &str) -> Stream<K, V> {
    add_beside(stream, name, None)
}

/// As [`add`], for rows that come rarely: those of the exchange `beside` this one, to the same
/// place, do not wait for them.
pub(super) fn add_beside<K: Key, V: Data>(
    stream: Stream<K, V>,
    name: &str,
    beside: Option<usize>,
) -> Stream<K, V> {
    let keys = stream.keys;
    let codec = Arc::new(Codec::<K, V> { keys, values: PhantomData });
    let mut sketch = stream.draft.sketch();
    let exchange = sketch.graph.exchanges.len();
    sketch.graph.exchanges.push(ExchangeSpec { name: name.into(), codec, beside });
    let make =
        maker(move |_| Send::<K, V> { exchange, keys, values: PhantomData, key: Vec::new() });
    let sender = sketch.graph.add(Node {
        label: format!("send {name}"),
        kind: NodeKind::Send(exchange, make),
        inputs: vec![stream.from],
        outputs: vec![None],
        stores: Vec::new(),
        looks: Vec::new(),
        delay: 0,
        ages: false,
    });
    let node = sketch.graph.add(Node {
        label: format!("receive {name}"),
        kind: NodeKind::Receive(exchange),
        inputs: vec![Edge { node: sender, output: 0 }],
        outputs: vec![Some(crate::row::copy::<K, V>)],
        stores: Vec::new(),
        looks: Vec::new(),
        delay: 0,
        ages: false,
    });
    drop(sketch);
    Stream::new(&stream.draft, Edge { node, output: 0 }, keys)
}

struct Send<K: 'static, V> {
    exchange: usize,
    keys: &'static dyn Format<K>,
    values: PhantomData<fn() -> V>,
    key: Vec<u8>,
}

impl<K: Key, V: Data> Operator for Send<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, V>(rows);
        let at = rows.iter().map(|row| row.at).max().unwrap_or(Timestamp::MIN);
        let partitions = cx.sends.partitions(self.exchange, at);
        if let [only] = partitions {
            gather(only, rows);
            return Ok(());
        }
        let count = partitions.len() as u32;
        let mut parted: Vec<Batch<K, V>> = (0..count).map(|_| Vec::new()).collect();
        for row in rows {
            self.key.clear();
            self.keys
                .encode(&row.key, &mut self.key)
                .map_err(|cause| Failure::stop("repartition", cause))?;
            parted[partition_of(&self.key, count) as usize].push(row);
        }
        for (partition, rows) in partitions.iter_mut().zip(parted) {
            if !rows.is_empty() {
                gather(partition, rows);
            }
        }
        Ok(())
    }
}

struct Codec<K: 'static, V> {
    keys: &'static dyn Format<K>,
    values: PhantomData<fn() -> V>,
}

impl<K: Key, V: Data> ExchangeCodec for Codec<K, V> {
    fn encode(&self, rows: &dyn RowQueue, writer: &mut BatchWriter) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for row in waiting::<K, V>(rows) {
            key.clear();
            value.clear();
            self.keys.encode(&row.key, &mut key)?;
            write_state(&row.value, &mut value)?;
            writer.push(row.at, Some(&key), Some(&value), &row.headers);
        }
        Ok(())
    }
}

impl<K: Key, V: Data> Decode for Codec<K, V> {
    fn decode(
        &self,
        records: &Records,
        from: Offset,
        _origin: &TopicPartition,
    ) -> Result<Decoded> {
        let (mut rows, mut offsets) = (Vec::new(), Vec::new());
        for record in records.iter() {
            let record = record?;
            if record.offset < from {
                continue;
            }
            rows.push(Record {
                key: self.keys.decode(record.key.unwrap_or_default())?,
                value: read_state::<V>(record.value.unwrap_or_default())?,
                at: record.at,
                headers: record.headers.to_headers()?,
            });
            offsets.push(record.offset);
        }
        Ok(Decoded { rows: queued(rows), offsets, refused: Vec::new(), poison: None })
    }
}
