//! Event time out of the value of a record.

use crate::Stream;
use suiro_core::{Error, Timestamp};

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// Takes the event time of each record from its value, in milliseconds since the epoch
    /// (rule T1). It goes right behind [`stream`](crate::Topology::stream): the order in which
    /// records take their turns follows from it, for all who read this stream. A negative time is invalid input, skipped and
    /// counted unless a policy says otherwise; a panic is one record that cannot be read.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Order {
    ///     placed: i64,
    ///     cents: u64,
    /// }
    ///
    /// const ORDERS: Topic<String, Order> = Topic::json("orders");
    /// const LARGE: Topic<String, u64> = Topic::json("large-orders");
    ///
    /// let topology = Topology::new("orders");
    /// let orders = topology.stream(&ORDERS).timed_by(|order| order.placed);
    /// orders.map(|order| order.cents).filter(|cents| *cents > 100).to(&LARGE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), Order { placed: 40, cents: 250 }, 7_000)?;
    /// assert_eq!(driver.read(&LARGE)?[0].at, 40.into());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "TimestampExtractor")]
    #[doc(alias = "assignTimestamps")]
    pub fn timed_by<T: Into<Timestamp>>(
        self,
        time: impl Fn(&V) -> T + Send + Sync + 'static,
    ) -> Self {
        let set = self.draft.time_of::<V>(self.from).map(|cell| {
            // A clone of the stream would see times that it did not ask for.
            cell.set(Box::new(move |value: &V| time(value).into())).is_ok()
        });
        if set != Some(true) {
            let text = "`timed_by` goes right behind `stream`, once per topic: a record has its \
                        time before it takes its turn";
            self.draft.refuse(Error::invalid(text));
        }
        self
    }
}
