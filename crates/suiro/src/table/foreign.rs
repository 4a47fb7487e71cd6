//! Joins of tables with tables whose keys are named in their rows.

use super::Table;
use crate::{Data, Key, operators};
use std::sync::Arc;

impl<K: Key, V: Data> Table<K, V> {
    /// The table of this table's rows, each with the row of `other` whose key it names; a row
    /// that names none, or one that `other` has not, is left out (rules F1 to F3).
    ///
    /// `key_of` gives the key that a row names. Keys are equal if they are encoded alike, as the
    /// keys of `other` are. An update on either side changes all joined rows that it is about; one
    /// of `other` goes through the rows that name it in order of the bytes of their keys. The time
    /// of a joined row is the larger of both rows' times, and a removal has that of the update that
    /// caused it, or of the other row if that is later.
    ///
    /// The rows of this table are moved to the partition of the key that they name, and what
    /// comes of them is moved back; the two tables may have any numbers of partitions. When all
    /// has been taken the table is the join, whatever the order in which updates came; on the
    /// way there it may lag behind either side, but never shows the old pair of a row whose key
    /// has changed after the new one. `name` names its stores and the topics of its exchanges for
    /// good; the rows can be looked up by it in a running program.
    ///
    /// The other table must not be made of this one, nor be joined with it by key in the same
    /// program: [`build`](crate::Topology::build) refuses a program that would feed itself.
    /// A row for which `key_of` or `combine` fails has no joined row, if a policy passes over it.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const TOWN_OF: Topic<String, u32> = Topic::json("town-of");
    /// const TOWNS: Topic<u32, String> = Topic::json("towns");
    /// const PEOPLE: Topic<String, String> = Topic::json("people");
    ///
    /// let topology = Topology::new("people");
    /// let towns = topology.table(&TOWNS);
    /// topology
    ///     .table(&TOWN_OF)
    ///     .join_on("homes", &towns, |town| Some(*town), |_, town| town.clone())
    ///     .to(&PEOPLE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&TOWNS, 1, "york".into(), 0)?;
    /// driver.send(&TOWN_OF, "ann".into(), 1, 1)?;
    /// driver.send(&TOWN_OF, "bob".into(), 2, 2)?;
    /// assert_eq!(driver.read(&PEOPLE)?.len(), 1);
    /// driver.send(&TOWNS, 2, "ulm".into(), 3)?;
    /// driver.send(&TOWNS, 1, "eboracum".into(), 4)?;
    /// let people = driver.read_last(&PEOPLE)?;
    /// assert_eq!((&*people["ann"], &*people["bob"]), ("eboracum", "ulm"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "foreign key join")]
    #[doc(alias = "foreignKeyExtractor")]
    #[doc(alias = "regular join")]
    pub fn join_on<F: Key, T: Data, W: Data>(
        self,
        name: &str,
        other: &Table<F, T>,
        key_of: impl Fn(&V) -> Option<F> + Send + Sync + 'static,
        combine: impl Fn(&V, &T) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        let combine = move |row: Option<&V>, other: Option<&T>| Some(combine(row?, other?));
        let (key_of, combine) = (Arc::new(key_of), Arc::new(combine));
        operators::foreign_key::add(self, other, name, "join_on", key_of, combine)
    }

    /// The table of this table's rows, each with the row of `other` whose key it names, if it
    /// names one and that is there (rules F1 to F3); otherwise as [`join_on`](Table::join_on).
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const TOWN_OF: Topic<String, Option<u32>> = Topic::json("town-of");
    /// const TOWNS: Topic<u32, String> = Topic::json("towns");
    /// const PEOPLE: Topic<String, String> = Topic::json("people");
    ///
    /// let topology = Topology::new("people");
    /// let towns = topology.table(&TOWNS);
    /// let shown = |town: Option<&String>| town.cloned().unwrap_or("nowhere".into());
    /// topology
    ///     .table(&TOWN_OF)
    ///     .left_join_on("homes", &towns, |town| *town, move |_, town| shown(town))
    ///     .to(&PEOPLE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&TOWN_OF, "ann".into(), Some(1), 0)?;
    /// assert_eq!(driver.read_last(&PEOPLE)?["ann"], "nowhere");
    /// driver.send(&TOWNS, 1, "york".into(), 1)?;
    /// assert_eq!(driver.read_last(&PEOPLE)?["ann"], "york");
    /// driver.remove(&TOWNS, 1, 2)?;
    /// assert_eq!(driver.read_last(&PEOPLE)?["ann"], "nowhere");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "leftJoin")]
    #[doc(alias = "foreign key left join")]
    pub fn left_join_on<F: Key, T: Data, W: Data>(
        self,
        name: &str,
        other: &Table<F, T>,
        key_of: impl Fn(&V) -> Option<F> + Send + Sync + 'static,
        combine: impl Fn(&V, Option<&T>) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        let combine = move |row: Option<&V>, other: Option<&T>| Some(combine(row?, other));
        let (key_of, combine) = (Arc::new(key_of), Arc::new(combine));
        operators::foreign_key::add(self, other, name, "left_join_on", key_of, combine)
    }
}
