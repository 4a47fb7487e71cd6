//! Joins of tables with tables of the same key.

use super::Table;
use crate::{Data, Key, SameKey, operators};
use std::sync::Arc;

impl<K: Key, V: Data> Table<K, V> {
    /// The table of the rows that both tables have for a key (rules Q1 to Q3). An update on
    /// either side changes the joined row; a removal on either side removes it.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const NAMES: Topic<u32, String> = Topic::json("names");
    /// const TOWNS: Topic<u32, String> = Topic::json("towns");
    /// const PEOPLE: Topic<u32, String> = Topic::json("people");
    ///
    /// let topology = Topology::new("people");
    /// let towns = topology.table(&TOWNS);
    /// topology.table(&NAMES).join(&towns, |name, town| format!("{name} of {town}")).to(&PEOPLE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&NAMES, 1, "ann".into(), 0)?;
    /// driver.send(&TOWNS, 1, "york".into(), 1)?;
    /// assert_eq!(driver.read(&PEOPLE)?[0].value, "ann of york");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn join<J: Key + SameKey<K>, T: Data, W: Data>(
        self,
        other: &Table<J, T>,
        combine: impl Fn(&V, &T) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        let combine = move |row: Option<&V>, other: Option<&T>| Some(combine(row?, other?));
        operators::join_tables::add(self, other, "table join", Arc::new(combine))
    }

    /// The table of this table's rows, each with the other table's row of the key, if it has one
    /// (rules Q1 to Q3). A removal of the other row changes the joined row, a removal of this
    /// table's row removes it.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const NAMES: Topic<u32, String> = Topic::json("names");
    /// const TOWNS: Topic<u32, String> = Topic::json("towns");
    /// const PEOPLE: Topic<u32, String> = Topic::json("people");
    ///
    /// let topology = Topology::new("people");
    /// let towns = topology.table(&TOWNS);
    /// let somewhere = |town: Option<&String>| town.cloned().unwrap_or("somewhere".into());
    /// topology
    ///     .table(&NAMES)
    ///     .left_join(&towns, move |name, town| format!("{name} of {}", somewhere(town)))
    ///     .to(&PEOPLE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&NAMES, 1, "ann".into(), 0)?;
    /// assert_eq!(driver.read_last(&PEOPLE)?[&1], "ann of somewhere");
    /// driver.send(&TOWNS, 1, "ulm".into(), 1)?;
    /// assert_eq!(driver.read_last(&PEOPLE)?[&1], "ann of ulm");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn left_join<J: Key + SameKey<K>, T: Data, W: Data>(
        self,
        other: &Table<J, T>,
        combine: impl Fn(&V, Option<&T>) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        let combine = move |row: Option<&V>, other: Option<&T>| Some(combine(row?, other));
        operators::join_tables::add(self, other, "table left_join", Arc::new(combine))
    }

    /// The table of the rows that at least one of the tables has for a key (rules Q1 to Q3); at
    /// least one of the two that `combine` gets is there.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERED: Topic<String, u32> = Topic::json("ordered");
    /// const IN_STOCK: Topic<String, u32> = Topic::json("in-stock");
    /// const MISSING: Topic<String, i64> = Topic::json("missing");
    ///
    /// let topology = Topology::new("stock");
    /// let in_stock = topology.table(&IN_STOCK);
    /// let number = |count: Option<&u32>| count.map_or(0, |count| i64::from(*count));
    /// topology
    ///     .table(&ORDERED)
    ///     .outer_join(&in_stock, move |ordered, there| number(ordered) - number(there))
    ///     .to(&MISSING);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&IN_STOCK, "tea".into(), 7, 0)?;
    /// driver.send(&ORDERED, "tea".into(), 9, 1)?;
    /// let missing: Vec<_> = driver.read(&MISSING)?.into_iter().map(|row| row.value).collect();
    /// assert_eq!(missing, [-7, 2]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "full outer join")]
    pub fn outer_join<J: Key + SameKey<K>, T: Data, W: Data>(
        self,
        other: &Table<J, T>,
        combine: impl Fn(Option<&V>, Option<&T>) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        let combine = move |row: Option<&V>, other: Option<&T>| {
            (row.is_some() || other.is_some()).then(|| combine(row, other))
        };
        operators::join_tables::add(self, other, "table outer_join", Arc::new(combine))
    }
}
