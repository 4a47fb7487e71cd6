//! A table whose rows are grouped anew: what can be made of the groups.

use super::Table;
use crate::operators::group_fold::{self, Arithmetic};
use crate::operators::table_group::{self, Group};
use crate::{Data, Key};
use std::sync::Arc;

/// The rows of a table in groups, made by [`Table::group_by`].
///
/// A row belongs to one group at a time. When it changes, its group loses what it was and gets
/// what it is, in one change. When it moves to another group that makes two changes, first that
/// of the old group. A group goes with its last row, and starts anew when rows come again
/// (rule A2).
///
/// ```
/// use suiro::{TestDriver, Topic, Topology};
///
/// const TOWN_OF: Topic<String, String> = Topic::json("town-of");
/// const PEOPLE: Topic<String, u64> = Topic::json("people-by-town");
///
/// let topology = Topology::new("towns");
/// topology.table(&TOWN_OF).group_by(|town| town.clone()).count("people").to(&PEOPLE);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&TOWN_OF, "ann".into(), "york".into(), 0)?;
/// driver.send(&TOWN_OF, "bob".into(), "york".into(), 1)?;
/// assert_eq!(driver.read_last(&PEOPLE)?["york"], 2);
/// driver.send(&TOWN_OF, "ann".into(), "ulm".into(), 2)?;
/// let people = driver.read_last(&PEOPLE)?;
/// assert_eq!((people["york"], people["ulm"]), (1, 1));
/// # Ok::<(), suiro::Error>(())
/// ```
#[doc(alias = "KGroupedTable")]
#[must_use = "groups do nothing until they are folded"]
pub struct GroupedTable<K: 'static, V: 'static, G> {
    table: Table<K, V>,
    group: Group<V, G>,
}

impl<K: 'static, V: 'static, G> std::fmt::Debug for GroupedTable<K, V, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupedTable").field("table", &self.table).finish_non_exhaustive()
    }
}

impl<K: Key, V: Data> Table<K, V> {
    /// Groups the rows anew, by what is in them; say with [`fold`](GroupedTable::fold) or
    /// [`count`](GroupedTable::count) what is to be made of each group.
    ///
    /// The groups are moved to the partitions that own them. Where several partitions send to
    /// one group, their changes come in the order of rule T6; those of one row stay in order.
    ///
    /// A row for which `group` panics is in no group, if a policy says so; what it was before is
    /// subtracted.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<u64, (String, u64)> = Topic::json("orders");
    /// const TOTALS: Topic<String, u64> = Topic::json("totals");
    ///
    /// let topology = Topology::new("totals");
    /// topology
    ///     .table(&ORDERS)
    ///     .group_by(|(customer, _)| customer.clone())
    ///     .fold("totals", || 0, |sum, (_, cents)| *sum += cents, |sum, (_, cents)| *sum -= cents)
    ///     .to(&TOTALS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, 1, ("ann".into(), 300), 0)?;
    /// driver.send(&ORDERS, 2, ("ann".into(), 200), 1)?;
    /// assert_eq!(driver.read_last(&TOTALS)?["ann"], 500);
    /// driver.send(&ORDERS, 2, ("ann".into(), 250), 2)?;
    /// assert_eq!(driver.read_last(&TOTALS)?["ann"], 550);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "groupBy")]
    #[doc(alias = "keyBy")]
    pub fn group_by<G: Key>(
        self,
        group: impl Fn(&V) -> G + Send + Sync + 'static,
    ) -> GroupedTable<K, V, G> {
        GroupedTable { table: self, group: Arc::new(group) }
    }
}

impl<K: Key, V: Data, G: Key> GroupedTable<K, V, G> {
    /// Folds the rows of each group: `add` takes a row in, `subtract` takes one out that was
    /// taken in before. A row that changes within its group is subtracted as it was, and then
    /// added as it is. `name` names the store and its changelog for good.
    ///
    /// A row that `subtract` takes out is any of the group, not the newest: what cannot be taken
    /// back, such as a maximum, needs a state that remembers the rows. If a policy other than
    /// [`Stop`](crate::Policy::Stop) skips rows on which `add` panics, `subtract` should panic
    /// on them, too: then a group has those rows that were added.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const STOCK: Topic<String, (String, i64)> = Topic::json("stock");
    /// const SHELVES: Topic<String, Option<i64>> = Topic::json("shelves");
    ///
    /// let topology = Topology::new("shelves");
    /// topology
    ///     .table(&STOCK)
    ///     .group_by(|(shelf, _)| shelf.clone())
    ///     .fold("load", || 0, |load, (_, kilos)| *load += kilos, |load, (_, kilos)| *load -= kilos)
    ///     .changes()
    ///     .to(&SHELVES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&STOCK, "tea".into(), ("low".into(), 5), 0)?;
    /// driver.send(&STOCK, "tea".into(), ("high".into(), 7), 1)?;
    /// let shelves = driver.read(&SHELVES)?.into_iter().map(|row| (row.key, row.value));
    /// let expected = [("low", Some(5)), ("low", None), ("high", Some(7))];
    /// assert!(shelves.eq(expected.map(|(shelf, load)| (shelf.to_owned(), load))));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "aggregate")]
    #[doc(alias = "subtractor")]
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
        subtract: impl Fn(&mut A, V) + Send + Sync + 'static,
    ) -> Table<G, A> {
        let with = Arithmetic {
            init: Arc::new(init),
            add: Arc::new(add),
            subtract: Arc::new(subtract),
        };
        let rows = table_group::add(self.table, self.group, |row| row);
        group_fold::add(rows, name, with)
    }

    /// Counts the rows of each group.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const FLAGS: Topic<String, bool> = Topic::json("flags");
    /// const COUNTS: Topic<bool, u64> = Topic::json("flag-counts");
    ///
    /// let topology = Topology::new("flags");
    /// topology.table(&FLAGS).group_by(|flag| *flag).count("counts").to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&FLAGS, "fast".into(), true, 0)?;
    /// driver.send(&FLAGS, "loud".into(), true, 1)?;
    /// driver.remove(&FLAGS, "fast".into(), 2)?;
    /// assert_eq!(driver.read_last(&COUNTS)?[&true], 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn count(self, name: &str) -> Table<G, u64> {
        let with = Arithmetic {
            init: Arc::new(|| 0),
            add: Arc::new(|count: &mut u64, ()| *count += 1),
            subtract: Arc::new(|count: &mut u64, ()| *count -= 1),
        };
        group_fold::add(table_group::add(self.table, self.group, |_| ()), name, with)
    }
}
