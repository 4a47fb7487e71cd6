//! A table that knows what was valid when.

use super::{Table, View};
use crate::draft::Draft;
use crate::operators::versioned_source::{self, Source};
use crate::state::VersionStore;
use crate::{Data, Key, Topic};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::time::millis;
use suiro_engine::Edge;

/// A handle to a versioned table with keys `K` and rows `V`;
/// [`Topology::versioned_table`](crate::Topology::versioned_table) gives it.
///
/// Streams look up what was valid at the time of a record by
/// [`join_as_of`](crate::Stream::join_as_of). Cloning the handle costs nothing and copies no rows.
///
/// ```
/// use std::time::Duration;
/// use suiro::{TestDriver, Topic, Topology};
///
/// const PRICES: Topic<String, u32> = Topic::json("prices");
/// const SALES: Topic<String, u32> = Topic::json("sales");
/// const SUMS: Topic<String, u32> = Topic::json("sums");
///
/// let topology = Topology::new("shop");
/// let prices = topology.versioned_table(&PRICES, Duration::from_hours(1));
/// let sales = topology.stream(&SALES);
/// sales.join_as_of("sums", &prices, Duration::ZERO, |pieces, price| pieces * price).to(&SUMS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&PRICES, "tea".into(), 3, 0)?;
/// driver.send(&PRICES, "tea".into(), 4, 1_000)?;
/// driver.send(&SALES, "tea".into(), 2, 999)?;
/// assert_eq!(driver.read(&SUMS)?[0].value, 6);
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "a versioned table does nothing until it is joined or its newest rows are used"]
pub struct VersionedTable<K: 'static, V: 'static> {
    pub(crate) draft: Draft,
    pub(crate) source: Source<K>,
    rows: PhantomData<fn() -> V>,
}

impl<K: 'static, V: 'static> std::fmt::Debug for VersionedTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VersionedTable")
            .field("keys", &self.source.keys.name())
            .field("history_ms", &self.source.history)
            .finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static> Clone for VersionedTable<K, V> {
    fn clone(&self) -> Self {
        Self { draft: self.draft.clone(), source: self.source.clone(), rows: PhantomData }
    }
}

impl<K: Key, V: Data> VersionedTable<K, V> {
    pub(crate) fn add(
        draft: &Draft,
        from: Edge,
        topic: &Topic<K, V>,
        history: Duration,
    ) -> Self {
        let source = versioned_source::add(draft, from, topic, millis(history));
        Self { draft: draft.clone(), source, rows: PhantomData }
    }

    /// The table of the newest row of each key, for whatever tables are for: joins as of a
    /// record's turn, filters, folds, `to` and `changes`. Newest is the row of the largest time; a
    /// record that comes behind it changes nothing here (rule A3).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const PRICES: Topic<String, u32> = Topic::json("prices");
    /// const CHANGES: Topic<String, Option<u32>> = Topic::json("price-changes");
    ///
    /// let topology = Topology::new("shop");
    /// let prices = topology.versioned_table(&PRICES, Duration::from_hours(1));
    /// prices.newest().changes().to(&CHANGES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PRICES, "tea".into(), 4, 1_000)?;
    /// driver.send(&PRICES, "tea".into(), 3, 0)?;
    /// driver.remove(&PRICES, "tea".into(), 2_000)?;
    /// let changes: Vec<_> = driver.read(&CHANGES)?.into_iter().map(|row| row.value).collect();
    /// assert_eq!(changes, [Some(4), None]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn newest(&self) -> Table<K, V> {
        let Source { node, store, keys, demand, .. } = self.source.clone();
        let view: View<K, V> = Arc::new(move |stores, key, show| {
            if let Some((row, at)) = stores.get::<VersionStore<K, V>>(store).look(key) {
                show(row, at);
            }
            Ok(())
        });
        let from = Edge { node, output: 0 };
        Table::new(&self.draft, from, keys, view, vec![store], demand, None)
    }
}
