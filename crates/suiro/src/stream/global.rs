//! Joins of streams with global tables.

use crate::operators::join_global;
use crate::table::GlobalTable;
use crate::{Data, Key, Stream};

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// Looks up the row that a record names (rules A4 and K3): `by` gives its key, or `None`, which
    /// finds nothing. Records without a row are dropped. The result has the key, the time and the
    /// headers of the record, whatever those of the row are.
    ///
    /// Every process holds all rows, so nothing moves: the stream need not be keyed, or may be
    /// behind `key_by`. The table is as its topic was at the start, with what has arrived since;
    /// it does not wait for the stream's time, nor the stream for it. Where the order of the two
    /// matters, [`join`](Stream::join) a table of the stream's key.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const SHOPS: Topic<u32, String> = Topic::json("shops");
    /// const SALES: Topic<u64, (u32, u64)> = Topic::json("sales");
    /// const TOLD: Topic<u64, String> = Topic::json("told-sales");
    ///
    /// let topology = Topology::new("sales");
    /// let shops = topology.global_table(&SHOPS);
    /// let sales = topology.stream(&SALES);
    /// let told = sales.join_global(&shops, |_, (shop, _)| Some(*shop), |(_, cents), shop| {
    ///     format!("{cents} in {shop}")
    /// });
    /// told.to(&TOLD);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&SHOPS, 1, "Turku".into(), 5)?;
    /// driver.send(&SALES, 10, (1, 250), 0)?;
    /// driver.send(&SALES, 11, (2, 250), 1)?;
    /// let told = driver.read(&TOLD)?;
    /// assert_eq!(told.len(), 1);
    /// assert_eq!((told[0].key, &*told[0].value, told[0].at), (10, "250 in Turku", 0.into()));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "GlobalKTable")]
    #[doc(alias = "broadcast join")]
    pub fn join_global<J: Key + Sync, T: Data + Sync, W: Send + 'static>(
        self,
        table: &GlobalTable<J, T>,
        by: impl Fn(&K, &V) -> Option<J> + Send + Sync + 'static,
        combine: impl Fn(V, &T) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        let combine = move |value, row: Option<&T>| row.map(|row| combine(value, row));
        join_global::add(self, table, "join_global", by, combine)
    }

    /// As [`join_global`](Stream::join_global), and a record that finds no row is kept.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const SHOPS: Topic<u32, String> = Topic::json("shops");
    /// const SALES: Topic<u64, (u32, u64)> = Topic::json("sales");
    /// const TOLD: Topic<u64, String> = Topic::json("told-sales");
    ///
    /// let topology = Topology::new("sales");
    /// let shops = topology.global_table(&SHOPS);
    /// let sales = topology.stream(&SALES);
    /// let told = sales.left_join_global(&shops, |_, (shop, _)| Some(*shop), |(_, cents), shop| {
    ///     format!("{cents} in {}", shop.map_or("?", |shop| shop))
    /// });
    /// told.to(&TOLD);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&SALES, 11, (2, 250), 1)?;
    /// assert_eq!(driver.read(&TOLD)?[0].value, "250 in ?");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn left_join_global<J: Key + Sync, T: Data + Sync, W: Send + 'static>(
        self,
        table: &GlobalTable<J, T>,
        by: impl Fn(&K, &V) -> Option<J> + Send + Sync + 'static,
        combine: impl Fn(V, Option<&T>) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        let combine = move |value, row: Option<&T>| Some(combine(value, row));
        join_global::add(self, table, "left_join_global", by, combine)
    }
}
