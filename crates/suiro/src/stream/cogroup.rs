//! Several streams in one fold.

use crate::operators::cogroup::Inputs;
use crate::operators::fold::{Add, Init};
use crate::{Data, Key, SameKey, Stream, Table};
use std::sync::Arc;

impl<K: Key, V: Data> Stream<K, V> {
    /// Begins a fold of several streams into one table: of this one by `add`, and of others that
    /// come [`with`](Cogroup::with) it, each in its own way. `init` makes the state of a key at its
    /// first record, whichever stream that comes by. `name` names the store and its changelog,
    /// `<app>.<name>.changelog`, for good.
    ///
    /// Records are taken in the order of turns over all inputs: smallest time first, and on a tie
    /// what was declared first (rule T2). A row has the largest time of its records, and a change
    /// the headers of the record that made it (H1). A stream whose keys were changed by `key_by`
    /// goes through the internal topic `<app>.<name>-<number>.repartition`, numbered from 1 in
    /// order. The streams need equal numbers of partitions and one key format; else the program is
    /// refused.
    ///
    /// Say [`window`](Cogroup::window) for windows over several streams. For
    /// [`Sliding`](crate::Sliding) and [`CountWindows`](crate::CountWindows)
    /// [`map`](Stream::map) each to a common type, [`merge`](Stream::merge) them, and fold that.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<u32, u64> = Topic::json("orders");
    /// const PAYMENTS: Topic<u32, f64> = Topic::json("payments");
    /// const ACCOUNTS: Topic<u32, (u64, f64)> = Topic::json("accounts");
    ///
    /// let topology = Topology::new("accounts");
    /// let payments = topology.stream(&PAYMENTS);
    /// topology
    ///     .stream(&ORDERS)
    ///     .cogroup("accounts", || (0, 0.0), |account, pieces| account.0 += pieces)
    ///     .with(payments, |account, euros| account.1 += euros)
    ///     .table()
    ///     .to(&ACCOUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, 7, 3, 0)?;
    /// driver.send(&PAYMENTS, 7, 9.5, 1)?;
    /// assert_eq!(driver.read_last(&ACCOUNTS)?[&7], (3, 9.5));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "CogroupedKStream")]
    pub fn cogroup<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
    ) -> Cogroup<K, A> {
        let (init, add): (Init<A>, Add<A, V>) = (Arc::new(init), Arc::new(add));
        Cogroup { inputs: Inputs::new(self, name, init, add) }
    }
}

/// Streams that are to be folded into one table; [`Stream::cogroup`] begins it.
///
/// ```
/// use suiro::{Cogroup, Stream, Topic, Topology};
///
/// const PLUS: Topic<u32, i64> = Topic::json("plus");
/// const MINUS: Topic<u32, i64> = Topic::json("minus");
///
/// fn sums(plus: Stream<u32, i64>) -> Cogroup<u32, i64> {
///     plus.cogroup("sums", || 0, |sum, more| *sum += more)
/// }
///
/// let topology = Topology::new("sums");
/// let minus = topology.stream(&MINUS);
/// let _sums = sums(topology.stream(&PLUS)).with(minus, |sum, less| *sum -= less).table();
/// assert!(topology.build()?.describe().contains("cogroup sums"));
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "streams are folded only when `table` has made a table of them"]
pub struct Cogroup<K: 'static, A: 'static> {
    pub(crate) inputs: Inputs<K, A>,
}

impl<K: 'static, A: 'static> std::fmt::Debug for Cogroup<K, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cogroup").finish_non_exhaustive()
    }
}

impl<K: Key, A: Data> Cogroup<K, A> {
    /// Folds the values of another stream of the same keys in by `add`.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const PLUS: Topic<u32, i64> = Topic::json("plus");
    /// const MINUS: Topic<u32, i64> = Topic::json("minus");
    /// const SUMS: Topic<u32, i64> = Topic::json("sums");
    ///
    /// let topology = Topology::new("sums");
    /// let minus = topology.stream(&MINUS);
    /// let sums = topology.stream(&PLUS).cogroup("sums", || 0, |sum, more| *sum += more);
    /// sums.with(minus, |sum, less| *sum -= less).table().to(&SUMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&MINUS, 1, 4, 0)?;
    /// driver.send(&PLUS, 1, 7, 1)?;
    /// assert_eq!(driver.read_last(&SUMS)?[&1], 3);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn with<J: Key + SameKey<K>, V: Data>(
        mut self,
        stream: Stream<J, V>,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
    ) -> Self {
        self.inputs.add(stream, Arc::new(add));
        self
    }

    /// The table of what the streams come to.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const PLUS: Topic<u32, i64> = Topic::json("plus");
    /// const SUMS: Topic<u32, i64> = Topic::json("sums");
    ///
    /// let topology = Topology::new("sums");
    /// let sums = topology.stream(&PLUS).cogroup("sums", || 0, |sum, more| *sum += more);
    /// sums.table().to(&SUMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PLUS, 1, 7, 0)?;
    /// assert_eq!(driver.read_last(&SUMS)?[&1], 7);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn table(self) -> Table<K, A> {
        self.inputs.table()
    }
}
