//! Joins of streams with streams of the same key.

use crate::operators::join_streams;
use crate::{Data, Key, SameKey, Stream, Within};

impl<K: Key, V: Data> Stream<K, V> {
    /// Joins each record with those of `right` that have its key and are near it in time (rules
    /// J1 to J5). `name` names the store and its changelog, `<app>.<name>.changelog`, for good.
    ///
    /// A pair has the time of its later record, and the headers of the one that came last. A
    /// record waits for partners until stream time, which both sides move, has passed all that
    /// could be near it and the grace. One with several partners makes a pair with each, in
    /// order of their times.
    ///
    /// A side whose keys were changed by `key_by` goes through the internal topic
    /// `<app>.<name>-left.repartition` or `-right`. Both sides must have one key format; else
    /// [`build`](crate::Topology::build) refuses the program. If `combine` panics, and the policy
    /// says that its record is skipped, the record makes no pair at all.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Within};
    ///
    /// const ORDERS: Topic<u64, String> = Topic::json("orders");
    /// const PAYMENTS: Topic<u64, u64> = Topic::json("payments");
    /// const PAID: Topic<u64, String> = Topic::json("paid-orders");
    ///
    /// let topology = Topology::new("shop");
    /// let payments = topology.stream(&PAYMENTS);
    /// topology
    ///     .stream(&ORDERS)
    ///     .join_within("paid", payments, Within::of(Duration::from_mins(5)), |order, cents| {
    ///         format!("{order} for {cents}")
    ///     })
    ///     .to(&PAID);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, 7, "tea".into(), 0)?;
    /// driver.send(&PAYMENTS, 7, 350, 60_000)?;
    /// let paid = &driver.read(&PAID)?[0];
    /// assert_eq!((&*paid.value, paid.at.as_millis()), ("tea for 350", 60_000));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "interval join")]
    #[doc(alias = "intervalJoin")]
    #[doc(alias = "window join")]
    pub fn join_within<J: Key + SameKey<K>, T: Data, W: Send + 'static>(
        self,
        name: &str,
        right: Stream<J, T>,
        within: Within,
        combine: impl Fn(&V, &T) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        join_streams::add_inner(self, right, (name, within.spec()), combine)
    }

    /// As [`join_within`](Stream::join_within), and a record of this stream that has had no
    /// partner is sent alone when it is closed, and not before: when stream time has reached its
    /// time + after + 1 ms + grace, or at the end of a bounded run (rules J3 and J5). It keeps its
    /// own time and headers. One that is closed when it comes is sent at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Within};
    ///
    /// const ORDERS: Topic<u64, String> = Topic::json("orders");
    /// const PAYMENTS: Topic<u64, u64> = Topic::json("payments");
    /// const STATES: Topic<u64, String> = Topic::json("order-states");
    ///
    /// let topology = Topology::new("shop");
    /// let payments = topology.stream(&PAYMENTS);
    /// let soon = Within::of(Duration::from_mins(5));
    /// topology
    ///     .stream(&ORDERS)
    ///     .left_join_within("states", payments, soon, |order, cents| match cents {
    ///         Some(cents) => format!("{order} for {cents}"),
    ///         None => format!("{order} was not paid"),
    ///     })
    ///     .to(&STATES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, 7, "tea".into(), 0)?;
    /// driver.send(&PAYMENTS, 8, 350, 300_000)?;
    /// assert!(driver.read(&STATES)?.is_empty());
    /// driver.send(&PAYMENTS, 8, 350, 300_001)?;
    /// assert_eq!(driver.read(&STATES)?[0].value, "tea was not paid");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn left_join_within<J: Key + SameKey<K>, T: Data, W: Send + 'static>(
        self,
        name: &str,
        right: Stream<J, T>,
        within: Within,
        combine: impl Fn(&V, Option<&T>) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        let combine = move |left: Option<&V>, right: Option<&T>| {
            combine(left.expect("only left records are sent alone"), right)
        };
        join_streams::add_outer(self, right, (name, within.spec()), false, combine)
    }

    /// As [`left_join_within`](Stream::left_join_within), and records of both sides that have had
    /// no partner are sent alone; those of the right side when stream time has reached their
    /// time + before + 1 ms + grace. At least one of the two that `combine` gets is there.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Within};
    ///
    /// const ENTERED: Topic<String, u64> = Topic::json("entered");
    /// const LEFT: Topic<String, u64> = Topic::json("left");
    /// const VISITS: Topic<String, (Option<u64>, Option<u64>)> = Topic::json("visits");
    ///
    /// let topology = Topology::new("doors");
    /// let left = topology.stream(&LEFT);
    /// let day = Within::of(Duration::ZERO).after(Duration::from_hours(8));
    /// topology
    ///     .stream(&ENTERED)
    ///     .outer_join_within("visits", left, day, |entered, left| {
    ///         (entered.copied(), left.copied())
    ///     })
    ///     .to(&VISITS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&LEFT, "ann".into(), 1, 1_000)?;
    /// driver.send(&ENTERED, "bob".into(), 2, 2_000)?;
    /// driver.send(&LEFT, "bob".into(), 3, 3_000)?;
    /// let visits: Vec<_> = driver.read(&VISITS)?.into_iter().map(|visit| visit.value).collect();
    /// assert_eq!(visits, [(None, Some(1)), (Some(2), Some(3))]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "full outer join")]
    pub fn outer_join_within<J: Key + SameKey<K>, T: Data, W: Send + 'static>(
        self,
        name: &str,
        right: Stream<J, T>,
        within: Within,
        combine: impl Fn(Option<&V>, Option<&T>) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        join_streams::add_outer(self, right, (name, within.spec()), true, combine)
    }
}
