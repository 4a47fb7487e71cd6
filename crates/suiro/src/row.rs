//! Rows: what travels between operators, and what comes out of a topic.

use std::any::Any;
use std::vec::IntoIter;
use suiro_core::{Headers, Timestamp};
use suiro_engine::{BoxRows, RowQueue, Rows};

/// A record with its types: who it is about, what it says, when it happened.
///
/// ```
/// use suiro::Record;
///
/// let record = Record::new("ann", 7, 1_000);
/// assert_eq!((record.key, record.value, record.at.as_millis()), ("ann", 7, 1_000));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Record<K, V> {
    /// Decides the partition, and so who owns the state.
    pub key: K,
    /// What it says.
    pub value: V,
    /// When it happened.
    pub at: Timestamp,
    /// What travels with it.
    pub headers: Headers,
}

impl<K, V> Record<K, V> {
    /// A record without headers.
    pub fn new(key: K, value: V, at: impl Into<Timestamp>) -> Self {
        Self { key, value, at: at.into(), headers: Headers::NONE }
    }

    /// The same record with another value.
    pub fn with_value<W>(self, value: W) -> Record<K, W> {
        Record { key: self.key, value, at: self.at, headers: self.headers }
    }
}

/// A batch as operators know it.
pub(crate) type Batch<K, V> = Vec<Record<K, V>>;

struct Typed<K, V>(Batch<K, V>);

impl<K: Send + 'static, V: Send + 'static> Rows for Typed<K, V> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn into_queue(self: Box<Self>) -> Box<dyn RowQueue> {
        Box::new(Queue(self.0.into_iter()))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct Queue<K, V>(IntoIter<Record<K, V>>);

impl<K: Send + 'static, V: Send + 'static> RowQueue for Queue<K, V> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, index: usize) -> Timestamp {
        self.0.as_slice()[index].at
    }

    fn max_at(&self, count: usize) -> Timestamp {
        let rows = self.0.as_slice()[..count].iter();
        rows.map(|row| row.at).max().unwrap_or(Timestamp::MIN)
    }

    fn take(&mut self, count: usize) -> BoxRows {
        if count == self.0.len() {
            return boxed(std::mem::take(&mut self.0).collect());
        }
        boxed(self.0.by_ref().take(count).collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Hides the types of a batch.
pub(crate) fn boxed<K: Send + 'static, V: Send + 'static>(rows: Batch<K, V>) -> BoxRows {
    Box::new(Typed(rows))
}

/// Makes a queue of a batch.
pub(crate) fn queued<K: Send + 'static, V: Send + 'static>(
    rows: Batch<K, V>,
) -> Box<dyn RowQueue> {
    Box::new(Queue(rows.into_iter()))
}

/// The one downcast per batch.
pub(crate) fn typed<K: 'static, V: 'static>(rows: BoxRows) -> Batch<K, V> {
    let rows = rows.into_any().downcast::<Typed<K, V>>();
    rows.expect("an edge carries the type that its handles carry").0
}

/// The batch inside, to be added to.
pub(crate) fn typed_mut<K: 'static, V: 'static>(rows: &mut dyn Rows) -> &mut Batch<K, V> {
    let rows = rows.as_any_mut().downcast_mut::<Typed<K, V>>();
    &mut rows.expect("an edge carries the type that its handles carry").0
}

/// The rows that wait in a queue.
pub(crate) fn waiting<K: 'static, V: 'static>(queue: &dyn RowQueue) -> &[Record<K, V>] {
    let queue = queue.as_any().downcast_ref::<Queue<K, V>>();
    queue.expect("an edge carries the type that its handles carry").0.as_slice()
}

/// Copies a batch, for a second reader.
pub(crate) fn copy<K: Clone + Send + 'static, V: Clone + Send + 'static>(
    rows: &dyn Rows,
) -> BoxRows {
    let rows = rows.as_any().downcast_ref::<Typed<K, V>>();
    boxed(rows.expect("an edge carries the type that its handles carry").0.clone())
}
