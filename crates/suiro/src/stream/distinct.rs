//! Each key once.

use crate::operators;
use crate::{Data, Key, Stream};
use std::time::Duration;
use suiro_core::time::millis;

impl<K: 'static, V: 'static> Stream<K, V> {
    /// Lets the first record of each key pass, and drops those of the same key that come until
    /// event time is `within` further: until the stream time of this step, the largest time
    /// that has reached it (rule T4), has come to the time of that record + `within`. Then the
    /// next one passes. `name` names the store and its changelog for good.
    ///
    /// A record whose own time is already so long ago is late: nobody knows any more whether it
    /// repeats one, so it is dropped, and counted in [`Metrics::late`](crate::Metrics::late). To
    /// tell records apart by something else than their key, give them another first, with
    /// [`key_by`](Stream::key_by). The keys that passed are held in memory, also with
    /// [`App::stores`](crate::App::stores).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const PAYMENTS: Topic<String, u64> = Topic::json("payments");
    /// const ONCE: Topic<String, u64> = Topic::json("payments-once");
    ///
    /// let topology = Topology::new("payments");
    /// topology.stream(&PAYMENTS).distinct("paid", Duration::from_secs(10)).to(&ONCE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (id, at) in [("p-1", 1_000), ("p-2", 2_000), ("p-1", 3_000), ("p-1", 11_000)] {
    ///     driver.send(&PAYMENTS, id.into(), 250, at)?;
    /// }
    /// let once = driver.read(&ONCE)?.into_iter();
    /// let once: Vec<_> = once.map(|paid| (paid.key, paid.at.as_millis())).collect();
    /// let paid = |id: &str, at| (id.to_owned(), at);
    /// assert_eq!(once, [paid("p-1", 1_000), paid("p-2", 2_000), paid("p-1", 11_000)]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "deduplicate")]
    pub fn distinct(self, name: &str, within: Duration) -> Stream<K, V>
    where
        K: Key,
        V: Data,
    {
        operators::distinct::add(self, name, millis(within))
    }
}
