//! Asking the world outside, without holding anything up.

use crate::calls::{Calls, asking};
use crate::operators::call;
use crate::{Data, Key, Stream};
use std::future::Future;

impl<K: Key, V: Data> Stream<K, V> {
    /// Makes a call for each value, and gives what it brings, with the key, the time and the headers
    /// of the record (rule H1). `how` is how many may be under way at a time, for each partition, or
    /// more of it: [`Calls`]. The program goes on meanwhile; it pauses the partition only when four
    /// times as many records wait for their calls.
    ///
    /// The results of a key come in the order of its records, and its next call is made when the one
    /// before has ended; see [`Calls::unordered`]. Those of different keys come as the calls end,
    /// and so the order between them, and with what other streams bring, is that of arrival: outside
    /// of rule D1. A window behind it may find a result late.
    ///
    /// A commit does not wait for calls. The records of those under way are part of it, in the store
    /// `name` with the changelog `<app>.<name>.changelog`, and after a crash the calls are made
    /// again: a result is committed exactly once, but the call may be made more than once, also
    /// before a crash when a step that failed is tried again. So let calls be such that a second one
    /// does no harm; the value may carry what tells them from each other. A bounded run ends when
    /// all calls have ended.
    ///
    /// A call that gives an error, panics, or takes too long, after its retries, meets the policy of
    /// the step: with [`Policy::Stop`](crate::Policy::Stop), the default, the program ends, and makes
    /// the call again at the next start.
    ///
    /// Calls run where the app says: on the tokio runtime in which it was started, with the feature
    /// `tokio`, or on [`App::executor`](crate::App::executor). A
    /// [`TestDriver`](crate::TestDriver) runs them itself.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<u64, u64> = Topic::json("orders");
    /// const RATED: Topic<u64, String> = Topic::json("rated-orders");
    ///
    /// /// Stands for a request to another service.
    /// async fn rate(cents: u64) -> Result<String, std::io::Error> {
    ///     Ok(if cents < 1_000 { "small" } else { "large" }.to_owned())
    /// }
    ///
    /// let topology = Topology::new("orders");
    /// topology.stream(&ORDERS).call("ratings", 16, |cents| rate(cents)).to(&RATED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, 7, 2_500, 0)?;
    /// assert_eq!(driver.read(&RATED)?[0].value, "large");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "async I/O")]
    #[doc(alias = "AsyncDataStream")]
    #[doc(alias = "asyncMap")]
    pub fn call<W, E, F>(
        self,
        name: &str,
        how: impl Into<Calls>,
        ask: impl Fn(V) -> F + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        W: Clone + Send + Sync + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: Future<Output = Result<W, E>> + Send + 'static,
    {
        let how = how.into();
        call::add(self, (name, how), asking(how, ask))
    }
}
