//! Rows: what travels between operators, and what comes out of a topic.

use std::any::Any;
use std::collections::VecDeque;
use std::vec::IntoIter;
use suiro_core::{Headers, Timestamp};
use suiro_engine::{BoxRows, Context, Emitted, RowQueue, Rows};

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
    /// When it happened, in milliseconds since the epoch (rule T1).
    pub at: Timestamp,
    /// What travels with it.
    pub headers: Headers,
}

impl<K, V> Record<K, V> {
    /// A record without headers. `at` is in milliseconds since the epoch.
    ///
    /// ```
    /// use suiro::Record;
    ///
    /// let record = Record::new("ann", 7, 1_000);
    /// assert!(record.headers.is_empty());
    /// ```
    pub fn new(key: K, value: V, at: impl Into<Timestamp>) -> Self {
        Self { key, value, at: at.into(), headers: Headers::NONE }
    }

    /// The same record with another value.
    ///
    /// ```
    /// use suiro::Record;
    ///
    /// let order = Record::new("ann", 3, 1_000);
    /// assert_eq!(order.with_value("three"), Record::new("ann", "three", 1_000));
    /// ```
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

    fn first_at(&self) -> Timestamp {
        self.0.first().map_or(Timestamp::MIN, |row| row.at)
    }

    fn into_queue(self: Box<Self>) -> Box<dyn RowQueue> {
        Box::new(Queue::of([self.0]))
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

/// Rows in parts that came together; none of the parts is empty.
struct Queue<K, V> {
    parts: VecDeque<IntoIter<Record<K, V>>>,
    /// How many rows there are in all parts.
    len: usize,
}

impl<K, V> Queue<K, V> {
    fn of(batches: impl IntoIterator<Item = Batch<K, V>>) -> Self {
        let parts = batches.into_iter().filter(|batch| !batch.is_empty());
        let parts: VecDeque<_> = parts.map(Vec::into_iter).collect();
        let len = parts.iter().map(IntoIter::len).sum();
        Self { parts, len }
    }

    fn iter(&self) -> impl Iterator<Item = &Record<K, V>> {
        self.parts.iter().flat_map(IntoIter::as_slice)
    }
}

impl<K: Send + 'static, V: Send + 'static> RowQueue for Queue<K, V> {
    fn len(&self) -> usize {
        self.len
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn ready(&self) -> usize {
        self.parts.front().map_or(0, IntoIter::len)
    }

    fn at(&self, mut index: usize) -> Timestamp {
        for part in &self.parts {
            match part.as_slice().get(index) {
                Some(row) => return row.at,
                None => index -= part.len(),
            }
        }
        Timestamp::MAX
    }

    fn run(&self, limit: Timestamp, inclusive: bool, max: usize) -> usize {
        let ends = |row: &Record<K, V>| row.at > limit || row.at == limit && !inclusive;
        self.iter().take(max).skip(1).position(ends).map_or(max, |place| place + 1)
    }

    fn max_at(&self, count: usize) -> Timestamp {
        self.iter().take(count).map(|row| row.at).max().unwrap_or(Timestamp::MIN)
    }

    fn take(&mut self, count: usize) -> BoxRows {
        let mut rows = Vec::new();
        while rows.len() < count {
            let Some(front) = self.parts.front_mut() else { break };
            let wanted = count - rows.len();
            if wanted < front.len() {
                rows.extend(front.take(wanted));
                break;
            }
            match self.parts.pop_front() {
                // A part that is taken as a whole is not copied.
                Some(part) if rows.is_empty() => rows = part.collect(),
                part => rows.extend(part.into_iter().flatten()),
            }
        }
        self.len -= rows.len();
        boxed(rows)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Batches on their way to one task.
pub(crate) struct Gathered<K, V>(Vec<Batch<K, V>>);

impl<K: Send + 'static, V: Send + 'static> Rows for Gathered<K, V> {
    fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    fn first_at(&self) -> Timestamp {
        self.0.iter().flatten().next().map_or(Timestamp::MIN, |row| row.at)
    }

    fn into_queue(self: Box<Self>) -> Box<dyn RowQueue> {
        Box::new(Queue::of(self.0))
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

/// Adds a batch to those that are on their way.
pub(crate) fn gather<K: Send + 'static, V: Send + 'static>(
    gathered: &mut Option<BoxRows>,
    rows: Batch<K, V>,
) {
    let all = gathered.get_or_insert_with(|| Box::new(Gathered::<K, V>(Vec::new())));
    let all = all.as_any_mut().downcast_mut::<Gathered<K, V>>();
    all.expect("an edge carries the type that its handles carry").0.push(rows);
}

/// Hides the types of a batch.
fn boxed<K: Send + 'static, V: Send + 'static>(rows: Batch<K, V>) -> BoxRows {
    Box::new(Typed(rows))
}

/// Emits a batch, if there is something in it.
pub(crate) fn emit<K: Send + 'static, V: Send + 'static>(
    cx: &mut Context<'_>,
    output: usize,
    rows: Batch<K, V>,
) {
    emit_to(cx.out, output, rows);
}

/// As [`emit`], for who has lent out the rest of the context.
pub(crate) fn emit_to<K: Send + 'static, V: Send + 'static>(
    out: &mut Emitted,
    output: usize,
    rows: Batch<K, V>,
) {
    if !rows.is_empty() {
        out.emit(output, boxed(rows));
    }
}

/// Makes a queue of a batch.
pub(crate) fn queued<K: Send + 'static, V: Send + 'static>(
    rows: Batch<K, V>,
) -> Box<dyn RowQueue> {
    Box::new(Queue::of([rows]))
}

/// The one downcast per batch.
pub(crate) fn typed<K: 'static, V: 'static>(rows: BoxRows) -> Batch<K, V> {
    let rows = rows.into_any().downcast::<Typed<K, V>>();
    rows.expect("an edge carries the type that its handles carry").0
}

/// The rows that wait in a queue.
pub(crate) fn waiting<K: 'static, V: 'static>(
    queue: &dyn RowQueue,
) -> impl Iterator<Item = &Record<K, V>> {
    let queue = queue.as_any().downcast_ref::<Queue<K, V>>();
    queue.expect("an edge carries the type that its handles carry").iter()
}

/// The first row of a batch.
pub(crate) fn first<K: 'static, V: 'static>(rows: &dyn Rows) -> Option<&Record<K, V>> {
    let rows = rows.as_any().downcast_ref::<Typed<K, V>>();
    rows.expect("an edge carries the type that its handles carry").0.first()
}

/// Copies a batch, for a second reader.
pub(crate) fn copy<K: Clone + Send + 'static, V: Clone + Send + 'static>(
    rows: &dyn Rows,
) -> BoxRows {
    let rows = rows.as_any().downcast_ref::<Typed<K, V>>();
    boxed(rows.expect("an edge carries the type that its handles carry").0.clone())
}
