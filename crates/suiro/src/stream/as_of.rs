//! Joins of streams with what was valid at the time of a record.

use crate::operators::join_as_of;
use crate::{Data, Key, SameKey, Stream, VersionedTable};
use std::time::Duration;
use suiro_core::time::millis;

impl<K: Key, V: Data> Stream<K, V> {
    /// Looks up the table's row of the same key that was valid at the record's time (rules K2
    /// and K3); records without one are dropped. The result has the time and the headers of the
    /// record, whatever those of the row are.
    ///
    /// With a `grace` of zero a record is joined at its turn, with what the table knows by then.
    /// With a longer one, in whole milliseconds, it waits for what the table may still hear of its
    /// time: until stream time, which records of both sides move, has come to its time + `grace`,
    /// or to the end of a bounded run. Records are let go in order of their times, and then of
    /// arrival, whatever their keys, and before the table takes the update that moved the time.
    /// One that is already so late goes at its turn. The grace must not be longer than the history
    /// of the table; else [`build`](crate::Topology::build) refuses the program.
    ///
    /// A look-up at a time gives the newest version, if it is not after that time; else nothing, if
    /// the time is further back than the history reaches; else the version that was valid. A
    /// removal is a version, and valid like any other.
    ///
    /// `name` names the store of the records that wait and its changelog,
    /// `<app>.<name>.changelog`, for good; without a grace there is none. They are held in memory,
    /// also with [`App::stores`](crate::App::stores). A stream whose keys were changed by
    /// `key_by` goes through the internal topic `<app>.<name>.repartition`.
    ///
    /// If `combine` fails for a record that has waited, the policy is applied to that record.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const RATES: Topic<String, f64> = Topic::json("rates");
    /// const ORDERS: Topic<String, f64> = Topic::json("orders");
    /// const PRICED: Topic<String, f64> = Topic::json("priced-orders");
    ///
    /// let topology = Topology::new("shop");
    /// let rates = topology.versioned_table(&RATES, Duration::from_hours(1));
    /// topology
    ///     .stream(&ORDERS)
    ///     .join_as_of("priced", &rates, Duration::from_secs(5), |amount, rate| amount * rate)
    ///     .to(&PRICED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&RATES, "eur".into(), 1.5, 0)?;
    /// driver.send(&ORDERS, "eur".into(), 100.0, 10_000)?;
    /// // The rate that was valid at the order's time comes a little late.
    /// driver.send(&RATES, "eur".into(), 2.0, 9_000)?;
    /// assert!(driver.read(&PRICED)?.is_empty());
    /// driver.send(&RATES, "usd".into(), 1.0, 15_000)?;
    /// let priced = &driver.read(&PRICED)?[0];
    /// assert_eq!((priced.value, priced.at.as_millis()), (200.0, 10_000));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "temporal join")]
    #[doc(alias = "FOR SYSTEM_TIME AS OF")]
    pub fn join_as_of<J: Key + SameKey<K>, T: Data, W: Send + 'static>(
        self,
        name: &str,
        table: &VersionedTable<J, T>,
        grace: Duration,
        combine: impl Fn(V, &T) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        let spec = ("join_as_of", name, millis(grace));
        let combine = move |value, row: Option<&T>| row.map(|row| combine(value, row));
        join_as_of::add(self, (&table.source, &table.draft), spec, combine)
    }

    /// As [`join_as_of`](Stream::join_as_of), and what was valid is `None` if there was no row.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ROOMS: Topic<String, String> = Topic::json("rooms");
    /// const CALLS: Topic<String, String> = Topic::json("calls");
    /// const PLACED: Topic<String, String> = Topic::json("placed-calls");
    ///
    /// let topology = Topology::new("calls");
    /// let rooms = topology.versioned_table(&ROOMS, Duration::from_hours(8));
    /// let calls = topology.stream(&CALLS);
    /// let placed = calls.left_join_as_of("placed", &rooms, Duration::ZERO, |call, room| {
    ///     format!("{call} from {}", room.map_or("outside", |room| room))
    /// });
    /// placed.to(&PLACED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ROOMS, "ann".into(), "kitchen".into(), 10)?;
    /// driver.remove(&ROOMS, "ann".into(), 20)?;
    /// for at in [9, 10, 20] {
    ///     driver.send(&CALLS, "ann".into(), "help".into(), at)?;
    /// }
    /// let placed: Vec<_> = driver.read(&PLACED)?.into_iter().map(|call| call.value).collect();
    /// assert_eq!(placed, ["help from outside", "help from kitchen", "help from outside"]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn left_join_as_of<J: Key + SameKey<K>, T: Data, W: Send + 'static>(
        self,
        name: &str,
        table: &VersionedTable<J, T>,
        grace: Duration,
        combine: impl Fn(V, Option<&T>) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        let spec = ("left_join_as_of", name, millis(grace));
        let combine = move |value, row: Option<&T>| Some(combine(value, row));
        join_as_of::add(self, (&table.source, &table.draft), spec, combine)
    }
}
