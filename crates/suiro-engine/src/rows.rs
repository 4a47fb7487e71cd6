//! Batches of rows whose types only the operators at both ends know.

use std::any::Any;
use suiro_core::Timestamp;

/// A batch on its way between two operators: in truth a `Vec` of typed rows.
pub type BoxRows = Box<dyn Rows>;

/// A batch of rows, as the engine sees it.
pub trait Rows: Any + Send {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event time of the first row.
    fn first_at(&self) -> Timestamp;

    /// Makes a queue of the rows, to be taken from the front.
    fn into_queue(self: Box<Self>) -> Box<dyn RowQueue>;

    /// The typed batch, for a downcast.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;

    /// The typed batch, for a downcast.
    fn as_any_mut(&mut self) -> &mut dyn Any;

    /// The typed batch, for a downcast.
    fn as_any(&self) -> &dyn Any;
}

/// Rows that wait for their turn. Taking some costs what they are, not what stays.
pub trait RowQueue: Any + Send {
    /// How many rows wait.
    fn len(&self) -> usize;

    /// Whether none waits.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event time of the row `index` places behind the front.
    fn at(&self, index: usize) -> Timestamp;

    /// The largest event time among the first `count` rows.
    fn max_at(&self, count: usize) -> Timestamp {
        (0..count).map(|index| self.at(index)).max().unwrap_or(Timestamp::MIN)
    }

    /// How many of the first `max` rows, but at least one, come one after another before a time:
    /// those up to the first that is later than `limit`, or as late if not `inclusive`.
    fn run(&self, limit: Timestamp, inclusive: bool, max: usize) -> usize {
        let ends = |place: &usize| {
            let at = self.at(*place);
            at > limit || at == limit && !inclusive
        };
        (1..max).find(ends).unwrap_or(max)
    }

    /// How many rows lie together at the front, so that taking just these copies none.
    fn ready(&self) -> usize {
        self.len()
    }

    /// Takes the first `count` rows.
    fn take(&mut self, count: usize) -> BoxRows;

    /// The typed queue, for a downcast.
    fn as_any(&self) -> &dyn Any;
}

/// Copies a batch, for a second reader.
pub type CloneRows = fn(&dyn Rows) -> BoxRows;
